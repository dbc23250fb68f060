/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_protocol: read a line, check it, do what it asks, answer. */
#include "edgesea_protocol.h"

#include <string.h>

#include "edgesea_board.h"
#include "edgesea_crc32.h"
#include "edgesea_golden.h"
#include "edgesea_protocol_profile.h"

enum {
    CRC_DIGITS = 8,
    ENDING = 1 + CRC_DIGITS + 1, /* "*", the CRC, "\n" */
    LONGEST_TEXT = 120,
    LEAST_REQUEST = 4 + 1 + 1 + 1 + CRC_DIGITS
};

/* ---- writing an answer: what does not fit is left out, and there is always room for the ending ------------------- */

static void put(edgesea_protocol *p, char character)
{
    if (p->answer_length < EDGESEA_PROTOCOL_LINE - ENDING) {
        p->answer[p->answer_length++] = character;
    }
}

static void put_text(edgesea_protocol *p, const char *text)
{
    for (int i = 0; i < LONGEST_TEXT && text[i] != '\0'; i++) {
        const char c = text[i];
        put(p, c >= ' ' && c <= '~' && c != '*' && c != '<' && c != '>' ? c : '_');
    }
}

/* `digits` hexadecimal digits of `value`, or as many as it has. */
static void put_hex(edgesea_protocol *p, uint32_t value, int digits)
{
    for (int i = CRC_DIGITS - 1; i >= 0; i--) {
        const uint32_t rest = value >> 4 * i;
        if (i < digits || rest != 0 || i == 0) {
            put(p, "0123456789abcdef"[rest & 15u]);
        }
    }
}

static void put_number(edgesea_protocol *p, uint32_t value)
{
    put(p, ' ');
    put_hex(p, value, 0);
}

static void begin(edgesea_protocol *p, uint32_t sequence)
{
    p->answer_length = 0;
    put(p, '<');
    put_hex(p, sequence, 4);
    put(p, ' ');
}

static void put_error(edgesea_protocol *p, uint32_t sequence, const char *reason)
{
    begin(p, sequence);
    put_text(p, "error ");
    put_text(p, reason);
}

/* Sends the answer; the ending is made once. */
static void send_answer(edgesea_protocol *p)
{
    const uint32_t crc = edgesea_crc32(0, p->answer + 1, (size_t)p->answer_length - 1);

    p->answer[p->answer_length++] = '*';
    for (int i = CRC_DIGITS - 1; i >= 0; i--) {
        p->answer[p->answer_length++] = "0123456789abcdef"[(crc >> 4 * i) & 15u];
    }
    p->answer[p->answer_length++] = '\n';
    edgesea_board_write(p->answer, (size_t)p->answer_length);
}

/* ---- reading a request ------------------------------------------------------------------------------------------- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads up to 8 hexadecimal digits from *text on and moves it behind them; returns how many there were. */
static int take_hex(const char **text, uint32_t *value)
{
    int count = 0;

    *value = 0;
    while (count < CRC_DIGITS && digit_of(**text) >= 0) {
        *value = *value << 4 | (uint32_t)digit_of(**text);
        (*text)++;
        count++;
    }
    return count;
}

/* Takes " NUMBER" that ends the text or is followed by a space; returns whether it was there. */
static int take_number(const char **text, uint32_t *value)
{
    if (**text != ' ') {
        return 0;
    }
    (*text)++;
    return take_hex(text, value) > 0 && (**text == '\0' || **text == ' ');
}

/* Whether the text is only " NUMBER", which is taken. */
static int only_number(const char *text, uint32_t *value) { return take_number(&text, value) && *text == '\0'; }

/* ---- what can be asked; each returns the reason why not, or NULL when the answer is written ---------------------- */

static const char *hello(edgesea_protocol *p)
{
    put_text(p, "hello");
    put_number(p, EDGESEA_PROTOCOL_VERSION);
    put_text(p, " " FIRMWARE_SHA256);
    put_number(p, FIRMWARE_INPUT_BYTES);
    put_number(p, FIRMWARE_OUTPUT_BYTES);
    put_number(p, FIRMWARE_ARENA_BYTES);
    put_number(p, EDGESEA_PROTOCOL_CHUNK);
    put_number(p, EDGESEA_PROTOCOL_RUNS);
    put_number(p, (uint32_t)edgesea_protocol_steps());
    put_number(p, edgesea_board_clock_hz());
    return NULL;
}

static const char *about(edgesea_protocol *p, const char *rest)
{
    static const char *const kernels[] = {"plain", "dsp", "mve"};
    const char *texts[5];
    uint32_t which;

    if (!only_number(rest, &which)) {
        return "request";
    }
    texts[0] = FIRMWARE_NAME;
    texts[1] = FIRMWARE_VERSION;
    texts[2] = edgesea_board_name();
    texts[3] = edgesea_protocol_compiler();
    texts[4] = kernels[EDGESEA_PATH];
    if (which >= 5 + (uint32_t)edgesea_protocol_steps()) {
        return "range";
    }
    put_text(p, "about ");
    put_text(p, which < 5 ? texts[which] : edgesea_protocol_step_name((int)which - 5));
    return NULL;
}

static const char *load(edgesea_protocol *p, const char *rest)
{
    uint32_t offset;
    size_t count;

    if (!take_number(&rest, &offset) || *rest != ' ') {
        return "request";
    }
    count = strlen(++rest);
    if (count % 2 != 0) {
        return "request";
    }
    count /= 2;
    if (count == 0 || count > EDGESEA_PROTOCOL_CHUNK || count > FIRMWARE_INPUT_BYTES ||
        offset > FIRMWARE_INPUT_BYTES - count) {
        return "range";
    }
    for (size_t i = 0; i < 2 * count; i++) {
        if (digit_of(rest[i]) < 0) {
            return "request";
        }
    }
    for (size_t i = 0; i < count; i++) {
        const uint8_t byte = (uint8_t)(digit_of(rest[2 * i]) << 4 | digit_of(rest[2 * i + 1]));
        memcpy(p->input + offset + i, &byte, 1);
    }
    put_text(p, "load");
    put_number(p, offset + (uint32_t)count);
    return NULL;
}

static const char *infer(edgesea_protocol *p, const char *rest)
{
    uint32_t cycles[EDGESEA_PROTOCOL_RUNS];
    uint32_t runs;

    if (!only_number(rest, &runs)) {
        return "request";
    }
    if (runs < 1 || runs > EDGESEA_PROTOCOL_RUNS) {
        return "range";
    }
    for (uint32_t i = 0; i < runs; i++) {
        const uint32_t start = edgesea_board_cycles();
        if (FIRMWARE_INVOKE(p->arena, p->input, p->output) != 0) {
            return "model";
        }
        cycles[i] = edgesea_board_cycles() - start;
    }
    put_text(p, "infer ");
    put_hex(p, edgesea_crc32(0, p->input, sizeof p->input), CRC_DIGITS);
    put(p, ' ');
    put_hex(p, edgesea_crc32(0, p->output, sizeof p->output), CRC_DIGITS);
    for (uint32_t i = 0; i < runs; i++) {
        put_number(p, cycles[i]);
    }
    return NULL;
}

static const char *output(edgesea_protocol *p, const char *rest)
{
    uint32_t offset;

    if (!only_number(rest, &offset)) {
        return "request";
    }
    if (offset >= FIRMWARE_OUTPUT_BYTES) {
        return "range";
    }
    put_text(p, "output ");
    for (uint32_t i = offset; i < FIRMWARE_OUTPUT_BYTES && i < offset + EDGESEA_PROTOCOL_CHUNK; i++) {
        put_hex(p, (uint8_t)p->output[i], 2);
    }
    return NULL;
}

static const char *profile(edgesea_protocol *p, const char *rest)
{
    const uint32_t steps = (uint32_t)edgesea_protocol_steps();
    uint32_t first;

    if (!only_number(rest, &first)) {
        return "request";
    }
    if (first >= steps) {
        return "range";
    }
    if (first == 0) {
        edgesea_protocol_profile_start();
        if (FIRMWARE_INVOKE(p->arena, p->input, p->output) != 0) {
            return "model";
        }
    }
    put_text(p, "profile");
    for (uint32_t i = first; i < steps && i < first + EDGESEA_PROTOCOL_RUNS; i++) {
        put_number(p, edgesea_protocol_step_cycles((int)i));
    }
    return NULL;
}

static const char *golden(edgesea_protocol *p)
{
    const int passed = edgesea_golden_run(p->arena, p->output);

    put_text(p, "golden");
    put_number(p, (uint32_t)passed);
    put_number(p, FIRMWARE_GOLDEN_COUNT);
    return NULL;
}

/* Whether `word` begins the text, up to its end or a space; the text is then moved behind it. */
static int is(const char **text, const char *word)
{
    const size_t length = strlen(word);

    if (strncmp(*text, word, length) != 0 || ((*text)[length] != '\0' && (*text)[length] != ' ')) {
        return 0;
    }
    *text += length;
    return 1;
}

static const char *further(edgesea_protocol *p, const char *text)
{
    char answer[LONGEST_TEXT + 1] = "";
    const char *reason = p->further != NULL ? p->further(text, answer, sizeof answer) : "request";

    if (reason == NULL) {
        put_text(p, answer);
    }
    return reason;
}

static const char *act(edgesea_protocol *p, const char *text)
{
    if (is(&text, "load")) {
        return load(p, text);
    }
    if (is(&text, "infer")) {
        return infer(p, text);
    }
    if (is(&text, "output")) {
        return output(p, text);
    }
    if (is(&text, "profile")) {
        return profile(p, text);
    }
    if (is(&text, "about")) {
        return about(p, text);
    }
    if (strcmp(text, "golden") == 0) {
        return golden(p);
    }
    return strcmp(text, "hello") == 0 ? hello(p) : further(p, text);
}

/* A whole line is there: checks it, and answers it unless it is damaged. */
static void handle(edgesea_protocol *p)
{
    const int length = p->request_length - CRC_DIGITS - 1; /* of what the CRC is of */
    const char *text = p->request;
    const char *sum = p->request + length + 1;
    const char *reason;
    uint32_t crc, said, sequence;

    if (p->request_length < LEAST_REQUEST || p->request[length] != '*') {
        return;
    }
    p->request[p->request_length] = '\0';
    p->request[length] = '\0';
    crc = edgesea_crc32(0, p->request, (size_t)length);
    if (take_hex(&sum, &said) != CRC_DIGITS || said != crc || take_hex(&text, &sequence) != 4 || *text != ' ') {
        return;
    }
    text++;
    if (p->answer_length > 0 && sequence == p->sequence && crc == p->request_crc) {
        edgesea_board_write(p->answer, (size_t)p->answer_length); /* asked again: the answer was lost */
        return;
    }
    if (strcmp(text, "hello") != 0 &&
        (p->answer_length == 0 || sequence != ((p->sequence + 1u) & 0xffffu))) {
        put_error(p, sequence, "hello"); /* this board was reset, or somebody else has spoken to it */
        send_answer(p);
        p->answer_length = 0;
        return;
    }
    begin(p, sequence);
    reason = act(p, text);
    if (reason != NULL) {
        put_error(p, sequence, reason);
    }
    p->sequence = sequence;
    p->request_crc = crc;
    send_answer(p);
}

void edgesea_protocol_poll(edgesea_protocol *p)
{
    for (int i = 0; i < EDGESEA_PROTOCOL_LINE; i++) {
        const int byte = edgesea_board_read();
        if (byte < 0) {
            return;
        }
        if (byte == '>') {
            p->listening = 1;
            p->request_length = 0;
        } else if (byte == '\n') {
            if (p->listening) {
                p->listening = 0;
                handle(p);
                return;
            }
        } else if (byte < ' ' || byte > '~' || p->request_length == EDGESEA_PROTOCOL_LINE - 1) {
            p->listening = 0; /* noise, or longer than any request: wait for the next ">" */
        } else if (p->listening) {
            p->request[p->request_length++] = (char)byte;
        }
    }
}
