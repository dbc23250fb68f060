/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_rescale: another scale, zero point and width, with a slope of its own below zero. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

void edgesea_rescale(const edgesea_rescale_constant *op, const void *in, void *out)
{
    for (uint32_t i = 0; i < op->count; i++) {
        const int32_t real = (op->in_wide ? ((const int16_t *)in)[i] : ((const int8_t *)in)[i]) - op->in_zero;
        const int side = real < 0;
        const int32_t scaled = edgesea_scale_twice(real, op->multiplier[side], op->shift[side]);
        const int16_t value = edgesea_clamp16(scaled + op->out_zero, op->low, op->high);
        if (op->out_wide) {
            ((int16_t *)out)[i] = value;
        } else {
            ((int8_t *)out)[i] = (int8_t)value;
        }
    }
}
