"""What the two AlexNets promise beyond what every builder does."""

import keras
import numpy as np
import pytest
from keras import layers
from running import run

import keras_archs
from keras_archs.families.alexnet import _towers
from keras_archs.graph import without_values


def built(name, *args, **kwargs) -> keras.Model:
    with without_values():
        return keras_archs.build(name, *args, **kwargs)


def names_of(model) -> list[str]:
    return [layer.name for layer in model.layers]


def test_the_layers_stand_in_the_order_of_the_paper():
    names = [name for name in names_of(built("alexnet")) if not name.endswith("_in")]
    towers = {index: [f"conv{index}_{t}" for t in (1, 2)] for index in (2, 4, 5)}
    assert names == [
        *("input", "conv1", "norm1", "pool1"),
        *(*towers[2], "conv2_concat", "norm2", "pool2"),
        "conv3",
        *(*towers[4], "conv4_concat"),
        *(*towers[5], "conv5_concat", "pool5"),
        *("flatten", "fc6", "drop6", "fc7", "drop7", "logits", "predictions"),
    ]


@pytest.mark.parametrize("name", ["alexnet", "alexnetonetower"])
def test_the_maps_have_the_sizes_of_the_paper(name):
    model = built(name)
    sizes = [model.get_layer(n).output.shape[1] for n in ("conv1", "pool1", "pool2", "pool5")]
    assert sizes == [55, 27, 13, 6]
    assert model.get_layer("flatten").output.shape == (None, 6 * 6 * 256)


def test_each_tower_sees_its_half_of_the_maps_alone():
    inputs = keras.Input((7, 5, 6))
    model = keras.Model(inputs, _towers(inputs, 4, 3, 1, "conv"))
    images = np.zeros((2, 7, 5, 6), "float32")
    images[0, ..., :3] = 100
    images[1, ..., 3:] = 100
    alone = run(model, images) == 1  # the bias
    np.testing.assert_array_equal(alone[0].all(axis=(0, 1)), [False] * 4 + [True] * 4)
    np.testing.assert_array_equal(alone[1].all(axis=(0, 1)), [True] * 4 + [False] * 4)
    first, second = (model.get_layer(f"conv_{tower}").get_weights()[0] for tower in (1, 2))
    assert first.shape == second.shape == (3, 3, 3, 4)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("alpha", [0.01, 0.3])
def test_both_towers_are_equally_wide_at_any_alpha(alpha):
    model = built("alexnet", alpha=alpha)
    for index, half in ((2, 128), (4, 192), (5, 128)):
        wanted = int(half * alpha + 0.5)
        towers = [model.get_layer(f"conv{index}_{tower}") for tower in (1, 2)]
        assert [tower.filters for tower in towers] == [wanted, wanted]
        assert towers[0].input.shape == towers[1].input.shape


def test_normalisation_has_the_constants_of_the_paper():
    model = built("alexnet")
    for name in ("norm1", "norm2"):
        norm = model.get_layer(name)
        assert (norm.size, norm.alpha, norm.beta, norm.k) == (5, 1e-4, 0.75, 2)


def test_weights_and_biases_start_as_in_section_5():
    for layer in built("alexnet").layers:
        if not layer.weights:
            continue
        assert isinstance(layer.kernel_initializer, keras.initializers.RandomNormal)
        assert layer.kernel_initializer.stddev == 0.01
        alive = layer.name.startswith(("conv2", "conv4", "conv5", "fc6", "fc7"))
        assert layer.bias_initializer.value == (1 if alive else 0), layer.name


def test_one_tower_has_the_widths_and_dropout_of_torchvision():
    model = built("alexnetonetower")
    widths = [layer.filters for layer in model.layers if isinstance(layer, layers.Conv2D)]
    assert widths == [64, 192, 384, 256, 256]
    tail = ["flatten", "drop6", "fc6", "drop7", "fc7", "logits", "predictions"]
    assert names_of(model)[-len(tail) :] == tail
    assert not [name for name in names_of(model) if name.startswith("norm")]


@pytest.mark.parametrize("name", ["alexnet", "alexnetonetower"])
def test_the_small_stem_has_neither_the_first_stride_nor_the_first_pooling(name):
    paper, small = built(name), built(name, stem="small")
    assert set(names_of(paper)) - set(names_of(small)) == {"pool1"}
    assert paper.get_layer("conv1").strides == (4, 4)
    assert small.get_layer("conv1").strides == (1, 1)
