"""What the ResNets of version 2 promise beyond what every builder does."""

import re

import keras
import numpy as np
import pytest
from keras import layers
from running import run

import keras_archs
from keras_archs.families.resnet import KERAS, PAPER, TORCH
from keras_archs.families.resnet_v2 import _max_pool
from keras_archs.graph import without_values


def shape_only(name, *args, **kwargs) -> keras.Model:
    with without_values():
        return keras_archs.build(name, *args, **kwargs)


def of(kind, model) -> list:
    return [layer for layer in model.layers if isinstance(layer, kind)]


def readers(model, name) -> set[str]:
    """The layers that take the output of this one."""
    output = model.get_layer(name).output
    return {x.name for x in model.layers if any(t is output for t in keras.tree.flatten(x.input))}


@pytest.mark.parametrize("name", ["resnet18v2", "resnet34v2", "resnet50v2", "resnet20v2"])
def test_they_have_as_many_layers_as_their_name_says(name):
    model = shape_only(name)
    weighted = [x for x in of((layers.Conv2D, layers.Dense), model) if "_0_conv" not in x.name]
    assert len(weighted) == int(re.sub(r"\D", "", name.removesuffix("v2")))


def test_the_default_has_the_layers_of_keras_applications():
    """And beside them names for the three poolings that have none there."""
    with without_values():
        twin = keras.applications.ResNet50V2(weights=None)
    ours = [layer.name for layer in shape_only("resnet50v2").layers[1:]]
    theirs = [layer.name for layer in twin.layers[1:]]
    pools = {f"conv{stage}_block{last}_0_pool" for stage, last in ((2, 3), (3, 4), (4, 6))}
    assert set(ours) - set(theirs) == pools
    assert all(name.startswith("max_pooling2d") for name in set(theirs) - set(ours))
    assert len(ours) == len(theirs)


@pytest.mark.parametrize(
    "name, layout, strided, biased, epsilon",
    [
        (
            "resnet50v2",
            "keras",
            ["2_block3", "3_block4", "4_block6"],
            {"conv1", "0", "3"},
            1.001e-5,
        ),
        ("resnet50v2", "torch", ["3_block1", "4_block1", "5_block1"], set(), 1e-5),
        pytest.param(
            *("resnet200v2", "keras", ["3_block1", "4_block1", "5_block1"], set(), 1.001e-5),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("resnet200v2", "torch", ["3_block1", "4_block1", "5_block1"], set(), 1e-5),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_layouts_of_a_bottleneck(name, layout, strided, biased, epsilon):
    model = shape_only(name, layout=layout)
    convolutions = of(layers.Conv2D, model)
    found = [c.name for c in convolutions if c.strides == (2, 2) and c.kernel_size == (3, 3)]
    assert found == [f"conv{block}_2_conv" for block in strided]
    with_bias = {c.name.split("_")[-2] for c in convolutions if c.use_bias}
    assert with_bias == biased
    assert {norm.epsilon for norm in of(layers.BatchNormalization, model)} == {epsilon}


@pytest.mark.parametrize(
    "name, first",
    [
        ("resnet18v2", "pool1_pool"),
        ("resnet50v2", "pool1_pool"),
        ("resnet20v2", "conv1_conv"),
    ],
)
def test_both_paths_start_from_the_activation_where_the_channels_change_and_at_first(name, first):
    model = shape_only(name)
    assert readers(model, first) == {"conv2_block1_preact_bn"}
    for stage in range(2, 5 if name == "resnet20v2" else 6):
        block = f"conv{stage}_block1"
        assert len(readers(model, f"{block}_preact_relu")) == 2
        assert readers(model, f"conv{stage}_block2_preact_relu") == {f"conv{stage}_block2_1_conv"}
        assert f"{block}_0_bn" not in [layer.name for layer in model.layers]
    assert model.get_layer("post_relu").input is model.get_layer("post_bn").output


@pytest.mark.parametrize("side", [6, 7])
def test_zeros_are_put_around_the_map_that_the_stem_pools_in_the_keras_layout_alone(side):
    """Where all its values are negative they are the largest."""
    for conventions, largest in ((KERAS, 0), (PAPER, -1), (TORCH, -1)):
        image = keras.Input((side, side, 1))
        model = keras.Model(image, _max_pool(image, conventions))
        pooled = run(model, np.full((1, side, side, 1), -1, "float32"))[0, :, :, 0]
        assert pooled.shape == ((side + 1) // 2,) * 2
        assert (pooled[0] == largest).all() and pooled[1, 1] == -1


@pytest.mark.parametrize("side", [6, 7])
def test_the_stem_pools_windows_around_every_second_pixel(side):
    image = keras.Input((side, side, 1))
    values = np.arange(1, side * side + 1, dtype="float32").reshape(1, side, side, 1)
    pooled = [run(keras.Model(image, _max_pool(image, c)), values) for c in (KERAS, TORCH)]
    np.testing.assert_array_equal(*pooled)
