"""What the dense network alone promises: its layers, and what is no list of units."""

import pytest
from keras import layers

import keras_archs
from keras_archs.graph import without_values


def build(*args, **kwargs):
    with without_values():
        return keras_archs.MLP(*args, **kwargs)


@pytest.mark.parametrize(
    ("options", "units"),
    [
        ({}, [1200, 1200, 10]),
        ({"hidden": [800, 800]}, [800, 800, 10]),
        ({"hidden": (5, 3, 2), "alpha": 2, "classes": 7}, [10, 6, 4, 7]),
        ({"hidden": []}, [10]),
    ],
)
def test_hidden_layers_are_as_wide_as_asked(options, units):
    dense = [layer for layer in build(**options).layers if isinstance(layer, layers.Dense)]
    assert [layer.units for layer in dense] == units
    assert [layer.activation.__name__ for layer in dense] == ["relu"] * (len(units) - 1) + [
        "linear"
    ]
    names = [f"fc{index}" for index in range(1, len(units))]
    assert [layer.name for layer in dense] == [*names, "logits"]


def test_a_fifth_of_the_input_and_half_of_each_hidden_layer_is_dropped():
    found = {x.name: x.rate for x in build().layers if isinstance(x, layers.Dropout)}
    assert found == {"input_dropout": 0.2, "drop1": 0.5, "drop2": 0.5}


def test_without_the_classifier_there_is_the_image():
    assert build(include_top=False).output_shape == (None, 28, 28, 1)
    with pytest.raises(ValueError, match="`features` must be None for a network without maps"):
        build(features=["P1"])


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        (800, "`hidden` must be a list of numbers of units. Received: hidden=800"),
        ("800", "`hidden` must be a list of numbers of units. Received: hidden='800'"),
        ([800, 0], r"`hidden` must be an integer in \[1, 1000000\]. Received: hidden=0"),
        ([0.5], r"`hidden` must be an integer in \[1, 1000000\]. Received: hidden=0.5"),
        ([10**6] * 30, "`hidden` must make a network that fits"),
    ],
)
def test_what_is_no_list_of_units_is_refused(hidden, message):
    with pytest.raises(ValueError, match=message):
        keras_archs.MLP(hidden=hidden)
