/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include "edgesea_kernels.h"

void edgesea_negate16(const int16_t *in, int16_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = in[i] == INT16_MIN ? INT16_MIN : (int16_t)-in[i];
    }
}
