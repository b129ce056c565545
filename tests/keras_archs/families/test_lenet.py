"""What LeNet-5 alone promises: the common network, and that of 1998."""

import keras
import numpy as np
import pytest
from keras import layers
from running import run

import keras_archs
from keras_archs.families.lenet import _subsampled
from keras_archs.graph import without_values


def build(*args, **kwargs):
    with without_values():
        return keras_archs.LeNet5(*args, **kwargs)


# Section II.B, trainable parameters; F6 to the classes is ours.
PARAMS_1998 = {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}


def test_each_layer_of_1998_has_the_parameters_that_the_paper_states():
    model = build(variant="1998")
    for stage, params in PARAMS_1998.items():
        found = sum(x.count_params() for x in model.layers if x.name.split("_")[0] == stage)
        assert found == params, stage
    assert model.count_params() == sum(PARAMS_1998.values()) + 85 * 10


def test_c3_sees_the_maps_of_table_i():
    model = build(variant="1998")
    source = {id(model.get_layer(f"s2_{index}").output): index for index in range(6)}
    seen = [[source[id(x)] for x in model.get_layer(f"c3_{i}_in").input] for i in range(16)]
    assert [len(maps) for maps in seen] == [3] * 6 + [4] * 9 + [6]
    assert seen[:6] == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [0, 4, 5], [0, 1, 5]]
    assert seen[12:15] == [[0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5]]
    assert len(set(map(tuple, seen))) == 16
    assert [sum(index in maps for maps in seen) for index in range(6)] == [10] * 6


def test_subsampling_has_one_coefficient_and_one_bias_a_map():
    inputs = keras.Input((10, 10, 16))
    model = keras.Model(inputs, _subsampled(inputs, "s4"))
    coefficients, bias = np.linspace(-2, 2, 16), np.linspace(-1, 1, 16)
    model.get_layer("s4").set_weights([coefficients.reshape(1, 1, 16, 1), bias])
    maps = np.random.default_rng(0).uniform(-1, 1, (2, 10, 10, 16)).astype("float32")
    sums = maps.reshape(2, 5, 2, 5, 2, 16).sum((2, 4))
    wanted = np.tanh(coefficients / 4 * sums + bias)
    np.testing.assert_allclose(run(model, maps), wanted, atol=1e-5)


@pytest.mark.parametrize("variant", ["common", "1998"])
def test_sizes_of_the_maps(variant):
    model = build(variant=variant)
    ends = {"common": ("c1", "s2", "c3", "s4"), "1998": ("c1_5", "s2_5", "c3", "s4")}[variant]
    found = [model.get_layer(name).output.shape[1:3] for name in ends]
    assert found == [(28, 28), (14, 14), (10, 10), (5, 5)]
    assert build(variant=variant, include_top=False).output_shape == (None, 5, 5, 16)


def test_the_default_is_the_common_network():
    assert build().get_config() == build(variant="common").get_config()
    kinds = [type(layer) for layer in build().layers]
    assert kinds.count(layers.Conv2D) == kinds.count(layers.AveragePooling2D) == 2


@pytest.mark.parametrize("alpha", [0.5, 2, 1.01])
def test_the_widths_of_1998_are_fixed(alpha):
    with pytest.raises(ValueError, match=rf"^`alpha` must be 1 .*Received: alpha={alpha}$"):
        build(variant="1998", alpha=alpha)
    assert build(variant="1998", alpha=1).count_params() == 60_850
