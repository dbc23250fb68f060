/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_lookup: a function of one int8 value, by table. */
#include "edgesea_kernels.h"

void edgesea_lookup(const int8_t *table, const int8_t *in, int8_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = table[in[i] + 128];
    }
}
