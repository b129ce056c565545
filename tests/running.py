"""Running a network in a test, on any backend, with random weights."""

import keras
import numpy as np
from keras import layers


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


def randomize(model, seed=0):
    """Random weights for each layer of a model and of the models nested in it.

    Biases are positive, so that ReLUs of narrow networks stay alive.
    """
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if layer.weights and not isinstance(layer, keras.Model):
            values = [random_weight(rng, layer, weight) for weight in layer.weights]
            layer.set_weights([np.abs(v) if v.ndim == 1 else v for v in values])


def random_weight(rng, layer, weight):
    """Values that keep a signal alive through many layers and leave no weight without effect."""
    shape = tuple(weight.shape)
    if isinstance(layer, layers.BatchNormalization):  # all may stand for a variance
        return rng.uniform(0.5, 1.5, shape)
    if len(shape) == 1:
        return rng.normal(scale=0.1, size=shape)
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    fan_in = np.prod(shape[:2] if depthwise else shape[:-1])
    return rng.normal(scale=np.sqrt(2 / fan_in), size=shape)
