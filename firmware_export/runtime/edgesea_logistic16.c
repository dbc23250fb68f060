/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_logistic16: the logistic function on int16, interpolated in a table. */
#include <stdlib.h>

#include "edgesea_kernels.h"

void edgesea_logistic16(const edgesea_sigmoid16_constant *op, const int16_t *in, int16_t *out)
{
    const int32_t half = (1 << op->shift) >> 1;

    for (uint32_t i = 0; i < op->count; i++) {
        const int32_t value = (in[i] * op->multiplier + half) >> op->shift;
        const uint32_t size = (uint32_t)abs(value);
        const uint32_t entry = size >> 9;
        uint32_t result = (uint32_t)0x7fff << 10;
        if (entry < 255) {
            const uint32_t low = op->table[entry];
            result = (low << 9) + (size & 0x1ff) * (op->table[entry + 1] - low);
        }
        result = value >= 0 ? result + (1 << 9) : (1 << (16 + 9)) - result + (1 << 9) - 1;
        out[i] = (int16_t)(result >> 10);
    }
}
