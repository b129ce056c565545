"""Which weights carry which channels of a functional model, and models with other channels.

Every channel that comes into being gets a label: those of the input, of a convolution, of a dense
layer, of padding with zeros. A tensor's channels are a list of labels. Layers that treat channels
one by one hand the labels on, concatenations join the lists, flattening repeats them pixel by pixel
(the channel runs fastest), and what is added, multiplied or compared channel by channel is united:
such labels stand for channels that only change together (union-find).

How often each label shall occur then describes every change of width:

    0    the channel is taken away
    1    it stays as it is
    2    it is followed by a copy of itself; the layers that sum over channels give each its share,
         or, where new channels are drawn, make the second at random and take nothing from it

All copies stand next to each other, so that zeros of a shortcut stay behind the old channels,
halves stay halves and branches stay in their place.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers
from keras.src.ops import nn as activations  # Keras has no public names for operations
from keras.src.ops import numpy as operations

from keras_archs.graph import Call, calls, graph_of
from keras_archs.kinds import (
    ADAPTIVE_POOLS,
    CONVOLUTIONS,
    CROPPINGS,
    DEPTHWISE,
    ELEMENTWISE_ACTIVATIONS,
    ELEMENTWISE_MERGES,
    GLOBAL_POOLS,
    NOISES,
    PADDINGS,
    POOLS,
    SEPARABLE,
    TRANSPOSED,
    UPSAMPLINGS,
    mixes_channels,
)
from keras_archs.normalization import LocalResponseNormalization
from keras_archs.surgery.rewiring import graphs, rebuilt, rewired

MERGES = (
    *ELEMENTWISE_MERGES,
    *(operations.Add, operations.Subtract, operations.Multiply),
    *(operations.Maximum, operations.Minimum),
)
ELEMENTWISE = (
    *(*ELEMENTWISE_ACTIVATIONS, *NOISES, layers.Identity),
    *(activations.Relu, activations.Relu6, activations.Sigmoid, activations.Silu, operations.Tanh),
)

Labels = np.ndarray  # of integers, one a channel
Total = Callable[[Labels], int]  # how many channels these labels become


class Channels(NamedTuple):
    """The channels of a tensor: the axis on which they stand, the batch being axis 0."""

    axis: int
    labels: Labels


class Use(NamedTuple):
    """The channels in one weight: `writes` are those that it makes, `reads` those it sums over.

    A weight that treats channels one by one has no `reads`. In a grouped convolution's kernel each
    group of `writes` has its own group of `reads`.
    """

    writes: Channels
    reads: Channels | None = None
    groups: int = 1


@dataclass(frozen=True)
class Carrier:
    """A layer whose weights or configuration depend on its channels.

    Attributes:
        path: its name, `outer/inner` in a nested model.
        layer: itself.
        input_shape: with the batch.
        reads: the channels of its input.
        makes: those of its output.
        uses: the channels in its weights by attribute, such as `kernel`.
        config: what of its configuration follows from how many channels labels become.
        sums: whether it is a convolution or dense layer, with channels of its own.
    """

    path: str
    layer: Any
    input_shape: tuple
    reads: Channels
    makes: Labels
    uses: dict[str, Use] = field(default_factory=dict)
    config: Callable[[Total], dict[str, Any]] = lambda total: {}
    sums: bool = False

    @property
    def width(self) -> int:
        """Filters or units."""
        return len(self.makes)


class ChannelGraph:
    """The labels of a functional model.

    Attributes:
        model: itself.
        carriers: by path in the order of the graph.
        roots: for each label the one that stands for all that change together with it.
        outputs: the labels of the model's outputs.
        fixed: pairs of labels and the path of a layer whose channels cannot change: an input, or a
            layer of a kind that is not known.
        mixed: pairs of labels and the path of a layer that normalises across neighbouring channels.
        added: paths of the layers that add maps.
        parts: for each grouped convolution and cropped map its groups of labels.

    Raises:
        ValueError: `model` is no functional model and no built Sequential.
    """

    def __init__(self, model: keras.Model):
        (_, graph), *_ = graphs(model)
        self.model = model
        self.carriers: dict[str, Carrier] = {}
        self.fixed: list[tuple[Labels, str]] = []
        self.mixed: list[tuple[Labels, str]] = []
        self.added: list[str] = []
        self.parts: list[Sequence[Labels]] = []
        self._parents: list[int] = []
        inputs = [self._unknown(tensor) for tensor in graph.inputs]
        for tensor, channels in zip(graph.inputs, inputs, strict=True):
            self.fixed.append((channels.labels, tensor._keras_history[0].name))
        written = self._walk(graph, inputs, "")
        self.outputs = np.concatenate([channels.labels for channels in written])
        self.roots = np.array([self._root(label) for label in range(len(self._parents))])

    @property
    def summing(self) -> Iterator[Carrier]:
        """The convolutions and dense layers."""
        return (carrier for carrier in self.carriers.values() if carrier.sums)

    def resized(
        self, copies: np.ndarray, noise: float = 0.0, seed=None, *, drawn: bool = False
    ) -> keras.Model:
        """A copy of the model in which each label occurs as often as `copies` says.

        Args:
            copies: one integer >= 0 a label, the same for all that change together.
            noise: how unequal the shares of copies are, as a fraction of an equal share. They
                still sum to the whole.
            seed: of the noise, or of what is drawn.
            drawn: whether the first copy has the whole share, and what makes the others is drawn
                (He et al. 2015, arXiv:1502.01852).

        Raises:
            ValueError: a layer cannot have these channels; the message names it.
        """

        def total(labels: Labels) -> int:
            return int(copies[labels].sum())

        for labels, path in self.fixed:
            if (copies[labels] != 1).any():
                raise self.unfit("whose channels can change", path)
        rng = np.random.default_rng(seed)
        replace = {}
        for path, carrier in self.carriers.items():
            channels = np.concatenate([carrier.reads.labels, carrier.makes])
            if (copies[channels] == 1).all():
                continue
            uses = {id(getattr(carrier.layer, name)): use for name, use in carrier.uses.items()}
            for use in carrier.uses.values():
                if not all(_divides(c, copies, use.groups) for c in use[:2] if c is not None):
                    raise self.unfit("whose groups are of one width", path)
            weights = [
                _resized(weight.numpy(), uses[id(weight)], copies, noise, rng, drawn)
                if id(weight) in uses
                else weight.numpy()
                for weight in carrier.layer.weights
            ]
            shape = list(carrier.input_shape)
            shape[carrier.reads.axis] = total(carrier.reads.labels)
            replace[path] = [rebuilt(carrier.layer, shape, weights, **carrier.config(total))]
        return rewired(self.model, replace)

    def unfit(self, wanted: str, path: str) -> ValueError:
        """The error that a layer of the model is not as it must be."""
        return ValueError(
            f"`model` must have layers {wanted}: layer `{path}` is not one. "
            f"Received: model={self.model.name!r}"
        )

    # ------------------------------------------------------------------------------ the union-find

    def _fresh(self, count: int) -> Labels:
        first = len(self._parents)
        self._parents += range(first, first + count)
        return np.arange(first, first + count)

    def _root(self, label: int) -> int:
        parents = self._parents
        while parents[label] != label:
            parents[label] = label = parents[parents[label]]
        return label

    def _unite(self, one: Labels, other: Labels):
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            first, second = sorted((self._root(a), self._root(b)))
            self._parents[second] = first

    # -------------------------------------------------------------------------------- the graph

    def _walk(self, graph, inputs: list[Channels], prefix: str) -> list[Channels]:
        """The channels of the graph's outputs for these of its inputs."""
        known = dict(zip(map(id, graph.inputs), inputs, strict=True))
        for call in calls(graph):
            if not call.inputs:
                continue
            path = f"{prefix}{call.operation.name}"
            read = [known[id(tensor)] for tensor in call.inputs]
            nested = graph_of(call.operation)
            if nested is None:
                written = self._written(path, call, read)
            else:
                written = self._walk(nested, read, f"{path}/")
            known |= zip(map(id, call.outputs), written, strict=True)
        return [known[id(tensor)] for tensor in graph.outputs]

    def _written(self, path: str, call: Call, read: list[Channels]) -> list[Channels]:
        if len(call.outputs) == 1:
            for kinds, rule in _RULES:
                if isinstance(call.operation, kinds):
                    channels = rule(self, path, call, read)
                    if channels is not None:
                        return [channels]
        written = [self._unknown(tensor) for tensor in call.outputs]
        self.fixed += [(channels.labels, path) for channels in (*read, *written)]
        return written

    def _unknown(self, tensor) -> Channels:
        """New labels on the last axis."""
        return Channels(len(tensor.shape) - 1, self._fresh(tensor.shape[-1] or 1))

    def _carry(self, path: str, call: Call, read: Channels, makes: Labels, **facts) -> Labels:
        """Note a call of a layer; all calls of a shared one have the same channels."""
        new = Carrier(path, call.operation, call.inputs[0].shape, read, makes, **facts)
        first = self.carriers.setdefault(path, new)
        self._unite(first.reads.labels, read.labels)
        self._unite(first.makes, makes)
        return makes


def _divides(channels: Channels, copies: np.ndarray, groups: int) -> bool:
    """Whether all groups of these channels become equally wide."""
    return len({int(copies[part].sum()) for part in np.split(channels.labels, groups)}) == 1


def _resized(
    value: np.ndarray, use: Use, copies: np.ndarray, noise: float, rng, drawn: bool
) -> np.ndarray:
    """A weight with each channel repeated by its count."""
    axis, made = use.writes
    if use.reads is None:
        return np.repeat(value, copies[made], axis)
    resized = []
    per_group = (np.split(labels, use.groups) for labels in (made, use.reads.labels))
    for part, writes, reads in zip(np.split(value, use.groups, axis), *per_group, strict=True):
        part = np.repeat(part, copies[writes], axis)
        part = np.moveaxis(np.repeat(part, copies[reads], use.reads.axis), use.reads.axis, -1)
        if drawn:
            part = part * _first(copies[reads])
        else:
            part = part * _shares(part.shape[:-1], copies[reads], noise, rng)
        part = np.moveaxis(part, -1, use.reads.axis)
        if drawn:
            old = np.expand_dims(_first(copies[writes]), [a for a in range(part.ndim) if a != axis])
            summed = part.size // part.shape[axis]
            part = np.where(old, part, rng.normal(scale=math.sqrt(2 / summed), size=part.shape))
        resized.append(part)
    return np.concatenate(resized, axis)


def _first(counts: np.ndarray) -> np.ndarray:
    """Of each copy whether it is the first of its channel."""
    return np.concatenate([np.arange(count) == 0 for count in counts])


def _shares(shape: tuple, counts: np.ndarray, noise: float, rng) -> np.ndarray:
    """What part of a channel's weight each of its copies has: together 1."""
    kept = counts[counts > 0]
    equal = np.repeat(1 / kept, kept)
    if not noise or (kept == 1).all():
        return equal
    drawn = rng.normal(scale=noise, size=(*shape, len(equal)))
    means = np.add.reduceat(drawn, np.cumsum(kept) - kept, axis=-1) / kept
    return equal * (1 + drawn - np.repeat(means, kept, axis=-1))


# ------------------------------------------------------------------------------ the rules of layers
#
# A rule gives the channels of a call's output, or None where it cannot tell.


def _is_last(call: Call, channels: Channels) -> bool:
    """Whether the layer sees the channels as its channels: on the last axis."""
    last = getattr(call.operation, "data_format", "channels_last") == "channels_last"
    return last and channels.axis == len(call.inputs[0].shape) - 1


def _summing(graph: ChannelGraph, path, call, read):
    """A convolution or dense layer."""
    layer, (seen,) = call.operation, read
    if not _is_last(call, seen):
        return None
    makes, groups = graph._fresh(call.outputs[0].shape[-1]), getattr(layer, "groups", 1)
    rank = len(layer.kernel.shape)
    reads, writes = (rank - 1, rank - 2) if isinstance(layer, TRANSPOSED) else (rank - 2, rank - 1)
    uses = {"kernel": Use(Channels(writes, makes), Channels(reads, seen.labels), groups)}
    if groups > 1:
        graph.parts += [np.split(seen.labels, groups), np.split(makes, groups)]
    return _made(graph, path, call, seen, makes, uses)


def _separable(graph, path, call, read):
    layer, (seen,) = call.operation, read
    if not _is_last(call, seen):
        return None
    if layer.depth_multiplier != 1:  # copies of a channel would not stand side by side inside
        graph.fixed.append((seen.labels, path))
    makes, axis = graph._fresh(call.outputs[0].shape[-1]), len(layer.kernel_size)
    inner = np.repeat(seen.labels, layer.depth_multiplier)
    uses = {
        "depthwise_kernel": Use(Channels(axis, seen.labels)),
        "pointwise_kernel": Use(Channels(axis + 1, makes), Channels(axis, inner)),
    }
    return _made(graph, path, call, seen, makes, uses)


def _made(graph, path, call, seen, makes, uses):
    """Channels of a convolution or dense layer with these uses and maybe a bias."""
    layer = call.operation
    if layer.bias is not None:
        uses["bias"] = Use(Channels(0, makes))
    size = "units" if isinstance(layer, layers.Dense) else "filters"
    graph._carry(
        path, call, seen, makes, uses=uses, config=lambda total: {size: total(makes)}, sums=True
    )
    return Channels(len(call.outputs[0].shape) - 1, makes)


def _depthwise(graph, path, call, read):
    layer, (seen,) = call.operation, read
    if not _is_last(call, seen) or layer.depth_multiplier != 1:
        return None
    uses = {"kernel": Use(Channels(len(layer.kernel_size), seen.labels))}
    if layer.bias is not None:
        uses["bias"] = Use(Channels(0, seen.labels))
    graph._carry(path, call, seen, seen.labels, uses=uses)
    return seen


def _batch_norm(graph, path, call, read):
    layer, (seen,) = call.operation, read
    if layer.axis % len(call.inputs[0].shape) != seen.axis:
        return None
    names = "gamma", "beta", "moving_mean", "moving_variance"
    own = [name for name in names if getattr(layer, name, None) is not None]
    uses = {name: Use(Channels(0, seen.labels)) for name in own}
    graph._carry(path, call, seen, seen.labels, uses=uses)
    return seen


def _elementwise(graph, path, call, read):
    return None if mixes_channels(call.operation) else read[0]


def _rescaling(graph, path, call, read):
    return read[0] if np.ndim(call.operation.scale) == np.ndim(call.operation.offset) == 0 else None


def _pooling(graph, path, call, read):
    if not _is_last(call, read[0]):
        return None
    return Channels(len(call.outputs[0].shape) - 1, read[0].labels)


def _across_neighbours(graph, path, call, read):
    graph.mixed.append((read[0].labels, path))
    return read[0]


def _merge(graph, path, call, read):
    first = max(read, key=lambda channels: len(channels.labels))
    if {c.axis for c in read} != {first.axis} or {len(t.shape) for t in call.inputs} != {
        len(call.outputs[0].shape)
    }:
        return None
    for channels in read:
        if len(channels.labels) == len(first.labels):
            graph._unite(first.labels, channels.labels)
        else:  # one channel for all of the others
            graph.fixed.append((channels.labels, path))
    if isinstance(call.operation, layers.Add):
        graph.added.append(path)
    return first


def _concatenate(graph, path, call, read):
    first = read[0]
    if {channels.axis for channels in read} != {first.axis}:
        return None
    if call.operation.axis % len(call.inputs[0].shape) == first.axis:
        return Channels(first.axis, np.concatenate([channels.labels for channels in read]))
    for channels in read:
        graph._unite(first.labels, channels.labels)
    return first


def _permute(graph, path, call, read):
    return Channels(call.operation.dims.index(read[0].axis) + 1, read[0].labels)


def _sides(layer, name: str, axis: int) -> tuple[int, tuple[int, int]] | None:
    """Which of a padding's or cropping's pairs is that of an axis, and the pair."""
    pairs = np.reshape(getattr(layer, name), (-1, 2)).tolist()
    at = axis - (2 if getattr(layer, "data_format", "") == "channels_first" else 1)
    return (at, tuple(pairs[at])) if 0 <= at < len(pairs) else None


def _with_sides(layer, name: str, at: int, pair) -> dict[str, Any]:
    pairs = np.reshape(getattr(layer, name), (-1, 2)).tolist()
    pairs[at] = list(pair)
    return {name: pairs if len(pairs) > 1 else pairs[0]}


def _padding(graph, path, call, read):
    """Zeros are channels, too, where it is the channels that are padded."""
    layer, (seen,) = call.operation, read
    found = _sides(layer, "padding", seen.axis)
    if found is None:
        return seen
    at, pair = found
    before, after = map(graph._fresh, pair)
    makes = np.concatenate([before, seen.labels, after])

    def config(total: Total):
        return _with_sides(layer, "padding", at, (total(before), total(after)))

    return Channels(seen.axis, graph._carry(path, call, seen, makes, config=config))


def _cropping(graph, path, call, read):
    layer, (seen,) = call.operation, read
    found = _sides(layer, "cropping", seen.axis)
    if found is None:
        return seen
    at, (first, last) = found
    before, makes, after = np.split(seen.labels, [first, len(seen.labels) - last])
    graph.parts.append([before, makes, after])

    def config(total: Total):
        return _with_sides(layer, "cropping", at, (total(before), total(after)))

    return Channels(seen.axis, graph._carry(path, call, seen, makes, config=config))


def _reshape(graph, path, call, read):
    """Flattening, and axes of length 1 put in or taken out."""
    (seen,), shape, target = read, call.inputs[0].shape, call.outputs[0].shape
    if not _is_last(call, seen) or None in (*shape[1:], *target[1:]):
        return None
    pixels = math.prod(shape[1:-1])
    if target[-1] == shape[-1] and math.prod(target[1:-1]) == pixels:
        makes = seen.labels
    elif target[-1] == pixels * shape[-1]:
        makes = np.tile(seen.labels, pixels)
    else:
        return None

    def config(total: Total):
        return {"target_shape": (*target[1:-1], total(makes))}

    if isinstance(call.operation, layers.Reshape):
        graph._carry(path, call, seen, makes, config=config)
    return Channels(len(target) - 1, makes)


_RULES: tuple = (
    (SEPARABLE, _separable),
    (DEPTHWISE, _depthwise),
    ((*CONVOLUTIONS, *TRANSPOSED, layers.Dense), _summing),
    (layers.BatchNormalization, _batch_norm),
    (layers.Rescaling, _rescaling),
    (LocalResponseNormalization, _across_neighbours),
    (ELEMENTWISE, _elementwise),
    ((*POOLS, *ADAPTIVE_POOLS, *GLOBAL_POOLS, *UPSAMPLINGS), _pooling),
    (MERGES, _merge),
    (layers.Concatenate, _concatenate),
    (layers.Permute, _permute),
    (PADDINGS, _padding),
    (CROPPINGS, _cropping),
    ((layers.Flatten, layers.Reshape), _reshape),
)
