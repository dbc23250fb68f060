/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include "edgesea_kernels.h"

void edgesea_maximum16(const edgesea_pairwise16 *op, const int16_t *a, const int16_t *b, int16_t *out)
{
    const int16_t *second = op->constant ? op->constant : b;
    uint32_t j = 0;

    for (uint32_t i = 0; i < op->count; i++) {
        out[i] = a[i] > second[j] ? a[i] : second[j];
        j = j + 1 == op->period ? 0 : j + 1;
    }
}
