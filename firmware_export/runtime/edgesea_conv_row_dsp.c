/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_conv_row for Arm's DSP extension: up to five pixels at a time are widened to int16, interleaved, and met with
 * all output channels. */
#include <string.h>

#include "edgesea_dot_dsp.h"
#include "edgesea_requantize.h"

#if EDGESEA_PATH == EDGESEA_PATH_DSP

/* Deeper convolutions are summed in chunks of whole kernel rows of at most this many taps, to keep scratch small. */
enum { CHUNK = 200 };

static inline uint32_t load4(const int8_t *from)
{
    uint32_t word;
    memcpy(&word, from, 4);
    return word;
}

/* Taps 0 and 2 of four. */
static inline int32_t widen_even(uint32_t word)
{
    int32_t pair;
    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(word));
    return pair;
}

/* Taps 1 and 3 of four. */
static inline int32_t widen_odd(uint32_t word)
{
    int32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
    return pair;
}

/* Writes n taps (a multiple of four) of one pixel to their places among those of `pixels`; returns where the next
 * ones go. */
static int32_t *spread(int32_t *to, const int8_t *from, int n, int pixels)
{
    enum { P = EDGESEA_DOT_PIXELS };

    if (pixels == P) {
        /* The usual number, as a constant: its stores need no address arithmetic. */
        for (; n >= 16; n -= 16) {
            const uint32_t a = load4(from), b = load4(from + 4), c = load4(from + 8), d = load4(from + 12);
            to[0] = widen_even(a);
            to[P] = widen_odd(a);
            to[2 * P] = widen_even(b);
            to[3 * P] = widen_odd(b);
            to[4 * P] = widen_even(c);
            to[5 * P] = widen_odd(c);
            to[6 * P] = widen_even(d);
            to[7 * P] = widen_odd(d);
            from += 16;
            to += 8 * P;
        }
    }
    for (; n > 0; n -= 4) {
        const uint32_t word = load4(from);
        to[0] = widen_even(word);
        to[pixels] = widen_odd(word);
        from += 4;
        to += 2 * pixels;
    }
    return to;
}

static int32_t *spread_zero(int32_t *to, int zero, int n, int pixels)
{
    const int32_t pair = (int32_t)(((uint32_t)zero & 0xffffU) * 0x10001U);

    for (n /= 2; n > 0; n--) {
        *to = pair;
        to += pixels;
    }
    return to;
}

/* What one output pixel sees of kernel rows ky..ky_end - 1 from column `left` on, where channels come in fours. */
static void gather_words(const edgesea_conv *op, const edgesea_window *window, int left, int ky, int ky_end,
                         int32_t *to, int pixels)
{
    const int channels = op->in_channels;
    const int whole = op->dilation == 1 && left >= 0 && left + op->kernel_width <= op->in_width;

    for (; ky < ky_end; ky++) {
        const int8_t *row = (const int8_t *)window->rows[ky];
        if (!row) {
            to = spread_zero(to, op->in_zero, op->kernel_width * channels, pixels);
        } else if (whole) {
            to = spread(to, row + left * channels, op->kernel_width * channels, pixels);
        } else {
            for (int kx = 0; kx < op->kernel_width; kx++) {
                const int column = left + kx * op->dilation;
                if (column >= 0 && column < op->in_width) {
                    to = spread(to, row + column * channels, channels, pixels);
                } else {
                    to = spread_zero(to, op->in_zero, channels, pixels);
                }
            }
        }
    }
}

/* Taps that come one by one: four of them make a word of inputs. */
typedef struct stream {
    int32_t *to;
    int pixels;
    uint32_t word;
    int room;
} stream;

static inline void put_word(stream *s, uint32_t word)
{
    s->to[0] = widen_even(word);
    s->to[s->pixels] = widen_odd(word);
    s->to += 2 * s->pixels;
}

/* Appends n taps, `step` bytes apart: 1, or 0 to repeat one value. */
static inline void put(stream *s, const int8_t *from, int step, int n)
{
    if (s->room == 4 && step) {
        for (; n >= 4; n -= 4) {
            put_word(s, load4(from));
            from += 4;
        }
    }
    if (s->room < 4 && step) {
        /* A word's first bytes fill the one begun, and its last ones begin the next. */
        const int missing = 8 * s->room, begun = 32 - missing;
        for (; n >= 4; n -= 4) {
            const uint32_t word = load4(from);
            put_word(s, s->word >> missing | word << begun);
            s->word = word;
            from += 4;
        }
    }
    for (; n > 0; n--) {
        s->word = s->word >> 8 | (uint32_t)(uint8_t)*from << 24;
        from += step;
        if (--s->room == 0) {
            put_word(s, s->word);
            s->room = 4;
        }
    }
}

/* The same for any number of channels, byte by byte; the last word is filled with zeros. */
static void gather_bytes(const edgesea_conv *op, const edgesea_window *window, int left, int ky, int ky_end,
                         int32_t *to, int pixels)
{
    const int channels = op->in_channels;
    const int width = op->kernel_width;
    const int8_t zero = op->in_zero;
    stream s = {to, pixels, 0, 4};

    /* Undilated, a kernel row is a run inside the map with some columns before and behind it. */
    const int before = left < 0 ? (-left < width ? -left : width) : 0;
    const int beyond = left + width - op->in_width;
    const int behind = beyond > 0 ? (beyond < width ? beyond : width) : 0;

    for (; ky < ky_end; ky++) {
        const int8_t *row = (const int8_t *)window->rows[ky];
        if (!row) {
            put(&s, &zero, 0, width * channels);
        } else if (op->dilation == 1) {
            put(&s, &zero, 0, before * channels);
            put(&s, row + (left + before) * channels, 1, (width - before - behind) * channels);
            put(&s, &zero, 0, behind * channels);
        } else {
            for (int kx = 0; kx < width; kx++) {
                const int column = left + kx * op->dilation;
                const int inside = column >= 0 && column < op->in_width;
                put(&s, inside ? row + column * channels : &zero, inside, channels);
            }
        }
    }
    if (s.room < 4) {
        put_word(&s, s.word >> 8 * s.room);
    }
}

/* For edgesea_channel's general rounding: the sums of a few pixels, [channels][pixels], into out. */
static void finish(const edgesea_conv *op, const int32_t *sums, int8_t *out, int pixels)
{
    for (int c = 0; c < op->out_channels; c++) {
        for (int p = 0; p < pixels; p++) {
            out[p * op->out_channels + c] = edgesea_finish(op, c, *sums++);
        }
    }
}

void edgesea_conv_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_conv *op = (const edgesea_conv *)constant;
    const int line = op->kernel_width * op->in_channels;
    const int depth4 = (op->kernel_height * line + 3) & ~3;
    const int general = op->flags & EDGESEA_GENERAL;
    int8_t *out = (int8_t *)result;
    int pixels = edgesea_dot_pixels(op->out_width);
    int lines = op->kernel_height;
    int32_t *sums;

    if (depth4 > CHUNK && line % 4 == 0) {
        lines = line < CHUNK ? CHUNK / line : 1;
    }
    sums = (int32_t *)scratch + (lines < op->kernel_height ? lines * line : depth4) / 2 * pixels;
    for (int x = 0; x < op->out_width; x += pixels) {
        pixels = edgesea_dot_pixels(op->out_width - x);
        for (int ky = 0; ky < op->kernel_height; ky += lines) {
            const int ky_end = ky + lines < op->kernel_height ? ky + lines : op->kernel_height;
            const int last = ky_end == op->kernel_height;
            const int taps = ((ky_end - ky) * line + 3) & ~3;
            edgesea_dot_work dot;
            for (int p = 0; p < pixels; p++) {
                const int left = (x + p) * op->stride - op->pad_left;
                if (op->in_channels % 4 == 0) {
                    gather_words(op, window, left, ky, ky_end, (int32_t *)scratch + p, pixels);
                } else {
                    gather_bytes(op, window, left, ky, ky_end, (int32_t *)scratch + p, pixels);
                }
            }
            dot.inputs = (const int32_t *)scratch;
            dot.end = dot.inputs + taps / 2 * pixels;
            dot.skip = -(taps / 4) & 3;
            dot.channel = op->channels;
            dot.last = op->channels + op->out_channels;
            dot.out = out;
            dot.stride = op->out_channels;
            dot.sums = ky > 0 ? sums : NULL;
            dot.keep = last && !general ? NULL : sums;
            /* Between two channels' parts in this chunk lie the parts in the others. */
            dot.before = ky > 0 ? depth4 - taps : 0;
            dot.after = ky > 0 ? 0 : depth4 - taps;
            dot.weights = (const int8_t *)op->weights + ky * line - dot.before;
            edgesea_dot_dsp(&dot, pixels);
        }
        if (general) {
            finish(op, sums, out, pixels);
        }
        out += pixels * op->out_channels;
    }
    edgesea_clamp_dsp(op, (int8_t *)result, op->out_width * op->out_channels);
}

#endif
