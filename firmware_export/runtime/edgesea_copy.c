/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_copy: copies runs of bytes from one layout to another. */
#include <string.h>

#include "edgesea_walk.h"

void edgesea_copy(const edgesea_copy_constant *op, const void *in, void *out)
{
    const uint8_t *from = (const uint8_t *)in + op->in_first;
    uint8_t *to = (uint8_t *)out + op->out_first;
    edgesea_walk walk;

    memset(&walk, 0, sizeof walk);
    do {
        memcpy(to + walk.out, from + walk.in, op->run);
    } while (edgesea_walk_on(&walk, op->axes, op->rank));
}
