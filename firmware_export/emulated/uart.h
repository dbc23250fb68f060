/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* The serial line of an emulated board; UART_BASE, from the build, says where its registers lie. */
#ifndef UART_H
#define UART_H

#ifdef __cplusplus
extern "C" {
#endif

void uart_start(void);

/* The next byte, 0 to 255, or -1 if none has arrived. */
int uart_read(void);

/* Sends a byte; drops it where the line takes none for a long time. */
void uart_write(char byte);

/* Waits until the line has taken all that was written; not for ever. */
void uart_flush(void);

#ifdef __cplusplus
}
#endif
#endif
