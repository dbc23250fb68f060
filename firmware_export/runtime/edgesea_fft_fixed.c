/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_fft_fixed: window, real FFT and power or magnitude spectrum in int32 with one exponent a row.
 *
 * The same algorithm as edgesea_fft_float, pass by pass. The samples are shifted up as far as they go; before each
 * pass the numbers are shifted down as far as that pass may make them grow. A product keeps the upper half, which
 * halves it, so the pass halves everything.
 */
#include "edgesea_frontend.h"

#include "edgesea_multiply.h"

typedef struct complex_fixed {
    int32_t re;
    int32_t im;
} complex_fixed;

/* What a place of the spectrum holds, before and after. */
typedef union place {
    complex_fixed z;
    uint64_t bin;
} place;

static inline complex_fixed add(complex_fixed a, complex_fixed b)
{
    const complex_fixed sum = {a.re + b.re, a.im + b.im};
    return sum;
}

static inline complex_fixed subtract(complex_fixed a, complex_fixed b)
{
    const complex_fixed difference = {a.re - b.re, a.im - b.im};
    return difference;
}

/* a - i b */
static inline complex_fixed turn(complex_fixed a, complex_fixed b)
{
    const complex_fixed result = {a.re + b.im, a.im - b.re};
    return result;
}

/* a + i b */
static inline complex_fixed turn_back(complex_fixed a, complex_fixed b)
{
    const complex_fixed result = {a.re - b.im, a.im + b.re};
    return result;
}

static inline complex_fixed shifted(complex_fixed a, int shift)
{
    const complex_fixed result = {a.re >> shift, a.im >> shift};
    return result;
}

/* a (c - i s) / 2 */
static inline complex_fixed rotate(complex_fixed a, int32_t c, int32_t s)
{
    const complex_fixed result = {edgesea_multiply_add_high(a.re, c, a.im, s),
                                  edgesea_multiply_add_high(a.im, c, -a.re, s)};
    return result;
}

/* A table's value, 1.0 being 2^31, as the nearest int32 below. */
static inline int32_t twiddle(uint32_t value) { return (int32_t)(value - (value >> 31)); }

/* Twice a number of at most 2^30; 2^31 would not fit. */
static inline int32_t doubled(int32_t half)
{
    return half > 0x3fffffff ? 0x7fffffff : half < -0x3fffffff ? -0x7fffffff : 2 * half;
}

/* A sample of 16 bits times the window, below 2^27. */
static inline int32_t windowed(int32_t x, uint32_t w)
{
    return (x * (int32_t)(w >> 16) + (x * (int32_t)(w & 0xffff) >> 16) + 4) >> 3;
}

/* Two neighbouring samples, windowed, as one complex number. */
static inline complex_fixed load(const int16_t *samples, const uint32_t *window, int up)
{
    const complex_fixed z = {windowed((int32_t)((uint32_t)(int32_t)samples[0] << up), window[0]),
                             windowed((int32_t)((uint32_t)(int32_t)samples[1] << up), window[1])};
    return z;
}

/* Bits of a number's magnitude or a little more, gathered by or. */
static inline uint32_t bits_of(complex_fixed a)
{
    return (uint32_t)((a.re ^ a.re >> 31) | (a.im ^ a.im >> 31));
}

static inline uint32_t next_reversed(uint32_t r, uint32_t top)
{
    while ((r & 3 * top) == 3 * top && top) {
        r -= 3 * top;
        top >>= 2;
    }
    return r + top;
}

/* Four-point DFTs of the windowed samples; returns the bits that they have. */
static uint32_t first_radix_4(const int16_t *samples, const uint32_t *window, int up, place *out, uint32_t n)
{
    const uint32_t step = n / 4;
    uint32_t r = 0, bits = 0;
    for (place *end = out + n / 2; out < end; out += 4, r = next_reversed(r, n / 32)) {
        const int16_t *x = samples + 2 * r;
        const uint32_t *w = window + 2 * r;
        const complex_fixed a = load(x, w, up), b = load(x += step, w += step, up);
        const complex_fixed c = load(x += step, w += step, up), d = load(x + step, w + step, up);
        const complex_fixed ac = add(a, c), a_c = subtract(a, c), bd = add(b, d), b_d = subtract(b, d);
        out[0].z = add(ac, bd);
        out[1].z = turn(a_c, b_d);
        out[2].z = subtract(ac, bd);
        out[3].z = turn_back(a_c, b_d);
        bits |= bits_of(out[0].z) | bits_of(out[1].z) | bits_of(out[2].z) | bits_of(out[3].z);
    }
    return bits;
}

/* Eight-point DFTs of the windowed samples; returns the bits that they have. */
static uint32_t first_radix_8(const int16_t *samples, const uint32_t *window, int up, place *out, uint32_t n)
{
    const int32_t h = 0x5a82799a; /* 2^31 / sqrt 2 */
    const uint32_t step = n / 8;
    uint32_t r = 0, bits = 0;
    for (place *end = out + n / 2; out < end; out += 8, r = next_reversed(r, n / 64)) {
        const int16_t *x = samples + 2 * r;
        const uint32_t *w = window + 2 * r;
        const complex_fixed x0 = load(x, w, up), x1 = load(x += step, w += step, up);
        const complex_fixed x2 = load(x += step, w += step, up), x3 = load(x += step, w += step, up);
        const complex_fixed x4 = load(x += step, w += step, up), x5 = load(x += step, w += step, up);
        const complex_fixed x6 = load(x += step, w += step, up), x7 = load(x + step, w + step, up);
        const complex_fixed s0 = add(x0, x4), d0 = subtract(x0, x4), s1 = add(x1, x5), d1 = subtract(x1, x5);
        const complex_fixed s2 = add(x2, x6), d2 = subtract(x2, x6), s3 = add(x3, x7), d3 = subtract(x3, x7);
        const complex_fixed s02 = add(s0, s2), s0_2 = subtract(s0, s2), s13 = add(s1, s3), s1_3 = subtract(s1, s3);
        out[0].z = add(s02, s13);
        out[2].z = turn(s0_2, s1_3);
        out[4].z = subtract(s02, s13);
        out[6].z = turn_back(s0_2, s1_3);
        bits |= bits_of(out[0].z) | bits_of(out[2].z) | bits_of(out[4].z) | bits_of(out[6].z);
        /* d1 (1 - i) / sqrt 2, d3 (-1 - i) / sqrt 2 */
        const complex_fixed p = {edgesea_multiply_high(2 * (d1.re + d1.im), h),
                                 edgesea_multiply_high(2 * (d1.im - d1.re), h)};
        const complex_fixed q = {edgesea_multiply_high(2 * (d3.im - d3.re), h),
                                 edgesea_multiply_high(2 * (-d3.re - d3.im), h)};
        const complex_fixed even = turn(d0, d2), even_back = turn_back(d0, d2), pq = add(p, q), p_q = subtract(p, q);
        out[1].z = add(even, pq);
        out[3].z = turn(even_back, p_q);
        out[5].z = subtract(even, pq);
        out[7].z = turn_back(even_back, p_q);
        bits |= bits_of(out[1].z) | bits_of(out[3].z) | bits_of(out[5].z) | bits_of(out[7].z);
    }
    return bits;
}

/* Joins spectra of `length` points, four by four, and divides by 2^(1 + shift). */
static void radix_4(place *z, uint32_t n, uint32_t length, const uint32_t *sine, int shift)
{
    place *const end = z + n / 2;
    const uint32_t step = n / (4 * length);
    for (place *a = z; a < end; a += 4 * length) {
        place *b = a + length, *c = b + length, *d = c + length;
        const complex_fixed za = shifted(a->z, 1 + shift), zb = shifted(b->z, 1 + shift);
        const complex_fixed zc = shifted(c->z, 1 + shift), zd = shifted(d->z, 1 + shift);
        const complex_fixed ac = add(za, zc), a_c = subtract(za, zc), bd = add(zb, zd), b_d = subtract(zb, zd);
        a->z = add(ac, bd);
        b->z = turn(a_c, b_d);
        c->z = subtract(ac, bd);
        d->z = turn_back(a_c, b_d);
    }
    for (uint32_t j = 1; j < length; j++) {
        int32_t s1 = twiddle(sine[j * step]), c1 = twiddle(sine[n / 4 - j * step]);
        /* sin 2a = 2 sin a cos a, and so on; a product's upper half is half of it. */
        int32_t s2 = doubled(2 * edgesea_multiply_high(s1, c1));
        int32_t c2 = doubled(0x40000000 - 2 * edgesea_multiply_high(s1, s1));
        int32_t s3 = doubled(edgesea_multiply_add_high(s1, c2, c1, s2));
        int32_t c3 = doubled(edgesea_multiply_add_high(c1, c2, -s1, s2));
        s1 >>= shift;
        c1 >>= shift;
        s2 >>= shift;
        c2 >>= shift;
        s3 >>= shift;
        c3 >>= shift;
        place *a = z + j, *b = a + length, *c = b + length, *d = c + length;
        for (; a < end; a += 4 * length, b += 4 * length, c += 4 * length, d += 4 * length) {
            const complex_fixed tb = rotate(b->z, c1, s1), tc = rotate(c->z, c2, s2), td = rotate(d->z, c3, s3);
            const complex_fixed ta = shifted(a->z, 1 + shift);
            const complex_fixed ac = add(ta, tc), a_c = subtract(ta, tc), bd = add(tb, td), b_d = subtract(tb, td);
            a->z = add(ac, bd);
            b->z = turn(a_c, b_d);
            c->z = subtract(ac, bd);
            d->z = turn_back(a_c, b_d);
        }
    }
}

/* |re + i im|^2, or its root times 65536. */
static inline uint64_t strength(int32_t re, int32_t im, int magnitude)
{
    const uint64_t power = edgesea_square(re) + edgesea_square(im);
    if (magnitude) {
        const edgesea_scaled root = edgesea_scaled_root(edgesea_scale(power, 32));
        return root.exponent > 0 ? (uint64_t)root.mantissa << root.exponent : root.mantissa >> -root.exponent;
    }
    return power;
}

/* From the complex DFT of M points to the real one's bins; see edgesea_fft_float.c. Everything is halved once to add
 * and once more by the products. */
static void split(place *z, uint32_t n, const uint32_t *sine, int magnitude)
{
    place *a = z + 1, *b = z + n / 2 - 1;
    const uint32_t *s = sine + 1, *c = sine + n / 4 - 1;
    const complex_fixed first = shifted(z[0].z, 1);
    for (; a < b; a++, b--, s++, c--) {
        const complex_fixed x = shifted(a->z, 1), y = shifted(b->z, 1);
        const int32_t even_re = (x.re + y.re) >> 1, even_im = (x.im - y.im) >> 1;
        const complex_fixed odd = {x.im + y.im, y.re - x.re};
        const complex_fixed t = rotate(odd, twiddle(*c), twiddle(*s));
        a->bin = strength(even_re + t.re, even_im + t.im, magnitude);
        b->bin = strength(even_re - t.re, even_im - t.im, magnitude);
    }
    a->bin = strength(a->z.re >> 1, a->z.im >> 1, magnitude);
    z[0].bin = strength(first.re + first.im, 0, magnitude);
    z[n / 2].bin = strength(first.re - first.im, 0, magnitude);
}

/* How far the samples can be shifted up; 16 if all are 0. */
static int headroom(const int16_t *samples, int count)
{
    int bits = 0;
    for (int i = 0; i < count; i++) {
        const int x = samples[i];
        bits |= x < 0 ? ~x | 1 : x;
    }
    return bits ? edgesea_leading_zeros((uint32_t)bits) - 17 : 16;
}

int edgesea_fft_fixed(const edgesea_frontend *frontend, const int16_t *samples, void *spectrum)
{
    const uint32_t n = frontend->fft_size;
    const uint32_t *window = frontend->wide_window, *sine = frontend->wide_sine;
    const int up = headroom(samples, frontend->window_length), magnitude = frontend->magnitude;
    place *const z = (place *)spectrum;
    uint32_t length = n & 0x5555 ? 8 : 4, bits;
    int halvings = 0;

    if (up == 16) {
        for (uint32_t k = 0; k <= n / 2; k++) {
            z[k].bin = 0;
        }
        return -1000;
    }
    if (length == 8) {
        bits = first_radix_8(samples, window, up, z, n);
    } else {
        bits = first_radix_4(samples, window, up, z, n);
    }
    /* Magnitudes are below 2^(bound / 2); a pass may make them four times larger, and they must stay below 2^31. */
    for (int bound = 2 * (32 - edgesea_leading_zeros(bits | 1)) + 1; length < n / 2; length *= 4) {
        const int shift = bound > 60 ? (bound - 59) / 2 : 0;
        radix_4(z, n, length, sine, shift);
        halvings += 1 + shift;
        bound += 2 - 2 * shift;
    }
    split(z, n, sine, magnitude);
    /* 1.0 was 2^(27 + up) before the passes; the last step halved once more. */
    const int exponent = halvings + 1 - 27 - up;
    return magnitude ? exponent - 16 : 2 * exponent;
}
