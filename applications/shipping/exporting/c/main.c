/* Names what an image of the test split shows. Made by keras-archs ${version}.
 *
 * Build it with the sources of TensorFlow Lite Micro and -std=c++17:
 *   model_data.c main.c (C11) and classifier.cc (C++17).
 */
#include <stdio.h>

#include "classifier.h"
#include "model_data.h"

/* On the machine that made this, LiteRT answered: class ${example_class}, model_labels[${example_class}]. */
static const uint8_t example[MODEL_HEIGHT * MODEL_WIDTH * MODEL_CHANNELS] = {
${example}
};

int main(void) {
  float probabilities[MODEL_CLASSES];
  int class_index;

  if (classifier_start() != 0) {
    printf("the arena is too small, or an operator is missing\n");
    return 1;
  }
  class_index = classifier_run(example, probabilities);
  if (class_index < 0) {
    printf("the network failed\n");
    return 1;
  }
  printf("%s: %.3f (%u bytes of the arena in use)\n", model_labels[class_index],
         (double)probabilities[class_index], (unsigned)classifier_arena_used());
  return 0;
}
