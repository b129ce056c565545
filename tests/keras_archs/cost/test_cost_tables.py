"""The arithmetic of courses and papers: every figure of tests/reference/arithmetic.py, counted.

A printed figure is met within 2 %, or rounds to what is printed where that has fewer digits. An
erratum, a figure that does not follow from the layers beside it, is met by the true value, exactly.
"""

import pytest
from keras import layers
from reference import arithmetic

stack, total, conv = arithmetic.stack, arithmetic.total, arithmetic.conv


def leaves(value, path=()):
    """All that is no dict or list in `value`, by its path."""
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, (list, tuple)):
        children = enumerate(value)
    else:
        return {path: value}
    return {k: leaf for key, child in children for k, leaf in leaves(child, (*path, key)).items()}


def prints(true, printed):
    """Whether a table may print `printed` for `true`."""
    decimals = len(str(printed).partition(".")[2])
    return true == pytest.approx(printed, rel=0.02) or round(true, decimals) == printed


FIGURES = leaves(arithmetic.SECTIONS)
TABLE_1 = "googlenet_table_1", "rows"
ERRATA = {  # what the figure should be: weights and multiply-adds
    ("naive_inception_28x28x256", "printed_millions", 1): 271_351_808,
    (*TABLE_1, 0, "params_k"): 9_408,
    (*TABLE_1, 0, "mops"): 118_013_952,
    (*TABLE_1, 6, "params_k"): 509_440,
    (*TABLE_1, 9, "params_k"): 1_042_432,
    (*TABLE_1, 9, "mops"): 51_079_168,
}
SLOW = {"resnet_cifar_params_millions"}  # ResNet1202


def fault(path, figure) -> str | None:
    """What is wrong with the figure at `path`, if anything is."""
    true = figure.count()
    if path in ERRATA:
        right = true == ERRATA[path] and not prints(true / figure.unit, figure.printed)
    elif figure.unit == 1 and isinstance(true, int):
        right = true == figure.printed
    else:
        right = prints(true / figure.unit, figure.printed)
    return None if right else f"{path}: counted {true}, printed {figure.printed}"


@pytest.mark.parametrize(
    "section",
    [pytest.param(s, marks=[pytest.mark.slow] * (s in SLOW)) for s in arithmetic.SECTIONS],
)
def test_every_figure_of_a_table(section):
    figures = leaves(arithmetic.SECTIONS[section], (section,))
    assert figures
    assert not [found for found in (fault(*item) for item in figures.items()) if found]


def test_the_errata_are_marked():
    assert ERRATA.keys() == {path for path, figure in FIGURES.items() if figure.erratum}


# -------------------------------------------------------------------------- beside the figures


def test_depthwise_separable_share_of_a_standard_convolution():
    standard, _, separable, *_ = arithmetic.SINGLE
    macs = [total(stack(shape, *stacked), "macs") for _, shape, stacked in (standard, separable)]
    assert macs[1] / macs[0] == pytest.approx(1 / 32 + 1 / 25)


def test_a_separable_layer_costs_what_its_two_parts_cost():
    separable = layers.SeparableConv2D, 32, 5
    assert total(stack((32, 32, 192), separable), "macs") == total(
        stack((32, 32, 192), (arithmetic.depthwise, 5, "valid"), (conv, 32, 1)), "macs"
    )


@pytest.mark.parametrize("channels", [1, 8, 64])
def test_three_3x3_against_one_7x7(channels):
    shape = (9, 9, channels)
    assert total(stack(shape, *[(conv, channels, 3)] * 3), "params") == 27 * channels**2
    assert total(stack(shape, (conv, channels, 7)), "params") == 49 * channels**2


def test_the_sums_of_the_aggressive_stem():
    rows = arithmetic.stem()
    # erratum: the page prints 418M for the sum
    assert total(rows, "macs") == 477_675_520
    assert total(rows, "ops") == 477_675_520 + 3_161_088
    assert total(rows, "activation_bytes") / 1024**2 == pytest.approx(7.5, rel=0.02)
    assert prints(total(rows, "params") / 1000, 124)
    assert [row.activation_bytes for row in rows] == [
        1024 * figure["memory_kb"].printed for figure in arithmetic.SECTIONS["googlenet_stem"]
    ]


def test_a_module_has_a_multiply_add_for_each_weight_and_place():
    for module, (*_, side) in arithmetic.FILTERS.items():
        rows = arithmetic.googlenet(f"inception_{module}_")
        assert total(rows, "macs") == arithmetic.weights(rows) * side * side


@pytest.mark.parametrize("rank", [1, 512, 3521, 3522])
def test_a_dense_layer_of_low_rank(rank):
    """Two layers of rank * (m + n) weights in the place of m * n."""
    rows = arithmetic.low_rank(25_088, 4_096, rank)
    assert total(rows, "params") == total(rows, "macs") == rank * (25_088 + 4_096)
    assert (total(rows, "params") < 25_088 * 4_096) == (
        rank <= arithmetic.break_even(25_088, 4_096)
    )
