"""Trained networks of any origin, with what it takes to explain and name their predictions."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from PIL import Image

from applications.data.images import read_images, resize_images
from applications.runs import Run, load, load_network
from keras_archs.graph import at_size, calls, graph_of
from keras_archs.surgery.dense_evaluation import to_fully_convolutional
from keras_archs.surgery.rewiring import flattened, graphs, rebuilt

_BATCH = 64


class Network:
    """A model that is no run: classes are called by their numbers, images are stretched.

    Attributes:
        model: a classifier of images (N, H, W, C) as one graph. One with a dict of outputs is known
            by its `predictions`.
        labels: `"0"`, `"1"`, ...
        config: `arch`, the model's name, and `resize`.
    """

    def __init__(self, model: keras.Model):
        self.model = flat(model)
        shape, output = self.model.input_shape, output_of(self.model)
        if isinstance(shape, (list, dict)) or len(shape) != 4 or len(output.shape) != 2:
            raise ValueError(
                "`model` must map images (batch, height, width, channels) to (batch, classes). "
                f"Received: {model.name!r} with inputs {shape} and outputs {output.shape}"
            )
        self.labels = tuple(map(str, range(output.shape[-1])))
        self.config = {"arch": model.name, "resize": "stretch"}
        self._ends_in_logits = output is logits_of(self.model)

    def predict(self, images: np.ndarray | Sequence[str | os.PathLike[str]]) -> np.ndarray:
        """Class probabilities, float32 (N, classes); logits go through the softmax.

        Args:
            images: (N, H, W, C) as the model takes them, uint8 of any size, or paths.
        """
        verbose: Any = 0
        outputs = self.classifier.predict(self.pixels(images), _BATCH, verbose=verbose)
        return np.asarray(outputs, np.float32)

    @cached_property
    def classifier(self) -> keras.Model:
        """The model with class probabilities as its only output."""
        output = output_of(self.model)
        if self._ends_in_logits:
            output = layers.Softmax(dtype="float32", name="probabilities")(output)
        return keras.Model(self.model.input, output, name=self.model.name)

    def pixels(self, images: np.ndarray | Sequence[str | os.PathLike[str]]) -> np.ndarray:
        """The images as the model takes them: arrays of other types than uint8 as they are."""
        height, width, channels = self.model.input_shape[1:]
        if isinstance(images, np.ndarray) and images.dtype != np.uint8:
            return images
        if height is None or width is None:
            raise ValueError(
                "`image` must be an array of the model's own kind where its sides are None. "
                f"Received: a model with input {self.model.input_shape}"
            )
        shape = (height, width, channels)
        if isinstance(images, np.ndarray):
            return resize_images(images, shape, "stretch")
        return read_images(images, shape, "stretch")


def opened(network: Run | keras.Model | str | os.PathLike[str]) -> Run | Network:
    """What a run folder, a `.keras` file, a run or a model stands for.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: it holds no finished run or no model that Keras can read in safe mode, or the
            model does not classify images.
    """
    if isinstance(network, str | os.PathLike):
        is_file = Path(network).suffix == ".keras"
        return Network(load_network(network)) if is_file else load(network)
    return Network(network) if isinstance(network, keras.Model) else network


def flat(model: keras.Model) -> keras.Model:
    """The model as one graph: a copy where it is not one, or takes its input in a list."""
    graph = graph_of(model)
    is_flat = (
        graph is model
        and isinstance(model.input, keras.KerasTensor)
        and len(list(graphs(model))) == 1
    )
    return model if is_flat else flattened(model)


def output_of(model: keras.Model) -> Any:
    """The symbolic predictions of a model, which may have auxiliary ones beside them."""
    return model.output["predictions"] if isinstance(model.output, dict) else model.outputs[0]


def logits_of(model: keras.Model) -> Any:
    """The symbolic output without the activation that it ends in."""
    output = output_of(model)
    last = next(c for c in calls(model) if any(o is output for o in c.outputs))
    layer: Any = last.operation
    read = last.inputs[0]
    if isinstance(layer, layers.Activation | layers.Softmax):
        return read
    if getattr(layer, "activation", None) in (None, keras.activations.linear):
        return output
    return rebuilt(layer, read.shape, layer.get_weights(), activation="linear")(read)


def logits_network(model: keras.Model) -> keras.Model:
    """The classifier without the softmax that it ends in, as one graph."""
    model = flat(model)
    return keras.Model(model.input, logits_of(model), name=model.name)


def hidden_network(model: keras.Model) -> keras.Model:
    """The classifier up to its last hidden layer: images -> vectors (B, D).

    It ends in the tensor that enters the last dense layer or convolution; a map, which enters one
    in networks whose classifier is a convolution, is averaged over its places.

    Raises:
        ValueError: the model does not end in such a layer.
    """
    model = flat(model)
    producers = {id(output): call for call in calls(model) for output in call.outputs}
    tensor = output_of(model)
    while (call := producers.get(id(tensor))) is not None and len(call.inputs) == 1:
        tensor = call.inputs[0]
        if isinstance(call.operation, layers.Dense | layers.Conv2D):
            if len(tensor.shape) == 4:
                tensor = layers.GlobalAveragePooling2D(dtype="float32", name="hidden")(tensor)
            return keras.Model(model.input, tensor, name=model.name)
    raise ValueError(
        "`model` must end in a dense layer or a convolution and what follows them. "
        f"Received: {model.name!r}"
    )


def calibrated(model: keras.Model, temperature: float) -> keras.Model:
    """The classifier with its logits divided by a temperature, which is a layer of its own.

    The layers are Keras' own: a rescaling, called `temperature`, and a softmax.
    """
    model = flat(model)
    logits = layers.Rescaling(1 / temperature, dtype="float32", name="temperature")(
        logits_of(model)
    )
    outputs = layers.Activation("softmax", dtype="float32", name="calibrated")(logits)
    return keras.Model(model.input, outputs, name=model.name)


def dense_network(model: keras.Model, size: tuple[int, int]) -> keras.Model:
    """The classifier of images of a larger size: the mean of its map of predictions.

    As `keras_archs.to_fully_convolutional` says. A mean image that is subtracted from images is
    scaled as they are.

    Args:
        model: images of its own size -> probabilities (B, classes).
        size: height and width of the images, the model's own or more.

    Raises:
        ValueError: a layer cannot be applied to a larger image, such as a whitening; it is named.
    """
    try:
        convolution = to_fully_convolutional(flat(model))
        for layer in convolution.layers:
            if isinstance(layer, layers.Rescaling):
                layer.scale = _of_size(layer.scale, size)
                layer.offset = _of_size(layer.offset, size)
        whole = at_size(convolution, *size)
    except ValueError as error:
        raise ValueError(f"`dense` must be asked of another network: {error}") from error
    mean = layers.GlobalAveragePooling2D(dtype="float32", name="mean_of_places")(whole.output)
    return keras.Model(whole.input, mean, name=model.name)


def _of_size(values: Any, size: tuple[int, int]) -> Any:
    """A number for each pixel and channel, (h, w, C), for an image of another size.

    What has no pixels, a number or one a channel, is as it was.
    """
    if np.ndim(values) != 3:
        return values
    maps = np.moveaxis(np.asarray(values, np.float32), -1, 0)
    height, width = size
    scaled = [
        np.asarray(Image.fromarray(each).resize((width, height), Image.Resampling.BILINEAR))
        for each in maps
    ]
    return np.stack(scaled, axis=-1)
