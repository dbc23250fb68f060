/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_keep_larger: the larger of each two values, in portable C. */
#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_PLAIN

void edgesea_keep_larger(int8_t *out, const int8_t *in, int count)
{
    for (int i = 0; i < count; i++) {
        if (in[i] > out[i]) {
            out[i] = in[i];
        }
    }
}

#endif
