/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_softmax: softmax in fixed point, with the arithmetic of gemmlowp that TensorFlow Lite's reference uses. */
#include "edgesea_kernels.h"
#include "edgesea_reciprocal.h"

/* round(a / 2^shift) for a >= 0, shift >= 1, halves up. */
static int32_t shift_right(int32_t a, int shift)
{
    return (int32_t)(((int64_t)a + ((int64_t)1 << (shift - 1))) >> shift);
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
        zeros = edgesea_leading_zeros((uint32_t)sum);
        scale = edgesea_reciprocal((int32_t)(((uint32_t)sum << zeros) - 0x80000000U));
        for (int i = 0; i < op->width; i++) {
            int32_t value = 0;
            if (largest - in[i] < op->entries) {
                value = shift_right(edgesea_multiply_fixed(scale, op->exponentials[largest - in[i]]), 12 - zeros + 23);
            }
            out[i] = (int8_t)(value > 255 ? 127 : value - 128);
        }
        in += op->width;
        out += op->width;
    }
}
