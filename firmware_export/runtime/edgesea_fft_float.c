/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_fft_float: window, real FFT and power spectrum in float32.
 *
 * A real DFT of N samples is a complex one of M = N / 2 points, the even samples being the real parts, and one pass
 * that takes the spectra of even and odd samples apart. The complex one decimates in time: its first pass reads the
 * samples in digit-reversed order, windows them on the way, and has no twiddles; radix 4, or 8 where M is not a power
 * of 4. Radix-4 passes follow, in place. The second and third twiddle of a butterfly are made from the first, once
 * for all butterflies that share them.
 */
#include "edgesea_frontend.h"

#if EDGESEA_FRONTEND_FLOAT

#include "edgesea_float.h"

typedef struct complex_float {
    float re;
    float im;
} complex_float;

static inline complex_float add(complex_float a, complex_float b)
{
    const complex_float sum = {a.re + b.re, a.im + b.im};
    return sum;
}

static inline complex_float subtract(complex_float a, complex_float b)
{
    const complex_float difference = {a.re - b.re, a.im - b.im};
    return difference;
}

/* a - i b */
static inline complex_float turn(complex_float a, complex_float b)
{
    const complex_float result = {a.re + b.im, a.im - b.re};
    return result;
}

/* a + i b */
static inline complex_float turn_back(complex_float a, complex_float b)
{
    const complex_float result = {a.re - b.im, a.im + b.re};
    return result;
}

/* a (c - i s) */
static inline complex_float rotate(complex_float a, float c, float s)
{
    const complex_float result = {edgesea_multiply_add(a.im, s, a.re * c), edgesea_multiply_add(-a.re, s, a.im * c)};
    return result;
}

/* Two neighbouring samples, windowed, as one complex number. */
static inline complex_float load(const int16_t *samples, const float *window)
{
    const complex_float z = {(float)samples[0] * window[0], (float)samples[1] * window[1]};
    return z;
}

/* The number after r, where the base-4 digits count from the most significant one on; `top` is that digit's 1. */
static inline uint32_t next_reversed(uint32_t r, uint32_t top)
{
    while ((r & 3 * top) == 3 * top && top) {
        r -= 3 * top;
        top >>= 2;
    }
    return r + top;
}

/* Four-point DFTs of the windowed samples; the inputs of one are N / 4 samples apart. */
static void first_radix_4(const int16_t *samples, const float *window, complex_float *z, uint32_t n)
{
    const uint32_t step = n / 4;
    uint32_t r = 0;
    for (complex_float *end = z + n / 2; z < end; z += 4, r = next_reversed(r, n / 32)) {
        const int16_t *x = samples + 2 * r;
        const float *w = window + 2 * r;
        const complex_float a = load(x, w), b = load(x += step, w += step);
        const complex_float c = load(x += step, w += step), d = load(x + step, w + step);
        const complex_float ac = add(a, c), a_c = subtract(a, c), bd = add(b, d), b_d = subtract(b, d);
        z[0] = add(ac, bd);
        z[1] = turn(a_c, b_d);
        z[2] = subtract(ac, bd);
        z[3] = turn_back(a_c, b_d);
    }
}

/* Eight-point DFTs of the windowed samples; the inputs of one are N / 8 samples apart. */
static void first_radix_8(const int16_t *samples, const float *window, complex_float *z, uint32_t n)
{
    const float h = 0.70710678f;
    const uint32_t step = n / 8;
    uint32_t r = 0;
    for (complex_float *end = z + n / 2; z < end; z += 8, r = next_reversed(r, n / 64)) {
        const int16_t *x = samples + 2 * r;
        const float *w = window + 2 * r;
        const complex_float x0 = load(x, w), x1 = load(x += step, w += step);
        const complex_float x2 = load(x += step, w += step), x3 = load(x += step, w += step);
        const complex_float x4 = load(x += step, w += step), x5 = load(x += step, w += step);
        const complex_float x6 = load(x += step, w += step), x7 = load(x + step, w + step);
        const complex_float s0 = add(x0, x4), d0 = subtract(x0, x4), s1 = add(x1, x5), d1 = subtract(x1, x5);
        const complex_float s2 = add(x2, x6), d2 = subtract(x2, x6), s3 = add(x3, x7), d3 = subtract(x3, x7);
        const complex_float s02 = add(s0, s2), s0_2 = subtract(s0, s2), s13 = add(s1, s3), s1_3 = subtract(s1, s3);
        z[0] = add(s02, s13);
        z[2] = turn(s0_2, s1_3);
        z[4] = subtract(s02, s13);
        z[6] = turn_back(s0_2, s1_3);
        /* d1 (1 - i) / sqrt 2, d3 (-1 - i) / sqrt 2: their sum and difference need one product each. */
        const complex_float p = {(d1.re + d1.im) * h, (d1.im - d1.re) * h};
        const complex_float q = {(d3.im - d3.re) * h, (-d3.re - d3.im) * h};
        const complex_float even = turn(d0, d2), even_back = turn_back(d0, d2), pq = add(p, q), p_q = subtract(p, q);
        z[1] = add(even, pq);
        z[3] = turn(even_back, p_q);
        z[5] = subtract(even, pq);
        z[7] = turn_back(even_back, p_q);
    }
}

/* Joins spectra of `length` points, four by four. */
static void radix_4(complex_float *z, uint32_t n, uint32_t length, const float *sine)
{
    complex_float *const end = z + n / 2;
    const uint32_t step = n / (4 * length);
    for (complex_float *a = z; a < end; a += 4 * length) {
        complex_float *b = a + length, *c = b + length, *d = c + length;
        const complex_float ac = add(*a, *c), a_c = subtract(*a, *c), bd = add(*b, *d), b_d = subtract(*b, *d);
        *a = add(ac, bd);
        *b = turn(a_c, b_d);
        *c = subtract(ac, bd);
        *d = turn_back(a_c, b_d);
    }
    for (uint32_t j = 1; j < length; j++) {
        const float s1 = sine[j * step], c1 = sine[n / 4 - j * step];
        const float s2 = 2 * s1 * c1, c2 = edgesea_multiply_add(-2 * s1, s1, 1.0f);
        const float s3 = edgesea_multiply_add(s1, c2, c1 * s2), c3 = edgesea_multiply_add(-s1, s2, c1 * c2);
        complex_float *a = z + j, *b = a + length, *c = b + length, *d = c + length;
        for (; a < end; a += 4 * length, b += 4 * length, c += 4 * length, d += 4 * length) {
            const complex_float tb = rotate(*b, c1, s1), tc = rotate(*c, c2, s2), td = rotate(*d, c3, s3);
            const complex_float ac = add(*a, tc), a_c = subtract(*a, tc), bd = add(tb, td), b_d = subtract(tb, td);
            *a = add(ac, bd);
            *b = turn(a_c, b_d);
            *c = subtract(ac, bd);
            *d = turn_back(a_c, b_d);
        }
    }
}

static inline float power(float re, float im) { return edgesea_multiply_add(re, re, im * im); }

/* From the complex DFT z of M points to the powers of the real one's N / 2 + 1 bins, in z[k].re. The window has
 * divided everything by 2 already, as the two sums of halves demand. Returns the sum of the powers. */
static float split(complex_float *z, uint32_t n, const float *sine)
{
    complex_float *a = z + 1, *b = z + n / 2 - 1;
    const float *s = sine + 1, *c = sine + n / 4 - 1;
    const float first = 2 * (z[0].re + z[0].im), last = 2 * (z[0].re - z[0].im);
    float energy = 0;
    for (; a < b; a++, b--) {
        const float even_re = a->re + b->re, even_im = a->im - b->im;
        const float odd_re = a->im + b->im, odd_im = b->re - a->re;
        const float re = edgesea_multiply_add(odd_im, *s, odd_re * *c);
        const float im = edgesea_multiply_add(-odd_re, *s, odd_im * *c);
        const float low = power(even_re + re, even_im + im), high = power(even_re - re, even_im - im);
        s++;
        c--;
        a->re = low;
        b->re = high;
        energy += low + high;
    }
    a->re = 4 * power(a->re, a->im);
    z[0].re = first * first;
    z[n / 2].re = last * last;
    return energy + a->re + z[0].re + z[n / 2].re;
}

float edgesea_fft_float(const edgesea_frontend *frontend, const int16_t *samples, void *spectrum)
{
    const uint32_t n = frontend->fft_size;
    complex_float *const z = (complex_float *)spectrum;
    uint32_t length = n & 0x5555 ? 8 : 4;
    if (length == 8) {
        first_radix_8(samples, frontend->window, z, n);
    } else {
        first_radix_4(samples, frontend->window, z, n);
    }
    for (; length < n / 2; length *= 4) {
        radix_4(z, n, length, frontend->sine);
    }
    return split(z, n, frontend->sine);
}

#else
typedef int edgesea_fft_float_is_not_used;
#endif
