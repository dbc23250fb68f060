/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_mul: products of two tensors, in portable C. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

void edgesea_mul(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out)
{
    const int8_t *second = op->constant ? op->constant : b;
    uint32_t j = 0;

    for (uint32_t i = 0; i < op->count; i++) {
        const int32_t product = (a[i] - op->zero[0]) * (second[j] - op->zero[1]);
        out[i] = edgesea_clamp(edgesea_scale_twice(product, op->out_multiplier, op->out_shift), op->out_zero,
                               op->low, op->high);
        j = j + 1 == op->period ? 0 : j + 1;
    }
}
