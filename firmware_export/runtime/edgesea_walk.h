/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_walk.h: walks through memory along several axes, the last one fastest. */
#ifndef EDGESEA_WALK_H
#define EDGESEA_WALK_H

#include "edgesea_kernels.h"

#define EDGESEA_WALK_AXES 8

/* Where a walk stands: bytes or values from its beginning. counters: [rank], from 0. */
typedef struct edgesea_walk {
    int32_t counters[EDGESEA_WALK_AXES];
    int32_t in;
    int32_t out;
} edgesea_walk;

/* Goes on to the next point; 0 when all have been visited, and the walk is back at its beginning. */
static inline int edgesea_walk_on(edgesea_walk *walk, const edgesea_axis *axes, int rank)
{
    for (int i = rank - 1; i >= 0; i--) {
        walk->in += axes[i].in_stride;
        walk->out += axes[i].out_stride;
        if (++walk->counters[i] < axes[i].size) {
            return 1;
        }
        walk->counters[i] = 0;
        walk->in -= axes[i].size * axes[i].in_stride;
        walk->out -= axes[i].size * axes[i].out_stride;
    }
    return 0;
}

#endif
