/* edgesea_depthwise_paired_row for Arm's DSP extension: a depthwise convolution of at most three rows, four channels at
 * a time.
 *
 * Every input column of the four channels is widened once into six words: two rows of each channel side by side for
 * the dual multiplication, and the third row by itself. An output then costs one load, one dual and one single
 * multiplication a column. In assembly, because weights, sums and constants fill all fourteen registers.
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

/* One channel of a row of a 3x3 kernel; the assembly knows the offsets. */
typedef struct channel {
    const int32_t *first;
    const int32_t *pairs_end; /* where the first column of a pair of outputs is no more one */
    const int32_t *end;       /* where the first column of an output is no more one */
    int8_t *out;
    int32_t stride; /* bytes between outputs */
    int32_t step;   /* bytes between the first columns of two outputs */
    const int32_t *weights;
    const edgesea_channel *constants;
} channel;

/* r0 column, r1 out, r2 and r3 a column's words, r4..r6 weights of two rows, r7 and r8 of the third, r9 multiplier,
 * r10 rounding, r11 shift, r12 and r14 sums. [sp] doubled bias, #4 stride, #8 step, #12 end, #16 the end of pairs.
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

#define CHANNEL(name, two, one, h)                                                                               \
    static __attribute__((naked, noinline)) void name(const channel *c __attribute__((unused)))                  \
    {                                                                                                            \
        __asm__ volatile(                                                                                        \
            "push {r4-r11, r14}\n"                                                                               \
            "sub sp, #20\n"                                                                                      \
            "ldmia r0, {r0-r7}\n"                                                                                \
            "str r1, [sp, #16]\n"                                                                                \
            "str r2, [sp, #12]\n"                                                                                \
            "str r5, [sp, #8]\n"                                                                                 \
            "str r4, [sp, #4]\n"                                                                                 \
            "ldmia r7, {r8-r11}\n"                                                                               \
            "lsl r8, r8, #1\n"                                                                                   \
            "str r8, [sp]\n"                                                                                     \
            "mov r2, r1\n"                                                                                       \
            "mov r1, r3\n"                                                                                       \
            "ldmia r6, {r4-r8}\n"                                                                                \
            "cmp r0, r2\n"                                                                                       \
            "beq 2f\n"                                                                                           \
            "1:\n"                                                                                               \
            "ldr r12, [sp]\n"                                                                                    \
            "ldrd r2, r3, [r0], #48\n"                                                                           \
            "mov r14, r12\n" LEFT("r12", two, one, h)                                                            \
            "ldrd r2, r3, [r0, #-24]\n" MIDDLE("r12", two, one, h) LEFT("r14", two, one, h)                      \
            "ldrd r2, r3, [r0]\n" RIGHT("r12", two, one, h) MIDDLE("r14", two, one, h)                           \
            "ldrd r2, r3, [r0, #24]\n" RIGHT("r14", two, one, h)                                                 \
            "ldr r3, [sp, #4]\n" PUT("r12", "") PUT("r14", ", r3")                                               \
            "add r1, r1, r3, lsl #1\n"                                                                           \
            "ldr r2, [sp, #16]\n"                                                                                \
            "cmp r0, r2\n"                                                                                       \
            "bne 1b\n"                                                                                           \
            "2:\n"                                                                                               \
            "ldr r2, [sp, #12]\n"                                                                                \
            "cmp r0, r2\n"                                                                                       \
            "beq 4f\n"                                                                                           \
            "3:\n"                                                                                               \
            "ldr r12, [sp]\n"                                                                                    \
            "ldrd r2, r3, [r0]\n" LEFT("r12", two, one, h)                                                       \
            "ldrd r2, r3, [r0, #24]\n" MIDDLE("r12", two, one, h)                                                \
            "ldrd r2, r3, [r0, #48]\n" RIGHT("r12", two, one, h)                                                 \
            PUT("r12", "")                                                                                       \
            "ldrd r2, r3, [sp, #4]\n"                                                                            \
            "add r1, r2\n"                                                                                       \
            "ldr r2, [sp, #12]\n"                                                                                \
            "add r0, r3\n"                                                                                       \
            "cmp r0, r2\n"                                                                                       \
            "bne 3b\n"                                                                                           \
            "4:\n"                                                                                               \
            "add sp, #20\n"                                                                                      \
            "pop {r4-r11, pc}\n");                                                                               \
    }

CHANNEL(low_channel, "r2", "r3", "b")
CHANNEL(high_channel, "r3", "r2", "t")

static inline int32_t dual(int32_t a, int32_t b, int32_t sum)
{
    __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
    return sum;
}

/* One channel of a row of any kernel of at most three rows. */
static void any_channel(const edgesea_conv *op, const channel *c, int two, int one, int half)
{
    const int32_t *column = c->first;
    int8_t *out = c->out;

    for (int x = 0; x < op->out_width; x++) {
        const int16_t *weights = (const int16_t *)c->weights;
        const int32_t *at = column;
        int32_t sum = 2 * c->constants->bias;
        if (op->kernel_height > 1) {
            for (int kx = 0; kx < op->kernel_width; kx++) {
                int32_t pair;
                memcpy(&pair, weights, sizeof pair);
                sum = dual(at[two], pair, sum);
                at += op->dilation * COLUMN_WORDS;
                weights += 2;
            }
            at = column;
        }
        if (op->kernel_height % 2 == 1) {
            for (int kx = 0; kx < op->kernel_width; kx++) {
                sum += (half ? at[one] >> 16 : (int16_t)at[one]) * *weights++;
                at += op->dilation * COLUMN_WORDS;
            }
        }
        {
            const int32_t scaled = (int32_t)(((int64_t)sum * c->constants->multiplier + ((int64_t)1 << 31)) >> 32);
            const int32_t value = (scaled + c->constants->round - (sum < 0)) >> c->constants->shift;
            *out = (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
        }
        out += c->stride;
        column += c->step / (int32_t)sizeof(int32_t);
    }
}

static int32_t *fill(int32_t *to, int columns, int32_t pair)
{
    for (int i = columns * COLUMN_WORDS; i > 0; i--) {
        *to++ = pair;
    }
    return to;
}

void edgesea_depthwise_paired_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_conv *op = (const edgesea_conv *)constant;
    const int channels = op->in_channels;
    const int height = op->kernel_height;
    const int reach = (op->out_width - 1) * op->stride + (op->kernel_width - 1) * op->dilation + 1;
    const int beyond = reach - op->pad_left - op->in_width;
    const int read = beyond < 0 ? op->in_width + beyond : op->in_width;
    const uint32_t zeros = (uint8_t)op->in_zero * 0x01010101U;
    const int32_t zero_pair = (int32_t)(((uint32_t)op->in_zero & 0xffffU) * 0x10001U);
    const int words = height / 2 * op->kernel_width + (height % 2) * (op->kernel_width + 1) / 2;
    /* Which of the window's rows are top, middle and bottom; a kernel of one row has only a bottom. */
    const int places[3] = {height > 1 ? 0 : -1, height > 1 ? 1 : -1, height % 2 ? height - 1 : -1};
    int32_t *const columns = (int32_t *)scratch;
    int group = 0;

    for (;;) {
        rows from;
        for (int i = 0; i < 3; i++) {
            const int8_t *row = places[i] < 0 ? NULL : (const int8_t *)window->rows[places[i]];
            from.row[i] = row ? row + group : (const int8_t *)&zeros;
            from.step[i] = row ? channels : 0;
        }
        from.columns = fill(columns, op->pad_left, zero_pair);
        from.end = from.columns + read * COLUMN_WORDS;
        widen(&from);
        if (beyond > 0) {
            fill(from.end, beyond, zero_pair);
        }
        for (int i = 0; i < 4; i++) {
            channel c;
            const int high = i >= 2;
            /* Channels 0 and 2 share the first three words of a column, 1 and 3 the others. */
            c.first = columns + (i & 1) * 3 + high;
            c.step = op->stride * COLUMN_WORDS * (int32_t)sizeof(int32_t);
            c.end = c.first + op->out_width * op->stride * COLUMN_WORDS;
            c.pairs_end = c.first + (op->stride == 1 ? op->out_width & ~1 : 0) * COLUMN_WORDS;
            c.out = (int8_t *)result + group + i;
            c.stride = channels;
            c.weights = (const int32_t *)op->weights + (group + i) * words;
            c.constants = &op->channels[group + i];
            if (height == 3 && op->kernel_width == 3 && op->dilation == 1) {
                (high ? high_channel : low_channel)(&c);
            } else if (high) {
                any_channel(op, &c, 1, 0, 1);
            } else {
                any_channel(op, &c, 0, 1, 0);
            }
        }
        if (group + 4 == channels) {
            break;
        }
        /* The last four channels may overlap those before: they give the same values again. */
        group = group + 8 <= channels ? group + 4 : channels - 4;
    }
    edgesea_clamp_dsp(op, (int8_t *)result, op->out_width * channels);
}

#endif
