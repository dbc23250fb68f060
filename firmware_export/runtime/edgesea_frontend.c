/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_frontend: the stream of samples, the ring of rows, and what a patch is made of. */
#include "edgesea_frontend.h"

#include <string.h>

/* The int8 values of `count` levels, `stride` bytes apart; `reference` is the patch's maximum, or 0. */
static void quantise(const edgesea_frontend *frontend, const int16_t *levels, int count, int reference, int8_t *out,
                     int stride)
{
    const int low = frontend->low, high = frontend->high, multiplier = frontend->multiplier, zero = frontend->zero;
    for (const int16_t *end = levels + count; levels < end; out += stride) {
        int value = *levels++ - reference;
        value = value < low ? low : value;
        value = value > high ? high : value;
        value = (value * multiplier + zero) >> 20;
        value = value < -128 ? -128 : value;
        *out = (int8_t)(value > 127 ? 127 : value);
    }
}

/* Makes the row of the window's samples and moves the window on. */
static void add_row(const edgesea_frontend *frontend, edgesea_frontend_state *state, void *scratch)
{
    const int mels = frontend->mels, window = frontend->window_length, hop = frontend->hop;
    int16_t *levels = (int16_t *)scratch;
    void *spectrum = levels + ((mels + 3) & ~3);

    if (!frontend->row(frontend, state->samples, spectrum, levels) && frontend->wide) {
        edgesea_fft_wide(frontend, state->samples, spectrum);
        edgesea_mel_wide(frontend, spectrum, levels);
    }
    if (frontend->relative) {
        memcpy((int16_t *)state->rows + state->next * mels, levels, (size_t)mels * sizeof *levels);
    } else {
        quantise(frontend, levels, mels, 0, (int8_t *)state->rows + state->next * mels, 1);
    }
    state->next = (uint16_t)(state->next + 1 < frontend->frames ? state->next + 1 : 0);
    state->made = (uint16_t)(state->made < frontend->frames ? state->made + 1 : state->made);

    const int kept = hop < window ? window - hop : 0;
    memmove(state->samples, state->samples + (window - kept), (size_t)kept * sizeof *state->samples);
    state->filled = (uint16_t)kept;
    state->missing = (uint16_t)(hop > window ? hop - window : 0);
}

static void begin_patch(const edgesea_frontend *frontend, edgesea_frontend_state *state)
{
    memset(state->samples, 0, frontend->fft_size * sizeof *state->samples);
    state->given = 0;
    state->missing = 0;
    state->filled = frontend->left;
    state->made = 0;
    state->next = 0;
}

/* The rows at a patch's end, which reach into the zeros after it. */
static void end_patch(const edgesea_frontend *frontend, edgesea_frontend_state *state, void *scratch)
{
    while (state->made < frontend->frames) {
        const size_t empty = (size_t)(frontend->window_length - state->filled);
        memset(state->samples + state->filled, 0, empty * sizeof *state->samples);
        add_row(frontend, state, scratch);
    }
}

void edgesea_frontend_start(const edgesea_frontend *frontend, edgesea_frontend_state *state, int16_t *samples,
                            void *rows)
{
    state->samples = samples;
    state->rows = rows;
    state->ready = 0;
    begin_patch(frontend, state);
}

size_t edgesea_frontend_push(const edgesea_frontend *frontend, edgesea_frontend_state *state, const int16_t *pcm,
                             size_t count, void *scratch)
{
    size_t taken = 0;
    if (state->ready && frontend->padded) {
        begin_patch(frontend, state);
    }
    state->ready = 0;
    while (taken < count && !state->ready) {
        size_t part = state->missing ? state->missing : (size_t)(frontend->window_length - state->filled);
        part = part < count - taken ? part : count - taken;
        if (frontend->padded && part > frontend->samples - state->given) {
            part = frontend->samples - state->given;
        }
        if (state->missing) {
            state->missing = (uint16_t)(state->missing - part);
        } else {
            memcpy(state->samples + state->filled, pcm + taken, part * sizeof *pcm);
            state->filled = (uint16_t)(state->filled + part);
        }
        taken += part;
        if (state->filled == frontend->window_length) {
            add_row(frontend, state, scratch);
            state->ready = !frontend->padded && state->made == frontend->frames;
        }
        if (frontend->padded) {
            state->given += (uint32_t)part;
            if (state->given == frontend->samples) {
                end_patch(frontend, state, scratch);
                state->ready = 1;
            }
        }
    }
    return taken;
}

void edgesea_frontend_patch(const edgesea_frontend *frontend, const edgesea_frontend_state *state, int8_t *patch)
{
    const int frames = frontend->frames, mels = frontend->mels, stride = frontend->mel_stride;
    const int16_t *levels = (const int16_t *)state->rows;
    const int8_t *values = (const int8_t *)state->rows;
    int reference = -32768;

    if (frontend->relative) {
        for (const int16_t *level = levels, *end = levels + frames * mels; level < end; level++) {
            reference = *level > reference ? *level : reference;
        }
    }
    for (int t = 0, row = state->next; t < frames; t++, row = row + 1 < frames ? row + 1 : 0) {
        int8_t *out = patch + t * frontend->row_stride;
        if (frontend->relative) {
            quantise(frontend, levels + row * mels, mels, reference, out, stride);
        } else {
            for (int m = 0; m < mels; m++) {
                out[m * stride] = values[row * mels + m];
            }
        }
    }
}
