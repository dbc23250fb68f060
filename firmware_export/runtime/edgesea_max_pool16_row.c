/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_max_pool16_row: one row of a maximum pooling, on int16. */
#include "edgesea_kernels.h"

static void keep_larger(int16_t *out, const int16_t *in, int count)
{
    for (int i = 0; i < count; i++) {
        if (in[i] > out[i]) {
            out[i] = in[i];
        }
    }
}

void edgesea_max_pool16_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_pool16 *op = (const edgesea_pool16 *)constant;
    int16_t *out = (int16_t *)result;
    const int channels = op->channels;
    const int count = op->out_width * channels;

    (void)scratch;
    if (window->first) {
        for (int i = 0; i < count; i++) {
            out[i] = op->low;
        }
    }
    for (int t = 0; t < window->count; t++) {
        const int16_t *row = (const int16_t *)window->rows[t];
        for (int x = 0; row && x < op->out_width; x++) {
            const int left = x * op->stride - op->pad_left;
            const int end = left + op->kernel_width < op->in_width ? left + op->kernel_width : op->in_width;
            for (int column = left < 0 ? 0 : left; column < end; column++) {
                keep_larger(out + x * channels, row + column * channels, channels);
            }
        }
    }
    if (window->last) {
        for (int i = 0; i < count; i++) {
            if (out[i] > op->high) {
                out[i] = op->high;
            }
        }
    }
}
