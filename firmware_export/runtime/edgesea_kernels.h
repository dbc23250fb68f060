/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_kernels.h: the functions that a compiled model calls.
 *
 * A generated NAME.c holds one constant of the types below for each operator and calls these functions with it. The
 * constants were checked when they were made: shapes agree, and no accumulator leaves the range of int32. The
 * functions check nothing, allocate nothing, keep nothing between calls, and touch only the memory they are handed.
 *
 * Words
 *   row       one line of a feature map [height][width][channels]: width * channels values, channels fastest
 *   window    the rows of the input that one row of the output is made of
 *   zero      the integer that stands for 0.0, -128..127. Outside a feature map everything is zero.
 *   requantise  round(accumulator * multiplier * 2^(shift - 31)) + out_zero, clamped to low..high; see
 *             edgesea_requantize.h for the exact rounding. multiplier is 0 or in 2^30..2^31-1, shift in -31..30.
 *
 * Row functions share one type, so that edgesea_stream can run any chain of them with a few rows in memory.
 */
#ifndef EDGESEA_KERNELS_H
#define EDGESEA_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "edgesea_path.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- rows ------------------------------------------------------------------------------------------------------ */

/* What a row function reads.
 * rows    `count` pointers to input rows, top first; NULL is a row outside the feature map. They need no alignment
 *         beyond their element's, but are word-aligned when width * channels is a multiple of four.
 * count   the kernel's height; or 1 where a pooling window arrives one row at a time
 * inside  how many of the whole window's rows lie inside the feature map, 1..kernel height
 * first   1 if rows[0] begins the window; last: 1 if rows[count - 1] ends it. Both are 1 unless rows arrive singly.
 */
typedef struct edgesea_window {
    const void *const *rows;
    uint16_t count;
    uint16_t inside;
    uint8_t first;
    uint8_t last;
} edgesea_window;

/* Makes one row of output.
 * op       the operator's constant, of the type that the function names
 * out      the row to write, [out_width][out_channels]; never overlaps the window's rows
 * scratch  memory of the size that the function asks for, word-aligned, with nothing in it to keep; only poolings
 *          find in it what they left there earlier in the same window
 */
typedef void edgesea_row_function(const void *op, const edgesea_window *window, void *out, void *scratch);

/* How the sum of one output channel becomes an int8 value.
 * Without EDGESEA_GENERAL: y = (round(sum * multiplier / 2^31) + round - (sum < 0)) >> shift, clamped to low..high, with
 *   round = 2^(shift - 1) + (out_zero << shift), so that zero point and rounding are one addition. shift is 1..23,
 *   |sum| < 2^30, multiplier 0 or in 2^30 + 1..2^31 - 1.
 * With it: edgesea_scale_twice(sum, multiplier, shift) + out_zero, clamped; shift is -31..30 and round is 0.
 * bias is what the sum starts from, -in_zero * (sum of the channel's weights) included: the sum then runs over the raw
 * inputs, and in_zero stands in for every input outside the feature map.
 */
typedef struct edgesea_channel {
    int32_t bias;
    int32_t multiplier;
    int32_t round;
    int32_t shift;
} edgesea_channel;

#define EDGESEA_GENERAL 1    /* some channel needs the general rounding */
#define EDGESEA_FULL_RANGE 2 /* low is -128 and high is 127 */
#define EDGESEA_RELU 4       /* low is out_zero */

/* Convolution, and depthwise convolution (one output channel for each input channel).
 * weights   convolution: int8 [out_channels][depth4]; depth = kernel_height * kernel_width * in_channels in that order;
 *             depth4 is depth rounded up to a multiple of four, filled with 0
 *           depthwise: int8 [kernel_height * kernel_width][channels]; in edgesea_depthwise_3x3_row, _dilated_row and _paired_row on the DSP path
 *             int16 as layout.by_pairs orders them, on the MVE path int8 as layout.by_vectors does
 *           16-byte aligned, followed by 12 bytes that may be read
 * channels  [out_channels], at least four that may be read
 * flags     EDGESEA_GENERAL and so on
 * Output pixel x reads input columns x * stride - pad_left + dilation * (0..kernel_width - 1); a column < 0 or
 * >= in_width is outside. Rows are dilated by the window already.
 */
typedef struct edgesea_conv {
    const void *weights;
    const edgesea_channel *channels;
    uint16_t in_width;
    uint16_t in_channels;
    uint16_t out_width;
    uint16_t out_channels;
    uint16_t kernel_height;
    uint16_t kernel_width;
    uint16_t stride;
    uint16_t dilation;
    uint16_t pad_left;
    int8_t in_zero;
    int8_t out_zero;
    int8_t low;
    int8_t high;
    uint8_t flags;
} edgesea_conv;

/* scratch: layout.scratch_bytes, by path:
 *   plain  depth4 bytes; for edgesea_pointwise_row none
 *   DSP    2 * n * chunk, where n is min(5, out_width), and chunk is depth4, or, where depth4 > 200 and kernel_width *
 *          in_channels is a multiple of four, as many whole kernel rows as fit in 200 (at least one); and
 *          4 * n * out_channels more where chunk < depth4 or EDGESEA_GENERAL is set
 *   MVE    n * depth16, which is depth4 rounded up to sixteen; n is min(6, out_width) where depth16 is at most 480, else
 *          min(3, out_width); for edgesea_pointwise_row none */
void edgesea_conv_row(const void *op, const edgesea_window *window, void *out, void *scratch);

/* What both are made of in portable C: out[c] of one pixel for all output channels; in: what the pixel sees. */
void edgesea_dot(const edgesea_conv *op, const int8_t *in, int8_t *out);

/* A 1x1 kernel with stride 1: the same result as edgesea_conv_row without gathering; count is 1, the row never NULL. */
void edgesea_pointwise_row(const void *op, const edgesea_window *window, void *out, void *scratch);

/* in_channels == out_channels; weights int8 [kernel_height * kernel_width][channels]. scratch: none */
void edgesea_depthwise_row(const void *op, const edgesea_window *window, void *out, void *scratch);

/* The same without EDGESEA_GENERAL, with weights of their own on the fast paths, for 3x3 without dilation; for 3x3 with
 * stride 1 on at least four channels; and for any kernel. scratch: layout.scratch_bytes, by path:
 *   plain  8 * kernel_height * kernel_width + 4 + channels
 *   DSP    3x3: 24 * (pad_left + in_width + the columns read to the right of the map), and 4 * out_width more where there
 *          are fewer than four channels; others: 16 * ((kernel_height + 1) / 2) * the columns that min(32, out_width)
 *          outputs read
 *   MVE    64 * n + 16 + 64 * ((kernel_height + 3) / 4) * the columns that n = min(16, out_width) outputs read, and 4 for each
 *          word of four taps, see layout.by_vectors, in words rounded up to a multiple of four */
void edgesea_depthwise_3x3_row(const void *op, const edgesea_window *window, void *out, void *scratch);
void edgesea_depthwise_dilated_row(const void *op, const edgesea_window *window, void *out, void *scratch);
void edgesea_depthwise_paired_row(const void *op, const edgesea_window *window, void *out, void *scratch);

/* Depthwise with out_channels a multiple m of in_channels: output channel c reads input channel c / m. No scratch. */
void edgesea_depthwise_multiple_row(const void *op, const edgesea_window *window, void *out, void *scratch);

/* Convolution in groups: output channel c reads the input channels of group c / (out_channels / groups); plain C on
 * every path. weights [out_channels][kernel_height][kernel_width][in_channels / groups]; EDGESEA_GENERAL always. */
typedef struct edgesea_grouped_conv {
    const int8_t *weights;
    const edgesea_channel *channels;
    uint16_t in_width;
    uint16_t in_channels;
    uint16_t out_width;
    uint16_t out_channels;
    uint16_t kernel_height;
    uint16_t kernel_width;
    uint16_t groups;
    uint16_t stride;
    uint16_t dilation;
    uint16_t pad_left;
    int8_t in_zero;
    int8_t out_zero;
    int8_t low;
    int8_t high;
} edgesea_grouped_conv;

void edgesea_grouped_conv_row(const void *op, const edgesea_window *window, void *out, void *scratch);

/* Pooling, one output channel for each input channel; nothing outside the feature map takes part.
 * low, high   the fused activation's range
 * scratch     average: 4 * out_width * channels bytes; maximum: none
 */
typedef struct edgesea_pool {
    uint16_t in_width;
    uint16_t out_width;
    uint16_t channels;
    uint16_t kernel_width;
    uint16_t stride;
    uint16_t pad_left;
    int8_t low;
    int8_t high;
} edgesea_pool;

void edgesea_max_pool_row(const void *op, const edgesea_window *window, void *out, void *scratch);

/* What poolings are made of: out[i] = max(out[i], in[i]), and sums[i] += in[i], for i < count. */
void edgesea_keep_larger(int8_t *out, const int8_t *in, int count);
void edgesea_accumulate(int32_t *sums, const int8_t *in, int count);

/* The average of what lies inside, rounded with halves away from zero. */
void edgesea_average_pool_row(const void *op, const edgesea_window *window, void *out, void *scratch);

/* The mean (or sum) of each channel over a whole feature map, its rows taken one at a time:
 * out[c] = edgesea_scale_twice(sum + offset, multiplier, shift) + out_zero, clamped to -128..127
 * offset   -in_zero * (number of values)
 * scratch  4 * channels bytes */
typedef struct edgesea_mean {
    int32_t multiplier;
    int32_t offset;
    int8_t shift;
    int8_t out_zero;
    uint16_t width;
    uint16_t channels;
} edgesea_mean;

void edgesea_mean_row(const void *op, const edgesea_window *window, void *out, void *scratch);

/* Two tensors, element by element: a[i] and b[i % period], i < count.
 *   add: both operands are brought to a common scale with 20 bits more, added with their signs, and requantised
 *   mul: (a - zero[0]) * (b - zero[1]), requantised
 * constant    b, if it is one; otherwise NULL
 * multiplier, shift, sign
 *             of each operand, for add
 * out may be a, and b too if period is count.
 */
typedef struct edgesea_pairwise {
    const int8_t *constant;
    uint32_t count;
    uint32_t period;
    int32_t multiplier[2];
    int8_t shift[2];
    int8_t zero[2];
    int8_t sign[2];
    int32_t out_multiplier;
    int8_t out_shift;
    int8_t out_zero;
    int8_t low;
    int8_t high;
} edgesea_pairwise;

/* The window holds the row of a and, unless b is constant, that of b. */
void edgesea_add_row(const void *op, const edgesea_window *window, void *out, void *scratch);
void edgesea_mul_row(const void *op, const edgesea_window *window, void *out, void *scratch);

/* A function of one value, by table: out[i] = table[in[i] + 128].
 * table  [256], the results for -128..127; count: values in a row */
typedef struct edgesea_lookup_constant {
    const int8_t *table;
    uint32_t count;
} edgesea_lookup_constant;

void edgesea_lookup_row(const void *op, const edgesea_window *window, void *out, void *scratch);

/* ---- whole tensors --------------------------------------------------------------------------------------------- */

/* Fully connected: out[row][o] = requantise(bias[o] + sum over i of in[row][i] * weights[o][i]), rounded ONCE.
 * weights     [outputs][inputs4], 16-byte aligned; inputs4 is inputs rounded up to a multiple of four, filled with 0;
 *             on the DSP path as layout.by_fours orders them
 * bias        [outputs], folded as in edgesea_conv
 * multiplier  [outputs] or [1], shift likewise: `per_channel` is 1 or 0 and multiplies their index
 * out may be in on the DSP path, for one row of at most 128 inputs
 * scratch     on the DSP path 2 * min(inputs4, 128) bytes: a piece of a row as int16; otherwise none
 */
typedef struct edgesea_dense {
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *multiplier;
    const int8_t *shift;
    uint16_t rows;
    uint16_t inputs;
    uint16_t outputs;
    uint8_t per_channel;
    int8_t out_zero;
    int8_t low;
    int8_t high;
} edgesea_dense;

void edgesea_fully_connected(const edgesea_dense *op, const int8_t *in, int8_t *out, void *scratch);

/* What it is made of: out[i] = requantise(sums[i]) for outputs first..first + count - 1. */
void edgesea_finish_dense(const edgesea_dense *op, int first, int count, const int32_t *sums, int8_t *out);

/* out[i] = table[in[i] + 128]: any function of one int8 value. out may be in.
 * table  [256], the results for -128..127 */
void edgesea_lookup(const int8_t *table, const int8_t *in, int8_t *out, size_t count);

/* edgesea_pairwise on whole tensors; b is ignored if the operator has a constant. */
void edgesea_add(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out);
void edgesea_mul(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out);

/* One axis of a walk through memory: `size` steps of so many bytes (edgesea_copy) or values (reductions). */
typedef struct edgesea_axis {
    int32_t size;
    int32_t in_stride;
    int32_t out_stride;
} edgesea_axis;

/* Copies `run` bytes at each point of a walk: transposing, slicing, joining, padding, repeating.
 * axes      [rank], outermost first; rank 1..8
 * in_first, out_first
 *           where the walk begins, in bytes
 */
typedef struct edgesea_copy_constant {
    const edgesea_axis *axes;
    uint32_t run;
    uint32_t in_first;
    uint32_t out_first;
    uint8_t rank;
} edgesea_copy_constant;

void edgesea_copy(const edgesea_copy_constant *op, const void *in, void *out);

/* Reduces any set of axes: for each point of the walk over the first `kept` axes, one output, from the values of the
 * walk over the `reduced` axes behind them.
 *   sum: edgesea_scale_twice(sum + offset, multiplier, shift) + out_zero, clamped to low..high
 *   max, min: the largest or the smallest, unscaled
 */
typedef struct edgesea_reduce {
    const edgesea_axis *axes;
    int32_t multiplier;
    int32_t offset;
    int8_t shift;
    int8_t out_zero;
    int16_t low;
    int16_t high;
    uint8_t kept;
    uint8_t reduced;
} edgesea_reduce;

void edgesea_reduce_sum(const edgesea_reduce *op, const int8_t *in, int8_t *out);
void edgesea_reduce_max(const edgesea_reduce *op, const int8_t *in, int8_t *out);
void edgesea_reduce_min(const edgesea_reduce *op, const int8_t *in, int8_t *out);

/* As edgesea_reduce: round(sum * scale + bias) + out_zero in float, halves away from zero, clamped.
 * bias  -in_zero * (number of values) * scale */
typedef struct edgesea_sum_constant {
    const edgesea_axis *axes;
    float scale;
    float bias;
    int8_t out_zero;
    uint8_t kept;
    uint8_t reduced;
} edgesea_sum_constant;

void edgesea_sum(const edgesea_sum_constant *op, const int8_t *in, int8_t *out);

/* Between float and int8: q = round(x / scale) + zero, halves away from zero, clamped, NaN as `zero`;
 * x = scale * (q - zero). */
typedef struct edgesea_float_constant {
    float scale;
    uint32_t count;
    int32_t zero;
} edgesea_float_constant;

void edgesea_quantize(const edgesea_float_constant *op, const float *in, int8_t *out);
void edgesea_dequantize(const edgesea_float_constant *op, const int8_t *in, float *out);

/* Between floats: out[i] = a[i] + b[i], i < count; out may be a. */
void edgesea_float_add(const float *a, const float *b, float *out, size_t count);

/* Running sums along the middle axis of [outer][count][inner], from the other end where `reverse` is 1; where `exclusive`
 * is 1 each without the value in its own place. */
typedef struct edgesea_float_cumsum_constant {
    uint32_t outer;
    uint32_t count;
    uint32_t inner;
    uint8_t exclusive;
    uint8_t reverse;
} edgesea_float_cumsum_constant;

void edgesea_float_cumsum(const edgesea_float_cumsum_constant *op, const float *in, float *out);

/* Softmax over the last axis, in int32 fixed point.
 * in, out      [rows][width]; out may be in. out has scale 1/256 and zero -128
 * exponentials [entries]: exp(-i * beta * scale) with 31 fraction bits, for i below the largest input; further below, 0
 */
typedef struct edgesea_softmax_constant {
    const int32_t *exponentials;
    uint32_t rows;
    uint16_t width;
    uint16_t entries;
} edgesea_softmax_constant;

void edgesea_softmax(const edgesea_softmax_constant *op, const int8_t *in, int8_t *out);

/* edgesea_pairwise without rows; nothing is rescaled, and both operands and the result have one scale. */
void edgesea_maximum(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out);
void edgesea_minimum(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out);

/* edgesea_pairwise without rows: as add, with 7 bits more, but the square of the difference, requantised. */
void edgesea_squared_difference(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out);

/* edgesea_pairwise without rows: the operand whose sign is 1 divided by the other. x / 0 is the end of the range; out_shift
 * is 7..23, less where the divisor has fewer bits. */
void edgesea_div(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out);

/* edgesea_pairwise without rows, of a value and its slope below zero:
 *   a >= zero[0] ? requantise(a - zero[0]) with multiplier[0] and shift[0]
 *                : requantise((a - zero[0]) * (b - zero[1])) with multiplier[1] and shift[1] */
void edgesea_prelu(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out);

/* Divides each row [width] by its length: 128 * (in - zero) / sqrt(sum of (in - zero)^2), clamped. out may be in. */
typedef struct edgesea_unit_length_constant {
    uint32_t rows;
    uint16_t width;
    int8_t zero;
} edgesea_unit_length_constant;

void edgesea_unit_length(const edgesea_unit_length_constant *op, const int8_t *in, int8_t *out);

/* Takes elements of `run` bytes along one axis: for each of `outer` pieces of `size` elements, those at `positions`.
 * positions  [count], 0..size - 1 */
typedef struct edgesea_gather_constant {
    const uint32_t *positions;
    uint32_t outer;
    uint32_t size;
    uint32_t count;
    uint32_t run;
} edgesea_gather_constant;

void edgesea_gather(const edgesea_gather_constant *op, const void *in, void *out);

/* Transposed convolution: output (y, x) sums what input (i, j) gives it through weight (y + pad[0] - i * stride[0],
 * x + pad[1] - j * stride[1]). Pairs are of rows and columns.
 * weights   [out_channels][kernel[0]][kernel[1]][in_channels]
 * channels  [out_channels], EDGESEA_GENERAL always, bias without the zero points */
typedef struct edgesea_transposed_conv_constant {
    const int8_t *weights;
    const edgesea_channel *channels;
    uint16_t batch;
    uint16_t in_size[2];
    uint16_t in_channels;
    uint16_t out_size[2];
    uint16_t out_channels;
    uint16_t kernel[2];
    uint16_t stride[2];
    uint16_t pad[2];
    int8_t in_zero;
    int8_t out_zero;
    int8_t low;
    int8_t high;
} edgesea_transposed_conv_constant;

void edgesea_transposed_conv(const edgesea_transposed_conv_constant *op, const int8_t *in, int8_t *out);

/* Where a row (or column) of the output lies: between two of the input, `share` of 1024 from the first to the second.
 * first, second  in values from the beginning of the map (or of the row) */
typedef struct edgesea_blend {
    int32_t first;
    int32_t second;
    int32_t share;
} edgesea_blend;

/* Bilinear: rows [out_height], columns [out_width]. */
typedef struct edgesea_resize_bilinear_constant {
    const edgesea_blend *rows;
    const edgesea_blend *columns;
    uint32_t in_values;
    uint16_t batch;
    uint16_t out_height;
    uint16_t out_width;
    uint16_t channels;
} edgesea_resize_bilinear_constant;

void edgesea_resize_bilinear(const edgesea_resize_bilinear_constant *op, const int8_t *in, int8_t *out);

/* Where the largest of sign * in stands along the middle axis of [outer][count][inner]; the first of several.
 * out  [outer][inner], int64 where `wide` is 1, otherwise int32 */
typedef struct edgesea_position_constant {
    uint32_t outer;
    uint32_t count;
    uint32_t inner;
    int8_t sign;
    uint8_t wide;
} edgesea_position_constant;

void edgesea_position(const edgesea_position_constant *op, const int8_t *in, void *out);

/* Products of matrices: for each point of the walk over `axes` one matrix out[rows][columns],
 *   out[r][c] = edgesea_scale_twice(sum over k < depth of (a - zero[0]) * (b - zero[1]), multiplier, shift) + out_zero,
 * with a at r * across[0] + k * along[0] and b at c * across[1] + k * along[1].
 * axes  [rank], in values: in_stride of a, out_stride of b; 0 where a matrix is used again
 */
typedef struct edgesea_matmul {
    const edgesea_axis *axes;
    int32_t across[2];
    int32_t along[2];
    int32_t multiplier;
    uint16_t rows;
    uint16_t columns;
    uint16_t depth;
    int8_t zero[2];
    int8_t shift;
    int8_t out_zero;
    uint8_t rank;
} edgesea_matmul;

void edgesea_batch_matmul(const edgesea_matmul *op, const int8_t *a, const int8_t *b, int8_t *out);

/* ---- int16 activations ------------------------------------------------------------------------------------------ */

/* TensorFlow Lite's 16x8 scheme: int16 values with zero 0, int8 weights. Plain C on every path. */

/* How a 48-bit sum becomes an int16 value: (sum * multiplier + 2^(shift - 1)) >> shift, clamped.
 * multiplier 0..32767, shift 8..46 */
typedef struct edgesea_channel16 {
    int64_t bias;
    int32_t multiplier;
    int32_t shift;
} edgesea_channel16;

/* As edgesea_conv; depthwise: out_channels a multiple m of in_channels, output channel c reads c / m.
 * weights  convolution: [out_channels][depth]; depthwise: [kernel_height * kernel_width][out_channels] */
typedef struct edgesea_conv16 {
    const int8_t *weights;
    const edgesea_channel16 *channels;
    uint16_t in_width;
    uint16_t in_channels;
    uint16_t out_width;
    uint16_t out_channels;
    uint16_t kernel_height;
    uint16_t kernel_width;
    uint16_t stride;
    uint16_t dilation;
    uint16_t pad_left;
    int16_t low;
    int16_t high;
} edgesea_conv16;

void edgesea_conv16_row(const void *op, const edgesea_window *window, void *out, void *scratch);
void edgesea_depthwise16_row(const void *op, const edgesea_window *window, void *out, void *scratch);

/* As edgesea_dense. Of each channel's record `round` is unused and shift is -31..30; rounded once.
 * weights  [outputs][inputs] */
typedef struct edgesea_dense16 {
    const int8_t *weights;
    const edgesea_channel *channels;
    uint16_t rows;
    uint16_t inputs;
    uint16_t outputs;
    int16_t low;
    int16_t high;
} edgesea_dense16;

void edgesea_fully_connected16(const edgesea_dense16 *op, const int16_t *in, int16_t *out);

/* As edgesea_pool. scratch: average: 4 * out_width * channels bytes; maximum: none */
typedef struct edgesea_pool16 {
    uint16_t in_width;
    uint16_t out_width;
    uint16_t channels;
    uint16_t kernel_width;
    uint16_t stride;
    uint16_t pad_left;
    int16_t low;
    int16_t high;
} edgesea_pool16;

void edgesea_max_pool16_row(const void *op, const edgesea_window *window, void *out, void *scratch);
void edgesea_average_pool16_row(const void *op, const edgesea_window *window, void *out, void *scratch);

/* As edgesea_pairwise, with zero 0 and 15 bits more instead of 20. */
typedef struct edgesea_pairwise16 {
    const int16_t *constant;
    uint32_t count;
    uint32_t period;
    int32_t multiplier[2];
    int8_t shift[2];
    int8_t sign[2];
    int32_t out_multiplier;
    int8_t out_shift;
    int16_t low;
    int16_t high;
} edgesea_pairwise16;

/* The window holds the row of a and, unless b is constant, that of b. */
void edgesea_add16_row(const void *op, const edgesea_window *window, void *out, void *scratch);
void edgesea_mul16_row(const void *op, const edgesea_window *window, void *out, void *scratch);

void edgesea_add16(const edgesea_pairwise16 *op, const int16_t *a, const int16_t *b, int16_t *out);
void edgesea_mul16(const edgesea_pairwise16 *op, const int16_t *a, const int16_t *b, int16_t *out);

/* As edgesea_reduce and edgesea_sum_constant. */
void edgesea_reduce_sum16(const edgesea_reduce *op, const int16_t *in, int16_t *out);
void edgesea_reduce_max16(const edgesea_reduce *op, const int16_t *in, int16_t *out);
void edgesea_reduce_min16(const edgesea_reduce *op, const int16_t *in, int16_t *out);
void edgesea_sum16(const edgesea_sum_constant *op, const int16_t *in, int16_t *out);

/* Another scale, zero and width, and a slope of its own for values below zero: QUANTIZE, RELU, LEAKY_RELU.
 * multiplier, shift  for values >= in_zero, and for those below
 * in_wide, out_wide  1 for int16, 0 for int8 */
typedef struct edgesea_rescale_constant {
    uint32_t count;
    int32_t multiplier[2];
    int8_t shift[2];
    int8_t in_zero;
    int8_t out_zero;
    int16_t low;
    int16_t high;
    uint8_t in_wide;
    uint8_t out_wide;
} edgesea_rescale_constant;

void edgesea_rescale(const edgesea_rescale_constant *op, const void *in, void *out);

/* out[i] = -in[i], i < count, as TensorFlow Lite has it: the lowest has no opposite and stays. out may be in. */
void edgesea_negate16(const int16_t *in, int16_t *out, size_t count);

void edgesea_quantize16(const edgesea_float_constant *op, const float *in, int16_t *out);
void edgesea_dequantize16(const edgesea_float_constant *op, const int16_t *in, float *out);

/* Logistic function or hyperbolic tangent, straight lines between the entries of a table.
 * table  [256]: 65536 / (1 + exp(-i / 24)); multiplier, shift: from the input's scale to 1 / 12288 */
typedef struct edgesea_sigmoid16_constant {
    const uint16_t *table;
    uint32_t count;
    int32_t multiplier;
    int8_t shift;
} edgesea_sigmoid16_constant;

void edgesea_logistic16(const edgesea_sigmoid16_constant *op, const int16_t *in, int16_t *out);
void edgesea_tanh16(const edgesea_sigmoid16_constant *op, const int16_t *in, int16_t *out);

/* Softmax over the last axis. in, out [rows][width]; out may be in.
 * exponentials [513]: exp on -10..0; reciprocals [513]: 1 / (1 + x) on 0..1
 * multiplier, shift: from the input's scale to 10 / 65535 */
typedef struct edgesea_softmax16_constant {
    const int16_t *exponentials;
    const int16_t *reciprocals;
    uint32_t rows;
    uint16_t width;
    int32_t multiplier;
    int8_t shift;
} edgesea_softmax16_constant;

void edgesea_softmax16(const edgesea_softmax16_constant *op, const int16_t *in, int16_t *out);

void edgesea_maximum16(const edgesea_pairwise16 *op, const int16_t *a, const int16_t *b, int16_t *out);
void edgesea_minimum16(const edgesea_pairwise16 *op, const int16_t *a, const int16_t *b, int16_t *out);

/* As edgesea_grouped_conv and edgesea_transposed_conv_constant. */
typedef struct edgesea_grouped_conv16 {
    const int8_t *weights;
    const edgesea_channel16 *channels;
    uint16_t in_width;
    uint16_t in_channels;
    uint16_t out_width;
    uint16_t out_channels;
    uint16_t kernel_height;
    uint16_t kernel_width;
    uint16_t groups;
    uint16_t stride;
    uint16_t dilation;
    uint16_t pad_left;
    int16_t low;
    int16_t high;
} edgesea_grouped_conv16;

void edgesea_grouped_conv16_row(const void *op, const edgesea_window *window, void *out, void *scratch);

typedef struct edgesea_transposed_conv16_constant {
    const int8_t *weights;
    const edgesea_channel16 *channels;
    uint16_t batch;
    uint16_t in_size[2];
    uint16_t in_channels;
    uint16_t out_size[2];
    uint16_t out_channels;
    uint16_t kernel[2];
    uint16_t stride[2];
    uint16_t pad[2];
    int16_t low;
    int16_t high;
} edgesea_transposed_conv16_constant;

void edgesea_transposed_conv16(const edgesea_transposed_conv16_constant *op, const int16_t *in, int16_t *out);

void edgesea_resize_bilinear16(const edgesea_resize_bilinear_constant *op, const int16_t *in, int16_t *out);

/* As edgesea_matmul, with zero 0 and the sums scaled as edgesea_channel16 says. */
typedef struct edgesea_matmul16 {
    const edgesea_axis *axes;
    int32_t across[2];
    int32_t along[2];
    int32_t multiplier;
    uint16_t rows;
    uint16_t columns;
    uint16_t depth;
    int8_t shift;
    uint8_t rank;
} edgesea_matmul16;

void edgesea_batch_matmul16(const edgesea_matmul16 *op, const int16_t *a, const int16_t *b, int16_t *out);

/* A function of one value: straight lines between the entries of a table. out may be in.
 * table  [513], for -32768, -32640, .. 32768 */
typedef struct edgesea_interpolate16_constant {
    const int16_t *table;
    uint32_t count;
} edgesea_interpolate16_constant;

void edgesea_interpolate16(const edgesea_interpolate16_constant *op, const int16_t *in, int16_t *out);

/* ---- streams --------------------------------------------------------------------------------------------------- */

/* A stage makes one tensor row by row, and keeps only the rows that its readers still need.
 * row        what makes a row; NULL for a tensor that exists whole before the stream begins
 * op         the constant handed to `row`
 * table      NULL, or 256 values through which every finished row goes (edgesea_lookup)
 * offset     where its rows lie, in bytes from the beginning of its place; row r is at
 *            offset + (r % ring) * row_bytes
 * scratch    bytes from the beginning of the arena, handed to `row`
 * rows       rows that it makes in all; ring: how many of them fit in its memory
 * height, stride, dilation, pad
 *            row r reads the rows r * stride - pad + dilation * (0..height - 1) of its inputs
 * input      the stages it reads, all before it in the list; -1 for none. With two inputs the height is 1, and the
 *            window holds one row of each.
 * place      which of the stream's places the rows lie in
 * singly     1 if the input's rows are taken one at a time as they appear, so that one of them is kept instead of
 *            `height`; for windows that do not overlap
 * number     what EDGESEA_PROFILE is told
 */
typedef struct edgesea_stage {
    edgesea_row_function *row;
    const void *op;
    const int8_t *table;
    uint32_t offset;
    uint32_t scratch;
    uint32_t row_bytes;
    uint16_t rows;
    uint16_t ring;
    uint16_t height;
    uint16_t stride;
    uint16_t dilation;
    uint16_t pad;
    int8_t input[2];
    uint8_t place;
    uint8_t singly;
    int16_t number;
} edgesea_stage;

/* How far a stage has come: rows made, the slot of the ring that the next one goes to, rows taken of its window, and
 * the stage that asked it for a row. */
typedef struct edgesea_progress {
    uint16_t made;
    uint16_t slot;
    uint16_t taken;
    uint16_t asker;
} edgesea_progress;

/* Runs stages until the last one has made all its rows. Each row is made once, when a later stage first needs it.
 * stages    [count]
 * places    the memory that stages lie in; places[0] is the arena. Places of stages without `row` are not written.
 * progress  [count], working memory
 * rows      [largest height, or 2], working memory
 */
void edgesea_stream(const edgesea_stage *stages, int count, void *const *places, edgesea_progress *progress,
                    const void **rows);

#ifdef __cplusplus
}
#endif

#endif
