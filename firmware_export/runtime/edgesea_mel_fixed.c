/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_mel_fixed: bands and levels of a spectrum of uint64 with one exponent. */
#include "edgesea_frontend.h"

#include "edgesea_multiply.h"

/* high * 2^32 + low: a bin of 62 bits times a weight of 16, summed over up to 2^15 bins. */
typedef struct band {
    uint64_t high;
    uint64_t low;
} band;

static inline void add_bin(band *to, uint64_t bin, uint32_t weight)
{
    to->high += edgesea_multiply_short((uint32_t)(bin >> 32), weight);
    to->low += edgesea_multiply_short((uint32_t)bin, weight);
}

static edgesea_scaled value_of(band from, int exponent)
{
    const uint64_t high = from.high + (from.low >> 32);
    if (high >> 32) {
        return edgesea_scale(high, exponent + 32);
    }
    return edgesea_scale(high << 32 | (uint32_t)from.low, exponent);
}

int edgesea_mel_fixed(const edgesea_frontend *frontend, const void *spectrum, int exponent, int16_t *levels)
{
    const uint64_t *bin = (const uint64_t *)spectrum + frontend->first_bin;
    const uint16_t *weights = frontend->wide_weights;
    /* The exponent of one unit of the FFT, then of the smallest band that is clear; a root halves it. */
    const int unit = exponent + (frontend->magnitude ? 16 : 0);
    const int clear = frontend->fixed_clear + (frontend->root ? (unit + 1) >> 1 : unit);
    band falling = {0, 0};
    int all_clear = 1;

    for (int s = 0; s <= frontend->mels; s++) {
        band rising = {0, 0};
        for (int i = 0; i < frontend->segments[s]; i++, bin++, weights += 2) {
            add_bin(&falling, *bin, weights[0]);
            add_bin(&rising, *bin, weights[1]);
        }
        if (s) {
            edgesea_scaled value = value_of(falling, exponent - 16 - frontend->wide_shifts[s - 1]);
            if (frontend->root) {
                value = edgesea_scaled_root(value);
            }
            if (frontend->offsets) {
                value = edgesea_scaled_add(value, edgesea_scale_float(frontend->offsets[s - 1]));
            }
            const int is_clear = value.mantissa && value.exponent + 31 >= clear;
            if (!is_clear && frontend->band_levels[s - 1] != -32768 && exponent > -1000) {
                all_clear = 0;
            }
            levels[s - 1] = edgesea_mel_level(frontend, s - 1, value);
        }
        falling = rising;
    }
    return all_clear;
}

int edgesea_row_fixed(const edgesea_frontend *frontend, const int16_t *samples, void *spectrum, int16_t *levels)
{
    const int exponent = edgesea_fft_fixed(frontend, samples, spectrum);
    return edgesea_mel_fixed(frontend, spectrum, exponent, levels);
}
