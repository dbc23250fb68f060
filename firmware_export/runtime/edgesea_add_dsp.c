/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_add for Arm's DSP extension: one rounding multiplication where portable C takes 64-bit arithmetic. */
#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_DSP

/* round(value * multiplier / 2^32) + more */
static inline int32_t multiply_add(int32_t value, int32_t multiplier, int32_t more)
{
    int32_t result;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(value), "r"(multiplier), "r"(more));
    return result;
}

/* How a doubled value is scaled: (multiply_add(value, multiplier, half) - (value < 0 and down)) >> right, which rounds
 * halves away from zero. With nothing to shift there is nothing to round: half and down are 0 then. */
typedef struct scale {
    int32_t multiplier;
    int32_t half;
    int32_t down;
    int32_t right;
} scale;

static scale scale_of(int32_t multiplier, int shift)
{
    const int right = -shift;
    const scale result = {multiplier, (int32_t)((1U << right) >> 1), right > 0 ? -1 : 0, right};
    return result;
}

static inline int32_t apply(const scale *s, int32_t doubled)
{
    return multiply_add(doubled, s->multiplier, s->half + ((doubled >> 31) & s->down)) >> s->right;
}

static inline int8_t saturate(int32_t value)
{
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(value));
    return (int8_t)result;
}

void edgesea_add(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out)
{
    const int8_t *second = op->constant ? op->constant : b;
    const scale scale_a = scale_of(op->multiplier[0], op->shift[0]), scale_b = scale_of(op->multiplier[1], op->shift[1]);
    const scale scale_out = scale_of(op->out_multiplier, op->out_shift);
    /* Operands are doubled, with twenty bits more: (value - zero) * 2^21. */
    const uint32_t zero_a = (uint32_t)op->zero[0] << 21, zero_b = (uint32_t)op->zero[1] << 21;
    const int32_t sign_a = 2 * op->sign[0], sign_b = 2 * op->sign[1], zero = op->out_zero;
    const int8_t *const end = a + op->count;
    int8_t *to = out;

    while (a < end) {
        const int8_t *run = (uint32_t)(end - a) > op->period ? a + op->period : end;
        const int8_t *other = second;
        while (a < run) {
            const int32_t x = apply(&scale_a, (int32_t)(((uint32_t)*a++ << 21) - zero_a));
            const int32_t y = apply(&scale_b, (int32_t)(((uint32_t)*other++ << 21) - zero_b));
            *to++ = saturate(apply(&scale_out, sign_a * x + sign_b * y) + zero);
        }
    }
    if (op->low > -128 || op->high < 127) {
        for (uint32_t i = 0; i < op->count; i++) {
            out[i] = out[i] < op->low ? op->low : out[i] > op->high ? op->high : out[i];
        }
    }
}

#endif
