/* Stand-in for the PDM library of Arduino's mbed cores. */
#pragma once

#include <stddef.h>

class PDMClass
{
  public:
    int begin(int channels, int rate);
    int available();
    int read(void *buffer, size_t bytes);
    void onReceive(void (*)(void));
};

extern PDMClass PDM;
