/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_dot_dsp: a few pixels by all output channels, for Arm's DSP extension; in assembly, because compilers
 * neither pair the loads nor keep fourteen values in fourteen registers. */
#include "edgesea_dot_dsp.h"

#if EDGESEA_PATH == EDGESEA_PATH_DSP

/* Registers: r0 inputs, r1 weights, r2 four weights, r3 two of them widened, r4..r8 two inputs of each pixel,
 * r9..r12 and r14 the sums. At a channel's end r0 and r2..r8 are free. */
#define MAC(sum, x, w) "smlad " sum ", " x ", " w ", " sum "\n"
#define MAC_1(w) MAC("r9", "r4", w)
#define MAC_2(w) MAC_1(w) MAC("r10", "r5", w)
#define MAC_3(w) MAC_2(w) MAC("r11", "r6", w)
#define MAC_4(w) MAC_3(w) MAC("r12", "r7", w)
#define MAC_5(w) MAC_4(w) MAC("r14", "r8", w)

#define INPUTS_1 "ldr r4, [r0], #4\n"
#define INPUTS_2 "ldmia r0!, {r4-r5}\n"
#define INPUTS_3 "ldmia r0!, {r4-r6}\n"
#define INPUTS_4 "ldmia r0!, {r4-r7}\n"
#define INPUTS_5 "ldmia r0!, {r4-r8}\n"

/* Four taps of one channel. The widths are spelt out: every block must have the same size. */
#define QUAD(n)                                     \
    "ldr.w r2, [r1], #4\n" INPUTS_##n               \
    "sxtb16 r3, r2\n" MAC_##n("r3") INPUTS_##n      \
    "sxtb16 r2, r2, ror #8\n" MAC_##n("r2")

#define COPY_1
#define COPY_2 "mov r10, r9\n"
#define COPY_3 COPY_2 "mov r11, r9\n"
#define COPY_4 COPY_3 "mov r12, r9\n"
#define COPY_5 COPY_4 "mov r14, r9\n"

#define SUMS_1 "{r9}"
#define SUMS_2 "{r9-r10}"
#define SUMS_3 "{r9-r11}"
#define SUMS_4 "{r9-r12}"
#define SUMS_5 "{r9-r12, r14}"

/* Requantises and stores one sum; r5 multiplier, r6 rounding, r7 shift, r2 out, r8 stride. Doubling it makes SMMLAR
 * round as the reference's first multiplication; a negative sum then rounds its halves away from zero. */
#define PUT(sum, where)                     \
    "lsl " sum ", " sum ", #1\n"            \
    "add r0, r6, " sum ", asr #31\n"        \
    "smmlar " sum ", " sum ", r5, r0\n"     \
    "asr " sum ", " sum ", r7\n"            \
    "ssat " sum ", #8, " sum "\n"           \
    "strb " sum ", [r2" where "]\n"
#define PUT_1 PUT("r9", "")
#define PUT_2 PUT_1 PUT("r10", ", r8")
#define PUT_3 PUT_2 PUT("r11", ", r8, lsl #1")
#define PUT_4 PUT_3 "add r4, r8, r8, lsl #1\n" PUT("r12", ", r4")
#define PUT_5 PUT_4 PUT("r14", ", r8, lsl #2")

/* The frame: [sp] inputs, #4 entry, #8 end, #12 start, #16 finish, #20 channel, #24 last, #28 out, #32 stride,
 * #36 sums, #40 before, #44 keep, #48 after. */
#define DOT(n)                                                                                                     \
    static __attribute__((naked, noinline, aligned(4))) void dot_##n(const edgesea_dot_work *dot __attribute__((unused)))           \
    {                                                                                                              \
        __asm__ volatile(                                                                                          \
            "push {r4-r11, r14}\n"                                                                                 \
            "sub sp, #52\n"                                                                                        \
            "ldr r1, [r0, #32]\n"         /* sums: where a channel starts */                                       \
            "cmp r1, #0\n"                                                                                         \
            "ite eq\n"                                                                                             \
            "adreq.w r6, 10f\n"                                                                                    \
            "adrne.w r6, 11f\n"                                                                                    \
            "ldr r1, [r0, #40]\n"         /* keep: where it ends */                                                \
            "cmp r1, #0\n"                                                                                         \
            "ite eq\n"                                                                                             \
            "adreq.w r7, 12f\n"                                                                                    \
            "adrne.w r7, 13f\n"                                                                                    \
            "adr.w r4, 2f\n"                                                                                       \
            "adr.w r5, 3f\n"                                                                                       \
            "sub r5, r5, r4\n"            /* a block's size in bytes */                                            \
            "ldr r1, [r0, #12]\n"                                                                                  \
            "mla r4, r1, r5, r4\n"        /* entry */                                                              \
            "orr r4, #1\n"                                                                                         \
            "orr r6, #1\n"                                                                                         \
            "orr r7, #1\n"                                                                                         \
            "ldr r3, [r0, #0]\n"                                                                                   \
            "ldr r5, [r0, #4]\n"                                                                                   \
            "ldr r1, [r0, #8]\n"                                                                                   \
            "stmia sp, {r3-r7}\n"                                                                                  \
            "adds r0, #16\n"                                                                                       \
            "ldmia r0, {r2-r9}\n"                                                                                  \
            "add r0, sp, #20\n"                                                                                    \
            "stmia r0, {r2-r9}\n"                                                                                  \
            "1:\n"                                                                                                 \
            "ldrd r0, r3, [sp]\n"                                                                                  \
            "ldr r2, [sp, #20]\n"                                                                                  \
            "ldr pc, [sp, #12]\n"                                                                                  \
            "11:\n"                       /* go on from kept sums */                                               \
            "ldrd r2, r4, [sp, #36]\n"                                                                             \
            "add r1, r4\n"                                                                                         \
            "ldmia r2!, " SUMS_##n "\n"                                                                            \
            "str r2, [sp, #36]\n"                                                                                  \
            "bx r3\n"                                                                                              \
            "10:\n"                       /* begin with the bias */                                                \
            "ldr r9, [r2]\n" COPY_##n "bx r3\n"                                                                    \
            "2:\n" QUAD(n) "3:\n" QUAD(n) QUAD(n) QUAD(n)                                                          \
            "ldr r3, [sp, #8]\n"                                                                                   \
            "cmp r0, r3\n"                                                                                         \
            "bne 2b\n"                                                                                             \
            "ldr r3, [sp, #20]\n"                                                                                  \
            "ldmia r3!, {r4-r7}\n"                                                                                 \
            "str r3, [sp, #20]\n"                                                                                  \
            "ldr pc, [sp, #16]\n"                                                                                  \
            "13:\n"                       /* keep the sums */                                                      \
            "ldrd r2, r4, [sp, #44]\n"                                                                             \
            "add r1, r4\n"                                                                                         \
            "stmia r2!, " SUMS_##n "\n"                                                                            \
            "str r2, [sp, #44]\n"                                                                                  \
            "b 4f\n"                                                                                               \
            "12:\n"                       /* requantise */                                                         \
            "ldrd r2, r8, [sp, #28]\n" PUT_##n                                                                     \
            "adds r2, #1\n"                                                                                        \
            "str r2, [sp, #28]\n"                                                                                  \
            "4:\n"                                                                                                 \
            "ldr r4, [sp, #24]\n"                                                                                  \
            "cmp r3, r4\n"                                                                                         \
            "bne 1b\n"                                                                                             \
            "add sp, #52\n"                                                                                        \
            "pop {r4-r11, pc}\n");                                                                                 \
    }

DOT(1)
DOT(5)
#if !EDGESEA_OPTIMIZE_SIZE
DOT(2)
DOT(3)
DOT(4)
#endif

void edgesea_dot_dsp(const edgesea_dot_work *dot, int pixels)
{
    switch (pixels) {
    case 1: dot_1(dot); break;
#if !EDGESEA_OPTIMIZE_SIZE
    case 2: dot_2(dot); break;
    case 3: dot_3(dot); break;
    case 4: dot_4(dot); break;
#endif
    default: dot_5(dot); break;
    }
}

#endif
