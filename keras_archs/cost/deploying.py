"""What a network takes on a microcontroller: the memory that LiteRT plans for it, by arithmetic.

>>> keras_archs.cost.deployment("mobilenet", alpha=0.25, input_shape=(96, 96, 3), classes=2)
Deployment(dtype='int8', peak_activation_bytes=82944, weight_bytes=283882)

`profile` counts what each Keras layer writes. LiteRT's converter joins layers, and an arena holds
what is left (`keras_archs.memory`):

- A BatchNormalization goes into the convolution or dense layer that it alone follows, a ReLU or
  ReLU6 into the operation that it alone follows, and zeros around a map into the convolution, where
  "same" padding would put them. Another BatchNormalization is a product and a sum, another
  activation, such as tanh or softmax, an operation that writes a tensor. Dropout is gone, and what
  is reshaped stays where it is.
- A layer that LiteRT has no one operation for, such as local response normalization, is counted as
  if it had.

benchmarks/arena.py holds these figures against the interpreter's own plan.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import keras
from keras import layers

# Keras has no public names for these.
from keras.src.ops import nn
from keras.src.ops import numpy as operations

from keras_archs.checks import choice
from keras_archs.cost.profiling import Trace, network_of, trace
from keras_archs.graph import without_values
from keras_archs.kinds import (
    CONVOLUTIONS,
    DEPTHWISE,
    ELEMENTWISE_MERGES,
    ONLY_IN_TRAINING,
    POOLS,
    SEPARABLE,
    WITH_KERNEL,
    is_a,
    relu_bound,
)
from keras_archs.memory import CHANNEL_BYTES, VALUE_BYTES, Step, arena_bytes

_RESHAPING = (layers.Flatten, layers.Reshape, operations.Reshape, operations.Squeeze)
_ELEMENTWISE = (
    *ELEMENTWISE_MERGES,
    *(operations.Add, operations.Subtract, operations.Multiply, layers.BatchNormalization),
)
_TAKE_RELU = (*WITH_KERNEL, *POOLS, *_ELEMENTWISE)
_RELUS = (layers.ReLU, layers.Activation, nn.Relu, nn.Relu6)
_FUSED_BOUNDS = (math.inf, 6.0)


@dataclass(frozen=True)
class Deployment:
    """What a network takes where LiteRT runs it.

    Attributes:
        dtype: of weights and activations, "int8" or "float32".
        peak_activation_bytes: of the arena that holds the input and all activations.
        weight_bytes: of weights, biases and their scales in the file. Names and operators, 1 to 20
            kB of most networks here, come on top.
    """

    dtype: str
    peak_activation_bytes: int
    weight_bytes: int


def deployment(
    model: "keras.Model | str | Callable[..., keras.Model]",
    dtype: Literal["int8", "float32"] = "int8",
    **kwargs: Any,
) -> Deployment:
    """Count the memory of a network that LiteRT runs, one image at a time.

    Args:
        model: as of `profile`; of a builder's model nothing is allocated here either.
        dtype: of weights and activations. In int8 a value is a byte, a bias four, and each channel
            that a convolution or dense layer writes has scales of its own.
        **kwargs: as of `profile`.

    Raises:
        ValueError: as of `profile`, or `dtype` is neither.
        TypeError: as of `profile`.
    """
    choice("dtype", dtype, VALUE_BYTES)
    with without_values():
        traced = trace(*network_of(model, kwargs))
        fused = _Fused(traced)
        return Deployment(dtype, fused.arena_bytes(VALUE_BYTES[dtype]), fused.weight_bytes(dtype))


class _Fused:
    """The operations that LiteRT's converter makes of a network."""

    def __init__(self, traced: Trace):
        self._traced = traced
        self._elements: dict[int, int] = {}  # of each tensor that is written
        self._steps: list[Step] = []
        self._folded: set[int] = set()  # ids of BatchNormalizations that are in a kernel
        self._readers = Counter(id(t) for run in traced.runs for t in run.inputs)
        self._readers.update(map(id, traced.outputs))
        self._next = {id(tensor): run for run in traced.runs for tensor in run.inputs}
        self._stands: dict[int, int] = {}  # for a tensor of Keras the one that it is part of
        self._open: dict[int, Any] = {}  # the operation that wrote it, if one may yet be joined
        for tensor in traced.inputs:
            self._stands[id(tensor)] = self._written(tensor)
        for run in traced.runs:
            if run.inputs:
                self._add(run)

    def arena_bytes(self, item_bytes: int) -> int:
        """Of the arena, with values of so many bytes."""
        sizes = {name: item_bytes * count for name, count in self._elements.items()}
        inputs, outputs = (
            list(dict.fromkeys(self._stands[id(tensor)] for tensor in tensors))
            for tensors in (self._traced.inputs, self._traced.outputs)
        )
        return arena_bytes(sizes, inputs, self._steps, outputs)

    def weight_bytes(self, dtype: str) -> int:
        item, total, seen = VALUE_BYTES[dtype], 0, set()
        for run in self._traced.runs:
            operation: Any = run.operation
            if id(operation) in self._folded or id(operation) in seen:
                continue
            seen.add(id(operation))
            if is_a(operation, layers.BatchNormalization):
                total += 2 * item * math.prod(operation.moving_mean.shape)
                continue
            weights = getattr(operation, "weights", ())
            if is_a(operation, *WITH_KERNEL):
                weights = [w for w in weights if w is not operation.bias]
                total += CHANNEL_BYTES[dtype] * _channels(operation, run)
            total += sum(item * math.prod(weight.shape) for weight in weights)
        return total

    def _written(self, tensor, elements: int | None = None) -> int:
        name = len(self._elements)
        self._elements[name] = math.prod(tensor.shape) if elements is None else elements
        return name

    def _add(self, run) -> None:
        operation, source = run.operation, run.inputs[0]
        reads = [self._stands[id(tensor)] for tensor in run.inputs]
        if self._joins(run):
            self._stands[id(run.outputs[0])] = reads[0]
            if is_a(operation, layers.BatchNormalization):
                self._folded.add(id(operation))
            if not is_a(operation, *_RELUS) and id(source) in self._open:
                self._open[id(run.outputs[0])] = self._open[id(source)]
            return
        written = run.outputs[0]
        if is_a(operation, *SEPARABLE):
            positions = math.prod(run.seen(written)) // operation.filters
            inner = self._written(written, positions * _inner_channels(operation, run))
            self._steps.append(Step(reads, [inner]))
            reads = [inner]
        if _is_separate(operation):
            before = self._written(written)
            self._steps.append(Step(reads, [before]))
            reads = [before]
        names = [self._written(tensor) for tensor in run.outputs]
        self._steps.append(Step(reads, names, is_a(operation, *_ELEMENTWISE)))
        self._stands |= zip(map(id, run.outputs), names, strict=True)
        if not getattr(operation, "activation", None) or _is_linear(operation):
            self._open[id(written)] = operation

    def _joins(self, run) -> bool:
        """Whether it is no operation of its own: its output is its input, or that of the operation
        before it."""
        operation, source = run.operation, run.inputs[0]
        if is_a(operation, *ONLY_IN_TRAINING, *_RESHAPING):
            return True
        if is_a(operation, layers.ZeroPadding2D):
            reader = self._next.get(id(run.outputs[0]))
            alone = self._readers[id(run.outputs[0])] == 1
            return alone and reader is not None and _pads_as_same(run, reader)
        before = self._open.get(id(source))
        if before is None or self._readers[id(source)] > 1:
            return False
        if is_a(operation, layers.BatchNormalization):
            return is_a(before, *WITH_KERNEL)
        return is_a(before, *_TAKE_RELU) and _is_fused_relu(operation)


def _is_linear(operation) -> bool:
    return operation.activation is keras.activations.linear


def _is_fused_relu(operation) -> bool:
    """Whether an operation is a ReLU that LiteRT's operators can end with."""
    if isinstance(operation, (nn.Relu, nn.Relu6)):
        return True
    plain = not getattr(operation, "negative_slope", 0) and not getattr(operation, "threshold", 0)
    return is_a(operation, *_RELUS) and plain and relu_bound(operation) in _FUSED_BOUNDS


def _is_separate(operation) -> bool:
    """Whether the activation of a layer with a kernel is an operation of its own."""
    return (
        is_a(operation, *WITH_KERNEL)
        and not _is_linear(operation)
        and relu_bound(operation) not in _FUSED_BOUNDS
    )


def _pads_as_same(padding, reader) -> bool:
    """Whether the zeros are those that the convolution after them would add by "same" padding."""
    operation = reader.operation
    if not is_a(operation, *CONVOLUTIONS, *DEPTHWISE) or operation.padding != "valid":
        return False
    sides = padding.seen(padding.inputs[0])[:2]
    axes = zip(
        sides, operation.kernel_size, operation.strides, padding.operation.padding, strict=True
    )
    return all(
        (before, after) == (total // 2, total - total // 2)
        for side, kernel, stride, (before, after) in axes
        for total in [max(0, (-(-side // stride) - 1) * stride + kernel - side)]
    )


def _inner_channels(layer, run) -> int:
    """Of what the depthwise half of a separable convolution writes."""
    return run.seen(run.inputs[0])[-1] * layer.depth_multiplier


def _channels(layer, run) -> int:
    """That the layer writes; both halves of a separable convolution do."""
    written = run.seen(run.outputs[0])[-1]
    return written + _inner_channels(layer, run) if is_a(layer, *SEPARABLE) else written
