/* Stand-in for TensorFlow Lite Micro's resolver: it counts what is added, and takes no more than it was made for. */
#pragma once

#include "tensorflow/lite/micro/micro_log.h"

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

namespace tflite {

class MicroOpResolver
{
  public:
    virtual unsigned added() const = 0;
    virtual unsigned room() const = 0;
};

template <unsigned int tOpCount> class MicroMutableOpResolver : public MicroOpResolver
{
  public:
    TfLiteStatus AddAdd() { return add(); }
    TfLiteStatus AddAveragePool2D() { return add(); }
    TfLiteStatus AddConv2D() { return add(); }
    TfLiteStatus AddDepthwiseConv2D() { return add(); }
    TfLiteStatus AddFullyConnected() { return add(); }
    TfLiteStatus AddMaxPool2D() { return add(); }
    TfLiteStatus AddMean() { return add(); }
    TfLiteStatus AddReshape() { return add(); }
    TfLiteStatus AddSoftmax() { return add(); }

    unsigned added() const override { return count; }
    unsigned room() const override { return tOpCount; }

  private:
    TfLiteStatus add()
    {
        const unsigned before = count;

        count = before + 1;
        if (before < tOpCount) {
            return kTfLiteOk;
        }
        MicroPrintf("Couldn't register builtin, resolver size is too small (%d).", tOpCount);
        return kTfLiteError;
    }
    volatile unsigned count = 0; // so that no compiler proves that there is room, and drops the message
};

} // namespace tflite
