/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_mel_wide: bands and levels of a spectrum of scaled numbers. */
#include "edgesea_frontend.h"

/* sum * 2^exponent; a term has 48 bits, so that there is room for 2^16 of them. */
typedef struct band {
    uint64_t sum;
    int32_t exponent;
} band;

static void add_bin(band *to, edgesea_scaled bin, uint32_t weight)
{
    const uint64_t term = (uint64_t)bin.mantissa * weight;
    if (!term) {
        return;
    }
    if (!to->sum) {
        to->exponent = bin.exponent;
    }
    const int32_t above = bin.exponent - to->exponent;
    if (above > 0) {
        to->sum = above < 64 ? to->sum >> above : 0;
        to->exponent = bin.exponent;
    }
    to->sum += above >= 0 ? term : above > -64 ? term >> -above : 0;
}

void edgesea_mel_wide(const edgesea_frontend *frontend, const void *spectrum, int16_t *levels)
{
    const edgesea_scaled *bin = (const edgesea_scaled *)spectrum + 2 * frontend->first_bin;
    const uint16_t *weights = frontend->wide_weights;
    band falling = {0, 0};

    for (int s = 0; s <= frontend->mels; s++) {
        band rising = {0, 0};
        for (int i = 0; i < frontend->segments[s]; i++, bin += 2, weights += 2) {
            add_bin(&falling, *bin, weights[0]);
            add_bin(&rising, *bin, weights[1]);
        }
        if (s) {
            edgesea_scaled value = edgesea_scale(falling.sum, falling.exponent - 16 - frontend->wide_shifts[s - 1]);
            if (frontend->root) {
                value = edgesea_scaled_root(value);
            }
            if (frontend->offsets) {
                value = edgesea_scaled_add(value, edgesea_scale_float(frontend->offsets[s - 1]));
            }
            levels[s - 1] = edgesea_mel_level(frontend, s - 1, value);
        }
        falling = rising;
    }
}
