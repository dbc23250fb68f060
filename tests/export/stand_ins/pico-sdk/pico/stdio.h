/* Stand-in for the Pico SDK's pico/stdio.h. */
#pragma once

/* The build says which board it is for. */
#ifndef PICO_BOARD
#define PICO_BOARD "stand_in"
#endif

#include <stdbool.h>
#include <stdint.h>

bool stdio_init_all(void);
void stdio_flush(void);
int getchar_timeout_us(uint32_t timeout_us);
int putchar_raw(int c);
