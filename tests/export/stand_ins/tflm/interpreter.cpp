/* Stand-in for TensorFlow Lite Micro: in the arena lie input and output, and the C model computes one from the other.
 * STAND_IN_OFF is added to the first output, STAND_IN_ARENA how many bytes it says it needs. It starts only if the
 * arena is aligned, and the resolver holds just what it has room for and no fewer than the model's operators. */
#include "tensorflow/lite/micro/micro_interpreter.h"

#include "stand_in.h"

#ifndef STAND_IN_OFF
#define STAND_IN_OFF 0
#endif
#ifndef STAND_IN_ARENA
#define STAND_IN_ARENA (STAND_IN_INPUT_BYTES + STAND_IN_OUTPUT_BYTES)
#endif

namespace tflite {

MicroInterpreter::MicroInterpreter(const Model *m, const MicroOpResolver &r, uint8_t *a, size_t b)
    : model(m), resolver(r), arena(a), bytes(b), ends{}
{
}

TfLiteStatus MicroInterpreter::AllocateTensors()
{
    if (model == nullptr || bytes < STAND_IN_ARENA || reinterpret_cast<uintptr_t>(arena) % 16 != 0 ||
        resolver.added() != resolver.room() || resolver.added() != STAND_IN_OPERATORS) {
        return kTfLiteError;
    }
    ends[0].data.raw = arena;
    ends[0].bytes = STAND_IN_INPUT_BYTES;
    ends[1].data.raw = arena + STAND_IN_INPUT_BYTES;
    ends[1].bytes = STAND_IN_OUTPUT_BYTES;
    return kTfLiteOk;
}

TfLiteStatus MicroInterpreter::Invoke()
{
    if (stand_in_invoke(ends[0].data.int8, ends[1].data.int8) != 0) {
        return kTfLiteError;
    }
    int8_t &first = ends[1].data.int8[0];
    first = static_cast<int8_t>(first > 0 ? first - STAND_IN_OFF : first + STAND_IN_OFF);
    return kTfLiteOk;
}

TfLiteTensor *MicroInterpreter::input(size_t) { return &ends[0]; }

TfLiteTensor *MicroInterpreter::output(size_t) { return &ends[1]; }

size_t MicroInterpreter::arena_used_bytes() const { return STAND_IN_ARENA; }

} // namespace tflite
