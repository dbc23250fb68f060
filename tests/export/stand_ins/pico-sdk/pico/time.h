/* Stand-in for the Pico SDK's pico/time.h. */
#pragma once

#include <stdint.h>

void sleep_ms(uint32_t ms);
uint32_t time_us_32(void);
