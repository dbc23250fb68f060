/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include "edgesea_kernels.h"

/* 1024 times what lies between two values, `share` of 1024 from the one to the other. */
static int32_t between(int32_t one, int32_t other, int32_t share)
{
    return one * (1024 - share) + other * share;
}

/* One row, between the rows `upper` and `lower` of the input. */
static void row_of(const edgesea_resize_bilinear_constant *op, const int8_t *upper, const int8_t *lower, int32_t share,
                   int8_t *out)
{
    for (int x = 0; x < op->out_width; x++) {
        const edgesea_blend *column = &op->columns[x];
        for (int c = 0; c < op->channels; c++) {
            const int32_t above = between(upper[column->first + c], upper[column->second + c], column->share);
            const int32_t below = between(lower[column->first + c], lower[column->second + c], column->share);
            const int32_t sum = between(above, below, share);
            *out++ = (int8_t)((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
        }
    }
}

void edgesea_resize_bilinear(const edgesea_resize_bilinear_constant *op, const int8_t *in, int8_t *out)
{
    for (int b = 0; b < op->batch; b++) {
        for (int y = 0; y < op->out_height; y++) {
            const edgesea_blend *row = &op->rows[y];
            row_of(op, in + row->first, in + row->second, row->share, out);
            out += op->out_width * op->channels;
        }
        in += op->in_values;
    }
}
