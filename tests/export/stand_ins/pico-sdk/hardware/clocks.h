/* Stand-in for the Pico SDK's hardware/clocks.h. */
#pragma once

#include <stdint.h>

typedef enum { clk_gpout0, clk_ref = 4, clk_sys, clk_peri } clock_handle_t;

uint32_t clock_get_hz(clock_handle_t clock);
