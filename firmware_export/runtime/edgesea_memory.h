/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_memory.h: prototypes with soft labels, searched by cosine, extended on the device, kept over a reset.
 *
 * The bundle's prototypes are constants in a generated file; further ones lie in the caller's buffer:
 *
 *     static uint32_t records[16 * EDGESEA_ADDED_BYTES(DIMENSION) / 4];
 *     static int32_t sums[DIMENSION];
 *     edgesea_memory memory;
 *     edgesea_memory_start(&name_prototypes, &memory, records, 16, sums, NULL);
 *
 *     edgesea_memory_scores(&memory, head_scores, embedding, scores);       // then edgesea_decide
 *
 *     edgesea_memory_begin(&memory);                                        // learning a sound from a few frames
 *     edgesea_memory_take(&memory, embedding);                              // ... again and again
 *     edgesea_memory_add(&memory, "drill");                                 // their mean becomes a prototype
 *
 * What is computed, the same to the bit as in edgesea's listen.py. A prototype p has a largest magnitude of 127 and no
 * zero point. With q = embedding - zero point, its rank is (q . p) * inverse / 256, inverse = floor(2^32 / floor(256
 * |p|)); its similarity, the cosine in 1/32768, is rank * 128 / floor(256 |q|). Quotients are cut towards zero. Of the k
 * largest ranks (of equals the earlier one; the bundle's come before those that were added), the weights are 2^(-(s0 - s)
 * * sharpness / 65536), s0 being the largest similarity. The memory's scores are the weighted mean of the labels, cut,
 * and are mixed with the head's by beta / 256, rounded; classes that the head does not have are the memory's alone. Where
 * s0 is below `unknown`, all scores are 0 but the last, which says so with 255. Without any prototype the head decides.
 *
 * Scores of a frame, `slots` of them: the head's classes, the bundle's further ones, EDGESEA_SPARE that can be added,
 * and the unknown.
 *
 * Records. A record is EDGESEA_RECORD_BYTES long, little-endian:
 *     0   4   CRC-32 of the rest
 *     4   2   number, 1 and up
 *     6   1   EDGESEA_RECORD_ADDED or EDGESEA_RECORD_REMOVED
 *     7   1   0xff
 *     8   20  label, closed and filled with zeros
 *     28  d   prototype, int8, then 0xff up to a multiple of 4
 * In storage they follow each other; what was removed has a record of its own. A record is written in one piece to
 * erased bytes (0xff), so a power cut in the middle of it leaves one without a sound CRC, which is passed over: nothing
 * but the new one is lost.
 *
 * Storage has two areas, of which one counts. An area opens with EDGESEA_AREA_HEAD bytes, little-endian:
 *     0   4   generation, 1 and up; of two areas with a sound head the later generation counts
 *     4   4   all its bits turned
 * To write all of it anew, the other area is erased and gets the records first and its head last: whenever the power is
 * cut, the old area counts or the new one, each whole.
 */
#ifndef EDGESEA_MEMORY_H
#define EDGESEA_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EDGESEA_SPARE 16       /* classes that can be added */
#define EDGESEA_LABEL_BYTES 20 /* of a label that is added, its closing zero included */
#define EDGESEA_NEAREST 32     /* the largest k */
#define EDGESEA_RECORD_HEAD 28
#define EDGESEA_AREA_HEAD 8
#define EDGESEA_RECORD_BYTES(dimension) ((EDGESEA_RECORD_HEAD + (size_t)(dimension) + 3) / 4 * 4)

/* In RAM `inverse` stands before the record. */
#define EDGESEA_ADDED_BYTES(dimension) (4 + EDGESEA_RECORD_BYTES(dimension))

enum { EDGESEA_RECORD_ADDED = 1, EDGESEA_RECORD_REMOVED = 2 };

/* Constants.
 *   count       prototypes; dimension of an embedding; zero_point of it
 *   head        classes that the model has scores of; classes of the bundle, those of the head first
 *   k           nearest prototypes that are asked, 1..EDGESEA_NEAREST
 *   beta        share of the memory, 0..256
 *   sharpness, unknown
 *               see above
 *   values      [count][dimension]
 *   inverse     [count]
 *   labels      [count][classes], 0..255
 *   names       [classes]
 */
typedef struct edgesea_prototypes {
    uint32_t count;
    uint16_t dimension;
    int16_t zero_point;
    uint16_t head;
    uint16_t classes;
    uint16_t k;
    uint16_t beta;
    uint16_t sharpness;
    int16_t unknown;
    const int8_t *values;
    const uint32_t *inverse;
    const uint8_t *labels;
    const char *const *names;
} edgesea_prototypes;

#define EDGESEA_SLOTS(classes) ((classes) + EDGESEA_SPARE + 1)

/* Where records survive a reset: given by the board. Each returns 0, or -1 where it could not be done.
 *   bytes  of each of the two areas; the second one begins at offset `bytes`
 *   read   from anywhere in an area
 *   write  to erased bytes only
 *   erase  all of area 0 or 1 to 0xff, and nothing of the other
 */
typedef struct edgesea_storage {
    size_t bytes;
    int (*read)(size_t offset, void *bytes, size_t count);
    int (*write)(size_t offset, const void *bytes, size_t count);
    int (*erase)(int area);
} edgesea_storage;

/* For the caller to read: `added` records are in use; `taken` embeddings since edgesea_memory_begin; `similarity` to
 * the nearest prototype in the last search. */
typedef struct edgesea_memory {
    const edgesea_prototypes *prototypes;
    const edgesea_storage *storage;
    uint8_t *records;
    uint16_t capacity;
    uint16_t added;
    uint16_t next;  /* number of the next record */
    uint16_t taken;
    int32_t similarity;
    uint32_t generation; /* of the area that counts; 0 where there is none yet */
    int area;            /* 0 or 1, that one */
    size_t end;          /* of what is in it, from its beginning on */
    int32_t *sums;  /* [dimension], of the embeddings that were taken */
    char names[EDGESEA_SPARE][EDGESEA_LABEL_BYTES]; /* of the classes that were added; "" where one is free */
} edgesea_memory;

/* What can go wrong. */
enum {
    EDGESEA_MEMORY_FULL = -1,    /* no room for a record, a class or in storage */
    EDGESEA_MEMORY_LABEL = -2,   /* a label is 1 to 19 of a-z A-Z 0-9 . _ - */
    EDGESEA_MEMORY_NOTHING = -3, /* nothing was taken, or there is no such record */
    EDGESEA_MEMORY_STORAGE = -4  /* the board has none, or it failed */
};

/* Begins with the bundle's prototypes and what storage holds.
 *   records   capacity * EDGESEA_ADDED_BYTES(dimension), aligned to 4; one of them is for reading storage
 *   sums      [dimension]
 *   storage   NULL where there is none
 * Returns 0, or EDGESEA_MEMORY_STORAGE where it cannot be read, or EDGESEA_MEMORY_FULL where it holds more than
 * `records` takes: the memory works all the same, without the rest. What could not be read is not written to either. */
int edgesea_memory_start(const edgesea_prototypes *prototypes, edgesea_memory *memory, void *records,
                         uint16_t capacity, int32_t *sums, const edgesea_storage *storage);

/* Searches, and mixes.
 *   head       [head], 0..255
 *   embedding  [dimension]
 *   scores     [slots] */
void edgesea_memory_scores(edgesea_memory *memory, const uint8_t *head, const int8_t *embedding, uint8_t *scores);

/* floor(sqrt(value)), and floor(2^32 / floor(256 * length)) of a prototype, 0 for one of zeros. */
uint32_t edgesea_root(uint64_t value);
uint32_t edgesea_inverse(const int8_t *prototype, int dimension);

/* Whether a label is one that can be added: 1 to 19 of a-z A-Z 0-9 . _ - */
int edgesea_memory_may_be(const char *label);

/* Begins to learn a sound: forgets what was taken. */
void edgesea_memory_begin(edgesea_memory *memory);

/* Takes an embedding of it; more than 1,000 change nothing. */
void edgesea_memory_take(edgesea_memory *memory, const int8_t *embedding);

/* Makes the mean of what was taken a prototype, in RAM. Returns its number, or what went wrong. */
int edgesea_memory_add(edgesea_memory *memory, const char *label);

/* Removes what was added under that number, from RAM. Returns 0, or EDGESEA_MEMORY_NOTHING. */
int edgesea_memory_remove(edgesea_memory *memory, uint16_t number);

/* Number and label of record `place`, 0..added - 1. */
uint16_t edgesea_memory_number(const edgesea_memory *memory, uint16_t place);
const char *edgesea_memory_label(const edgesea_memory *memory, uint16_t place);

/* Makes storage hold what RAM does: appends what is new, and a record for each that was removed. Returns 0, or what
 * went wrong: EDGESEA_MEMORY_FULL where there is no room for all of it, and then nothing was written. */
int edgesea_memory_save(edgesea_memory *memory);

/* The same by writing all records to the other area, which makes room. A power cut during that leaves storage as it was
 * before or as it is after. It wears flash, so it is for somebody who has asked for it. */
int edgesea_memory_rewrite(edgesea_memory *memory);

/* Name of a class that is not the bundle's. */
const char *edgesea_memory_name(const edgesea_memory *memory, uint16_t slot);

#ifdef __cplusplus
}
#endif

#endif
