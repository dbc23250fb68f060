/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_accumulate: adds values to sums, in portable C. */
#include "edgesea_kernels.h"

#if EDGESEA_PATH != EDGESEA_PATH_MVE

void edgesea_accumulate(int32_t *sums, const int8_t *in, int count)
{
    for (int i = 0; i < count; i++) {
        sums[i] += in[i];
    }
}

#endif
