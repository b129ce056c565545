"""What SimpNet alone promises: the published chains of layers, exactly, and Caffe's rounding."""

import json
import math

import keras
import numpy as np
import pytest
from keras import layers
from running import run

import keras_archs
from keras_archs._chains import _max_pool, chain
from keras_archs.cost import _traceless as without_values
from keras_archs.simpnet import experiments

CLASSES = {"mnist": 10, "cifar10": 10, "svhn": 10, "cifar100": 100, "imagenet": 1000}
POOLS_A_SINGLE_PIXEL = {71, 88, 89, 90, 91, 103}  # at their own input


def build(name="simpnet", *args, **kwargs):
    with without_values():
        return keras_archs.build(name, *args, **kwargs)


def geometries():
    """One id of each sequence of kernels, strides and paddings."""
    found = {}
    for number, row in experiments().items():
        steps = tuple(step for line in row["rows"] for step in line.split() if "/" in step)
        found.setdefault((steps, tuple(row["input_shape"])), number)
    return sorted(found.values())


# ---------------------------------------------------------------------------------- experiments


def test_every_line_of_the_file_is_a_chain():
    assert len(experiments()) == 99
    for number, row in experiments().items():
        keys = ["id", "where", "dataset", "input_shape", "classes", "accuracy", "rows"]
        assert list(row) == keys and row["id"] == number
        assert row["where"].startswith(("SimpNetV2/", "SimpNet_V1/"))
        assert row["classes"] == CLASSES[row["dataset"]]
        assert row["accuracy"] is None or 30 < row["accuracy"] < 100


@pytest.mark.slow
def test_every_chain_has_the_reference_counts(reference):
    file = json.loads((reference / "simpnet_experiments.json").read_text())
    published = {row["id"]: row for row in file["experiments"]}
    for number in experiments():
        profile, row = keras_archs.profile("simpnet", experiment=number), published[number]
        counted = (profile.trainable_params, profile.macs)
        assert counted == (row["learnable_parameters"], row["macs"]), number
        assert list(profile.rows[0].output_shape) == row["input"], number


@pytest.mark.parametrize(
    "number, trainable, macs",
    [
        (0, 1_002_426, 347_097_600),  # ends in a convolution to the classes, averaged
        (2, 309_154, 97_447_464),  # pools 3x3 with stride 2
        (36, 362_254, 105_145_128),  # strided convolutions
        (48, 128_782, 33_920_444),  # unpadded 2x2 convolutions
        (54, 128_694, 37_843_560),  # 2x2 convolutions padded by 1
        (71, 5_490_570, 493_874_688),  # both kinds, 28x28x1
        (88, 19_959_140, 919_281_664),  # a map of 3x3 is flattened
        (98, 383_624, 353_401_024),  # 7x7 with stride 3 at 227x227
    ],
)
def test_counts_of_the_unusual_chains(number, trainable, macs):
    profile = keras_archs.profile("simpnet", experiment=number)
    assert (profile.trainable_params, profile.macs) == (trainable, macs)


@pytest.mark.parametrize(
    "name, number",
    [
        ("simpnet", 62),
        ("simpnet_9m", 63),
        ("simpnet_1m", 5),
        ("simpnet_600k", 7),
        ("simpnet_300k", 6),
    ],
)
def test_the_tables_are_the_same_networks_as_their_experiments(name, number):
    table, experiment = build(name), build(experiment=number)
    assert table.get_config()["layers"] == experiment.get_config()["layers"]


def test_input_and_classes_default_to_those_of_the_experiment():
    for number, row in experiments().items():
        if number in (0, 11, 98):
            model = build(experiment=number)
            assert model.input_shape == (None, *row["input_shape"])
            assert model.output_shape == (None, row["classes"])
    model = build("simpnet", (40, 33, 2), 7, experiment=98)
    assert model.input_shape == (None, 40, 33, 2) and model.output_shape == (None, 7)
    assert build(experiment=98, rho=0.5).input_shape == (None, 114, 114, 3)


def test_layers_stand_in_the_published_order():
    names = [layer.name for layer in build(experiment=22).layers]
    seventh = names.index("conv7")
    assert names[seventh : seventh + 5] == ["conv7", "pool7", "conv7_bn", "conv7_relu", "drop7"]
    ninth = names.index("conv9")
    assert names[ninth : ninth + 5] == ["conv9", "conv9_bn", "conv9_relu", "drop9", "pool9"]
    assert [layer.name for layer in build(experiment=39).layers if "6" in layer.name] == [
        *("conv6_pad", "conv6")
    ]
    tail = [layer.name for layer in build(experiment=90).layers][-6:]
    assert tail == ["conv14_pad", "conv14", "drop14", "flatten", "logits", "predictions"]


@pytest.mark.parametrize("number, pool", [(0, "avg_pool"), (1, "max_pool")])
def test_a_convolution_can_be_the_classifier(number, pool):
    model = build("simpnet", None, 7, experiment=number, alpha=0.5)
    assert [layer.name for layer in model.layers][-5:] == [
        *("conv13", "conv13_bn", "conv13_relu", pool, "predictions")
    ]
    assert model.get_layer("conv13").filters == 7
    assert model.get_layer("conv12").filters == 75
    assert build(experiment=number, include_top=False).output_shape == (None, 8, 8, 150)
    logits = build(experiment=number, classifier_activation=None)
    assert logits.layers[-1].name == pool and logits.output_shape == (None, 100)


def test_a_chain_without_global_pooling_needs_fixed_sides():
    assert build("simpnet", (None, None, 3), experiment=2).output_shape == (None, 100)
    with pytest.raises(ValueError, match="fixed sides: layer `flatten`"):
        build("simpnet", (None, None, 3), experiment=77)
    assert build("simpnet", (64, 33, 3), experiment=77).get_layer("flatten").output.shape == (
        *(None, 2 * 2 * 256),
    )


def test_dropout_sets_the_rate_of_every_dropout_layer():
    def rates(**kwargs):
        model = build(experiment=82, **kwargs)
        return [layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)]

    assert rates() == [0.2] * 9 + [0.3] * 2 + [0.2] * 2
    assert rates(dropout=0.4) == [0.4] * 13
    assert rates(dropout=0) == []
    assert not any("drop" in layer.name for layer in build(experiment=8, dropout=0.4).layers)


@pytest.mark.parametrize("bad", [13, 106, -1, True, 2.0, "5", [5]])
def test_an_unknown_experiment_is_refused(bad):
    message = (
        r"^`experiment` must be None or the id of a chain in keras_archs/experiments.json, such as "
        r"0, 1, 2. Received: experiment="
    )
    with pytest.raises(ValueError, match=message):
        keras_archs.SimpNet((1, 1, 3), experiment=bad)
    with pytest.raises(ValueError, match=message):
        keras_archs.info("simpnet").min_size_for(experiment=bad)


def test_experiments_are_those_of_simpnet_alone():
    assert build(experiment=np.int64(5)).count_params() == build("simpnet_1m").count_params()
    with pytest.raises(TypeError, match="unexpected keyword argument 'experiment'"):
        keras_archs.SimpNet_9M(experiment=5)
    assert "    experiment: " in keras_archs.SimpNet.__doc__
    assert "experiment: " not in keras_archs.SimpNet_9M.__doc__


# ----------------------------------------------------------------------------------------- sizes


def strided(number, side):
    """Names of the strided layers: those that make their map smaller, and the others.

    None of either where a map is empty.
    """
    inputs = keras.Input((side, side, 1))
    try:
        with without_values():
            model = keras.Model(inputs, chain(inputs, experiments()[number]["rows"], 0.01, None))
    except ValueError:  # a map of no or less than no pixels
        return set(), set()
    written_by = {id(layer.output): layer for layer in model.layers}
    shrinking, others = set(), set()
    for layer in model.layers:
        if max(getattr(layer, "strides", (1,))) == 1:
            continue
        before = layer.input
        if isinstance(written_by[id(before)], layers.ZeroPadding2D):
            before = written_by[id(before)].input
        smaller = layer.output.shape[1] < before.shape[1]
        (shrinking if smaller else others).add(layer.name)
    return (shrinking, others) if model.output_shape[1] else (set(), set())


@pytest.mark.parametrize("number", geometries())
def test_the_minimum_size_of_a_chain_is_the_smallest_that_works(number):
    least = keras_archs.info("simpnet").min_size_for(experiment=number)
    own = experiments()[number]["input_shape"][0]
    wanted, others = strided(number, own)
    assert wanted and bool(others) == (number in POOLS_A_SINGLE_PIXEL)
    works = [strided(number, side)[0] >= wanted for side in range(least - 1, least + 4)]
    assert works == [False, True, True, True, True]
    with pytest.raises(ValueError, match=f"at least {least}x{least} for SimpNet"):
        keras_archs.SimpNet((least - 1, own, 3), experiment=number)


@pytest.mark.parametrize("kernel, stride", [(2, 2), (3, 2)])
@pytest.mark.parametrize("side", [2, 5, 6, 7])
def test_pooling_is_that_of_caffe(kernel, stride, side):
    shape = (side, side + 3, 1)
    values = np.random.default_rng(side).uniform(-2, -1, (1, *shape)).astype("float32")
    if kernel > stride:
        values = np.maximum(values + 1.5, 0)  # behind a ReLU
    inputs = keras.Input(shape)
    found = run(keras.Model(inputs, _max_pool(inputs, kernel, stride, "pool")), values)[0, ..., 0]
    rows, columns = (math.ceil((n - kernel) / stride) + 1 for n in shape[:2])
    wanted = [
        [
            values[0, stride * i : stride * i + kernel, stride * j : stride * j + kernel].max()
            for j in range(columns)
        ]
        for i in range(rows)
    ]
    np.testing.assert_array_equal(found, np.array(wanted))
