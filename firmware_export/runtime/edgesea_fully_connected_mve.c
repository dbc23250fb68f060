/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_fully_connected for Arm's vector extension: sixteen products an instruction, four outputs at a time. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

#if EDGESEA_PATH == EDGESEA_PATH_MVE

/* Adds to sums[4] the products of `count` inputs with the weights of four outputs, `step` bytes from one to the next. */
static inline void four_outputs(const int8_t *in, const int8_t *weights, int step, int count, int32_t *sums)
{
    const int8_t *b = weights + step, *c = b + step, *d = c + step;
    __asm__ volatile(
        "wlstp.8 lr, %[count], 2f\n"
        "1: vldrb.8 q0, [%[in]], #16\n"
        "vldrb.8 q1, [%[a]], #16\n"
        "vmladava.s8 %[sum0], q0, q1\n"
        "vldrb.8 q1, [%[b]], #16\n"
        "vmladava.s8 %[sum1], q0, q1\n"
        "vldrb.8 q1, [%[c]], #16\n"
        "vmladava.s8 %[sum2], q0, q1\n"
        "vldrb.8 q1, [%[d]], #16\n"
        "vmladava.s8 %[sum3], q0, q1\n"
        "letp lr, 1b\n"
        "2:\n"
        : [in] "+r"(in), [a] "+r"(weights), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [sum0] "+Te"(sums[0]),
          [sum1] "+Te"(sums[1]), [sum2] "+Te"(sums[2]), [sum3] "+Te"(sums[3])
        : [count] "r"(count)
        : "lr", "q0", "q1", "memory");
}

static inline int32_t one_output(const int8_t *in, const int8_t *weights, int count, int32_t sum)
{
    __asm__ volatile(
        "wlstp.8 lr, %[count], 2f\n"
        "1: vldrb.8 q0, [%[in]], #16\n"
        "vldrb.8 q1, [%[weights]], #16\n"
        "vmladava.s8 %[sum], q0, q1\n"
        "letp lr, 1b\n"
        "2:\n"
        : [in] "+r"(in), [weights] "+r"(weights), [sum] "+Te"(sum)
        : [count] "r"(count)
        : "lr", "q0", "q1", "memory");
    return sum;
}

static inline int8_t finish(const edgesea_dense *op, int o, int32_t sum)
{
    const int channel = o * op->per_channel;
    return edgesea_clamp(edgesea_scale_once(sum, op->multiplier[channel], op->shift[channel]), op->out_zero, op->low,
                         op->high);
}

void edgesea_fully_connected(const edgesea_dense *op, const int8_t *in, int8_t *out, void *scratch)
{
    const int inputs4 = (op->inputs + 3) & ~3;

    (void)scratch;
    for (int row = 0; row < op->rows; row++) {
        const int8_t *weights = op->weights;
        int o = 0;
        for (; o + 4 <= op->outputs; o += 4) {
            int32_t sums[4] = {op->bias[o], op->bias[o + 1], op->bias[o + 2], op->bias[o + 3]};
            four_outputs(in, weights, inputs4, op->inputs, sums);
            for (int i = 0; i < 4; i++) {
                *out++ = finish(op, o + i, sums[i]);
            }
            weights += 4 * inputs4;
        }
        for (; o < op->outputs; o++) {
            *out++ = finish(op, o, one_output(in, weights, op->inputs, op->bias[o]));
            weights += inputs4;
        }
        in += op->inputs;
    }
}

#endif
