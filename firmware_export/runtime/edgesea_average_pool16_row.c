/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_average_pool16_row: one row of an average pooling, on int16. */
#include <string.h>

#include "edgesea_kernels.h"

static void add(int32_t *sums, const int16_t *in, int count)
{
    for (int i = 0; i < count; i++) {
        sums[i] += in[i];
    }
}

static void divide(const edgesea_pool16 *op, const int32_t *sums, int16_t *out, int32_t divisor)
{
    for (int c = 0; c < op->channels; c++) {
        const int32_t half = sums[c] > 0 ? divisor / 2 : -(divisor / 2);
        const int32_t mean = (sums[c] + half) / divisor;
        out[c] = (int16_t)(mean < op->low ? op->low : mean > op->high ? op->high : mean);
    }
}

void edgesea_average_pool16_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_pool16 *op = (const edgesea_pool16 *)constant;
    int16_t *out = (int16_t *)result;
    int32_t *sums = (int32_t *)scratch;
    const int channels = op->channels;

    if (window->first) {
        memset(sums, 0, (size_t)(op->out_width * channels) * sizeof *sums);
    }
    for (int x = 0; x < op->out_width; x++) {
        const int left = x * op->stride - op->pad_left;
        const int begin = left < 0 ? 0 : left;
        const int end = left + op->kernel_width < op->in_width ? left + op->kernel_width : op->in_width;
        for (int t = 0; t < window->count; t++) {
            const int16_t *row = (const int16_t *)window->rows[t];
            for (int column = begin; row && column < end; column++) {
                add(sums + x * channels, row + column * channels, channels);
            }
        }
        if (window->last) {
            divide(op, sums + x * channels, out + x * channels, (end - begin) * window->inside);
        }
    }
}
