/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* The stack's high-water mark, by painting. */
#include "emulated.h"

enum { PAINT = 0x25c3e187, OWN_WORDS = 16 };

__attribute__((noinline)) void emulated_paint_stack(uint32_t *top, uint32_t reach) {
    for (volatile uint32_t *word = top - reach / 4; word < top - OWN_WORDS; word++) *word = PAINT;
}

__attribute__((noinline)) uint32_t emulated_stack_used(const uint32_t *top, uint32_t reach) {
    const volatile uint32_t *word = top - reach / 4;
    while (word < top - OWN_WORDS && *word == PAINT) word++;
    return 4u * (uint32_t)(top - word);
}
