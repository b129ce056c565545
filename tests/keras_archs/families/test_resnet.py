"""What the ResNets of version 1 promise beyond what every builder does."""

import re

import keras
import numpy as np
import pytest
from keras import layers
from running import run

import keras_archs
from keras_archs.graph import without_values

RESNETS = [
    name.lower()
    for name in (*keras_archs.MODULES["resnet"], *keras_archs.MODULES["resnet_cifar"])
    if not name.endswith("V2")
]
QUICK = {"resnet18", "resnet34", "resnet50", "plainnet18", "resnet20", "resnet32", "plainnet20"}


def shape_only(name, *args, **kwargs) -> keras.Model:
    with without_values():
        return keras_archs.build(name, *args, **kwargs)


def of(kind, model) -> list:
    return [layer for layer in model.layers if isinstance(layer, kind)]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in QUICK)) for n in RESNETS]
)
def test_they_have_as_many_layers_as_their_name_says(name):
    model = shape_only(name)
    weighted = [x for x in of((layers.Conv2D, layers.Dense), model) if "_0_conv" not in x.name]
    assert len(weighted) == int(re.sub(r"\D", "", name))
    in_block = 3 if name in ("resnet50", "resnet101", "resnet152") else 2
    sums = len(of(layers.Add, model))
    assert sums == (0 if name.startswith("plain") else (len(weighted) - 2) // in_block)


def test_only_bottlenecks_have_biases_and_only_in_the_keras_layout():
    def biased(name, **kwargs):
        return {conv.use_bias for conv in of(layers.Conv2D, shape_only(name, **kwargs))}

    assert biased("resnet50") == {True}
    assert biased("resnet50", layout="torch") == biased("resnet18") == biased("resnet20") == {False}


@pytest.mark.parametrize(
    "layout, strided, epsilon", [("keras", "1", 1.001e-5), ("torch", "2", 1e-5)]
)
def test_the_layout_of_a_bottleneck(layout, strided, epsilon):
    model = shape_only("resnet50", layout=layout)
    found = {layer.name for layer in model.layers if getattr(layer, "strides", 1) == (2, 2)}
    blocks = [f"conv{stage}_block1" for stage in (3, 4, 5)]
    convolutions = {f"{block}_{index}_conv" for block in blocks for index in ("0", strided)}
    assert found == {"conv1_conv", "pool1_pool", *convolutions}
    assert {norm.epsilon for norm in of(layers.BatchNormalization, model)} == {epsilon}


@pytest.mark.parametrize("name", ["resnet18", "plainnet34", "resnet20", "resnet20v2"])
def test_strided_convolutions_are_padded_evenly(name):
    model = shape_only(name)
    written_by = {id(layer.output): layer for layer in model.layers}
    for conv in of(layers.Conv2D, model):
        if conv.strides != (1, 1) and conv.kernel_size[0] > 1:
            pad, before = conv.kernel_size[0] // 2, written_by[id(conv.input)]
            assert conv.padding == "valid"
            assert before.padding == ((pad, pad), (pad, pad))


def test_on_imagenet_a_shortcut_that_widens_is_projected():
    names = {layer.name for layer in shape_only("resnet18").layers}
    assert {n for n in names if "_0_" in n} == {
        f"conv{stage}_block1_0_{op}" for stage in (3, 4, 5) for op in ("conv", "bn")
    }


@pytest.mark.parametrize("name", ["resnet20", "resnet20v2"])
def test_a_shortcut_of_option_a_is_subsampled_and_filled_with_zeros_behind(name):
    model = keras_archs.build(name, (9, 12, 3), 3)
    source = "conv3_block1_preact_relu" if name.endswith("v2") else "conv2_block3_out"
    inside = {n: model.get_layer(n).output for n in (source, "conv3_block1_0_swap_back")}
    images = np.random.default_rng(0).uniform(-1, 1, (2, 9, 12, 3)).astype("float32")
    maps = run(keras.Model(model.input, inside), images)
    before, shortcut = maps[source], maps["conv3_block1_0_swap_back"]
    assert shortcut.shape == (2, 5, 6, 32)
    np.testing.assert_array_equal(shortcut[..., :16], before[:, ::2, ::2])
    assert not shortcut[..., 16:].any()


@pytest.mark.parametrize("name", ["resnet20", "plainnet20", "resnet20v2"])
def test_max_pooling_can_stand_for_strides(name):
    strided, pooled = (shape_only(name, downsample=d) for d in ("stride", "maxpool"))
    assert strided.count_params() == pooled.count_params()
    assert strided.output_shape == pooled.output_shape
    shortcuts = [] if name.startswith("plain") else ["0"]
    for stage in (3, 4):
        conv = pooled.get_layer(f"conv{stage}_block1_1_conv")
        assert pooled.get_layer(f"conv{stage}_block1_1_pool").input is conv.output
        for index in ("1", *shortcuts):
            pool = pooled.get_layer(f"conv{stage}_block1_{index}_pool")
            assert pool.pool_size == pool.strides == (2, 2)
    assert {conv.strides for conv in of(layers.Conv2D, pooled)} == {(1, 1)}


@pytest.mark.slow
def test_resnet1202_builds():
    assert keras_archs.ResNet1202().count_params() == 19_510_906
