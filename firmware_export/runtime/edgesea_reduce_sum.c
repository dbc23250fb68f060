/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_reduce_sum: sums or means over any set of axes. */
#include <string.h>

#include "edgesea_requantize.h"
#include "edgesea_walk.h"

void edgesea_reduce_sum(const edgesea_reduce *op, const int8_t *in, int8_t *out)
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
        *out++ = (int8_t)(sum < op->low ? op->low : sum > op->high ? op->high : sum);
    } while (edgesea_walk_on(&outer, op->axes, op->kept));
}
