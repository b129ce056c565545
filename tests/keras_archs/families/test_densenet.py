"""What DenseNets promise beyond the promises of every architecture."""

import functools
import re

import pytest
from keras import layers

import keras_archs
from keras_archs.graph import without_values

IMAGENET = {
    # blocks, growth rate, channels: of the first convolution, behind each dense block
    "densenet121": ((6, 12, 24, 16), 32, (64, 256, 512, 1024, 1024)),
    "densenet161": ((6, 12, 36, 24), 48, (96, 384, 768, 2112, 2208)),
    "densenet169": ((6, 12, 32, 32), 32, (64, 256, 512, 1280, 1664)),
    "densenet201": ((6, 12, 48, 32), 32, (64, 256, 512, 1792, 1920)),
    "densenet264": ((6, 12, 64, 48), 32, (64, 256, 512, 2304, 2688)),
}
CIFAR = {
    "densenet40_12": ((12,) * 3, 12, (16, 160, 304, 448)),
    "densenetbc_100_12": ((16,) * 3, 12, (24, 216, 300, 342)),
    "densenetbc_250_24": ((41,) * 3, 24, (48, 1032, 1500, 1734)),
    "densenetbc_190_40": ((31,) * 3, 40, (80, 1320, 1900, 2190)),
}
TABLES = IMAGENET | CIFAR


@functools.cache
def shape_only(name, *args, **kwargs):
    with without_values():
        return keras_archs.build(name, *args, **kwargs)


def of_type(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


QUICK = {"densenet121", "densenet40_12", "densenetbc_100_12"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in QUICK)) for n in TABLES]
)
def test_blocks_and_channels(name):
    repeats, growth, channels = TABLES[name]
    model = shape_only(name)
    assert model.get_layer("conv1_conv").filters == channels[0]
    for stage, (repeat, wanted) in enumerate(zip(repeats, channels[1:], strict=True), start=2):
        found = [layer for layer in model.layers if re.match(f"conv{stage}_.*_concat", layer.name)]
        assert len(found) == repeat
        assert found[-1].output.shape[-1] == wanted
        last = "1" if name == "densenet40_12" else "2"
        assert {
            layer.filters
            for layer in of_type(model, layers.Conv2D)
            if re.match(rf"conv{stage}_block\d+_{last}_conv", layer.name)
        } == {growth}


@pytest.mark.parametrize("name", TABLES)
def test_depths(name):
    """Convolutions and the classifier. Table 1's DenseNet-264 has one layer more than its name."""
    weighted = of_type(shape_only(name), (layers.Conv2D, layers.Dense))
    wanted = int(re.findall(r"\d+", name)[0])
    assert len(weighted) == wanted + (name == "densenet264")


def test_a_layer_puts_its_channels_behind_those_that_arrive():
    model = shape_only("densenet121")
    assert [tensor.shape[-1] for tensor in model.get_layer("conv2_block1_concat").input] == [64, 32]
    first, second = (model.get_layer(f"conv2_block{i}_concat") for i in (1, 2))
    assert second.input[0] is first.output
    assert second.input[1] is model.get_layer("conv2_block2_2_conv").output


@pytest.mark.parametrize("name, compressed", [("densenet40_12", 160), ("densenetbc_100_12", 108)])
def test_transitions_keep_all_channels_or_half(name, compressed):
    model = shape_only(name)
    assert model.get_layer("pool2_conv").filters == compressed
    assert model.get_layer("pool2_pool").output.shape[1:] == (16, 16, compressed)


def test_bottlenecks_are_four_times_the_growth_rate():
    model = shape_only("densenet161", alpha=0.3)
    assert model.get_layer("conv1_conv").filters == 29
    assert model.get_layer("conv3_block2_1_conv").filters == 4 * 14
    assert model.get_layer("conv3_block2_2_conv").filters == 14
    assert model.get_layer("pool2_conv").filters == (29 + 6 * 14) // 2


@pytest.mark.parametrize("name", ["densenet121", "densenet40_12", "densenetbc_100_12"])
def test_convolutions_have_no_biases(name):
    assert not any(layer.use_bias for layer in of_type(shape_only(name), layers.Conv2D))


@pytest.mark.parametrize("layout, epsilon", [("keras", 1.001e-5), ("torch", 1e-5)])
def test_layouts_differ_in_epsilon_alone(layout, epsilon):
    model, default = shape_only("densenet121", layout=layout), shape_only("densenet121")
    assert {layer.epsilon for layer in of_type(model, layers.BatchNormalization)} == {epsilon}
    for ours, other in zip(model.layers, default.layers, strict=True):
        left, right = ours.get_config(), other.get_config()
        assert {**left, "epsilon": 0} == {**right, "epsilon": 0}


@pytest.mark.parametrize("name", ["densenet121", "densenet40_12", "densenetbc_100_12"])
def test_dropout_follows_every_convolution_but_the_first(name):
    model = shape_only(name, dropout=0.2)
    dropped = {id(layer.input) for layer in of_type(model, layers.Dropout)}
    convolutions = of_type(model, layers.Conv2D)
    assert convolutions[0].name == "conv1_conv"
    assert dropped == {id(layer.output) for layer in convolutions[1:]}
