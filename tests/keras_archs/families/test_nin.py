"""What the NiNs promise beyond what every builder does."""

import math

import keras
import numpy as np
import pytest
from keras import layers
from running import run

import keras_archs
from keras_archs.families.nin import _ceil_average_pool
from keras_archs.graph import without_values


def built(name, *args, **kwargs) -> keras.Model:
    with without_values():
        return keras_archs.build(name, *args, **kwargs)


def convolutions(model) -> list:
    return [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]


@pytest.mark.parametrize("side, first", [(227, 55), (224, 54)])
def test_maps_are_as_large_as_in_caffe(side, first):
    model = built("nin", (side, side, 3))
    sizes = [model.get_layer(n).output.shape[1] for n in ("conv1", "pool1", "pool2", "pool3")]
    assert sizes == [first, 27, 13, 6]


@pytest.mark.parametrize("side", range(26, 42))
def test_poolings_for_cifar_round_up(side):
    model = built("nincifar", (side, side, 3))
    for name in ("pool1", "pool2"):
        side = math.ceil((side - 3) / 2) + 1
        assert model.get_layer(name).output.shape[1:3] == (side, side)


@pytest.mark.parametrize("side", [4, 7, 8])
def test_the_average_is_of_what_is_in_the_map(side):
    inputs = keras.Input((side, side, 1))
    model = keras.Model(inputs, _ceil_average_pool(inputs, "pool"))
    image = np.arange(side * side, dtype="float32").reshape(1, side, side, 1)
    found = run(model, image)[0, ..., 0]
    wanted = [
        [image[0, row : row + 3, column : column + 3].mean() for column in range(0, side - 1, 2)]
        for row in range(0, side - 1, 2)
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_the_second_pooling_for_cifar_is_the_one_that_averages():
    model = built("nincifar")
    kinds = [type(model.get_layer(f"pool{index}")) for index in (1, 2, 3)]
    assert kinds == [*(layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalAveragePooling2D)]


@pytest.mark.parametrize("name, last, wide", [("nin", 8, 1024), ("nincifar", 6, 192)])
def test_the_last_1x1_is_the_classifier(name, last, wide):
    model = built(name, classes=7)
    tail = [f"cccp{last}", f"pool{last // 2}", "predictions"]
    assert [layer.name for layer in model.layers[-3:]] == tail
    assert model.get_layer(f"cccp{last}").filters == 7
    features = built(name, include_top=False)
    assert features.layers[-1].name == f"cccp{last - 1}"
    assert features.output_shape[-1] == wide


@pytest.mark.parametrize("name", ["nin", "nincifar"])
def test_every_convolution_has_a_bias_and_a_relu(name):
    for layer in convolutions(built(name)):
        assert layer.use_bias and layer.activation is keras.activations.relu


def test_dropout_follows_the_poolings_that_have_it():
    def before_dropout(name):
        found = built(name).layers
        return [a.name for a, b in zip(found, found[1:], strict=False) if "drop" in b.name]

    assert before_dropout("nin") == ["pool3"]
    assert before_dropout("nincifar") == ["pool1", "pool2"]


def test_weights_start_from_the_gaussians_of_the_caffe_files():
    stds = {layer.name: layer.kernel_initializer.stddev for layer in convolutions(built("nin"))}
    assert {name for name, std in stds.items() if std == 0.01} == {"conv1", "conv3", "cccp8"}
    assert set(stds.values()) == {0.01, 0.05}
    assert {x.kernel_initializer.stddev for x in convolutions(built("nincifar"))} == {0.05}


def test_only_the_network_for_imagenet_takes_a_stem():
    left_out = {x.name for x in built("nin").layers} - {
        x.name for x in built("nin", stem="small").layers
    }
    assert left_out == {"pool1_pad", "pool1"}
    with pytest.raises(TypeError, match="unexpected keyword argument 'stem'"):
        keras_archs.NiNCifar(stem="small")
