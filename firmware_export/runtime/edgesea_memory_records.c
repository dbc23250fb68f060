/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_memory_records: what is added on the device, in RAM and in storage. */
#include <string.h>

#include "edgesea_crc32.h"
#include "edgesea_memory.h"

enum { MOST_TAKEN = 1000, NUMBER = 4, KIND = 6, LABEL = 8 };

static size_t record_bytes(const edgesea_memory *memory) { return EDGESEA_RECORD_BYTES(memory->prototypes->dimension); }

static uint8_t *record_at(const edgesea_memory *memory, uint16_t place)
{
    return memory->records + place * (record_bytes(memory) + 4) + 4;
}

static uint32_t get32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void put32(uint8_t *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
}

static uint16_t number_of(const uint8_t *record) { return (uint16_t)(record[NUMBER] | record[NUMBER + 1] << 8); }

uint16_t edgesea_memory_number(const edgesea_memory *memory, uint16_t place) { return number_of(record_at(memory, place)); }

const char *edgesea_memory_label(const edgesea_memory *memory, uint16_t place)
{
    return (const char *)record_at(memory, place) + LABEL;
}

/* The place of a number in RAM, or -1. */
static int place_of(const edgesea_memory *memory, uint16_t number)
{
    for (int p = 0; p < memory->added; p++) {
        if (edgesea_memory_number(memory, (uint16_t)p) == number) {
            return p;
        }
    }
    return -1;
}

/* ---- classes ----------------------------------------------------------------------------------------------------- */

int edgesea_memory_may_be(const char *label)
{
    const size_t length = strlen(label);

    if (length < 1 || length >= EDGESEA_LABEL_BYTES) {
        return 0;
    }
    for (size_t i = 0; i < length; i++) {
        const char c = label[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
              c == '-')) {
            return 0;
        }
    }
    return 1;
}

/* Whether there is a class of that name; if not, makes one where there is room. */
static int has_class(edgesea_memory *memory, const char *label)
{
    char *room = NULL;

    for (int c = 0; c < memory->prototypes->classes; c++) {
        if (strcmp(memory->prototypes->names[c], label) == 0) {
            return 1;
        }
    }
    for (int s = 0; s < EDGESEA_SPARE; s++) {
        if (strcmp(memory->names[s], label) == 0) {
            return 1;
        }
        if (room == NULL && memory->names[s][0] == '\0') {
            room = memory->names[s];
        }
    }
    if (room != NULL) {
        memcpy(room, label, strlen(label) + 1);
    }
    return room != NULL;
}

/* Frees the classes that no record has any more. */
static void free_classes(edgesea_memory *memory)
{
    for (int s = 0; s < EDGESEA_SPARE; s++) {
        int used = 0;
        for (uint16_t p = 0; p < memory->added && !used; p++) {
            used = strcmp(memory->names[s], edgesea_memory_label(memory, p)) == 0;
        }
        if (!used) {
            memset(memory->names[s], 0, EDGESEA_LABEL_BYTES);
        }
    }
}

const char *edgesea_memory_name(const edgesea_memory *memory, uint16_t slot)
{
    const int spare = slot - memory->prototypes->classes;

    return spare >= 0 && spare < EDGESEA_SPARE ? memory->names[spare] : "unknown";
}

/* ---- RAM --------------------------------------------------------------------------------------------------------- */

/* Takes a record, whose class there is, behind those in RAM. */
static void append(edgesea_memory *memory, const uint8_t *record)
{
    uint8_t *place = record_at(memory, memory->added);
    const int dimension = memory->prototypes->dimension;
    const uint32_t inverse = edgesea_inverse((const int8_t *)record + EDGESEA_RECORD_HEAD, dimension);

    memmove(place, record, record_bytes(memory));
    memcpy(place - 4, &inverse, sizeof inverse);
    memory->added++;
}

static void drop(edgesea_memory *memory, int place)
{
    const size_t stride = record_bytes(memory) + 4;
    uint8_t *first = memory->records + (size_t)place * stride;

    memmove(first, first + stride, ((size_t)memory->added - 1 - (size_t)place) * stride);
    memory->added--;
    free_classes(memory);
}

void edgesea_memory_begin(edgesea_memory *memory)
{
    memset(memory->sums, 0, memory->prototypes->dimension * sizeof *memory->sums);
    memory->taken = 0;
}

void edgesea_memory_take(edgesea_memory *memory, const int8_t *embedding)
{
    if (memory->taken == MOST_TAKEN) {
        return;
    }
    for (int i = 0; i < memory->prototypes->dimension; i++) {
        memory->sums[i] += embedding[i] - memory->prototypes->zero_point;
    }
    memory->taken++;
}

/* The sums with a largest magnitude of 127. */
static void write_prototype(const edgesea_memory *memory, int8_t *values)
{
    const int dimension = memory->prototypes->dimension;
    int32_t most = 0;

    for (int i = 0; i < dimension; i++) {
        const int32_t size = memory->sums[i] < 0 ? -memory->sums[i] : memory->sums[i];
        most = size > most ? size : most;
    }
    for (int i = 0; i < dimension; i++) {
        const int32_t sum = memory->sums[i], sign = sum < 0 ? -1 : 1;
        values[i] = (int8_t)(most ? sign * ((2 * 127 * sign * sum + (sum ? most : 0)) / (2 * most)) : 0);
    }
}

static void close_record(const edgesea_memory *memory, uint8_t *record, uint16_t number, int kind)
{
    record[NUMBER] = (uint8_t)number;
    record[NUMBER + 1] = (uint8_t)(number >> 8);
    record[KIND] = (uint8_t)kind;
    put32(record, edgesea_crc32(0, record + 4, record_bytes(memory) - 4));
}

int edgesea_memory_add(edgesea_memory *memory, const char *label)
{
    uint8_t *record = record_at(memory, memory->added);
    uint16_t number = memory->next;

    if (!edgesea_memory_may_be(label)) {
        return EDGESEA_MEMORY_LABEL;
    }
    if (memory->taken == 0) {
        return EDGESEA_MEMORY_NOTHING;
    }
    if (memory->added == memory->capacity || !has_class(memory, label)) {
        return EDGESEA_MEMORY_FULL;
    }
    while (number == 0 || place_of(memory, number) >= 0) {
        number++;
    }
    memset(record, 0xff, record_bytes(memory));
    memset(record + LABEL, 0, EDGESEA_LABEL_BYTES);
    memcpy(record + LABEL, label, strlen(label));
    write_prototype(memory, (int8_t *)record + EDGESEA_RECORD_HEAD);
    close_record(memory, record, number, EDGESEA_RECORD_ADDED);
    append(memory, record);
    memory->next = (uint16_t)(number + 1);
    edgesea_memory_begin(memory);
    return number;
}

int edgesea_memory_remove(edgesea_memory *memory, uint16_t number)
{
    const int place = place_of(memory, number);

    if (place < 0) {
        return EDGESEA_MEMORY_NOTHING;
    }
    drop(memory, place);
    return 0;
}

/* ---- storage: two areas, records one after the other -------------------------------------------------------------------------- */

/* The record beyond those in use is where storage is read to; there is always room for one. */
static uint8_t *spare_record(const edgesea_memory *memory) { return record_at(memory, memory->capacity); }

enum { SOUND, TORN, ERASED, UNREADABLE };

static size_t place_in(const edgesea_memory *memory, int area, size_t offset)
{
    return (size_t)area * memory->storage->bytes + offset;
}

/* The generation in an area's head, 0 where that is not sound; -1 where it cannot be read, else 0. */
static int read_generation(const edgesea_memory *memory, int area, uint32_t *generation)
{
    uint8_t head[EDGESEA_AREA_HEAD];

    *generation = 0;
    if (memory->storage->read(place_in(memory, area, 0), head, sizeof head) != 0) {
        return -1;
    }
    if (get32(head + 4) == ~get32(head)) {
        *generation = get32(head);
    }
    return 0;
}

/* Finds the area that counts. */
static int find_area(edgesea_memory *memory)
{
    for (int area = 0; area < 2; area++) {
        uint32_t generation;
        if (read_generation(memory, area, &generation) != 0) {
            return EDGESEA_MEMORY_STORAGE;
        }
        /* Generations go round: the later one is less than half a round ahead. */
        if (generation && (!memory->generation || generation - memory->generation < 0x80000000u)) {
            memory->generation = generation;
            memory->area = area;
        }
    }
    return 0;
}

/* Reads the record at an offset into the spare one and says what it is. */
static int read_record(const edgesea_memory *memory, size_t offset)
{
    uint8_t *record = spare_record(memory);
    const size_t bytes = record_bytes(memory);
    int erased = 1;

    if (memory->storage->read(place_in(memory, memory->area, offset), record, bytes) != 0) {
        return UNREADABLE;
    }
    for (size_t i = 0; i < bytes && erased; i++) {
        erased = record[i] == 0xff;
    }
    if (erased) {
        return ERASED;
    }
    if (get32(record) != edgesea_crc32(0, record + 4, bytes - 4) || record[LABEL + EDGESEA_LABEL_BYTES - 1] != 0) {
        return TORN;
    }
    if (record[KIND] == EDGESEA_RECORD_ADDED) {
        return edgesea_memory_may_be((const char *)record + LABEL) ? SOUND : TORN;
    }
    return record[KIND] == EDGESEA_RECORD_REMOVED ? SOUND : TORN;
}

/* Does in RAM what a record says; 0, or EDGESEA_MEMORY_FULL. */
static int replay(edgesea_memory *memory)
{
    const uint8_t *record = spare_record(memory);
    const int place = place_of(memory, number_of(record));

    if (place >= 0) {
        drop(memory, place);
    }
    if (record[KIND] == EDGESEA_RECORD_REMOVED) {
        return 0;
    }
    memory->next = (uint16_t)(number_of(record) + 1);
    if (memory->added == memory->capacity || !has_class(memory, (const char *)record + LABEL)) {
        return EDGESEA_MEMORY_FULL;
    }
    append(memory, record);
    return 0;
}

int edgesea_memory_start(const edgesea_prototypes *prototypes, edgesea_memory *memory, void *records,
                         uint16_t capacity, int32_t *sums, const edgesea_storage *storage)
{
    int result = 0;
    size_t bytes;

    memset(memory, 0, sizeof *memory);
    memory->prototypes = prototypes;
    memory->storage = storage;
    memory->records = (uint8_t *)records;
    memory->capacity = (uint16_t)(capacity - 1); /* one is for reading */
    memory->next = 1;
    memory->sums = sums;
    edgesea_memory_begin(memory);
    if (storage == NULL) {
        return 0;
    }
    if (find_area(memory) != 0) {
        memory->storage = NULL; /* lest what cannot be read now is erased later */
        return EDGESEA_MEMORY_STORAGE;
    }
    bytes = record_bytes(memory);
    memory->end = EDGESEA_AREA_HEAD;
    for (size_t offset = memory->end; memory->generation && offset + bytes <= storage->bytes; offset += bytes) {
        const int found = read_record(memory, offset);
        if (found == UNREADABLE) {
            memory->storage = NULL;
            return EDGESEA_MEMORY_STORAGE;
        }
        if (found != ERASED) {
            memory->end = offset + bytes;
        }
        if (found == SOUND && replay(memory) != 0) {
            result = EDGESEA_MEMORY_FULL;
        }
    }
    return result;
}

/* The offset of the last sound record of a number, which is then in the spare record; -1 where there is none. */
static long last_of(const edgesea_memory *memory, uint16_t number)
{
    const size_t bytes = record_bytes(memory);

    for (size_t offset = memory->end; offset >= EDGESEA_AREA_HEAD + bytes; offset -= bytes) {
        if (read_record(memory, offset - bytes) == SOUND && number_of(spare_record(memory)) == number) {
            return (long)(offset - bytes);
        }
    }
    return -1;
}

static int is_saved(const edgesea_memory *memory, uint16_t place)
{
    return last_of(memory, edgesea_memory_number(memory, place)) >= 0 &&
           memcmp(spare_record(memory), record_at(memory, place), record_bytes(memory)) == 0;
}

/* Whether the record at an offset was added, was not removed in storage, and is not in RAM: its number, else 0. */
static uint16_t is_stale(const edgesea_memory *memory, size_t offset)
{
    uint16_t number;
    int place;

    if (read_record(memory, offset) != SOUND || spare_record(memory)[KIND] != EDGESEA_RECORD_ADDED) {
        return 0;
    }
    number = number_of(spare_record(memory));
    if (last_of(memory, number) != (long)offset) {
        return 0;
    }
    place = place_of(memory, number);
    return place >= 0 && is_saved(memory, (uint16_t)place) ? 0 : number;
}

static int write_record(edgesea_memory *memory, const uint8_t *record)
{
    const size_t offset = memory->end, bytes = record_bytes(memory);

    memory->end += bytes; /* what was half written is never written to again */
    return memory->storage->write(place_in(memory, memory->area, offset), record, bytes) == 0 ? 0
                                                                                              : EDGESEA_MEMORY_STORAGE;
}

static int write_removed(edgesea_memory *memory, uint16_t number)
{
    uint8_t *record = spare_record(memory);

    memset(record, 0xff, record_bytes(memory));
    memset(record + LABEL, 0, EDGESEA_LABEL_BYTES);
    close_record(memory, record, number, EDGESEA_RECORD_REMOVED);
    return write_record(memory, record);
}

static size_t records_to_write(const edgesea_memory *memory)
{
    const size_t bytes = record_bytes(memory);
    size_t count = 0;

    for (size_t offset = EDGESEA_AREA_HEAD; offset < memory->end; offset += bytes) {
        count += is_stale(memory, offset) != 0;
    }
    for (uint16_t p = 0; p < memory->added; p++) {
        count += !is_saved(memory, p);
    }
    return count;
}

/* Writes a new area with the first `count` records of RAM, its head last, and reads that back. */
static int renew(edgesea_memory *memory, uint16_t count)
{
    const int old_area = memory->area, area = memory->generation ? 1 - old_area : 0;
    const size_t old_end = memory->end;
    const uint32_t generation = memory->generation + 1 ? memory->generation + 1 : 1;
    uint8_t head[EDGESEA_AREA_HEAD];
    uint32_t found = 0;
    int result = memory->storage->erase(area) == 0 ? 0 : EDGESEA_MEMORY_STORAGE;

    memory->area = area;
    memory->end = EDGESEA_AREA_HEAD;
    for (uint16_t p = 0; p < count && result == 0; p++) {
        result = write_record(memory, record_at(memory, p));
    }
    if (result == 0) {
        put32(head, generation);
        put32(head + 4, ~generation);
        (void)memory->storage->write(place_in(memory, area, 0), head, sizeof head);
        (void)read_generation(memory, area, &found);
    }
    if (found != generation) {
        memory->area = old_area;
        memory->end = old_end;
        return EDGESEA_MEMORY_STORAGE;
    }
    memory->generation = generation;
    return 0;
}

int edgesea_memory_save(edgesea_memory *memory)
{
    const size_t bytes = record_bytes(memory);
    size_t end;
    int result = 0;

    if (memory->storage == NULL) {
        return EDGESEA_MEMORY_STORAGE;
    }
    if (memory->end + records_to_write(memory) * bytes > memory->storage->bytes) {
        return EDGESEA_MEMORY_FULL;
    }
    if (memory->generation == 0) {
        result = renew(memory, 0);
    }
    end = memory->end;
    for (size_t offset = EDGESEA_AREA_HEAD; offset < end && result == 0; offset += bytes) {
        const uint16_t number = is_stale(memory, offset);
        result = number ? write_removed(memory, number) : 0;
    }
    for (uint16_t p = 0; p < memory->added && result == 0; p++) {
        result = is_saved(memory, p) ? 0 : write_record(memory, record_at(memory, p));
    }
    return result;
}

int edgesea_memory_rewrite(edgesea_memory *memory)
{
    if (memory->storage == NULL) {
        return EDGESEA_MEMORY_STORAGE;
    }
    if (EDGESEA_AREA_HEAD + memory->added * record_bytes(memory) > memory->storage->bytes) {
        return EDGESEA_MEMORY_FULL;
    }
    return renew(memory, memory->added);
}
