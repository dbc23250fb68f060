/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_memory: the nearest prototypes, and what they say. */
#include "edgesea_memory.h"

#include <string.h>

#include "edgesea_decide.h"

/* The k largest ranks so far, descending; of equals the earlier one comes first. */
typedef struct nearest {
    int32_t rank[EDGESEA_NEAREST];
    uint32_t place[EDGESEA_NEAREST]; /* from `count` of the bundle on, those that were added */
    int count;
} nearest;

uint32_t edgesea_root(uint64_t value)
{
    uint64_t root = 0;

    for (uint64_t bit = (uint64_t)1 << 62; bit > 0; bit >>= 2) {
        if (value >= root + bit) {
            value -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return (uint32_t)root;
}

uint32_t edgesea_inverse(const int8_t *prototype, int dimension)
{
    uint32_t squares = 0;

    for (int i = 0; i < dimension; i++) {
        squares += (uint32_t)(prototype[i] * prototype[i]);
    }
    return squares ? (uint32_t)(((uint64_t)1 << 32) / edgesea_root((uint64_t)squares << 16)) : 0;
}

static int32_t rank_of(const edgesea_memory *memory, const int8_t *embedding, const int8_t *prototype, uint32_t inverse)
{
    const int dimension = memory->prototypes->dimension, zero = memory->prototypes->zero_point;
    int32_t product = 0;

    for (int i = 0; i < dimension; i++) {
        product += (embedding[i] - zero) * prototype[i];
    }
    return (int32_t)((int64_t)product * inverse / 256);
}

static void keep(nearest *best, int k, int32_t rank, uint32_t place)
{
    int at = best->count;

    if (at == k) {
        if (rank <= best->rank[k - 1]) {
            return;
        }
        at--;
    } else {
        best->count++;
    }
    for (; at > 0 && best->rank[at - 1] < rank; at--) {
        best->rank[at] = best->rank[at - 1];
        best->place[at] = best->place[at - 1];
    }
    best->rank[at] = rank;
    best->place[at] = place;
}

static void search(const edgesea_memory *memory, const int8_t *embedding, nearest *best)
{
    const edgesea_prototypes *bundle = memory->prototypes;
    const size_t stride = EDGESEA_ADDED_BYTES(bundle->dimension);

    best->count = 0;
    for (uint32_t p = 0; p < bundle->count; p++) {
        const int8_t *values = bundle->values + (size_t)p * bundle->dimension;
        keep(best, bundle->k, rank_of(memory, embedding, values, bundle->inverse[p]), p);
    }
    for (uint32_t p = 0; p < memory->added; p++) {
        const uint8_t *added = memory->records + p * stride;
        uint32_t inverse;
        memcpy(&inverse, added, sizeof inverse);

        const int8_t *values = (const int8_t *)added + 4 + EDGESEA_RECORD_HEAD;
        keep(best, bundle->k, rank_of(memory, embedding, values, inverse), bundle->count + p);
    }
}

/* The slot of a record's class. */
static int slot_of(const edgesea_memory *memory, uint16_t place)
{
    const edgesea_prototypes *bundle = memory->prototypes;
    const char *label = edgesea_memory_label(memory, place);

    for (int c = 0; c < bundle->classes; c++) {
        if (strcmp(bundle->names[c], label) == 0) {
            return c;
        }
    }
    for (int s = 0; s < EDGESEA_SPARE; s++) {
        if (strcmp(memory->names[s], label) == 0) {
            return bundle->classes + s;
        }
    }
    return bundle->classes; /* not reached: every label that was added has a class */
}

static uint32_t root_of(const edgesea_prototypes *bundle, const int8_t *embedding)
{
    uint32_t squares = 0;

    for (int i = 0; i < bundle->dimension; i++) {
        const int value = embedding[i] - bundle->zero_point;
        squares += (uint32_t)(value * value);
    }
    return edgesea_root((uint64_t)squares << 16);
}

void edgesea_memory_scores(edgesea_memory *memory, const uint8_t *head, const int8_t *embedding, uint8_t *scores)
{
    const edgesea_prototypes *bundle = memory->prototypes;
    const int slots = EDGESEA_SLOTS(bundle->classes);
    const uint32_t root = root_of(bundle, embedding);
    uint32_t weight[EDGESEA_NEAREST] = {0}, weights = 0;
    int32_t similarity[EDGESEA_NEAREST] = {0};
    int slot[EDGESEA_NEAREST];
    nearest best;

    memset(scores, 0, (size_t)slots);
    search(memory, embedding, &best);
    memory->similarity = 0;
    if (best.count == 0) {
        memcpy(scores, head, bundle->head);
        return;
    }
    for (int i = 0; i < best.count; i++) {
        similarity[i] = root ? (int32_t)((int64_t)best.rank[i] * 128 / (int64_t)root) : 0;
    }
    memory->similarity = similarity[0];
    if (similarity[0] < bundle->unknown) {
        scores[slots - 1] = 255;
        return;
    }
    for (int i = 0; i < best.count; i++) {
        weight[i] = edgesea_power((uint32_t)(similarity[0] - similarity[i]) * bundle->sharpness >> 8);
        weights += weight[i];
        slot[i] = best.place[i] < bundle->count ? -1 : slot_of(memory, (uint16_t)(best.place[i] - bundle->count));
    }
    for (int c = 0; c < slots - 1; c++) {
        uint32_t sum = 0;
        for (int i = 0; i < best.count; i++) {
            if (slot[i] < 0) {
                const uint8_t *labels = bundle->labels + (size_t)best.place[i] * bundle->classes;
                sum += c < bundle->classes ? weight[i] * labels[c] : 0;
            } else {
                sum += slot[i] == c ? weight[i] * 255 : 0;
            }
        }
        sum /= weights;
        if (c < bundle->head) {
            sum = (head[c] * (256u - bundle->beta) + sum * bundle->beta + 128) >> 8;
        }
        scores[c] = (uint8_t)sum;
    }
}
