/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_reduce_min16: the smallest int16 values over any set of axes. */
#include <string.h>

#include "edgesea_walk.h"

void edgesea_reduce_min16(const edgesea_reduce *op, const int16_t *in, int16_t *out)
{
    edgesea_walk outer;

    memset(&outer, 0, sizeof outer);
    do {
        edgesea_walk inner;
        int16_t smallest = 32767;
        memset(&inner, 0, sizeof inner);
        do {
            const int16_t value = in[outer.in + inner.in];
            smallest = value < smallest ? value : smallest;
        } while (edgesea_walk_on(&inner, op->axes + op->kept, op->reduced));
        *out++ = smallest;
    } while (edgesea_walk_on(&outer, op->axes, op->kept));
}
