/* A trained network with int8 weights, as a LiteRT file, and its classes. Made by keras-archs
 * ${version}. */
#ifndef MODEL_DATA_H_
#define MODEL_DATA_H_

#define MODEL_HEIGHT ${height}
#define MODEL_WIDTH ${width}
#define MODEL_CHANNELS ${channels_of_image}
#define MODEL_CLASSES ${classes}
#define MODEL_BYTES ${bytes}

#ifdef __cplusplus
extern "C" {
#endif

extern const unsigned char model_data[MODEL_BYTES];
extern const char *const model_labels[MODEL_CLASSES];

#ifdef __cplusplus
}
#endif

#endif /* MODEL_DATA_H_ */
