/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_stream: runs a chain of row functions with a few rows of each feature map in memory. */
#include "edgesea_kernels.h"

/* The input rows that the next row of a stage reads: from `top`, which can be negative, to before `end`, which can lie
 * below the feature map. */
static int top_row(const edgesea_stage *stage, const edgesea_progress *progress)
{
    return progress->made * stage->stride - stage->pad;
}

static int end_row(const edgesea_stage *stage, int top)
{
    return top + (stage->height - 1) * stage->dilation + 1;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* The row that a stage without overlap takes next: those above the feature map are passed over. */
static int next_single(int top, int taken)
{
    return (top < 0 ? 0 : top) + taken;
}

/* The input of `stage` that must make a row before the stage can go on, or -1 if it can. */
static int lacking(const edgesea_stage *stages, const edgesea_progress *progress, int s)
{
    const edgesea_stage *stage = &stages[s];
    const int top = top_row(stage, &progress[s]);

    for (int i = 0; i < 2 && stage->input[i] >= 0; i++) {
        const int input = stage->input[i];
        const int end = stage->singly ? next_single(top, progress[s].taken) + 1 : end_row(stage, top);
        if (progress[input].made < smaller(end, stages[input].rows)) {
            return input;
        }
    }
    return -1;
}

/* Row r of a stage, which its ring still holds; NULL outside the feature map. */
static const void *find(const edgesea_stage *stage, const edgesea_progress *progress, void *const *places, int r)
{
    int slot;

    if (r < 0 || r >= stage->rows) {
        return NULL;
    }
    slot = progress->slot - (progress->made - r);
    if (slot < 0) {
        slot += stage->ring;
    }
    return (const uint8_t *)places[stage->place] + stage->offset + (size_t)slot * stage->row_bytes;
}

static void advance(const edgesea_stage *stages, edgesea_progress *progress, void *const *places, const void **rows,
                    int s)
{
    const edgesea_stage *stage = &stages[s];
    edgesea_progress *own = &progress[s];
    const int top = top_row(stage, own);
    const edgesea_stage *input = &stages[stage->input[0]];
    const int first = next_single(top, 0);
    const int end = smaller(end_row(stage, top), input->rows);
    uint8_t *out = (uint8_t *)places[stage->place] + stage->offset + (size_t)own->slot * stage->row_bytes;
    edgesea_window window;

    window.rows = rows;
    window.count = 0;
    window.inside = (uint16_t)(end - first);
    window.first = own->taken == 0;
    window.last = !stage->singly || first + own->taken == end - 1;
    if (stage->singly) {
        rows[window.count++] = find(input, &progress[stage->input[0]], places, first + own->taken);
    } else {
        for (int i = 0; i < 2 && stage->input[i] >= 0; i++) {
            for (int t = 0; t < stage->height; t++) {
                const int from = stage->input[i];
                rows[window.count++] = find(&stages[from], &progress[from], places, top + t * stage->dilation);
            }
        }
    }
    EDGESEA_PROFILE(stage->number);
    stage->row(stage->op, &window, out, (uint8_t *)places[0] + stage->scratch);
    own->taken++;
    if (!window.last) {
        return;
    }
    if (stage->table) {
        edgesea_lookup(stage->table, (const int8_t *)out, (int8_t *)out, stage->row_bytes);
    }
    own->taken = 0;
    own->made++;
    own->slot++;
    if (own->slot == stage->ring) {
        own->slot = 0;
    }
}

void edgesea_stream(const edgesea_stage *stages, int count, void *const *places, edgesea_progress *progress,
                    const void **rows)
{
    const int last = count - 1;

    for (int s = 0; s < count; s++) {
        progress[s].made = stages[s].row ? 0 : stages[s].rows;
        progress[s].slot = 0;
        progress[s].taken = 0;
    }
    progress[last].asker = (uint16_t)last;
    /* Down to the first stage that lacks nothing, which makes a row, and back up to the one that asked for it. */
    for (int s = last; progress[last].made < stages[last].rows;) {
        const int input = lacking(stages, progress, s);
        if (input < 0) {
            advance(stages, progress, places, rows, s);
            s = progress[s].asker;
        } else {
            progress[input].asker = (uint16_t)s;
            s = input;
        }
    }
}
