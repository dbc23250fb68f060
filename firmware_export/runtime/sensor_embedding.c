/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* sensor_embedding: a model without head and memory; every frame's embedding is said. */
#include "sensor_parts.h"

void sensor_begin(void) {}

void sensor_decide(const int8_t *output) { sensor_say_embedding(output); }

const char *sensor_ask(const char *text, char *answer, size_t size)
{
    if (!sensor_is(&text, "status") || *text != '\0') {
        return "request";
    }
    answer[0] = '\0';
    sensor_put(answer, size, "status");
    sensor_put_hex(answer, size, (uint32_t)sensor_heard.samples);
    sensor_put_hex(answer, size, sensor_heard.frames);
    return NULL;
}
