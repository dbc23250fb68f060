/* Stand-in for an Arduino core's Arduino.h. */
#pragma once

#include <stddef.h>
#include <stdint.h>

unsigned long micros();

class Stream
{
  public:
    virtual int available() = 0;
    virtual int read() = 0;
    virtual size_t write(const uint8_t *bytes, size_t count) = 0;
    size_t readBytes(char *bytes, size_t count);
};

class SerialPort : public Stream
{
  public:
    void begin(unsigned long baud);
    int available() override;
    int read() override;
    size_t write(const uint8_t *bytes, size_t count) override;
    operator bool();
};

extern SerialPort Serial;
