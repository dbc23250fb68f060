/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_dot_dsp.h: the innermost loop of convolutions on cores with Arm's DSP extension.
 *
 * Up to five pixels meet all output channels at once: a word of weights is widened to int16 once and multiplied
 * with the inputs of every pixel, which lie interleaved so that one LDM fetches them. For each four weights of a
 * channel and P pixels that is 5 + 2 P instructions for 4 P products: 0.75 a product at P = 5.
 */
#ifndef EDGESEA_DOT_DSP_H
#define EDGESEA_DOT_DSP_H

#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_DSP

enum { EDGESEA_DOT_PIXELS = 5 };

/* How many pixels are met at once where so many are left. */
static inline int edgesea_dot_pixels(int left)
{
    if (left >= EDGESEA_DOT_PIXELS) {
        return EDGESEA_DOT_PIXELS;
    }
    return EDGESEA_OPTIMIZE_SIZE ? 1 : left;
}

/* One call's work. The assembly knows the offsets: keep the order.
 * inputs    depth4 * pixels int16, widened: word [quad][half][pixel] holds taps (4 quad + half, 4 quad + half + 2)
 * end       just past them
 * skip      (4 - depth4 / 4 % 4) % 4: how many of four unrolled blocks the first round leaves out
 * weights   of the first channel's first tap here; `before` and `after` bytes lie between the ends and starts of two
 *           channels' taps: used when the sums continue earlier ones, or go on in a later call
 * channel   first of the records, last: just past them
 * out       first pixel's first channel; the next pixel is `stride` bytes on
 * sums      NULL: begin with the bias. Else [channels][pixels] int32 to go on from.
 * keep      NULL: requantise into out. Else [channels][pixels] int32 to leave the sums in; may be `sums`.
 */
typedef struct edgesea_dot_work {
    const int32_t *inputs;
    const int32_t *end;
    const int8_t *weights;
    int32_t skip;
    const edgesea_channel *channel;
    const edgesea_channel *last;
    int8_t *out;
    int32_t stride;
    const int32_t *sums;
    int32_t before;
    int32_t *keep;
    int32_t after;
} edgesea_dot_work;

/* pixels 1..5; 1 or 5 where there are no others */
void edgesea_dot_dsp(const edgesea_dot_work *dot, int pixels);

/* Clamps values of -128..127 to the operator's range where that is narrower; nothing does so on the way here. */
static inline void edgesea_clamp_dsp(const edgesea_conv *op, int8_t *values, int count)
{
    if (op->flags & EDGESEA_FULL_RANGE) {
        return;
    }
    for (int i = 0; i < count; i++) {
        const int8_t value = values[i];
        values[i] = value < op->low ? op->low : value > op->high ? op->high : value;
    }
}

#endif
#endif
