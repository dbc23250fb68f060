/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_depthwise_paired_row for Arm's vector extension: sixteen taps of one channel an instruction.
 *
 * Sixteen channels of the rows that a window covers are interleaved, four taps of a channel to a word. One gathering load
 * then fetches four words of a channel, wherever they lie, and one VMLADAV makes a 3x3 kernel's sum of them.
 *
 * Which four taps a word holds depends on how many rows there are. Rows go four at a time: four or three of them make a
 * word a column; two of them, which may be left over, a word of two columns; one of them a word of four columns.
 */
#include "edgesea_kernels.h"
#include "edgesea_vector_mve.h"

#if EDGESEA_PATH == EDGESEA_PATH_MVE

/* Outputs that are made at once, to bound the working memory of long rows; bytes of a column of sixteen channels. */
enum { SEGMENT = 16, COLUMN = 4 * EDGESEA_BATCH };

/* One vector of the kernels of some channels, four at a time; the assembly knows the offsets.
 * columns  the first channel's word in the first output's first column; step: bytes to the next output's
 * weights  sixteen of the first channel; apart: bytes to the next channel's
 * offsets  [4]: where the words lie, in bytes from `columns`
 * sums     [pixels][EDGESEA_BATCH]
 * quads    how many times four channels
 */
typedef struct vector {
    const int8_t *columns;
    int32_t step;
    const int8_t *weights;
    int32_t apart;
    const uint32_t *offsets;
    int32_t *sums;
    int32_t pixels;
    int32_t quads;
} vector;

/* r0 columns, r12 is r0 + 4, for the fourth channel; r1 step, r2 weights, r3 apart, r5 sums; r7 and r11 columns and sums of
 * the first pixel, r9 quads; q0..q3 weights, q4..q6 offsets of channels 0..2. */
#define FOUR_CHANNELS(name, load, operation)                                                 \
    static __attribute__((naked, noinline, aligned(4))) void name(const vector *v __attribute__((unused))) \
    {                                                                                        \
        __asm__ volatile(                                                                    \
            "push {r0, r4-r11, lr}\n"                                                        \
            "vpush {d8-d15}\n"                                                               \
            "ldr r9, [r0, #28]\n"                                                            \
            "ldr r5, [r0, #16]\n"                                                            \
            "ldr r11, [r0, #20]\n"                                                           \
            "vldrw.32 q4, [r5]\n"                                                            \
            "mov r4, #4\n"                                                                   \
            "vadd.i32 q5, q4, r4\n"                                                          \
            "vadd.i32 q6, q5, r4\n"                                                          \
            "ldmia r0, {r1, r2, r4, r6}\n"                                                   \
            "mov r7, r1\n"                                                                   \
            "mov r1, r2\n"                                                                   \
            "mov r2, r4\n"                                                                   \
            "mov r3, r6\n"                                                                   \
            "9:\n"                                                                           \
            "vldrb.8 q0, [r2]\n"                                                             \
            "add r2, r3\n"                                                                   \
            "vldrb.8 q1, [r2]\n"                                                             \
            "add r2, r3\n"                                                                   \
            "vldrb.8 q2, [r2]\n"                                                             \
            "add r2, r3\n"                                                                   \
            "vldrb.8 q3, [r2]\n"                                                             \
            "add r2, r3\n"                                                                   \
            "ldr r0, [sp, #64]\n"                                                            \
            "ldr lr, [r0, #24]\n"                                                            \
            "mov r0, r7\n"                                                                   \
            "add r12, r7, #4\n"                                                              \
            "mov r5, r11\n"                                                                  \
            "dls lr, lr\n"                                                                   \
            "1:\n" load                                                                      \
            "vldrw.u32 q7, [r0, q4]\n" operation " r4, q7, q0\n"                             \
            "vldrw.u32 q7, [r0, q5]\n" operation " r6, q7, q1\n"                             \
            "vldrw.u32 q7, [r0, q6]\n" operation " r8, q7, q2\n"                             \
            "vldrw.u32 q7, [r12, q6]\n" operation " r10, q7, q3\n"                           \
            "add r0, r1\n"                                                                   \
            "add r12, r1\n"                                                                  \
            "stm r5, {r4, r6, r8, r10}\n"                                                    \
            "adds r5, #64\n"                                                                 \
            "le lr, 1b\n"                                                                    \
            "adds r7, #16\n"                                                                 \
            "add r11, #16\n"                                                                 \
            "subs r9, #1\n"                                                                  \
            "bne 9b\n"                                                                       \
            "vpop {d8-d15}\n"                                                                \
            "pop {r0, r4-r11, pc}\n");                                                       \
    }

FOUR_CHANNELS(begin_sums, "", "vmladav.s8")
FOUR_CHANNELS(go_on_with_sums, "ldm r5, {r4, r6, r8, r10}\n", "vmladava.s8")

/* Channels to interleave; the assembly knows the offsets.
 * from   where a word's four taps come from; step: how far each is from the next column's, 0 where all is zero
 * run    columns; count: channels, up to sixteen
 */
typedef struct sources {
    const int8_t *from[4];
    int32_t step[4];
    int8_t *to;
    int32_t run;
    int32_t count;
} sources;

static __attribute__((naked, noinline, aligned(4))) void interleave(const sources *s __attribute__((unused)))
{
    __asm__ volatile(
        "push {r4-r11, lr}\n"
        "ldmia r0!, {r1-r8}\n"
        "ldmia r0, {r9-r11}\n"
        "vctp.8 r11\n"
        "dls lr, r10\n"
        "1: vpstttt\n"
        "vldrbt.8 q0, [r1]\n"
        "vldrbt.8 q1, [r2]\n"
        "vldrbt.8 q2, [r3]\n"
        "vldrbt.8 q3, [r4]\n"
        "add r1, r5\n"
        "add r2, r6\n"
        "add r3, r7\n"
        "add r4, r8\n"
        "vst40.8 {q0, q1, q2, q3}, [r9]\n"
        "vst41.8 {q0, q1, q2, q3}, [r9]\n"
        "vst42.8 {q0, q1, q2, q3}, [r9]\n"
        "vst43.8 {q0, q1, q2, q3}, [r9]!\n"
        "le lr, 1b\n"
        "pop {r4-r11, pc}\n");
}

/* Whether `column` lies inside the map; shortens a run that begins there to its part that stays in or out. */
static int is_inside(int column, int width, int *run)
{
    const int inside = column >= 0 && column < width;
    const int change = column < 0 ? -column : inside ? width - column : *run;

    if (change < *run) {
        *run = change;
    }
    return inside;
}

/* Interleaves channels channel..channel + count - 1 of three or four rows, columns first..first + width - 1. Columns outside
 * the map are the same for all channels: they are made only with the first. */
static int8_t *interleave_rows(const edgesea_conv *op, const void *const *rows, int height, int channel, int count,
                               int first, int width, const int8_t *zeros, int8_t *to)
{
    for (int run; width > 0; width -= run) {
        run = width;
        const int inside = is_inside(first, op->in_width, &run);
        if (inside || channel == 0) {
            const int offset = first * op->in_channels + channel;
            sources s;
            for (int i = 0; i < 4; i++) {
                const int8_t *row = inside && i < height ? (const int8_t *)rows[i] : NULL;
                s.from[i] = row ? row + offset : zeros;
                s.step[i] = row ? op->in_channels : 0;
            }
            s.to = to;
            s.run = run;
            s.count = count;
            interleave(&s);
        }
        to += run * COLUMN;
        first += run;
    }
    return to;
}

/* The same for one or two rows, whose words are of four or two columns. */
static int8_t *interleave_columns(const edgesea_conv *op, const void *const *rows, int height, int channel, int count,
                                  int first, int width, const int8_t *zeros, int8_t *to)
{
    for (int run; width > 0; width -= run) {
        sources s;
        run = width;
        for (int i = 0; i < 4; i++) {
            const int8_t *row = (const int8_t *)rows[i & (height - 1)];
            const int column = first + (i >> (height - 1)) * op->dilation;
            const int inside = is_inside(column, op->in_width, &run) && row;
            s.from[i] = inside ? row + column * op->in_channels + channel : zeros;
            s.step[i] = inside ? op->in_channels : 0;
        }
        s.to = to;
        s.run = run;
        s.count = count;
        interleave(&s);
        to += run * COLUMN;
        first += run;
    }
    return to;
}

/* Where the words of the kernel lie, in bytes from the first column of an output; returns how many vectors they make. */
static int locate(const edgesea_conv *op, int width, uint32_t *offsets)
{
    int words = 0;

    for (int y = 0; y < op->kernel_height; y += 4) {
        const int height = op->kernel_height - y < 4 ? op->kernel_height - y : 4;
        const int columns = height >= 3 ? 1 : 4 / height; /* of a word */
        for (int x = 0; x < op->kernel_width; x += columns) {
            offsets[words++] = (uint32_t)((y / 4 * width + x * op->dilation) * COLUMN);
        }
    }
    while (words % 4 != 0) {
        offsets[words++] = 0;
    }
    return words / 4;
}

/* The sums of channels channel..channel + count - 1, into sums [pixels][EDGESEA_BATCH]. */
static void sum(const edgesea_conv *op, const int8_t *columns, const uint32_t *offsets, int vectors, int channel,
                int count, int pixels, int32_t *sums)
{
    const int8_t *const weights = (const int8_t *)op->weights + channel * vectors * 16;
    vector v = {columns, op->stride * COLUMN, weights, vectors * 16, offsets, sums, pixels, count > 4 ? count / 4 : 1};

    for (;;) {
        begin_sums(&v);
        for (int i = 1; i < vectors; i++) {
            v.weights += 16;
            v.offsets += 4;
            go_on_with_sums(&v);
        }
        if (v.columns != columns || count < 4 || count % 4 == 0) {
            break;
        }
        /* The last four channels may overlap those before: they give the same sums again. */
        v.columns = columns + 4 * (count - 4);
        v.weights = weights + (count - 4) * vectors * 16;
        v.offsets = offsets;
        v.sums = sums + count - 4;
        v.quads = 1;
    }
}

void edgesea_depthwise_paired_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_conv *op = (const edgesea_conv *)constant;
    const int channels = op->in_channels;
    const int most = op->out_width < SEGMENT ? op->out_width : SEGMENT;
    int32_t *const sums = (int32_t *)scratch;                                    /* [most][EDGESEA_BATCH] */
    int8_t *const zeros = (int8_t *)(sums + most * EDGESEA_BATCH);               /* [16] */
    int8_t *const columns = zeros + 16;                                          /* [rows / 4][width][COLUMN] */
    const int reach = (op->kernel_width - 1) * op->dilation + 1;

    edgesea_fill_mve(zeros, op->in_zero, 16);
    for (int x = 0; x < op->out_width; x += most) {
        const int pixels = op->out_width - x < most ? op->out_width - x : most;
        const int width = (pixels - 1) * op->stride + reach;
        uint32_t *const offsets = (uint32_t *)(columns + (op->kernel_height + 3) / 4 * width * COLUMN);
        const int vectors = locate(op, width, offsets);
        for (int channel = 0, count; channel < channels; channel += count) {
            int8_t *to = columns;
            if (channels - channel < 4 && channel > 0) {
                channel = channels - 4; /* they give the same values again */
            }
            count = channels - channel < EDGESEA_BATCH ? channels - channel : EDGESEA_BATCH;
            for (int y = 0; y < op->kernel_height; y += 4) {
                const int height = op->kernel_height - y < 4 ? op->kernel_height - y : 4;
                to = (height >= 3 ? interleave_rows : interleave_columns)(
                    op, window->rows + y, height, channel, count, x * op->stride - op->pad_left, width, zeros, to);
            }
            sum(op, columns, offsets, vectors, channel, count, pixels, sums);
            edgesea_finish_batch_mve(op, sums, channel, count, pixels, (int8_t *)result + x * channels);
        }
    }
}

#endif
