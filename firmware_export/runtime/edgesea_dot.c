/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_dot: one pixel by all output channels, in portable C: four channels share each input that is loaded. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

#if EDGESEA_PATH == EDGESEA_PATH_PLAIN

void edgesea_dot(const edgesea_conv *op, const int8_t *in, int8_t *out)
{
    const int depth = op->kernel_height * op->kernel_width * op->in_channels;
    const int depth4 = (depth + 3) & ~3;
    const int8_t *weights = (const int8_t *)op->weights;
    int c = 0;

    for (; c + 4 <= op->out_channels; c += 4) {
        const int8_t *w0 = weights, *w1 = w0 + depth4, *w2 = w1 + depth4, *w3 = w2 + depth4;
        int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
        for (int k = 0; k < depth; k++) {
            const int32_t value = in[k];
            sum0 += value * w0[k];
            sum1 += value * w1[k];
            sum2 += value * w2[k];
            sum3 += value * w3[k];
        }
        *out++ = edgesea_finish(op, c, sum0 + op->channels[c].bias);
        *out++ = edgesea_finish(op, c + 1, sum1 + op->channels[c + 1].bias);
        *out++ = edgesea_finish(op, c + 2, sum2 + op->channels[c + 2].bias);
        *out++ = edgesea_finish(op, c + 3, sum3 + op->channels[c + 3].bias);
        weights = w3 + depth4;
    }
    for (; c < op->out_channels; c++) {
        int32_t sum = op->channels[c].bias;
        for (int k = 0; k < depth; k++) {
            sum += in[k] * weights[k];
        }
        *out++ = edgesea_finish(op, c, sum);
        weights += depth4;
    }
}

#endif
