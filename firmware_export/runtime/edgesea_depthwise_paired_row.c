/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_depthwise_paired_row in portable C: where each tap finds its input is worked out once for all channels. */
#include <string.h>

#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

#if EDGESEA_PATH == EDGESEA_PATH_PLAIN

void edgesea_depthwise_paired_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_conv *op = (const edgesea_conv *)constant;
    const int channels = op->in_channels;
    const int taps = op->kernel_height * op->kernel_width;
    /* [taps]; scratch is word-aligned, which 64-bit pointers are not content with */
    const uintptr_t align = sizeof(int8_t *) - 1;
    const int8_t **const inputs = (const int8_t **)(((uintptr_t)scratch + align) & ~align);
    int8_t *const zeros = (int8_t *)(inputs + taps);        /* [channels] */
    int8_t *out = (int8_t *)result;

    memset(zeros, op->in_zero, (size_t)channels);
    for (int x = 0; x < op->out_width; x++) {
        const int left = x * op->stride - op->pad_left;
        const int8_t **input = inputs;
        for (int ky = 0; ky < op->kernel_height; ky++) {
            const int8_t *row = (const int8_t *)window->rows[ky];
            for (int kx = 0; kx < op->kernel_width; kx++) {
                const int column = left + kx * op->dilation;
                const int inside = row && column >= 0 && column < op->in_width;
                *input++ = inside ? row + column * channels : zeros;
            }
        }
        for (int c = 0; c < channels; c++) {
            const int8_t *weights = (const int8_t *)op->weights + c;
            int32_t sum = op->channels[c].bias;
            for (int t = 0; t < taps; t++) {
                sum += inputs[t][c] * *weights;
                weights += channels;
            }
            *out++ = edgesea_finish(op, c, sum);
        }
    }
}

#endif
