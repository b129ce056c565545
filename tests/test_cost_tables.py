"""The arithmetic of courses and papers: `cost_tables.json`, its errata named where they are tested.

A figure that a table prints is met within 2 %, or rounds to what is printed where that has fewer
digits. Errata are met by the true value, exactly.
"""

import json

import keras
import pytest
from keras import layers

from keras_archs import profile


@pytest.fixture(scope="module")
def tables(reference):
    return json.loads((reference / "cost_tables.json").read_text())


def rows(table):
    """The rows of a table as dicts by column."""
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def prints(true, printed):
    """Whether a table may print `printed` for `true`."""
    decimals = len(str(printed).partition(".")[2])
    return true == pytest.approx(printed, rel=0.02) or round(true, decimals) == printed


def stack(shape, *stacked):
    """The rows of these layers, one after the other, without the input's."""
    return profile(lambda: keras.Sequential([keras.Input(shape), *stacked])).rows[1:]


def conv(filters, kernel, strides=1, padding="same", bias=False):
    return layers.Conv2D(filters, kernel, strides, padding=padding, use_bias=bias)


def depthwise(kernel, padding="same"):
    return layers.DepthwiseConv2D(kernel, padding=padding, use_bias=False)


def total(layer_rows, quantity):
    return sum(getattr(row, quantity) for row in layer_rows)


# ------------------------------------------------------------------------------ single layers

SINGLE = {
    "5x5 convolution, 28x28x192 -> 28x28x32, same padding": [(28, 28, 192), conv(32, 5)],
    "the same through a 1x1 bottleneck of 16 channels": [(28, 28, 192), conv(16, 1), conv(32, 5)],
    "5x5 depthwise separable, 28x28x192 -> 28x28x32": [(28, 28, 192), depthwise(5), conv(32, 1)],
    "3x3 convolution, 6x6x3 -> 4x4x5, valid padding": [(6, 6, 3), conv(5, 3, padding="valid")],
    "the same, depthwise separable": [(6, 6, 3), depthwise(3, "valid"), conv(5, 1)],
}


@pytest.mark.parametrize("what", SINGLE)
def test_single_layers(tables, what):
    (expected,) = (row for row in tables["single_layers"] if row["what"] == what)
    counted = stack(*SINGLE[what])
    assert total(counted, "macs") == expected["macs"]
    if "params" in expected:
        assert total(counted, "params") == expected["params"]
    if "parts_macs" in expected:
        assert [row.macs for row in counted] == expected["parts_macs"]


def test_a_separable_layer_costs_what_its_two_parts_cost():
    separable = layers.SeparableConv2D(32, 5, padding="same", use_bias=False)
    assert total(stack((28, 28, 192), separable), "macs") == 8_580_096


def test_depthwise_separable_share_of_a_standard_convolution(tables):
    assert any("1/32 + 1/25" in row.get("share_of_standard", "") for row in tables["single_layers"])
    standard, separable = (
        total(stack((28, 28, 192), *parts), "macs")
        for parts in ([conv(32, 5)], [depthwise(5), conv(32, 1)])
    )
    assert separable / standard == pytest.approx(1 / 32 + 1 / 25)


@pytest.mark.parametrize("channels", [1, 8, 64])
def test_three_3x3_against_one_7x7(channels):
    shape = (9, 9, channels)
    assert total(stack(shape, *(conv(channels, 3) for _ in "123")), "params") == 27 * channels**2
    assert total(stack(shape, conv(channels, 7)), "params") == 49 * channels**2


def test_a_factorised_kernel(tables):
    expected = tables["single_layers"][-1]
    assert expected["what"].startswith("3x3x10 -> 10 convolution; two 2x2; 3x1 then 1x3")
    ways = [conv(10, 3)], [conv(10, 2), conv(10, 2)], [conv(10, (3, 1)), conv(10, (1, 3))]
    assert [total(stack((9, 9, 10), *way), "params") for way in ways] == expected["params"]


# ------------------------------------------------------------------------------------ GoogLeNet


def inception(shape, b1, b3, b5, pooled, reduce3=None, reduce5=None):
    """The rows of an inception module's convolutions; a filter count of None leaves one out."""

    def branch(x, *convolutions):
        for filters, kernel in convolutions:
            x = x if filters is None else conv(filters, kernel)(x)
        return x

    def module():
        inputs = keras.Input(shape)
        pool = layers.MaxPooling2D(3, 1, padding="same")(inputs)
        branches = [
            branch(inputs, (b1, 1)),
            branch(inputs, (reduce3, 1), (b3, 3)),
            branch(inputs, (reduce5, 1), (b5, 5)),
            branch(pool, (pooled, 1)),
        ]
        return keras.Model(inputs, layers.Concatenate()(branches))

    return profile(module).rows


def test_the_naive_inception_module(tables):
    expected = tables["naive_inception_28x28x256"]
    naive = inception((28, 28, 256), 128, 192, 96, None)
    assert total(naive, "macs") == expected["macs"] == 854_196_224
    assert naive[-1].output_shape == (28, 28, expected["output_channels"])


def test_the_inception_module_with_bottlenecks(tables):
    # erratum: the page prints 358M for the branches that it describes, which sum to 271M
    expected = tables["naive_inception_28x28x256"]
    counted = inception((28, 28, 256), 128, 192, 96, 64, reduce3=64, reduce5=64)
    assert total(counted, "macs") == expected["macs_with_bottlenecks"] == 271_351_808
    assert expected["printed_millions"] == [854, 358]


def test_the_aggressive_stem(tables):
    expected = rows(tables["googlenet_stem"])
    counted = stack(
        (224, 224, 3),
        conv(64, 7, 2),
        layers.MaxPooling2D(3, 2, padding="same"),
        conv(64, 1),
        conv(192, 3),
        layers.MaxPooling2D(3, 2, padding="same"),
    )
    for row, printed in zip(counted, expected, strict=True):
        side, channels = printed["output_size"], printed["output_channels"]
        assert row.output_shape == (side, side, channels)
        assert row.activation_bytes == printed["memory_kb"] * 1024
        assert prints(row.params / 1000, printed["params_k"])
        assert prints(row.ops / 1e6, printed["mops"])
    # erratum: the page prints 418M for the sum
    assert total(counted, "macs") == 477_675_520
    assert total(counted, "ops") == 477_675_520 + 3_161_088
    assert total(counted, "activation_bytes") / 1024**2 == pytest.approx(7.5, rel=0.02)
    assert prints(total(counted, "params") / 1000, 124)


# erratum: the paper's Table 1 does not follow from its own filter counts; true weights
ERRATA = {"4c": 509_440, "5a": 1_042_432}


def test_the_inception_modules_of_table_1(tables):
    table = tables["googlenet_table_1"]
    printed = {row["type"].removeprefix("inception "): row for row in rows(table)}
    for module in rows(table["filters"]):
        side, name = module["side"], module["module"]
        counted = inception(
            (side, side, module["in"]),
            module["1x1"],
            module["3x3"],
            module["5x5"],
            module["pool proj"],
            module["3x3 reduce"],
            module["5x5 reduce"],
        )
        params, macs = total(counted, "params"), total(counted, "macs")
        assert macs == params * side * side
        assert counted[-1].output_shape == tuple(printed[name]["output"])
        assert prints(macs / 1e6, printed[name]["mops"]) or name in ERRATA
        if name in ERRATA:
            assert params == ERRATA[name]
        else:
            assert prints(params / 1024, printed[name]["params_k"])


def test_the_other_rows_of_table_1(tables):
    printed = {row["type"]: row for row in rows(tables["googlenet_table_1"])}
    # erratum: printed 2.7K and 34M
    (first,) = stack((224, 224, 3), conv(64, 7, 2))
    assert (first.params, first.macs) == (9_408, 118_013_952)
    reduced = stack((56, 56, 64), conv(64, 1), conv(192, 3))
    assert prints(total(reduced, "params") / 1024, printed["convolution 3x3/1"]["params_k"])
    assert prints(total(reduced, "macs") / 1e6, printed["convolution 3x3/1"]["mops"])
    (linear,) = stack((1024,), layers.Dense(1000, use_bias=False))
    assert prints(linear.params / 1024, printed["linear"]["params_k"])
    assert prints(linear.macs / 1e6, printed["linear"]["mops"])


# ------------------------------------------------------------------------------------------ VGG


def test_the_head_of_vgg16(tables):
    counted = stack(
        (7, 7, 512),
        layers.Flatten(),
        *(layers.Dense(units, use_bias=False) for units in (4096, 4096, 1000)),
    )
    for row, printed in zip(counted[1:], rows(tables["vgg16_head"]), strict=True):
        assert prints(row.params / 1000, printed["params_k"])
        assert prints(row.macs / 1e6, printed["mops"])


# ------------------------------------------------------------------------------------ networks


def test_squeezenet_module_by_module(tables):
    counted = profile("squeezenet")
    by_module: dict[str, int] = {}
    for row in counted.rows:
        module = row.name.partition("_")[0]
        by_module[module] = by_module.get(module, 0) + row.params
    expected = dict(tables["squeezenet_1_0_params_with_bias"])
    assert counted.params == expected.pop("total")
    assert {module: by_module[module] for module in expected} == expected


def test_the_maps_of_squeezenet(tables):
    counted = {row.name: row.output_shape for row in profile("squeezenet").rows}
    for name, shape in tables["squeezenet_1_0_outputs"].items():
        last = f"{name}_concat" if name.startswith("fire") else name
        assert counted[last] == tuple(shape), name


def test_squeezenet_in_four_bytes_a_weight(tables):
    expected = tables["squeezenet_deep_compression"]
    assert prints(profile("squeezenet").weight_bytes / 1024**2, expected["megabytes_fp32"])


@pytest.mark.parametrize("depth", ["18", "34", "50", "101", "152"])
def test_resnet(tables, depth):
    assert prints(profile(f"resnet{depth}").macs / 1e9, tables["resnet_gmacs_224"][depth])


@pytest.mark.parametrize(
    "depth",
    ["20", "32", "44", "56", "110", pytest.param("1202", marks=pytest.mark.slow)],
)
def test_resnet_for_cifar(tables, depth):
    counted = profile(f"resnet{depth}")
    assert prints(counted.trainable_params / 1e6, tables["resnet_cifar_params_millions"][depth])


MOBILENETS = {
    "MobileNet 1.0-224": ("mobilenet", {}),
    "MobileNet 0.75-224": ("mobilenet", {"alpha": 0.75}),
    "MobileNet 0.5-224": ("mobilenet", {"alpha": 0.5}),
    "MobileNet 0.25-224": ("mobilenet", {"alpha": 0.25}),
    "MobileNet 1.0-192": ("mobilenet", {"rho": 192 / 224}),
    "MobileNet 1.0-160": ("mobilenet", {"rho": 160 / 224}),
    "MobileNet 1.0-128": ("mobilenet", {"rho": 128 / 224}),
    "MobileNet 0.5-160": ("mobilenet", {"alpha": 0.5, "rho": 160 / 224}),
    "Conv MobileNet 1.0-224": ("mobilenetconv", {}),
    "Shallow MobileNet 1.0-224": ("mobilenetshallow", {}),
}


@pytest.mark.parametrize("model", MOBILENETS)
def test_mobilenet(tables, model):
    (printed,) = (row for row in rows(tables["mobilenet"]) if row["model"] == model)
    name, kwargs = MOBILENETS[model]
    counted = profile(name, **kwargs)
    assert prints(counted.macs / 1e6, printed["mmacs"])
    assert prints(counted.trainable_params / 1e6, printed["mparams"])


def test_where_mobilenet_spends_its_multiplications(tables):
    counted = profile("mobilenet")
    pointwise = [row for row in counted.rows if row.name in {f"conv_pw_{i}" for i in range(1, 14)}]
    share = tables["mobilenet"]["share_in_1x1"]
    assert prints(total(pointwise, "macs") / counted.macs, share["macs"])
    assert prints(total(pointwise, "params") / counted.trainable_params, share["params"])
