/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_softmax16: softmax on int16, by tables. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

/* Between the entries of a table of 513 for -32768..32768. */
static int32_t interpolate(const int16_t *table, int32_t at)
{
    const int32_t value = at < -32768 ? -32768 : at > 32767 ? 32767 : at;
    const int entry = 256 + (value >> 7);
    return table[entry] + (((table[entry + 1] - table[entry]) * (value & 0x7f) + 64) >> 7);
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

void edgesea_softmax16(const edgesea_softmax16_constant *op, const int16_t *in, int16_t *out)
{
    for (uint32_t row = 0; row < op->rows; row++) {
        int32_t largest = -32768;
        int32_t sum = 0; /* 15 fraction bits */
        int32_t reciprocal;
        int zeros;

        for (int i = 0; i < op->width; i++) {
            largest = in[i] > largest ? in[i] : largest;
        }
        for (int i = 0; i < op->width; i++) {
            const int32_t below = edgesea_scale_twice(in[i] - largest, op->multiplier, op->shift);
            out[i] = (int16_t)interpolate(op->exponentials, below + 32767);
            sum += out[i];
        }
        zeros = leading_zeros((uint32_t)sum);
        reciprocal = (int32_t)((((int64_t)sum << (zeros - 1)) + (1 << 13)) >> 14);
        reciprocal = interpolate(op->reciprocals, reciprocal - (1 << 15) - (1 << 16));
        for (int i = 0; i < op->width; i++) {
            const int64_t half = (int64_t)1 << (30 - zeros);
            out[i] = edgesea_clamp16((int32_t)(((int64_t)out[i] * reciprocal + half) >> (31 - zeros)), 0, 32767);
        }
        in += op->width;
        out += op->width;
    }
}
