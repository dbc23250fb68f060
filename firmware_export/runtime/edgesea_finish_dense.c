/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_finish_dense: sums of a dense layer as int8, rounded once. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

/* Where the shift is -23..-2, rounding touches only the upper half of the product, whose lower half is cut off, and the zero
 * point joins the rounding. */
static int is_usual(int shift) { return shift >= -23 && shift <= -2; }

/* `count` sums that are scaled alike, in the usual way. */
static void usual(const edgesea_dense *op, int channel, int count, const int32_t *sums, int8_t *out)
{
    const int32_t multiplier = op->multiplier[channel], low = op->low, high = op->high;
    const int right = -1 - op->shift[channel];
    const int32_t round = (1 << (right - 1)) + op->out_zero * (1 << right);

    for (int i = 0; i < count; i++) {
        const int32_t value = ((int32_t)((int64_t)sums[i] * multiplier >> 32) + round) >> right;
        out[i] = (int8_t)(value < low ? low : value > high ? high : value);
    }
}

void edgesea_finish_dense(const edgesea_dense *op, int first, int count, const int32_t *sums, int8_t *out)
{
    if (!op->per_channel && is_usual(op->shift[0])) {
        usual(op, 0, count, sums, out);
        return;
    }
    for (int i = 0; i < count; i++) {
        const int channel = (first + i) * op->per_channel;
        if (is_usual(op->shift[channel])) {
            usual(op, channel, 1, sums + i, out + i);
        } else {
            const int32_t value = edgesea_scale_once(sums[i], op->multiplier[channel], op->shift[channel]);
            out[i] = edgesea_clamp(value, op->out_zero, op->low, op->high);
        }
    }
}
