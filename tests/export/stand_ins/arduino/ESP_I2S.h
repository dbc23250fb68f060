/* Stand-in for the library ESP_I2S of Espressif's Arduino core 3. */
#pragma once

#include <Arduino.h>

typedef enum { I2S_MODE_STD, I2S_MODE_TDM, I2S_MODE_PDM_TX, I2S_MODE_PDM_RX } i2s_mode_t;
typedef enum { I2S_DATA_BIT_WIDTH_16BIT = 16, I2S_DATA_BIT_WIDTH_32BIT = 32 } i2s_data_bit_width_t;
typedef enum { I2S_SLOT_MODE_MONO = 1, I2S_SLOT_MODE_STEREO } i2s_slot_mode_t;
typedef enum { I2S_TDM_SLOT0 = 1 } i2s_tdm_slot_mask_t;

class I2SClass : public Stream
{
  public:
    I2SClass();
    ~I2SClass();
    void setPins(int8_t bclk, int8_t ws, int8_t dout, int8_t din = -1, int8_t mclk = -1);
    void setPinsPdmRx(int8_t clk, int8_t din0, int8_t din1 = -1, int8_t din2 = -1, int8_t din3 = -1);
    bool begin(i2s_mode_t mode, uint32_t rate, i2s_data_bit_width_t bits, i2s_slot_mode_t slots,
               i2s_tdm_slot_mask_t mask = I2S_TDM_SLOT0);
    /* Waits until all of it is there. */
    size_t readBytes(char *buffer, size_t size);
    int available() override;
    int peek() override;
    int read() override;
    size_t write(uint8_t byte) override;
    size_t write(const uint8_t *bytes, size_t count) override;
};
