/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* Start-up of an emulated Cortex-M: vectors, reset, SysTick as the counter, faults. */
#include "emulated.h"

extern uint32_t emulated_bss_start[], emulated_bss_end[], emulated_stack_top[];
int main(void);
void emulated_reset(void);

#define CPACR (*(volatile uint32_t *)0xe000ed88u)
#define SYST_CSR (*(volatile uint32_t *)0xe000e010u)
#define SYST_RVR (*(volatile uint32_t *)0xe000e014u)
#define SYST_CVR (*(volatile uint32_t *)0xe000e018u)
#define RELOAD 0xffffffu /* SysTick counts 24 bits down */

static volatile uint32_t reloads;

static void systick(void) { reloads++; }

static void fault(void) {
    emulated_print("fault: the program on the emulated core took an exception it does not handle\n");
    emulated_exit(99);
}

typedef void (*handler)(void);

__attribute__((section(".vectors"), used)) static const handler vectors[16] = {
    (handler)(uintptr_t)emulated_stack_top, emulated_reset, fault, fault, fault, fault, fault, fault,
    fault, fault, fault, fault, fault, fault, fault, systick,
};

uint64_t emulated_ticks(void) {
    uint32_t before, now;
    do {
        before = reloads;
        now = SYST_CVR;
    } while (before != reloads);
    return (uint64_t)before * (RELOAD + 1u) + (RELOAD - now);
}

__attribute__((noreturn)) void emulated_reset(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    CPACR |= 0xfu << 20;
    __asm__ volatile("dsb\nisb");
#endif
#if defined(__ARM_FEATURE_MVE)
    __asm__ volatile("vmsr fpscr, %0" ::"r"(4u << 16)); /* LTPSIZE = 4: no tail predication outside loops */
#endif
    for (uint32_t *word = emulated_bss_start; word < emulated_bss_end; word++) *word = 0;
    SYST_RVR = RELOAD;
    SYST_CVR = 0;
    SYST_CSR = 7; /* enabled, with its interrupt, from the core's clock */
    /* The counter reads 0 until its first reload, one tick later. */
    while (SYST_CVR == 0) {
    }
    emulated_exit(main());
    for (;;) {
    }
}
