/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_vector_mve.h: what the kernels share on cores with Arm's vector extension (MVE). */
#ifndef EDGESEA_VECTOR_MVE_H
#define EDGESEA_VECTOR_MVE_H

#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_MVE

/* Pixels that meet the weights together; pixels and channels whose sums wait together for the requantisation. */
enum { EDGESEA_DOT_PIXELS = 3, EDGESEA_ROW_PIXELS = 6, EDGESEA_BATCH = 16 };

/* A few pixels by all output channels of a convolution.
 * pixels   1..EDGESEA_ROW_PIXELS; inputs: what the first sees, [kernel_height][kernel_width][in_channels]; the next is `apart` bytes on,
 *          which are zeros beyond that where `apart` is a multiple of sixteen
 * out      the first pixel's first channel */
void edgesea_dot_mve(const edgesea_conv *op, const int8_t *inputs, int apart, int pixels, int8_t *out);

/* Adds the bias to sums and requantises them, without EDGESEA_GENERAL.
 * sums     [pixels][EDGESEA_BATCH] of channels first..first + count - 1; fewer than four only where there are no more
 * out      the first pixel's channel 0 */
void edgesea_finish_batch_mve(const edgesea_conv *op, const int32_t *sums, int first, int count, int pixels,
                              int8_t *out);

/* Copies n bytes, n >= 0; returns where the next go. */
static inline int8_t *edgesea_copy_mve(int8_t *to, const int8_t *from, int n)
{
    __asm__ volatile(
        "wlstp.8 lr, %[n], 2f\n"
        "1: vldrb.8 q0, [%[from]], #16\n"
        "vstrb.8 q0, [%[to]], #16\n"
        "letp lr, 1b\n"
        "2:\n"
        : [from] "+r"(from), [to] "+r"(to)
        : [n] "r"(n)
        : "lr", "q0", "memory");
    /* The pointer has moved on by whole vectors. */
    return to - (-n & 15);
}

/* Writes n bytes of `value`, n >= 0; returns where the next go. */
static inline int8_t *edgesea_fill_mve(int8_t *to, int8_t value, int n)
{
    __asm__ volatile(
        "vdup.8 q0, %[value]\n"
        "wlstp.8 lr, %[n], 2f\n"
        "1: vstrb.8 q0, [%[to]], #16\n"
        "letp lr, 1b\n"
        "2:\n"
        : [to] "+r"(to)
        : [n] "r"(n), [value] "r"((int)value)
        : "lr", "q0", "memory");
    return to - (-n & 15);
}

#endif
#endif
