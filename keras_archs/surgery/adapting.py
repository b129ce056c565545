"""A network for other classes, or for images of another number of channels."""

from typing import Any

import keras
import numpy as np
from keras import layers

from keras_archs.checks import check_weights_fit, count
from keras_archs.graph import Graph, calls, graph_of
from keras_archs.kinds import (
    ACTIVATIONS,
    GLOBAL_POOLS,
    ONLY_IN_TRAINING,
    POOLS,
    image_channels,
    is_a,
    is_plain,
    unfit,
)
from keras_archs.surgery.rewiring import changed, graphs, rebuilt, rewired

_ON_EACH_CHANNEL = (
    *(layers.ZeroPadding2D, layers.Cropping2D, layers.UpSampling2D, *POOLS, *ONLY_IN_TRAINING),
    *(layers.Resizing, layers.CenterCrop, layers.RandomFlip, layers.RandomCrop),
    *(layers.RandomTranslation, layers.RandomRotation, layers.RandomZoom),
)


def with_classes(model: keras.Model, classes: int, seed: int | None = None) -> keras.Model:
    """The network for another number of classes: fresh weights for the classifier, no other.

    The classifier is the last dense layer or 1x1 convolution before an output; only activations,
    global pooling and what changes the shape may follow it. Each output of the model has its own:
    auxiliary classifiers are replaced too.

    Args:
        classes: at least 1.
        seed: of the weights that are drawn, by the initializers of the layers that are replaced.
            None: another draw each time.

    Raises:
        ValueError: an output has no such classifier; the message names the layer in its way.
    """
    count("classes", classes)
    (_, graph), *_ = graphs(model)
    replace: dict[str, list] = {}
    for tensor in graph.outputs:
        replace |= _for_classes(graph, "", tensor, int(classes))
    if seed is not None:
        drawn = [layer for (layer,) in replace.values() if getattr(layer, "weights", ())]
        for at, layer in enumerate(drawn):
            _draw(layer, seed + at)
    return rewired(model, replace)


def _for_classes(graph: Graph, prefix: str, tensor, classes: int) -> dict[str, list]:
    """What to replace on the way back from this output to its classifier."""
    replace: dict[str, list] = {}
    producers = {id(output): call for call in calls(graph) for output in call.outputs}
    while True:
        call = producers[id(tensor)]
        layer: Any = call.operation
        path = f"{prefix}{layer.name}"
        nested = graph_of(layer)
        if nested is not None:
            at = [id(output) for output in call.outputs].index(id(tensor))
            return replace | _for_classes(nested, f"{path}/", nested.outputs[at], classes)
        wide = "units" if is_a(layer, layers.Dense) else "filters"
        if wide == "units" or (is_a(layer, layers.Conv2D) and set(layer.kernel_size) == {1}):
            shape = call.inputs[0].shape
            check_weights_fit(4 * (shape[-1] or 1) * classes, classes=classes)
            width: dict[str, Any] = {wide: classes}
            return replace | {path: [rebuilt(layer, shape, **width)]}
        keeps_channels = call.inputs and call.inputs[0].shape[-1] == tensor.shape[-1]
        if keeps_channels and is_a(layer, layers.Reshape):
            replace[path] = [changed(layer, target_shape=(*layer.target_shape[:-1], classes))]
        elif not keeps_channels or not is_a(
            layer, *ACTIVATIONS, *ONLY_IN_TRAINING, *GLOBAL_POOLS, *POOLS, layers.Flatten
        ):
            raise unfit("end in a dense layer or a 1x1 convolution", path, layer)
        tensor = call.inputs[0]


def _draw(layer, seed: int):
    """Draw the weights again, from a seed."""
    for name in ("kernel", "bias"):
        initializer = getattr(layer, f"{name}_initializer")
        weight, config = getattr(layer, name), initializer.get_config()
        if weight is not None and "seed" in config:
            again = type(initializer).from_config({**config, "seed": seed})
            weight.assign(again(weight.shape, dtype=weight.dtype))


def channels_adapted(kernel: np.ndarray, channels: int) -> np.ndarray:
    """A convolution's kernel for images of another number of channels.

    More channels than the kernel has are its own in turn, each divided by how often it comes; fewer
    are sums of every n-th: one channel is the sum of all. A grey image, all of whose channels
    are equal, gives the same response as before.

    Args:
        kernel: (height, width, channels, filters), any number of sides in front.
        channels: that the images have, at least 1.

    Returns:
        An array of shape (height, width, `channels`, filters) and the kernel's dtype.

    Raises:
        ValueError: `channels` is no positive integer, or more than the machine's memory holds.
    """
    count("channels", channels)
    own = kernel.shape[-2]
    # It is made in 64 bits and kept in 32.
    check_weights_fit(12 * channels * (kernel.size // own), channels=channels)
    taken = np.zeros((channels, own))
    turns = np.arange(max(channels, own))
    taken[turns % channels, turns % own] = 1
    taken /= taken.sum(axis=0)
    return np.einsum("no,...of->...nf", taken, kernel).astype(kernel.dtype)


def with_channels(model: keras.Model, channels: int) -> keras.Model:
    """The network for images of another number of channels.

    The kernels of the first convolutions, or of dense layers of flattened images, are adapted as
    `channels_adapted` does it: the same outputs for a grey image, all of whose channels are equal.

    Args:
        model: has one input of shape (batch, height, width, channels), and before its first
            convolutions nothing but what works on each channel in the same way.
        channels: of the new input, at least 1.

    Raises:
        ValueError: the model has another input, or a layer in the way; the message names it. Or
            `channels` is no positive integer, or more than the machine's memory holds.
    """
    count("channels", channels)
    (_, graph), *_ = graphs(model)
    image_channels(graph)
    replace, _ = _for_channels(graph, "", [_IMAGE], int(channels))
    return rewired(model, replace, (*graph.inputs[0].shape[1:3], channels))


_IMAGE = True


def _for_channels(graph: Graph, prefix: str, images: list, channels: int) -> tuple[dict, list]:
    """What to replace, and which outputs are still images, where these inputs are.

    A tensor is an image, or a flattened one of so many channels, or False.
    """
    replace: dict[str, list] = {}
    known = dict(zip(map(id, graph.inputs), images, strict=True))
    for call in calls(graph):
        layer: Any = call.operation
        path = f"{prefix}{layer.name}"
        read = [known[id(tensor)] for tensor in call.inputs]
        if not call.inputs:
            continue
        written = [False] * len(call.outputs)
        nested = graph_of(layer)
        if nested is not None:
            inner, written = _for_channels(nested, f"{path}/", read, channels)
            replace |= inner
        elif any(read):
            if _works_on_each_channel(layer):
                written = [read[0]] * len(call.outputs)
            elif _flattens(layer) and read[0] is _IMAGE:
                written = [int(call.inputs[0].shape[-1])]
            elif is_a(layer, layers.Dense) and read[0] is not _IMAGE:
                kernel, *bias = layer.get_weights()
                of_pixels = kernel.reshape(-1, read[0], kernel.shape[-1])
                adapted = channels_adapted(of_pixels, channels).reshape(-1, kernel.shape[-1])
                replace[path] = [rebuilt(layer, (None, len(adapted)), [adapted, *bias])]
            elif _is_plain_convolution(layer):
                kernel, *bias = layer.get_weights()
                weights = [channels_adapted(kernel, channels), *bias]
                shape = (*call.inputs[0].shape[:-1], channels)
                replace[path] = [rebuilt(layer, shape, weights)]
            else:
                raise unfit("have images that go to plain convolutions", path, layer)
        known |= zip(map(id, call.outputs), written, strict=True)
    return replace, [known[id(tensor)] for tensor in graph.outputs]


def _works_on_each_channel(layer) -> bool:
    """Whether it does the same with each channel of an image, whatever their number."""
    if getattr(layer, "data_format", None) == "channels_first":
        return False
    if is_a(layer, layers.Rescaling):
        return np.ndim(layer.scale) == np.ndim(layer.offset) == 0
    return is_a(layer, *_ON_EACH_CHANNEL)


def _flattens(layer) -> bool:
    return is_a(layer, layers.Flatten) and layer.data_format == "channels_last"


def _is_plain_convolution(layer) -> bool:
    mixes = is_a(layer, layers.Conv2D) and layer.groups == 1 and is_plain(layer)
    return mixes and layer.data_format == "channels_last"
