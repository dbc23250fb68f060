/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_finish_batch_mve: requantises the sums of a few pixels, four channels at a time. */
#include "edgesea_vector_mve.h"

#if EDGESEA_PATH == EDGESEA_PATH_MVE

/* Four channels at a time: q0 bias, q1 multiplier, q2 rounding, q3 shift, q6 low, q7 high. SIGN takes one from a negative
 * sum's result, which so rounds its halves downwards. */
#define SIGN "vshr.s32 q4, q4, #31\n" "vadd.i32 q5, q5, q4\n"
#define FINISH(sign, put)                                                                                       \
    __asm__ volatile(                                                                                           \
        "vdup.32 q6, %[low]\n"                                                                                  \
        "vdup.32 q7, %[high]\n"                                                                                 \
        "1: vld40.32 {q0, q1, q2, q3}, [%[records]]\n"                                                          \
        "vld41.32 {q0, q1, q2, q3}, [%[records]]\n"                                                             \
        "vld42.32 {q0, q1, q2, q3}, [%[records]]\n"                                                             \
        "vld43.32 {q0, q1, q2, q3}, [%[records]]!\n"                                                            \
        "vneg.s32 q3, q3\n"                                                                                     \
        "mov %[from], %[sums]\n"                                                                                \
        "mov %[to], %[out]\n"                                                                                   \
        "dls lr, %[pixels]\n"                                                                                   \
        "2: vldrw.32 q4, [%[from]], #64\n"                                                                      \
        "vadd.i32 q4, q4, q0\n"                                                                                 \
        "vqrdmulh.s32 q5, q4, q1\n"                                                                             \
        "vadd.i32 q5, q5, q2\n" sign                                                                            \
        "vshl.s32 q5, q5, q3\n"                                                                                 \
        "vmax.s32 q5, q5, q6\n"                                                                                 \
        "vmin.s32 q5, q5, q7\n"                                                                                 \
        put                                                                                                     \
        "add %[to], %[channels]\n"                                                                              \
        "le lr, 2b\n"                                                                                           \
        "add %[sums], #16\n"                                                                                    \
        "add %[out], #4\n"                                                                                      \
        "subs %[groups], #1\n"                                                                                  \
        "bne 1b\n"                                                                                              \
        : [records] "+r"(records), [sums] "+r"(sums), [out] "+r"(out), [groups] "+r"(groups), [from] "=&r"(from), \
          [to] "=&l"(to)                                                                                        \
        : [pixels] "r"(pixels), [channels] "r"(channels), [low] "r"(low), [high] "r"(high)             \
        : "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "cc", "memory")

/* All four channels; the first few that P0 names. */
#define PUT "vstrb.32 q5, [%[to]]\n"
#define PUT_FEW "vpst\n" "vstrbt.32 q5, [%[to]]\n"

static void finish_few(const edgesea_conv *op, const int32_t *sums, int count, int pixels, int8_t *out)
{
    const edgesea_channel *records = op->channels;
    const int32_t low = op->low, high = op->high, channels = op->out_channels;
    int groups = 1;
    const int32_t *from;
    int8_t *to;

    __asm__ volatile("vctp.32 %0" : : "r"(count));
    FINISH(SIGN, PUT_FEW);
}

void edgesea_finish_batch_mve(const edgesea_conv *op, const int32_t *sums, int first, int count, int pixels,
                              int8_t *out)
{
    const edgesea_channel *records = op->channels + first;
    const int32_t low = op->low, high = op->high, channels = op->out_channels;
    int groups = count / 4;
    const int32_t *from;
    int8_t *to;

    if (count < 4) {
        finish_few(op, sums, count, pixels, out);
        return;
    }
    if (count % 4 != 0) {
        /* The last four channels may overlap those before: they give the same values again. */
        edgesea_finish_batch_mve(op, sums + count - 4, first + count - 4, 4, pixels, out);
    }
    out += first;
    if (op->flags & EDGESEA_RELU) {
        /* No negative result is left to round. */
        FINISH("", PUT);
    } else {
        FINISH(SIGN, PUT);
    }
}

#endif
