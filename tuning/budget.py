"""Limits on what a network may cost, and chains of layers that are fitted to them by arithmetic.

The counts are those of `keras_archs.profile`: biases, four scalars for each channel of a
BatchNormalization and the classifier are parameters; multiply-adds of convolutions and of the
classifier are MACs.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from keras_archs.checks import count, is_count
from tuning.principles import Balance

LARGEST = 10**18  # of a limit
WIDEST = 65_536  # filters, the most that `SimpNet(rows=...)` takes in a row
_GROUP_SPREAD = 2  # filters between the layers of one group
_BISECTIONS = 16
_ANY = Balance()


class Cost(NamedTuple):
    """Parameters, and multiply-adds for one image."""

    params: int
    macs: int

    def __str__(self) -> str:
        return f"{self.params:,} parameters and {self.macs:,} MACs"


@dataclass(frozen=True)
class Budget:
    """The most that a network may cost.

    Attributes:
        params: limit on all scalars in its weights, statistics included; None for no limit.
        macs: limit on the multiply-adds for one image; None for no limit.

    Raises:
        ValueError: neither limit is given, or one is no integer in [1, 10**18].
    """

    params: int | None = None
    macs: int | None = None

    def __post_init__(self) -> None:
        for name, limit in (("params", self.params), ("macs", self.macs)):
            if limit is None:
                continue
            if not is_count(limit):
                raise ValueError(
                    f"`{name}` must be None or an integer >= 1. Received: {name}={limit!r}"
                )
            count(name, limit, most=LARGEST)
        if self.params is None and self.macs is None:
            raise ValueError("`Budget` must have `params`, `macs` or both. Received: neither")

    def allows(self, cost: Cost) -> bool:
        """Whether neither limit is exceeded."""
        return self.used(cost) <= 1

    def used(self, whole: Cost) -> float:
        """The share of the limit that binds, 1 at the limit."""
        pairs = (self.params, whole.params), (self.macs, whole.macs)
        return max(cost / limit for limit, cost in pairs if limit is not None)

    def scaled(self, share: float) -> "Budget":
        """A budget of this share of both limits, rounded down, at least 1."""
        limits = (self.params, self.macs)
        return Budget(*(limit and max(1, math.floor(limit * share)) for limit in limits))

    def too_small(self, smallest: Cost) -> ValueError:
        """The error that names the smallest network there is."""
        return ValueError(
            f"`budget` must allow at least {smallest}, the smallest possible network. "
            f"Received: budget={self!r}"
        )


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
    """

    kernels: Sequence[int]
    areas: Sequence[int]
    channels: int
    classes: int
    shortcuts: Sequence[int] = ()
    doubled: Collection[int] = ()

    def cost(self, widths: Sequence[int]) -> Cost:
        """What the chain costs with these numbers of filters in its layers."""
        params = macs = 0
        read = self.channels
        layers = zip(self.kernels, self.areas, widths, strict=True)
        for layer, (kernel, area, width) in enumerate(layers):
            weights = kernel * kernel * read * width
            params += weights + 5 * width
            macs += weights * area
            read = 2 * width if layer in self.doubled else width
        return Cost(params + (read + 1) * self.classes, macs + read * self.classes)

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
