/* Stand-in for the PDM library of Arduino's mbed cores and of arduino-pico, which makes PDM only for boards that have
 * a microphone: those that define PIN_PDM_DIN. */
#pragma once

#include <stddef.h>

#include <Arduino.h>

class PDMClass
{
  public:
    PDMClass(int dataPin, int clkPin, int pwrPin);
    virtual ~PDMClass();
    int begin(int channels, int sampleRate);
    void end();
    virtual int available();
    virtual int read(void *buffer, size_t size);
    void onReceive(void (*)(void));
};

#ifdef PIN_PDM_DIN
extern PDMClass PDM;
#endif
