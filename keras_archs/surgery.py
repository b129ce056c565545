"""Changing a trained network: cheaper, wider or deeper, for other classes or another input.

>>> model = keras_archs.MobileNet(alpha=0.5)
>>> fast = keras_archs.fold_batch_norm(model)

Every function returns a new model and leaves the one that it is given as it is. Models are
functional or built Sequentials; other models may be nested in them, whose layers are named
`"outer/inner"`. Channels are last. What a function cannot do for a graph is a ValueError that names
the layer.
"""

from collections import Counter
from collections.abc import Iterator
from numbers import Integral
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from keras_archs._checks import nearest
from keras_archs._dense_evaluation import to_fully_convolutional
from keras_archs._graph import Call, Graph, calls, graph_of
from keras_archs._growth import deepen, grow, shrink, widen
from keras_archs._kinds import (
    ACTIVATIONS,
    CONVOLUTIONS,
    DEPTHWISE,
    GLOBAL_POOLS,
    ONLY_IN_TRAINING,
    POOLS,
    TRANSPOSED,
    WITH_KERNEL,
    image_channels,
    is_a,
    is_plain,
    unfit,
)
from keras_archs._rewiring import changed, graphs, rebuilt, rewired

__all__ = [
    "LowRank",
    "channels_adapted",
    "deepen",
    "fold_batch_norm",
    "grow",
    "low_rank",
    "shrink",
    "to_fully_convolutional",
    "widen",
    "with_channels",
    "with_classes",
]

_ON_EACH_CHANNEL = (
    *(layers.ZeroPadding2D, layers.Cropping2D, layers.UpSampling2D, *POOLS, *ONLY_IN_TRAINING),
    *(layers.Resizing, layers.CenterCrop, layers.RandomFlip, layers.RandomCrop),
    *(layers.RandomTranslation, layers.RandomRotation, layers.RandomZoom),
)


def _check_count(name: str, value, most: int | None = None):
    count = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else 0
    if count < 1 or (most is not None and count > most):
        wanted = "an integer >= 1" if most is None else f"an integer in [1, {most}]"
        raise ValueError(f"`{name}` must be {wanted}. Received: {name}={value!r}")


# ------------------------------------------------------------------------------ batch normalisation


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """The network without the normalisations that the layers before them can do.

    A BatchNormalization that follows a convolution (plain, depthwise, separable, transposed) or a
    dense layer goes into its kernel and bias, also through layers that do nothing at inference,
    such as dropout. It stays where that layer's output is used elsewhere too, where that layer is
    shared or has an activation, and where another layer stands before it: pre-activation networks
    keep most of theirs.

    Same outputs at inference, to rounding. The copy is not meant to be trained.

    Raises:
        ValueError: `model` is not functional.
    """
    uses = Counter(id(call.operation) for _, graph in graphs(model) for call in calls(graph))
    replace: dict[str, list[keras.Layer]] = {}
    for prefix, graph in graphs(model):
        for source, norms in _normalised(graph, uses):
            replace[f"{prefix}{source.operation.name}"] = [_scaled(source, norms)]
            replace |= {f"{prefix}{norm.name}": [] for norm in norms}
    return rewired(model, replace)


def _normalised(graph: Graph, uses: Counter) -> Iterator[tuple[Call, list]]:
    """Calls of layers with a kernel, and the normalisations that can go into it, in their order."""
    order = calls(graph)
    readers = Counter(id(tensor) for call in order for tensor in call.inputs)
    readers.update(map(id, graph.outputs))
    found: list[tuple[Call, list]] = []
    follows: dict[int, tuple[Call, list]] = {}  # for the id of a tensor, whose output it comes from
    for call in order:
        alone = len(call.inputs) == 1 and readers[id(call.inputs[0])] == 1
        before = follows.get(id(call.inputs[0])) if alone else None
        if _can_scale(call.operation) and uses[id(call.operation)] == 1:
            before = (call, [])
            found.append(before)
        elif before is None or _always_trains(call):
            continue
        elif is_a(call.operation, layers.BatchNormalization):
            if uses[id(call.operation)] > 1 or not _on_same_axis(call.operation, before[0]):
                continue
            before[1].append(call.operation)
        elif not is_a(call.operation, *ONLY_IN_TRAINING):
            continue
        follows[id(call.outputs[0])] = before
    return ((call, norms) for call, norms in found if norms)


def _can_scale(layer) -> bool:
    linear = is_a(layer, *WITH_KERNEL) and layer.activation is keras.activations.linear
    return linear and is_plain(layer)


def _always_trains(call: Call) -> bool:
    """Whether the call says so, as for dropout that stays on at inference."""
    return any(a is True for a in (call.arguments.kwargs.get("training"), *call.arguments.args[1:]))


def _on_same_axis(norm, source: Call) -> bool:
    rank = len(source.outputs[0].shape)
    first = getattr(source.operation, "data_format", None) == "channels_first"
    return norm.axis % rank == (1 if first else rank - 1)


def _scaled(call: Call, norms: list) -> keras.Layer:
    """The layer of this call and then `norms`, as one layer of its type."""
    layer: Any = call.operation
    weights = [weight.astype("float64") for weight in layer.get_weights()]
    bias = weights.pop() if layer.use_bias else 0.0
    *others, kernel = weights
    for norm in norms:
        scale = 1 / np.sqrt(_array(norm.moving_variance) + norm.epsilon)
        if norm.scale:
            scale = scale * _array(norm.gamma)
        bias = (bias - _array(norm.moving_mean)) * scale
        if norm.center:
            bias = bias + _array(norm.beta)
        if is_a(layer, *DEPTHWISE):  # (..., channels, multiplier)
            scale = scale.reshape(kernel.shape[-2:])
        elif is_a(layer, *TRANSPOSED):  # (..., filters, channels)
            scale = scale[:, np.newaxis]
        kernel = kernel * scale
    return rebuilt(layer, call.inputs[0].shape, [*others, kernel, bias], use_bias=True)


def _array(variable) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(variable), "float64")


# ------------------------------------------------------------------------------- low-rank layers


class LowRank(NamedTuple):
    """A model with a factorised layer.

    Attributes:
        model: the new model.
        error: what the product of the two kernels lacks of the layer's, as a share of it, in
            [0, 1]: the ratio of the Frobenius norms.
        params_saved: parameters that the new model has less; negative where the two layers have
            more than the one.
    """

    model: keras.Model
    error: float
    params_saved: int


def low_rank(model: keras.Model, layer: str, rank: int) -> LowRank:
    """Two layers instead of a dense layer or a 1x1 convolution: `rank` units, then all of them.

    The kernel's truncated singular value decomposition, the best of this rank in the Frobenius norm
    (Denton et al. 2014, arXiv:1404.0736, section 3.2). The first layer, `LAYER_1`, has no bias and
    the stride; the second, `LAYER_2`, the bias and the activation. Not function-preserving.

    Args:
        model: a functional model or a built Sequential.
        layer: its name; `"outer/inner"` in a nested model.
        rank: units or filters of the first layer, at least 1 and at most the smaller side of the
            kernel, where the error is 0.

    Raises:
        ValueError: the model has no such layer, it is of another kind, or `rank` is out of range.
    """
    old: Any = _layer(model, layer)
    dense = is_a(old, layers.Dense)
    convolution = is_a(old, *CONVOLUTIONS) and set(old.kernel_size) == {1} and old.groups == 1
    if not (dense or convolution) or not is_plain(old):
        raise ValueError(
            "`layer` must be a dense layer or a 1x1 convolution. "
            f"Received: layer {layer!r} of type {type(old).__name__}"
        )
    kernel, *bias = old.get_weights()
    *taps, inputs, outputs = kernel.shape
    _check_count("rank", rank, min(inputs, outputs))
    left, values, right = np.linalg.svd(kernel.reshape(inputs, outputs), full_matrices=False)
    roots = np.sqrt(values[:rank])
    units = "units" if dense else "filters"
    shape = (None,) * (len(taps) + 1)  # of the inputs, without their channels
    first = rebuilt(
        old,
        (*shape, inputs),
        [(left[:, :rank] * roots).reshape(*taps, inputs, rank)],
        **{"name": f"{old.name}_1", units: rank, "use_bias": False, "activation": "linear"},
    )
    second = rebuilt(
        old,
        (*shape, rank),
        [(roots[:, np.newaxis] * right[:rank]).reshape(*taps, rank, outputs), *bias],
        **{"name": f"{old.name}_2", **({} if dense else {"strides": 1})},
    )
    error = np.linalg.norm(values[rank:]) / np.linalg.norm(values) if values.any() else 0.0
    saved = inputs * outputs - rank * (inputs + outputs)
    return LowRank(rewired(model, {layer: [first, second]}), float(error), saved)


def _layer(model: keras.Model, path: str) -> keras.Operation:
    found = {f"{prefix}{op.name}": op for prefix, graph in graphs(model) for op in graph.operations}
    if path not in found:
        hint = nearest(path, found)
        raise ValueError(f"`layer` must name a layer of the model.{hint} Received: layer={path!r}")
    return found[path]


# ---------------------------------------------------------------------------- classes and channels


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
    _check_count("classes", classes)
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
        if is_a(layer, layers.Dense):
            return replace | {path: [rebuilt(layer, call.inputs[0].shape, units=classes)]}
        if is_a(layer, layers.Conv2D) and set(layer.kernel_size) == {1}:
            return replace | {path: [rebuilt(layer, call.inputs[0].shape, filters=classes)]}
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
    are sums of every so many: one channel is the sum of all. A grey image, all of whose channels
    are equal, gives the same response as before.

    Args:
        kernel: (height, width, channels, filters), any number of sides in front.
        channels: that the images have, at least 1.

    Returns:
        An array of shape (height, width, `channels`, filters) and the kernel's dtype.
    """
    _check_count("channels", channels)
    own = kernel.shape[-2]
    taken = np.zeros((channels, own))
    turns = np.arange(max(channels, own))
    taken[turns % channels, turns % own] = 1
    taken /= taken.sum(axis=0)
    return np.einsum("no,...of->...nf", taken, kernel).astype(kernel.dtype)


def with_channels(model: keras.Model, channels: int) -> keras.Model:
    """The network for images of another number of channels.

    The kernels of the first convolutions are adapted as `channels_adapted` does it: the same
    outputs for a grey image, all of whose channels are equal.

    Args:
        model: has one input of shape (batch, height, width, channels), and before its first
            convolutions nothing but what works on each channel in the same way.
        channels: of the new input, at least 1.

    Raises:
        ValueError: the model has another input, or a layer in the way; the message names it.
    """
    _check_count("channels", channels)
    (_, graph), *_ = graphs(model)
    image_channels(graph)
    replace, _ = _for_channels(graph, "", [True], int(channels))
    return rewired(model, replace, (*graph.inputs[0].shape[1:3], channels))


def _for_channels(graph: Graph, prefix: str, images: list, channels: int) -> tuple[dict, list]:
    """What to replace, and which outputs are still images, where these inputs are."""
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
                written = [True] * len(call.outputs)
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


def _is_plain_convolution(layer) -> bool:
    mixes = is_a(layer, layers.Conv2D) and layer.groups == 1 and is_plain(layer)
    return mixes and layer.data_format == "channels_last"
