/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_fully_connected: a dense layer on int8, in portable C. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

#if EDGESEA_PATH == EDGESEA_PATH_PLAIN

void edgesea_fully_connected(const edgesea_dense *op, const int8_t *in, int8_t *out, void *scratch)
{
    const int inputs4 = (op->inputs + 3) & ~3;

    (void)scratch;
    for (int row = 0; row < op->rows; row++) {
        const int8_t *weights = op->weights;
        for (int o = 0; o < op->outputs; o++) {
            const int channel = o * op->per_channel;
            int32_t sum = op->bias[o];
            for (int i = 0; i < op->inputs; i++) {
                sum += in[i] * weights[i];
            }
            sum = edgesea_scale_once(sum, op->multiplier[channel], op->shift[channel]);
            *out++ = edgesea_clamp(sum, op->out_zero, op->low, op->high);
            weights += inputs4;
        }
        in += op->inputs;
    }
}

#endif
