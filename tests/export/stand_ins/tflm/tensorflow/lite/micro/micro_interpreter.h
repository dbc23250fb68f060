/* Stand-in for TensorFlow Lite Micro's interpreter, in which the compiled C model works: see interpreter.cpp. */
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

struct TfLiteTensor {
    union {
        int8_t *int8;
        void *raw;
    } data;
    size_t bytes;
};

namespace tflite {

class MicroInterpreter
{
  public:
    MicroInterpreter(const Model *model, const MicroOpResolver &resolver, uint8_t *arena, size_t bytes);
    TfLiteStatus AllocateTensors();
    TfLiteStatus Invoke();
    TfLiteTensor *input(size_t index);
    TfLiteTensor *output(size_t index);
    size_t arena_used_bytes() const;

  private:
    const Model *model;
    const MicroOpResolver &resolver;
    uint8_t *arena;
    size_t bytes;
    TfLiteTensor ends[2];
};

} // namespace tflite
