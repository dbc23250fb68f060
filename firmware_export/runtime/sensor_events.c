/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* sensor_events: a model with a head or a memory; what begins to be heard is said. */
#include "edgesea_decide.h"
#include "sensor_parts.h"

static uint16_t memory[(EDGESEA_DECIDER_BYTES(SENSOR_SLOTS, SENSOR_WINDOW) + 1) / 2];
static edgesea_decider decider;
static uint8_t scores[SENSOR_SLOTS];
static int raw; /* whether embeddings are said too */

void sensor_begin(void)
{
    edgesea_decide_start(&SENSOR_DECISIONS, &decider, memory);
    sensor_scores_begin();
}

static void say_event(int slot)
{
    sensor_write("{\"event\":\"");
    sensor_write(sensor_name(slot));
    sensor_write("\",\"confidence\":");
    sensor_say_decimal((int32_t)((uint32_t)decider.pooled[slot] * 10000 >> 16), 4);
    sensor_write(",\"samples\":");
    sensor_say_number(sensor_heard.samples);
    sensor_write(",\"level_db\":");
    sensor_say_decimal(sensor_level(), 1);
    sensor_write("}\n");
}

void sensor_decide(const int8_t *output)
{
    sensor_scores(output, scores);
    if (raw) {
        sensor_say_embedding(output);
    }
    if (edgesea_decide(&SENSOR_DECISIONS, &decider, scores) == 0) {
        return;
    }
    for (int slot = 0; slot < SENSOR_SLOTS; slot++) {
        if (decider.state[slot] & EDGESEA_EVENT) {
            say_event(slot);
        }
    }
}

static const char *status(char *answer, size_t size)
{
    sensor_put(answer, size, "status");
    sensor_put_hex(answer, size, (uint32_t)sensor_heard.samples);
    sensor_put_hex(answer, size, sensor_heard.frames);
    sensor_put_hex(answer, size, decider.events);
    sensor_put_hex(answer, size, decider.suppressed);
    sensor_put_hex(answer, size, sensor_prototypes());
    return NULL;
}

static const char *ask_raw(const char *text, char *answer, size_t size)
{
    uint32_t wanted;

    if (!sensor_only_hex(text, &wanted)) {
        return "request";
    }
    if (wanted > 1 || SENSOR_EMBEDDING_BYTES == 0) {
        return "range";
    }
    raw = (int)wanted;
    sensor_put(answer, size, "raw");
    sensor_put_hex(answer, size, wanted);
    return NULL;
}

const char *sensor_ask(const char *text, char *answer, size_t size)
{
    answer[0] = '\0';
    if (sensor_is(&text, "raw")) {
        return ask_raw(text, answer, size);
    }
    if (sensor_is(&text, "memory")) {
        return sensor_memory_ask(text, answer, size);
    }
    return sensor_is(&text, "status") && *text == '\0' ? status(answer, size) : "request";
}
