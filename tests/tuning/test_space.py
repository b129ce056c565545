"""The search spaces: every sample is valid, within its budget and true to its principles."""

import math
import random
import re
from itertools import pairwise

import keras_tuner
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

import keras_archs
import tuning
from keras_archs.families.chains import MOST_FILTERS, check_rows
from keras_archs.families.simpnet import (
    SIMPNET_1M,
    SIMPNET_5M,
    SIMPNET_9M,
    SIMPNET_300K,
    SIMPNET_600K,
    _rows,
)
from keras_archs.graph import without_values
from tuning import Budget, arch_space, space
from tuning.budget import WIDEST, Cost, Skeleton, fitted
from tuning.linting import CHECKS, _Chain, _Layer, _read, _Reduction
from tuning.principles import PRINCIPLES, Balance
from tuning.spaces import DEPTHS, PAPER

CASES = [  # input shape, classes, budget
    ((28, 28, 1), 10, Budget(params=20_000)),
    ((32, 32, 3), 10, Budget(params=60_000, macs=5_000_000)),
    ((32, 32, 3), 100, Budget(params=300_000)),
    ((96, 96, 3), 10, Budget(params=1_000_000, macs=100_000_000)),
    ((96, 96, 3), 100, Budget(params=5_000_000, macs=2_000_000_000)),
]
LIMITS = ("params", "macs", "peak_activation_bytes", "weight_bytes")
CIFAR = {"input_shape": (32, 32, 3), "classes": 10}


class Values:
    """An `hp` that takes the given values, else the defaults."""

    def __init__(self, **given):
        self.given, self.values, self.choices = given, {}, {}

    def pick(self, name, default, options):
        assert name not in self.values, f"{name} is asked for twice"
        assert default in options, f"{name}: the default is none of its values"
        self.choices[name] = options
        self.values[name] = self.given.get(name, default)
        assert self.values[name] in options, f"{name} has no {self.values[name]}"
        return self.values[name]

    def Choice(self, name, values, default):
        return self.pick(name, default, values)

    def Int(self, name, low, high, default):
        return self.pick(name, default, list(range(low, high + 1)))

    def Float(self, name, low, high, step, default):
        count = round((high - low) / step) + 1
        return self.pick(name, default, [round(low + at * step, 6) for at in range(count)])

    def Fixed(self, name, value):
        return self.pick(name, value, [value])


class Draw(Values):
    """An `hp` that draws all values from a seed."""

    def __init__(self, seed):
        super().__init__()
        self.random = random.Random(seed)

    def pick(self, name, default, options):
        self.given[name] = self.random.choice(options)
        return super().pick(name, default, options)


def layers_of(rows):
    """Filters, kernel, stride, padding and what follows, for each convolution."""
    for row in rows[:-1]:
        filters, geometry, *steps = row.split()
        yield int(filters), *map(int, geometry.split("/")), steps


def counted(rows, input_shape, classes):
    """Parameters and MACs of a chain, by its own arithmetic."""
    *sides, channels = input_shape
    params = macs = 0
    written = []
    for filters, kernel, stride, padding, steps in layers_of(rows):
        sides = [(side + 2 * padding - kernel) // stride + 1 for side in sides]
        weights = kernel**2 * channels * filters
        params, macs = params + weights + 5 * filters, macs + weights * math.prod(sides)
        channels = filters + sum(written[-int(s[3:])] for s in steps if s.startswith("cat"))
        if any("2/2/0" in step for step in steps):
            sides = [-(-side // 2) for side in sides]
            channels *= 2 if "max|avg2/2/0" in steps else 1
        written.append(channels)
    return params + (channels + 1) * classes, macs + channels * classes


def widths(rows):
    return [filters for filters, *_ in layers_of(rows)]


def binding(counts, budget):
    limits = budget.params or math.inf, budget.macs or math.inf
    return max(count / limit for count, limit in zip(counts, limits, strict=True))


def check_samples(case, count, built):
    input_shape, classes, budget = case
    short = 0
    for seed in range(count):
        rows = space(Draw(seed), input_shape=input_shape, classes=classes, budget=budget)["rows"]
        counts = counted(rows, input_shape, classes)
        assert binding(counts, budget) <= 1, seed
        short += binding(counts, budget) < 0.97
        if seed < built:
            profile = keras_archs.profile(
                "simpnet", input_shape=input_shape, classes=classes, rows=rows
            )
            assert (profile.params, profile.macs) == counts, seed
    assert short <= count / 100


# --------------------------------------------------------------------------------------- the budget


@pytest.mark.parametrize("case", CASES, ids=str)
def test_samples_use_the_budget_up_and_never_exceed_it(case):
    check_samples(case, 300, built=5)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_ten_thousand_samples_use_the_budget_up_and_never_exceed_it(case):
    check_samples(case, 10_000, built=100)


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    channels=st.integers(1, 5),
    classes=st.integers(1, 200),
    params=st.none() | st.integers(300, 3_000_000),
    macs=st.none() | st.integers(300, 10**9),
    binding_ones=st.just("all") | st.lists(st.sampled_from(sorted(PRINCIPLES)), unique=True),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_whatever_the_budget_a_sample_is_valid_and_within_or_none_is_possible(
    height, width, channels, classes, params, macs, binding_ones, seed
):
    if params is None and macs is None:
        params = 100_000
    budget, shape = Budget(params, macs), (height, width, channels)
    hp = Draw(seed)
    try:
        rows = space(hp, input_shape=shape, classes=classes, budget=budget, principles=binding_ones)
    except ValueError as error:
        assert "the smallest possible network" in str(error)
        smallest = [int(w.replace(",", "")) for w in str(error).split() if w[0].isdigit()][:2]
        assert binding(smallest, budget) > 1
        return
    check_rows(rows["rows"])
    counts = counted(rows["rows"], shape, classes)
    assert binding(counts, budget) <= 1
    if min(widths(rows["rows"])) >= 4:  # 97 % is for 99 of 100 samples, this is for each
        assert binding(counts, budget) >= 0.95 * hp.values["share"]


def test_layers_of_one_group_stay_within_two_filters_and_none_is_wider_than_the_next():
    for seed in range(100):
        hp = Draw(seed)
        rows = space(hp, **CIFAR, budget=Budget(params=100_000))["rows"]
        found = widths(rows)
        assert found == sorted(found)
        hp_depths = [hp.values[f"depth_{group}"] for group in range(1, 7)]
        pooled = [at for at, row in enumerate(rows) if "2/2/0" in row]
        tilted_from = pooled[-1] + 1
        start = 0
        for depth in hp_depths:
            group = range(start, start + depth)
            for part in (
                [at for at in group if at < tilted_from],
                [at for at in group if at >= tilted_from],
            ):
                assert not part or found[part[-1]] - found[part[0]] <= 2
            start += depth


def test_where_one_filter_a_layer_is_too_much_the_cheapest_structure_is_taken():
    for seed in range(20):
        rows = space_of(Draw(seed), budget=Budget(macs=52_000))
        assert counted(rows, (32, 32, 3), 10)[1] <= 52_000
        assert len(rows) - 1 == 9  # the smallest depths
    with pytest.raises(ValueError, match=r"at least 148 parameters and 49,290 MACs, the smallest"):
        space(Values(), **CIFAR, budget=Budget(macs=49_289))
    rows = space(Values(), **CIFAR, budget=Budget(macs=49_290))["rows"]
    assert widths(rows) == [1] * 9 and counted(rows, (32, 32, 3), 10) == (148, 49_290)


def test_a_budget_beyond_the_widest_rows_is_still_answered():
    rows = space(Values(), **CIFAR, budget=Budget(params=10**15))["rows"]
    check_rows(rows)
    assert max(widths(rows)) == WIDEST == MOST_FILTERS


def test_fitting_keeps_the_balance():
    skeleton = Skeleton([3] * 4, [64] * 4, 3, 10)
    for params in (2_000, 20_000, 200_000):
        free = fitted(skeleton, [1, 1, 1, 40], Budget(params))
        kept = fitted(skeleton, [1, 1, 1, 40], Budget(params), Balance(ratio=7.5))
        assert max(free) / min(free) > 7.5 >= max(kept) / min(kept)
        fed = fitted(skeleton, [1, 1, 1, 40], Budget(params), Balance(of_mean=0.4))
        assert min(free) < 0.4 * sum(free) / 4 and min(fed) >= 0.4 * sum(fed) / 4


def test_a_skeleton_counts_what_profile_counts():
    """Sums cost nothing; behind two poolings side by side twice the channels are read."""
    rows = [
        *("4 3/1/1 bn relu", "4 3/1/1 bn add1 relu max|avg2/2/0", "6 1/1/0 bn relu max+avg2/2/0"),
        *("6 5/1/2 bn relu", "6 3/1/1 bn add2 relu", "7 3/1/1 bn relu max|avg2/2/0", "gmp dense"),
    ]
    skeleton = Skeleton([3, 3, 1, 5, 3, 3], [96, 96, 24, 6, 6, 6], 3, 10, doubled=[1, 5])
    profile = keras_archs.profile("simpnet", input_shape=(12, 8, 3), classes=10, rows=rows)
    assert skeleton.cost([4, 4, 6, 6, 6, 7])[:2] == (profile.params, profile.macs)
    assert skeleton.cost([4, 4, 6, 6, 6, 7])[:2] == counted(rows, (12, 8, 3), 10)


def test_a_skeleton_counts_what_stands_side_by_side():
    rows = [
        *("4 3/1/1 bn relu", "5 3/1/1 bn relu cat1", "5 3/1/1 bn relu cat1 max|avg2/2/0"),
        *("6 3/1/1 bn relu", "6 3/1/1 bn relu cat1", "gmp dense"),
    ]
    skeleton = Skeleton([3] * 5, [96, 96, 96, 24, 24], 3, 10, doubled=[2], joined=[0, 1, 1, 0, 1])
    assert skeleton.written_channels([4, 5, 5, 6, 6]) == [4, 9, 14, 6, 12]
    profile = keras_archs.profile("simpnet", input_shape=(12, 8, 3), classes=10, rows=rows)
    assert skeleton.cost([4, 5, 5, 6, 6])[:2] == (profile.params, profile.macs)
    assert skeleton.cost([4, 5, 5, 6, 6])[:2] == counted(rows, (12, 8, 3), 10)


def test_layers_between_what_is_added_have_one_width():
    skeleton = Skeleton([3] * 9, [64] * 9, 3, 10, shortcuts=[0, 0, 0, 2, 0, 2, 1, 0, 1])
    assert skeleton.tied == [range(1), range(1, 7), range(7, 9)]
    for params in range(6_000, 9_000, 60):
        budget = Budget(params)
        found = fitted(skeleton, [1, *[2] * 6, *[3] * 2], budget)
        assert len(set(found[1:7])) == len(set(found[7:])) == 1
        assert budget.used(skeleton.cost(found)) > 0.94
    assert Skeleton([3] * 2, [64] * 2, 3, 10).tied == [range(1), range(1, 2)]


@pytest.mark.parametrize("bad", [0, -1, 1.0, True, "60k"])
@pytest.mark.parametrize("name", LIMITS)
def test_a_budget_is_of_whole_numbers(name, bad):
    with pytest.raises(ValueError, match=rf"^`{name}` must be None or an integer >= 1. Received"):
        Budget(**{name: bad})


@pytest.mark.parametrize("name", LIMITS)
def test_a_budget_is_no_more_than_any_network_costs(name):
    with pytest.raises(ValueError, match=rf"`{name}` must be an integer in \[1, 1000"):
        Budget(**{name: 10**400})


def test_a_budget_has_a_limit():
    wanted = "^`Budget` must have one or more of `params`, `macs`, `peak_activation_bytes` and `w"
    for none in ({}, {"dtype": "int8"}):
        with pytest.raises(ValueError, match=wanted):
            Budget(**none)


def test_memory_is_counted_in_a_dtype():
    with pytest.raises(ValueError, match="`dtype` must be one of 'float32', 'int8'"):
        Budget(weight_bytes=9, dtype="int4")
    assert Budget(params=9, dtype="int8").memory is None
    assert Budget(params=9, weight_bytes=9).memory == "float32"


# ------------------------------------------------------------------------------- microcontrollers

MICROCONTROLLERS = [  # input shape, classes, budget
    ((32, 32, 3), 10, Budget(peak_activation_bytes=48_000, weight_bytes=150_000, dtype="int8")),
    ((49, 40, 1), 12, Budget(params=60_000, peak_activation_bytes=32_000, dtype="int8")),
    ((32, 32, 3), 10, Budget(peak_activation_bytes=200_000, weight_bytes=400_000)),
]


def memory_of(arch, budget, **arguments):
    """All costs of a network, as the cost model counts them."""
    with without_values():
        model = keras_archs.build(arch, **arguments)
    profile = keras_archs.profile(model)
    counted = keras_archs.deployment(model) if budget.dtype == "int8" else profile
    memory = counted.peak_activation_bytes, counted.weight_bytes
    return Cost(profile.params, profile.macs, *memory)


@pytest.mark.parametrize("case", MICROCONTROLLERS)
@pytest.mark.parametrize("principles", ["all", ()])
def test_no_sample_exceeds_any_limit_of_a_microcontroller(case, principles):
    shape, classes, budget = case
    given = {"input_shape": shape, "classes": classes}
    full = 0.0
    for seed in range(2):
        rows = space(Draw(seed), **given, budget=budget, principles=principles)
        cost = memory_of("simpnet", budget, **given, **rows)
        assert budget.allows(cost), (seed, cost)
        full = max(full, budget.used(cost))
    assert principles or full > 0.3
    assert principles != "all" or full > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("case", MICROCONTROLLERS)
def test_a_chain_s_memory_is_what_the_cost_model_counts(case, monkeypatch):
    """The last cost that is asked for is that of the widths that are taken, or is refused."""
    shape, classes, budget = case
    given = {"input_shape": shape, "classes": classes}
    asked, cost_of = [], Skeleton.cost
    monkeypatch.setattr(
        Skeleton, "cost", lambda self, widths: asked.append(cost_of(self, widths)) or asked[-1]
    )
    for seed in range(12):
        asked.clear()
        rows = space(Draw(seed), **given, budget=budget, principles=("dropout",))
        assert memory_of("simpnet", budget, **given, **rows) in asked, rows


@pytest.mark.slow
def test_rho_gives_way_where_no_width_fits_the_memory():
    tight = Budget(peak_activation_bytes=1_500, dtype="int8")
    kwargs = arch_space("lenet5", rho=True)(Values(), input_shape=(40, 40, 1), budget=tight)
    cost = memory_of("lenet5", tight, input_shape=(40, 40, 1), **kwargs)
    assert kwargs["rho"] < 1 and cost.peak_activation_bytes <= 1_500
    wanted = "bytes of activations at once and .* bytes of weights, the smallest"
    with pytest.raises(ValueError, match=wanted):
        arch_space("lenet5")(Values(), input_shape=(40, 40, 1), budget=tight)


# ---------------------------------------------------------------------------------------- the space


def test_the_profiles_are_those_of_the_paper_s_networks():
    tables = (SIMPNET_300K, SIMPNET_600K, SIMPNET_1M, SIMPNET_5M, SIMPNET_9M)
    for groups, table in zip(PAPER.values(), tables, strict=True):
        left = iter(widths(_rows(table, None, None)))
        for width, depth in zip(groups, DEPTHS, strict=True):
            assert width == pytest.approx(sum(next(left) for _ in range(depth)) / depth)
        assert next(left, None) is None


@pytest.mark.parametrize("principles", ["all", [], ["pooling"]])
def test_the_default_point_is_the_paper_s_network(principles):
    kwargs = space(Values(), **CIFAR, principles=principles)
    assert kwargs == {"rows": _rows(SIMPNET_5M, None, None)}
    assert kwargs == space(keras_tuner.HyperParameters(), **CIFAR, principles=principles)
    own, published = (keras_archs.profile("simpnet", **k) for k in (kwargs, {}))
    assert own.params == published.params == 5_483_769 and own.rows == published.rows


@pytest.mark.parametrize("principles", ["all", []])
def test_the_same_names_are_asked_for_whatever_is_sampled_and_all_are_used(principles):
    names = {tuple(hp.values) for hp in map(Draw, range(50)) if space_of(hp, principles)}
    assert len(names) == 1
    hp = keras_tuner.HyperParameters()
    space_of(hp, principles)
    assert [parameter.name for parameter in hp.space] == list(names.pop())


def space_of(hp, principles="all", budget=None):
    return space(hp, **CIFAR, budget=budget, principles=principles)["rows"]


def test_values_that_keras_tuner_draws_make_networks():
    hp = keras_tuner.HyperParameters()
    space_of(hp, [])
    for seed in range(20):
        drawn = keras_tuner.HyperParameters()
        drawn.values = {p.name: p.random_sample(seed + at) for at, p in enumerate(hp.space)}
        rows = space_of(drawn, [], Budget(params=300_000))
        check_rows(rows)
        assert counted(rows, (32, 32, 3), 10)[0] <= 300_000


def chain_of(rows, params):
    """What `lint` reads from the network of these rows, read from their text."""
    chain = _Chain(params, residual=any(" add" in row or " cat" in row for row in rows))
    for at, (filters, kernel, stride, _, steps) in enumerate(layers_of(rows), start=1):
        if stride > 1:
            chain.reductions.append(_Reduction(f"conv{at}", "stride", at))
        chain.layers.append(_Layer((f"conv{at}",), filters, kernel, len(chain.reductions)))
        for step in steps:
            if "2/2/0" in step:
                both = "_max" if "avg" in step and "max" in step else ""
                kind = "max" if "max" in step else "average"
                chain.reductions.append(_Reduction(f"pool{at}{both}", kind, at))
            elif step.startswith("drop"):
                chain.dropouts.append((f"drop{at}", float(step[4:])))
    chain.head_dropouts += [("dropout", float(s[4:])) for s in rows[-1].split() if s[:4] == "drop"]
    return chain


@pytest.mark.parametrize(
    "case", [*CASES, ((16, 16, 1), 10, None), ((64, 24, 2), 3, Budget(macs=500_000_000))], ids=str
)
def test_a_sample_under_all_principles_lints_clean(case):
    input_shape, classes, budget = case
    for seed in range(12):
        kwargs = space(Draw(seed), input_shape=input_shape, classes=classes, budget=budget)
        with without_values():
            model = keras_archs.SimpNet(input_shape, classes, **kwargs)
        broken = [str(finding) for finding in tuning.lint(model) if not finding.advice]
        assert broken == [], (seed, kwargs)
        assert _read(model) == chain_of(kwargs["rows"], model.count_params())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_sample_of_five_hundred_breaks_a_principle(case):
    """`chain_of` stands for the network, which would take a tenth of a second to build."""
    input_shape, classes, budget = case
    shortcuts = 0
    for seed in range(100):
        rows = space(Draw(seed), input_shape=input_shape, classes=classes, budget=budget)["rows"]
        chain = chain_of(rows, counted(rows, input_shape, classes)[0])
        found = [(name, *finding) for name, check in CHECKS.items() for finding in check(chain)]
        assert [finding for finding in found if not finding[4:]] == [], (seed, rows)  # no advice
        shortcuts += chain.residual
    assert shortcuts > 20


def brought(rows, how="add"):
    """Pairs of the layers whose maps are added, or joined, from 0."""
    for at, row in enumerate(rows):
        for step in row.split():
            if step.startswith(how):
                yield at - int(step[3:]), at


@pytest.mark.parametrize("principles", ["all", []])
def test_shortcuts_go_around_equal_layers_of_one_map_and_their_widths_are_one(principles):
    kinds = set()
    for seed in range(200):
        hp = Draw(seed)
        rows = space_of(hp, principles, Budget(params=40_000))
        found, pairs = widths(rows), list(brought(rows))
        wanted = {"every_layer": 1, "every_second_layer": 2}.get(hp.values["shortcuts"], 0)
        assert {end - start for start, end in pairs} <= {wanted} - {0}
        for start, end in pairs:
            assert len(set(found[start : end + 1])) == 1
            assert not any("/2/" in row for row in rows[start + 1 : end])
        assert all(one[1] <= next_[0] for one, next_ in pairwise(pairs))
        kinds |= {(hp.values["shortcuts"], bool(pairs))}
        joined = list(brought(rows, "cat"))
        assert not joined or hp.values["shortcuts"] == "dense"
        assert all(
            end - start == 1 and abs(found[start] - found[end]) <= 2 for start, end in joined
        )
        kinds |= {("joined", bool(joined))}
    assert {
        ("none", False),
        ("every_layer", True),
        ("every_second_layer", True),
        ("joined", True),
    } <= kinds


@pytest.mark.parametrize(
    "shortcuts, wanted",
    [
        ("none", []),
        ("every_layer", [(1, 2), (2, 3), (4, 5), (5, 6), (6, 7), (7, 8), (9, 10)]),
        ("every_second_layer", [(1, 3), (4, 6), (6, 8)]),
    ],
)
def test_where_shortcuts_stand(shortcuts, wanted):
    """Groups have layers 1, 2 to 4, 5 to 9, 10 and 11, 12, 13; the map is pooled after 5 and 10."""
    assert list(brought(space_of(Values(shortcuts=shortcuts)))) == wanted
    kinds = [name for name in PRINCIPLES if name != "pooling"]
    strided = space_of(Values(shortcuts=shortcuts, pooling="stride"), kinds)
    assert list(brought(strided)) == wanted
    beside = space_of(Values(shortcuts=shortcuts, pooling="max_beside_average"))
    doubled = {"every_layer": [(4, 5), (9, 10)], "every_second_layer": [(4, 6), (6, 8)]}
    instead = {"every_second_layer": [(5, 7)]}.get(shortcuts, [])
    left = [pair for pair in wanted if pair not in doubled.get(shortcuts, [])]
    assert list(brought(beside)) == [*left, *instead]


def test_dense_groups_join_where_every_layer_would_add():
    added, joined = (
        list(brought(space_of(Values(shortcuts=kind)), how))
        for kind, how in (("every_layer", "add"), ("dense", "cat"))
    )
    assert added == joined


def test_the_default_point_at_a_budget_has_shortcuts_and_follows_the_network_of_its_size():
    for params, table in ((300_000, SIMPNET_300K), (5_500_000, SIMPNET_5M)):
        rows = space_of(Values(), budget=Budget(params=params))
        assert list(brought(rows)) == [(1, 3), (4, 6), (6, 8)]
        paper = widths(_rows(table, None, None))
        np.testing.assert_allclose(widths(rows), paper, rtol=0.05)


def test_the_default_point_of_a_tiny_budget_is_flatter_than_the_paper_s_smallest():
    rows = space(Values(), input_shape=(16, 16, 3), classes=10, budget=Budget(params=60_000))
    found = widths(rows["rows"])
    assert (found[0], found[-1]) == (19, 32) and sum("max2" in row for row in rows["rows"]) == 2
    assert list(brought(rows["rows"])) == [(1, 3), (4, 6), (6, 8)]


def test_where_multiply_adds_bind_the_default_point_reduces_early_grows_and_is_dense():
    budget = Budget(params=60_000, macs=2_100_000)
    rows = space(Values(), input_shape=(16, 16, 3), classes=10, budget=budget)["rows"]
    assert [at for at, row in enumerate(rows, start=1) if "max2" in row] == [4, 8]
    joined = [(1, 2), (2, 3), (4, 5), (5, 6), (6, 7), (7, 8), (9, 10)]
    assert list(brought(rows, "cat")) == joined
    params, macs = counted(rows, (16, 16, 3), 10)
    assert 43_000 < params < 60_000 and 0.97 * budget.macs < macs <= budget.macs
    for free in (Budget(params=60_000), Budget(params=60_000, macs=10_000_000)):
        rows = space(Values(), input_shape=(16, 16, 3), classes=10, budget=free)["rows"]
        assert list(brought(rows)) == [(1, 3), (4, 6), (6, 8)]


def test_no_layer_of_a_small_network_is_starved():
    """A layer has at least 0.4 of the mean width; without the principle some have less."""
    others = [name for name in PRINCIPLES if name != "balanced_distribution"]
    for principles, starved in (("all", False), (others, True)):
        found = (widths(space_of(Draw(s), principles, Budget(params=60_000))) for s in range(200))
        shares = [min(each) / (sum(each) / len(each)) for each in found]
        assert (min(shares) < 0.4) == starved


@pytest.mark.parametrize("side", [1, 2, 3, 5, 8, 16, 28, 33, 96, 224])
@pytest.mark.parametrize("principles", ["all", []])
def test_every_reduction_makes_the_map_smaller(side, principles):
    for seed in range(40):
        hp = Draw(seed)
        rows = space(hp, input_shape=(side, side + 3, 1), classes=2, principles=principles)["rows"]
        halvings = sum("2/2/0" in row or "/2/" in row for row in rows)
        assert halvings == hp.values["reductions"]
        assert 2 ** (halvings - 1) < max(side, 2)
        assert "2/0" not in rows[-2] or len(rows) == 2


def test_a_strided_convolution_takes_the_place_of_a_pooling():
    kinds = [name for name in PRINCIPLES if name != "pooling"]
    maximum, strided = (space_of(Values(pooling=kind), kinds) for kind in ("max", "stride"))
    for plain, row in zip(maximum, strided, strict=True):
        pooled = " max2/2/0" in plain
        wanted = plain.replace(" max2/2/0", "")
        assert row == (wanted.replace("3/1/1", "3/2/1") if pooled else wanted)


@pytest.mark.parametrize(
    "placement, wanted",
    [
        ("none", []),
        ("before_classifier", ["gmp drop0.3 dense"]),
        (
            "after_pooling",
            [
                *("192 3/1/1 bn relu max2/2/0 drop0.2", "288 3/1/1 bn relu max2/2/0 drop0.3"),
                "gmp drop0.3 dense",
            ],
        ),
    ],
)
def test_where_dropout_stands(placement, wanted):
    without = [name for name in PRINCIPLES if name != "dropout"]
    rows = space_of(Values(dropout_placement=placement), without)
    assert [row for row in rows if "drop" in row] == wanted


def test_large_networks_have_dropout():
    small, large = Values(), Values()
    space_of(small, budget=Budget(params=1_000_000))
    space_of(large, budget=Budget(params=1_000_001))
    assert set(small.choices["dropout_placement"]) - set(large.choices["dropout_placement"]) == {
        "none"
    }


@pytest.mark.parametrize(
    "budget",
    [Budget(params=500_000), Budget(params=5_000_000, macs=50_000_000), Budget(macs=50_000_000)],
    ids=["by parameters", "by the limit that binds", "by multiply-adds"],
)
def test_small_networks_have_little_dropout_or_none(budget):
    hp = Values()
    rows = space_of(hp, budget=budget)
    assert not any("drop" in row for row in rows)
    assert set(hp.choices["dropout_placement"]) == {"none", "after_pooling"}
    rows = space_of(Values(dropout_placement="after_pooling", dropout_rate=0.1), budget=budget)
    assert rates(rows) == [0.1, 0.15]


@pytest.mark.parametrize("budget", [Budget(params=149_999), Budget(macs=5_000_000)])
def test_tiny_networks_have_no_dropout(budget):
    hp = Values()
    assert not any("drop" in row for row in space_of(hp, budget=budget))
    assert hp.choices["dropout_placement"] == ["none"] and "dropout_rate" not in hp.choices


def test_where_multiply_adds_bind_tiny_networks_maps_are_reduced_early_and_widths_grow():
    free, costly = Values(), Values()
    space_of(free, budget=Budget(params=60_000))
    space_of(costly, budget=Budget(params=60_000, macs=5_000_000))
    for name in ("first_pool", "last_pool"):
        assert max(costly.choices[name]) < max(free.choices[name])
    assert min(costly.choices["expansion"]) > min(free.choices["expansion"])


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"input_shape": (32, 32)}, r"^`input_shape` must be \(height, width, channels\)"),
        ({"input_shape": (None, None, 3)}, r"^`input_shape` must be \(height, width, channels\)"),
        ({"classes": 0}, "^`classes` must be an integer >= 1. Received: classes=0"),
        ({"budget": 60_000}, "^`budget` must be None or a tuning.Budget. Received: budget=60000"),
        ({"principles": ["poling"]}, "Did you mean 'pooling'"),
        ({"principles": "poling"}, "Did you mean 'pooling'"),
    ],
)
def test_wrong_arguments_of_a_space_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        space(Values(), **{**CIFAR, **wrong})


@pytest.mark.parametrize(
    "sampled, name, value, wanted",
    [
        (space, "depth_3", 20, "an integer in [3, 6]"),
        (space, "depth_3", 3.5, "an integer in [3, 6]"),
        (space, "reductions", 9, "an integer in [2, 3]"),
        (space, "kernel_1", 4, "one of 3."),
        (space, "kernel_5", 2, "one of 1, 3."),
        (space, "expansion", -0.5, "in [0.5, 1.25]"),
        (space, "tilt", "wide", "in [0.75, 1.25]"),
        (space, "first_pool", math.nan, "in [0.3, 0.55]"),
        (space, "pooling", "bogus", "one of 'max', 'max_plus_average', 'max_beside"),
        (
            space,
            "shortcuts",
            "every",
            "one of 'none', 'every_layer', 'every_second_layer', 'dense'.",
        ),
        (space, "dropout_rate", 0.9, "in [0.05, 0.3]"),
        (space, "dropout_placement", "every", "one of 'after_pooling', 'every_layer'."),
        (space, "share", 0.5, "in [1.0, 1.0]"),
        (arch_space("resnet20"), "alpha", -1, "in [0.25, 2.0]"),
        (arch_space("resnet20"), "rho", 0.5, "in [1.0, 1.0]"),
        (arch_space("resnet20", rho=True), "rho", 0.25, "in [0.5, 1.0]"),
        (arch_space("resnet20"), "dropout", 0.3, "one of 'paper', '0', '0.1'"),
    ],
)
@pytest.mark.parametrize("how", ["fixed", "value"])
def test_a_value_that_the_space_does_not_have_is_refused_by_its_name(
    sampled, name, value, wanted, how
):
    hp = keras_tuner.HyperParameters()
    if how == "fixed" and value == value:  # keras-tuner's Fixed takes no NaN
        hp.Fixed(name, value)
    else:
        hp.values[name] = value
    with pytest.raises(ValueError, match=re.escape(f"`{name}` must be {wanted}")) as caught:
        sampled(hp, **CIFAR)
    assert str(caught.value).endswith(f"Received: {name}={value!r}")


def test_a_value_of_the_space_that_is_given_is_kept():
    hp = keras_tuner.HyperParameters()
    hp.Fixed("depth_3", 6)
    hp.values["dropout_placement"] = "after_pooling"
    hp.values["expansion"] = 0.6  # between two steps
    rows = space_of(hp)
    assert len(rows) - 1 == 14 and rates(rows) == [0.2, 0.3]
    assert rows != space_of(Values(depth_3=6, dropout_placement="after_pooling"))


# ---------------------------------------------------------------------------- principles in a space


def spread(rows):
    found = widths(rows)
    return max(found) / min(found)


def returns(rows):
    """Whether a kernel comes back after another at one resolution."""
    kernels = []
    for _, kernel, stride, _, steps in layers_of(rows):
        kernels = [] if stride > 1 else kernels
        if kernel in kernels and kernels[-1] != kernel:
            return True
        kernels = [] if any("2/2/0" in step for step in steps) else [*kernels, kernel]
    return False


def early_pointwise(rows):
    kernels = [kernel for _, kernel, *_ in layers_of(rows)]
    return 1 in kernels[: 2 * len(kernels) // 3]


def first_reduction(rows):
    reduced = ["/2/" in row for row in rows[:-1]]
    return (reduced.index(True) + 1) / len(reduced) if any(reduced) else 1


def shrinks(rows):
    return widths(rows) != sorted(widths(rows))


def rates(rows):
    return [float(step[4:]) for row in rows[:-1] for step in row.split() if step[:4] == "drop"]


VIOLATED = {
    "gradual_expansion": shrinks,
    "homogeneous_groups": returns,
    "correlation_preservation": early_pointwise,
    "maximum_information": lambda rows: first_reduction(rows) < 0.25,
    "maximum_performance": lambda rows: any(kernel > 3 for _, kernel, *_ in layers_of(rows)),
    "balanced_distribution": lambda rows: spread(rows) > 7.5,
    "dropout": lambda rows: max(rates(rows), default=0) > 0.5,
    "pooling": lambda rows: any(" avg" in row or "3/2/1" in row for row in rows),
    "isolation": lambda rows: counted(rows, (32, 32, 3), 10)[0] < 0.9 * 300_000,
}


@pytest.mark.parametrize("name", PRINCIPLES)
def test_a_principle_that_is_turned_off_widens_the_space_and_no_other(name):
    others = [other for other in PRINCIPLES if other != name]
    budget = Budget(params=300_000)
    with_all = [space_of(Draw(seed), "all", budget) for seed in range(300)]
    without = [space_of(Draw(seed), others, budget) for seed in range(300)]
    assert not any(VIOLATED[name](rows) for rows in with_all)
    assert any(VIOLATED[name](rows) for rows in without)
    for other in others:
        assert not any(VIOLATED[other](rows) for rows in without), other


@pytest.mark.parametrize("name", PRINCIPLES)
def test_what_a_principle_allows_is_allowed_without_it(name):
    others = [other for other in PRINCIPLES if other != name]
    on, off = Values(), Values()
    space_of(on)
    space_of(off, others)
    for parameter, options in on.choices.items():
        if parameter in off.choices:
            assert set(options) <= set(off.choices[parameter]), parameter
        else:  # each layer has its own instead of its group's
            assert parameter.startswith("kernel_") and name == "homogeneous_groups"
            assert set(options) <= set(off.choices["layer_kernel_1"])


@pytest.mark.parametrize("name", [name for name in PRINCIPLES if name != "isolation"])
def test_the_settings_of_a_principle_differ_and_cost_the_same(name):
    others = [other for other in PRINCIPLES if other != name]
    found = {}
    for label, values in tuning.settings(name):
        hp = Values(**values)
        rows = space_of(hp, others, Budget(params=300_000))
        assert values.keys() <= hp.values.keys()
        assert 0.97 < counted(rows, (32, 32, 3), 10)[0] / 300_000 <= 1
        found[label] = tuple(rows)
    assert len(set(found.values())) == len(found) >= 3
    assert next(iter(found.values())) == tuple(space_of(Values(), "all", Budget(params=300_000)))


def test_what_cannot_be_isolated_is_refused():
    with pytest.raises(ValueError, match="isolation is the method. Received: isolate='isolation'"):
        tuning.settings("isolation")
    with pytest.raises(ValueError, match="Did you mean 'pooling'"):
        tuning.settings("poling")
    with pytest.raises(ValueError, match="^`input_shape` must be large enough to be reduced"):
        tuning.settings("pooling", input_shape=(4, 4, 1))


# ------------------------------------------------------------------------- registered architectures


@pytest.mark.parametrize(
    "arch, own, shape, budget",
    [
        ("lenet5", {}, (28, 28, 1), Budget(params=20_000)),
        pytest.param(
            *("mobilenet", {"stem": "small"}, (32, 32, 3)),
            Budget(params=300_000, macs=9_000_000),
            marks=pytest.mark.slow,
        ),
        pytest.param("resnet20", {}, (16, 16, 3), Budget(params=60_000), marks=pytest.mark.slow),
        pytest.param(
            *("simpnet", {"experiment": 22}, (32, 32, 3), Budget(macs=50_000_000)),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_alpha_is_capped_at_the_largest_that_fits(arch, own, shape, budget):
    sampled = arch_space(arch, rho=True, **own)
    assert sampled.arch == arch

    def cost(**kwargs):
        profile = keras_archs.profile(arch, input_shape=shape, classes=10, **kwargs)
        return profile.params, profile.macs

    capped = 0
    for seed in range(6):
        hp = Draw(seed)
        kwargs = sampled(hp, input_shape=shape, classes=10, budget=budget)
        assert own.items() <= kwargs.items()
        assert binding(cost(**kwargs), budget) <= 1
        if kwargs["alpha"] < hp.values["alpha"]:
            capped += 1
            wider = {**kwargs, "alpha": kwargs["alpha"] + 0.001}
            assert binding(cost(**wider), budget) > 1
        else:
            assert kwargs["alpha"] == hp.values["alpha"]
    assert capped


def test_the_default_point_of_an_architecture_is_the_paper_s():
    hp = keras_tuner.HyperParameters()
    assert arch_space("mobilenet")(hp) == {"alpha": 1.0, "rho": 1.0, "dropout": 1e-3}
    assert [parameter.name for parameter in hp.space] == ["alpha", "rho", "dropout"]
    varied = keras_tuner.HyperParameters()
    assert arch_space("mobilenet", rho=True)(varied) == arch_space("mobilenet")(hp)
    assert arch_space("LeNet5").arch == "lenet5" and space.arch == "simpnet"


@pytest.mark.parametrize(("arch", "rate"), [("resnet20", "0"), ("squeezenet", "0.5")])
def test_the_paper_s_dropout_and_the_same_rate_are_one_network(arch, rate):
    paper, same = keras_tuner.HyperParameters(), keras_tuner.HyperParameters()
    same.Fixed("dropout", rate)
    assert arch_space(arch)(paper) == arch_space(arch)(same)


def test_rho_keeps_every_architecture_at_its_minimum_size():
    for arch in keras_archs.list_archs():
        sampled, smallest = arch_space(arch, rho=True), keras_archs.info(arch).min_size
        for side in (smallest, smallest + 1, math.ceil(smallest * 1.3), 2 * smallest):
            hp = Values()
            sampled(hp, input_shape=(side, 2 * smallest, 3), classes=7)
            lowest, *others = hp.choices["rho"]
            assert math.floor(side * lowest + 0.5) >= smallest
            assert lowest == 0.5 or math.floor(side * (lowest - 0.125) + 0.5) < smallest
            assert [lowest, *others][-1] == 1.0
        if smallest > 1:
            with pytest.raises(ValueError, match=rf"at least {smallest}x{smallest} for {arch}"):
                sampled(Values(), input_shape=(smallest - 1, 2 * smallest, 3))


def test_an_architecture_of_one_width_has_one_alpha():
    sampled = arch_space("lenet5", variant="1998")
    hp = Values()
    kwargs = sampled(hp, input_shape=(32, 32, 1), budget=Budget(params=100_000))
    assert hp.choices["alpha"] == [1.0] and kwargs["variant"] == "1998"
    with pytest.raises(ValueError, match="the smallest possible network"):
        sampled(Values(), input_shape=(32, 32, 1), budget=Budget(params=10_000))


def test_rho_gives_way_where_no_width_fits():
    tight = Budget(macs=8_000)
    kwargs = arch_space("lenet5", rho=True)(Values(), input_shape=(40, 40, 1), budget=tight)
    assert kwargs["rho"] < 1
    assert keras_archs.profile("lenet5", input_shape=(40, 40, 1), **kwargs).macs <= 8_000
    with pytest.raises(ValueError, match="the smallest possible network"):
        arch_space("lenet5")(Values(), input_shape=(40, 40, 1), budget=tight)


@pytest.mark.slow
def test_a_tuner_of_keras_tuner_trains_on_its_own_images(tmp_path):
    images, labels = (part[:64] for part in load_digits(return_X_y=True))
    images = np.pad(images.reshape(-1, 8, 8, 1) / 16, [(0, 0), (12, 12), (12, 12), (0, 0)])
    sampled = arch_space("lenet5")
    shapes = set()

    def build(hp):
        given = {"input_shape": (32, 32, 1), "classes": 10}
        model = keras_archs.LeNet5(**given, **sampled(hp, **given, budget=Budget(params=20_000)))
        shapes.add(model.input_shape)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    tuner = keras_tuner.RandomSearch(
        build, objective="accuracy", max_trials=2, seed=1, directory=tmp_path, project_name="t"
    )
    tuner.search(images, labels, batch_size=32, verbose=0)
    assert [trial.status for trial in tuner.oracle.trials.values()] == ["COMPLETED"] * 2
    assert shapes == {(None, 32, 32, 1)}


def test_without_an_input_shape_the_budget_is_kept_at_the_network_s_own():
    sampled, budget = arch_space("simpnet", experiment=98), Budget(macs=50_000_000)
    profile = keras_archs.profile("simpnet", **sampled(Values(), budget=budget))
    assert profile.rows[0].output_shape == (227, 227, 3)
    assert 0.9 * budget.macs < profile.macs <= budget.macs


def test_a_budget_too_small_for_an_architecture_names_its_smallest():
    with pytest.raises(ValueError, match=r"at least 76 parameters and 3,712 MACs, the smallest"):
        arch_space("lenet5", rho=True)(Values(), budget=Budget(params=75))
    with pytest.raises(ValueError, match="Did you mean 'mobilenet'"):
        arch_space("mobilnet")
