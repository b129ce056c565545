// A trained network on TensorFlow Lite Micro (whose interface is C++). Made by keras-archs ${version}.
#include "classifier.h"

#include "model_data.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

// Memory that the network computes in: an estimate, ${arena} bytes, of
//   ${activations} for activations: the tensors that live at the same time, laid out as the library's
//     greedy planner does, the largest first, each at the lowest place that is free while it lives;
//   ${records} for the library's own records: ${fixed}, and ${per_operator} an operator (${operators}), ${per_tensor} a tensor
//     (${tensors}), ${per_channel} a channel with a scale of its own (${channels});
//   a tenth of both, rounded up to whole KiB.
// Kernels that are optimised for a chip may need scratch memory beside that. classifier_start fails
// where it is too small; classifier_arena_used says what it takes.
#ifndef TENSOR_ARENA_BYTES
#define TENSOR_ARENA_BYTES ${arena}
#endif

namespace {

alignas(16) uint8_t arena[TENSOR_ARENA_BYTES];
tflite::MicroInterpreter *interpreter = nullptr;

// Exactly the operators of this network.
using Resolver = tflite::MicroMutableOpResolver<${distinct}>;

bool add_operators(Resolver &resolver) {
${additions}
  return true;
}

}  // namespace

int classifier_start(void) {
  if (interpreter != nullptr) return 0;
  const tflite::Model *model = tflite::GetModel(model_data);
  if (model->version() != TFLITE_SCHEMA_VERSION) return -1;
  static Resolver resolver;
  if (!add_operators(resolver)) return -1;
  static tflite::MicroInterpreter made(model, resolver, arena, TENSOR_ARENA_BYTES);
  if (made.AllocateTensors() != kTfLiteOk) return -1;
  interpreter = &made;
  return 0;
}

int classifier_run(const uint8_t *pixels, float *probabilities) {
  if (interpreter == nullptr) return -1;
  // The input's scale is ${input_scale}, its zero point ${input_zero}.
  int8_t *given = interpreter->input(0)->data.int8;
  for (size_t i = 0; i < MODEL_HEIGHT * MODEL_WIDTH * MODEL_CHANNELS; ++i) {
    given[i] = static_cast<int8_t>(static_cast<int>(pixels[i]) - 128);
  }
  if (interpreter->Invoke() != kTfLiteOk) return -1;
  const TfLiteTensor *answer = interpreter->output(0);
  int best = 0;
  for (int i = 0; i < MODEL_CLASSES; ++i) {
    if (answer->data.int8[i] > answer->data.int8[best]) best = i;
    if (probabilities != nullptr) {
      probabilities[i] = (answer->data.int8[i] - answer->params.zero_point) * answer->params.scale;
    }
  }
  return best;
}

size_t classifier_arena_used(void) {
  return interpreter == nullptr ? 0 : interpreter->arena_used_bytes();
}
