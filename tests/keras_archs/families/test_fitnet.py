"""What FitNets alone promise."""

import keras
import numpy as np
from keras import layers
from running import run

import keras_archs
from keras_archs.families.fitnet import maxout_conv
from keras_archs.graph import without_values


def built(**kwargs):
    with without_values():
        return keras_archs.FitNet19(**kwargs)


def test_maxout_takes_the_larger_of_two_convolutions():
    inputs = keras.Input((5, 6, 3))
    model = keras.Model(inputs, maxout_conv(inputs, 4, "conv"))
    pieces = [model.get_layer(f"conv_piece{k}").output for k in (1, 2)]
    images = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype("float32")
    first, second = run(keras.Model(inputs, pieces), images)
    np.testing.assert_allclose(run(model, images), np.maximum(first, second), rtol=1e-6)
    assert (first > second).any() and (second > first).any()


def test_19_layers_and_where_they_are_pooled():
    model = built()
    kinds = layers.Maximum, layers.MaxPooling2D, layers.GlobalMaxPooling2D, layers.Dense
    found = [x for x in model.layers if isinstance(x, kinds) and "piece" not in x.name]
    wanted = [f"conv{k}" for k in range(1, 18)]
    wanted[5:5], wanted[12:12] = ["pool1"], ["pool2"]
    assert [layer.name for layer in found] == [*wanted, "max_pool", "fc1", "logits"]
    filters = [x.output.shape[-1] for x in found if isinstance(x, layers.Maximum)]
    assert filters == [32] * 3 + [48] * 2 + [80] * 6 + [128] * 6 + [500]


def test_pieces_are_as_wide_as_what_they_make():
    model = built(alpha=0.37)
    for layer in model.layers:
        if isinstance(layer, layers.Maximum):
            assert {tuple(piece.shape) for piece in layer.input} == {tuple(layer.output.shape)}
            assert len(layer.input) == 2


def test_pieces_have_no_activation_of_their_own():
    found = [layer for layer in built().layers if "piece" in layer.name]
    assert len(found) == 2 * 18
    assert {layer.activation.__name__ for layer in found} == {"linear"}


def test_dropout_is_off_by_default_and_stands_before_the_classifier():
    assert not any(isinstance(layer, layers.Dropout) for layer in built().layers)
    model = built(dropout=0.5)
    assert model.get_layer("logits").input is model.get_layer("dropout").output


def test_without_the_top_the_map_is_8_by_8():
    assert built(include_top=False).output_shape == (None, 8, 8, 128)
