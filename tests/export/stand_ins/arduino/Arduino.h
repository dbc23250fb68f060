/* Stand-in for Arduino's own header, with one serial port.
 *
 * As on boards whose USB port is the chip's own, the port is no line while no host has raised DTR: it is false, and
 * what is written to it is gone. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

extern "C" {
unsigned long micros();
unsigned long millis();
void delay(unsigned long ms);
}

class Print
{
  public:
    virtual ~Print() {}
    virtual size_t write(uint8_t byte) = 0;
    virtual size_t write(const uint8_t *bytes, size_t count) = 0;
    size_t print(const char *text);
    size_t print(unsigned long number);
    size_t println(const char *text);
};

class Stream : public Print
{
  public:
    virtual int available() = 0;
    virtual int read() = 0;
    virtual int peek() = 0;
    size_t readBytes(char *bytes, size_t count);
};

class SerialPort : public Stream
{
  public:
    void begin(unsigned long baud);
    int available() override;
    int read() override;
    int peek() override;
    size_t write(uint8_t byte) override;
    size_t write(const uint8_t *bytes, size_t count) override;
    explicit operator bool();
};

extern SerialPort Serial;
