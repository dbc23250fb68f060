/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* half_band.h: sound at twice the model's rate, brought down to it by a half-band filter.
 *
 * Flat within 0.03 dB up to 0.44 of the lower rate, below -60 dB from 0.563 of it on; 63 taps, 16 multiplications a
 * sample. A half_band that is all zeros begins a stream.
 */
#ifndef HALF_BAND_H
#define HALF_BAND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HALF_BAND_BLOCK 64 /* outputs of one call, at most */
#define HALF_BAND_TAPS 63

typedef struct half_band {
    int16_t past[HALF_BAND_TAPS + 2 * HALF_BAND_BLOCK]; /* what the next output needs, then what is new */
    size_t kept;                                        /* of them, beside the HALF_BAND_TAPS - 1 oldest */
} half_band;

/* Filters `count` samples, up to 2 * HALF_BAND_BLOCK, and writes one for every two of the stream. Returns how many. */
size_t half_band_run(half_band *filter, const int16_t *twice, size_t count, int16_t *once);

#ifdef __cplusplus
}
#endif

#endif
