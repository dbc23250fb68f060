/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_add16_row: edgesea_add16 on one row. */
#include "edgesea_kernels.h"

void edgesea_add16_row(const void *constant, const edgesea_window *window, void *out, void *scratch)
{
    const edgesea_pairwise16 *op = (const edgesea_pairwise16 *)constant;
    const int16_t *b = op->constant ? op->constant : (const int16_t *)window->rows[1];

    (void)scratch;
    edgesea_add16(op, (const int16_t *)window->rows[0], b, (int16_t *)out);
}
