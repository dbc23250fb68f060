/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* sensor: listen, run the model, hand over what it gives. */
#include "sensor_parts.h"

/* A frontend's row and an inference take turns, so they share their working memory. */
static uint64_t work[(SENSOR_WORK_BYTES + 7) / 8];

static sensor_frontend_memory memory;
static int16_t pcm[SENSOR_HOP];
static int8_t patch[SENSOR_PATCH_BYTES];
static int8_t output[SENSOR_OUTPUT_BYTES];

sensor_count sensor_heard;

static void count_in(const int16_t *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sensor_heard.squares += (uint64_t)((int64_t)samples[i] * samples[i]);
    }
    sensor_heard.samples += (int64_t)count;
    sensor_heard.fresh += (uint32_t)count;
}

int sensor_run(void)
{
    edgesea_frontend_state *state = SENSOR_START(&memory);
    int wait = 0; /* patches to let pass before the next decision */
    size_t count;

    sensor_begin();
    while ((count = sensor_read(pcm, SENSOR_HOP)) > 0) {
        for (size_t taken = 0; taken < count;) {
            const size_t part = edgesea_frontend_push(&SENSOR_FRONTEND, state, pcm + taken, count - taken, work);
            count_in(pcm + taken, part);
            taken += part;
            if (state->ready && wait-- == 0) {
                edgesea_frontend_patch(&SENSOR_FRONTEND, state, patch);
                if (SENSOR_INVOKE(work, patch, output) != 0) {
                    return 1;
                }
                sensor_heard.frames++;
                sensor_decide(output);
                sensor_heard.squares = 0;
                sensor_heard.fresh = 0;
                wait = SENSOR_EVERY - 1;
            }
        }
    }
    return 0;
}
