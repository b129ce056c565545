"""Batch normalisations that go into the weights of the layers before them."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_archs.graph import Call, Graph, calls
from keras_archs.kinds import DEPTHWISE, ONLY_IN_TRAINING, TRANSPOSED, WITH_KERNEL, is_a, is_plain
from keras_archs.surgery.rewiring import graphs, rebuilt, rewired


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
