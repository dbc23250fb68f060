/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_fully_connected: a dense layer on int8, in portable C. */
#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_PLAIN

void edgesea_fully_connected(const edgesea_dense *op, const int8_t *in, int8_t *out, void *scratch)
{
    const int inputs4 = (op->inputs + 3) & ~3;

    (void)scratch;
    for (int row = 0; row < op->rows; row++) {
        const int8_t *weights = op->weights;
        for (int o = 0; o < op->outputs; o++) {
            int32_t sum = op->bias[o];
            for (int i = 0; i < op->inputs; i++) {
                sum += in[i] * weights[i];
            }
            edgesea_finish_dense(op, o, 1, &sum, out + o);
            weights += inputs4;
        }
        in += op->inputs;
        out += op->outputs;
    }
}

#endif
