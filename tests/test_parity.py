"""The twins of keras.applications compute what keras.applications computes.

Random weights and random BatchNorm statistics are copied by layer name into a network of ours.
Small deliberate errors in it must show.
"""

import functools
from typing import NamedTuple

import keras
import numpy as np
import pytest
from running import run

import keras_archs

TWINS = {"mobilenet": keras.applications.MobileNet, "resnet50": keras.applications.ResNet50}
SMALL = (64, 64, 3)
CASES = [
    ("mobilenet", SMALL, 0.5),
    ("mobilenet", SMALL, 1.0),
    ("mobilenet", (97, 75, 3), 0.5),
    ("mobilenet", (97, 75, 3), 1.0),
    ("resnet50", SMALL, None),
    ("resnet50", (97, 75, 3), None),
]


class Pair(NamedTuple):
    ours: keras.Model  # with the weights of its twin
    images: np.ndarray
    wanted: np.ndarray  # the twin's logits for the images


@pytest.fixture(scope="module")
def pair():
    """`pair(name, input_shape, alpha)`, built once."""
    return functools.cache(_pair)


def _pair(name, shape, alpha):
    rng = np.random.default_rng(0)
    options = dict(input_shape=shape, classes=10, classifier_activation=None, weights=None)
    options |= {} if alpha is None else {"alpha": alpha}
    twin = TWINS[name](**options)
    for layer in twin.layers:
        layer.set_weights([_random(rng, layer, weight) for weight in layer.weights])
    ours = keras_archs.build(name, **options)
    _copy(twin, ours)
    images = rng.normal(size=(2, *shape)).astype("float32")
    return Pair(ours, images, run(twin, images))


def _random(rng, layer, weight):
    """Values that keep a signal alive through many layers and leave no weight without effect."""
    shape = tuple(weight.shape)
    if isinstance(layer, keras.layers.BatchNormalization):  # all may stand for a variance
        return rng.uniform(0.5, 1.5, shape)
    if len(shape) == 1:
        return rng.normal(scale=0.1, size=shape)
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    fan_in = np.prod(shape[:2] if depthwise else shape[:-1])
    return rng.normal(scale=np.sqrt(2 / fan_in), size=shape)


def _copy(source, target):
    """All weights, by layer name."""
    with_weights = {layer.name for layer in source.layers if layer.weights}
    assert with_weights == {layer.name for layer in target.layers if layer.weights}
    for name in with_weights:
        target.get_layer(name).set_weights(source.get_layer(name).get_weights())


def _equal(found, wanted):
    """Within 1e-5 of the largest value."""
    assert np.isfinite(found).all()
    assert found.shape == wanted.shape
    return np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("name, shape, alpha", CASES)
def test_outputs_equal_those_of_the_twin(name, shape, alpha, pair):
    ours, images, wanted = pair(name, shape, alpha)
    assert _equal(run(ours, images), wanted)
    apart = np.abs(wanted[0] - wanted[1]).max()
    assert apart > 0.01 * np.abs(wanted).max(), "the images must matter"


# ------------------------------------------------------------------------------------------ mutants


def _epsilon_of_keras(kind, config):
    if kind == "BatchNormalization":
        config["epsilon"] = 1e-3


def _stride_in_the_3x3(kind, config):
    if kind == "Conv2D" and config["name"].endswith("_block1_1_conv"):
        config["strides"] = (1, 1)
    if kind == "Conv2D" and config["name"] in {f"conv{i}_block1_2_conv" for i in (3, 4, 5)}:
        config["strides"] = (2, 2)


def _padding_on_the_other_sides(kind, config):
    if kind == "ZeroPadding2D" and config["name"].startswith("conv_pad_"):
        config["padding"] = ((1, 0), (1, 0))


def _nothing(kind, config):
    """An exact copy: the control."""


def _rebuilt(model, change):
    """A copy after `change(class_name, config)` edited the configuration of each layer."""
    config = model.get_config()
    for layer in config["layers"]:
        change(layer["class_name"], layer["config"])
    copy = keras.Model.from_config(config)
    _copy(model, copy)
    return copy


@pytest.mark.parametrize(
    "name, alpha, change, equal",
    [
        ("resnet50", None, _epsilon_of_keras, False),
        ("resnet50", None, _stride_in_the_3x3, False),
        ("mobilenet", 1.0, _padding_on_the_other_sides, False),
        ("mobilenet", 1.0, _nothing, True),
    ],
)
def test_a_changed_layer_shows(name, alpha, change, equal, pair):
    ours, images, wanted = pair(name, SMALL, alpha)
    assert _equal(run(_rebuilt(ours, change), images), wanted) == equal


@pytest.mark.parametrize("name, alpha", [("resnet50", None), ("mobilenet", 1.0)])
def test_swapped_statistics_show(name, alpha, pair):
    ours, images, wanted = pair(name, SMALL, alpha)
    mutant = _rebuilt(ours, _nothing)
    for layer in mutant.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma, beta, variance, mean])
    assert not _equal(run(mutant, images), wanted)
