/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

void edgesea_grouped_conv16_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_grouped_conv16 *op = (const edgesea_grouped_conv16 *)constant;
    int16_t *out = (int16_t *)result;
    const int depth = op->in_channels / op->groups;
    const int together = op->out_channels / op->groups;

    (void)scratch;
    for (int x = 0; x < op->out_width; x++) {
        const int8_t *weights = op->weights;
        const int left = x * op->stride - op->pad_left;
        for (int c = 0; c < op->out_channels; c++) {
            const edgesea_channel16 *channel = &op->channels[c];
            const int first = c / together * depth;
            int64_t sum = channel->bias;
            for (int ky = 0; ky < op->kernel_height; ky++) {
                const int16_t *row = (const int16_t *)window->rows[ky];
                for (int kx = 0; kx < op->kernel_width; kx++) {
                    const int column = left + kx * op->dilation;
                    if (row && column >= 0 && column < op->in_width) {
                        for (int k = 0; k < depth; k++) {
                            sum += row[column * op->in_channels + first + k] * weights[k];
                        }
                    }
                    weights += depth;
                }
            }
            const int64_t half = (int64_t)1 << (channel->shift - 1);
            *out++ = edgesea_clamp16((int32_t)((sum * channel->multiplier + half) >> channel->shift), op->low, op->high);
        }
    }
}
