/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_pointwise_row for Arm's vector extension: nothing is gathered. */
#include "edgesea_kernels.h"
#include "edgesea_vector_mve.h"

#if EDGESEA_PATH == EDGESEA_PATH_MVE

void edgesea_pointwise_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_conv *op = (const edgesea_conv *)constant;
    const int8_t *in = (const int8_t *)window->rows[0];
    int pixels = EDGESEA_ROW_PIXELS;

    (void)scratch;
    for (int x = 0; x < op->out_width; x += pixels) {
        if (pixels > op->out_width - x) {
            pixels = op->out_width - x;
        }
        edgesea_dot_mve(op, in + x * op->in_channels, op->in_channels, pixels,
                        (int8_t *)result + x * op->out_channels);
    }
}

#endif
