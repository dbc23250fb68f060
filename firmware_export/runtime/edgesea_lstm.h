/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_lstm.h: a layer of long short-term memory over a whole sequence.
 *
 * The state is that of one call: every sequence begins with outputs of zero and empty cells.
 */
#ifndef EDGESEA_LSTM_H
#define EDGESEA_LSTM_H

#include <stdint.h>

#include "edgesea_path.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the sums of one gate of one unit begin with; the zero points are in them. */
typedef struct edgesea_lstm_bias {
    int32_t input;
    int32_t recurrent;
} edgesea_lstm_bias;

/* What brings both sums of a gate to steps of 2^-12. */
typedef struct edgesea_lstm_scale {
    int32_t input_multiplier;
    int32_t recurrent_multiplier;
    int32_t input_shift;
    int32_t recurrent_shift;
} edgesea_lstm_scale;

/* The gates, in this order: forget, cell, output, and input where it is not coupled to forget.
 * weights   int8 [units][gates][inputs + units]: those of the input, then those of the output before
 * biases    [units][gates]
 * scales    [gates]
 * gates     3 where the input gate is 1 less the forget gate, otherwise 4
 * apart     rows from one member of the batch to the next, and from one moment to the next
 * clip      the greatest magnitude of a cell; 0: none
 * cell_bits integer bits of a cell, 0..6
 */
typedef struct edgesea_lstm_constant {
    const int8_t *weights;
    const edgesea_lstm_bias *biases;
    const edgesea_lstm_scale *scales;
    int32_t multiplier;
    uint16_t batch;
    uint16_t moments;
    uint16_t inputs;
    uint16_t units;
    uint32_t apart[2];
    int16_t clip;
    int8_t shift;
    int8_t out_zero;
    uint8_t gates;
    uint8_t cell_bits;
} edgesea_lstm_constant;

/* in [batch][moments][inputs] -> out [batch][moments][units], or both with moments first.
 * scratch  2 * units bytes, aligned to 2 */
void edgesea_lstm(const edgesea_lstm_constant *op, const int8_t *in, int8_t *out, void *scratch);

#ifdef __cplusplus
}
#endif

#endif
