/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_fully_connected for Arm's vector extension: sixteen products an instruction, four outputs at a time. */
#include <string.h>

#include "edgesea_kernels.h"

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

void edgesea_fully_connected(const edgesea_dense *op, const int8_t *in, int8_t *out, void *scratch)
{
    enum { BATCH = 16 };
    const int inputs4 = (op->inputs + 3) & ~3;

    (void)scratch;
    for (int row = 0; row < op->rows; row++) {
        const int8_t *weights = op->weights;
        for (int first = 0; first < op->outputs; first += BATCH) {
            const int left = op->outputs - first, count = left < BATCH ? left : BATCH;
            int32_t sums[BATCH];
            int i = 0;
            memcpy(sums, op->bias + first, (size_t)count * sizeof *sums);
            for (; i + 4 <= count; i += 4) {
                four_outputs(in, weights, inputs4, op->inputs, sums + i);
                weights += 4 * inputs4;
            }
            for (; i < count; i++) {
                sums[i] = one_output(in, weights, op->inputs, sums[i]);
                weights += inputs4;
            }
            edgesea_finish_dense(op, first, count, sums, out + first);
        }
        in += op->inputs;
        out += op->outputs;
    }
}

#endif
