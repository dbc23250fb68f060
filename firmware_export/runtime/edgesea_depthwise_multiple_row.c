/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_depthwise_multiple_row: one row of a depthwise convolution with several outputs for each input channel. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

void edgesea_depthwise_multiple_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_conv *op = (const edgesea_conv *)constant;
    int8_t *out = (int8_t *)result;
    const int multiple = op->out_channels / op->in_channels;

    (void)scratch;
    for (int x = 0; x < op->out_width; x++) {
        const int left = x * op->stride - op->pad_left;
        for (int c = 0; c < op->out_channels; c++) {
            const int8_t *weights = (const int8_t *)op->weights + c;
            int32_t sum = op->channels[c].bias;
            for (int ky = 0; ky < op->kernel_height; ky++) {
                const int8_t *row = (const int8_t *)window->rows[ky];
                for (int kx = 0; kx < op->kernel_width; kx++) {
                    const int column = left + kx * op->dilation;
                    const int inside = row && column >= 0 && column < op->in_width;
                    sum += (inside ? row[column * op->in_channels + c / multiple] : op->in_zero) * *weights;
                    weights += op->out_channels;
                }
            }
            *out++ = edgesea_finish(op, c, sum);
        }
    }
}
