/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_float.h: float32 operations that a core has and C99 does not promise. */
#ifndef EDGESEA_FLOAT_H
#define EDGESEA_FLOAT_H

#include <math.h>

/* a b + c, in one instruction where there is one. */
static inline float edgesea_multiply_add(float a, float b, float c)
{
#if defined(__ARM_FEATURE_FMA) || defined(__FP_FAST_FMAF)
    return fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

/* The root of a number that is not negative, which sqrtf would look for, to set errno. */
static inline float edgesea_root(float x)
{
#if defined(__arm__) && defined(__ARM_FP) && defined(__GNUC__)
    float result;
    __asm__("vsqrt.f32 %0, %1" : "=t"(result) : "t"(x));
    return result;
#else
    return sqrtf(x);
#endif
}

#endif
