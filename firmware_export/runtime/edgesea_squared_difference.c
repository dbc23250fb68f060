/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

/* An operand on the common scale, where one is 2^7. */
static int32_t raise(const edgesea_pairwise *op, int side, int8_t value)
{
    return edgesea_scale_twice((value - op->zero[side]) * (1 << 7), op->multiplier[side], op->shift[side]);
}

void edgesea_squared_difference(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out)
{
    const int8_t *second = op->constant ? op->constant : b;
    uint32_t j = 0;

    for (uint32_t i = 0; i < op->count; i++) {
        const int32_t difference = raise(op, 0, a[i]) - raise(op, 1, second[j]);
        const int32_t square = edgesea_scale_twice(difference * difference, op->out_multiplier, op->out_shift);
        out[i] = edgesea_clamp(square, op->out_zero, op->low, op->high);
        j = j + 1 == op->period ? 0 : j + 1;
    }
}
