/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_conv_row: one row of a convolution, in portable C. */
#include <string.h>

#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

#if EDGESEA_PATH == EDGESEA_PATH_PLAIN

/* Collects what output pixel x sees, [kernel_height][kernel_width][in_channels], into patch. */
static void gather(const edgesea_conv *op, const edgesea_window *window, int x, int8_t *patch)
{
    const int channels = op->in_channels;
    const int left = x * op->stride - op->pad_left;

    for (int ky = 0; ky < op->kernel_height; ky++) {
        const int8_t *row = (const int8_t *)window->rows[ky];
        for (int kx = 0; kx < op->kernel_width; kx++) {
            const int column = left + kx * op->dilation;
            if (row && column >= 0 && column < op->in_width) {
                memcpy(patch, row + column * channels, (size_t)channels);
            } else {
                memset(patch, op->in_zero, (size_t)channels);
            }
            patch += channels;
        }
    }
}

void edgesea_conv_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_conv *op = (const edgesea_conv *)constant;
    int8_t *out = (int8_t *)result;
    int8_t *patch = (int8_t *)scratch;

    for (int x = 0; x < op->out_width; x++) {
        gather(op, window, x, patch);
        edgesea_dot(op, patch, out);
        out += op->out_channels;
    }
}

#endif
