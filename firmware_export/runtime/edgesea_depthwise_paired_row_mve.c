/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_depthwise_paired_row for Arm's vector extension: sixteen channels at a time.
 *
 * Products of two taps are added in 16 bits, where they just fit since no weight is -128, and the pairs' sums in 32:
 * the extension has no multiplication of vectors that adds to wider lanes.
 */
#include "edgesea_kernels.h"
#include "edgesea_vector_mve.h"

#if EDGESEA_PATH == EDGESEA_PATH_MVE

/* q0, q1, q2, q3 hold the sums of channels i, 4 + i, 8 + i, 12 + i, i = 0, 1, 2, 3: adds to them the 16-bit sums of the
 * even channels in q6 and the odd ones in q7. */
#define WIDEN                    \
    "vmovlb.s16 q4, q6\n"        \
    "vmovlt.s16 q6, q6\n"        \
    "vadd.i32 q0, q0, q4\n"      \
    "vmovlb.s16 q4, q7\n"        \
    "vadd.i32 q2, q2, q6\n"      \
    "vmovlt.s16 q7, q7\n"        \
    "vadd.i32 q1, q1, q4\n"      \
    "vadd.i32 q3, q3, q7\n"

/* One pixel's sums of channels first..first + 15, without bias.
 * inputs [taps]: where each tap finds channel 0 of its input; weights of channel `first`, `channels` bytes a tap
 * In assembly, because a compiler keeps one of nine vectors in memory; here an input is loaded twice instead. */
static inline void sum(const int8_t *const *inputs, int first, const int8_t *weights, int channels, int taps,
                       int32_t *to)
{
    const int8_t *x, *y;
    __asm__ volatile(
        "vmov.i32 q0, #0\n"
        "vmov.i32 q1, #0\n"
        "vmov.i32 q2, #0\n"
        "vmov.i32 q3, #0\n"
        "wls lr, %[pairs], 2f\n"
        "1: ldrd %[x], %[y], [%[inputs]], #8\n"
        "add %[x], %[first]\n"
        "add %[y], %[first]\n"
        "vldrb.8 q4, [%[x]]\n"
        "vldrb.8 q5, [%[weights]]\n"
        "add %[weights], %[channels]\n"
        "vmullb.s8 q6, q4, q5\n"
        "vmullt.s8 q7, q4, q5\n"
        "vldrb.8 q4, [%[y]]\n"
        "vldrb.8 q5, [%[weights]]\n"
        "add %[weights], %[channels]\n"
        "vmullb.s8 q4, q4, q5\n"
        "vadd.i16 q6, q6, q4\n"
        "vldrb.8 q4, [%[y]]\n"
        "vmullt.s8 q4, q4, q5\n"
        "vadd.i16 q7, q7, q4\n" WIDEN
        "le lr, 1b\n"
        "2: tst %[taps], #1\n"
        "beq 3f\n"
        "ldr %[x], [%[inputs]]\n"
        "add %[x], %[first]\n"
        "vldrb.8 q4, [%[x]]\n"
        "vldrb.8 q5, [%[weights]]\n"
        "vmullb.s8 q6, q4, q5\n"
        "vmullt.s8 q7, q4, q5\n" WIDEN
        "3:\n"
        "vst40.32 {q0, q1, q2, q3}, [%[to]]\n"
        "vst41.32 {q0, q1, q2, q3}, [%[to]]\n"
        "vst42.32 {q0, q1, q2, q3}, [%[to]]\n"
        "vst43.32 {q0, q1, q2, q3}, [%[to]]\n"
        : [inputs] "+r"(inputs), [weights] "+r"(weights), [x] "=&r"(x), [y] "=&r"(y)
        : [first] "r"(first), [channels] "r"(channels), [taps] "r"(taps), [pairs] "r"(taps / 2), [to] "r"(to)
        : "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "cc", "memory");
}

/* Where the taps of the output whose window begins at column `left` find their inputs; `zeros` outside the map. */
static const int8_t **locate(const edgesea_conv *op, const edgesea_window *window, int left, const int8_t *zeros,
                             const int8_t **input)
{
    const int step = op->dilation * op->in_channels;
    const int width = op->kernel_width;
    const int whole = left >= 0 && left + (width - 1) * op->dilation < op->in_width;

    for (int ky = 0; ky < op->kernel_height; ky++) {
        const int8_t *row = (const int8_t *)window->rows[ky];
        if (row && whole) {
            const int8_t *from = row + left * op->in_channels;
            for (int kx = width; kx > 0; kx--) {
                *input++ = from;
                from += step;
            }
        } else {
            for (int kx = 0; kx < width; kx++) {
                const int column = left + kx * op->dilation;
                const int inside = row && column >= 0 && column < op->in_width;
                *input++ = inside ? row + column * op->in_channels : zeros;
            }
        }
    }
    return input;
}

void edgesea_depthwise_paired_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_conv *op = (const edgesea_conv *)constant;
    const int channels = op->in_channels;
    const int taps = op->kernel_height * op->kernel_width;
    const int8_t **const inputs = (const int8_t **)scratch; /* [EDGESEA_DOT_PIXELS][taps] */
    int8_t *const zeros = (int8_t *)(inputs + EDGESEA_DOT_PIXELS * taps);
    int32_t batch[EDGESEA_DOT_PIXELS][EDGESEA_BATCH];
    int pixels = EDGESEA_DOT_PIXELS;

    if (channels < EDGESEA_BATCH) {
        edgesea_depthwise_row(constant, window, result, scratch);
        return;
    }
    edgesea_fill_mve(zeros, op->in_zero, channels);
    for (int x = 0; x < op->out_width; x += pixels) {
        const int8_t **input = inputs;
        int first = 0;
        if (pixels > op->out_width - x) {
            pixels = op->out_width - x;
        }
        for (int p = 0; p < pixels; p++) {
            input = locate(op, window, (x + p) * op->stride - op->pad_left, zeros, input);
        }
        for (;;) {
            const int8_t *weights = (const int8_t *)op->weights + first;
            for (int p = 0; p < pixels; p++) {
                sum(inputs + p * taps, first, weights, channels, taps, batch[p]);
            }
            edgesea_finish_batch_mve(op, batch[0], first, EDGESEA_BATCH, pixels,
                                     (int8_t *)result + x * channels);
            if (first + EDGESEA_BATCH == channels) {
                break;
            }
            /* The last batch may overlap the one before: it gives the same values again. */
            first = first + 2 * EDGESEA_BATCH <= channels ? first + EDGESEA_BATCH : channels - EDGESEA_BATCH;
        }
    }
}

#endif
