/* Stand-in for the Pico SDK's pico/stdlib.h. */
#pragma once

#include "pico/stdio.h"
#include "pico/time.h"
