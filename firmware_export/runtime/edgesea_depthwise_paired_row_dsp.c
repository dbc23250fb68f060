/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_depthwise_paired_row for Arm's DSP extension: four channels at a time, whose input columns are widened once so
 * that two taps of a channel lie side by side for the dual multiplication. Each weight is loaded once for four outputs.
 */
#include <string.h>

#include "edgesea_dot_dsp.h"
#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_DSP

/* Outputs whose columns are widened at once, to bound the working memory of long rows. */
enum { SEGMENT = 32 };

/* One channel of a segment of a row; the assembly knows the offsets. The channel's columns lie in planes, a word a column
 * with two taps in it: a plane of two rows has both in a word, that of a last row alone has column x and x + dilation.
 * weights  two taps each, plane by plane
 * columns  of the first output
 * plane    bytes from plane to plane
 * two      planes of two rows; two_taps: bytes of weights in one; two_advance: bytes from one weight's column to the next's
 * one_taps, one_advance
 *          the same of a last row alone; 0 bytes of weights where there is none
 * step     bytes from one output's column to the next's
 * out      the first output; stride: bytes to the next
 * four     how many times four outputs
 */
typedef struct segment {
    const int32_t *weights;
    const int32_t *columns;
    int32_t plane;
    int32_t two;
    int32_t two_taps;
    int32_t two_advance;
    int32_t one_taps;
    int32_t one_advance;
    int32_t step;
    int8_t *out;
    int32_t stride;
    int32_t four;
    edgesea_channel channel;
} segment;

/* r1 weights, r2 the end of a plane's, r3 a weight, r4..r7 inputs, r8..r11 sums, r12 advance, r14 column; r0 segment.
 * NEIGHBOURS are outputs whose columns follow each other. */
#define NEIGHBOURS                                                                               \
    "ldmia r14, {r4-r7}\n"                                                                       \
    "add r14, r12\n"                                                                             \
    "smlad r8, r4, r3, r8\n"                                                                     \
    "smlad r9, r5, r3, r9\n"                                                                     \
    "smlad r10, r6, r3, r10\n"                                                                   \
    "smlad r11, r7, r3, r11\n"
/* r6 step, r7 three times that */
#define APART                                                                                    \
    "ldr r4, [r14]\n"                                                                            \
    "ldr r5, [r14, r6]\n"                                                                        \
    "smlad r8, r4, r3, r8\n"                                                                     \
    "ldr r4, [r14, r6, lsl #1]\n"                                                                \
    "smlad r9, r5, r3, r9\n"                                                                     \
    "ldr r5, [r14, r7]\n"                                                                        \
    "smlad r10, r4, r3, r10\n"                                                                   \
    "add r14, r12\n"                                                                             \
    "smlad r11, r5, r3, r11\n"
/* Requantises and stores one sum; r4 multiplier, r5 rounding, r6 shift, r2 out, r3 stride. */
#define STORE(sum)                                                                               \
    "add r7, r5, " sum ", asr #31\n"                                                             \
    "smmlar " sum ", " sum ", r4, r7\n"                                                          \
    "asr " sum ", r6\n"                                                                          \
    "ssat " sum ", #8, " sum "\n"                                                                \
    "strb " sum ", [r2]\n"                                                                      \
    "add r2, r3\n"

#define ONE_CHANNEL(name, apart, products)                                                       \
    static __attribute__((naked, noinline, aligned(4))) void name(segment *s __attribute__((unused)))        \
    {                                                                                            \
        __asm__ volatile(                                                                        \
            "push {r4-r11, r14}\n"                                                               \
            "sub sp, #8\n" apart                                                                 \
            "1:\n"                                                                               \
            "ldmia r0, {r1, r14}\n"                                                              \
            "ldr r8, [r0, #48]\n"                                                                \
            "lsl r8, r8, #1\n"                                                                   \
            "mov r9, r8\n"                                                                       \
            "mov r10, r8\n"                                                                      \
            "mov r11, r8\n"                                                                      \
            "ldrd r4, r2, [r0, #12]\n"                                                           \
            "str r14, [sp]\n"                                                                    \
            "ldr r12, [r0, #20]\n"                                                               \
            "cbz r4, 4f\n"                                                                       \
            "2:\n"                                                                               \
            "str r4, [sp, #4]\n"                                                                 \
            "add r2, r1\n"                                                                       \
            "3:\n"                                                                               \
            "ldr r3, [r1], #4\n" products                                                        \
            "cmp r1, r2\n"                                                                       \
            "bne 3b\n"                                                                           \
            "ldrd r14, r4, [sp]\n"                                                               \
            "ldr r3, [r0, #8]\n"                                                                 \
            "ldr r2, [r0, #16]\n"                                                                \
            "add r14, r3\n"                                                                      \
            "str r14, [sp]\n"                                                                    \
            "subs r4, #1\n"                                                                      \
            "bne 2b\n"                                                                           \
            "4:\n"                                                                               \
            "ldrd r2, r12, [r0, #24]\n"                                                          \
            "cbz r2, 6f\n"                                                                       \
            "add r2, r1\n"                                                                       \
            "5:\n"                                                                               \
            "ldr r3, [r1], #4\n" products                                                        \
            "cmp r1, r2\n"                                                                       \
            "bne 5b\n"                                                                           \
            "6:\n"                                                                               \
            "ldrd r2, r3, [r0, #36]\n"                                                           \
            "add r12, r0, #52\n"                                                                 \
            "ldmia r12, {r4-r6}\n"                                                               \
            STORE("r8") STORE("r9") STORE("r10") STORE("r11")                                    \
            "str r2, [r0, #36]\n"                                                                \
            "ldr r4, [r0, #32]\n"                                                                \
            "ldr r5, [r0, #4]\n"                                                                 \
            "add r5, r5, r4, lsl #2\n"                                                           \
            "str r5, [r0, #4]\n" apart                                                           \
            "ldr r3, [r0, #44]\n"                                                                \
            "subs r3, #1\n"                                                                      \
            "str r3, [r0, #44]\n"                                                                \
            "bne 1b\n"                                                                           \
            "add sp, #8\n"                                                                       \
            "pop {r4-r11, pc}\n");                                                               \
    }

ONE_CHANNEL(neighbours, "", NEIGHBOURS)
ONE_CHANNEL(apart, "ldr r6, [r0, #32]\n" "add r7, r6, r6, lsl #1\n", APART)

/* One output of a segment. */
static int8_t one_output(const segment *s, const int32_t *column)
{
    const int32_t *weights = s->weights;
    int32_t sum = 2 * s->channel.bias, value;

    for (int plane = 0; plane <= s->two; plane++) {
        const int taps = plane < s->two ? s->two_taps : s->one_taps, advance = plane < s->two ? s->two_advance : s->one_advance;
        const int32_t *at = column;
        for (int i = 0; i < taps; i += 4) {
            __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(*at), "r"(*weights));
            at += advance / 4;
            weights++;
        }
        column += s->plane / 4;
    }
    __asm__("add %0, %3, %1, asr #31\n"
            "smmlar %0, %1, %2, %0\n"
            "asr %0, %4\n"
            "ssat %0, #8, %0\n"
            : "=&r"(value)
            : "r"(sum), "r"(s->channel.multiplier), "r"(s->channel.round), "r"(s->channel.shift));
    return (int8_t)value;
}

/* `count` outputs of one channel, from `out` on; columns: its planes, each of `width` columns. */
static void channel_outputs(const edgesea_conv *op, const int32_t *columns, int width, const int32_t *weights,
                            const edgesea_channel *channel, int8_t *out, int count)
{
    const int word = (int)sizeof(int32_t);
    segment s = {weights, columns, width * word, op->kernel_height / 2, op->kernel_width * word, op->dilation * word,
                 op->kernel_height % 2 * ((op->kernel_width + 1) / 2) * word, 2 * op->dilation * word,
                 op->stride * word, out, op->in_channels, count / 4, *channel};

    if (count < 4) {
        for (int x = 0; x < count; x++) {
            out[x * op->in_channels] = one_output(&s, columns + x * op->stride);
        }
        return;
    }
    if (op->stride == 1) {
        neighbours(&s);
    } else {
        apart(&s);
    }
    if (count % 4 != 0) {
        /* The last four may overlap those before: they give the same values again. */
        s.columns = columns + (count - 4) * op->stride;
        s.out = out + (count - 4) * op->in_channels;
        s.four = 1;
        if (op->stride == 1) {
            neighbours(&s);
        } else {
            apart(&s);
        }
    }
}

/* Whether `column` lies inside the map; shortens a run that begins there to its part that stays in or out. */
static inline int is_inside(int column, int width, int *run)
{
    const int inside = column >= 0 && column < width;
    const int change = column < 0 ? -column : inside ? width - column : *run;

    if (change < *run) {
        *run = change;
    }
    return inside;
}

/* Puts two values of each of `channels` (up to four) channels side by side, for a run of columns.
 * to  the first channel's; the next channel's are `next` words on */
static void pair_up(const int8_t *a, int step_a, const int8_t *b, int step_b, int run, int channels, int32_t *to, int next)
{
    if (channels < 4) {
        for (; run > 0; run--) {
            for (int c = 0; c < channels; c++) {
                to[c * next] = (int32_t)(((uint32_t)a[c] & 0xffffU) | ((uint32_t)b[c] << 16));
            }
            to++;
            a += step_a;
            b += step_b;
        }
        return;
    }
    for (; run > 0; run--) {
        uint32_t low, high;
        int32_t first, second, third, fourth;
        memcpy(&low, a, 4);
        memcpy(&high, b, 4);
        __asm__("sxtb16 %1, %4\n"
                "sxtb16 %2, %5\n"
                "pkhbt %0, %1, %2, lsl #16\n"
                "pkhtb %1, %2, %1, asr #16\n"
                "sxtb16 %3, %4, ror #8\n"
                "sxtb16 %2, %5, ror #8\n"
                : "=&r"(first), "=&r"(third), "=&r"(fourth), "=&r"(second)
                : "r"(low), "r"(high));
        to[0] = first;
        to[2 * next] = third;
        __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(first) : "r"(second), "r"(fourth));
        __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(third) : "r"(fourth), "r"(second));
        to[next] = first;
        to[3 * next] = third;
        to++;
        a += step_a;
        b += step_b;
    }
}

/* One plane of a group of channels: rows a and b, columns first..first + count - 1 and, of b, `shift` further. */
static void widen_plane(const edgesea_conv *op, const int8_t *a, const int8_t *b, int shift, int first, int count,
                        int channels, int32_t *to, int next)
{
    const uint32_t zeros = (uint8_t)op->in_zero * 0x01010101U;
    const int8_t *const zero = (const int8_t *)&zeros;

    for (int run; count > 0; count -= run) {
        run = count;
        const int in_a = is_inside(first, op->in_width, &run) && a;
        const int in_b = is_inside(first + shift, op->in_width, &run) && b;
        pair_up(in_a ? a + first * op->in_channels : zero, in_a ? op->in_channels : 0,
                in_b ? b + (first + shift) * op->in_channels : zero, in_b ? op->in_channels : 0, run, channels, to, next);
        to += run;
        first += run;
    }
}

void edgesea_depthwise_paired_row(const void *constant, const edgesea_window *window, void *out, void *scratch)
{
    const edgesea_conv *op = (const edgesea_conv *)constant;
    int8_t *const result = (int8_t *)out;
    int32_t *const columns = (int32_t *)scratch;
    const int channels = op->in_channels, group = channels < 4 ? channels : 4;
    const int height = op->kernel_height, planes = (height + 1) / 2;
    const int words = height / 2 * op->kernel_width + (height % 2) * ((op->kernel_width + 1) / 2);

    for (int x = 0; x < op->out_width; x += SEGMENT) {
        const int outputs = op->out_width - x < SEGMENT ? op->out_width - x : SEGMENT;
        const int width = (outputs - 1) * op->stride + (op->kernel_width - 1) * op->dilation + 1;
        const int first = x * op->stride - op->pad_left;
        for (int c = 0, done = 0;; c = c + 2 * group <= channels ? c + group : channels - group) {
            for (int p = 0; p < planes; p++) {
                const int8_t *a = (const int8_t *)window->rows[2 * p];
                const int alone = 2 * p + 1 == height;
                const int8_t *b = alone ? a : (const int8_t *)window->rows[2 * p + 1];
                widen_plane(op, a ? a + c : a, b ? b + c : b, alone ? op->dilation : 0, first, width, group,
                            columns + p * width, planes * width);
            }
            for (int i = done - c; i < group; i++) {
                channel_outputs(op, columns + i * planes * width, width,
                                (const int32_t *)op->weights + (c + i) * words, op->channels + c + i,
                                result + x * channels + c + i, outputs);
            }
            /* The last group may overlap the one before. */
            done = c + group;
            if (done == channels) {
                break;
            }
        }
    }
    edgesea_clamp_dsp(op, result, op->out_width * op->in_channels);
}

#endif
