/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_quantize: float to int8. */
#include "edgesea_kernels.h"
#include "edgesea_nearest.h"

void edgesea_quantize(const edgesea_float_constant *op, const float *in, int8_t *out)
{
    for (uint32_t i = 0; i < op->count; i++) {
        const int32_t value = edgesea_nearest(in[i] / op->scale) + op->zero;
        out[i] = (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
    }
}
