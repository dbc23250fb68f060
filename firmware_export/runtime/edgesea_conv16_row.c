/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_conv16_row: one row of a convolution on int16. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

void edgesea_conv16_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_conv16 *op = (const edgesea_conv16 *)constant;
    int16_t *out = (int16_t *)result;
    const int channels = op->in_channels;

    (void)scratch;
    for (int x = 0; x < op->out_width; x++) {
        const int8_t *weights = op->weights;
        const int left = x * op->stride - op->pad_left;
        for (int c = 0; c < op->out_channels; c++) {
            int64_t sum = op->channels[c].bias;
            for (int ky = 0; ky < op->kernel_height; ky++) {
                const int16_t *row = (const int16_t *)window->rows[ky];
                for (int kx = 0; kx < op->kernel_width; kx++) {
                    const int column = left + kx * op->dilation;
                    if (row && column >= 0 && column < op->in_width) {
                        for (int k = 0; k < channels; k++) {
                            sum += row[column * channels + k] * weights[k];
                        }
                    }
                    weights += channels;
                }
            }
            *out++ = edgesea_finish16(op, c, sum);
        }
    }
}
