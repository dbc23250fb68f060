/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

void edgesea_prelu(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out)
{
    const int8_t *second = op->constant ? op->constant : b;
    uint32_t j = 0;

    for (uint32_t i = 0; i < op->count; i++) {
        const int32_t real = a[i] - op->zero[0];
        const int below = real < 0;
        const int32_t product = below ? real * (second[j] - op->zero[1]) : real;
        const int32_t scaled = edgesea_scale_twice(product, op->multiplier[below], op->shift[below]);
        out[i] = edgesea_clamp(scaled, op->out_zero, op->low, op->high);
        j = j + 1 == op->period ? 0 : j + 1;
    }
}
