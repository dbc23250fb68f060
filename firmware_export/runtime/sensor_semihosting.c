/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* sensor_semihosting: an emulated core as the board; the sound is the file sound.wav that it is given.
 *
 * Lines are printed by emulated_print. The program ends with status 0,
 * or with 1 and a sentence if sound.wav is not 16-bit PCM, one channel, at the model's rate.
 */
#include <string.h>

#include "emulated.h"
#include "semihosting.h"
#include "sensor.h"
#include "sensor_model.h"

static int file;
static uint32_t left; /* bytes of sound still to come */

size_t sensor_read(int16_t *pcm, size_t count)
{
    const size_t bytes = count * sizeof *pcm < left ? count * sizeof *pcm : left;
    const size_t read = bytes ? semihosting_read(file, pcm, bytes) : 0;
    left -= (uint32_t)read;
    return read / sizeof *pcm;
}

void sensor_write(const char *text) { emulated_print(text); }

static uint32_t number(const uint8_t *bytes, int count)
{
    uint32_t value = 0;
    for (int i = 0; i < count; i++) {
        value |= (uint32_t)bytes[i] << 8 * i;
    }
    return value;
}

/* Finds the sound; returns what is wrong with the file, or NULL. */
static const char *open_wav(void)
{
    uint8_t header[16], skipped[64];
    int format_is_right = 0;

    file = semihosting_open("sound.wav", 0);
    if (file < 0) {
        return "sound.wav is not there\n";
    }
    if (semihosting_read(file, header, 12) != 12 || memcmp(header, "RIFF", 4) || memcmp(header + 8, "WAVE", 4)) {
        return "sound.wav is not a WAV file\n";
    }
    while (semihosting_read(file, header, 8) == 8) {
        uint32_t size = number(header + 4, 4);
        if (!memcmp(header, "data", 4)) {
            left = size & ~1u;
            return format_is_right ? NULL : "sound.wav has to be 16-bit PCM, one channel, at the model's sample rate\n";
        }
        if (!memcmp(header, "fmt ", 4) && size >= 16) {
            if (semihosting_read(file, header, 16) != 16) {
                break;
            }
            size -= 16;
            format_is_right = number(header, 2) == 1 && number(header + 2, 2) == 1 &&
                              number(header + 4, 4) == SENSOR_SAMPLE_RATE && number(header + 14, 2) == 16;
        }
        for (size += size & 1; size;) { /* chunks are padded to an even size */
            const size_t part = size < sizeof skipped ? size : sizeof skipped;
            if (semihosting_read(file, skipped, part) != part) {
                return "sound.wav ends before its sound\n";
            }
            size -= (uint32_t)part;
        }
    }
    return "sound.wav holds no sound\n";
}

int main(void)
{
    const char *trouble = open_wav();
    if (trouble) {
        emulated_print(trouble);
        return 1;
    }
    return sensor_run();
}
