/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_board.h: what a board gives to the firmware. Declared here, written by whoever knows the board.
 *
 * One serial line, one counter, no interrupts asked for. The firmware's main() calls edgesea_board_start() first and
 * nothing here before it. None of the functions is called from an interrupt.
 */
#ifndef EDGESEA_BOARD_H
#define EDGESEA_BOARD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sets up clocks, the serial line (115200 baud, 8 data bits, no parity, 1 stop bit) and the cycle counter. */
void edgesea_board_start(void);

/* The next byte that has arrived on the serial line, 0 to 255, or -1 at once if there is none. Bytes that arrive
 * while a model runs may be lost: the protocol sends again. */
int edgesea_board_read(void);

/* Sends `count` bytes and returns when they are sent or kept. Where nobody takes them it drops them in the end: it
 * must not wait for ever. The workbench leaves DTR clear, but where the chip itself is the USB port. */
void edgesea_board_write(const char *bytes, size_t count);

/* Cycles of the core's clock, counting up and wrapping at 2^32. */
uint32_t edgesea_board_cycles(void);

/* Hertz of that clock; 0 where there is none to trust, as in an emulator: then no time is made of cycles. */
uint32_t edgesea_board_clock_hz(void);

/* The board's name for people: ASCII, one line. */
const char *edgesea_board_name(void);

#ifdef __cplusplus
}
#endif

#endif
