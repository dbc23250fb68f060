/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_depthwise_3x3_row for Arm's DSP extension: four channels at a time, see edgesea_depthwise_3x3_dsp.h. */
#include <string.h>

#include "edgesea_depthwise_3x3_dsp.h"
#include "edgesea_kernels.h"
#include "edgesea_dot_dsp.h"

#if EDGESEA_PATH == EDGESEA_PATH_DSP

/* Widens columns of four channels from `group` on, of rows at `bases`, into memory from `columns` on.
 * Of fewer than four channels the last column is read by itself: nothing may be read behind it. */
static void widen_columns(const edgesea_conv *op, const int8_t *const *bases, const int32_t *steps, int group, int read,
                          int32_t *columns)
{
    const int alone = op->in_channels < 4 && read == op->in_width;
    int8_t last[3][4];
    rows from;

    for (int i = 0; i < 3; i++) {
        from.step[i] = steps[i];
        from.row[i] = steps[i] ? bases[i] + group : bases[i];
    }
    from.columns = columns;
    from.end = columns + (read - alone) * COLUMN_WORDS;
    if (from.end != columns) {
        widen(&from);
    }
    if (alone) {
        for (int i = 0; i < 3; i++) {
            memcpy(last[i], bases[i] + (read - 1) * steps[i], steps[i] ? (size_t)op->in_channels : sizeof last[i]);
            from.row[i] = last[i];
        }
        from.columns = from.end;
        from.end += COLUMN_WORDS;
        widen(&from);
    }
}

/* out  four channels a pixel where there are fewer, else as many as there are */
static void three_by_three(const edgesea_conv *op, const edgesea_window *window, int8_t *out, int32_t *columns)
{
    enum { WORDS = 5 };
    const int channels = op->in_channels < 4 ? 4 : op->in_channels;
    const int beyond = (op->out_width - 1) * op->stride + 3 - op->pad_left - op->in_width;
    const int read = beyond < 0 ? op->in_width + beyond : op->in_width;
    const uint32_t zeros = (uint8_t)op->in_zero * 0x01010101U;
    const int32_t zero_pair = (int32_t)(((uint32_t)op->in_zero & 0xffffU) * 0x10001U);
    int32_t *const inside = fill(columns, op->pad_left, zero_pair);
    const int8_t *bases[3];
    int32_t steps[3];
    quad q;

    for (int i = 0; i < 3; i++) {
        const int8_t *row = (const int8_t *)window->rows[i];
        bases[i] = row ? row : (const int8_t *)&zeros;
        steps[i] = row ? op->in_channels : 0;
    }
    if (beyond > 0) {
        fill(inside + read * COLUMN_WORDS, beyond, zero_pair);
    }
    q.stride = channels;
    q.step = op->stride * COLUMN_WORDS * (int32_t)sizeof(int32_t);
    q.first = columns;
    q.all = op->out_width * q.step;
    q.pairs = op->stride == 1 ? (op->out_width & ~1) * q.step : 0;
    for (int group = 0;; group = group + 8 <= channels ? group + 4 : channels - 4) {
        widen_columns(op, bases, steps, group, read, inside);
        q.out = out + group;
        q.weights = (const int32_t *)op->weights + group * WORDS;
        q.channels = op->channels + group;
        four_channels(&q);
        if (group + 4 == channels) {
            break;
        }
        /* The last four channels may overlap those before: they give the same values again. */
    }
}

/* 3x3 on fewer than four channels: made as if there were four, and copied. */
static void few_channels(const edgesea_conv *op, const edgesea_window *window, int8_t *result, int8_t *scratch)
{
    const int8_t *from = scratch;

    three_by_three(op, window, scratch, (int32_t *)(void *)(scratch + 4 * op->out_width));
    for (int x = 0; x < op->out_width; x++) {
        for (int c = 0; c < op->in_channels; c++) {
            *result++ = from[c];
        }
        from += 4;
    }
}

void edgesea_depthwise_3x3_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_conv *op = (const edgesea_conv *)constant;

    if (op->in_channels < 4) {
        few_channels(op, window, (int8_t *)result, (int8_t *)scratch);
    } else {
        three_by_three(op, window, (int8_t *)result, (int32_t *)scratch);
    }
    edgesea_clamp_dsp(op, (int8_t *)result, op->out_width * op->in_channels);
}

#endif
