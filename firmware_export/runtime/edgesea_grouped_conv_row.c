/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

void edgesea_grouped_conv_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_grouped_conv *op = (const edgesea_grouped_conv *)constant;
    int8_t *out = (int8_t *)result;
    const int depth = op->in_channels / op->groups;
    const int together = op->out_channels / op->groups;

    (void)scratch;
    for (int x = 0; x < op->out_width; x++) {
        const int8_t *weights = op->weights;
        const int left = x * op->stride - op->pad_left;
        for (int c = 0; c < op->out_channels; c++) {
            const edgesea_channel *channel = &op->channels[c];
            const int first = c / together * depth;
            int32_t sum = channel->bias;
            for (int ky = 0; ky < op->kernel_height; ky++) {
                const int8_t *row = (const int8_t *)window->rows[ky];
                for (int kx = 0; kx < op->kernel_width; kx++) {
                    const int column = left + kx * op->dilation;
                    const int inside = row && column >= 0 && column < op->in_width;
                    for (int k = 0; k < depth; k++) {
                        sum += (inside ? row[column * op->in_channels + first + k] : op->in_zero) * weights[k];
                    }
                    weights += depth;
                }
            }
            sum = edgesea_scale_twice(sum, channel->multiplier, channel->shift);
            *out++ = edgesea_clamp(sum, op->out_zero, op->low, op->high);
        }
    }
}
