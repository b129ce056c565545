"""Every architecture has the parameters and multiply-adds that its sources count, exactly."""

import json
from fractions import Fraction

import pytest
from expected import EXPECTED

import keras_archs

# What the definition of a network does not reproduce, and why.
ERRATA = {
    (
        "lenet5",
        "params",
    ): "C3 sees all maps, subsampling has no coefficients",
}


@pytest.fixture(scope="module")
def profiles():
    """`profiles(title, **kwargs)`, each counted once."""
    known = {}

    def profile(title, **kwargs):
        key = title.lower(), repr(sorted(kwargs.items()))
        if key not in known:
            known[key] = keras_archs.profile(title.lower(), **kwargs)
        return known[key]

    return profile


def agrees(value, printed):
    """Within 2 % of a printed figure, or equal once it is rounded to as many decimals."""
    decimals = len(str(printed).partition(".")[2])
    return abs(value - printed) <= 0.02 * printed or round(value, decimals) == printed


def _label(row):
    return "-".join([row.title, *(f"{name}={value}" for name, value in row.kwargs.items())])


def _rows():
    """A network of 1202 layers takes as long as all the others of its file."""
    return [
        pytest.param(row, id=_label(row), marks=[pytest.mark.slow] * ("1202" in row.title))
        for row in EXPECTED
    ]


@pytest.mark.parametrize("row", _rows())
def test_cost_is_exactly_what_its_source_counts(row, profiles):
    profile = profiles(row.title, **row.kwargs)
    assert (profile.params, profile.trainable_params, profile.macs) == row[2:5], row.source


def test_every_architecture_stands_in_the_table():
    assert sorted({row.title.lower() for row in EXPECTED}) == keras_archs.list_archs()


def test_the_table_has_every_reference_row_of_these_architectures(reference):
    table = {(row.title, _hashable(row.kwargs)): row[2:5] for row in EXPECTED}
    counted = [
        row
        for row in json.loads((reference / "counts.json").read_text())
        if row["call"].lower() in keras_archs.list_archs()
    ]
    assert counted
    for row in counted:
        counts = (row["params_total"], row["params_trainable"], row["macs"])
        assert table.get((row["call"], _hashable(row["kwargs"]))) == counts, row


def _hashable(kwargs):
    """Keyword arguments, also as the reference spells them: fractions as text, shapes as lists."""

    def value(name, given):
        if isinstance(given, list):
            return tuple(given)
        return float(Fraction(given)) if name == "rho" else given

    return frozenset((name, value(name, given)) for name, given in kwargs.items())


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * ("1202" in name))
        for name in keras_archs.list_archs()
    ],
)
def test_published_counts_agree_within_two_percent(name, profiles):
    published = keras_archs.info(name).published
    counted = {"params": "trainable_params", "macs": "macs"}
    for quantity in published.keys() & counted.keys():
        value = getattr(profiles(name), counted[quantity])
        printed, source = published[quantity]
        assert source
        agreed = abs(value - printed) <= 0.02 * printed
        assert agreed != ((name, quantity) in ERRATA), (value, printed, source)


# ---------------------------------------------------------------------------- published cost tables


@pytest.fixture(scope="module")
def tables(reference):
    return json.loads((reference / "cost_tables.json").read_text())


def test_squeezenet_params_layer_by_layer(tables, profiles):
    printed = tables["squeezenet_1_0_params_with_bias"]
    sums = dict.fromkeys(printed, 0)
    for row in profiles("SqueezeNet").rows:
        sums[row.name.partition("_")[0]] = sums.get(row.name.partition("_")[0], 0) + row.params
        sums["total"] += row.params
    assert {name: sums[name] for name in printed} == printed


def test_squeezenet_sizes_layer_by_layer(tables, profiles):
    printed = tables["squeezenet_1_0_outputs"]
    last = {row.name.partition("_")[0]: row.output_shape for row in profiles("SqueezeNet").rows}
    assert {name: list(last[name]) for name in printed} == printed


def test_mobilenet_table(tables, profiles):
    titles = {"Conv": "MobileNetConv", "Shallow": "MobileNetShallow", "MobileNet": "MobileNet"}
    for model, mmacs, mparams, top1 in tables["mobilenet"]["rows"]:
        title = titles[model.split()[0]]
        alpha, _, side = model.split()[-1].partition("-")
        profile = profiles(title, alpha=float(alpha), rho=int(side) / 224)
        assert agrees(profile.macs / 1e6, mmacs), model
        assert agrees(profile.trainable_params / 1e6, mparams), model
        if (alpha, side) == ("1.0", "224"):
            assert keras_archs.info(title).published["imagenet_top1"].value == top1


def test_mobilenet_spends_most_in_1x1_convolutions(tables, profiles):
    profile = profiles("MobileNet")
    rows = [row for row in profile.rows if row.name.startswith("conv_pw_")]
    for quantity, share in tables["mobilenet"]["share_in_1x1"].items():
        total = sum(getattr(row, quantity) for row in profile.rows)
        assert agrees(sum(getattr(row, quantity) for row in rows) / total, share), quantity


def test_simpnet_accuracies_of_the_slim_networks(tables):
    for label, top1 in tables["simpnet_principles_published"]["slim"]:
        size, _, data = label.partition(" ")
        if data == "CIFAR-10":
            published = keras_archs.info(f"simpnet_{size}").published
            assert published["cifar10_top1"].value == top1
