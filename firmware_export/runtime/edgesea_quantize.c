/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_quantize: float to int8. */
#include "edgesea_kernels.h"

/* The nearest integer, halves away from zero; NaN gives 0. Beyond 1000 the result is clamped anyway. */
static int32_t nearest(float value)
{
    int32_t whole;
    float rest;

    if (!(value > -1000.0F)) {
        return value < 0.0F ? -1000 : 0;
    }
    if (value > 1000.0F) {
        return 1000;
    }
    whole = (int32_t)value;
    rest = value - (float)whole;
    return whole + (rest >= 0.5F) - (rest <= -0.5F);
}

void edgesea_quantize(const edgesea_float_constant *op, const float *in, int8_t *out)
{
    for (uint32_t i = 0; i < op->count; i++) {
        const int32_t value = nearest(in[i] / op->scale) + op->zero;
        out[i] = (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
    }
}
