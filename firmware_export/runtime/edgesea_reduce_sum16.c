/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_reduce_sum16: sums or means of int16 values over any set of axes. */
#include <string.h>

#include "edgesea_requantize.h"
#include "edgesea_walk.h"

void edgesea_reduce_sum16(const edgesea_reduce *op, const int16_t *in, int16_t *out)
{
    edgesea_walk outer;

    memset(&outer, 0, sizeof outer);
    do {
        edgesea_walk inner;
        int32_t sum = op->offset;
        memset(&inner, 0, sizeof inner);
        do {
            sum += in[outer.in + inner.in];
        } while (edgesea_walk_on(&inner, op->axes + op->kept, op->reduced));
        sum = edgesea_scale_twice(sum, op->multiplier, op->shift) + op->out_zero;
        *out++ = edgesea_clamp16(sum, op->low, op->high);
    } while (edgesea_walk_on(&outer, op->axes, op->kept));
}
