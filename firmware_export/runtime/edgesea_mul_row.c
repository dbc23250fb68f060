/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_mul_row: edgesea_mul on one row. */
#include "edgesea_kernels.h"

void edgesea_mul_row(const void *constant, const edgesea_window *window, void *out, void *scratch)
{
    const edgesea_pairwise *op = (const edgesea_pairwise *)constant;
    const int8_t *b = op->constant ? op->constant : (const int8_t *)window->rows[1];

    (void)scratch;
    edgesea_mul(op, (const int8_t *)window->rows[0], b, (int8_t *)out);
}
