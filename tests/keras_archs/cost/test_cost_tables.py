"""The arithmetic of courses and papers: every figure of `cost_tables.json`, counted by the library.

`docs/arithmetic.py` says which count each figure is meant to be, and docs/cost.md shows both. A
printed figure is met within 2 %, or rounds to what is printed where that has fewer digits. An
erratum, a figure that does not follow from the layers beside it, is met by the true value, exactly.
"""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from keras import layers


def load_arithmetic():
    file = Path(__file__).parents[3] / "docs" / "arithmetic.py"
    spec = importlib.util.spec_from_file_location("arithmetic", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["arithmetic"] = module  # where dataclasses look up their module
    spec.loader.exec_module(module)
    return module


arithmetic = load_arithmetic()
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


def by_column(value):
    """Tables of `columns` and `rows` as lists of dicts."""
    if isinstance(value, list):
        return [by_column(child) for child in value]
    if not isinstance(value, dict):
        return value
    if "columns" not in value:
        return {key: by_column(child) for key, child in value.items()}
    rows = [dict(zip(value["columns"], row, strict=True)) for row in value["rows"]]
    others = {k: by_column(v) for k, v in value.items() if isinstance(v, dict)}
    return {"rows": rows, **others} if others else rows


def prints(true, printed):
    """Whether a table may print `printed` for `true`."""
    decimals = len(str(printed).partition(".")[2])
    return true == pytest.approx(printed, rel=0.02) or round(true, decimals) == printed


@pytest.fixture(scope="module")
def tables(reference):
    return json.loads((reference / "cost_tables.json").read_text())


@pytest.fixture(scope="module")
def printed(tables):
    """Every number of the file by its path."""
    found = leaves(by_column(tables))
    return {path: leaf for path, leaf in found.items() if isinstance(leaf, (int, float))}


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
SLOW = {("resnet_cifar_params_millions", "1202")}


def is_measured(path):
    """Accuracies, and what pruning, quantisation and coding leave: results, not arithmetic."""
    section, last = path[0], path[-1]
    compressed = section == "squeezenet_deep_compression" and last != "megabytes_fp32"
    return section == "simpnet_principles_published" or last == "imagenet_top1" or compressed


def test_every_figure_is_counted(printed):
    assert FIGURES.keys() == {path for path in printed if not is_measured(path)}
    assert ERRATA.keys() == {path for path, figure in FIGURES.items() if figure.erratum}


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=[pytest.mark.slow] * (p in SLOW), id=str(p)) for p in FIGURES],
)
def test_figure(path, printed):
    figure, published = FIGURES[path], printed[path]
    assert figure.printed == published
    true = figure.count()
    if path in ERRATA:
        assert true == ERRATA[path]
        assert not prints(true / figure.unit, published)
    elif figure.unit == 1 and isinstance(true, int):
        assert true == published
    else:
        assert prints(true / figure.unit, published)


# -------------------------------------------------------------------------- beside the figures


def test_the_rows_stand_for_what_the_file_says(tables):
    whats = [row["what"] for row in tables["single_layers"]]
    assert whats[:5] == [what for what, *_ in arithmetic.SINGLE]
    assert whats[5].startswith("three stacked 3x3") and whats[6].startswith("3x3x10 -> 10")
    assert [row[0] for row in tables["googlenet_stem"]["rows"]] == [
        name.strip() for name in arithmetic.STEM
    ]
    table = tables["googlenet_table_1"]
    assert [row[0] for row in table["rows"]] == [row[0] for row in arithmetic.TABLE_1]
    assert [row[0] for row in table["filters"]["rows"]] == list(arithmetic.FILTERS)
    assert [row[0] for row in tables["vgg16_head"]["rows"]] == ["fc6", "fc7", "fc8"]
    assert [row[0] for row in tables["mobilenet"]["rows"]] == list(arithmetic.MOBILENETS)


def test_depthwise_separable_share_of_a_standard_convolution(tables):
    assert any("1/32 + 1/25" in row.get("share_of_standard", "") for row in tables["single_layers"])
    standard, _, separable, *_ = arithmetic.SINGLE
    macs = [total(stack(shape, *stacked), "macs") for _, shape, stacked in (standard, separable)]
    assert macs[1] / macs[0] == pytest.approx(1 / 32 + 1 / 25)


def test_a_separable_layer_costs_what_its_two_parts_cost():
    separable = layers.SeparableConv2D, 32, 5
    assert total(stack((32, 32, 192), separable), "macs") == total(
        stack((32, 32, 192), (arithmetic.depthwise, 5, "valid"), (conv, 32, 1)), "macs"
    )


@pytest.mark.parametrize("channels", [1, 8, 64])
def test_three_3x3_against_one_7x7(channels, tables):
    assert tables["single_layers"][5]["params"] == "27 C^2 against 49 C^2"
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
