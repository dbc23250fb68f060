/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* An emulated board as edgesea_board.h wants it; BOARD_NAME comes from the build. */
#include "edgesea_board.h"

#include "emulated.h"
#include "uart.h"

void edgesea_board_start(void) { uart_start(); }

int edgesea_board_read(void) { return uart_read(); }

void edgesea_board_write(const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) uart_write(bytes[i]);
}

uint32_t edgesea_board_cycles(void) { return (uint32_t)emulated_ticks(); }

uint32_t edgesea_board_clock_hz(void) { return 0; } /* an emulator has no clock to trust */

const char *edgesea_board_name(void) { return BOARD_NAME; }
