/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_dequantize: int8 to float. */
#include "edgesea_kernels.h"

void edgesea_dequantize(const edgesea_float_constant *op, const int8_t *in, float *out)
{
    for (uint32_t i = 0; i < op->count; i++) {
        out[i] = op->scale * (float)(in[i] - op->zero);
    }
}
