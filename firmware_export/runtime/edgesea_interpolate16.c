/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include "edgesea_kernels.h"

void edgesea_interpolate16(const edgesea_interpolate16_constant *op, const int16_t *in, int16_t *out)
{
    for (uint32_t i = 0; i < op->count; i++) {
        const int16_t *entry = op->table + 256 + (in[i] >> 7);
        out[i] = (int16_t)(entry[0] + (((entry[1] - entry[0]) * (in[i] & 0x7f) + 64) >> 7));
    }
}
