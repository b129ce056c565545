"""Which of SimpNet's principles a network breaks.

>>> for finding in tuning.lint(keras_archs.SimpNet(experiment=22)):
...     print(finding)
balanced_distribution: conv1, conv10: the widest layer has 8.0 times the filters of the narrowest...

A network is read as a chain of convolutions, reductions and dropouts; each check looks at the chain
and yields the layers concerned, a message and, for a mere hint, True. How experiments are compared
(isolation) cannot be seen in one network.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import Any

import keras

from keras_archs.cost import runs_of
from keras_archs.graph import graph_of
from keras_archs.kinds import (
    CONVOLUTIONS,
    DEPTHWISE,
    DROPOUTS,
    GLOBAL_AVERAGE_POOLS,
    GLOBAL_POOLS,
    MAX_POOLS,
    POOLS,
    SEPARABLE,
)
from tuning.principles import (
    EARLIEST_REDUCTION,
    LARGE,
    SPATIAL_PART,
    WIDEST_TO_NARROWEST,
    Finding,
    chosen,
)

_SAME_WIDTH = 0.1  # widths that differ by less, or by 2 filters, count as one: fitting does that
_HIGHEST_RATE = 0.5
_ANY_SIDE = 256  # pixels, stands for a side of the input that is None

# ------------------------------------------------------------------------------- reading a network


@dataclass
class _Layer:
    """A convolution, or a depthwise one with the pointwise one that follows it."""

    names: tuple[str, ...]
    width: int
    kernel: int
    resolution: int  # how often the map had been reduced before its output
    depthwise: bool = False


@dataclass
class _Reduction:
    """A layer that makes its map smaller by a stride."""

    name: str
    kind: str  # "max", "average" or "stride"
    after: int  # how many convolutions precede it, itself included


@dataclass
class _Chain:
    """What the checks look at. A convolution that writes the classes is no layer here."""

    params: int
    layers: list[_Layer] = field(default_factory=list)
    classifier: list[_Layer] = field(default_factory=list)
    reductions: list[_Reduction] = field(default_factory=list)
    dropouts: list[tuple[str, float]] = field(default_factory=list)  # inside the features
    head_dropouts: list[tuple[str, float]] = field(default_factory=list)
    global_average: str | None = None

    @property
    def depth(self) -> int:
        """Convolutions, the one that writes the classes included."""
        return len(self.layers) + len(self.classifier)


def _calls(model) -> list:
    """The calls of a model without branches, nested ones in place."""
    graph = graph_of(model)
    if graph is None:
        raise ValueError(
            "`model` must be a functional keras.Model or a built Sequential. "
            f"Received: {type(model).__name__} {getattr(model, 'name', model)!r}"
        )
    shapes = [[side or _ANY_SIDE for side in tensor.shape[1:]] for tensor in graph.inputs]
    runs = runs_of(graph, shapes[0] if len(shapes) == 1 else shapes)
    for run in runs:
        if len(run.inputs) > 1:
            raise ValueError(
                f"`model` must be a chain of layers: layer `{run.name}` merges branches. "
                f"Received: {type(model).__name__} {model.name!r}"
            )
    if len(graph.inputs) > 1 or len(graph.outputs) > 1:
        raise ValueError(
            "`model` must be a chain of layers, with one input and one output. "
            f"Received: {type(model).__name__} {model.name!r}"
        )
    return runs


def _shrinks(operation, inputs, outputs) -> bool:
    strides = getattr(operation, "strides", 1)
    strided = max(strides if isinstance(strides, tuple) else (strides,)) > 1
    return strided and any(
        after < before
        for before, after in zip(inputs[0].shape[:-1], outputs[0].shape[:-1], strict=True)
    )


def _add_convolution(chain, name, operation, width, depthwise):
    """Add a convolution, or complete the depthwise one before it."""
    kernel = max(operation.kernel_size)
    if kernel == 1 and chain.layers and chain.layers[-1].depthwise:
        layer = chain.layers[-1]
        layer.names, layer.width, layer.depthwise = (*layer.names, name), width, False
    else:
        chain.layers.append(_Layer((name,), width, kernel, len(chain.reductions), depthwise))


def _read(model) -> _Chain:
    convolutions = (*CONVOLUTIONS, *DEPTHWISE, *SEPARABLE)
    runs = _calls(model)
    chain = _Chain(params=model.count_params())
    in_features, has_dense = True, False
    for name, operation, inputs, outputs in runs:
        if isinstance(operation, DROPOUTS):
            (chain.dropouts if in_features else chain.head_dropouts).append((name, operation.rate))
        elif isinstance(operation, (*GLOBAL_POOLS, keras.layers.Flatten)):
            in_features = False
            if isinstance(operation, GLOBAL_AVERAGE_POOLS):
                chain.global_average = name
        elif not in_features:
            has_dense |= isinstance(operation, (keras.layers.Dense, *convolutions))
        elif isinstance(operation, convolutions):
            if _shrinks(operation, inputs, outputs):
                chain.reductions.append(_Reduction(name, "stride", len(chain.layers) + 1))
            depthwise = isinstance(operation, DEPTHWISE)
            _add_convolution(chain, name, operation, outputs[0].shape[-1], depthwise)
        elif isinstance(operation, POOLS) and _shrinks(operation, inputs, outputs):
            kind = "max" if isinstance(operation, MAX_POOLS) else "average"
            chain.reductions.append(_Reduction(name, kind, len(chain.layers)))
    if not in_features and not has_dense:
        chain.layers, chain.classifier = chain.layers[:-1], chain.layers[-1:]
    return chain


# --------------------------------------------------------------------------------------- the checks


def _names(layers: Iterable[_Layer]) -> tuple[str, ...]:
    return tuple(name for layer in layers for name in layer.names)


def _alike(first: int, second: int) -> bool:
    return abs(first - second) <= max(2, _SAME_WIDTH * max(first, second))


def _shrinking_widths(chain: _Chain):
    widest = accumulate((layer.width for layer in chain.layers), max)
    thinner = [
        (layer, before)
        for layer, before in zip(chain.layers, widest, strict=True)
        if not _alike(layer.width, before)
    ]
    if thinner:
        first, before = thinner[0]
        yield (
            _names(layer for layer, _ in thinner),
            f"{first.width} filters after layers of up to {before}: widths only grow towards the "
            "end",
        )


def _comes_back(values: list, same: Callable[[Any, Any], bool]) -> int | None:
    """Where a value returns to an earlier one after another: 2 in (3, 1, 3)."""
    for at, value in enumerate(values):
        for start, earlier in enumerate(values[:at]):
            between = values[start + 1 : at]
            if same(earlier, value) and any(
                not same(other, earlier) and not same(other, value) for other in between
            ):
                return at
    return None


def _mixed_groups(chain: _Chain):
    equal = int.__eq__
    kinds = ("kernel", equal, "kernels"), ("width", _alike, "widths")
    for _, members in groupby(chain.layers, key=lambda layer: layer.resolution):
        group = list(members)
        for attribute, same, plural in kinds:
            values = [getattr(layer, attribute) for layer in group]
            at = _comes_back(values, same)
            if at is not None:
                text = ", ".join(map(str, values))
                yield (
                    _names(group[at : at + 1]),
                    f"{plural} of {text} at one resolution: layers of a kind stand side by side",
                )


def _early_pointwise(chain: _Chain):
    total = chain.depth
    early = [
        layer
        for at, layer in enumerate(chain.layers, start=1)
        if layer.kernel == 1 and at <= SPATIAL_PART * total
    ]
    if early:
        yield (
            _names(early),
            f"kernels of 1x1 among the first two thirds of {total} convolutions see no neighbours",
        )


def _early_reduction(chain: _Chain):
    if chain.reductions:
        first = chain.reductions[0]
        if first.after < EARLIEST_REDUCTION * chain.depth:
            yield (
                (first.name,),
                f"the map is reduced after {first.after} of {chain.depth} convolutions: before a "
                "quarter of them",
            )


def _costly_kernels(chain: _Chain):
    large = [layer for layer in chain.layers if layer.kernel > 3]
    if large:
        sizes = sorted({layer.kernel for layer in large})
        text = ", ".join(f"{size}x{size}" for size in sizes)
        yield _names(large), f"kernels of {text}: 3x3 makes more of the same parameters"
    odd = [layer for layer in chain.layers if layer.width % 8]
    if odd and chain.params > LARGE:
        yield _names(odd), "numbers of filters that are no multiples of 8 waste hardware", True


def _imbalance(chain: _Chain):
    if not chain.layers:
        return
    narrowest = min(chain.layers, key=lambda layer: layer.width)
    widest = max(chain.layers, key=lambda layer: layer.width)
    ratio = widest.width / narrowest.width
    if ratio > WIDEST_TO_NARROWEST:
        yield (
            _names((narrowest, widest)),
            f"the widest layer has {ratio:.1f} times the filters of the narrowest "
            f"({widest.width} and {narrowest.width}): more than {WIDEST_TO_NARROWEST}",
        )


def _bad_dropout(chain: _Chain):
    high = [(name, rate) for name, rate in chain.dropouts if rate > _HIGHEST_RATE]
    if high:
        rate = max(rate for _, rate in high)
        names = tuple(name for name, _ in high)
        yield names, f"dropout of {rate:g} inside the features: more than {_HIGHEST_RATE}"
    if chain.params > LARGE and not any(rate for _, rate in chain.dropouts + chain.head_dropouts):
        yield (
            _names(chain.layers[-1:]),
            f"no dropout in a network of {chain.params:,} parameters: above {LARGE:,} it has some",
        )


def _weak_pooling(chain: _Chain):
    for kind, text in (("stride", "a strided convolution"), ("average", "average pooling")):
        names = tuple(found.name for found in chain.reductions if found.kind == kind)
        if names:
            yield names, f"{text} reduces the map where max pooling would keep what is strongest"
    if chain.global_average:
        yield (chain.global_average,), "global average pooling: global maxima did better", True


CHECKS: Mapping[str, Callable[[_Chain], Iterable[tuple]]] = {  # by principle
    "gradual_expansion": _shrinking_widths,
    "homogeneous_groups": _mixed_groups,
    "correlation_preservation": _early_pointwise,
    "maximum_information": _early_reduction,
    "maximum_performance": _costly_kernels,
    "balanced_distribution": _imbalance,
    "dropout": _bad_dropout,
    "pooling": _weak_pooling,
}


def lint(model: keras.Model, principles: str | Iterable[str] = "all") -> list[Finding]:
    """Which principles a network breaks, where, and what the paper measured for it.

    Nested models are read in place, preprocessing layers are skipped, and a depthwise convolution
    counts as one layer with the pointwise one that follows it.

    Args:
        model: a chain of layers: functional or a built Sequential, of this package or not.
        principles: "all", or the names of those that are checked.

    Raises:
        ValueError: the model has branches; the message names the layer that merges them.
    """
    wanted = chosen(principles)
    chain = _read(model)
    return [
        Finding(principle.name, layers, message, principle.evidence, bool(advice))
        for principle in wanted
        if principle.name in CHECKS
        for layers, message, *advice in CHECKS[principle.name](chain)
    ]
