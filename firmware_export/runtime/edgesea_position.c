/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include "edgesea_kernels.h"

void edgesea_position(const edgesea_position_constant *op, const int8_t *in, void *out)
{
    uint32_t at = 0;

    for (uint32_t o = 0; o < op->outer; o++) {
        for (uint32_t i = 0; i < op->inner; i++) {
            const int8_t *values = in + i;
            uint32_t best = 0;
            for (uint32_t n = 1; n < op->count; n++) {
                if (op->sign * values[n * op->inner] > op->sign * values[best * op->inner]) {
                    best = n;
                }
            }
            if (op->wide) {
                ((int64_t *)out)[at++] = (int64_t)best;
            } else {
                ((int32_t *)out)[at++] = (int32_t)best;
            }
        }
        in += op->count * op->inner;
    }
}
