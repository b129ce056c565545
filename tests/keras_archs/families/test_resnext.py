"""What the ResNeXts promise beyond what every builder does."""

import pytest
from keras import layers

import keras_archs
from keras_archs.graph import without_values

NAMES = {"resnext50_32x4d": (32, 4), "resnext101_32x8d": (32, 8), "resnext29_8x64d": (8, 64)}


def convolutions(name, **kwargs) -> list:
    with without_values():
        model = keras_archs.build(name, **kwargs)
    return [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]


def grouped(name, **kwargs) -> list:
    return [conv for conv in convolutions(name, **kwargs) if conv.groups > 1]


@pytest.mark.parametrize("name", NAMES)
def test_the_3x3_of_each_bottleneck_is_grouped_and_has_the_stride(name):
    groups, width = NAMES[name]
    stages = 3 if name == "resnext29_8x64d" else 4
    found = grouped(name)
    assert {(conv.name[-7:], conv.kernel_size, conv.groups) for conv in found} == {
        ("_2_conv", (3, 3), groups)
    }
    first = {conv.name[:5]: conv.filters for conv in found}
    assert list(first.values()) == [groups * width * 2**stage for stage in range(stages)]
    strided = {conv.name for conv in convolutions(name) if conv.strides == (2, 2)}
    blocks = [f"conv{stage}_block1" for stage in range(3, stages + 2)]
    stem = {"conv1_conv"} if stages == 4 else set()
    assert strided == stem | {f"{block}_{index}_conv" for block in blocks for index in (0, 2)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("alpha, per_group", [(1e-6, 1), (0.5, None), (0.3, None)])
def test_alpha_scales_the_width_of_a_group_not_their_number(name, alpha, per_group):
    groups, width = NAMES[name]
    first = grouped(name, alpha=alpha)[0]
    assert first.groups == groups
    assert first.filters == groups * (per_group or int(width * alpha + 0.5))


@pytest.mark.slow
def test_the_outputs_of_a_block_are_those_of_resnet():
    widest = {c.name[:5]: c.filters for c in convolutions("resnext29_8x64d") if "_3_" in c.name}
    assert widest == {"conv2": 256, "conv3": 512, "conv4": 1024}


@pytest.mark.parametrize("name", NAMES)
def test_there_are_no_biases(name):
    assert {conv.use_bias for conv in convolutions(name)} == {False}


@pytest.mark.parametrize("name", NAMES)
def test_help_warns_of_a_slow_cpu(name):
    title = next(n for n in keras_archs.MODULES["resnext"] if n.lower() == name)
    assert "slow on a CPU" in getattr(keras_archs, title).__doc__
