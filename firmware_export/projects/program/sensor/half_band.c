/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* half_band: every second tap but the middle one is zero, and the others come in equal pairs. */
#include "half_band.h"

#include <string.h>

#define MIDDLE (HALF_BAND_TAPS / 2)

/* 0.5 sinc(k / 2) for odd k, times a Kaiser window with beta = 6.2, in 1 / 32768; the middle tap is 16384. */
static const int16_t taps[(MIDDLE + 1) / 2] = {
    10400, -3386, 1937, -1287, 908, -656, 477, -344, 244, -169, 113, -73, 44, -24, 12, -4,
};

static int16_t filtered(const int16_t *middle)
{
    int32_t sum = (1 << 14) + 16384 * middle[0];

    for (int i = 0; i < (MIDDLE + 1) / 2; i++) {
        sum += taps[i] * (middle[2 * i + 1] + middle[-2 * i - 1]);
    }
    sum >>= 15;
    return (int16_t)(sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : sum);
}

size_t half_band_run(half_band *filter, const int16_t *twice, size_t count, int16_t *once)
{
    int16_t *const first_new = filter->past + HALF_BAND_TAPS - 1;
    size_t made = 0, used;

    memcpy(first_new + filter->kept, twice, count * sizeof *twice);
    count += filter->kept;
    for (used = 0; used + 2 <= count; used += 2) {
        once[made++] = filtered(filter->past + used + MIDDLE + 1);
    }
    filter->kept = count - used;
    memmove(filter->past, filter->past + used, (HALF_BAND_TAPS - 1 + filter->kept) * sizeof *filter->past);
    return made;
}
