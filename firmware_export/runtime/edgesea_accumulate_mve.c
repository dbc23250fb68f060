/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_accumulate for Arm's vector extension: four values at a time. */
#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_MVE

void edgesea_accumulate(int32_t *sums, const int8_t *in, int count)
{
    __asm__ volatile(
        "wlstp.32 lr, %[count], 2f\n"
        "1: vldrb.s32 q0, [%[in]], #4\n"
        "vldrw.32 q1, [%[sums]]\n"
        "vadd.i32 q0, q0, q1\n"
        "vstrw.32 q0, [%[sums]], #16\n"
        "letp lr, 1b\n"
        "2:\n"
        : [in] "+l"(in), [sums] "+r"(sums)
        : [count] "r"(count)
        : "lr", "q0", "q1", "memory");
}

#endif
