/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* The 16550 UART of QEMU's RISC-V virt machine. */
#include "uart.h"

#include <stdint.h>

#define REGISTER(n) (*(volatile uint8_t *)(UART_BASE + (n)))
#define DATA REGISTER(0u)
#define FIFO_CONTROL REGISTER(2u)
#define LINE_CONTROL REGISTER(3u)
#define LINE_STATUS REGISTER(5u)

enum { FIFO_ON = 1, EIGHT_BITS = 3, RECEIVED = 0x01, TX_EMPTY = 0x20, PATIENCE = 100000000 };

void uart_start(void) {
    LINE_CONTROL = EIGHT_BITS;
    FIFO_CONTROL = FIFO_ON;
}

int uart_read(void) { return LINE_STATUS & RECEIVED ? DATA : -1; }

void uart_flush(void) {
    for (uint32_t i = 0; !(LINE_STATUS & TX_EMPTY) && i < PATIENCE; i++) {
    }
}

void uart_write(char byte) {
    uart_flush();
    if (LINE_STATUS & TX_EMPTY) DATA = (uint8_t)byte;
}
