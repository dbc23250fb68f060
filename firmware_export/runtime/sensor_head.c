/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* sensor_head: the scores are the model's. */
#include "sensor_parts.h"

void sensor_scores_begin(void) {}

void sensor_scores(const int8_t *output, uint8_t *scores)
{
    for (int c = 0; c < SENSOR_HEAD; c++) {
        scores[c] = (uint8_t)(output[SENSOR_SCORES_AT + c] + 128);
    }
}

const char *sensor_name(int slot) { return SENSOR_LABELS[slot]; }

uint32_t sensor_prototypes(void) { return 0; }

const char *sensor_memory_ask(const char *text, char *answer, size_t size)
{
    (void)text;
    (void)answer;
    (void)size;
    return "request";
}
