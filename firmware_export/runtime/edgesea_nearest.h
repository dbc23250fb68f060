/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_nearest.h: from float to an integer. */
#ifndef EDGESEA_NEAREST_H
#define EDGESEA_NEAREST_H

#include <stdint.h>

/* The nearest integer, halves away from zero; NaN gives 0. Beyond 100000 it is 100000: the result is clamped anyway. */
static inline int32_t edgesea_nearest(float value)
{
    int32_t whole;
    float rest;

    if (!(value > -100000.0F)) {
        return value < 0.0F ? -100000 : 0;
    }
    if (value > 100000.0F) {
        return 100000;
    }
    whole = (int32_t)value;
    rest = value - (float)whole;
    return whole + (rest >= 0.5F) - (rest <= -0.5F);
}

#endif
