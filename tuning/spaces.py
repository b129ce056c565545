"""Spaces: functions of a keras-tuner `hp` that return keyword arguments of a builder.

    kwargs = space(hp, input_shape=(32, 32, 3), classes=10, budget=Budget(params=300_000))
    model = keras_archs.SimpNet((32, 32, 3), 10, **kwargs)

They build nothing, and call no more of `hp` than Choice, Int, Float and Fixed, under the same names
for the same input shape and principles. Every sample is a valid network within the budget. A value
that `hp` was given beforehand is a ValueError where the space does not have it.
"""

import functools
import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

import keras_archs
from keras_archs.checks import choice, count, is_count, number
from keras_archs.registry import check_arch
from tuning.budget import Budget, Cost, Maps, Skeleton, fitted, scaled
from tuning.principles import LARGE, PRINCIPLES, Balance, chosen

# The paper's SimpNets by their parameters: filters of their groups, the mean where a group has
# several, and the layers of these groups.
PAPER = {
    300_000: (30, 40, 50, 58, 70, 90),
    600_000: (40, 60, 73.2, 81.5, 90, 120),
    1_000_000: (60, 80, 88, 110, 127, 150),
    5_500_000: (66, 128, 192, 288, 355, 432),
    8_900_000: (128, 182, 182, 430, 455, 600),
}
DEPTHS = (1, 3, 5, 2, 1, 1)
_MAIN = 5_500_000  # parameters of the main network
_GROUPS = range(1, len(DEPTHS) + 1)

_LAST_SIDE = 8  # pixels of the last map, about, as the paper's networks have it
_MOST_REDUCTIONS = 5
_USUAL_REDUCTIONS = 2  # of the paper's networks
_LATE_DROPOUT = 1.5  # times the rate from the last reduction on: 0.2 and 0.3 in the paper
_HIGHEST_DROPOUT = 0.9
_SMALL = 500_000  # parameters: the paper's 300K have no dropout or 0.1 after poolings, 600K 0.1
_TINY = 150_000  # parameters: half of the paper's smallest; measured at 60,000

_POOLS = {  # in rows
    "max": " max2/2/0",
    "average": " avg2/2/0",
    "max_plus_average": " max+avg2/2/0",
    "max_beside_average": " max|avg2/2/0",
    "stride": "",
}
_BACK = {  # layers that a shortcut goes around
    "none": 0,
    "every_layer": 1,
    "every_second_layer": 2,
    "dense": 1,  # what it brings stands beside the layer's own map instead of being added
}


# --------------------------------------------------------------------------------- hyperparameters


def _int(hp, name, bounds, default) -> int:
    low, high = bounds
    value = hp.Fixed(name, low) if low == high else hp.Int(name, low, high, default=default)
    return count(name, value, low, high)


def _float(hp, name, bounds, step, default) -> float:
    low, high = bounds
    value = (
        hp.Fixed(name, low)
        if low == high
        else hp.Float(name, low, high, step=step, default=default)
    )
    if isinstance(value, float):
        value = round(value, 9)  # keras-tuner adds up steps: 0.8500000000000001
    return number(name, value, least=low, most=high)


def _choice(hp, name, values, default):
    if len(values) == 1:
        value = hp.Fixed(name, values[0])
    else:
        value = hp.Choice(name, list(values), default=default if default in values else values[0])
    return choice(name, value, values)


def _bounds(principles) -> dict[str, Any]:
    """The bounds of all principles: those that bind are on."""
    wanted = chosen(principles)
    bounds = {}
    for principle in PRINCIPLES.values():
        bounds |= principle.on if principle in wanted else principle.off
    return bounds


def _odd(low: int, high: int) -> list[int]:
    return list(range(low, high + 1, 2))


def _whole(number: float) -> int:
    return math.floor(number + 0.5)


# ------------------------------------------------------------------------------------ the structure


def _reduced(reductions, kind, layer) -> int:
    """How often the map that a layer writes has been reduced; pooling comes after its layer."""
    return (bisect_right if kind == "stride" else bisect_left)(reductions, layer)


@dataclass
class _Structure:
    """A chain but for its widths.

    Attributes:
        kernels: sides of the layers' kernels in pixels.
        profile: relative widths of the layers.
        reductions: positions, from 1, of the layers with or after which the map is reduced.
        kind: how, a key of `_POOLS`.
        shortcuts: how many layers each goes around, where it fits; 0 for none.
        dense: whether maps stand side by side at their ends, instead of being added.
    """

    kernels: list[int]
    profile: list[float]
    reductions: list[int]
    kind: str
    shortcuts: int = 0
    dense: bool = False

    def back(self) -> list[int]:
        """For each layer how many layers before it the map is that a shortcut brings, or 0.

        Layers from one map to the other are of one group, and both maps of one shape.
        """
        found, free = [], 1  # the first layer from which the next shortcut may start
        doubled = self.reductions if self.kind == "max_beside_average" else ()
        for layer in range(1, len(self.profile) + 1):
            start = layer - self.shortcuts
            fits = (
                free <= start < layer
                and start not in doubled
                and len(set(self.profile[start - 1 : layer])) == 1
                and bisect_right(self.reductions, start)
                == _reduced(self.reductions, self.kind, layer)
            )
            found.append(self.shortcuts * fits)
            free = layer if fits else free
        return found

    def skeleton(self, input_shape, classes, budget=None) -> Skeleton:
        """Its costs are those that the budget limits."""
        height, width, channels = input_shape
        areas = []
        for layer in range(1, len(self.kernels) + 1):
            factor = 2 ** _reduced(self.reductions, self.kind, layer)
            areas.append(math.ceil(height / factor) * math.ceil(width / factor))
        side_by_side = self.kind == "max_beside_average"
        doubled = [layer - 1 for layer in self.reductions] if side_by_side else []
        maps = None if budget is None else self._maps(budget.memory, height, width)
        added, joined = ((), self.back()) if self.dense else (self.back(), ())
        return Skeleton(self.kernels, areas, channels, classes, added, doubled, joined, maps)

    def _maps(self, dtype, height, width) -> Maps | None:
        """What takes memory beside the layers; None where it is not counted in any `dtype`."""
        if dtype is None:
            return None
        pooled, padded = {}, {}
        for times, layer in enumerate(self.reductions):
            sides = [math.ceil(side / 2**times) for side in (height, width)]
            if self.kind != "stride":
                pooled[layer - 1] = math.prod(math.ceil(side / 2) for side in sides)
                continue
            kernel = self.kernels[layer - 1]
            # LiteRT's convolution adds as many zeros on both sides by itself where sides are odd.
            by_itself = dtype == "int8" and all(side % 2 for side in sides)
            if kernel > 1 and not by_itself:
                padded[layer - 1] = math.prod(side + 2 * (kernel // 2) for side in sides)
        poolings = 2 if self.kind in ("max_plus_average", "max_beside_average") else 1
        return Maps(dtype, height * width, pooled, poolings, padded)

    def rows(self, widths, placement, rate) -> list[str]:
        """The chain in the language of `SimpNet(rows=...)`."""
        depth = len(widths)
        late = self.reductions[-1] if self.reductions else depth + 1
        late_rate = min(_HIGHEST_DROPOUT, round(_LATE_DROPOUT * rate, 3))
        head_rate = late_rate if self.reductions else rate
        rows, layers = [], zip(widths, self.kernels, self.back(), strict=True)
        for layer, (width, kernel, back) in enumerate(layers, start=1):
            reduces = layer in self.reductions
            stride = 2 if reduces and self.kind == "stride" else 1
            drops = {"every_layer": layer < depth, "after_pooling": reduces}.get(placement, False)
            rows.append(
                f"{width} {kernel}/{stride}/{kernel // 2} bn"
                + f" add{back}" * (back > 0 and not self.dense)
                + " relu"
                + f" cat{back}" * (back > 0 and self.dense)
                + _POOLS[self.kind] * reduces
                + f" drop{late_rate if layer >= late else rate:g}" * drops
            )
        return [*rows, "gmp dense" if placement == "none" else f"gmp drop{head_rate:g} dense"]


def _positions(count, depth, first, last, earliest) -> list[int]:
    """`count` increasing positions of layers, from `first` to `last` of the depth."""
    start = max(1, math.ceil(earliest * depth), _whole(first * depth))
    end = _whole(last * depth)
    found, previous = [], 0
    for at in range(count):
        even = start + at * (end - start) / max(1, count - 1)
        previous = max(previous + 1, min(_whole(even), depth - count + at))
        found.append(previous)
    return found


def _reduction_range(bounds, side) -> tuple[int, int]:
    """How many reductions leave a map of about 8 pixels, are possible and suit the depth."""
    shallowest = sum(low for low, _ in bounds["depths"])
    halvings = math.ceil(math.log2(side))
    room = shallowest - max(1, math.ceil(bounds["earliest"] * shallowest))
    most = min(_MOST_REDUCTIONS, halvings, room)
    usual = max(0, _whole(math.log2(side / _LAST_SIDE)))
    return min(usual, most), min(usual + bounds["extra_reductions"], most)


def _group_kernels(kernels, depths, reductions, kind, bounds) -> list[int]:
    """Each layer's kernel: its group's, but that none returns to a size at one resolution."""
    total, found, at_resolution = sum(depths), [], {}
    for kernel, depth in zip(kernels, depths, strict=True):
        first = len(found) + 1
        if first <= bounds["spatial_part"] * total:
            kernel = max(kernel, bounds["smallest_early_kernel"])
        seen = at_resolution.setdefault(_reduced(reductions, kind, first), set())
        if kernel in seen:
            kernel = found[-1]
        for layer in range(first, first + depth):
            at_resolution.setdefault(_reduced(reductions, kind, layer), set()).add(kernel)
        found += [kernel] * depth
    return found


def _layer_kernels(kernels, bounds) -> list[int]:
    """Each layer's kernel, large enough where it is early."""
    early = bounds["spatial_part"] * len(kernels)
    smallest = bounds["smallest_early_kernel"]
    return [max(k, smallest) if at <= early else k for at, k in enumerate(kernels, start=1)]


def _profile(params, depths, factors, expansion, tilt, late, bounds) -> list[float]:
    """Relative widths of the layers of a network with about this number of parameters.

    `late` is the last layer that `tilt` leaves alone.
    """
    paper = PAPER[min(PAPER, key=lambda size: abs(math.log(size / params)))]
    mean = sum(map(operator.mul, paper, DEPTHS)) / sum(DEPTHS)
    groups = [mean * (width / mean) ** expansion for width in paper]
    plain = [w for w, depth in zip(groups, depths, strict=True) for _ in range(depth)]
    profile = [
        width * factor * (tilt if layer > late else 1)
        for layer, (width, factor) in enumerate(zip(plain, factors, strict=False), start=1)
    ]
    return profile if bounds["may_shrink"] else list(accumulate(profile, max))


class _Usual(NamedTuple):
    """Where the default point lies.

    Attributes:
        params: about how many parameters the networks have.
        costly: whether these are few and multiply-adds bind.
        expansion, first_pool, last_pool, shortcuts: its hyperparameters.
    """

    params: float
    costly: bool = False
    expansion: float = 1.0
    first_pool: float = 0.4
    last_pool: float = 0.75
    shortcuts: str = "every_second_layer"


def _sampled_structure(hp, bounds, side, usual: _Usual) -> _Structure:
    params = usual.params
    depths = [
        _int(hp, f"depth_{group}", limits, default)
        for group, limits, default in zip(_GROUPS, bounds["depths"], DEPTHS, strict=True)
    ]
    total, deepest = sum(depths), sum(high for _, high in bounds["depths"])
    costly = "costly_" * usual.costly
    span = bounds[f"{costly or 'small_' * (params <= LARGE)}expansion"]
    expansion = _float(hp, "expansion", span, 0.25, usual.expansion)
    tilt = _float(hp, "tilt", bounds["tilt"], 0.25, 1.0)
    fewest, most = _reduction_range(bounds, side)
    count = _int(hp, "reductions", (fewest, most), min(max(fewest, _USUAL_REDUCTIONS), most))
    first = _float(hp, "first_pool", bounds[f"{costly}first_pool"], 0.05, usual.first_pool)
    last = _float(hp, "last_pool", bounds[f"{costly}last_pool"], 0.05, usual.last_pool)
    kind = _choice(hp, "pooling", bounds["kinds"], "max")
    around = _choice(hp, "shortcuts", bounds["shortcuts"], usual.shortcuts)
    reductions = _positions(count, total, first, last, bounds["earliest"])
    early, late = bounds["smallest_early_kernel"], bounds["smallest_late_kernel"]
    largest = bounds["largest_kernel"]
    if bounds["per_layer"]:
        layers, sizes = range(1, deepest + 1), _odd(min(early, late), largest)
        kernels = [_choice(hp, f"layer_kernel_{layer}", sizes, 3) for layer in layers]
        kernels = _layer_kernels(kernels[:total], bounds)
        span = bounds["layer_width"]
        factors = [_float(hp, f"layer_width_{layer}", span, 0.25, 1.0) for layer in layers]
    else:
        smallest = [early] * 4 + [late] * 2
        kernels = [
            _choice(hp, f"kernel_{group}", _odd(low, largest), 3)
            for group, low in zip(_GROUPS, smallest, strict=True)
        ]
        kernels = _group_kernels(kernels, depths, reductions, kind, bounds)
        factors = [1.0] * total
    after = reductions[-1] if reductions else total
    profile = _profile(params, depths, factors, expansion, tilt, after, bounds)
    dense = around == "dense"
    return _Structure(kernels, profile, reductions, kind, _BACK[around], dense)


def _cheapest_structure(bounds, side, params) -> _Structure:
    """The one of the space that costs least with one filter a layer."""
    depths = [low for low, _ in bounds["depths"]]
    total = sum(depths)
    first, _ = bounds["first_pool"]
    _, most = _reduction_range(bounds, side)
    reductions = _positions(most, total, first, first, bounds["earliest"])
    kind = "stride" if "stride" in bounds["kinds"] else "max"
    early, late = bounds["smallest_early_kernel"], bounds["smallest_late_kernel"]
    kernels = [early] * 4 + [late] * 2
    kernels = _group_kernels(kernels, depths, reductions, kind, bounds)
    profile = _profile(params, depths, [1.0] * total, 1.0, 1.0, total, bounds)
    return _Structure(kernels, profile, reductions, kind)


# ---------------------------------------------------------------------------------------- the space


def _check(input_shape, classes, budget):
    shaped = isinstance(input_shape, (tuple, list)) and len(input_shape) == 3
    if not shaped or not all(map(is_count, input_shape)):
        raise ValueError(
            "`input_shape` must be (height, width, channels) of integers >= 1. "
            f"Received: input_shape={input_shape!r}"
        )
    if not is_count(classes):
        raise ValueError(f"`classes` must be an integer >= 1. Received: classes={classes!r}")
    if not (budget is None or isinstance(budget, Budget)):
        raise ValueError(f"`budget` must be None or a tuning.Budget. Received: budget={budget!r}")


class _Defaults:
    """An `hp` at its default point."""

    def Int(self, name, low, high, default):
        return default

    def Float(self, name, low, high, step, default):
        return default

    def Choice(self, name, values, default):
        return default

    def Fixed(self, name, value):
        return value


@functools.lru_cache
def _usual(budget, input_shape, classes) -> _Usual:
    """Where the default point of a budget lies; without one it is the paper's network."""
    if budget is None:
        return _Usual(_MAIN, shortcuts="none")
    params, costly = budget.params, False
    if params is None or any(budget.limits[1:]):
        side = min(input_shape[:2])
        structure = _sampled_structure(_Defaults(), _bounds("all"), side, _Usual(_MAIN))
        skeleton = structure.skeleton(input_shape, classes, budget)
        if not budget.allows(skeleton.smallest):
            return _Usual(skeleton.smallest.params)
        cost = skeleton.cost(fitted(skeleton, structure.profile, budget))
        params = cost.params
        costly = budget.macs is not None and budget.used(cost) == cost.macs / budget.macs
    if params >= _TINY:
        return _Usual(params)
    if costly:
        return _Usual(params, True, first_pool=0.3, last_pool=0.65, shortcuts="dense")
    return _Usual(params, expansion=0.5)


def _dropout(hp, bounds, params) -> tuple[str, float]:
    """Where it stands and its rate, in networks with about this number of parameters."""
    if params <= _SMALL:
        placements = bounds["tiny_placements" if params < _TINY else "small_placements"]
        placement = _choice(hp, "dropout_placement", placements, "none")
        if placements == ("none",):
            return placement, 0.0
        return placement, _float(hp, "dropout_rate", bounds["small_rate"], 0.05, 0.1)
    placements = list(bounds["placements"])
    if params > bounds["none_up_to"]:
        placements.remove("none")
    placement = _choice(hp, "dropout_placement", placements, "every_layer")
    return placement, _float(hp, "dropout_rate", bounds["rate"], 0.05, 0.2)


def _widths(profile, skeleton, budget, share, bounds) -> list[int]:
    """Widths that use this share of the budget up, as balanced as networks of that size are."""

    def within(balance: Balance) -> list[int]:
        if budget is None:
            return scaled(profile, share, balance)
        return fitted(skeleton, profile, budget.scaled(share), balance)

    balance = Balance(bounds["widest_to_narrowest"])
    widths = within(balance)
    if skeleton.cost(widths).params > LARGE:
        return widths
    balance = balance._replace(of_mean=bounds["least_of_mean"])
    return widths if balance.allows(widths) else within(balance)


def space(
    hp: Any,
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    budget: Budget | None = None,
    principles: str | Iterable[str] = "all",
) -> dict[str, Any]:
    """A chain of convolutions that obeys SimpNet's principles and uses the budget up.

    The default point without a budget is the paper's SimpNet, for images of about 32x32. With one,
    widths go by the paper's network of the nearest size (flatter below 150,000 parameters), and
    shortcuts around two layers each stand where maps are equal within a group: they cost nothing,
    and hold those layers at one width. Where multiply-adds bind below 150,000 parameters, maps are
    reduced as early as the principles have it, widths grow, and groups are dense; samples stay near
    that. Below 150,000 parameters nothing is dropped.

    A sample never exceeds a limit; it uses at least 97 % of the one that binds, but where a limit
    on MACs leaves layers fewer than 4 filters, and where the memory of activations binds, which a
    filter more in one early layer may exceed. Where one filter a layer is too much for the depth,
    kernels and poolings that were sampled, the cheapest ones take their place.

    Args:
        hp: a `keras_tuner.HyperParameters`, or anything with its Choice, Int, Float and Fixed.
        input_shape: `(height, width, channels)` of the images in pixels.
        classes: number of classes, at least 1.
        budget: limits on parameters, MACs and memory; None leaves the widths the paper's.
        principles: "all", or the names of those of `tuning.principles` that bind; each that does
            not widens the space.

    Returns:
        `{"rows": [...]}`, for `keras_archs.SimpNet(input_shape, classes, **kwargs)`.

    Raises:
        ValueError: an argument is outside the range given above, or the budget is too small for any
            network; the message names the smallest.
    """
    _check(input_shape, classes, budget)
    bounds = _bounds(principles)
    side, shape = min(input_shape[:2]), tuple(input_shape)
    usual = _usual(budget, shape, classes)
    structure = _sampled_structure(hp, bounds, side, usual)
    placement, rate = _dropout(hp, bounds, usual.params)
    share = _float(hp, "share", bounds["share"], 0.05, 1.0)
    skeleton = structure.skeleton(shape, classes, budget)
    if budget is not None and not budget.scaled(share).allows(skeleton.smallest):
        structure, share = _cheapest_structure(bounds, side, usual.params), 1.0
        skeleton = structure.skeleton(shape, classes, budget)
        if not budget.allows(skeleton.smallest):
            raise budget.too_small(skeleton.smallest)
    widths = _widths(structure.profile, skeleton, budget, share, bounds)
    if placement == "none" and skeleton.cost(widths).params > bounds["none_up_to"]:
        placement = "after_pooling"  # it came out larger than networks of this budget usually do
    return {"rows": structure.rows(widths, placement, rate)}


space.arch = "simpnet"


def _depths(end: int) -> dict[str, int]:
    off = PRINCIPLES["gradual_expansion"].off["depths"]
    return {f"depth_{group}": limits[end] for group, limits in zip(_GROUPS, off, strict=True)}


def _kernels(size: int, groups: Iterable[int]) -> dict[str, int]:
    return {f"kernel_{group}": size for group in groups}


_LAYERS = range(1, sum(DEPTHS) + 1)
_SETTINGS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "gradual_expansion": {
        "growing widths": {},
        "even widths": {"expansion": 0.0},
        "shrinking widths": {"expansion": -0.5},
        "shallow": _depths(0),
        "deep": _depths(1),
    },
    "homogeneous_groups": {
        "homogeneous": {},
        "alternating kernels": {f"layer_kernel_{i}": (1, 3)[i % 2] for i in _LAYERS},
        "alternating widths": {f"layer_width_{i}": (1.5, 0.5)[i % 2] for i in _LAYERS},
    },
    "correlation_preservation": {
        "3x3": {},
        "1x1 first": _kernels(1, (1, 2)),
        "1x1 middle": _kernels(1, (3,)),
        "1x1 last": _kernels(1, (5, 6)),
    },
    "maximum_information": {
        "a shortcut a pair": {"shortcuts": "every_second_layer"},
        "a shortcut a layer": {"shortcuts": "every_layer"},
        "a dense group": {"shortcuts": "dense"},
        "no shortcuts": {"shortcuts": "none"},
        "early pooling": {"first_pool": 0.1, "last_pool": 0.5},
        "late pooling": {"first_pool": 0.55, "last_pool": 0.85},
    },
    "maximum_performance": {
        "3x3": {},
        "5x5": _kernels(5, _GROUPS),
        "7x7": _kernels(7, _GROUPS),
    },
    "balanced_distribution": {
        "balanced": {},
        "wide end": {"tilt": 2.0},
        "wider end": {"tilt": 3.0},
    },
    "dropout": {
        placement: {"dropout_placement": placement}
        for placement in ("none", "after_pooling", "every_layer", "before_classifier")
    },
    "pooling": {
        "max": {},
        "max plus average": {"pooling": "max_plus_average"},
        "max beside average": {"pooling": "max_beside_average"},
        "average": {"pooling": "average"},
        "stride": {"pooling": "stride"},
    },
}


def settings(
    principle: str, *, input_shape: tuple[int, int, int] = (32, 32, 3)
) -> list[tuple[str, dict[str, Any]]]:
    """What is compared when this principle alone varies, all at the same budget.

    Args:
        principle: a name of `tuning.principles`; not "isolation", which is the method itself.
        input_shape: `(height, width, channels)` of the images in pixels.

    Returns:
        A label and the hyperparameters that differ from the default point of
        `space(..., principles=[all but this one])`, for each setting. The first is what that point
        has at a budget of parameters.

    Raises:
        ValueError: the name is unknown or "isolation", or images are too small to be reduced and
            the principle is about that.
    """
    (found,) = chosen([principle])
    _check(input_shape, 1, None)
    if found.name == "isolation":
        raise ValueError(
            "`isolate` must be a principle that can vary: isolation is the method. "
            f"Received: isolate={principle!r}"
        )
    reduces = _reduction_range(_bounds("all"), min(input_shape[:2]))[0] > 0
    if found.name in ("pooling", "maximum_information") and not reduces:
        raise ValueError(
            f"`input_shape` must be large enough to be reduced for isolate={principle!r}. "
            f"Received: input_shape={input_shape!r}"
        )
    return [(label, dict(values)) for label, values in _SETTINGS[found.name].items()]


# ------------------------------------------------------------------------ registered architectures

_ALPHA_STEPS = 1_000  # to 1, of the largest alpha that fits
_ALPHAS = (0.25, 2.0)
_RHOS = (0.5, 0.625, 0.75, 0.875, 1.0)
_DROPOUTS = ("paper", "0", "0.1", "0.2", "0.3", "0.4", "0.5")


@dataclass(frozen=True)
class ArchSpace:
    """The space over one registered architecture's `alpha`, `dropout` and, if asked for, `rho`.

    Attributes:
        arch: its name, as `keras_archs.list_archs` spells it.
        own: arguments of the family's own that are fixed.
        rho: whether it varies; else it is 1.
    """

    arch: str
    own: Mapping[str, Any] = field(default_factory=dict)
    rho: bool = False
    # The costs that were computed.
    _found: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(
        self,
        hp: Any,
        *,
        input_shape: tuple[int, int, int] | None = None,
        classes: int | None = None,
        budget: Budget | None = None,
    ) -> dict[str, Any]:
        """Keyword arguments of the builder but for `input_shape` and `classes`.

        `alpha` is at most the largest, to 0.001, that fits the budget at the `rho` that was
        sampled; where none fits, a smaller `rho` takes its place, if it varies.

        Args:
            hp: a `keras_tuner.HyperParameters`, or anything with its Choice, Float and Fixed.
            input_shape: `(height, width, channels)` in pixels; None for the paper's.
            classes: number of classes; None for the paper's.
            budget: limits on parameters, MACs and memory, None for no limits.

        Raises:
            ValueError: the image or the budget is too small for any network; the message names the
                smallest.
        """
        info = keras_archs.info(self.arch)
        shape = info.input_shape_for(**self.own) if input_shape is None else input_shape
        _check(shape, 1 if classes is None else classes, budget)
        rhos = self._rhos(tuple(shape))
        scales = self._scales()
        alpha = _float(hp, "alpha", _ALPHAS if scales else (1.0, 1.0), 0.05, 1.0)
        rho = _float(hp, "rho", (rhos[0], rhos[-1]), 0.125, 1.0)
        dropout = _choice(hp, "dropout", _DROPOUTS, _DROPOUTS[0])
        if budget is not None:
            alpha, rho = self._capped(alpha, rho, rhos, (tuple(shape), classes, budget), scales)
        dropped = info.dropout if dropout == "paper" else float(dropout)
        return {**self.own, "alpha": alpha, "rho": rho, "dropout": dropped}

    def _rhos(self, shape) -> list[float]:
        smallest = keras_archs.info(self.arch).min_size_for(**self.own)
        rhos = [rho for rho in _RHOS if min(_whole(side * rho) for side in shape[:2]) >= smallest]
        if not rhos:
            raise ValueError(
                f"`input_shape` must be at least {smallest}x{smallest} for {self.arch}. "
                f"Received: input_shape={shape}"
            )
        return rhos if self.rho else rhos[-1:]

    def _scales(self) -> bool:
        """Whether the architecture takes other widths with these arguments."""
        if not self.own:
            return True
        if "scales" not in self._found:
            try:
                keras_archs.profile(self.arch, alpha=0.5, **self.own)
                self._found["scales"] = True
            except ValueError:
                self._found["scales"] = False
        return self._found["scales"]

    def _cost(self, alpha, rho, shape, classes, dtype) -> Cost:
        """With the memory in this dtype; without where it is None."""
        key = alpha, rho, shape, classes, dtype
        if key not in self._found:
            arguments = {"input_shape": shape, "classes": classes, **self.own}
            arguments |= {"alpha": alpha, "rho": rho}
            profile = keras_archs.profile(self.arch, **arguments)
            counted = profile
            if dtype == "int8":
                counted = keras_archs.deployment(self.arch, dtype, **arguments)
            memory = counted.peak_activation_bytes, counted.weight_bytes
            self._found[key] = Cost(profile.params, profile.macs, *(memory if dtype else ()))
        return self._found[key]

    def _capped(self, alpha, rho, rhos, case, scales) -> tuple[float, float]:
        shape, classes, budget = case
        rest = shape, classes, budget.memory
        for smaller in reversed([other for other in rhos if other <= rho]):
            if scales:
                if largest := self._largest(smaller, case):
                    return self._fitting(min(alpha, largest), smaller, case), smaller
            elif budget.allows(self._cost(alpha, smaller, *rest)):
                return alpha, smaller
        least = 1 / _ALPHA_STEPS if scales else alpha
        raise budget.too_small(self._cost(least, rhos[0], *rest))

    def _fitting(self, alpha, rho, case) -> float:
        """This alpha, or the next smaller one that fits: LiteRT may find a denser arrangement of
        larger maps."""
        shape, classes, budget = case
        while alpha > 1 / _ALPHA_STEPS and budget.memory == "int8":
            if budget.allows(self._cost(alpha, rho, shape, classes, budget.memory)):
                break
            alpha = round(alpha - 1 / _ALPHA_STEPS, 3)
        return alpha

    def _largest(self, rho, case) -> float | None:
        """The largest alpha of the space that fits, None where none does. Wider costs more."""
        shape, classes, budget = case
        key = "largest", rho, case
        if key not in self._found:
            low, high = 0, math.ceil(_ALPHAS[1] * _ALPHA_STEPS) + 1
            while high - low > 1:
                middle = (low + high) // 2
                alpha = middle / _ALPHA_STEPS
                if budget.allows(self._cost(alpha, rho, shape, classes, budget.memory)):
                    low = middle
                else:
                    high = middle
            self._found[key] = low / _ALPHA_STEPS if low else None
        return self._found[key]


def arch_space(arch: str, *, rho: bool = False, **own: Any) -> ArchSpace:
    """The space over `alpha`, `dropout` and, if asked for, `rho` of a registered architecture.

    The network's input stays as it is given, so that any tuner's data fit. With another `rho` it is
    smaller, and each trial's images must be resized to it, as `tuning.search` does.

    Args:
        arch: a name of `keras_archs.list_archs()`.
        rho: whether `rho` varies too, from 0.5 to 1.
        **own: arguments of its family's own that are fixed, such as `stem="small"`.

    Raises:
        ValueError: the name is unknown, or `rho` is no bool.
    """
    if not isinstance(rho, bool):
        raise ValueError(f"`rho` must be a bool. Received: rho={rho!r}")
    return ArchSpace(check_arch(arch).lower(), own, rho)
