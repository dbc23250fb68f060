/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_lstm: the integer LSTM of TensorFlow Lite, without peepholes, projection or normalisation.
 *
 * Hochreiter and Schmidhuber, "Long Short-Term Memory" (1997); the coupled gates are those of Greff et al., "LSTM: A
 * Search Space Odyssey" (2017). The rows of the output before are read where they were written.
 */
#include "edgesea_lstm.h"

#include <string.h>

#include "edgesea_fixed16.h"
#include "edgesea_requantize.h"

enum { FORGET, CELL, OUTPUT, INPUT };

static int32_t weigh(int32_t sum, const int8_t *weights, const int8_t *values, int count)
{
    for (int i = 0; i < count; i++) {
        sum += weights[i] * values[i];
    }
    return sum;
}

/* The value of one gate of one unit; before: the outputs before, NULL at first, when they are zero. */
static int32_t gate_of(const edgesea_lstm_constant *op, int unit, int gate, const int8_t *in, const int8_t *before)
{
    const int number = unit * op->gates + gate;
    const int8_t *weights = op->weights + (size_t)number * (size_t)(op->inputs + op->units);
    const edgesea_lstm_bias *bias = &op->biases[number];
    const edgesea_lstm_scale *scale = &op->scales[gate];
    int32_t sum = weigh(bias->input, weights, in, op->inputs);

    sum = edgesea_saturate16(edgesea_scale_twice(sum, scale->input_multiplier, scale->input_shift));
    if (before) {
        const int32_t recurrent = weigh(bias->recurrent, weights + op->inputs, before, op->units);
        sum += edgesea_scale_twice(recurrent, scale->recurrent_multiplier, scale->recurrent_shift);
        sum = edgesea_saturate16(sum);
    }
    return gate == CELL ? edgesea_tanh_fixed16(sum, 3) : edgesea_logistic_fixed16(sum);
}

/* What a cell becomes. */
static int32_t next_cell(const edgesea_lstm_constant *op, int32_t cell, int32_t forget, int32_t input, int32_t fresh)
{
    const int32_t kept = edgesea_divide16(forget * cell, 15);
    const int32_t next = edgesea_saturate16(kept + edgesea_divide16(input * fresh, 15 + op->cell_bits));

    if (op->clip == 0) {
        return next;
    }
    return next < -op->clip ? -op->clip : next > op->clip ? op->clip : next;
}

static void moment(const edgesea_lstm_constant *op, const int8_t *in, const int8_t *before, int8_t *out, int16_t *cells)
{
    for (int unit = 0; unit < op->units; unit++) {
        const int32_t forget = gate_of(op, unit, FORGET, in, before);
        const int32_t fresh = gate_of(op, unit, CELL, in, before);
        const int32_t output = gate_of(op, unit, OUTPUT, in, before);
        const int32_t input = op->gates == 4 ? gate_of(op, unit, INPUT, in, before) : INT16_MAX - forget;
        int32_t value;

        cells[unit] = (int16_t)next_cell(op, cells[unit], forget, input, fresh);
        value = output * edgesea_tanh_fixed16(cells[unit], op->cell_bits);
        out[unit] = edgesea_clamp(edgesea_scale_twice(value, op->multiplier, op->shift), op->out_zero, -128, 127);
    }
}

void edgesea_lstm(const edgesea_lstm_constant *op, const int8_t *in, int8_t *out, void *scratch)
{
    for (uint32_t member = 0; member < op->batch; member++) {
        const int8_t *before = NULL;

        memset(scratch, 0, sizeof(int16_t) * op->units);
        for (uint32_t i = 0; i < op->moments; i++) {
            const uint32_t row = member * op->apart[0] + i * op->apart[1];
            int8_t *made = out + row * op->units;
            moment(op, in + row * op->inputs, before, made, (int16_t *)scratch);
            before = made;
        }
    }
}
