/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_keep_larger for Arm's DSP extension: four values at a time. */
#include <string.h>

#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_DSP

void edgesea_keep_larger(int8_t *out, const int8_t *in, int count)
{
    for (; count >= 4; count -= 4) {
        uint32_t a, b, difference;
        memcpy(&a, in, 4);
        memcpy(&b, out, 4);
        /* SSUB8 leaves in flags where a >= b, SEL takes a there and b elsewhere. */
        __asm__("ssub8 %0, %1, %2\n"
                "sel %1, %1, %2"
                : "=&r"(difference), "+r"(a)
                : "r"(b)
                : "cc");
        memcpy(out, &a, 4);
        in += 4;
        out += 4;
    }
    for (; count > 0; count--) {
        if (*in > *out) {
            *out = *in;
        }
        in++;
        out++;
    }
}

#endif
