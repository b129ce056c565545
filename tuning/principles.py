"""The design principles of SimpNet, each once: its bounds, its check, its evidence.

Hasanpour et al. 2018, https://arxiv.org/abs/1802.06205, section 3; their experiments are those of
section 4 and `keras_archs.SimpNet(experiment=ID)`. `tuning.space` reads the bounds, `lint` runs the
checks.

>>> for finding in tuning.lint(keras_archs.SimpNet(experiment=22)):
...     print(finding)
balanced_distribution: conv1, conv10: the widest layer has 8.0 times the filters of the narrowest...
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any

import keras_archs

if TYPE_CHECKING:
    import keras

LARGE = 1_000_000  # parameters: from here on dropout is expected and channel counts matter
_SAME_WIDTH = 0.1  # widths that differ by less, or by 2 filters, count as one: fitting does that
_WIDEST_TO_NARROWEST = 7.5  # between 7.2 of experiments 30 to 32 and 8.0 of 22, the lower of IV
_EARLIEST_REDUCTION = 0.25  # of the layers: experiment 31 pools at 0.23, the published at 0.30 on
_SPATIAL_PART = 2 / 3  # of the layers: in table VIII, 1x1 kernels cost least in the last ones
_HIGHEST_RATE = 0.5
_ANY_SIDE = 256  # pixels, stands for a side of the input that is None


@dataclass(frozen=True)
class Result:
    """A network that was compared.

    Attributes:
        label: what is special about it.
        accuracy: top-1 in %.
        experiment: its id for `keras_archs.SimpNet(experiment=...)`, None where it is no such one.
    """

    label: str
    accuracy: float
    experiment: int | None = None


@dataclass(frozen=True)
class Evidence:
    """A comparison of the paper.

    Attributes:
        source: the paper's table.
        compared: what differs, with the data set.
        results: the networks.
    """

    source: str
    compared: str
    results: tuple[Result, ...]

    def __str__(self) -> str:
        figures = ", ".join(f"{result.label} {result.accuracy:g} %" for result in self.results)
        return f"{self.source}, {self.compared}: {figures}"


@dataclass(frozen=True)
class Finding:
    """A principle that a model breaks.

    Attributes:
        principle: its name.
        layers: names of the layers concerned, `outer/inner` inside a nested model.
        message: what is wrong, with the figures.
        evidence: what the paper measured for it.
        advice: whether this is a hint that no network need follow.
    """

    principle: str
    layers: tuple[str, ...]
    message: str
    evidence: tuple[Evidence, ...]
    advice: bool = False

    def __str__(self) -> str:
        kind = " (advice)" if self.advice else ""
        return f"{self.principle}{kind}: {', '.join(self.layers)}: {self.message}"


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
    graph = keras_archs.graph.graph_of(model)
    if graph is None:
        raise ValueError(
            "`model` must be a functional keras.Model or a built Sequential. "
            f"Received: {type(model).__name__} {getattr(model, 'name', model)!r}"
        )
    shapes = [[side or _ANY_SIDE for side in tensor.shape[1:]] for tensor in graph.inputs]
    runs = keras_archs.cost.runs_of(graph, shapes[0] if len(shapes) == 1 else shapes)
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
    from keras import layers

    convolutions = layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D
    poolings = layers.MaxPooling2D, layers.AveragePooling2D
    dropouts = layers.Dropout, layers.SpatialDropout2D, layers.AlphaDropout, layers.GaussianDropout
    ends = layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D, layers.Flatten
    runs = _calls(model)
    chain = _Chain(params=model.count_params())
    in_features, has_dense = True, False
    for name, operation, inputs, outputs in runs:
        if isinstance(operation, dropouts):
            (chain.dropouts if in_features else chain.head_dropouts).append((name, operation.rate))
        elif isinstance(operation, ends):
            in_features = False
            if isinstance(operation, layers.GlobalAveragePooling2D):
                chain.global_average = name
        elif not in_features:
            has_dense |= isinstance(operation, (layers.Dense, *convolutions))
        elif isinstance(operation, convolutions):
            if _shrinks(operation, inputs, outputs):
                chain.reductions.append(_Reduction(name, "stride", len(chain.layers) + 1))
            depthwise = isinstance(operation, layers.DepthwiseConv2D)
            _add_convolution(chain, name, operation, outputs[0].shape[-1], depthwise)
        elif isinstance(operation, poolings) and _shrinks(operation, inputs, outputs):
            kind = "max" if isinstance(operation, layers.MaxPooling2D) else "average"
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
        if layer.kernel == 1 and at <= _SPATIAL_PART * total
    ]
    if early:
        yield (
            _names(early),
            f"kernels of 1x1 among the first two thirds of {total} convolutions see no neighbours",
        )


def _early_reduction(chain: _Chain):
    if chain.reductions:
        first = chain.reductions[0]
        if first.after < _EARLIEST_REDUCTION * chain.depth:
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
    if ratio > _WIDEST_TO_NARROWEST:
        yield (
            _names((narrowest, widest)),
            f"the widest layer has {ratio:.1f} times the filters of the narrowest "
            f"({widest.width} and {narrowest.width}): more than {_WIDEST_TO_NARROWEST}",
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


def _nothing(chain: _Chain):
    return ()


# ---------------------------------------------------------------------------------- the principles


@dataclass(frozen=True)
class Principle:
    """A principle of design.

    Attributes:
        name: as `principles=` and `isolate=` take it.
        title: what it is called.
        on: its bounds in `tuning.space` where it binds; a pair is a range, ends included.
        off: the bounds where it does not; the same keys, and nothing less.
        evidence: what the paper measured.
    """

    name: str
    title: str
    on: Mapping[str, Any]
    off: Mapping[str, Any]
    evidence: tuple[Evidence, ...]
    _check: Callable[[_Chain], Iterable[tuple]] = field(repr=False)

    def check(self, model: "keras.Model") -> list[Finding]:
        """Where `model` breaks this principle. See `lint`."""
        return self._findings(_read(model))

    def _findings(self, chain: _Chain) -> list[Finding]:
        return [
            Finding(self.name, layers, message, self.evidence, bool(advice))
            for layers, message, *advice in self._check(chain)
        ]


_ALL = (
    Principle(
        "gradual_expansion",
        "Gradual expansion with minimum allocation",
        on={
            "depths": ((1, 2), (2, 4), (3, 6), (1, 3), (1, 2), (1, 2)),  # of the six groups
            "expansion": (0.5, 1.25),  # exponent on the paper's profile of widths
            "may_shrink": False,  # whether a layer may be thinner than one before it
        },
        off={
            "depths": ((1, 3), (1, 5), (2, 8), (1, 4), (1, 3), (1, 3)),
            "expansion": (-0.5, 2.0),
            "may_shrink": True,
        },
        evidence=(
            Evidence(
                "Table II",
                "depth at 300K parameters, CIFAR-10",
                (
                    Result("8 layers", 90.21, 18),
                    Result("9 layers", 90.55, 19),
                    Result("10 layers", 90.61, 16),
                    Result("13 layers", 89.78, 17),
                ),
            ),
            Evidence(
                "Table III",
                "depth against parameters, CIFAR-10",
                (
                    Result("6 layers, 1.1M", 92.18, 21),
                    Result("10 layers, 570K", 92.23, 20),
                    Result("13 layers, 500K", 92.42),
                ),
            ),
        ),
        _check=_shrinking_widths,
    ),
    Principle(
        "homogeneous_groups",
        "Homogeneous groups of layers",
        on={"per_layer": False, "layer_width": (1.0, 1.0)},  # own kernels; factor on the widths
        off={"per_layer": True, "layer_width": (0.5, 1.5)},
        evidence=(
            Evidence(
                "Table X",
                "where the 5x5 kernels stand among 3x3, CIFAR-10",
                (
                    Result("at the end, 640K", 90.15, 56),
                    Result("at the start, 413K", 89.53, 57),
                ),
            ),
        ),
        _check=_mixed_groups,
    ),
    Principle(
        "correlation_preservation",
        "Local correlation preservation",
        on={"smallest_early_kernel": 3, "smallest_late_kernel": 1, "spatial_part": _SPATIAL_PART},
        off={"smallest_early_kernel": 1, "smallest_late_kernel": 1, "spatial_part": 0.0},
        evidence=(
            Evidence(
                "Table VIII",
                "kernels of the first layers, 13 layers and 128K parameters, CIFAR-10",
                (Result("1x1", 87.71, 47), Result("2x2", 88.5, 48)),
            ),
            Evidence(
                "Table VIII",
                "kernels of the middle layers, 13 layers and 128K parameters, CIFAR-10",
                (Result("1x1", 88.16, 49), Result("2x2", 88.51, 50)),
            ),
            Evidence(
                "Table VIII",
                "kernels of the last layers, 13 layers and 128K parameters, CIFAR-10",
                (Result("1x1", 89.45, 52), Result("3x3", 89.6, 51)),
            ),
        ),
        _check=_early_pointwise,
    ),
    Principle(
        "maximum_information",
        "Maximum information utilisation",
        on={
            "first_pool": (0.3, 0.55),  # of the depth
            "last_pool": (0.65, 0.85),
            "earliest": _EARLIEST_REDUCTION,  # part of the layers that stand before any pooling
            "extra_reductions": 1,  # beyond those that leave a map of about 8 pixels a side
        },
        off={
            "first_pool": (0.05, 0.55),
            "last_pool": (0.3, 0.95),
            "earliest": 0.0,
            "extra_reductions": 2,
        },
        evidence=(
            Evidence(
                "Table V",
                "layer after which the map is first pooled, 13 layers and 53K parameters, CIFAR-10",
                (
                    Result("layer 3", 77.34, 31),
                    Result("layer 5", 79.09, 30),
                    Result("layer 7", 79.44, 32),
                ),
            ),
        ),
        _check=_early_reduction,
    ),
    Principle(
        "maximum_performance",
        "Maximum performance utilisation",
        on={"largest_kernel": 3},
        off={"largest_kernel": 7},
        evidence=(
            Evidence(
                "Table VII",
                "kernels of 8 layers at 1.6M parameters, CIFAR-10",
                (
                    Result("3x3", 92.14, 41),
                    Result("5x5", 90.99, 42),
                    Result("7x7", 89.22, 43),
                ),
            ),
            Evidence(
                "Table VII",
                "kernels of 8 layers at 300K parameters, CIFAR-10",
                (
                    Result("3x3", 90.21, 40),
                    Result("7x7 in the first two", 88.57, 46),
                    Result("7x7", 86.09, 45),
                ),
            ),
        ),
        _check=_costly_kernels,
    ),
    Principle(
        "balanced_distribution",
        "Balanced distribution of widths",
        on={"tilt": (0.75, 1.25), "widest_to_narrowest": _WIDEST_TO_NARROWEST},
        off={"tilt": (0.5, 3.0), "widest_to_narrowest": math.inf},
        evidence=(
            Evidence(
                "Table IV",
                "10 layers and 8M parameters, CIFAR-10",
                (Result("wide end", 95.19, 22), Result("balanced", 95.51, 23)),
            ),
            Evidence(
                "Table IV",
                "13 layers and 128K parameters, CIFAR-10",
                (Result("wide end", 87.2, 24), Result("balanced", 89.7, 25)),
            ),
        ),
        _check=_imbalance,
    ),
    Principle(
        "dropout",
        "Dropout of moderate rate throughout",
        on={
            "rate": (0.05, 0.3),  # half as much again from the last pooling on
            "placements": ("none", "after_pooling", "every_layer"),
            "none_up_to": LARGE,  # parameters; a larger network has dropout
            "small_rate": (0.05, 0.1),
            "small_placements": ("none", "after_pooling"),
        },
        off={
            "rate": (0.05, 0.7),
            "placements": ("none", "after_pooling", "every_layer", "before_classifier"),
            "none_up_to": math.inf,
            "small_rate": (0.05, 0.7),
            "small_placements": ("none", "after_pooling", "every_layer", "before_classifier"),
        },
        evidence=(
            Evidence(
                "Table XI",
                "dropout after the poolings (SAF pooling), SimpNet with 1M parameters, CIFAR-10",
                (Result("without", 94.68, 59), Result("with", 94.76, 58)),
            ),
            Evidence(
                "Table XI",
                "dropout after the poolings (SAF pooling), SqueezeNet 1.1, CIFAR-10",
                (Result("without", 87.51), Result("with", 88.06)),
            ),
            Evidence(
                "the authors' slim networks",
                "dropout after the poolings, SimpNet with 300K parameters, CIFAR-100",
                (Result("without", 67.91, 8), Result("with", 68.47, 9)),
            ),
        ),
        _check=_bad_dropout,
    ),
    Principle(
        "pooling",
        "Max pooling rather than strides",
        on={"kinds": ("max",)},
        off={"kinds": ("max", "average", "stride")},
        evidence=(
            Evidence(
                "Table VI",
                "what reduces the map, 15 layers, 362K parameters, with nonlinearity, CIFAR-100",
                (Result("strided convolutions", 68.19, 36), Result("max pooling", 68.27, 35)),
            ),
            Evidence(
                "Table VI",
                "what reduces the map, 15 layers, 362K parameters, without nonlinearity, CIFAR-100",
                (Result("strided convolutions", 68.1, 39), Result("max pooling", 68.89, 38)),
            ),
            Evidence(
                "Table VI",
                "ResNet-32 with 460K parameters, CIFAR-10",
                (Result("strided convolutions", 93.46), Result("max pooling", 93.75)),
            ),
            Evidence(
                "the authors' experiments",
                "global pooling, 1M parameters, CIFAR-100",
                (Result("average", 73.07, 0), Result("max", 73.77, 1)),
            ),
        ),
        _check=_weak_pooling,
    ),
    Principle(
        "isolation",
        "Rapid prototyping in isolation",
        on={"share": (1.0, 1.0)},  # of the budget that is used
        off={"share": (0.3, 1.0)},
        evidence=(
            Evidence(
                "Table IX",
                "kernels compared at unequal sizes, which misleads, CIFAR-10",
                (Result("3x3, 300K", 90.21, 26), Result("5x5, 1.6M", 90.99, 27)),
            ),
            Evidence(
                "Table VII",
                "the same at 1.6M parameters both, CIFAR-10",
                (Result("3x3", 92.14, 41), Result("5x5", 90.99, 42)),
            ),
        ),
        _check=_nothing,
    ),
)
PRINCIPLES: Mapping[str, Principle] = {principle.name: principle for principle in _ALL}


def chosen(principles: str | Iterable[str] = "all") -> tuple[Principle, ...]:
    """The principles of these names, in the paper's order.

    Args:
        principles: "all", or names; none is allowed.

    Raises:
        ValueError: a name is unknown; the message has the nearest one.
    """
    if principles == "all":
        return _ALL
    names = [principles] if isinstance(principles, str) else list(principles)
    for name in names:
        if name not in PRINCIPLES:
            close = difflib.get_close_matches(str(name), PRINCIPLES, n=1)
            did_you_mean = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"`principles` must be 'all' or names among {', '.join(PRINCIPLES)}."
                f"{did_you_mean} Received: principles={principles!r}"
            )
    return tuple(principle for principle in _ALL if principle.name in names)


def lint(model: "keras.Model", principles: str | Iterable[str] = "all") -> list[Finding]:
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
    return [finding for principle in wanted for finding in principle._findings(chain)]
