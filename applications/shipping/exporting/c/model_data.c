/* A trained network with int8 weights, as a LiteRT file, and its classes. Made by keras-archs
 * ${version}. */
#include "model_data.h"

const char *const model_labels[MODEL_CLASSES] = {
${labels}
};

/* A LiteRT file is read in place, at an address that 16 divides. */
_Alignas(16) const unsigned char model_data[MODEL_BYTES] = {
${data}
};
