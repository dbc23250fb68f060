/* Stand-in for CubeMX's main.h with ST's HAL and CMSIS, of a Cortex-M7. */
#pragma once

#include <stdint.h>

typedef enum { HAL_OK, HAL_ERROR, HAL_BUSY, HAL_TIMEOUT } HAL_StatusTypeDef;
typedef struct {
    volatile uint32_t *Instance;
} UART_HandleTypeDef;

HAL_StatusTypeDef HAL_UART_Transmit(UART_HandleTypeDef *uart, const uint8_t *from, uint16_t count, uint32_t timeout);
HAL_StatusTypeDef HAL_UART_Receive(UART_HandleTypeDef *uart, uint8_t *to, uint16_t count, uint32_t timeout);

typedef struct {
    volatile uint32_t CTRL, CYCCNT;
} DWT_Type;
typedef struct {
    volatile uint32_t DHCSR, DCRSR, DCRDR, DEMCR;
} CoreDebug_Type;

#define DWT ((DWT_Type *)0xe0001000)
#define CoreDebug ((CoreDebug_Type *)0xe000edf0)
#define DWT_CTRL_CYCCNTENA_Msk 1u
#define CoreDebug_DEMCR_TRCENA_Msk (1u << 24)

extern uint32_t SystemCoreClock;
