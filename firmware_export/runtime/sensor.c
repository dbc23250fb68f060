/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* sensor: listen, decide, report. */
#include "sensor.h"

#include "sensor_model.h"

/* A frontend's row and an inference take turns, so they share their working memory. */
static uint64_t work[(SENSOR_WORK_BYTES + 7) / 8];

static sensor_frontend_memory memory;
static int16_t pcm[SENSOR_HOP];
static int8_t patch[SENSOR_PATCH_BYTES];
static int8_t embedding[SENSOR_EMBEDDING_BYTES];

static void write_number(int64_t value)
{
    char text[24];
    char *digit = text + sizeof text - 1;
    uint64_t rest = (uint64_t)(value < 0 ? -value : value);
    *digit = '\0';
    do {
        *--digit = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0) {
        *--digit = '-';
    }
    sensor_write(digit);
}

static void write_decision(int64_t samples)
{
    sensor_write("{\"samples\":");
    write_number(samples);
    sensor_write(",\"scale\":" SENSOR_SCALE ",\"zero_point\":" SENSOR_ZERO_POINT ",\"embedding\":[");
    for (int i = 0; i < SENSOR_EMBEDDING_BYTES; i++) {
        if (i) {
            sensor_write(",");
        }
        write_number(embedding[i]);
    }
    sensor_write("]}\n");
}

int sensor_run(void)
{
    edgesea_frontend_state *state = SENSOR_START(&memory);
    int64_t samples = 0;
    int wait = 0; /* patches to let pass before the next decision */
    size_t count;

    while ((count = sensor_read(pcm, SENSOR_HOP)) > 0) {
        for (size_t taken = 0; taken < count;) {
            const size_t part = edgesea_frontend_push(&SENSOR_FRONTEND, state, pcm + taken, count - taken, work);
            taken += part;
            samples += (int64_t)part;
            if (state->ready && wait-- == 0) {
                edgesea_frontend_patch(&SENSOR_FRONTEND, state, patch);
                if (SENSOR_INVOKE(work, patch, embedding) != 0) {
                    return 1;
                }
                write_decision(samples);
                wait = SENSOR_EVERY - 1;
            }
        }
    }
    return 0;
}
