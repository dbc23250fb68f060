/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include "edgesea_kernels.h"

void edgesea_float_cumsum(const edgesea_float_cumsum_constant *op, const float *in, float *out)
{
    for (uint32_t o = 0; o < op->outer; o++) {
        for (uint32_t i = 0; i < op->inner; i++) {
            float sum = 0.0F;
            for (uint32_t n = 0; n < op->count; n++) {
                const uint32_t at = i + op->inner * (op->reverse ? op->count - 1 - n : n);
                const float before = sum;
                sum += in[at];
                out[at] = op->exclusive ? before : sum;
            }
        }
        in += op->count * op->inner;
        out += op->count * op->inner;
    }
}
