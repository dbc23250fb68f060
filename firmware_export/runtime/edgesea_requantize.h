/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_requantize.h: from an int32 accumulator to an int8 value, rounded as TensorFlow Lite's reference does.
 *
 * The scale ratio is multiplier * 2^(shift - 31), multiplier 0 or in 2^30..2^31-1, shift -31..30.
 * TensorFlow Lite rounds some operators twice (after the multiplication, then after the shift: gemmlowp's way) and
 * others once; the two differ by one step about once in a thousand values, so each operator must follow its own.
 */
#ifndef EDGESEA_REQUANTIZE_H
#define EDGESEA_REQUANTIZE_H

#include <stdint.h>

#include "edgesea_kernels.h"

/* round(round(value * 2^max(shift, 0) * multiplier / 2^31) / 2^max(-shift, 0)): the first rounds halves up, the second
 * halves away from zero. value * 2^max(shift, 0) is within int32. */
static inline int32_t edgesea_scale_twice(int32_t value, int32_t multiplier, int shift)
{
    const int left = shift > 0 ? shift : 0;
    const int right = shift > 0 ? 0 : -shift;
    const int64_t product = (int64_t)value * (1 << left) * multiplier;
    const int32_t high = (int32_t)((product + (1 << 30)) >> 31);
    const int32_t half = (int32_t)((1U << right) >> 1);
    return (int32_t)(((int64_t)high + half - (high < 0 && right > 0)) >> right);
}

/* round(value * multiplier * 2^(shift - 31)), halves up. */
static inline int32_t edgesea_scale_once(int32_t value, int32_t multiplier, int shift)
{
    const int right = 31 - shift;
    return (int32_t)(((int64_t)value * multiplier + ((int64_t)1 << (right - 1))) >> right);
}

/* value + zero, clamped to low..high. */
static inline int8_t edgesea_clamp(int32_t value, int8_t zero, int8_t low, int8_t high)
{
    value += zero;
    return (int8_t)(value < low ? low : value > high ? high : value);
}

/* The sum of output channel c as an int8 value: what edgesea_channel says. */
static inline int8_t edgesea_finish(const edgesea_conv *op, int c, int32_t sum)
{
    const edgesea_channel *channel = &op->channels[c];
    int32_t value;

    if (op->flags & EDGESEA_GENERAL) {
        value = edgesea_scale_twice(sum, channel->multiplier, channel->shift) + op->out_zero;
    } else {
        value = (int32_t)(((int64_t)sum * channel->multiplier + (1 << 30)) >> 31);
        value = (value + channel->round - (sum < 0)) >> channel->shift;
    }
    return (int8_t)(value < op->low ? op->low : value > op->high ? op->high : value);
}

/* The sum of an int16 convolution's output channel as an int16 value: what edgesea_channel16 says. */
static inline int16_t edgesea_finish16(const edgesea_conv16 *op, int c, int64_t sum)
{
    const edgesea_channel16 *channel = &op->channels[c];
    const int64_t half = (int64_t)1 << (channel->shift - 1);
    const int32_t value = (int32_t)((sum * channel->multiplier + half) >> channel->shift);
    return (int16_t)(value < op->low ? op->low : value > op->high ? op->high : value);
}

static inline int16_t edgesea_clamp16(int32_t value, int16_t low, int16_t high)
{
    return (int16_t)(value < low ? low : value > high ? high : value);
}

#endif
