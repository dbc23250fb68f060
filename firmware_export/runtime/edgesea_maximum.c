/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include "edgesea_kernels.h"

void edgesea_maximum(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out)
{
    const int8_t *second = op->constant ? op->constant : b;
    uint32_t j = 0;

    for (uint32_t i = 0; i < op->count; i++) {
        out[i] = a[i] > second[j] ? a[i] : second[j];
        j = j + 1 == op->period ? 0 : j + 1;
    }
}
