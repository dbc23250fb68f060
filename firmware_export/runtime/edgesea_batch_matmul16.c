/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "edgesea_requantize.h"
#include "edgesea_walk.h"

void edgesea_batch_matmul16(const edgesea_matmul16 *op, const int16_t *a, const int16_t *b, int16_t *out)
{
    const int64_t half = (int64_t)1 << (op->shift - 1);
    edgesea_walk batch;

    memset(&batch, 0, sizeof batch);
    do {
        for (int r = 0; r < op->rows; r++) {
            const int16_t *left = a + batch.in + r * op->across[0];
            for (int c = 0; c < op->columns; c++) {
                const int16_t *right = b + batch.out + c * op->across[1];
                int64_t sum = 0;
                for (int k = 0; k < op->depth; k++) {
                    sum += (int32_t)left[k * op->along[0]] * right[k * op->along[1]];
                }
                *out++ = edgesea_clamp16((int32_t)((sum * op->multiplier + half) >> op->shift), -32768, 32767);
            }
        }
    } while (edgesea_walk_on(&batch, op->axes, op->rank));
}
