"""Limits on what a network may cost, and chains of layers that are fitted to them by arithmetic.

The counts are those of `keras_archs.profile`: biases, four scalars for each channel of a
BatchNormalization and the classifier are parameters; multiply-adds of convolutions and of the
classifier are MACs. Memory in float32 is the profile's, too; in int8 it is that of the network that
LiteRT runs on a microcontroller, as `keras_archs.cost.deployment` counts it.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal, NamedTuple

from keras_archs.checks import choice, count, is_count
from keras_archs.memory import CHANNEL_BYTES, VALUE_BYTES, Step, arena_bytes, live_bytes
from tuning.principles import Balance

LARGEST = 10**18  # of a limit
WIDEST = 65_536  # filters, the most that `SimpNet(rows=...)` takes in a row
_GROUP_SPREAD = 2  # filters between the layers of one group
_BISECTIONS = 16
_ANY = Balance()


class Cost(NamedTuple):
    """Parameters, multiply-adds for one image, and memory in bytes; None where it is not counted.

    `peak_activation_bytes` are for one image.
    """

    params: int
    macs: int
    peak_activation_bytes: int | None = None
    weight_bytes: int | None = None

    def __str__(self) -> str:
        text = f"{self.params:,} parameters and {self.macs:,} MACs"
        if self.weight_bytes is None:
            return text
        return (
            f"{text}, {self.peak_activation_bytes:,} bytes of activations at once and "
            f"{self.weight_bytes:,} bytes of weights"
        )


@dataclass(frozen=True)
class Budget:
    """The most that a network may cost.

    Attributes:
        params: limit on all scalars in its weights, statistics included; None for no limit.
        macs: limit on the multiply-adds for one image; None for no limit.
        peak_activation_bytes: limit on the memory of the activations of one image: the SRAM of a
            microcontroller, less what its program needs. None for no limit.
        weight_bytes: limit on the memory of the weights: its flash, less the program and the names
            and operators in the network's file. None for no limit.
        dtype: in which memory is counted: "float32", as `keras_archs.profile` does, or "int8", as
            `keras_archs.cost.deployment` does.

    Raises:
        ValueError: no limit is given, one is no integer in [1, 10**18], or `dtype` is neither.
    """

    params: int | None = None
    macs: int | None = None
    peak_activation_bytes: int | None = None
    weight_bytes: int | None = None
    dtype: Literal["float32", "int8"] = "float32"

    def __post_init__(self) -> None:
        for name in Cost._fields:
            limit = getattr(self, name)
            if limit is None:
                continue
            if not is_count(limit):
                raise ValueError(
                    f"`{name}` must be None or an integer >= 1. Received: {name}={limit!r}"
                )
            count(name, limit, most=LARGEST)
        choice("dtype", self.dtype, VALUE_BYTES)
        if not any(self.limits):
            *others, last = (f"`{name}`" for name in Cost._fields)
            raise ValueError(
                f"`Budget` must have one or more of {', '.join(others)} and {last}. Received: none"
            )

    @property
    def limits(self) -> tuple[int | None, ...]:
        """In the order of `Cost`; None where there is none."""
        return tuple(getattr(self, name) for name in Cost._fields)

    @property
    def memory(self) -> str | None:
        """The dtype in which memory is to be counted; None where it has no limit."""
        return self.dtype if self.peak_activation_bytes or self.weight_bytes else None

    def allows(self, cost: Cost) -> bool:
        """Whether no limit is exceeded."""
        return self.used(cost) <= 1

    def used(self, whole: Cost) -> float:
        """The share of the limit that binds, 1 at the limit."""
        pairs: Iterable[Any] = zip(self.limits, whole, strict=True)
        return max(cost / limit for limit, cost in pairs if limit is not None)

    def scaled(self, share: float) -> "Budget":
        """A budget of this share of all limits, rounded down, at least 1."""
        pairs = zip(Cost._fields, self.limits, strict=True)
        limits = {name: max(1, math.floor(limit * share)) for name, limit in pairs if limit}
        return replace(self, **limits)

    def too_small(self, smallest: Cost) -> ValueError:
        """The error that names the smallest network there is."""
        return ValueError(
            f"`budget` must allow at least {smallest}, the smallest possible network. "
            f"Received: budget={self!r}"
        )


class Maps(NamedTuple):
    """What of a chain takes memory but no weights.

    Attributes:
        dtype: "float32" or "int8", as of `Budget`.
        pixels: of the input.
        pooled: pixels behind the poolings, by the layer, from 0, behind which they stand.
        poolings: how many stand there; the maps of two are added, but where `Skeleton.doubled`.
        padded: pixels of the map that is made for a layer by zeros around the one before it.
    """

    dtype: str
    pixels: int
    pooled: Mapping[int, int]
    poolings: int
    padded: Mapping[int, int]


class Skeleton(NamedTuple):
    """All of a chain of convolutions with bias and BatchNormalization but its widths.

    Attributes:
        kernels: sides of the layers' kernels in pixels.
        areas: pixels of the maps that the layers write.
        channels: of the input.
        classes: of the dense layer behind the global pooling.
        shortcuts: for each layer how many layers before it the map is that is added to its own, 0
            for none; nothing for a chain without. Sums cost nothing, but the layers from one map
            to the other have one width.
        doubled: layers, from 0, behind which two poolings stand side by side, so that what follows
            reads twice as many channels.
        joined: for each layer how many layers before it the map is that stands beside its own, 0
            for none; nothing for a chain without.
        maps: of which memory is counted; None: it is not.
    """

    kernels: Sequence[int]
    areas: Sequence[int]
    channels: int
    classes: int
    shortcuts: Sequence[int] = ()
    doubled: Collection[int] = ()
    joined: Sequence[int] = ()
    maps: Maps | None = None

    def written_channels(self, widths: Sequence[int]) -> list[int]:
        """Of the maps that the layers write, before any pooling."""
        found, written = [], []
        for layer, width in enumerate(widths):
            back = self.joined[layer] if self.joined else 0
            found.append(width + (written[layer - back] if back else 0))
            written.append(2 * found[-1] if layer in self.doubled else found[-1])
        return found

    def cost(self, widths: Sequence[int]) -> Cost:
        """What the chain costs with these numbers of filters in its layers."""
        params = macs = 0
        read = self.channels
        layers = zip(self.kernels, self.areas, widths, self.written_channels(widths), strict=True)
        for layer, (kernel, area, width, channels) in enumerate(layers):
            weights = kernel * kernel * read * width
            params += weights + 5 * width
            macs += weights * area
            read = 2 * channels if layer in self.doubled else channels
        params, macs = params + (read + 1) * self.classes, macs + read * self.classes
        if self.maps is None:
            return Cost(params, macs)
        weight_bytes = VALUE_BYTES["float32"] * params
        if self.maps.dtype == "int8":  # without normalisations
            channels = sum(widths) + self.classes
            kernels = params - 5 * sum(widths) - self.classes
            weight_bytes = kernels + CHANNEL_BYTES["int8"] * channels
        return Cost(params, macs, self._peak(widths, self.maps), weight_bytes)

    def _peak(self, widths: Sequence[int], maps: Maps) -> int:
        """Bytes of activations at once, of the layers of Keras or of the operations of LiteRT."""
        plain = maps.dtype == "float32"
        item, sizes, steps = VALUE_BYTES[maps.dtype], [], []

        def step(elements: int, *reads: int, in_place: bool = False) -> int:
            sizes.append(item * elements)
            if reads:
                steps.append(Step(reads, [len(sizes) - 1], in_place))
            return len(sizes) - 1

        read, written = self.channels, []
        image = x = step(maps.pixels * read)
        layers = zip(self.areas, widths, self.written_channels(widths), strict=True)
        for layer, (area, width, channels) in enumerate(layers):
            if layer in maps.padded:
                x = step(maps.padded[layer] * read, x)
            x = step(area * width, x)
            if plain:
                x = step(area * width, x)  # normalised
            if back := self.shortcuts[layer] if self.shortcuts else 0:
                x = step(area * width, x, written[layer - back], in_place=True)
            if plain:
                x = step(area * width, x)  # ReLU
            if back := self.joined[layer] if self.joined else 0:
                x = step(area * channels, x, written[layer - back])
            read = 2 * channels if layer in self.doubled else channels
            if layer in maps.pooled:
                pools = [step(maps.pooled[layer] * channels, x) for _ in range(maps.poolings)]
                together = {"in_place": True} if layer not in self.doubled else {}
                x = step(maps.pooled[layer] * read, *pools, **together) if pools[1:] else pools[0]
            written.append(x)
        for elements in (read, self.classes, self.classes):  # pooled, logits, probabilities
            x = step(elements, x)
        count_bytes = live_bytes if plain else arena_bytes
        return count_bytes(dict(enumerate(sizes)), [image], steps, [x])

    @property
    def smallest(self) -> Cost:
        """What it costs with one filter in every layer."""
        return self.cost([1] * len(self.kernels))

    @property
    def tied(self) -> list[range]:
        """The layers, from 0, in order: those together that shortcuts hold at one width."""
        found: list[range] = []
        for layer in range(len(self.kernels)):
            first = layer - (self.shortcuts[layer] if self.shortcuts else 0)
            while found and found[-1].stop > first:
                first = min(first, found.pop().start)
            found.append(range(first, layer + 1))
        return found


def scaled(profile: Sequence[float], alpha: float, balance: Balance = _ANY) -> list[int]:
    """Whole widths of about `alpha` times the profile's, the narrow ones raised to the balance."""
    widths = [min(WIDEST, max(1, math.floor(width * alpha + 0.5))) for width in profile]
    while not balance.allows(widths):
        narrowest = balance.narrowest(widths)
        widths = [max(width, narrowest) for width in widths]
    return widths


def fitted(
    skeleton: Skeleton, profile: Sequence[float], budget: Budget, balance: Balance = _ANY
) -> list[int]:
    """The widths of about this profile that use the budget up, to a few filters.

    The width multiplier is bisected; then layers get a filter more, from the last to the first and
    again, while they fit. Layers that shortcuts hold at one width get it together. Layers side by
    side of one width in the profile stay within 2 of each other, and this makes no layer wider than
    the next. Even one filter a layer must fit.

    Args:
        skeleton: of the chain.
        profile: relative widths of its layers, > 0; equal where `skeleton.tied` says so.
        budget: that `skeleton.smallest` fits.
        balance: of the widths.
    """
    low, high = 0.0, 1.0
    most = WIDEST / min(profile)
    while high < most and budget.allows(skeleton.cost(scaled(profile, high, balance))):
        low, high = high, 2 * high
    for _ in range(_BISECTIONS):
        alpha = (low + high) / 2
        if budget.allows(skeleton.cost(scaled(profile, alpha, balance))):
            low = alpha
        else:
            high = alpha
    return _topped_up(skeleton, profile, scaled(profile, low, balance), budget, balance)


def _topped_up(skeleton, profile, widths, budget, balance):
    group_of, at = {}, 0
    for _, members in groupby(profile):
        group = range(at, at := at + len(list(members)))
        group_of |= dict.fromkeys(group, group)
    raised = True
    while raised:
        raised = False
        for tied in reversed(skeleton.tied):
            last, wider = tied[-1], widths[tied[-1]] + 1
            if wider > min(WIDEST, min(widths[other] for other in group_of[last]) + _GROUP_SPREAD):
                continue
            follows = tied.stop < len(widths) and profile[last] <= profile[tied.stop]
            if follows and wider > widths[tied.stop]:
                continue
            more = [wider if layer in tied else width for layer, width in enumerate(widths)]
            if balance.allows(more) and budget.allows(skeleton.cost(more)):
                widths, raised = more, True
    return widths
