/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* program: golden vectors, then the sensor; the serial line is answered while it waits for sound. */
#include "program.h"

#include <string.h>

#include "edgesea_board.h"
#include "edgesea_golden.h"
#include "edgesea_protocol.h"
#include "microphone.h"
#include "sensor.h"

static edgesea_protocol protocol;

#if MICROPHONE_DECIMATE == 2

#include "half_band.h"

static half_band filter;

/* Takes from the microphone at twice the model's rate what makes up to `count` samples. */
static int heard(int16_t *pcm, size_t count)
{
    int16_t twice[2 * HALF_BAND_BLOCK];
    const size_t most = count < HALF_BAND_BLOCK ? count : HALF_BAND_BLOCK;
    const int taken = microphone_read(twice, 2 * most);

    return taken <= 0 ? taken : (int)half_band_run(&filter, twice, (size_t)taken, pcm);
}

#else

static int heard(int16_t *pcm, size_t count) { return microphone_read(pcm, count); }

#endif

size_t sensor_read(int16_t *pcm, size_t count)
{
    int taken;

    /* Always once: a microphone that waits until all of it is there never says that there is none yet. */
    do {
        program_poll();
        taken = heard(pcm, count);
    } while (taken == 0);
    return taken < 0 ? 0 : (size_t)taken;
}

void sensor_write(const char *text) { edgesea_board_write(text, strlen(text)); }

int program_run(void)
{
    int passed;

    protocol.further = sensor_ask;
    edgesea_board_start();
    passed = edgesea_golden_run(protocol.arena, protocol.output);
    edgesea_golden_report(passed);
    if (microphone_start() != 0) {
        sensor_write("edgesea: the microphone did not start\n");
        return 1;
    }
    return sensor_run() != 0 || passed != FIRMWARE_GOLDEN_COUNT;
}

void program_poll(void) { edgesea_protocol_poll(&protocol); }
