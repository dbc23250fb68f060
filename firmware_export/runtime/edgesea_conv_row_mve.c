/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_conv_row for Arm's vector extension: three pixels by two channels at a time, sixteen taps an instruction. */
#include "edgesea_kernels.h"
#include "edgesea_vector_mve.h"

#if EDGESEA_PATH == EDGESEA_PATH_MVE

/* Up to this depth the working memory holds what more pixels see. */
enum { SHALLOW = 480 };

/* What one output pixel sees, with zeros up to a multiple of sixteen. */
static void gather(const edgesea_conv *op, const edgesea_window *window, int left, int8_t *to)
{
    const int channels = op->in_channels;
    const int line = op->kernel_width * channels;

    for (int ky = 0; ky < op->kernel_height; ky++) {
        const int8_t *row = (const int8_t *)window->rows[ky];
        if (!row) {
            to = edgesea_fill_mve(to, op->in_zero, line);
        } else if (op->dilation == 1 && left >= 0 && left + op->kernel_width <= op->in_width) {
            to = edgesea_copy_mve(to, row + left * channels, line);
        } else {
            for (int kx = 0; kx < op->kernel_width; kx++) {
                const int column = left + kx * op->dilation;
                if (column >= 0 && column < op->in_width) {
                    to = edgesea_copy_mve(to, row + column * channels, channels);
                } else {
                    to = edgesea_fill_mve(to, op->in_zero, channels);
                }
            }
        }
    }
    edgesea_fill_mve(to, 0, -(op->kernel_height * line) & 15);
}

void edgesea_conv_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_conv *op = (const edgesea_conv *)constant;
    const int depth16 = (op->kernel_height * op->kernel_width * op->in_channels + 15) & ~15;
    int8_t *const patches = (int8_t *)scratch;
    int pixels = depth16 <= SHALLOW ? EDGESEA_ROW_PIXELS : EDGESEA_DOT_PIXELS;

    for (int x = 0; x < op->out_width; x += pixels) {
        if (pixels > op->out_width - x) {
            pixels = op->out_width - x;
        }
        for (int p = 0; p < pixels; p++) {
            gather(op, window, (x + p) * op->stride - op->pad_left, patches + p * depth16);
        }
        edgesea_dot_mve(op, patches, depth16, pixels, (int8_t *)result + x * op->out_channels);
    }
}

#endif
