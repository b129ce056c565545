"""The cost model's multiply-adds against a count of what is really computed.

The second count shares no code with `profile`: it runs a network on one image and watches the
convolutions and matrix products that `keras.ops` carries out, their arrays in hand. A large network
is traced instead of run: the same calls on arrays that have a shape and no values.
"""

import inspect
import math
import re

import keras
import numpy as np
import pytest
from keras.src import ops  # where the layers look their operations up
from keras.src.backend import compute_output_spec
from networks import ONE_A_FAMILY

import keras_archs
from keras_archs.graph import without_values

if keras.backend.backend() != "tensorflow":
    pytest.skip("counted where layers run one by one, without compilation", allow_module_level=True)


@pytest.fixture
def multiply_adds(monkeypatch):
    """The multiply-adds of every convolution and matrix product so far."""
    counted = []

    def watch(name, count):
        original = getattr(ops, name)

        def watched(inputs, *args, **kwargs):
            outputs = original(inputs, *args, **kwargs)
            kernels = (array.shape for array in args if hasattr(array, "shape"))
            counted.append(count(inputs.shape, *kernels, outputs.shape))
            return outputs

        monkeypatch.setattr(ops, name, watched)

    def convolution(inputs, kernel, outputs):
        """A kernel of (height, width, inputs of a group, outputs) at each place of the map."""
        return math.prod(outputs[:-1]) * math.prod(kernel)

    def separable(inputs, depthwise, pointwise, outputs):
        return math.prod(outputs[:-1]) * (math.prod(depthwise) + math.prod(pointwise))

    def product(left, right, outputs):
        return math.prod(outputs) * left[-1]

    watch("conv", convolution)
    watch("depthwise_conv", convolution)
    watch("separable_conv", separable)
    watch("matmul", product)
    return counted


def run_eagerly(model):
    """Layer by layer, with values of their own."""
    model(np.zeros((1, *model.input_shape[1:]), "float32"), training=False)


def trace(model):
    image = keras.KerasTensor((1, *model.input_shape[1:]))
    compute_output_spec(lambda x: model(x, training=False), image)


def test_the_count_of_a_known_network(multiply_adds):
    run_eagerly(keras_archs.LeNet5())
    c1, c3, dense = 28 * 28 * 25 * 6, 10 * 10 * 25 * 6 * 16, [400 * 120, 120 * 84, 84 * 10]
    assert multiply_adds == [c1, c3, *dense]


def test_the_count_of_groups_and_depths(multiply_adds):
    inputs = keras.Input((6, 6, 8))
    x = keras.layers.Conv2D(12, 3, groups=4)(inputs)
    x = keras.layers.DepthwiseConv2D(2, depth_multiplier=3)(x)
    model = keras.Model(inputs, x)
    run_eagerly(model)
    assert multiply_adds == [4 * 4 * 9 * 2 * 12, 3 * 3 * 4 * 36]
    assert keras_archs.profile(model).macs == sum(multiply_adds)


# A Highway network, whose layers have two convolutions, and those that group or pad in other ways.
FEW = ["highway19", "mobilenetv2", "simplenet_310k", "squeezenet", "nin"]
SLOW = sorted({*ONE_A_FAMILY, "resnet50"} - {*FEW})
NETWORKS = [*FEW, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


@pytest.mark.parametrize("name", NETWORKS)
def test_an_architecture_computes_what_its_profile_says(name, multiply_adds):
    model = keras_archs.build(name, alpha=1 / 8)
    run_eagerly(model)
    assert sum(multiply_adds) == keras_archs.profile(model).macs
    assert sum(multiply_adds) == keras_archs.profile(name, alpha=1 / 8).macs
    assert len(multiply_adds) > 2


# ----------------------------------------------------------------------------- keras.applications

BUILDERS = {
    name: builder
    for name, builder in inspect.getmembers(keras.applications, callable)
    if "weights" in inspect.signature(builder).parameters
}
# The smallest of each family, whose others have the same layers more often, or wider.
SMALLEST = {
    **{"ConvNeXt": "Tiny", "DenseNet": "121", "EfficientNetB": "0", "EfficientNetV2B": "0"},
    **{"EfficientNetV2": "S", "InceptionResNetV2": "", "InceptionV3": "", "MobileNet": ""},
    **{"MobileNetV2": "", "MobileNetV3": "Small", "NASNet": "Mobile", "ResNet": "50"},
    **{"ResNetV2": "50V2", "VGG": "16", "Xception": ""},
}
SIZES = {"MobileNetV3Small": (224, 224, 3)}  # else open sides


def _family(name):
    """`name` without its size: "ResNet101V2" is a ResNetV2."""
    name = re.sub(r"(?<=^ResNet)\d+|(?<=^DenseNet)\d+|(?<=^VGG)\d+", "", name)
    return re.sub(r"(?<=B)\d$|(?<=V2)[SML]$|(Tiny|Small|Base|Mobile|X?Large)$", "", name)


def test_all_builders_of_keras_applications_are_met():
    assert len(BUILDERS) >= 40
    assert {_family(name) for name in BUILDERS} == SMALLEST.keys()


def test_a_network_that_is_traced_does_what_it_does_when_it_runs(multiply_adds):
    model = keras.applications.MobileNetV3Small(input_shape=(32, 32, 3), weights=None)
    run_eagerly(model)
    run = multiply_adds.copy()
    multiply_adds.clear()
    trace(model)
    assert multiply_adds == run
    assert sum(run) == keras_archs.profile(model).macs


@pytest.mark.slow
@pytest.mark.parametrize("family", SMALLEST)
def test_every_family_of_keras_applications(family, multiply_adds):
    name = family.removesuffix("V2" if family == "ResNetV2" else "") + SMALLEST[family]
    with without_values():
        model = BUILDERS[name](weights=None, input_shape=SIZES.get(name))
        trace(model)
    counted = keras_archs.profile(model)
    assert counted.macs == sum(multiply_adds) > 0
    assert counted.params == model.count_params() == sum(row.params for row in counted.rows)
