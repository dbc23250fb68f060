/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_softmax: softmax in fixed point, with the arithmetic of gemmlowp that TensorFlow Lite's reference uses. */
#include "edgesea_kernels.h"

/* round(a * b / 2^31), halves up. */
static int32_t multiply(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* round(a / 2^shift) for a >= 0, shift >= 1, halves up. */
static int32_t shift_right(int32_t a, int shift)
{
    return (int32_t)(((int64_t)a + ((int64_t)1 << (shift - 1))) >> shift);
}

/* 1 / (1 + a) for a in 0..1, both with 31 fraction bits: three steps of Newton and Raphson for 2 / (1 + a), which has
 * 29 fraction bits. */
static int32_t reciprocal(int32_t a)
{
    const int32_t half_sum = (int32_t)(((int64_t)a + 0x7fffffff + 1) >> 1);
    int32_t x = 1515870810 + multiply(half_sum, -1010580540);

    for (int i = 0; i < 3; i++) {
        x += multiply(x, (1 << 29) - multiply(half_sum, x)) * 4;
    }
    return x >= 1 << 30 ? 0x7fffffff : x * 2;
}

static int leading_zeros(uint32_t value)
{
    int count = 0;

    while (!(value & 0x80000000U)) {
        value <<= 1;
        count++;
    }
    return count;
}

void edgesea_softmax(const edgesea_softmax_constant *op, const int8_t *in, int8_t *out)
{
    for (uint32_t row = 0; row < op->rows; row++) {
        int largest = -128;
        int32_t sum = 0; /* 19 fraction bits */
        int zeros;
        int32_t scale;

        for (int i = 0; i < op->width; i++) {
            largest = in[i] > largest ? in[i] : largest;
        }
        for (int i = 0; i < op->width; i++) {
            if (largest - in[i] < op->entries) {
                sum += shift_right(op->exponentials[largest - in[i]], 12);
            }
        }
        zeros = leading_zeros((uint32_t)sum);
        scale = reciprocal((int32_t)(((uint32_t)sum << zeros) - 0x80000000U));
        for (int i = 0; i < op->width; i++) {
            int32_t value = 0;
            if (largest - in[i] < op->entries) {
                value = shift_right(multiply(scale, op->exponentials[largest - in[i]]), 12 - zeros + 23);
            }
            out[i] = (int8_t)(value > 255 ? 127 : value - 128);
        }
        in += op->width;
        out += op->width;
    }
}
