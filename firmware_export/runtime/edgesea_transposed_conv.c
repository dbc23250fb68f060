/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

/* Which row (or column) of the input reaches `place` of the output through tap `tap`; -1 for none. */
static int reaches(const edgesea_transposed_conv_constant *op, int axis, int place, int tap)
{
    const int distance = place + op->pad[axis] - tap;
    if (distance < 0 || distance % op->stride[axis] != 0 || distance / op->stride[axis] >= op->in_size[axis]) {
        return -1;
    }
    return distance / op->stride[axis];
}

/* Output channel c of the pixel (y, x). */
static int8_t pixel_of(const edgesea_transposed_conv_constant *op, const int8_t *in, int y, int x, int c)
{
    const edgesea_channel *channel = &op->channels[c];
    const int8_t *weights = op->weights + c * op->kernel[0] * op->kernel[1] * op->in_channels;
    int32_t sum = channel->bias;

    for (int ky = 0; ky < op->kernel[0]; ky++) {
        const int row = reaches(op, 0, y, ky);
        for (int kx = 0; kx < op->kernel[1]; kx++) {
            const int column = reaches(op, 1, x, kx);
            if (row >= 0 && column >= 0) {
                const int8_t *pixel = in + (row * op->in_size[1] + column) * op->in_channels;
                for (int k = 0; k < op->in_channels; k++) {
                    sum += (pixel[k] - op->in_zero) * weights[k];
                }
            }
            weights += op->in_channels;
        }
    }
    return edgesea_clamp(edgesea_scale_twice(sum, channel->multiplier, channel->shift), op->out_zero, op->low, op->high);
}

void edgesea_transposed_conv(const edgesea_transposed_conv_constant *op, const int8_t *in, int8_t *out)
{
    for (int b = 0; b < op->batch; b++) {
        for (int y = 0; y < op->out_size[0]; y++) {
            for (int x = 0; x < op->out_size[1]; x++) {
                for (int c = 0; c < op->out_channels; c++) {
                    *out++ = pixel_of(op, in, y, x, c);
                }
            }
        }
        in += op->in_size[0] * op->in_size[1] * op->in_channels;
    }
}
