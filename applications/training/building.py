"""The network that is trained: preprocessing, then the architecture's layers, in one flat graph."""

from typing import Any

import keras
import numpy as np

import keras_archs
from applications.data.preprocessing import channel_statistics
from applications.data.sources import Dataset
from applications.options import Plan
from keras_archs.weights import Preprocessing, reverse_colours


def built_network(plan: Plan, dataset: Dataset) -> keras.Model:
    """uint8 images 0..255 -> probabilities: normalisation, then the architecture's layers.

    A dict of probabilities where the architecture has auxiliary classifiers.
    """
    options, arguments = plan.options, dict(plan.build_arguments)
    if options.weights is not None and not plan.recipe.pretrained_from:
        arguments |= {"weights": options.weights, "adapt": options.adapt}
    built = keras_archs.build(options.arch, **arguments)
    report = getattr(built, "load_report", None)
    if report and report.preprocessing:
        mean, std = _statistics_of(report.preprocessing, built)
    else:
        mean, std = channel_statistics(dataset.train)
    images = keras.Input(dataset.image_shape, dtype="uint8", name="images")
    # A Normalization layer does the same, but its constants become inputs of an ONNX file.
    x = keras.layers.Rescaling(
        (1 / std).tolist(), (-mean / std).tolist(), dtype="float32", name="rescaling"
    )(images)

    def call(layer, *inputs, **options):
        normalised: Any = keras.tree.map_structure(lambda t: x if t is images else t, inputs)
        return layer(*normalised, **options)

    # Not `built(x)`, which would be a model inside a model.
    network = keras.models.clone_model(built, input_tensors=images, call_function=call)
    network.set_weights(built.get_weights())
    network.load_report = report
    return network


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
