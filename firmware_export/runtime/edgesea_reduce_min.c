/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_reduce_min: the smallest values over any set of axes. */
#include <string.h>

#include "edgesea_walk.h"

void edgesea_reduce_min(const edgesea_reduce *op, const int8_t *in, int8_t *out)
{
    edgesea_walk outer;

    memset(&outer, 0, sizeof outer);
    do {
        edgesea_walk inner;
        int8_t smallest = 127;
        memset(&inner, 0, sizeof inner);
        do {
            const int8_t value = in[outer.in + inner.in];
            smallest = value < smallest ? value : smallest;
        } while (edgesea_walk_on(&inner, op->axes + op->kept, op->reduced));
        *out++ = smallest;
    } while (edgesea_walk_on(&outer, op->axes, op->kept));
}
