"""Every architecture has the parameters and multiply-adds that its sources count, exactly."""

import pytest
from expected import EXPECTED
from networks import KINDS
from reference.figures import ACCURACIES

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


def _label(row):
    return "-".join([row.title, *(f"{name}={value}" for name, value in row.kwargs.items())])


QUICK = {*KINDS, "mobilenet", "squeezenet", "vgg16"} - {"inceptionresnetv2", "resnet200v2"}


def _rows():
    """Those that are deeper than others of their kind take most of the time."""
    slow = {row.title: [pytest.mark.slow] * (row.title.lower() not in QUICK) for row in EXPECTED}
    return [pytest.param(row, id=_label(row), marks=slow[row.title]) for row in EXPECTED]


@pytest.mark.parametrize("row", _rows())
def test_cost_is_exactly_what_its_source_counts(row, profiles):
    profile = profiles(row.title, **row.kwargs)
    assert (profile.params, profile.trainable_params, profile.macs) == row[2:5], row.source


def test_every_architecture_stands_in_the_table():
    assert sorted({row.title.lower() for row in EXPECTED}) == keras_archs.list_archs()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK))
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


@pytest.mark.parametrize(
    "row", [row for row in ACCURACIES if not row.setting], ids=lambda row: row.network
)
def test_accuracies_are_the_published_ones(row):
    assert keras_archs.info(row.network).published[f"{row.data}_top1"].value == row.top1
