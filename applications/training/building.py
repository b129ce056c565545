"""The network that is trained: preprocessing, then the architecture's layers, in one flat graph."""

import math
from typing import Any

import keras
import numpy as np

import keras_archs
from applications.data.preprocessing import (
    CONTRAST,
    channel_statistics,
    pixel_statistics,
    whitening,
)
from applications.data.sources import Dataset
from applications.options import Plan
from keras_archs.normalization import rescaled
from keras_archs.weights import Preprocessing, reverse_colours


def built_network(plan: Plan, dataset: Dataset) -> keras.Model:
    """uint8 images 0..255 -> probabilities: preprocessing, then the architecture's layers.

    A dict of probabilities where the architecture has auxiliary classifiers.
    """
    options, arguments = plan.options, dict(plan.build_arguments)
    if options.weights is not None and not plan.recipe.pretrained_from:
        arguments |= {"weights": options.weights, "adapt": options.adapt}
    built = keras_archs.build(options.arch, **arguments)
    report = getattr(built, "load_report", None)
    images = keras.Input(dataset.image_shape, dtype="uint8", name="images")
    if report and report.inside:
        x = images
    elif report and report.preprocessing:
        x = rescaled(images, *_statistics_of(report.preprocessing, built))
    else:
        x = preprocessed(images, plan.recipe.preprocessing, dataset)

    def call(layer, *inputs, **options):
        normalised: Any = keras.tree.map_structure(lambda t: x if t is images else t, inputs)
        return layer(*normalised, **options)

    # Not `built(x)`, which would be a model inside a model.
    network = keras.models.clone_model(built, input_tensors=images, call_function=call)
    for layer in built.layers:
        if layer.weights:
            network.get_layer(layer.name).set_weights(layer.get_weights())
    network.load_report = report
    return network


def preprocessed(images: Any, kind: str, dataset: Dataset) -> Any:
    """The images after preprocessing of this kind, fitted to the training images.

    Plain layers, in float32 whatever the precision of the network is. As a Normalization layer
    keeps them, constants would become inputs of an ONNX file.

    Args:
        images: symbolic, uint8 0..255, (B, H, W, C).
        kind: as `Recipe.preprocessing`.
        dataset: whose training images it is fitted to.
    """
    layers = keras.layers
    if kind == "channel":
        return rescaled(images, *channel_statistics(dataset.train))
    if kind in ("mean_image", "pixel"):
        mean, std = pixel_statistics(dataset.train)
        return rescaled(images, mean, std if kind == "pixel" else np.ones(()))
    size = math.prod(dataset.image_shape)
    x: Any = layers.Rescaling(1 / 255, dtype="float32", name="rescaling")(images)
    if kind == "unit":
        return x
    normalise: Any = layers.LayerNormalization
    x = normalise(
        axis=(1, 2, 3),
        center=False,
        scale=False,
        epsilon=1e-10,
        dtype="float32",
        name="contrast_normalization",
    )(x)
    x = layers.Rescaling(CONTRAST / math.sqrt(size), dtype="float32", name="contrast")(x)
    if kind == "gcn":
        return x
    x = layers.Flatten(dtype="float32", name="whitening_flatten")(x)
    whiten = layers.Dense(size, trainable=False, dtype="float32", name="whitening")
    x = whiten(x)
    whiten.set_weights(whitening(dataset.train))
    return layers.Reshape(dataset.image_shape, dtype="float32", name="whitened")(x)


def _statistics_of(
    preprocessing: Preprocessing, built: keras.Model
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, red first, of pixels 0..255.

    Weights that want blue first get kernels that read red first.
    """
    if preprocessing.bgr:
        reverse_colours(built)
    return np.array(preprocessing.mean), np.array(preprocessing.std)


def without_auxiliary(network: keras.Model) -> keras.Model:
    """The network as it is used: its own predictions alone."""
    if not isinstance(network.output, dict):
        return network
    return keras.Model(network.inputs, network.output["predictions"], name=network.name)
