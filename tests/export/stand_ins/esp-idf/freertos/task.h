/* Stand-in for FreeRTOS's tasks, and what calls app_main. */
#pragma once

#include "freertos/FreeRTOS.h"

void vTaskDelay(TickType_t ticks);
void app_main(void);
