/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_fully_connected for Arm's DSP extension: inputs are widened to int16, a piece of a row at a time, and meet the
 * weights of four outputs at a time. In assembly, because weights, inputs and sums fill all fourteen registers. */
#include <string.h>

#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_DSP

/* Two taps of one output; r2, r3 inputs (0, 2) and (1, 3), r8 and `w` weights. */
#define OUTPUT(sum, w)                                                        \
    "sxtb16 r8, " w "\n" "smlad " sum ", r2, r8, " sum "\n"                    \
    "sxtb16 " w ", " w ", ror #8\n" "smlad " sum ", r3, " w ", " sum "\n"
#define FOUR_TAPS                                                             \
    "ldrd r2, r3, [r0], #8\n" "ldmia r1!, {r4-r7}\n"                           \
    OUTPUT("r9", "r4") OUTPUT("r10", "r5") OUTPUT("r11", "r6") OUTPUT("r12", "r7")

/* Adds to sums[4] the products of a widened row with the weights of four outputs, in layout.by_fours' order.
 * end   just behind the row, which is not empty */
static __attribute__((naked, noinline, aligned(4))) void four_outputs(const int32_t *row __attribute__((unused)),
                                                          const int8_t *weights __attribute__((unused)),
                                                          const int32_t *end __attribute__((unused)),
                                                          int32_t *sums __attribute__((unused)))
{
    __asm__ volatile(
        "push {r3-r11, r14}\n"
        "mov r14, r2\n"
        "ldmia r3, {r9-r12}\n"
        "sub r2, r14, r0\n"
        "tst r2, #8\n"
        "bne 2f\n"
        "1:\n" FOUR_TAPS "2:\n" FOUR_TAPS
        "cmp r0, r14\n"
        "bne 1b\n"
        "ldr r0, [sp]\n"
        "stmia r0, {r9-r12}\n"
        "pop {r3-r11, pc}\n");
}

/* Taps 0 and 2, then 1 and 3, of each four values; zeros fill the last four. */
static void widen(const int8_t *in, int count, int32_t *to)
{
    uint32_t word;
    for (; count >= 4; count -= 4) {
        memcpy(&word, in, 4);
        __asm__("sxtb16 %0, %1" : "=r"(to[0]) : "r"(word));
        __asm__("sxtb16 %0, %1, ror #8" : "=r"(to[1]) : "r"(word));
        in += 4;
        to += 2;
    }
    if (count > 0) {
        word = 0;
        memcpy(&word, in, (size_t)count);
        __asm__("sxtb16 %0, %1" : "=r"(to[0]) : "r"(word));
        __asm__("sxtb16 %0, %1, ror #8" : "=r"(to[1]) : "r"(word));
    }
}

/* sum + the products of a widened row with one output's weights. */
static int32_t one_output(const int32_t *row, const int8_t *weights, const int32_t *end, int32_t sum)
{
    while (row < end) {
        uint32_t word, odd;
        memcpy(&word, weights, 4);
        __asm__("sxtb16 %1, %2, ror #8\n"
                "sxtb16 %2, %2\n"
                "smlad %0, %3, %2, %0\n"
                "smlad %0, %4, %1, %0"
                : "+r"(sum), "=&r"(odd), "+r"(word)
                : "r"(row[0]), "r"(row[1]));
        weights += 4;
        row += 2;
    }
    return sum;
}

void edgesea_fully_connected(const edgesea_dense *op, const int8_t *in, int8_t *out, void *scratch)
{
    enum { BATCH = 32, PIECE = 128 }; /* outputs and inputs at a time */
    const int inputs = op->inputs, inputs4 = (inputs + 3) & ~3;
    int32_t *const widened = (int32_t *)scratch;

    for (int row = 0; row < op->rows; row++) {
        for (int first = 0; first < op->outputs; first += BATCH) {
            const int left = op->outputs - first, count = left < BATCH ? left : BATCH;
            int32_t sums[BATCH];
            memcpy(sums, op->bias + first, (size_t)count * sizeof *sums);
            for (int from = 0; from < inputs; from += PIECE) {
                const int taps = inputs - from < PIECE ? inputs - from : PIECE;
                const int32_t *const end = widened + (taps + 3) / 4 * 2;
                const int8_t *weights = op->weights + first * inputs4;
                int i = 0;
                if (first == 0 || inputs > PIECE) {
                    widen(in + from, taps, widened);
                }
                for (; i + 4 <= count; i += 4) {
                    four_outputs(widened, weights + 4 * from, end, sums + i);
                    weights += 4 * inputs4;
                }
                for (; i < count; i++) {
                    sums[i] = one_output(widened, weights + from, end, sums[i]);
                    weights += inputs4;
                }
            }
            edgesea_finish_dense(op, first, count, sums, out + first);
        }
        in += inputs;
        out += op->outputs;
    }
}

#endif
