/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "edgesea_nearest.h"
#include "edgesea_walk.h"

void edgesea_sum(const edgesea_sum_constant *op, const int8_t *in, int8_t *out)
{
    edgesea_walk outer;

    memset(&outer, 0, sizeof outer);
    do {
        edgesea_walk inner;
        int32_t sum = 0;
        volatile float scaled; /* keeps a compiler from joining product and addition */
        memset(&inner, 0, sizeof inner);
        do {
            sum += in[outer.in + inner.in];
        } while (edgesea_walk_on(&inner, op->axes + op->kept, op->reduced));
        scaled = (float)sum * op->scale;
        sum = edgesea_nearest(scaled + op->bias) + op->out_zero;
        *out++ = (int8_t)(sum < -128 ? -128 : sum > 127 ? 127 : sum);
    } while (edgesea_walk_on(&outer, op->axes, op->kept));
}
