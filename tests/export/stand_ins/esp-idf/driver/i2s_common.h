/* Stand-in for ESP-IDF 5's driver/i2s_common.h and the types that it brings, receiving. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esp_err.h"

typedef enum { I2S_NUM_0, I2S_NUM_1, I2S_NUM_AUTO } i2s_port_t;
typedef enum { I2S_ROLE_MASTER, I2S_ROLE_SLAVE } i2s_role_t;
typedef enum { I2S_CLK_SRC_DEFAULT = 4 } i2s_clock_src_t;
typedef enum { I2S_MCLK_MULTIPLE_256 = 256 } i2s_mclk_multiple_t;
typedef enum { I2S_DATA_BIT_WIDTH_16BIT = 16, I2S_DATA_BIT_WIDTH_32BIT = 32 } i2s_data_bit_width_t;
typedef enum { I2S_SLOT_BIT_WIDTH_AUTO } i2s_slot_bit_width_t;
typedef enum { I2S_SLOT_MODE_MONO = 1, I2S_SLOT_MODE_STEREO } i2s_slot_mode_t;
typedef enum { GPIO_NUM_NC = -1, GPIO_NUM_0, GPIO_NUM_MAX = 49 } gpio_num_t;
typedef struct i2s_channel *i2s_chan_handle_t;

typedef struct {
    i2s_port_t id;
    i2s_role_t role;
    uint32_t dma_desc_num, dma_frame_num;
    bool auto_clear;
} i2s_chan_config_t;

#define I2S_CHANNEL_DEFAULT_CONFIG(port, part) \
    {.id = port, .role = part, .dma_desc_num = 6, .dma_frame_num = 240, .auto_clear = false}

esp_err_t i2s_new_channel(const i2s_chan_config_t *config, i2s_chan_handle_t *tx, i2s_chan_handle_t *rx);
esp_err_t i2s_channel_enable(i2s_chan_handle_t channel);
/* Waits until all of it is there, timeout_ms at most. */
esp_err_t i2s_channel_read(i2s_chan_handle_t channel, void *to, size_t size, size_t *read, uint32_t timeout_ms);
