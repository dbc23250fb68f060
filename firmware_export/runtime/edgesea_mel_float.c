/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_mel_float: bands and levels of a float32 spectrum. */
#include "edgesea_frontend.h"

#if EDGESEA_FRONTEND_FLOAT

#include "edgesea_float.h"

/* Adds `count` bins to the band on whose falling side they lie, and to the one on whose rising side they lie. */
static inline void add_bins(const float *bin, const float *weights, int count, int magnitude, float *falling,
                            float *rising)
{
    const float *const end = weights + 2 * count;
    float down = *falling, up = 0;
    while (weights < end) {
        const float x = magnitude ? edgesea_root(*bin) : *bin;
        bin += 2;
        down = edgesea_multiply_add(*weights++, x, down);
        up = edgesea_multiply_add(*weights++, x, up);
    }
    *falling = down;
    *rising = up;
}

int edgesea_mel_float(const edgesea_frontend *frontend, const void *spectrum, float energy, int16_t *levels)
{
    const float *bin = (const float *)spectrum + 2 * frontend->first_bin, *weights = frontend->weights;
    const float once = frontend->magnitude || frontend->root ? edgesea_root(energy) : energy;
    const float clear = frontend->clear * (frontend->magnitude && frontend->root ? edgesea_root(once) : once);
    float falling = 0, rising;
    int all_clear = 1;

    for (int s = 0; s <= frontend->mels; s++, falling = rising) {
        const int count = frontend->segments[s];
        if (frontend->magnitude) {
            add_bins(bin, weights, count, 1, &falling, &rising);
        } else {
            add_bins(bin, weights, count, 0, &falling, &rising);
        }
        bin += 2 * count;
        weights += 2 * count;
        if (s) {
            float value = frontend->root ? edgesea_root(falling) : falling;
            if (frontend->offsets) {
                value += frontend->offsets[s - 1];
            }
            if (value < clear && frontend->band_levels[s - 1] != -32768) {
                all_clear = 0;
            }
            levels[s - 1] = edgesea_mel_level(frontend, s - 1, edgesea_scale_float(value));
        }
    }
    return all_clear;
}

int edgesea_row_float(const edgesea_frontend *frontend, const int16_t *samples, void *spectrum, int16_t *levels)
{
    const float energy = edgesea_fft_float(frontend, samples, spectrum);
    return edgesea_mel_float(frontend, spectrum, energy, levels);
}

#else
typedef int edgesea_mel_float_is_not_used;
#endif
