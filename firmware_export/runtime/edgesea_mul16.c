/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_mul16: products of two int16 tensors. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

void edgesea_mul16(const edgesea_pairwise16 *op, const int16_t *a, const int16_t *b, int16_t *out)
{
    const int16_t *second = op->constant ? op->constant : b;
    uint32_t j = 0;

    for (uint32_t i = 0; i < op->count; i++) {
        const int32_t product = a[i] * second[j];
        out[i] = edgesea_clamp16(edgesea_scale_twice(product, op->out_multiplier, op->out_shift), op->low, op->high);
        j = j + 1 == op->period ? 0 : j + 1;
    }
}
