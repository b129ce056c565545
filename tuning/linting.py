"""Which of SimpNet's principles a network breaks.

>>> for finding in tuning.lint(keras_archs.SimpNet(experiment=22), "balanced_distribution"):
...     print(finding)
balanced_distribution: conv1, conv10: the widest layer has 8.0 times the filters of the narrowest...

A network is read as a chain of convolutions, reductions and dropouts; each check looks at the chain
and yields the layers concerned, a message, the severity and, for a mere hint, True. How experiments
are compared (isolation) cannot be seen in one network.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import Any, NamedTuple

import keras

from keras_archs.cost import runs_of
from keras_archs.graph import graph_of
from keras_archs.kinds import (
    ADDITIONS,
    CONVOLUTIONS,
    DEPTHWISE,
    DROPOUTS,
    GLOBAL_AVERAGE_POOLS,
    GLOBAL_POOLS,
    MAX_POOLS,
    POOLS,
    SEPARABLE,
    WITH_KERNEL,
)
from tuning.principles import (
    BEST_DEPTHS,
    EARLIEST_REDUCTION,
    LARGE,
    LATE_REDUCTION,
    LEAST_OF_MEAN,
    LEAST_WITH_DROPOUT,
    SPATIAL_PART,
    WIDEST_TO_NARROWEST,
    Balance,
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
    residual: bool  # whether shortcuts were left out
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


class _Way(NamedTuple):
    """The calls from the input to a tensor, linked: ways that part share what precedes the fork."""

    length: int
    call: Any
    before: Any  # a `_Way`; None at the input
    residual: bool = False  # whether shortcuts were left out


def _have_kernels(one: _Way, other: _Way) -> list[bool]:
    """Whether there are kernels on each of two ways since they parted."""
    parted, found = [one, other], [False, False]
    while parted[0] is not parted[1]:
        at = int(parted[0].length < parted[1].length)
        found[at] |= isinstance(parted[at].call.operation, WITH_KERNEL)
        parted[at] = parted[at].before
    return found


def _pooled(way: _Way) -> tuple[bool, int]:
    """By which of two ways without kernels the map is reduced: the one that keeps maxima."""
    return way.call is not None and isinstance(way.call.operation, MAX_POOLS), way.length


def _joined(read: list[_Way]) -> tuple[Any, bool]:
    """Of the ways that a layer joins the one to follow, and whether the others are shortcuts.

    Kernels lie on one way at most; else it is None.
    """
    way, *others = read
    shortcuts = any(one.residual for one in read)
    for other in others:
        on_way, on_other = _have_kernels(way, other)
        if on_way and on_other:
            return None, shortcuts
        if on_way or on_other:
            way, shortcuts = way if on_way else other, True
        else:
            way = max(way, other, key=_pooled)
    return way, shortcuts


def _calls(model) -> tuple[list, bool]:
    """The calls of a chain, nested ones in place, and whether shortcuts were left out of it.

    A shortcut has no kernels; of two poolings that are added or stand side by side one is read.
    """
    received = f"Received: {type(model).__name__} {getattr(model, 'name', model)!r}"
    graph = graph_of(model)
    if graph is None:
        raise ValueError(
            f"`model` must be a functional keras.Model or a built Sequential. {received}"
        )
    if len(graph.inputs) > 1 or len(graph.outputs) > 1:
        raise ValueError(
            f"`model` must be a chain of layers, with one input and one output. {received}"
        )
    start = way = _Way(0, None, None)
    ways: dict[int, _Way] = {}
    for run in runs_of(graph, [side or _ANY_SIDE for side in graph.inputs[0].shape[1:]]):
        if run.lead:
            raise ValueError(
                "`model` must be a chain of layers: a model inside a TimeDistributed is linted by "
                f"itself. {received}"
            )
        read = [ways[id(tensor)] for tensor in run.inputs] or [start]
        before, residual = None, False
        if len(read) == 1 or isinstance(run.operation, (*ADDITIONS, keras.layers.Concatenate)):
            before, residual = _joined(read)
        if before is None:
            raise ValueError(
                f"`model` must be a chain of layers: layer `{run.name}` merges branches. {received}"
            )
        way = _Way(before.length + 1, run, before, residual)
        ways |= {id(tensor): way for tensor in run.outputs}
    calls, residual = [], way.residual
    while way is not start:
        calls.append(way.call)
        way = way.before
    return calls[::-1], residual


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
    runs, residual = _calls(model)
    chain = _Chain(model.count_params(), residual)
    in_features, has_dense = True, False
    for name, operation, inputs, outputs, _ in runs:
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


def _sizes(layers: Iterable[_Layer]) -> str:
    return ", ".join(f"{size}x{size}" for size in sorted({layer.kernel for layer in layers}))


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
            max(1 - layer.width / widest for layer, widest in thinner),
        )


def _unusual_depth(chain: _Chain):
    best = [row for row in BEST_DEPTHS if row[0] <= chain.params]
    if best:
        params, fewest, most = best[-1]
        nearest = max(chain.depth, fewest)
        if not chain.residual:  # plain chains were compared
            nearest = min(nearest, most)
        if nearest != chain.depth:
            yield (
                _names(chain.layers[-1:]),
                f"{chain.depth} convolutions in a network of {chain.params:,} parameters: "
                f"{nearest} did best at {params:,}",
                abs(chain.depth / nearest - 1),
                True,
            )


def _expansion(chain: _Chain):
    yield from _shrinking_widths(chain)
    yield from _unusual_depth(chain)


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
                    1 / len(group),
                )


def _large_kernels_first(chain: _Chain):
    kernels = [layer.kernel for layer in chain.layers]
    early = [
        layer
        for at, layer in enumerate(chain.layers)
        if any(3 <= later < layer.kernel for later in kernels[at:])
    ]
    if early:
        yield (
            _names(early),
            f"kernels of {_sizes(early)} in {len(early)} of {chain.depth} convolutions, before "
            "smaller ones: at the end they did better",
            len(early) / chain.depth,
            True,
        )


def _homogeneity(chain: _Chain):
    yield from _mixed_groups(chain)
    yield from _large_kernels_first(chain)


def _pointwise(chain: _Chain):
    total = chain.depth
    early, late = [], []
    for at, layer in enumerate(chain.layers, start=1):
        if layer.kernel == 1:
            (early if at <= SPATIAL_PART * total else late).append(layer)
    if early:
        yield (
            _names(early),
            f"kernels of 1x1 among the first two thirds of {total} convolutions see no neighbours",
            len(early) / total,
        )
    if late:
        yield (
            _names(late),
            f"kernels of 1x1 in the last third of {total} convolutions: 3x3 did a little better "
            "with as many parameters",
            len(late) / total,
            True,
        )


def _early_reduction(chain: _Chain):
    if chain.reductions:
        first = chain.reductions[0]
        text = f"the map is reduced after {first.after} of {chain.depth} convolutions"
        missing = 1 - first.after / (LATE_REDUCTION * chain.depth)
        if first.after < EARLIEST_REDUCTION * chain.depth:
            yield (first.name,), f"{text}: before a quarter of them", missing
        elif missing > 0:
            yield (
                (first.name,),
                f"{text}: after half of them it keeps more, for more multiply-adds",
                missing,
                True,
            )


def _costly_kernels(chain: _Chain):
    large = [layer for layer in chain.layers if layer.kernel > 3]
    if large:
        yield (
            _names(large),
            f"kernels of {_sizes(large)} in {len(large)} of {chain.depth} convolutions: 3x3 makes "
            "more of the same parameters",
            sum(layer.kernel / 3 - 1 for layer in large) / chain.depth,
        )
    odd = [layer for layer in chain.layers if layer.width % 8]
    if odd and chain.params > LARGE:
        yield (
            _names(odd),
            "numbers of filters that are no multiples of 8 waste hardware",
            len(odd) / chain.depth,
            True,
        )


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
            ratio / WIDEST_TO_NARROWEST - 1,
        )
    least = Balance(of_mean=LEAST_OF_MEAN).narrowest([layer.width for layer in chain.layers])
    starved = [layer for layer in chain.layers if layer.width < least]
    if starved and chain.params <= LARGE:
        mean = sum(layer.width for layer in chain.layers) / len(chain.layers)
        yield (
            _names(starved),
            f"{narrowest.width} filters where layers have {mean:.1f} on average: in a network of "
            f"{chain.params:,} parameters fewer than {LEAST_OF_MEAN} of the mean starve the rest",
            1 - narrowest.width / (LEAST_OF_MEAN * mean),
        )


def _bad_dropout(chain: _Chain):
    high = [(name, rate) for name, rate in chain.dropouts if rate > _HIGHEST_RATE]
    if high:
        rate = max(rate for _, rate in high)
        names = tuple(name for name, _ in high)
        yield (
            names,
            f"dropout of {rate:g} inside the features: more than {_HIGHEST_RATE}",
            rate / _HIGHEST_RATE - 1,
        )
    if not any(rate for _, rate in chain.dropouts + chain.head_dropouts):
        text = f"no dropout in a network of {chain.params:,} parameters"
        last = _names(chain.layers[-1:])
        pools = any(found.kind != "stride" for found in chain.reductions)
        if chain.params > LARGE:
            yield last, f"{text}: above {LARGE:,} it has some", 1.0
        elif chain.params >= LEAST_WITH_DROPOUT and pools:
            yield last, f"{text}: after the poolings it helped on CIFAR-100", 1.0, True


def _weak_pooling(chain: _Chain):
    for kind, text in (("stride", "a strided convolution"), ("average", "average pooling")):
        names = tuple(found.name for found in chain.reductions if found.kind == kind)
        if names:
            yield (
                names,
                f"{text} reduces the map where max pooling would keep what is strongest",
                len(names) / len(chain.reductions),
            )
    if chain.global_average:
        yield (
            (chain.global_average,),
            "global average pooling: global maxima did better",
            1.0,
            True,
        )


CHECKS: Mapping[str, Callable[[_Chain], Iterable[tuple]]] = {  # by principle
    "gradual_expansion": _expansion,
    "homogeneous_groups": _homogeneity,
    "correlation_preservation": _pointwise,
    "maximum_information": _early_reduction,
    "maximum_performance": _costly_kernels,
    "balanced_distribution": _imbalance,
    "dropout": _bad_dropout,
    "pooling": _weak_pooling,
}


def lint(model: keras.Model, principles: str | Iterable[str] = "all") -> list[Finding]:
    """Which principles a network breaks, where, and what the paper measured for it.

    Nested models are read in place, preprocessing layers and shortcuts without kernels are skipped,
    and a depthwise convolution counts as one layer with the pointwise one that follows it.

    Args:
        model: a chain of layers, residual or plain: functional or a built Sequential, of this
            package or not.
        principles: "all", or the names of those that are checked.

    Raises:
        ValueError: the model has branches with kernels; the message names the layer that merges
            them.
    """
    wanted = chosen(principles)
    chain = _read(model)
    return [
        Finding(principle.name, layers, message, principle.evidence, severity, bool(advice))
        for principle in wanted
        if principle.name in CHECKS
        for layers, message, severity, *advice in CHECKS[principle.name](chain)
    ]
