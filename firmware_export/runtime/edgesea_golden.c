/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_golden: run the golden vectors, say the verdict. */
#include "edgesea_golden.h"

#include <string.h>

#include "edgesea_board.h"
#include "firmware_model.h"

/* How far a byte may be off: not at all, unless the model's header says that what runs it rounds otherwise. */
#ifndef FIRMWARE_GOLDEN_STEPS_OFF
#define FIRMWARE_GOLDEN_STEPS_OFF 0
#endif

int edgesea_golden_run(void *arena, int8_t *output)
{
    int passed = 0;

    for (int i = 0; i < FIRMWARE_GOLDEN_COUNT; i++) {
        int right;

        /* Far from what is expected: a model that writes nothing must not pass. */
        for (int n = 0; n < FIRMWARE_OUTPUT_BYTES; n++) {
            output[n] = FIRMWARE_GOLDEN_OUTPUTS[i][n] < 0 ? 127 : -128;
        }
        right = FIRMWARE_INVOKE(arena, FIRMWARE_GOLDEN_INPUTS[i], output) == 0;
        for (int n = 0; n < FIRMWARE_OUTPUT_BYTES; n++) {
            const int off = output[n] - FIRMWARE_GOLDEN_OUTPUTS[i][n];
            right = right && off <= FIRMWARE_GOLDEN_STEPS_OFF && off >= -FIRMWARE_GOLDEN_STEPS_OFF;
        }
        passed += right;
    }
    return passed;
}

static void say(const char *text) { edgesea_board_write(text, strlen(text)); }

static void say_number(int value)
{
    char digits[12];
    int at = (int)sizeof digits;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    edgesea_board_write(digits + at, sizeof digits - (size_t)at);
}

void edgesea_golden_report(int passed)
{
    say(passed == FIRMWARE_GOLDEN_COUNT ? "edgesea golden PASS " : "edgesea golden FAIL ");
    say_number(passed);
    say(" of ");
    say_number(FIRMWARE_GOLDEN_COUNT);
    say(" " FIRMWARE_NAME " " FIRMWARE_SHA256 "\n");
}
