/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* program.h: what every board's main() calls. The same on every board.
 *
 *     program_run();          starts the board, runs the golden vectors, prints the verdict, then listens
 *     for (;;) {
 *         program_poll();     answers the serial line; a board whose sound never ends does not get here
 *     }
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#ifdef __cplusplus
extern "C" {
#endif

/* Returns when the sound ends, or at once where there is none: 0, or 1 if a golden vector or the sensor failed. */
int program_run(void);

/* Answers what has arrived on the serial line; returns soon where nothing has. */
void program_poll(void);

#ifdef __cplusplus
}
#endif

#endif
