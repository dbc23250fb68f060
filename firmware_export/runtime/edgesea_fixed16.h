/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_fixed16.h: logistic function and hyperbolic tangent in 16-bit fixed point.
 *
 * A number with i integer bits has 15 - i bits of fraction. The formulas, and their roundings, are gemmlowp's
 * (fixedpoint/fixedpoint.h), which TensorFlow Lite's integer LSTM calls: an exponential by a polynomial around -1/8 and
 * factors exp(-2^k), a quotient by three steps of Newton's iteration.
 */
#ifndef EDGESEA_FIXED16_H
#define EDGESEA_FIXED16_H

#include <stdint.h>

static inline int32_t edgesea_saturate16(int32_t value)
{
    return value < INT16_MIN ? INT16_MIN : value > INT16_MAX ? INT16_MAX : value;
}

/* round(value / 2^bits), halves away from zero; bits 0..30. */
static inline int32_t edgesea_divide16(int32_t value, int bits)
{
    const int32_t half = (int32_t)((1U << bits) >> 1);
    return (value + half - (value < 0 && bits > 0)) >> bits;
}

/* round(a * b / 2^15), halves away from zero; not both are -2^15. */
static inline int32_t edgesea_multiply16(int32_t a, int32_t b)
{
    const int32_t product = a * b;
    return (product + (product < 0 ? 1 - (1 << 14) : 1 << 14)) / (1 << 15);
}

/* exp(x) for x <= 0 with `bits` integer bits, 0..7: 15 bits of fraction. */
static inline int32_t edgesea_exp16(int32_t x, int bits)
{
    /* exp(-2^k) for k = -2..4, exp(-1/8) and 1/3, 15 bits of fraction. */
    static const int16_t factors[7] = {25520, 19875, 12055, 4435, 600, 11, 0};
    const int32_t of_minus_eighth = 28918, third = 10923;
    const int fraction = 15 - bits;
    const int32_t quarter = 1 << (fraction - 2);
    const int32_t near = (x & (quarter - 1)) - quarter;
    const int32_t rest = near - x;
    const int32_t a = near * (1 << bits) + (1 << 12);
    const int32_t a2 = edgesea_multiply16(a, a);
    const int32_t a3 = edgesea_multiply16(a2, a);
    const int32_t a4 = edgesea_divide16(edgesea_multiply16(a2, a2), 2);
    const int32_t higher = edgesea_divide16(edgesea_multiply16(a4 + a3, third) + a2, 1);
    int32_t result = edgesea_saturate16(of_minus_eighth + edgesea_multiply16(of_minus_eighth, a + higher));

    if (x == 0) {
        return INT16_MAX;
    }
    for (int k = -2; k < bits && k < 5; k++) {
        if (rest & (1 << (fraction + k))) {
            result = edgesea_multiply16(result, factors[k + 2]);
        }
    }
    return bits > 5 && x < -(1 << (fraction + 5)) ? 0 : result;
}

/* 2 / (1 + x) for 0 <= x < 1, 15 bits of fraction -> 13. */
static inline int32_t edgesea_twice_over16(int32_t x)
{
    const int32_t half = (x + INT16_MAX + 1) / 2;
    int32_t y = 23130 + edgesea_multiply16(half, -15420); /* 48/17 - 32/17 half */

    for (int i = 0; i < 3; i++) {
        const int32_t lacking = (1 << 13) - edgesea_multiply16(half, y);
        y = edgesea_saturate16(y + edgesea_saturate16(edgesea_multiply16(y, lacking) * 4));
    }
    return y;
}

/* 1 / (1 + exp(-x)) with three integer bits: 15 bits of fraction. */
static inline int32_t edgesea_logistic_fixed16(int32_t x)
{
    const int32_t size = edgesea_saturate16(edgesea_twice_over16(edgesea_exp16(x < 0 ? x : -x, 3)) * 2);
    return x == 0 ? 1 << 14 : x > 0 ? size : INT16_MAX - size;
}

/* tanh(x) with `bits` integer bits, 0..6: 15 bits of fraction. */
static inline int32_t edgesea_tanh_fixed16(int32_t x, int bits)
{
    const int32_t twice = edgesea_twice_over16(edgesea_exp16(x < 0 ? x : -x, bits + 1));
    const int32_t size = edgesea_saturate16((twice - (1 << 13)) * 4);
    return x == 0 ? 0 : x < 0 ? -size : size;
}

#endif
