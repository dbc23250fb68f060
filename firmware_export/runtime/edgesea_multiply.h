/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_multiply.h: products of 32 bits, and the upper half of them.
 *
 * A core with a long multiplication does it in one instruction. An ARMv6-M core (Cortex-M0, M0+) has none and would
 * call a library function for each; there, products of 16 bits are put together, to the same bits.
 */
#ifndef EDGESEA_MULTIPLY_H
#define EDGESEA_MULTIPLY_H

#include <stdint.h>

#if defined(__ARM_ARCH_6M__)

static inline int32_t edgesea_multiply_high(int32_t a, int32_t b)
{
    const int32_t a_high = a >> 16, b_high = b >> 16;
    const uint32_t a_low = (uint32_t)a & 0xffff, b_low = (uint32_t)b & 0xffff;
    /* The two middle products, one after the other, so that each sum fits. */
    const int32_t first = a_high * (int32_t)b_low + (int32_t)(a_low * b_low >> 16);
    const int32_t second = (int32_t)a_low * b_high + (first & 0xffff);
    return a_high * b_high + (first >> 16) + (second >> 16);
}

/* (a b + c d) / 2^32 */
static inline int32_t edgesea_multiply_add_high(int32_t a, int32_t b, int32_t c, int32_t d)
{
    const uint32_t low = (uint32_t)a * (uint32_t)b;
    const uint32_t carry = low + (uint32_t)c * (uint32_t)d < low;
    return edgesea_multiply_high(a, b) + edgesea_multiply_high(c, d) + (int32_t)carry;
}

/* a * b, for b below 2^16 */
static inline uint64_t edgesea_multiply_short(uint32_t a, uint32_t b)
{
    return ((uint64_t)((a >> 16) * b) << 16) + (a & 0xffff) * b;
}

/* a * a, for |a| below 2^31 */
static inline uint64_t edgesea_square(int32_t a)
{
    const uint32_t x = (uint32_t)(a < 0 ? -a : a), high = x >> 16, low = x & 0xffff;
    return ((uint64_t)(high * high) << 32) + ((uint64_t)(high * low) << 17) + low * low;
}

#else

static inline int32_t edgesea_multiply_high(int32_t a, int32_t b) { return (int32_t)((int64_t)a * b >> 32); }

/* (a b + c d) / 2^32 */
static inline int32_t edgesea_multiply_add_high(int32_t a, int32_t b, int32_t c, int32_t d)
{
    return (int32_t)(((int64_t)a * b + (int64_t)c * d) >> 32);
}

/* a * b, for b below 2^16 */
static inline uint64_t edgesea_multiply_short(uint32_t a, uint32_t b) { return (uint64_t)a * b; }

/* a * a, for |a| below 2^31 */
static inline uint64_t edgesea_square(int32_t a) { return (uint64_t)((int64_t)a * a); }

#endif

#endif
