"""What highway networks alone promise."""

import keras
import numpy as np
import pytest
from keras import layers
from running import run

import keras_archs
from keras_archs.families.highway import highway
from keras_archs.graph import without_values


def built(name, **kwargs):
    with without_values():
        return keras_archs.build(name, **kwargs)


def convolutions(model):
    return [x for x in model.layers if isinstance(x, layers.Conv2D) and "gate" not in x.name]


def test_a_highway_layer_mixes_its_input_with_the_new_state():
    inputs = keras.Input((5, 6, 4))
    model = keras.Model(inputs, highway(inputs, 3, "conv"))
    parts = {name: model.get_layer(name).output for name in ("conv", "conv_gate")}
    images = np.random.default_rng(0).normal(size=(2, 5, 6, 4)).astype("float32")
    found = run(keras.Model(inputs, parts), images)
    state, gate = found["conv"], found["conv_gate"]
    np.testing.assert_allclose(
        run(model, images), gate * state + (1 - gate) * images, rtol=1e-5, atol=1e-6
    )
    assert state.min() == 0 and 0 < gate.min() < gate.max() < 1


@pytest.mark.parametrize("name, gated", [("highway19", 14), ("highway32", 27)])
def test_gates_are_sigmoids_that_start_closed(name, gated):
    model = built(name)
    gates = [layer for layer in model.layers if layer.name.endswith("_gate")]
    assert len(gates) == gated
    for gate in gates:
        assert gate.activation.__name__ == "sigmoid"
        assert gate.bias_initializer.get_config() == {"value": -2.0}
        new = model.get_layer(gate.name.removesuffix("_gate"))
        assert new.input is gate.input
        assert new.filters == gate.filters == gate.input.shape[-1]
        assert new.kernel_size == gate.kernel_size


@pytest.mark.parametrize("name, depth", [("highway19", 19), ("highway32", 32)])
def test_the_name_counts_convolutions_and_the_dense_layer(name, depth):
    assert len(convolutions(built(name))) + 1 == depth


def test_the_layers_of_highway19():
    model = built("highway19")
    filters = [conv.filters for conv in convolutions(model)]
    assert filters == [32] * 5 + [80] * 6 + [128] * 6 + [100]
    names = {layer.name for layer in model.layers}
    plain = [c.name for c in convolutions(model) if f"{c.name}_gate" not in names]
    assert plain == ["conv1", "conv6", "conv12", "conv18"]


def test_highway32_has_fields_of_3x3_and_1x1_in_turn():
    kernels = [conv.kernel_size[0] for conv in convolutions(built("highway32"))]
    assert kernels == [3, 1] * 15 + [1]


@pytest.mark.parametrize("name", ["highway19", "highway32"])
def test_pooling_and_dropout_stand_between_the_stages(name):
    model = built(name)
    kinds = layers.MaxPooling2D, layers.Dropout, layers.GlobalAveragePooling2D
    found = [layer.name for layer in model.layers if isinstance(layer, kinds)]
    assert found == ["drop1", "pool1", "drop2", "pool2", "drop3", "avg_pool", "dropout"]
    assert built(name, include_top=False).output_shape == (None, 8, 8, 100)
    assert built(name, input_shape=(29, 3, 1), include_top=False).output_shape[1:3] == (8, 1)
