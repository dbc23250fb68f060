/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_frontend.h: sound in, int8 log-mel patch out, one hop at a time.
 *
 * A frontend is a constant, NAME_frontend, in a generated file: the numbers of the frontend that the model was
 * trained with. The functions here run it. Generated NAME_frontend.h wraps them with the right sizes:
 *
 *     static name_frontend_memory memory;                        // the caller owns all memory
 *     static uint64_t scratch[NAME_FRONTEND_SCRATCH_BYTES / 8];  // free again after each call
 *     edgesea_frontend_state *state = name_frontend_start(&memory);
 *
 *     for (;;) {
 *         size_t count = read_microphone(pcm);                   // any number of samples
 *         for (size_t taken = 0; taken < count;) {
 *             taken += edgesea_frontend_push(&name_frontend, state, pcm + taken, count - taken, scratch);
 *             if (state->ready) {
 *                 edgesea_frontend_patch(&name_frontend, state, patch);
 *                 name_invoke(patch, embedding, ...);
 *             }
 *         }
 *     }
 *
 * What is computed, for row t = 0 .. frames - 1 of a patch: `window_length` samples from t * hop - left on, times
 * the window; the magnitudes or powers of their DFT; their sums under `mels` triangles; the logarithm; minus the
 * patch's maximum where that is the reference; the floor; the model's scale and zero point. Every value is within
 * one int8 step of the same in float64, for every input, silence, full scale and pure tones included.
 *
 * When a patch is ready
 *   without padding  after `frames` rows, and again after each row: rows are kept in a ring, and patches may
 *                    overlap as much as the caller likes at no further cost. Take every k-th one.
 *   with padding     ('same', 'centre') once every `samples` samples. The outer rows hold zeros where the stream
 *                    holds sound, so they belong to one patch only, and patches cannot overlap; the next sample
 *                    begins the next patch. For overlapping ones use two memories, half a patch apart.
 * Where the reference is the patch's maximum, rows are kept as 16-bit levels, the maximum is found when the patch
 * is read, and the work of a row is done once all the same.
 *
 * Arithmetic. EDGESEA_FRONTEND_FLOAT is 1 where the core has a single-precision FPU, else 0: float32, or int32 with
 * one exponent a row. Define it as 0 or 1 in every file of a build to overrule the choice. A frontend that is generated
 * for integers alone uses int32 on every core, and its patches are the same to the byte on all of them. Both know how
 * far their rounding noise reaches. A row with a band so far below the row's energy that the noise would show (a pure tone in
 * digital silence) is computed again in int64 (edgesea_fft_wide.c), at three to seven times the cost; sound with
 * noise of its own hardly ever needs it.
 */
#ifndef EDGESEA_FRONTEND_H
#define EDGESEA_FRONTEND_H

#include <stddef.h>
#include <stdint.h>

#include "edgesea_scaled.h"

#ifndef EDGESEA_FRONTEND_FLOAT
#if defined(__arm__)
#if defined(__ARM_FP)
#define EDGESEA_FRONTEND_FLOAT ((__ARM_FP & 4) != 0)
#else
#define EDGESEA_FRONTEND_FLOAT 0
#endif
#elif defined(__riscv)
#if defined(__riscv_flen)
#define EDGESEA_FRONTEND_FLOAT 1
#else
#define EDGESEA_FRONTEND_FLOAT 0
#endif
#else
#define EDGESEA_FRONTEND_FLOAT 1
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The constants of one frontend. Below, N = fft_size, and a level is 256 * log2 of a number, rounded.
 *
 * Time, in samples
 *   samples        of one patch
 *   fft_size       N, a power of two, 16..16384
 *   window_length  1..N
 *   hop            1..65535, from one row to the next
 *   left           zeros before the first sample of a patch
 *   padded         1 where a patch has zeros on either side
 * Shape
 *   frames, mels   rows and columns of the patch
 *   row_stride, mel_stride
 *                  where the value of row t, band m lies in the patch: t * row_stride + m * mel_stride
 * Bands. Bins from first_bin on lie between the edges of the triangles: segments[s] of them between edge s and edge
 * s + 1, s = 0..mels. They belong to the falling side of band s - 1 and the rising side of band s; for each bin
 * there is a pair of weights, falling first. Weights are normalised to a sum of 1 for each band.
 *   magnitude      1 for magnitudes, 0 for powers
 *   root           1 if the square root of a band's sum is taken before the offset is added
 *   band_levels    [mels], the level of what the band's weights were divided by; -32768 for a band without bins
 *   offsets        [mels], what is added to a band's normalised sum; NULL for nothing
 *   least          the smallest level of a band
 *   clear          a band at least as large is clear of the rounding noise of float32: as a share of the sum of all
 *                  powers, or of its root or fourth root, whichever a band is measured in
 *   fixed_clear    the same for int32: 2^fixed_clear of what edgesea_fft_fixed counts in
 * Into int8
 *   relative       1 if the patch's maximum is subtracted
 *   low, high      the range that levels are clamped to, after that
 *   multiplier     int8 steps for each level, with 20 fraction bits
 *   zero           the zero point, with 20 fraction bits, and a half
 * Arithmetic
 *   row            makes the levels of a row: edgesea_row_float or edgesea_row_fixed
 * Tables. Those of an arithmetic that is not used are NULL.
 *   wide           1 if a row may have to be computed again; 0 where the offset hides all noise of 32 bits
 *   window, sine, weights             float32: [N] the window / 65536, then zeros; [N/4 + 1] sin(2 pi k / N);
 *                                     [bins][2]
 *   wide_window, wide_sine            the same as integers, 1.0 being 2^31, but that the window is not divided
 *   wide_weights, wide_shifts         [bins][2] and [mels]: 65535 * 2^wide_shifts[m] stands for 1.0 in band m
 */
typedef struct edgesea_frontend edgesea_frontend;
struct edgesea_frontend {
    uint32_t samples;
    uint16_t fft_size;
    uint16_t window_length;
    uint16_t hop;
    uint16_t left;
    uint16_t frames;
    uint16_t mels;
    uint16_t row_stride;
    uint16_t mel_stride;
    uint16_t first_bin;
    uint8_t padded;
    uint8_t magnitude;
    uint8_t root;
    uint8_t relative;
    uint8_t wide;
    int16_t least;
    int16_t low;
    int16_t high;
    int16_t fixed_clear;
    int32_t multiplier;
    int32_t zero;
    float clear;
    int (*row)(const edgesea_frontend *frontend, const int16_t *samples, void *spectrum, int16_t *levels);
    const uint16_t *segments;
    const int16_t *band_levels;
    const float *offsets;
    const float *window;
    const float *sine;
    const float *weights;
    const uint32_t *wide_window;
    const uint32_t *wide_sine;
    const uint16_t *wide_weights;
    const uint8_t *wide_shifts;
};

/* How far a stream has come. Set up by edgesea_frontend_start; `ready` is for the caller to read, the rest is not.
 *   samples  [fft_size], the window that is being filled
 *   rows     [frames][mels], a ring: int16_t levels where the reference is the patch's maximum, else int8_t
 *   given    samples of the present patch so far
 *   missing  samples to let pass before the window goes on (a hop longer than the window)
 *   filled   samples in the window
 *   made     rows in the ring; next: where the next one goes
 *   ready    1 if the last push completed a patch
 */
typedef struct edgesea_frontend_state {
    int16_t *samples;
    void *rows;
    uint32_t given;
    uint16_t missing;
    uint16_t filled;
    uint16_t made;
    uint16_t next;
    uint8_t ready;
} edgesea_frontend_state;

/* Begins a stream; also to begin again after a gap.
 *   samples  fft_size values, 4-byte aligned
 *   rows     frames * mels values of 2 bytes where the reference is the patch's maximum, else of 1 byte
 */
void edgesea_frontend_start(const edgesea_frontend *frontend, edgesea_frontend_state *state, int16_t *samples,
                            void *rows);

/* Takes samples, at most `count` of them, until all are taken or a patch is ready, and says how many it took.
 *   pcm      -32768..32767 stands for -1.0..1.0
 *   scratch  working memory, 8-byte aligned, of the size that NAME_frontend.h gives; nothing in it is kept, it may be
 *            the model's arena
 */
size_t edgesea_frontend_push(const edgesea_frontend *frontend, edgesea_frontend_state *state, const int16_t *pcm,
                             size_t count, void *scratch);

/* Writes the patch that has just become ready, frames * mels values, for the model's input. */
void edgesea_frontend_patch(const edgesea_frontend *frontend, const edgesea_frontend_state *state, int8_t *patch);

/* ---- the steps of one row; edgesea_frontend_push calls them ---------------------------------------------------- */

/* Window, DFT, power or magnitude, in three arithmetics, all in place in `spectrum`, 8-byte aligned.
 *   samples   [fft_size], 4-byte aligned
 *   spectrum  float: float [N/2 + 1][2], of which [k][0] is the power of bin k. The result is the sum of all powers.
 *             fixed: uint64_t [N/2 + 1], powers, or magnitudes times 65536. The result is the exponent: a bin's true
 *             value is 2^exponent times what is stored; -1000 for silence.
 *             wide: edgesea_scaled [N/2 + 1][2], of which [k][0] is the power or magnitude of bin k; N + 1 values of
 *             8 bytes in all.
 */
float edgesea_fft_float(const edgesea_frontend *frontend, const int16_t *samples, void *spectrum);
int edgesea_fft_fixed(const edgesea_frontend *frontend, const int16_t *samples, void *spectrum);
void edgesea_fft_wide(const edgesea_frontend *frontend, const int16_t *samples, void *spectrum);

/* The bands and their levels, from a spectrum as above.
 *   levels  [mels], -32767..32767
 * The result of the first two is 1 if every band is far enough above the rounding noise, else 0. */
int edgesea_mel_float(const edgesea_frontend *frontend, const void *spectrum, float energy, int16_t *levels);
int edgesea_mel_fixed(const edgesea_frontend *frontend, const void *spectrum, int exponent, int16_t *levels);
void edgesea_mel_wide(const edgesea_frontend *frontend, const void *spectrum, int16_t *levels);

/* Both steps at once, by float32 and by int32. */
int edgesea_row_float(const edgesea_frontend *frontend, const int16_t *samples, void *spectrum, int16_t *levels);
int edgesea_row_fixed(const edgesea_frontend *frontend, const int16_t *samples, void *spectrum, int16_t *levels);

/* The level of a band from its normalised sum, after root and offset. */
static inline int16_t edgesea_mel_level(const edgesea_frontend *frontend, int band, edgesea_scaled value)
{
    const int level = edgesea_level(value) + frontend->band_levels[band];
    return (int16_t)(level < frontend->least ? frontend->least : level > 32767 ? 32767 : level);
}

#ifdef __cplusplus
}
#endif

#endif
