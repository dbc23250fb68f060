/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_protocol_profile: cycles of each step, and what the build is. */
#include "edgesea_protocol_profile.h"

#include "edgesea_board.h"
#include "edgesea_path.h"
#include "firmware_model.h"

#if defined(__OPTIMIZE_SIZE__)
#define OPTIMISED ", optimised for size"
#elif defined(__OPTIMIZE__)
#define OPTIMISED ", optimised"
#else
#define OPTIMISED ", not optimised"
#endif

const char *edgesea_protocol_compiler(void)
{
#if defined(__clang__)
    return "clang " __clang_version__ OPTIMISED;
#elif defined(__GNUC__)
    return "gcc " __VERSION__ OPTIMISED;
#else
    return "unknown compiler" OPTIMISED;
#endif
}

#ifdef EDGESEA_PROFILE_HOOK

/* The hook has no argument to carry these. */
static uint32_t spent[FIRMWARE_STEPS], since;
static int counting, running = -1;

static const char *const step_names[FIRMWARE_STEPS] = {FIRMWARE_STEP_NAMES};

void edgesea_profile(int step)
{
    if (counting) {
        const uint32_t now = edgesea_board_cycles();
        if (running >= 0 && running < FIRMWARE_STEPS) {
            spent[running] += now - since;
        }
        running = step;
        since = now;
        counting = step >= 0;
    }
}

int edgesea_protocol_steps(void) { return FIRMWARE_STEPS; }

const char *edgesea_protocol_step_name(int step) { return step_names[step]; }

void edgesea_protocol_profile_start(void)
{
    for (int i = 0; i < FIRMWARE_STEPS; i++) {
        spent[i] = 0;
    }
    running = -1;
    counting = 1;
}

uint32_t edgesea_protocol_step_cycles(int step) { return spent[step]; }

#else

int edgesea_protocol_steps(void) { return 0; }

const char *edgesea_protocol_step_name(int step)
{
    (void)step;
    return "";
}

void edgesea_protocol_profile_start(void) {}

uint32_t edgesea_protocol_step_cycles(int step)
{
    (void)step;
    return 0;
}

#endif
