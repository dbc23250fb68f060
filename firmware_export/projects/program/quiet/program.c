/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* program: golden vectors, then the serial line. There is no sensor here: see README.md. */
#include "program.h"

#include "edgesea_board.h"
#include "edgesea_golden.h"
#include "edgesea_protocol.h"

static edgesea_protocol protocol;

int program_run(void)
{
    int passed;

    edgesea_board_start();
    passed = edgesea_golden_run(protocol.arena, protocol.output);
    edgesea_golden_report(passed);
    return passed != FIRMWARE_GOLDEN_COUNT;
}

void program_poll(void) { edgesea_protocol_poll(&protocol); }
