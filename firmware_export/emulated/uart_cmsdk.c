/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* The APB UART of Arm's Cortex-M System Design Kit, on the MPS2 and MPS3 boards.
 *
 * Source: Arm "Cortex-M System Design Kit", technical reference manual, APB UART.
 */
#include "uart.h"

#include <stdint.h>

#define DATA (*(volatile uint32_t *)(UART_BASE + 0x00u))
#define STATE (*(volatile uint32_t *)(UART_BASE + 0x04u))
#define CTRL (*(volatile uint32_t *)(UART_BASE + 0x08u))
#define BAUDDIV (*(volatile uint32_t *)(UART_BASE + 0x10u))

enum { TX_FULL = 1, RX_FULL = 2, ENABLE_TX_AND_RX = 3, PATIENCE = 100000000 };

void uart_start(void) {
    BAUDDIV = 217; /* 25 MHz / 115200 */
    CTRL = ENABLE_TX_AND_RX;
}

int uart_read(void) { return STATE & RX_FULL ? (int)(DATA & 0xffu) : -1; }

void uart_flush(void) {
    for (uint32_t i = 0; STATE & TX_FULL && i < PATIENCE; i++) {
    }
}

void uart_write(char byte) {
    uart_flush();
    if (!(STATE & TX_FULL)) DATA = (uint8_t)byte;
}
