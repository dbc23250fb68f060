/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_fft_wide: window, real FFT and power or magnitude spectrum in int64.
 *
 * For the rows in which the rounding noise of 32 bits would show. Nothing is scaled and nothing can overflow: a
 * windowed sample has 46 bits, and a sum of up to 2^14 of them 60. What is lost is in the tables, which are right to
 * 2^-32. The shape is that of edgesea_fft_float, with passes of radix 2 instead of 4.
 */
#include "edgesea_frontend.h"

typedef struct complex_wide {
    int64_t re;
    int64_t im;
} complex_wide;

/* What a place of the spectrum holds, before and after. */
typedef union place {
    complex_wide z;
    edgesea_scaled bin;
} place;

/* a * w / 2^31, for w in 0..2^31. */
static inline int64_t times(int64_t a, uint32_t w)
{
    return (a >> 32) * (int64_t)w * 2 + (int64_t)((uint64_t)(uint32_t)a * w >> 31);
}

/* a (c - i s) */
static inline complex_wide rotate(complex_wide a, uint32_t c, uint32_t s)
{
    const complex_wide result = {times(a.re, c) + times(a.im, s), times(a.im, c) - times(a.re, s)};
    return result;
}

static inline void butterfly(place *a, place *b, complex_wide t)
{
    b->z.re = a->z.re - t.re;
    b->z.im = a->z.im - t.im;
    a->z.re += t.re;
    a->z.im += t.im;
}

static void load(const int16_t *samples, const uint32_t *window, place *spectrum, uint32_t m)
{
    for (uint32_t i = 0, r = 0; i < m; i++) {
        spectrum[i].z.re = (int64_t)samples[2 * r] * window[2 * r];
        spectrum[i].z.im = (int64_t)samples[2 * r + 1] * window[2 * r + 1];
        uint32_t bit = m / 2;
        for (; r & bit; bit /= 2) {
            r -= bit;
        }
        r += bit;
    }
}

/* Joins spectra of `length` points, two by two. */
static void radix_2(place *spectrum, uint32_t m, uint32_t length, const uint32_t *sine)
{
    const uint32_t quarter = m / 2, half = length / 2, step = m / length;
    if (length == 1) {
        for (uint32_t i = 0; i < m; i += 2) {
            butterfly(spectrum + i, spectrum + i + 1, spectrum[i + 1].z);
        }
    }
    for (uint32_t j = 0; j < half; j++) {
        const uint32_t s = sine[j * step], c = sine[quarter - j * step];
        for (uint32_t i = j; i < m; i += 2 * length) {
            place *a = spectrum + i, *b = a + length;
            butterfly(a, b, rotate(b->z, c, s));
            /* A quarter turn further on, the twiddle is the same times -i. */
            const complex_wide t = rotate(b[half].z, c, s), turned = {t.im, -t.re};
            butterfly(a + half, b + half, turned);
        }
    }
}

/* |re + i im|^2 or its root, of numbers in units of 2^-47. */
static edgesea_scaled strength(int64_t re, int64_t im, int magnitude)
{
    const uint64_t x = (uint64_t)(re < 0 ? -re : re), y = (uint64_t)(im < 0 ? -im : im);
    const uint32_t high = (uint32_t)((x | y) >> 32), low = (uint32_t)(x | y);
    const int shift = high ? 33 - edgesea_leading_zeros(high) : (int)(low >> 31); /* leaves 31 bits */
    const uint64_t u = x >> shift, v = y >> shift;
    const edgesea_scaled power = edgesea_scale(u * u + v * v, 2 * (shift - 47));
    return magnitude ? edgesea_scaled_root(power) : power;
}

void edgesea_fft_wide(const edgesea_frontend *frontend, const int16_t *samples, void *spectrum)
{
    const uint32_t m = frontend->fft_size / 2u;
    const int magnitude = frontend->magnitude;
    const uint32_t *sine = frontend->wide_sine;
    place *const z = (place *)spectrum;

    load(samples, frontend->wide_window, z, m);
    for (uint32_t length = 1; length < m; length *= 2) {
        radix_2(z, m, length, sine);
    }
    /* From here as split() in edgesea_fft_float.c; the two sums of halves are twice too large. */
    const complex_wide first = z[0].z;
    for (uint32_t k = 1; k < m / 2; k++) {
        const complex_wide a = z[k].z, b = z[m - k].z;
        const complex_wide odd = {a.im + b.im, b.re - a.re};
        const complex_wide t = rotate(odd, sine[m / 2 - k], sine[k]);
        z[k].bin = strength(a.re + b.re + t.re, a.im - b.im + t.im, magnitude);
        z[m - k].bin = strength(a.re + b.re - t.re, a.im - b.im - t.im, magnitude);
    }
    z[m / 2].bin = strength(2 * z[m / 2].z.re, 2 * z[m / 2].z.im, magnitude);
    z[0].bin = strength(2 * (first.re + first.im), 0, magnitude);
    /* Half a place: the last one has no partner. */
    *(edgesea_scaled *)(void *)(z + m) = strength(2 * (first.re - first.im), 0, magnitude);
}
