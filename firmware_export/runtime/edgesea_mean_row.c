/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_mean_row: the mean or sum of each channel of a feature map, row by row. */
#include <string.h>

#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

void edgesea_mean_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_mean *op = (const edgesea_mean *)constant;
    int8_t *out = (int8_t *)result;
    int32_t *sums = (int32_t *)scratch;

    if (window->first) {
        memset(sums, 0, op->channels * sizeof *sums);
    }
    for (int t = 0; t < window->count; t++) {
        const int8_t *in = (const int8_t *)window->rows[t];
        for (int x = 0; x < op->width; x++) {
            edgesea_accumulate(sums, in, op->channels);
            in += op->channels;
        }
    }
    if (window->last) {
        for (int c = 0; c < op->channels; c++) {
            const int32_t value = edgesea_scale_twice(sums[c] + op->offset, op->multiplier, op->shift);
            out[c] = edgesea_clamp(value, op->out_zero, -128, 127);
        }
    }
}
