/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_keep_larger for Arm's vector extension: sixteen values at a time. */
#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_MVE

void edgesea_keep_larger(int8_t *out, const int8_t *in, int count)
{
    __asm__ volatile(
        "wlstp.8 lr, %[count], 2f\n"
        "1: vldrb.8 q0, [%[in]], #16\n"
        "vldrb.8 q1, [%[out]]\n"
        "vmax.s8 q0, q0, q1\n"
        "vstrb.8 q0, [%[out]], #16\n"
        "letp lr, 1b\n"
        "2:\n"
        : [in] "+r"(in), [out] "+r"(out)
        : [count] "r"(count)
        : "lr", "q0", "q1", "memory");
}

#endif
