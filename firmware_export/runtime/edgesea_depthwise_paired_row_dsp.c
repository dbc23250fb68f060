/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_depthwise_paired_row for Arm's DSP extension: four channels at a time, whose input columns are widened once so
 * that two taps of a channel lie side by side for the dual multiplication.
 *
 * A 3x3 kernel has weights and constants in registers: a column is six words, two rows of each channel side by side and
 * the third row by itself, and an output costs one load, one dual and one single multiplication a column. Of any
 * other kernel each weight is loaded once for four outputs.
 */
#include <string.h>

#include "edgesea_kernels.h"
#include "edgesea_dot_dsp.h"

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

static __attribute__((naked, noinline)) void widen(const rows *from __attribute__((unused)))
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
static __attribute__((naked, noinline)) void four_channels(const quad *q __attribute__((unused)))
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

/* ---- any kernel ------------------------------------------------------------------------------------------------ */

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
    static __attribute__((naked, noinline)) void name(segment *s __attribute__((unused)))        \
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

/* Any kernel: up to four channels of a segment of the row, from its first output on. */
static void any_kernel(const edgesea_conv *op, const edgesea_window *window, int8_t *result, int32_t *columns)
{
    const int channels = op->in_channels, group = channels < 4 ? channels : 4;
    const int height = op->kernel_height, planes = (height + 1) / 2;
    const int words = height / 2 * op->kernel_width + (height % 2) * ((op->kernel_width + 1) / 2);

    for (int x = 0; x < op->out_width; x += SEGMENT) {
        const int outputs = op->out_width - x < SEGMENT ? op->out_width - x : SEGMENT;
        const int width = (outputs - 1) * op->stride + (op->kernel_width - 1) * op->dilation + 1;
        const int first = x * op->stride - op->pad_left;
        for (int c = 0;; c = c + 2 * group <= channels ? c + group : channels - group) {
            for (int p = 0; p < planes; p++) {
                const int8_t *a = (const int8_t *)window->rows[2 * p];
                const int alone = 2 * p + 1 == height;
                const int8_t *b = alone ? a : (const int8_t *)window->rows[2 * p + 1];
                widen_plane(op, a ? a + c : a, b ? b + c : b, alone ? op->dilation : 0, first, width, group,
                            columns + p * width, planes * width);
            }
            for (int i = 0; i < group; i++) {
                channel_outputs(op, columns + i * planes * width, width,
                                (const int32_t *)op->weights + (c + i) * words, op->channels + c + i,
                                result + x * channels + c + i, outputs);
            }
            if (c + group == channels) {
                break;
            }
            /* The last channels may overlap those before: they give the same values again. */
        }
    }
}

/* ---- 3x3 ------------------------------------------------------------------------------------------------------- */

static int32_t *fill(int32_t *to, int columns, int32_t pair)
{
    for (int i = columns * COLUMN_WORDS; i > 0; i--) {
        *to++ = pair;
    }
    return to;
}

/* Widens columns of four channels from `group` on, of rows at `bases`, into memory from `columns` on.
 * Of fewer than four channels the last column is read by itself: nothing may be read behind it. */
static void widen_columns(const edgesea_conv *op, const int8_t *const *bases, const int32_t *steps, int group, int read,
                          int32_t *columns)
{
    const int alone = op->in_channels < 4 && read == op->in_width;
    int8_t last[3][4];
    rows from;

    for (int i = 0; i < 3; i++) {
        from.step[i] = steps[i];
        from.row[i] = steps[i] ? bases[i] + group : bases[i];
    }
    from.columns = columns;
    from.end = columns + (read - alone) * COLUMN_WORDS;
    if (from.end != columns) {
        widen(&from);
    }
    if (alone) {
        for (int i = 0; i < 3; i++) {
            memcpy(last[i], bases[i] + (read - 1) * steps[i], steps[i] ? (size_t)op->in_channels : sizeof last[i]);
            from.row[i] = last[i];
        }
        from.columns = from.end;
        from.end += COLUMN_WORDS;
        widen(&from);
    }
}

/* out  four channels a pixel where there are fewer, else as many as there are */
static void three_by_three(const edgesea_conv *op, const edgesea_window *window, int8_t *out, int32_t *columns)
{
    enum { WORDS = 5 };
    const int channels = op->in_channels < 4 ? 4 : op->in_channels;
    const int beyond = (op->out_width - 1) * op->stride + 3 - op->pad_left - op->in_width;
    const int read = beyond < 0 ? op->in_width + beyond : op->in_width;
    const uint32_t zeros = (uint8_t)op->in_zero * 0x01010101U;
    const int32_t zero_pair = (int32_t)(((uint32_t)op->in_zero & 0xffffU) * 0x10001U);
    int32_t *const inside = fill(columns, op->pad_left, zero_pair);
    const int8_t *bases[3];
    int32_t steps[3];
    quad q;

    for (int i = 0; i < 3; i++) {
        const int8_t *row = (const int8_t *)window->rows[i];
        bases[i] = row ? row : (const int8_t *)&zeros;
        steps[i] = row ? op->in_channels : 0;
    }
    if (beyond > 0) {
        fill(inside + read * COLUMN_WORDS, beyond, zero_pair);
    }
    q.stride = channels;
    q.step = op->stride * COLUMN_WORDS * (int32_t)sizeof(int32_t);
    q.first = columns;
    q.all = op->out_width * q.step;
    q.pairs = op->stride == 1 ? (op->out_width & ~1) * q.step : 0;
    for (int group = 0;; group = group + 8 <= channels ? group + 4 : channels - 4) {
        widen_columns(op, bases, steps, group, read, inside);
        q.out = out + group;
        q.weights = (const int32_t *)op->weights + group * WORDS;
        q.channels = op->channels + group;
        four_channels(&q);
        if (group + 4 == channels) {
            break;
        }
        /* The last four channels may overlap those before: they give the same values again. */
    }
}

/* 3x3 on fewer than four channels: made as if there were four, and copied. */
static void few_channels(const edgesea_conv *op, const edgesea_window *window, int8_t *result, int8_t *scratch)
{
    const int8_t *from = scratch;

    three_by_three(op, window, scratch, (int32_t *)(void *)(scratch + 4 * op->out_width));
    for (int x = 0; x < op->out_width; x++) {
        for (int c = 0; c < op->in_channels; c++) {
            *result++ = from[c];
        }
        from += 4;
    }
}

void edgesea_depthwise_paired_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_conv *op = (const edgesea_conv *)constant;

    if (op->kernel_height != 3 || op->kernel_width != 3 || op->dilation != 1) {
        any_kernel(op, window, (int8_t *)result, (int32_t *)scratch);
    } else if (op->in_channels < 4) {
        few_channels(op, window, (int8_t *)result, (int8_t *)scratch);
    } else {
        three_by_three(op, window, (int8_t *)result, (int32_t *)scratch);
    }
    edgesea_clamp_dsp(op, (int8_t *)result, op->out_width * op->in_channels);
}

#endif
