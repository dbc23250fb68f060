/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* sensor_say: numbers and embeddings as text. */
#include <string.h>

#include "edgesea_scaled.h"
#include "sensor_parts.h"

void sensor_say_number(int64_t value)
{
    char text[24];
    char *digit = text + sizeof text - 1;
    uint64_t rest = (uint64_t)(value < 0 ? -value : value);
    *digit = '\0';
    do {
        *--digit = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0) {
        *--digit = '-';
    }
    sensor_write(digit);
}

void sensor_say_decimal(int32_t value, int digits)
{
    int32_t unit = 1;
    char text[2] = {0, 0};

    for (int i = 0; i < digits; i++) {
        unit *= 10;
    }
    if (value < 0) {
        sensor_write("-");
        value = -value;
    }
    sensor_say_number(value / unit);
    sensor_write(".");
    for (unit /= 10; unit > 0; unit /= 10) {
        text[0] = (char)('0' + value / unit % 10);
        sensor_write(text);
    }
}

void sensor_say_embedding(const int8_t *embedding)
{
    sensor_write("{\"samples\":");
    sensor_say_number(sensor_heard.samples);
    sensor_write(",\"scale\":" SENSOR_SCALE ",\"zero_point\":" SENSOR_ZERO_POINT ",\"embedding\":[");
    for (int i = 0; i < SENSOR_EMBEDDING_BYTES; i++) {
        if (i) {
            sensor_write(",");
        }
        sensor_say_number(embedding[i]);
    }
    sensor_write("]}\n");
}

int32_t sensor_level(void)
{
    const int full = 256 * 30; /* of 32768 squared */
    const int level = edgesea_level(edgesea_scale(sensor_heard.squares, 0)) -
                      edgesea_level(edgesea_scale(sensor_heard.fresh, 0)) - full;

    /* 100 log10(2) / 256 for each step of a level */
    return sensor_heard.squares ? (int32_t)level * 30103 / 256000 : -999;
}

void sensor_put(char *answer, size_t size, const char *text)
{
    const size_t length = strlen(answer), room = size - 1 - length;
    const size_t count = strlen(text) < room ? strlen(text) : room;

    memcpy(answer + length, text, count);
    answer[length + count] = '\0';
}

void sensor_put_hex(char *answer, size_t size, uint32_t value)
{
    char text[10];
    char *digit = text + sizeof text - 1;

    *digit = '\0';
    do {
        *--digit = "0123456789abcdef"[value & 15u];
        value >>= 4;
    } while (value);
    *--digit = ' ';
    sensor_put(answer, size, digit);
}

int sensor_is(const char **text, const char *word)
{
    const size_t length = strlen(word);

    if (strncmp(*text, word, length) != 0 || ((*text)[length] != '\0' && (*text)[length] != ' ')) {
        return 0;
    }
    *text += length + ((*text)[length] == ' ');
    return 1;
}

int sensor_only_hex(const char *text, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < 8 && *text != '\0'; i++, text++) {
        const int digit = *text >= '0' && *text <= '9' ? *text - '0' : *text >= 'a' && *text <= 'f' ? *text - 'a' + 10 : -1;
        if (digit < 0) {
            return 0;
        }
        *value = *value << 4 | (uint32_t)digit;
        if (text[1] == '\0') {
            return 1;
        }
    }
    return 0;
}
