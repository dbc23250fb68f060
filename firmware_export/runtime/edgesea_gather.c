/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "edgesea_kernels.h"

void edgesea_gather(const edgesea_gather_constant *op, const void *in, void *out)
{
    const uint8_t *from = (const uint8_t *)in;
    uint8_t *to = (uint8_t *)out;

    for (uint32_t o = 0; o < op->outer; o++) {
        for (uint32_t i = 0; i < op->count; i++) {
            memcpy(to, from + op->positions[i] * op->run, op->run);
            to += op->run;
        }
        from += op->size * op->run;
    }
}
