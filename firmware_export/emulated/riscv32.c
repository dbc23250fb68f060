/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* Start-up of an emulated RV32: reset, the retired-instruction counter, traps. */
#include "emulated.h"

extern uint32_t emulated_bss_start[], emulated_bss_end[];
int main(void);
void emulated_reset(void);

__attribute__((noreturn, used)) static void start(void) {
    for (uint32_t *word = emulated_bss_start; word < emulated_bss_end; word++) *word = 0;
    emulated_exit(main());
    for (;;) {
    }
}

__attribute__((used, aligned(4))) static void trap(void) {
    emulated_print("fault: the program on the emulated core took an exception it does not handle\n");
    emulated_exit(99);
}

__attribute__((naked, section(".vectors"), used)) void emulated_reset(void) {
    __asm__ volatile(
        "la sp, emulated_stack_top\n"
        "la t0, trap\n"
        ".option push\n.option arch, +zicsr\ncsrw mtvec, t0\n.option pop\n"
        "j start");
}

uint64_t emulated_ticks(void) {
    uint32_t low, high, again;
    do {
        __asm__ volatile(".option push\n.option arch, +zicsr\n"
                         "csrr %0, minstreth\ncsrr %1, minstret\ncsrr %2, minstreth\n.option pop"
                         : "=r"(high), "=r"(low), "=r"(again));
    } while (high != again);
    return (uint64_t)high << 32 | low;
}
