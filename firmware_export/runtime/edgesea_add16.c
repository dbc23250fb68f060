/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_add16: sums and differences of two int16 tensors. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

/* An operand on the common scale, where one is 2^15. */
static int32_t raise(const edgesea_pairwise16 *op, int side, int16_t value)
{
    return op->sign[side] * edgesea_scale_twice(value * (1 << 15), op->multiplier[side], op->shift[side]);
}

void edgesea_add16(const edgesea_pairwise16 *op, const int16_t *a, const int16_t *b, int16_t *out)
{
    const int16_t *second = op->constant ? op->constant : b;
    uint32_t j = 0;

    for (uint32_t i = 0; i < op->count; i++) {
        const int32_t sum = raise(op, 0, a[i]) + raise(op, 1, second[j]);
        out[i] = edgesea_clamp16(edgesea_scale_twice(sum, op->out_multiplier, op->out_shift), op->low, op->high);
        j = j + 1 == op->period ? 0 : j + 1;
    }
}
