/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_fully_connected for Arm's vector extension: sixteen products an instruction. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

#if EDGESEA_PATH == EDGESEA_PATH_MVE

static inline int32_t dot(const int8_t *a, const int8_t *b, int count, int32_t sum)
{
    __asm__ volatile(
        "wlstp.8 lr, %[count], 2f\n"
        "1: vldrb.8 q0, [%[a]], #16\n"
        "vldrb.8 q1, [%[b]], #16\n"
        "vmladava.s8 %[sum], q0, q1\n"
        "letp lr, 1b\n"
        "2:\n"
        : [a] "+r"(a), [b] "+r"(b), [sum] "+Te"(sum)
        : [count] "r"(count)
        : "lr", "q0", "q1", "memory");
    return sum;
}

void edgesea_fully_connected(const edgesea_dense *op, const int8_t *in, int8_t *out, void *scratch)
{
    const int inputs4 = (op->inputs + 3) & ~3;

    (void)scratch;
    for (int row = 0; row < op->rows; row++) {
        const int8_t *weights = op->weights;
        for (int o = 0; o < op->outputs; o++) {
            const int channel = o * op->per_channel;
            int32_t sum = dot(in, weights, op->inputs, op->bias[o]);
            sum = edgesea_scale_once(sum, op->multiplier[channel], op->shift[channel]);
            *out++ = edgesea_clamp(sum, op->out_zero, op->low, op->high);
            weights += inputs4;
        }
        in += op->inputs;
    }
}

#endif
