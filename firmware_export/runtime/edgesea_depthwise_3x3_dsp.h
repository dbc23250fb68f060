/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_depthwise_3x3_dsp.h: four channels of a row of a 3x3 kernel, for Arm's DSP extension.
 *
 * Every input column of the four channels is widened once into six words: two rows of each channel side by side for
 * the dual multiplication, and the third row by itself. An output then costs one load, one dual and one single
 * multiplication a column. In assembly, because weights, sums and constants fill all fourteen registers.
 */
#ifndef EDGESEA_DEPTHWISE_3X3_DSP_H
#define EDGESEA_DEPTHWISE_3X3_DSP_H

#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_DSP

/* A column of channels 0..3, rows top, middle, bottom, low half first:
 *   {top 0, middle 0} {bottom 0, bottom 2} {top 2, middle 2} {top 1, middle 1} {bottom 1, bottom 3} {top 3, middle 3} */
enum { COLUMN_WORDS = 6 };

/* What the assembly works on; it knows the offsets. */
typedef struct rows {
    const int8_t *row[3]; /* four channels of the first column */
    int32_t step[3];      /* bytes from column to column, 0 in a row that is all zero */
    int32_t *columns;
    int32_t *end;
} rows;

static __attribute__((naked, noinline, aligned(4))) void widen(const rows *from __attribute__((unused)))
{
    __asm__ volatile(
        "push {r4-r11, r14}\n"
        "ldmia r0, {r0-r7}\n" /* r0..r2 rows, r3..r5 steps, r6 columns, r7 end */
        "push {r7}\n"
        "1:\n"
        "ldr r8, [r0]\n"
        "ldr r9, [r1]\n"
        "ldr r10, [r2]\n"
        "add r0, r3\n"
        "add r1, r4\n"
        "add r2, r5\n"
        "sxtb16 r11, r8\n"
        "sxtb16 r12, r9\n"
        "sxtb16 r8, r8, ror #8\n"
        "sxtb16 r14, r9, ror #8\n"
        "pkhbt r7, r11, r12, lsl #16\n"  /* channel 0 */
        "pkhtb r9, r12, r11, asr #16\n"  /* channel 2 */
        "pkhbt r11, r8, r14, lsl #16\n"  /* channel 1 */
        "pkhtb r14, r14, r8, asr #16\n"  /* channel 3 */
        "sxtb16 r8, r10\n"
        "sxtb16 r12, r10, ror #8\n"
        "stmia r6!, {r7-r9, r11-r12, r14}\n"
        "ldr r7, [sp]\n"
        "cmp r6, r7\n"
        "bne 1b\n"
        "add sp, #4\n"
        "pop {r4-r11, pc}\n");
}

/* Four channels of a row of a 3x3 kernel; the assembly knows the offsets. */
typedef struct quad {
    int32_t stride;       /* bytes between outputs */
    int32_t step;         /* bytes between the first columns of two outputs */
    const int32_t *first; /* column of the first output */
    int8_t *out;
    const int32_t *weights;
    const edgesea_channel *channels;
    int32_t pairs; /* bytes of columns that begin outputs made two at a time */
    int32_t all;   /* bytes of columns that begin outputs */
} quad;

/* r0 column, r1 out, r2 and r3 a column's words, r4..r6 weights of two rows, r7 and r8 of the third, r9 multiplier,
 * r10 rounding, r11 shift, r12 and r14 sums. [sp] doubled bias, #4 stride, #8 step, #12 end, #16 the end of pairs,
 * #20 to #40 the rest of quad, #44 how often to go round.
 * `two` names the register with two rows, `one` that with the third, `h` its half. Weights are doubled, hence bias. */
#define PUT(sum, where)                     \
    "add r2, r10, " sum ", asr #31\n"       \
    "smmlar " sum ", " sum ", r9, r2\n"     \
    "asr " sum ", " sum ", r11\n"           \
    "ssat " sum ", #8, " sum "\n"           \
    "strb " sum ", [r1" where "]\n"
#define LEFT(sum, two, one, h) \
    "smlad " sum ", " two ", r4, " sum "\n" "smla" h "b " sum ", " one ", r7, " sum "\n"
#define MIDDLE(sum, two, one, h) \
    "smlad " sum ", " two ", r5, " sum "\n" "smla" h "t " sum ", " one ", r7, " sum "\n"
#define RIGHT(sum, two, one, h) \
    "smlad " sum ", " two ", r6, " sum "\n" "smla" h "b " sum ", " one ", r8, " sum "\n"

/* One channel; the three offsets say where its columns, weights and record lie. */
#define CHANNEL(two, one, h, column, weights, record, byte)                              \
    "ldrd r0, r1, [sp, #20]\n"                                                           \
    "ldrd r2, r3, [sp, #28]\n"                                                           \
    "ldrd r4, r5, [sp, #36]\n"                                                           \
    "add r0, #" column "\n"                                                              \
    "add r1, #" byte "\n"                                                                \
    "add r3, #" record "\n"                                                              \
    "add r2, #" weights "\n"                                                             \
    "add r12, r0, r4\n"                                                                  \
    "add r5, r0, r5\n"                                                                   \
    "strd r5, r12, [sp, #12]\n"                                                          \
    "ldmia r3, {r8-r11}\n"                                                               \
    "lsl r8, r8, #1\n"                                                                   \
    "str r8, [sp]\n"                                                                     \
    "ldmia r2, {r4-r8}\n"                                                                \
    "cmp r0, r12\n"                                                                      \
    "beq 2f\n"                                                                           \
    "1:\n"                                                                               \
    "ldr r12, [sp]\n"                                                                    \
    "ldrd r2, r3, [r0], #48\n"                                                           \
    "mov r14, r12\n" LEFT("r12", two, one, h)                                            \
    "ldrd r2, r3, [r0, #-24]\n" MIDDLE("r12", two, one, h) LEFT("r14", two, one, h)      \
    "ldrd r2, r3, [r0]\n" RIGHT("r12", two, one, h) MIDDLE("r14", two, one, h)           \
    "ldrd r2, r3, [r0, #24]\n" RIGHT("r14", two, one, h)                                 \
    "ldr r3, [sp, #4]\n" PUT("r12", "") PUT("r14", ", r3")                               \
    "ldr r2, [sp, #16]\n"                                                                \
    "add r1, r1, r3, lsl #1\n"                                                           \
    "cmp r0, r2\n"                                                                       \
    "bne 1b\n"                                                                           \
    "2:\n"                                                                               \
    "ldr r2, [sp, #12]\n"                                                                \
    "cmp r0, r2\n"                                                                       \
    "beq 4f\n"                                                                           \
    "3:\n"                                                                               \
    "ldr r12, [sp]\n"                                                                    \
    "ldrd r2, r3, [r0]\n" LEFT("r12", two, one, h)                                       \
    "ldrd r2, r3, [r0, #24]\n" MIDDLE("r12", two, one, h)                                \
    "ldrd r2, r3, [r0, #48]\n" RIGHT("r12", two, one, h)                                 \
    PUT("r12", "")                                                                       \
    "ldrd r2, r3, [sp, #4]\n"                                                            \
    "add r1, r2\n"                                                                       \
    "ldr r2, [sp, #12]\n"                                                                \
    "add r0, r3\n"                                                                       \
    "cmp r0, r2\n"                                                                       \
    "bne 3b\n"                                                                           \
    "4:\n"

/* Channels 0 and 2, whose words begin a column, then 1 and 3. */
static __attribute__((naked, noinline, aligned(4))) void four_channels(const quad *q __attribute__((unused)))
{
    __asm__ volatile(
        "push {r4-r11, r14}\n"
        "sub sp, #48\n"
        "ldmia r0, {r1-r8}\n"
        "strd r1, r2, [sp, #4]\n"
        "movs r9, #2\n"
        "add r0, sp, #20\n"
        "stmia r0, {r3-r9}\n"
        "9:\n"
        CHANNEL("r2", "r3", "b", "0", "0", "0", "0")
        CHANNEL("r3", "r2", "t", "4", "40", "32", "2")
        "add r0, sp, #20\n"
        "ldmia r0, {r3-r6}\n"
        "adds r3, #12\n"
        "adds r4, #1\n"
        "adds r5, #20\n"
        "adds r6, #16\n"
        "stmia r0, {r3-r6}\n"
        "ldr r9, [sp, #44]\n"
        "subs r9, #1\n"
        "str r9, [sp, #44]\n"
        "bne 9b\n"
        "add sp, #48\n"
        "pop {r4-r11, pc}\n");
}

static int32_t *fill(int32_t *to, int columns, int32_t pair)
{
    for (int i = columns * COLUMN_WORDS; i > 0; i--) {
        *to++ = pair;
    }
    return to;
}

#endif
#endif
