/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_depthwise_dilated_row for Arm's DSP extension: outputs whose distance is the dilation read columns at that
 * distance, so that each such set of outputs is a 3x3 convolution without dilation. */
#include "edgesea_depthwise_3x3_dsp.h"
#include "edgesea_dot_dsp.h"
#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_DSP

static int least(int a, int b) { return a < b ? a : b; }

/* Outputs first, first + dilation, ...; columns count from the left end of the padding. */
static void one_phase(const edgesea_conv *op, const edgesea_window *window, int first, int8_t *result, int32_t *columns)
{
    enum { WORDS = 5 };
    const int channels = op->in_channels, apart = op->dilation;
    const int outputs = (op->out_width - first + apart - 1) / apart, needed = outputs + 2;
    const int before = first < op->pad_left ? least((op->pad_left - first + apart - 1) / apart, needed) : 0;
    const int within = (op->pad_left + op->in_width - first + apart - 1) / apart;
    const int read = (within < needed ? within : needed) - before;
    const uint32_t zeros = (uint8_t)op->in_zero * 0x01010101U;
    const int32_t zero_pair = (int32_t)(((uint32_t)op->in_zero & 0xffffU) * 0x10001U);
    rows from;
    quad q;

    from.columns = fill(columns, before, zero_pair);
    from.end = from.columns + (read > 0 ? read : 0) * COLUMN_WORDS;
    fill(from.end, needed - before - (read > 0 ? read : 0), zero_pair);
    q.stride = channels * apart;
    q.step = COLUMN_WORDS * (int32_t)sizeof(int32_t);
    q.first = columns;
    q.all = outputs * q.step;
    q.pairs = (outputs & ~1) * q.step;
    for (int group = 0;; group = group + 8 <= channels ? group + 4 : channels - 4) {
        for (int i = 0; i < 3; i++) {
            const int8_t *row = (const int8_t *)window->rows[i];
            from.row[i] = row ? row + (first + before * apart - op->pad_left) * channels + group : (const int8_t *)&zeros;
            from.step[i] = row ? channels * apart : 0;
        }
        if (from.end != from.columns) {
            widen(&from);
        }
        q.out = result + first * channels + group;
        q.weights = (const int32_t *)op->weights + group * WORDS;
        q.channels = op->channels + group;
        four_channels(&q);
        if (group + 4 == channels) {
            break;
        }
        /* The last four channels may overlap those before: they give the same values again. */
    }
}

void edgesea_depthwise_dilated_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_conv *op = (const edgesea_conv *)constant;

    for (int first = 0; first < least(op->dilation, op->out_width); first++) {
        one_phase(op, window, first, (int8_t *)result, (int32_t *)scratch);
    }
    edgesea_clamp_dsp(op, (int8_t *)result, op->out_width * op->in_channels);
}

#endif
