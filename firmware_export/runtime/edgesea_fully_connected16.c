/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_fully_connected16: a dense layer on int16. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

void edgesea_fully_connected16(const edgesea_dense16 *op, const int16_t *in, int16_t *out)
{
    for (int row = 0; row < op->rows; row++) {
        const int8_t *weights = op->weights;
        for (int o = 0; o < op->outputs; o++) {
            const edgesea_channel *channel = &op->channels[o];
            int32_t sum = channel->bias;
            for (int i = 0; i < op->inputs; i++) {
                sum += in[i] * *weights++;
            }
            sum = edgesea_scale_once(sum, channel->multiplier, channel->shift);
            *out++ = edgesea_clamp16(sum, op->low, op->high);
        }
        in += op->inputs;
    }
}
