/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_reciprocal.h: 1 / x in fixed point, with the roundings of gemmlowp (fixedpoint/fixedpoint.h). */
#ifndef EDGESEA_RECIPROCAL_H
#define EDGESEA_RECIPROCAL_H

#include <stdint.h>

/* round(a * b / 2^31), halves up. */
static inline int32_t edgesea_multiply_fixed(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* 1 / (1 + a) for a in 0..1, both with 31 fraction bits: three steps of Newton and Raphson for 2 / (1 + a), which has
 * 29 fraction bits. */
static inline int32_t edgesea_reciprocal(int32_t a)
{
    const int32_t half_sum = (int32_t)(((int64_t)a + 0x7fffffff + 1) >> 1);
    int32_t x = 1515870810 + edgesea_multiply_fixed(half_sum, -1010580540);

    for (int i = 0; i < 3; i++) {
        x += edgesea_multiply_fixed(x, (1 << 29) - edgesea_multiply_fixed(half_sum, x)) * 4;
    }
    return x >= 1 << 30 ? 0x7fffffff : x * 2;
}

/* 32 for 0. */
static inline int edgesea_leading_zeros(uint32_t value)
{
    int count = 0;

    while (count < 32 && !(value & 0x80000000U)) {
        value <<= 1;
        count++;
    }
    return count;
}

#endif
