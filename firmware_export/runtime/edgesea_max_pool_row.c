/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_max_pool_row: one row of a maximum pooling, in portable C. */
#include <string.h>

#include "edgesea_kernels.h"

void edgesea_max_pool_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_pool *op = (const edgesea_pool *)constant;
    int8_t *out = (int8_t *)result;
    const int channels = op->channels;
    const int count = op->out_width * channels;

    (void)scratch;
    if (window->first) {
        memset(out, op->low, (size_t)count);
    }
    for (int t = 0; t < window->count; t++) {
        const int8_t *row = (const int8_t *)window->rows[t];
        for (int x = 0; row && x < op->out_width; x++) {
            const int left = x * op->stride - op->pad_left;
            const int end = left + op->kernel_width < op->in_width ? left + op->kernel_width : op->in_width;
            for (int column = left < 0 ? 0 : left; column < end; column++) {
                edgesea_keep_larger(out + x * channels, row + column * channels, channels);
            }
        }
    }
    if (window->last && op->high < 127) {
        for (int i = 0; i < count; i++) {
            if (out[i] > op->high) {
                out[i] = op->high;
            }
        }
    }
}
