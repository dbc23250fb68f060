/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_quantize16: float to int16. */
#include "edgesea_kernels.h"
#include "edgesea_nearest.h"

void edgesea_quantize16(const edgesea_float_constant *op, const float *in, int16_t *out)
{
    for (uint32_t i = 0; i < op->count; i++) {
        const int32_t value = edgesea_nearest(in[i] / op->scale) + op->zero;
        out[i] = (int16_t)(value < -32768 ? -32768 : value > 32767 ? 32767 : value);
    }
}
