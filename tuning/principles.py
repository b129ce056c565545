"""The design principles of SimpNet, each once: its bounds and its evidence.

Hasanpour et al. 2018, https://arxiv.org/abs/1802.06205, section 3; their experiments are those of
section 4 and `keras_archs.SimpNet(experiment=ID)`. `tuning.space` reads the bounds,
`tuning.linting` checks networks.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import tuning
from keras_archs.checks import nearest

if TYPE_CHECKING:
    import keras

LARGE = 1_000_000  # parameters: from here on dropout is expected and channel counts matter
WIDEST_TO_NARROWEST = 7.5  # between 7.2 of experiments 30 to 32 and 8.0 of 22, the lower of IV
LEAST_OF_MEAN = 0.4  # of the mean width, up to LARGE parameters: between 24 and 25 of table IV
EARLIEST_REDUCTION = 0.25  # of the layers: experiment 31 pools at 0.23, the published at 0.30 on
LATE_REDUCTION = 0.5  # of the layers: experiment 32 pools at 0.54 and beats 30, at 0.38
SPATIAL_PART = 2 / 3  # of the layers: in table VIII, 1x1 kernels cost least in the last ones
BEST_DEPTHS = (  # tables II and III: from so many parameters on, the fewest and most convolutions
    (300_000, 10, 10),
    (500_000, 13, math.inf),
)
LEAST_WITH_DROPOUT = 300_000  # parameters: no smaller network was compared with and without


class Balance(NamedTuple):
    """How far apart the widths of a network may be.

    Attributes:
        ratio: the most that the widest may be of the narrowest.
        of_mean: the least that the narrowest may be of the mean.
    """

    ratio: float = math.inf
    of_mean: float = 0.0

    def narrowest(self, widths: Sequence[int]) -> int:
        """The fewest filters that a layer among these may have."""
        of_mean = self.of_mean * (sum(widths) / len(widths))
        return math.ceil(max(max(widths) / self.ratio, of_mean))

    def allows(self, widths: Sequence[int]) -> bool:
        """Whether none of them is too narrow."""
        return min(widths) >= self.narrowest(widths)


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
        severity: by what part a bound is missed, or by what part of the layers; more than 0. Its
            sum over the findings of one principle puts networks in order.
        advice: whether this is a hint that no network need follow, as where the budget decides.
    """

    principle: str
    layers: tuple[str, ...]
    message: str
    evidence: tuple[Evidence, ...]
    severity: float
    advice: bool = False

    def __str__(self) -> str:
        kind = " (advice)" if self.advice else ""
        return f"{self.principle}{kind}: {', '.join(self.layers)}: {self.message}"


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

    def check(self, model: "keras.Model") -> list[Finding]:
        """Where `model` breaks this principle. See `tuning.lint`."""
        return tuning.lint(model, self.name)


_ALL = (
    Principle(
        "gradual_expansion",
        "Gradual expansion with minimum allocation",
        on={
            "depths": ((1, 2), (2, 4), (3, 6), (1, 3), (1, 2), (1, 2)),  # of the six groups
            "expansion": (0.5, 1.25),  # exponent on the paper's profile of widths
            "small_expansion": (0.25, 1.0),  # up to LARGE parameters, whose first layers starve
            "costly_expansion": (0.75, 1.25),  # where multiply-adds bind the smallest
            "may_shrink": False,  # whether a layer may be thinner than one before it
        },
        off={
            "depths": ((1, 3), (1, 5), (2, 8), (1, 4), (1, 3), (1, 3)),
            "expansion": (-0.5, 2.0),
            "small_expansion": (-0.5, 2.0),
            "costly_expansion": (-0.5, 2.0),
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
    ),
    Principle(
        "correlation_preservation",
        "Local correlation preservation",
        on={"smallest_early_kernel": 3, "smallest_late_kernel": 1, "spatial_part": SPATIAL_PART},
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
    ),
    Principle(
        "maximum_information",
        "Maximum information utilisation",
        on={
            "first_pool": (0.3, 0.55),  # of the depth
            "last_pool": (0.65, 0.85),
            "costly_first_pool": (0.3, 0.4),  # where multiply-adds bind
            "costly_last_pool": (0.55, 0.7),
            "earliest": EARLIEST_REDUCTION,  # part of the layers that stand before any pooling
            "extra_reductions": 1,  # beyond those that leave a map of about 8 pixels a side
            # In groups of equal layers.
            "shortcuts": ("none", "every_layer", "every_second_layer", "dense"),
        },
        off={
            "first_pool": (0.05, 0.55),
            "last_pool": (0.3, 0.95),
            "costly_first_pool": (0.05, 0.55),
            "costly_last_pool": (0.3, 0.95),
            "earliest": 0.0,
            "extra_reductions": 2,
            "shortcuts": ("none", "every_layer", "every_second_layer", "dense"),
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
    ),
    Principle(
        "balanced_distribution",
        "Balanced distribution of widths",
        on={
            "tilt": (0.75, 1.25),
            "widest_to_narrowest": WIDEST_TO_NARROWEST,
            "least_of_mean": LEAST_OF_MEAN,
        },
        off={"tilt": (0.5, 3.0), "widest_to_narrowest": math.inf, "least_of_mean": 0.0},
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
            "tiny_placements": ("none",),  # what fits too little forgets nothing
        },
        off={
            "rate": (0.05, 0.7),
            "placements": ("none", "after_pooling", "every_layer", "before_classifier"),
            "none_up_to": math.inf,
            "small_rate": (0.05, 0.7),
            "small_placements": ("none", "after_pooling", "every_layer", "before_classifier"),
            "tiny_placements": ("none", "after_pooling", "every_layer", "before_classifier"),
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
    ),
    Principle(
        "pooling",
        "Max pooling rather than strides",
        on={"kinds": ("max", "max_plus_average", "max_beside_average")},
        off={"kinds": ("max", "max_plus_average", "max_beside_average", "average", "stride")},
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
    listed = isinstance(principles, Iterable) and not isinstance(principles, str)
    names = list(principles) if listed else [principles]
    for name in names:
        if name not in PRINCIPLES:
            raise ValueError(
                f"`principles` must be 'all' or names among {', '.join(PRINCIPLES)}."
                f"{nearest(str(name), PRINCIPLES)} Received: principles={principles!r}"
            )
    return tuple(principle for principle in _ALL if principle.name in names)
