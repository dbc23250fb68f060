/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_quantize16: float to int16. */
#include "edgesea_kernels.h"

/* The nearest integer, halves away from zero; NaN gives 0. Beyond 100000 the result is clamped anyway. */
static int32_t nearest(float value)
{
    int32_t whole;
    float rest;

    if (!(value > -100000.0F)) {
        return value < 0.0F ? -100000 : 0;
    }
    if (value > 100000.0F) {
        return 100000;
    }
    whole = (int32_t)value;
    rest = value - (float)whole;
    return whole + (rest >= 0.5F) - (rest <= -0.5F);
}

void edgesea_quantize16(const edgesea_float_constant *op, const float *in, int16_t *out)
{
    for (uint32_t i = 0; i < op->count; i++) {
        const int32_t value = nearest(in[i] / op->scale) + op->zero;
        out[i] = (int16_t)(value < -32768 ? -32768 : value > 32767 ? 32767 : value);
    }
}
