/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* sensor_parts.h: what the files of the sensor program have of each other; nothing here is for boards.
 *
 *   sensor.c            listens, runs the model, keeps count
 *   sensor_say.c        writes numbers and embeddings
 *   sensor_embedding.c  decides for a model without head and memory: every frame is said
 *   sensor_events.c     decides for one with: events are said; with one of
 *     sensor_head.c       the scores are the model's
 *     sensor_memory.c     the memory has its say
 */
#ifndef SENSOR_PARTS_H
#define SENSOR_PARTS_H

#include "sensor.h"
#include "sensor_model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What has been heard: all samples and frames; the sum of squares and the number of samples since the last decision. */
typedef struct sensor_count {
    int64_t samples;
    uint32_t frames;
    uint32_t fresh;
    uint64_t squares;
} sensor_count;

extern sensor_count sensor_heard;

/* ---- sensor_embedding.c or sensor_events.c: before the first frame, and for each, [SENSOR_OUTPUT_BYTES] */
void sensor_begin(void);
void sensor_decide(const int8_t *output);

/* ---- sensor_head.c or sensor_memory.c */
/* Makes scores [SENSOR_SLOTS] of what the model gave. */
void sensor_scores(const int8_t *output, uint8_t *scores);
void sensor_scores_begin(void);
const char *sensor_name(int slot);
uint32_t sensor_prototypes(void);
/* Answers what follows "memory". */
const char *sensor_memory_ask(const char *text, char *answer, size_t size);

/* ---- sensor_say.c */
void sensor_say_number(int64_t value);
/* `value` in units of 10^-digits. */
void sensor_say_decimal(int32_t value, int digits);
void sensor_say_embedding(const int8_t *embedding);
/* Level of the sound since the last decision, in tenths of a dB; -999 for silence. */
int32_t sensor_level(void);
/* Appends a text, or " " and the hexadecimal digits of a number, as far as there is room. */
void sensor_put(char *answer, size_t size, const char *text);
void sensor_put_hex(char *answer, size_t size, uint32_t value);
/* Whether `word` begins *text, up to a space or the end; *text is then behind both. */
int sensor_is(const char **text, const char *word);
/* Takes the hexadecimal number that is all of the text. */
int sensor_only_hex(const char *text, uint32_t *value);

#ifdef __cplusplus
}
#endif

#endif
