/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "edgesea_requantize.h"
#include "edgesea_walk.h"

void edgesea_batch_matmul(const edgesea_matmul *op, const int8_t *a, const int8_t *b, int8_t *out)
{
    edgesea_walk batch;

    memset(&batch, 0, sizeof batch);
    do {
        for (int r = 0; r < op->rows; r++) {
            const int8_t *left = a + batch.in + r * op->across[0];
            for (int c = 0; c < op->columns; c++) {
                const int8_t *right = b + batch.out + c * op->across[1];
                int32_t sum = 0;
                for (int k = 0; k < op->depth; k++) {
                    sum += (left[k * op->along[0]] - op->zero[0]) * (right[k * op->along[1]] - op->zero[1]);
                }
                sum = edgesea_scale_twice(sum, op->multiplier, op->shift);
                *out++ = edgesea_clamp(sum, op->out_zero, -128, 127);
            }
        }
    } while (edgesea_walk_on(&batch, op->axes, op->rank));
}
