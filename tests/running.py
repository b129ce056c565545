"""Running a network in a test, on any backend."""

import keras


def run(model, images, training=False):
    """The outputs as NumPy arrays; training moves statistics and seeds on, as a training step does.

    JAX compiles the network as a whole here: layer by layer it takes several times as long.
    """
    if keras.backend.backend() != "jax":
        outputs = model(images, training=training)
    else:
        import jax

        forward = jax.jit(model.stateless_call, static_argnames="training")
        outputs, states = forward(
            [variable.value for variable in model.trainable_variables],
            [variable.value for variable in model.non_trainable_variables],
            images,
            training=training,
        )
        for variable, value in zip(model.non_trainable_variables, states, strict=True):
            variable.assign(value)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)
