"""What Inception v3, v4 and Inception-ResNet v2 alone promise."""

import functools

import keras
import pytest
from keras import layers

import keras_archs
from keras_archs.graph import without_values

TWINS = "InceptionV3", "InceptionResNetV2"


@functools.cache
def shape_only(name, *args, **kwargs):
    with without_values():
        return keras_archs.build(name, *args, **kwargs)


def of(model, kind) -> list:
    return [layer for layer in model.layers if isinstance(layer, kind)]


def read_by(model, name):
    """The names of the layers whose outputs the layer reads."""
    layer_of = {id(layer.output): layer.name for layer in model.layers}
    read = model.get_layer(name).input
    return [layer_of[id(tensor)] for tensor in (read if isinstance(read, list) else [read])]


@pytest.mark.parametrize(
    "name", ["InceptionV3", pytest.param("InceptionResNetV2", marks=pytest.mark.slow)]
)
def test_weights_and_maps_are_those_of_keras_in_order(name):
    with without_values():
        twin = getattr(keras.applications, name)(weights=None)
    ours = shape_only(name)
    assert [(w.name, w.shape) for w in twin.weights] == [(w.name, w.shape) for w in ours.weights]
    assert twin.output_names == ours.output_names == ["predictions"]
    concatenations = {
        layer.name: layer.output.shape
        for layer in of(twin, layers.Concatenate)
        if "mixed" in layer.name and "mixed9_" not in layer.name  # inside a branch
    }
    assert len(concatenations) in (11, 43)
    for at, shape in concatenations.items():
        assert ours.get_layer(at).output.shape == shape


@pytest.mark.parametrize(
    "name, layout, gamma, padded",
    [
        ("inceptionv3", "keras", False, 0),
        ("inceptionv3", "torch", True, 9),
        ("inceptionresnetv2", "keras", False, 0),
        ("inceptionresnetv2", "torch", True, 0),
    ],
)
def test_layouts_differ_in_gamma_and_in_averages_at_the_border(name, layout, gamma, padded):
    model = shape_only(name, layout=layout)
    norms = of(model, layers.BatchNormalization)
    assert {(norm.scale, norm.epsilon) for norm in norms} == {(gamma, 1e-3)}
    pads = of(model, layers.ZeroPadding2D)
    assert len(pads) == padded
    averages = of(model, layers.AveragePooling2D)
    assert {layer.padding for layer in averages} == {"valid" if padded else "same"}
    for average in averages * bool(padded):
        assert read_by(model, average.name) == [f"{average.name}_pad"]
    assert model.output_shape == (None, 1000)


@pytest.mark.parametrize("stem, least", [("imagenet", 299), ("small", 77)])
def test_the_auxiliary_classifier_needs_a_map_of_17x17(stem, least):
    shape = (least, least, 3)
    model = shape_only("inceptionv3", shape, 7, aux=True, stem=stem)
    assert model.get_layer("mixed7").output.shape[1:3] == (17, 17)
    assert model.get_layer("aux1_1_conv").output.shape == (None, 5, 5, 128)
    assert model.get_layer("aux1_2_conv").output.shape == (None, 1, 1, 768)
    with pytest.raises(ValueError, match=f"at least {least}x{least} for InceptionV3"):
        shape_only("inceptionv3", (least - 1, least, 3), aux=True, stem=stem)
    below = shape_only("inceptionv3", (least - 1, least - 1, 3), include_top=False, stem=stem)
    assert below.get_layer("mixed7").output.shape[1:3] == (16, 16)


def test_the_auxiliary_output():
    model = shape_only("inceptionv3", (None, None, 3), 7, aux=True, alpha=0.5)
    assert {name: out.shape for name, out in model.output.items()} == {
        "predictions": (None, 7),
        "aux1": (None, 7),
    }
    assert read_by(model, "aux1_pool") == ["mixed7"]
    assert [model.get_layer(f"aux1_{i}_conv").filters for i in (1, 2)] == [64, 384]
    assert {model.get_layer(at).activation for at in ("predictions", "aux1")} == {
        keras.activations.softmax
    }
    assert isinstance(shape_only("inceptionv3").output, keras.KerasTensor)


def test_concatenations_of_inception_v4():
    model = shape_only("inceptionv4")
    assert read_by(model, "mixed_3a") == ["mixed_3a_pool_1_pool", "mixed_3a_3x3_1_conv_ac"]
    assert read_by(model, "mixed_5a") == ["mixed_5a_3x3_1_conv_ac", "mixed_5a_pool_1_pool"]
    sides = {"3a": 73, "4a": 71, "5a": 35, "5e": 35, "6a": 17, "6h": 17, "7a": 8, "7d": 8}
    wide = {"3a": 160, "4a": 192, "5a": 384, "5e": 384, "6a": 1024, "6h": 1024, "7a": 1536}
    for name, side in sides.items():
        shape = model.get_layer(f"mixed_{name}").output.shape
        assert shape == (None, side, side, wide.get(name, 1536))
    assert not any(layer.use_bias for layer in of(model, layers.Conv2D))
    assert all(norm.scale for norm in of(model, layers.BatchNormalization))


def test_factorised_convolutions_of_inception_v4_stand_in_the_order_of_the_release():
    model = shape_only("inceptionv4")
    kernels = {
        branch: [model.get_layer(f"mixed_{branch}_{i}_conv").kernel_size for i in indices]
        for branch, indices in (
            ("6b_7x7", (2, 3)),
            ("6b_7x7dbl", (2, 3, 4, 5)),
            ("7b_3x3dbl", (2, 3)),
        )
    }
    assert kernels == {
        "6b_7x7": [(1, 7), (7, 1)],
        "6b_7x7dbl": [(7, 1), (1, 7), (7, 1), (1, 7)],
        "7b_3x3dbl": [(3, 1), (1, 3)],
    }


def test_the_small_stem_keeps_a_pooling_branch_and_leaves_a_lone_pooling_out():
    names = {layer.name for layer in shape_only("inceptionv3", stem="small").layers}
    assert "stem_4_pool" not in names and "stem_7_pool" in names
    v4 = shape_only("inceptionv4", stem="small")
    for name in ("stem_1_conv", "mixed_3a_pool_1_pool", "mixed_3a_3x3_1_conv"):
        layer = v4.get_layer(name)
        assert (layer.strides, layer.padding) == ((1, 1), "valid")
    assert v4.get_layer("mixed_5a_pool_1_pool").strides == (2, 2)


def test_residual_blocks_of_inception_resnet():
    model = shape_only("inceptionresnetv2")
    scales = [(layer.name, layer.scale) for layer in of(model, layers.Rescaling)]
    assert scales == [
        (f"{block}_{index}_scale", scale)
        for block, count, scale in (("block35", 10, 0.17), ("block17", 20, 0.1), ("block8", 9, 0.2))
        for index in range(1, count + 1)
    ]
    assert read_by(model, "block8_9_ac") == ["block8_9_add"]
    assert read_by(model, "block8_10_add") == ["block8_9_ac", "block8_10_conv"]
    assert read_by(model, "conv_7b") == ["block8_10_add"]
    biased = {layer.name for layer in of(model, layers.Conv2D) if layer.use_bias}
    blocks = [("block35", 10), ("block17", 20), ("block8", 10)]
    assert biased == {f"{block}_{i}_conv" for block, count in blocks for i in range(1, count + 1)}
