/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_decide.h: scores of frames in, events out. Integers only: the same to the bit as edgesea's listen.py.
 *
 * Which classes there are, and from when on each is heard, is a constant in a generated file. Typical use:
 *
 *     static uint8_t memory[EDGESEA_DECIDER_BYTES(CLASSES, WINDOW)];        // the caller owns all memory
 *     edgesea_decider decider;
 *     edgesea_decide_start(&name_decisions, &decider, memory);
 *
 *     for each frame:
 *         if (edgesea_decide(&name_decisions, &decider, scores) > 0) {
 *             for (int c = 0; c < CLASSES; c++) {
 *                 if (decider.state[c] & EDGESEA_EVENT) {
 *                     say(name_labels[c], decider.pooled[c]);               // in 1/65536
 *                 }
 *             }
 *         }
 *
 * A score is 0..255, in 1/256: what a softmax or a sigmoid gives in int8, plus 128. The pooled score of a class over
 * its scores q of the last frames, m being their maximum, is
 *
 *     floor(256 * sum q w / sum w),    w = 2^(-(m - q) * alpha / 65536) in 1/65535, cut
 *
 * which is auto-pool (McFee, Salamon, Bello, 2018): the mean where alpha is 0. An event is a pooled score that reaches
 * the threshold where the one before did not; for `rest` frames after one, further ones are only counted.
 */
#ifndef EDGESEA_DECIDE_H
#define EDGESEA_DECIDE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Constants.
 *   classes     scores of a frame, 1 or more
 *   window      frames that are pooled, 1..64; at the beginning as many as there are
 *   rest        frames for which a class that was said is not said again
 *   alpha       [classes]
 *   thresholds  [classes], 1 or more, in 1/65536
 */
typedef struct edgesea_decisions {
    uint16_t classes;
    uint16_t window;
    uint16_t rest;
    const uint16_t *alpha;
    const uint16_t *thresholds;
} edgesea_decisions;

enum { EDGESEA_HIGH = 1, EDGESEA_EVENT = 2 };

/* How far a stream has come. For the caller to read:
 *   pooled      [classes], 0..65280
 *   state       [classes], EDGESEA_HIGH where the threshold is reached, EDGESEA_EVENT where that is an event
 *   events, suppressed
 *               how many there were, and how many were not said because their class rested
 */
typedef struct edgesea_decider {
    uint16_t *pooled;
    uint16_t *since;
    uint8_t *scores;
    uint8_t *state;
    uint16_t heard;
    uint16_t next;
    uint32_t events;
    uint32_t suppressed;
} edgesea_decider;

/* Bytes of memory that a decider takes, aligned to 2. */
#define EDGESEA_DECIDER_BYTES(classes, window) ((classes) * (5 + (window)))

/* Begins a stream; also to begin again after a gap. */
void edgesea_decide_start(const edgesea_decisions *decisions, edgesea_decider *decider, void *memory);

/* Takes the scores of a frame, [classes]; returns how many events begin with it. */
int edgesea_decide(const edgesea_decisions *decisions, edgesea_decider *decider, const uint8_t *scores);

/* 2^(-x / 256) in 1/65535, cut. */
uint32_t edgesea_power(uint32_t x);

#ifdef __cplusplus
}
#endif

#endif
