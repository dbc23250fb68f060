/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include "edgesea_kernels.h"
#include "edgesea_reciprocal.h"
#include "edgesea_requantize.h"

static int8_t quotient(const edgesea_pairwise *op, int32_t a, int32_t b)
{
    const int32_t size = b < 0 ? -b : b;
    const int32_t value = b < 0 ? -a : a;
    const int zeros = edgesea_leading_zeros((uint32_t)size);
    const int headroom = edgesea_leading_zeros((uint32_t)(value < 0 ? ~value : value)) - 1;
    int32_t result;

    if (value == 0) {
        return op->out_zero;
    }
    if (size == 0) {
        return value < 0 ? op->low : op->high;
    }
    result = edgesea_reciprocal((int32_t)(((uint32_t)size << zeros) - 0x80000000U));
    result = edgesea_multiply_fixed((int32_t)((int64_t)value * ((int64_t)1 << headroom)), result);
    result = edgesea_scale_twice(result, op->out_multiplier, op->out_shift - (31 - zeros) - headroom);
    return edgesea_clamp(result, op->out_zero, op->low, op->high);
}

void edgesea_div(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out)
{
    const int8_t *second = op->constant ? op->constant : b;
    uint32_t j = 0;

    for (uint32_t i = 0; i < op->count; i++) {
        const int32_t first = a[i] - op->zero[0], other = second[j] - op->zero[1];
        out[i] = op->sign[0] > 0 ? quotient(op, first, other) : quotient(op, other, first);
        j = j + 1 == op->period ? 0 : j + 1;
    }
}
