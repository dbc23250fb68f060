/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* The end of a program that has nothing but its board: last words on the serial line, then a reset.
 *
 * Started with -no-reboot, QEMU ends on a reset; its exit code is 0 whatever the program's status was, so the last line
 * of the output says it: "emulated: ended with status 0".
 */
#include "emulated.h"
#include "uart.h"

#if defined(__riscv)
#define RESET (*(volatile uint32_t *)0x00100000u) /* the test finisher of QEMU's virt machine */
enum { RESET_NOW = 0x7777 };
#else
#define RESET (*(volatile uint32_t *)0xe000ed0cu) /* AIRCR */
enum { RESET_NOW = 0x05fa0004 };                  /* its key, SYSRESETREQ */
#endif

void emulated_print(const char *text) {
    uart_start();
    while (*text) uart_write(*text++);
    uart_flush();
}

void emulated_exit(int status) {
    char digits[12], *first = digits + sizeof digits - 1;
    unsigned left = status < 0 ? 0u - (unsigned)status : (unsigned)status;

    *first = 0;
    do *--first = (char)('0' + left % 10);
    while ((left /= 10) != 0);
    if (status < 0) *--first = '-';
    emulated_print("emulated: ended with status ");
    emulated_print(first);
    emulated_print("\n");
    for (;;) RESET = RESET_NOW;
}
