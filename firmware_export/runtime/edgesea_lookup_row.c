/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_lookup_row: a function of one int8 value, by table, on one row. */
#include "edgesea_kernels.h"

void edgesea_lookup_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_lookup_constant *op = (const edgesea_lookup_constant *)constant;

    (void)scratch;
    edgesea_lookup(op->table, (const int8_t *)window->rows[0], (int8_t *)result, op->count);
}
