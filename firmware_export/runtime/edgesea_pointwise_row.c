/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_pointwise_row: one row of a 1x1 convolution with stride 1, in portable C. */
#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_PLAIN

void edgesea_pointwise_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_conv *op = (const edgesea_conv *)constant;
    const int8_t *in = (const int8_t *)window->rows[0];
    int8_t *out = (int8_t *)result;

    (void)scratch;
    for (int x = 0; x < op->out_width; x++) {
        edgesea_dot(op, in, out);
        in += op->in_channels;
        out += op->out_channels;
    }
}

#endif
