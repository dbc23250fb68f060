/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* What the start-up code of an emulated core gives to the program that runs on it.
 *
 * The start-up file (cortex_m.c or riscv32.c) clears .bss, switches on the FPU or MVE where there is one, starts
 * the counter, calls main() and ends the emulation with what main() returns. A fault ends it too, with status 99
 * and a line of text, so that no image can hang on one.
 *
 * How a program prints and ends depends on what stands beside the core. An image is linked with one of
 *     ending_uart.c   nothing but the board: text goes to the serial line, and the end is a reset
 *     semihosting.c   a host that answers semihosting: what edgesea measures with, in no project
 */
#ifndef EMULATED_H
#define EMULATED_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Ticks since the start. Under QEMU's `-icount shift=0` an instruction takes one nanosecond, so a tick is a fixed
 * number of instructions: 40 on a 25 MHz Cortex-M board, 50 at 20 MHz, 31.25 at 32 MHz, and 1 on RISC-V, which
 * counts instructions themselves. */
uint64_t emulated_ticks(void);

/* Prints a text. */
void emulated_print(const char *text);

/* Ends the emulation. Does not return. */
void emulated_exit(int status);

/* The stack pointer of the function that calls it. */
static inline uint32_t *emulated_stack_pointer(void) {
    uint32_t *sp;
#if defined(__riscv)
    __asm__ volatile("mv %0, sp" : "=r"(sp));
#else
    __asm__ volatile("mov %0, sp" : "=r"(sp));
#endif
    return sp;
}

/* Fills the `reach` bytes of free stack below `top` with a pattern, `top` being the caller's stack pointer. The
 * 64 bytes next to it are left alone: the painting function stands there itself. */
void emulated_paint_stack(uint32_t *top, uint32_t reach);

/* Bytes of stack below the same `top` that were written to since it was painted; `reach` says that the paint was
 * used up and the true figure may be higher. The least answer is 64. */
uint32_t emulated_stack_used(const uint32_t *top, uint32_t reach);

#ifdef __cplusplus
}
#endif
#endif
