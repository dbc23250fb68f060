/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* sensor_memory: the memory has its say, and learns over the serial line. */
#include <string.h>

#include "edgesea_memory.h"
#include "sensor_parts.h"

#ifdef SENSOR_HAS_STORAGE
extern const edgesea_storage sensor_storage;
#define STORAGE (&sensor_storage)
#else
#define STORAGE NULL
#endif

static uint32_t records[SENSOR_RECORDS * EDGESEA_ADDED_BYTES(SENSOR_EMBEDDING_BYTES) / 4];
static int32_t sums[SENSOR_EMBEDDING_BYTES];
static edgesea_memory memory;
static char learning[EDGESEA_LABEL_BYTES]; /* of what is being learned; "" for nothing */
static uint32_t wanted;                    /* embeddings for it */

void sensor_scores_begin(void)
{
    edgesea_memory_start(&SENSOR_PROTOTYPES, &memory, records, SENSOR_RECORDS, sums, STORAGE);
    learning[0] = '\0';
}

/* Takes an embedding of what is being learned; the last one makes it a prototype, and that is said. */
static void learn(const int8_t *embedding)
{
    int number;

    edgesea_memory_take(&memory, embedding);
    if (memory.taken < wanted) {
        return;
    }
    number = edgesea_memory_add(&memory, learning);
    sensor_write("{\"learned\":\"");
    sensor_write(learning);
    sensor_write("\",\"number\":");
    sensor_say_number(number);
    sensor_write(",\"samples\":");
    sensor_say_number(sensor_heard.samples);
    sensor_write("}\n");
    learning[0] = '\0';
}

void sensor_scores(const int8_t *output, uint8_t *scores)
{
    uint8_t head[SENSOR_HEAD + 1] = {0};

    for (int c = 0; c < SENSOR_HEAD; c++) {
        head[c] = (uint8_t)(output[SENSOR_SCORES_AT + c] + 128);
    }
    if (learning[0]) {
        learn(output);
    }
    edgesea_memory_scores(&memory, head, output, scores);
}

const char *sensor_name(int slot)
{
    return slot < SENSOR_CLASSES ? SENSOR_LABELS[slot] : edgesea_memory_name(&memory, (uint16_t)slot);
}

uint32_t sensor_prototypes(void) { return SENSOR_PROTOTYPES.count + memory.added; }

static const char *reason(int result)
{
    return result == EDGESEA_MEMORY_FULL      ? "full"
           : result == EDGESEA_MEMORY_STORAGE ? "storage"
           : result == EDGESEA_MEMORY_LABEL   ? "label"
                                              : "range";
}

/* LABEL COUNT; what is being learned goes on where this cannot be. */
static const char *ask_add(const char *text, char *answer, size_t size)
{
    char label[EDGESEA_LABEL_BYTES] = {0};
    size_t length = 0;
    uint32_t count;

    while (text[length] != ' ' && text[length] != '\0') {
        length++;
    }
    if (text[length] == '\0' || !sensor_only_hex(text + length + 1, &count)) {
        return "request";
    }
    if (length >= sizeof label) {
        return "label";
    }
    memcpy(label, text, length);
    if (!edgesea_memory_may_be(label)) {
        return "label";
    }
    if (count < 1 || count > 1000) {
        return "range";
    }
    if (memory.added == memory.capacity) {
        return "full";
    }
    memcpy(learning, label, sizeof learning);
    wanted = count;
    edgesea_memory_begin(&memory);
    sensor_put(answer, size, "memory add");
    sensor_put_hex(answer, size, count);
    return NULL;
}

/* PLACE: number and label */
static const char *ask_list(const char *text, char *answer, size_t size)
{
    uint32_t place;

    if (!sensor_only_hex(text, &place)) {
        return "request";
    }
    if (place >= memory.added) {
        return "range";
    }
    sensor_put(answer, size, "memory list");
    sensor_put_hex(answer, size, edgesea_memory_number(&memory, (uint16_t)place));
    sensor_put(answer, size, " ");
    sensor_put(answer, size, edgesea_memory_label(&memory, (uint16_t)place));
    return NULL;
}

static const char *ask_remove(const char *text, char *answer, size_t size)
{
    uint32_t number;
    int result;

    if (!sensor_only_hex(text, &number)) {
        return "request";
    }
    result = number > 0xffff ? EDGESEA_MEMORY_NOTHING : edgesea_memory_remove(&memory, (uint16_t)number);
    if (result != 0) {
        return reason(result);
    }
    sensor_put(answer, size, "memory remove");
    return NULL;
}

const char *sensor_memory_ask(const char *text, char *answer, size_t size)
{
    int result;

    if (sensor_is(&text, "add")) {
        return ask_add(text, answer, size);
    }
    if (sensor_is(&text, "list")) {
        return ask_list(text, answer, size);
    }
    if (sensor_is(&text, "remove")) {
        return ask_remove(text, answer, size);
    }
    if (strcmp(text, "save") == 0) {
        result = edgesea_memory_save(&memory);
    } else if (strcmp(text, "rewrite") == 0) {
        result = edgesea_memory_rewrite(&memory);
    } else {
        return "request";
    }
    if (result != 0) {
        return reason(result);
    }
    sensor_put(answer, size, "memory ");
    sensor_put(answer, size, text);
    return NULL;
}
