"""The twins of keras.applications compute what keras.applications computes.

Random weights and random BatchNorm statistics are copied into a network of ours: by layer name, or
in order where keras.applications leaves layers without names of their own. Deeper and wider
networks of the same layers have the same names and shapes. Small deliberate errors must show. On
JAX, which compiles deep networks for minutes, two of the twins are tried.
"""

import functools
from typing import NamedTuple

import keras
import numpy as np
import pytest
from keras import layers
from running import random_weight, run

import keras_archs
from keras_archs.graph import without_values

TWINS = """MobileNet MobileNetV2 VGG16 VGG19 ResNet50 ResNet101 ResNet152 ResNet50V2 ResNet101V2
    ResNet152V2 DenseNet121 DenseNet169 DenseNet201 InceptionV3 InceptionResNetV2""".split()
WITHOUT_NAMES = {"InceptionV3", "InceptionResNetV2"}
ON_JAX = {"MobileNet", "ResNet50"}
EVEN, ODD = (64, 64), (97, 75)


class Case(NamedTuple):
    title: str
    sides: tuple[int, int]  # of the images
    options: tuple[tuple, ...] = ()  # arguments of both builders

    def __str__(self):
        options = [f"{name}={value}" for name, value in self.options]
        return "-".join([self.title, "x".join(map(str, self.sides)), *options])


def _case(title, sides, **options):
    return Case(title, sides, tuple(options.items()))


FAST = [
    _case("MobileNet", ODD, alpha=0.5),
    _case("MobileNetV2", EVEN, alpha=0.25),  # has one more shortcut
    _case("VGG16", (65, 33)),  # the dense layers grow with the image
]
SLOW = [
    _case("MobileNet", EVEN, alpha=1.0),
    *(_case("MobileNetV2", sides, alpha=0.35) for sides in (EVEN, ODD)),
    _case("MobileNetV2", ODD, alpha=0.35, input_shape=(None, None, 3), include_top=False),
    _case("MobileNetV2", ODD, alpha=1.4),  # the last convolution grows
    _case("VGG16", (32, 32)),
    *(_case("ResNet50", sides) for sides in (ODD, EVEN)),
    *(_case(title, sides) for title in ("ResNet50V2", "DenseNet121") for sides in (EVEN, ODD)),
    *(_case(t, s) for t in ("InceptionV3", "InceptionResNetV2") for s in ((80, 80), ODD)),
]
# Their layers are those of the ones above, more often or of other widths.
WIDTHS = {"MobileNet": (0.25, 0.75, 1.0), "MobileNetV2": (0.5, 0.75, 1.0, 1.3, 1.4)}
OTHERS = [
    *(_case(title, EVEN, alpha=alpha) for title in WIDTHS for alpha in WIDTHS[title]),
    _case("VGG19", (32, 32)),
    *(_case(f"ResNet{depth}{v}", EVEN) for depth in (101, 152) for v in ("", "V2")),
    *(_case(title, EVEN) for title in ("DenseNet169", "DenseNet201")),
]


def _params(*rows):
    """Rows that start with a case as parameters of a test."""
    ours = [row for row in rows if keras.backend.backend() != "jax" or row[0].title in ON_JAX]
    return [pytest.param(*row, marks=[pytest.mark.slow] * (row[0] in SLOW)) for row in ours]


class Pair(NamedTuple):
    ours: keras.Model  # with the weights of its twin
    images: np.ndarray
    wanted: np.ndarray  # the twin's outputs for the images


@pytest.fixture(scope="module")
def pair():
    """`pair(case)`; the last ones are kept."""
    return functools.lru_cache(maxsize=4)(_pair)


def _options(case):
    """Arguments of both builders."""
    options = dict(input_shape=(*case.sides, 3), classes=10, classifier_activation=None)
    return options | {"weights": None} | dict(case.options)


def _pair(case):
    rng = np.random.default_rng(0)
    options = _options(case)
    twin = getattr(keras.applications, case.title)(**options)
    for layer in twin.layers:
        layer.set_weights([random_weight(rng, layer, weight) for weight in layer.weights])
    ours = keras_archs.build(case.title, **options)
    if case.title in WITHOUT_NAMES:
        ours.set_weights(twin.get_weights())
    else:
        _copy(twin, ours)
    images = rng.normal(size=(2, *case.sides, 3)).astype("float32")
    return Pair(ours, images, run(twin, images))


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


def test_every_twin_is_tried():
    assert {case.title for case in FAST + SLOW + OTHERS} == set(TWINS)


@pytest.mark.slow
@pytest.mark.parametrize("case", OTHERS, ids=str)
def test_layers_have_the_names_and_shapes_of_the_twin_s(case):
    with without_values():
        twin = getattr(keras.applications, case.title)(**_options(case))
        ours = keras_archs.build(case.title, **_options(case))

    def shapes(model):
        return {x.name: [w.shape for w in x.weights] for x in model.layers if x.weights}

    assert shapes(ours) == shapes(twin)


@pytest.mark.parametrize("case", _params(*((case,) for case in FAST + SLOW)), ids=str)
def test_outputs_equal_those_of_the_twin(case, pair):
    ours, images, wanted = pair(case)
    assert _equal(run(ours, images), wanted)
    apart = np.abs(wanted[0] - wanted[1]).max()
    assert apart > 1e-3 * np.abs(wanted).max(), "the images must matter"


# ------------------------------------------------------------------------------------------ mutants


def _rebuilt(model, change=lambda layer, config: None, call=None):
    """A copy; `change` edits each layer's configuration, `call` calls it instead of Keras."""

    def again(layer):
        config = layer.get_config()
        change(layer, config)
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=again, call_function=call)
    _copy(model, copy)
    return copy


def epsilon_of_keras(model):
    def change(layer, config):
        if isinstance(layer, layers.BatchNormalization):
            config["epsilon"] = 1e-3

    return _rebuilt(model, change)


def stride_in_the_3x3(model):
    def change(layer, config):
        if layer.name.endswith("_block1_1_conv"):
            config["strides"] = (1, 1)
        if layer.name in {f"conv{stage}_block1_2_conv" for stage in (3, 4, 5)}:
            config["strides"] = (2, 2)

    return _rebuilt(model, change)


def padding_on_the_other_sides(model):
    def change(layer, config):
        if isinstance(layer, layers.ZeroPadding2D):
            config["padding"] = tuple(pads[::-1] for pads in layer.padding)

    return _rebuilt(model, change)


def statistics_swapped(model):
    mutant = _rebuilt(model)
    for layer in mutant.layers:
        if isinstance(layer, layers.BatchNormalization):
            *rest, mean, variance = layer.get_weights()
            layer.set_weights([*rest, variance, mean])
    return mutant


def branches_reversed(model):
    """Of one concatenation, in the middle of the network."""
    concatenations = [x for x in model.layers if isinstance(x, layers.Concatenate)]
    mutated = concatenations[len(concatenations) // 2].name

    def call(layer, inputs, **arguments):
        return layer(inputs[::-1] if layer.name == mutated else inputs, **arguments)

    return _rebuilt(model, call=call)


def another_scale(model):
    def change(layer, config):
        if isinstance(layer, layers.Rescaling):
            config["scale"] = 1.1 * layer.scale

    return _rebuilt(model, change)


def no_change(model):
    """An exact copy: the control."""
    return _rebuilt(model, call=lambda layer, inputs, **arguments: layer(inputs, **arguments))


MOBILENET, MOBILENET_V2, RESNET, DENSENET, INCEPTION, INCEPTION_RESNET = (
    next(case for case in FAST + SLOW if case.title == title)
    for title in (
        *("MobileNet", "MobileNetV2", "ResNet50", "DenseNet121"),
        *("InceptionV3", "InceptionResNetV2"),
    )
)


@pytest.mark.parametrize(
    "case, mutate",
    _params(
        (DENSENET, branches_reversed),
        (RESNET, epsilon_of_keras),
        (RESNET, stride_in_the_3x3),
        (RESNET, statistics_swapped),
        (MOBILENET, padding_on_the_other_sides),
        (MOBILENET, statistics_swapped),
        (MOBILENET_V2, padding_on_the_other_sides),
        (INCEPTION, branches_reversed),
        (INCEPTION_RESNET, branches_reversed),
        (INCEPTION_RESNET, another_scale),
    ),
    ids=lambda value: getattr(value, "__name__", None) or str(value),
)
def test_a_changed_layer_shows(case, mutate, pair):
    ours, images, wanted = pair(case)
    assert not _equal(run(mutate(ours), images), wanted)


@pytest.mark.parametrize("case", _params((DENSENET,), (MOBILENET,), (INCEPTION,)), ids=str)
def test_a_copy_without_a_change_is_equal(case, pair):
    ours, images, wanted = pair(case)
    assert _equal(run(no_change(ours), images), wanted)
