/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

/* 1 / sqrt(value) as *multiplier * 2^(-31 - right), for value >= 1: five steps of Newton's iteration with 28 fraction bits,
 * after value was brought to 1/4..1 by an even shift. Returns right. */
static int inverse_root(int32_t value, int32_t *multiplier)
{
    int right = 11, zeros = 0, pairs;
    int32_t half, x = 1 << 28;

    if (value <= 1) {
        *multiplier = 0x7fffffff;
        return 0;
    }
    while (value >= 1 << 29) {
        value /= 4;
        right++;
    }
    while (!(((uint32_t)value << zeros) & 0x80000000U)) {
        zeros++;
    }
    pairs = (zeros - 1) / 2 - 1;
    right -= pairs;
    value = (int32_t)((uint32_t)value << 2 * pairs) >> 1;
    half = (value >> 1) + (value & 1);
    for (int i = 0; i < 5; i++) {
        const int32_t square = edgesea_scale_twice(x, x, 0);
        const int64_t raised = (int64_t)edgesea_scale_twice(square, x, 0) * 64;
        const int32_t cube = raised > 0x7fffffff ? 0x7fffffff : (int32_t)raised;
        x = (edgesea_scale_twice((1 << 28) + (1 << 27), x, 0) - edgesea_scale_twice(half, cube, 0)) * 8;
    }
    x = edgesea_scale_twice(x, 1518500250, 0); /* sqrt(1/2) */
    *multiplier = right < 0 ? (int32_t)((uint32_t)x << -right) : x;
    return right < 0 ? 0 : right;
}

void edgesea_unit_length(const edgesea_unit_length_constant *op, const int8_t *in, int8_t *out)
{
    for (uint32_t row = 0; row < op->rows; row++) {
        int32_t sum = 0, multiplier;
        int right;
        for (int i = 0; i < op->width; i++) {
            sum += (in[i] - op->zero) * (in[i] - op->zero);
        }
        right = inverse_root(sum, &multiplier);
        for (int i = 0; i < op->width; i++) {
            const int32_t value = edgesea_scale_twice(in[i] - op->zero, multiplier, 7 - right);
            out[i] = edgesea_clamp(value, 0, -128, 127);
        }
        in += op->width;
        out += op->width;
    }
}
