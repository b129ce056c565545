/* A trained network on TensorFlow Lite Micro, for programs in C. Made by keras-archs ${version}. */
#ifndef CLASSIFIER_H_
#define CLASSIFIER_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sets the network up, once, before all else.
 * 0, or -1: the arena is too small, the library lacks an operator, or it reads another schema. */
int classifier_start(void);

/* What an image shows.
 *
 * pixels: MODEL_HEIGHT * MODEL_WIDTH * MODEL_CHANNELS bytes, 0..255, a row after the other, the
 *         channels of a pixel side by side.
 * probabilities: receives MODEL_CLASSES numbers that sum to about 1; may be NULL.
 * The most probable class, an index into model_labels, or -1 where the network failed. */
int classifier_run(const uint8_t *pixels, float *probabilities);

/* Bytes of the arena that are in use after classifier_start: TENSOR_ARENA_BYTES can be lowered to
 * little more than that. */
size_t classifier_arena_used(void);

#ifdef __cplusplus
}
#endif

#endif /* CLASSIFIER_H_ */
