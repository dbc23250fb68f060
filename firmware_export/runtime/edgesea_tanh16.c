/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_tanh16: the hyperbolic tangent on int16, as 2 / (1 + exp(-2 x)) - 1, interpolated in a table. */
#include <stdlib.h>

#include "edgesea_kernels.h"

void edgesea_tanh16(const edgesea_sigmoid16_constant *op, const int16_t *in, int16_t *out)
{
    const int32_t half = (1 << op->shift) >> 1;

    for (uint32_t i = 0; i < op->count; i++) {
        const int32_t value = (in[i] * op->multiplier + half) >> op->shift;
        const uint32_t size = (uint32_t)abs(value);
        const uint32_t entry = size >> 8;
        int32_t result = 0xffff << 8;
        if (entry < 255) {
            const int32_t low = op->table[entry];
            result = low * 256 + (int32_t)(size & 0xff) * (op->table[entry + 1] - low);
        }
        result -= 1 << 23;
        result = (value >= 0 ? result : -result - 1) + (1 << 7);
        out[i] = (int16_t)(result >> 8);
    }
}
