/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_dot_mve: a few pixels by all output channels, for Arm's vector extension. The sums of two channels by three
 * pixels are what the even registers hold; in assembly, because nothing else may lie there. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"
#include "edgesea_vector_mve.h"

#if EDGESEA_PATH == EDGESEA_PATH_MVE

/* One call's work; the assembly knows the offsets.
 * length  vectors of a pixel after the first; bytes of a pixel where the last vector is not full
 * step    from behind a channel's weights to those of the channel after the next, in bytes
 * inputs  of the three pixels; where there are fewer, the rest is not used
 * sums    [3][EDGESEA_BATCH]
 */
typedef struct work {
    int32_t length;
    int32_t step;
    const int8_t *inputs[EDGESEA_DOT_PIXELS];
    const int8_t *weights[2];
    int32_t *sums;
    int32_t pairs;
} work;

/* r1, r3 weights of two channels, r5, r7, r9 pixels, r11 pairs left, r12 sums, the even registers the new sums:
 * r0, r2 of the first pixel, r4, r6 of the second, r8, r10 of the third. */
#define PIXEL(operation, x, a, b)             \
    "vldrb.8 q2, [" x "], #16\n"              \
    operation ".s8 " a ", q2, q0\n"           \
    operation ".s8 " b ", q2, q1\n"
#define PIXELS_1(operation) PIXEL(operation, "r5", "r0", "r2")
#define PIXELS_2(operation) PIXELS_1(operation) PIXEL(operation, "r7", "r4", "r6")
#define PIXELS_3(operation) PIXELS_2(operation) PIXEL(operation, "r9", "r8", "r10")
#define WEIGHTS "vldrb.8 q0, [r1], #16\n" "vldrb.8 q1, [r3], #16\n"
#define KEEP_1 "strd r0, r2, [r12], #8\n"
#define KEEP_2 "strd r4, r6, [r12, #64]\n" KEEP_1
#define KEEP_3 "strd r8, r10, [r12, #128]\n" KEEP_2

#define ZERO_1 "movs r0, #0\n" "movs r2, #0\n"
#define ZERO_2 ZERO_1 "movs r4, #0\n" "movs r6, #0\n"
#define ZERO_3 ZERO_2 "mov r8, #0\n" "mov r10, #0\n"

/* Full vectors, the first of which begins the sums. */
#define FULL(n)                                                                            \
    WEIGHTS PIXELS_##n("vmladav")                                                          \
    "wls lr, lr, 3f\n"                                                                     \
    "2:\n" WEIGHTS PIXELS_##n("vmladava")                                                  \
    "le lr, 2b\n"                                                                          \
    "3:\n"
/* Any number of bytes: what is beyond them in the last vector takes no part. */
#define PARTLY(n)                                                                          \
    ZERO_##n                                                                               \
    "dlstp.8 lr, lr\n"                                                                     \
    "2:\n" WEIGHTS PIXELS_##n("vmladava")                                                  \
    "letp lr, 2b\n"

#define SUM(name, n, loop)                                                                             \
    static __attribute__((naked, noinline, aligned(4))) void name(const work *w __attribute__((unused))) \
    {                                                                                      \
        __asm__ volatile(                                                                  \
            "push {r4-r11, lr}\n"                                                          \
            "sub sp, #20\n"                                                                \
            "ldmia r0!, {r4-r8}\n"                                                         \
            "stmia sp, {r4-r8}\n"                                                          \
            "ldmia r0, {r1, r3, r12}\n"                                                    \
            "ldr r11, [r0, #12]\n"                                                         \
            "1:\n"                                                                         \
            "ldr lr, [sp]\n"                                                               \
            "ldrd r5, r7, [sp, #8]\n"                                                      \
            "ldr r9, [sp, #16]\n"                                                          \
            loop KEEP_##n                                                                  \
            "ldr r0, [sp, #4]\n"                                                           \
            "add r1, r0\n"                                                                 \
            "add r3, r0\n"                                                                 \
            "subs r11, #1\n"                                                               \
            "bne 1b\n"                                                                     \
            "add sp, #20\n"                                                                \
            "pop {r4-r11, pc}\n");                                                         \
    }

SUM(full_1, 1, FULL(1))
SUM(full_2, 2, FULL(2))
SUM(full_3, 3, FULL(3))
SUM(partly_1, 1, PARTLY(1))
SUM(partly_2, 2, PARTLY(2))
SUM(partly_3, 3, PARTLY(3))

typedef void sum_function(const work *);

/* The sums of `count` channels from `first` on for some pixels, three at a time. w: length and step of this operator. */
static void sum(work *w, sum_function *const *functions, const int8_t *inputs, int apart, int pixels,
                const int8_t *weights, int depth4, int count, int32_t *sums)
{
    for (int p = 0; p < pixels; p += EDGESEA_DOT_PIXELS) {
        const int few = pixels - p < EDGESEA_DOT_PIXELS ? pixels - p : EDGESEA_DOT_PIXELS;
        for (int i = 0; i < few; i++) {
            w->inputs[i] = inputs;
            inputs += apart;
        }
        w->sums = sums + p * EDGESEA_BATCH;
        if (count > 1) {
            w->pairs = count / 2;
            w->weights[0] = weights;
            w->weights[1] = weights + depth4;
            functions[few - 1](w);
        }
        if (count % 2) {
            /* A last channel without a partner is its own, and stored twice. */
            w->weights[0] = w->weights[1] = weights + (count - 1) * depth4;
            w->sums += count - 1;
            w->pairs = 1;
            functions[few - 1](w);
        }
    }
}

void edgesea_dot_mve(const edgesea_conv *op, const int8_t *inputs, int apart, int pixels, int8_t *out)
{
    static sum_function *const functions[2][EDGESEA_DOT_PIXELS] = {{full_1, full_2, full_3},
                                                                   {partly_1, partly_2, partly_3}};
    const int depth = op->kernel_height * op->kernel_width * op->in_channels, depth4 = (depth + 3) & ~3;
    const int channels = op->out_channels, partly = apart % 16 != 0, general = op->flags & EDGESEA_GENERAL;
    int32_t sums[EDGESEA_ROW_PIXELS * EDGESEA_BATCH + 4];
    work w;

    w.length = partly ? depth : apart / 16 - 1;
    w.step = 2 * depth4 - ((depth + 15) & ~15);
    for (int first = 0, count; first < channels; first += count) {
        const int left = channels - first;
        if (left < 4 && first > 0 && !general) {
            /* They join the last sums of the batch before, whose first ones give way to them. */
            sum(&w, functions[partly], inputs, apart, pixels, (const int8_t *)op->weights + first * depth4, depth4, left,
                sums + EDGESEA_BATCH);
            edgesea_finish_batch_mve(op, sums + EDGESEA_BATCH + left - 4, channels - 4, 4, pixels, out);
            break;
        }
        count = left < EDGESEA_BATCH ? left : EDGESEA_BATCH;
        sum(&w, functions[partly], inputs, apart, pixels, (const int8_t *)op->weights + first * depth4, depth4, count,
            sums);
        if (!general) {
            edgesea_finish_batch_mve(op, sums, first, count, pixels, out);
            continue;
        }
        for (int p = 0; p < pixels; p++) {
            for (int c = 0; c < count; c++) {
                const int32_t total = sums[p * EDGESEA_BATCH + c] + op->channels[first + c].bias;
                out[p * channels + first + c] = edgesea_finish(op, first + c, total);
            }
        }
    }
}

#endif
