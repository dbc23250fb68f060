/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_scaled.h: positive numbers of any size in integers, with logarithm and square root.
 *
 * What the frontend needs where numbers span more than 32 bits and there may be no FPU. Logarithm and root
 * interpolate in small tables: a logarithm is right to 0.012 / 256, before it is rounded to a whole 1 / 256, and a
 * root to 0.00002 of itself: small beside an int8 step.
 */
#ifndef EDGESEA_SCALED_H
#define EDGESEA_SCALED_H

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* mantissa * 2^exponent. The mantissa's top bit is set, or it is 0 (and the exponent means nothing). */
typedef struct edgesea_scaled {
    uint32_t mantissa;
    int32_t exponent;
} edgesea_scaled;

/* How many zeros lead `bits`, which is not 0. */
static inline int edgesea_leading_zeros(uint32_t bits)
{
#if defined(__GNUC__) || defined(__clang__)
    return __builtin_clz(bits);
#else
    int zeros = 0;
    while (!(bits & 0x80000000u)) {
        bits <<= 1;
        zeros++;
    }
    return zeros;
#endif
}

/* value * 2^exponent, cut to 32 bits. */
static inline edgesea_scaled edgesea_scale(uint64_t value, int exponent)
{
    edgesea_scaled result = {0, 0};
    uint32_t high = (uint32_t)(value >> 32), low = (uint32_t)value;
    if (!high) {
        high = low;
        low = 0;
        exponent -= 32;
    }
    if (high) {
        const int zeros = edgesea_leading_zeros(high);
        result.mantissa = (uint32_t)((((uint64_t)high << 32 | low) << zeros) >> 32);
        result.exponent = exponent + 32 - zeros;
    }
    return result;
}

/* A positive, normal float32, or 0. */
static inline edgesea_scaled edgesea_scale_float(float value)
{
    edgesea_scaled result = {0, 0};
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (bits) {
        result.mantissa = bits << 8 | 0x80000000u;
        result.exponent = (int32_t)(bits >> 23) - 127 - 31;
    }
    return result;
}

edgesea_scaled edgesea_scaled_add(edgesea_scaled a, edgesea_scaled b);

edgesea_scaled edgesea_scaled_root(edgesea_scaled a);

/* log2(1 + i / 64) with 15 fraction bits, i = 0..64. */
extern const uint16_t edgesea_logarithms[65];

/* 256 * log2(a), rounded; -30000 for 0. */
static inline int edgesea_level(edgesea_scaled a)
{
    const uint32_t i = a.mantissa >> 25 & 63, part = a.mantissa >> 9 & 0xffff;
    const uint32_t low = edgesea_logarithms[i], high = edgesea_logarithms[i + 1];
    const uint32_t fraction = (low << 8) + ((high - low) * part >> 8); /* of 2^23 */
    return a.mantissa ? (int)(a.exponent + 31) * 256 + (int)((fraction + 0x4000) >> 15) : -30000;
}

#ifdef __cplusplus
}
#endif

#endif
