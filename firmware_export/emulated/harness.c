/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* Measures one compiled model on an emulated core.
 *
 * subject.h, written beside the build, says what is measured:
 *     SUBJECT_INPUT_BYTES, SUBJECT_OUTPUT_BYTES  of one inference
 *     SUBJECT_INVOKE(input, output)              one inference
 *     SUBJECT_PROFILE  the number of operators, defined only where they are to be told apart
 * and EDGESEA_PATH, which kernels are in use.
 *
 * Inputs are read one after the other from inputs.bin until it ends; each one's output goes to outputs.bin. report.txt
 * receives "path EDGESEA_PATH 0", for each input "invoke TICKS STACK_BYTES", and with SUBJECT_PROFILE for each
 * operator "operator NUMBER TICKS". An operator's ticks include those of asking for the time, some forty instructions
 * a row.
 */
#include "emulated.h"
#include "semihosting.h"
#include "subject.h"

enum { REACH = 64 * 1024, LINE = 64 };

static _Alignas(16) int8_t input[SUBJECT_INPUT_BYTES];
static _Alignas(16) int8_t output[SUBJECT_OUTPUT_BYTES];

/* Appends the decimal digits of `value` and `after` to `text`; returns where it ended. */
static char *number(char *text, uint64_t value, char after) {
    char digits[20];
    int n = 0;
    do digits[n++] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    while (n > 0) *text++ = digits[--n];
    *text++ = after;
    return text;
}

static void line(int file, const char *word, uint64_t first, uint64_t second) {
    char text[LINE], *end = text;
    while (*word) *end++ = *word++;
    *end++ = ' ';
    end = number(end, first, ' ');
    end = number(end, second, '\n');
    semihosting_write(file, text, (size_t)(end - text));
}

#ifdef SUBJECT_PROFILE
static uint64_t since, spent[SUBJECT_PROFILE];
static int running = -1;

void edgesea_profile(int operator)
{
    const uint64_t now = emulated_ticks();
    if (running >= 0) spent[running] += now - since;
    running = operator;
    since = now;
}
#endif

int main(void) {
    const int inputs = semihosting_open("inputs.bin", 0);
    const int outputs = semihosting_open("outputs.bin", 1);
    const int report = semihosting_open("report.txt", 1);
    if (inputs < 0 || outputs < 0 || report < 0) {
        emulated_print("inputs.bin, outputs.bin or report.txt cannot be opened\n");
        return 1;
    }
    line(report, "path", EDGESEA_PATH, 0);
    while (semihosting_read(inputs, input, sizeof input) == sizeof input) {
        uint32_t *const top = emulated_stack_pointer();
        emulated_paint_stack(top, REACH);
        const uint64_t start = emulated_ticks();
        SUBJECT_INVOKE(input, output);
        const uint64_t ticks = emulated_ticks() - start;
        line(report, "invoke", ticks, emulated_stack_used(top, REACH));
#ifdef SUBJECT_PROFILE
        for (int i = 0; i < SUBJECT_PROFILE; i++) {
            line(report, "operator", (uint64_t)i, spent[i]);
            spent[i] = 0;
        }
#endif
        if (semihosting_write(outputs, output, sizeof output) != sizeof output) return 1;
    }
    semihosting_close(report);
    semihosting_close(outputs);
    semihosting_close(inputs);
    return 0;
}
