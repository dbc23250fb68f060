/* Stand-in for the schema: a model is its bytes. */
#pragma once

#include <cstdint>

#define TFLITE_SCHEMA_VERSION (3)

namespace tflite {

class Model
{
  public:
    uint32_t version() const { return 3; }
};

inline const Model *GetModel(const void *bytes) { return static_cast<const Model *>(bytes); }

} // namespace tflite
