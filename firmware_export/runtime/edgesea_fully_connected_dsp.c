/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_fully_connected for Arm's DSP extension: two products an instruction. */
#include <string.h>

#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

#if EDGESEA_PATH == EDGESEA_PATH_DSP

/* sum + the four products of a's and b's bytes */
static inline int32_t four(const int8_t *a, const int8_t *b, int32_t sum)
{
    uint32_t x, y, odd_x, odd_y;
    memcpy(&x, a, 4);
    memcpy(&y, b, 4);
    __asm__("sxtb16 %3, %1, ror #8\n"
            "sxtb16 %4, %2, ror #8\n"
            "sxtb16 %1, %1\n"
            "sxtb16 %2, %2\n"
            "smlad %0, %3, %4, %0\n"
            "smlad %0, %1, %2, %0"
            : "+r"(sum), "+r"(x), "+r"(y), "=&r"(odd_x), "=&r"(odd_y));
    return sum;
}

void edgesea_fully_connected(const edgesea_dense *op, const int8_t *in, int8_t *out, void *scratch)
{
    const int inputs = op->inputs, inputs4 = (inputs + 3) & ~3;

    (void)scratch;
    for (int row = 0; row < op->rows; row++) {
        const int8_t *weights = op->weights;
        for (int o = 0; o < op->outputs; o++) {
            const int channel = o * op->per_channel;
            int32_t sum = op->bias[o];
            int i = 0;
            for (; i + 8 <= inputs; i += 8) {
                sum = four(in + i, weights + i, sum);
                sum = four(in + i + 4, weights + i + 4, sum);
            }
            for (; i < inputs; i++) {
                sum += in[i] * weights[i];
            }
            sum = edgesea_scale_once(sum, op->multiplier[channel], op->shift[channel]);
            *out++ = edgesea_clamp(sum, op->out_zero, op->low, op->high);
            weights += inputs4;
        }
        in += inputs;
    }
}

#endif
