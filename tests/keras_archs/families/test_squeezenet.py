"""What SqueezeNet alone promises: the paper's layout and that of the released Caffe files."""

import numpy as np
import pytest
from keras import layers

import keras_archs
from keras_archs.graph import without_values


def build(name, *args, **kwargs):
    with without_values():
        return keras_archs.build(name, *args, **kwargs)


def sides(name, side, **kwargs):
    """Of the first convolution, the poolings and the map of classes."""
    model = build(name, (side, side, 3), **kwargs)
    shown = [x for x in model.layers if x.name in ("conv1", "conv10") or "maxpool" in x.name]
    return [layer.output.shape[1] for layer in shown if not layer.name.endswith("_pad")]


@pytest.mark.parametrize(
    "name, side, paper, caffe",
    [
        ("squeezenet", 227, [111, 55, 27, 13, 13], [111, 55, 27, 13, 15]),
        ("squeezenet", 224, [109, 54, 26, 12, 12], [109, 54, 27, 13, 15]),
        ("squeezenet1_1", 227, [113, 56, 27, 13, 13], [113, 56, 28, 14, 14]),
        ("squeezenet1_1", 224, [111, 55, 27, 13, 13], [111, 55, 27, 13, 13]),
    ],
)
def test_sizes_of_the_maps(name, side, paper, caffe):
    assert sides(name, side) == sides(name, side, layout="paper") == paper
    assert sides(name, side, layout="caffe") == caffe


@pytest.mark.parametrize("name", ["squeezenet", "squeezenet1_1"])
def test_layouts_have_the_same_weights(name):
    def weights(**kwargs):
        return [(weight.path, weight.shape) for weight in build(name, **kwargs).weights]

    assert weights(layout="caffe") == weights()


@pytest.mark.parametrize(
    "name, least",
    [("squeezenet", (35, 13, 21, 10)), ("squeezenet1_1", (31, 9, 17, 6))],
)
def test_minimum_sizes(name, least):
    smallest = keras_archs.info(name).min_size_for
    found = [smallest(layout=x, stem=y) for x in ("paper", "caffe") for y in ("imagenet", "small")]
    assert tuple(found) == least


def test_only_the_caffe_layout_of_version_1_0_pads_conv10():
    padded = [
        (name, layout)
        for name in ("squeezenet", "squeezenet1_1")
        for layout in ("paper", "caffe")
        if "conv10_pad" in {layer.name for layer in build(name, layout=layout).layers}
    ]
    assert padded == [("squeezenet", "caffe")]
    conv10 = build("squeezenet", layout="caffe").get_layer("conv10")
    assert conv10.padding == "valid" and conv10.activation.__name__ == "relu"


@pytest.mark.parametrize("layout", ["paper", "caffe"])
def test_a_fire_module_puts_1x1_before_3x3(layout):
    model = build("squeezenet", layout=layout)
    for layer in model.layers:
        if isinstance(layer, layers.Concatenate):
            before = [model.get_layer(f"{layer.name[:5]}_expand{k}x{k}").output for k in (1, 3)]
            assert all(x is y for x, y in zip(layer.input, before, strict=True))


def test_the_layout_must_be_one_of_the_three():
    wanted = "`layout` must be one of 'paper', 'caffe', 'torch'. Received"
    with pytest.raises(ValueError, match=wanted):
        keras_archs.SqueezeNet(layout="keras")
    assert np.all([keras_archs.info(n).layout == "paper" for n in ("squeezenet", "squeezenet1_1")])


@pytest.mark.parametrize("layout", ["paper", "caffe", "torch"])
@pytest.mark.parametrize("name", ["squeezenet", "squeezenet1_1"])
def test_saf_pooling_is_max_pooling_that_drops(name, layout):
    pooled, saf = (build(name, layout=layout, downsample=d) for d in ("maxpool", "saf"))
    added = [layer for layer in saf.layers if layer.name not in {x.name for x in pooled.layers}]
    assert len(added) == 3 and {type(layer) for layer in added} == {layers.Dropout}
    assert {layer.rate for layer in added} == {0.2}
    assert all(isinstance(x.input._keras_history[0], layers.MaxPooling2D) for x in added)
    assert saf.count_params() == pooled.count_params()
