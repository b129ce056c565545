"""What SimpNet alone promises: the published chains of layers, exactly, and Caffe's rounding."""

import math

import keras
import numpy as np
import pytest
from keras import layers
from reference.figures import CHAINS
from running import run

import keras_archs
from keras_archs.families.chains import _max_pool, chain, check_rows
from keras_archs.families.simpnet import SIMPNET_5M, _rows, experiments
from keras_archs.graph import without_values

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
def test_every_chain_has_the_counts_of_its_definition():
    assert [row.experiment for row in CHAINS] == sorted(experiments())
    for row in CHAINS:
        profile = keras_archs.profile("simpnet", experiment=row.experiment)
        counted = (profile.rows[0].output_shape, profile.trainable_params, profile.macs)
        assert counted == (row.input, row.trainable, row.macs), row


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


def test_the_input_shape_of_an_experiment_is_its_own():
    info = keras_archs.info("simpnet")
    for number, row in experiments().items():
        assert info.input_shape_for(experiment=number) == tuple(row["input_shape"])
    assert info.input_shape_for() == info.input_shape


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, marks=[pytest.mark.slow] * (at % 4 > 0))
        for at, number in enumerate(geometries())
    ],
)
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


# ------------------------------------------------------------------------------------------ rows

HEAD = "gmp drop0.2 dense"


def test_rows_spell_out_the_network_that_is_built():
    rows = _rows(SIMPNET_5M, None, None)
    assert rows[4] == "192 3/1/1 bn relu max2/2/0 drop0.2"
    assert build(rows=rows).get_config()["layers"] == build().get_config()["layers"]
    assert keras_archs.profile("simpnet", rows=tuple(rows)).params == 5_483_769
    published = experiments()[48]
    own = build(rows=published["rows"]).get_config()["layers"]
    assert own == build(experiment=48).get_config()["layers"]


def test_rows_take_the_other_arguments_too():
    rows = ["20 3/1/1 bn relu max2/2/0 drop0.1", "41 3/2/1 bn relu", HEAD]
    model = build("simpnet", (28, 20, 1), 7, rows=rows, alpha=0.5, dropout=0.4)
    assert model.get_layer("conv1").filters == 10
    assert model.get_layer("conv2").output.shape == (None, 7, 5, 21)
    assert model.output_shape == (None, 7) and model.get_layer("drop1").rate == 0.4
    assert build(rows=rows, rho=0.5).input_shape == (None, 16, 16, 3)
    assert build(rows=rows).output_shape == (None, 10)


@pytest.mark.parametrize("side", [2, 5, 6, 7])
def test_average_pooling_rounds_sides_up_and_leaves_the_padding_out(side):
    model = keras_archs.SimpNet(
        (side, 6, 1), include_top=False, rows=["1 1/1/0 avg2/2/0", "gap dense"]
    )
    model.get_layer("conv1").set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    values = np.random.default_rng(side).normal(size=(1, side, 6, 1)).astype("float32")
    wanted = [
        [values[0, i : i + 2, j : j + 2].mean() for j in range(0, 6, 2)] for i in range(0, side, 2)
    ]
    np.testing.assert_allclose(run(model, values)[0, ..., 0], wanted, atol=1e-6)


@pytest.mark.parametrize(
    "rows, least",
    [
        (["8 3/1/1", "gmp dense"], 1),
        (["8 3/1/1 max2/2/0", "8 3/1/1 avg2/2/0", "gmp dense"], 3),
        (["8 3/2/1", "8 3/2/1", "gmp dense"], 3),
        (["8 3/1/0", "8 3/1/0", "gmp dense"], 5),
        (["8 40/1/0", "gmp dense"], 40),
        (["8 3/1/1 max2/2/0"] * 6 + ["gmp dense"], 17),  # at 32 the sixth changes nothing
    ],
)
def test_the_minimum_size_of_rows_is_the_smallest_at_which_all_layers_still_act(rows, least):
    assert keras_archs.info("simpnet").min_size_for(rows=rows) == least
    assert build("simpnet", (least, least, 1), rows=rows).output_shape == (None, 10)
    if least > 1:
        with pytest.raises(ValueError, match=f"at least {least}x{least} for SimpNet"):
            keras_archs.SimpNet((least - 1, 50, 1), rows=rows)


def test_every_published_chain_is_written_in_valid_rows():
    for row in experiments().values():
        check_rows(row["rows"])


@pytest.mark.parametrize(
    "row",
    [
        "60 3/x",
        "60",
        "0 3/1/1",
        "-6 3/1/1",
        "6.5 3/1/1",
        "65537 3/1/1",
        "60 0/1/1",
        "60 3/0/1",
        "60 1025/1/1",
        "60  3/1/1",
        "60 3/1/1 bn bn",
        "60 3/1/1 max2/2/0 avg2/2/0",
        "60 3/1/1 max2/2/1",
        "60 3/1/1 max2/3/0",
        "60 3/1/1 max3/2/0",
        "60 3/1/1 relu bn max3/2/0",
        "60 3/1/1 relu avg3/2/0",
        "60 3/1/1 drop1",
        "60 3/1/1 drop-0.1",
        "60 3/1/1 swish",
        "bn 60 3/1/1",
        "gmp dense",
        60,
        None,
    ],
)
def test_a_row_that_cannot_be_read_is_named(row):
    message = r"^`rows` must have rows such as '60 3/1/1 bn relu max2/2/0 drop0.1'. Received: "
    with pytest.raises(ValueError, match=message + r"rows\[1\]=") as error:
        keras_archs.SimpNet(rows=["30 3/1/1 bn relu", row, HEAD])
    assert str(error.value).endswith(f"={row!r}")


@pytest.mark.parametrize("row", ["60 3/1/1", "gmp", "drop0.2 dense", "gmp drop1 dense", "conv gmp"])
def test_the_last_row_is_a_classifier(row):
    message = r"^`rows` must end with a row such as 'gmp drop0.2 dense'. Received: rows\[1\]="
    with pytest.raises(ValueError, match=message):
        keras_archs.SimpNet(rows=["30 3/1/1 bn relu", row])


@pytest.mark.parametrize("rows", [[], [HEAD], "30 3/1/1", 5, {"rows": []}])
def test_rows_are_a_list(rows):
    with pytest.raises(ValueError, match="^`rows` must be a list of at least one convolution and"):
        keras_archs.SimpNet(rows=rows)


def test_rows_and_experiment_exclude_each_other():
    with pytest.raises(ValueError, match="^`rows` must be None where `experiment` is given. Rec"):
        keras_archs.SimpNet(rows=["30 3/1/1", HEAD], experiment=5)
    with pytest.raises(TypeError, match="unexpected keyword argument 'rows'"):
        keras_archs.SimpNet_9M(rows=["30 3/1/1", HEAD])
    assert "    rows: " in keras_archs.SimpNet.__doc__
    assert "rows: " not in keras_archs.SimpNet_9M.__doc__


# --------------------------------------------------------------------------- pools of information

POOLED = [  # each way in which rows bring maps together
    "6 3/1/1 bn relu",
    "6 3/1/1 bn add1 relu",
    "6 3/1/1 bn relu drop0.1",
    "6 3/1/1 bn add2 relu max|avg2/2/0",
    "8 3/1/1 bn relu max+avg2/2/0",
    "8 1/1/0 bn add1 relu",
    "5 3/1/1 bn relu cat1",
    "5 3/1/1 bn relu cat2",
    "gmp dense",
]


def test_what_a_row_before_put_out_is_added():
    model = keras_archs.SimpNet((9, 8, 3), 4, rows=POOLED)
    assert [layer.name for layer in model.layers if isinstance(layer, layers.Add)] == [
        *("conv2_add", "conv4_add", "pool5", "conv6_add")
    ]
    images = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype("float32")
    names = "conv1_relu", "conv2_relu", "conv3_relu", "conv4_bn", "conv4_relu"
    maps = keras.Model(model.input, [model.get_layer(name).output for name in names])
    first, second, _, alone, summed = run(maps, images)
    np.testing.assert_allclose(summed, np.maximum(alone + second, 0), atol=1e-6)
    assert not np.allclose(summed, np.maximum(alone + first, 0), atol=1e-3)


@pytest.mark.parametrize("side", [2, 5])
def test_two_poolings_are_added_or_stand_side_by_side(side):
    values = np.random.default_rng(side).normal(size=(1, side, 4, 1)).astype("float32")

    def pooled(step):
        rows = [f"1 1/1/0 {step}2/2/0", "gap dense"]
        model = keras_archs.SimpNet((side, 4, 1), include_top=False, rows=rows)
        model.get_layer("conv1").set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
        assert model.layers[-1].name == "pool1"
        return run(model, values)

    largest, mean = pooled("max"), pooled("avg")
    np.testing.assert_allclose(pooled("max+avg"), largest + mean, atol=1e-6)
    np.testing.assert_array_equal(pooled("max|avg"), np.concatenate([largest, mean], -1))


def test_a_row_after_two_poolings_side_by_side_reads_twice_the_channels():
    model = build("simpnet", (9, 8, 3), 4, rows=POOLED)
    assert model.get_layer("pool4").output.shape == (None, 5, 4, 12)
    assert model.get_layer("conv5").kernel.shape == (3, 3, 12, 8)
    assert keras_archs.info("simpnet").min_size_for(rows=POOLED) == 3
    profile = keras_archs.profile("simpnet", input_shape=(9, 8, 3), classes=4, rows=POOLED)
    convolutions = 9 * (3 * 6 + 3 * 6 * 6 + 12 * 8 + (8 + 13) * 5) + 8 * 8
    read = 5 + 8  # by the classifier
    assert profile.params == convolutions + 5 * (4 * 6 + 2 * 8 + 2 * 5) + (read + 1) * 4
    maps = 72 * 9 * (3 * 6 + 3 * 6 * 6), 20 * 9 * 12 * 8, 6 * 8 * 8, 6 * 9 * (8 + 13) * 5
    assert profile.macs == sum(maps) + read * 4


def test_what_a_row_before_put_out_stands_beside_its_own():
    model = keras_archs.SimpNet((9, 8, 3), 4, rows=POOLED)
    images = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype("float32")
    names = "conv6_relu", "conv7_relu", "conv7_cat", "conv8_relu", "conv8_cat"
    maps = keras.Model(model.input, [model.get_layer(name).output for name in names])
    sixth, seventh, joined, eighth, last = run(maps, images)
    np.testing.assert_array_equal(joined, np.concatenate([sixth, seventh], -1))
    np.testing.assert_array_equal(last, np.concatenate([sixth, eighth], -1))


@pytest.mark.parametrize(
    "rows, at, message",
    [
        (["8 3/1/1 add1"], 0, "what a row before them writes: 1 before this one there is none."),
        (
            ["8 3/1/1", "8 3/1/1 add2"],
            1,
            "row before them writes: 2 before this one there is none.",
        ),
        (["8 3/1/1", "9 3/1/1 bn add1"], 1, "added to this row's 9 channels has 8."),
        (["8 3/1/1 max|avg2/2/0", "16 3/1/1 add1"], 1, "to this row's 16 channels has 2 x 8."),
        (["8 3/1/1", "8 3/2/1 add1"], 1, "added to this row's map is larger or smaller."),
        (["8 3/1/1", "8 3/1/0 add1"], 1, "added to this row's map is larger or smaller."),
        (["8 3/1/1", "8 3/1/1 max2/2/0 add1"], 1, "to this row's map is larger or smaller."),
        (["8 3/1/1", "8 3/1/1 avg2/2/0", "8 3/1/1 add2"], 2, "row's map is larger or smaller."),
        (["8 3/1/1", "4 3/1/1 cat1", "8 3/1/1 add1"], 2, "this row's 8 channels has 4 + 8."),
        (["8 3/1/1", "8 3/1/1 cat1", "16 3/1/1 add1"], 2, "this row's 16 channels has 2 x 8."),
        (["8 3/1/1 cat1"], 0, "what a row before them writes: 1 before this one there is none."),
        (["8 3/1/1", "4 3/2/1 cat1"], 1, "joined to this row's map is larger or smaller."),
        (["8 3/1/1", "4 3/1/1 max2/2/0 cat1"], 1, "to this row's map is larger or smaller."),
    ],
)
def test_what_is_added_is_of_one_shape_and_what_is_joined_of_one_height_and_width(
    rows, at, message
):
    with pytest.raises(ValueError, match="^`rows` must (add|join) ") as caught:
        keras_archs.SimpNet(rows=[*rows, HEAD])
    assert f"{message} Received: rows[{at}]={rows[at]!r}" in str(caught.value)


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize(
    "rows",
    [
        ["8 3/1/1 max|avg2/2/0", "8 3/1/1", "8 3/1/1 add1"],
        ["8 3/1/1 max2/2/0", "8 5/1/2 relu add1 max2/2/0", "8 1/1/0 add1"],
        ["8 3/1/1", "8 2/1/0", "8 2/1/1 add2"],
        ["8 3/1/1", "4 3/1/1 cat1", "4 3/1/1", "8 3/1/1 cat1 add2"],
    ],
)
def test_maps_of_one_shape_are_added_wherever_they_come_from(rows, side):
    model = build("simpnet", (side, side, 1), rows=[*rows, HEAD])
    assert sum(isinstance(layer, layers.Add) for layer in model.layers) >= 1


@pytest.mark.parametrize(
    "row",
    ["8 3/1/1 add0", "8 3/1/1 add", "8 3/1/1 add1 add1", "8 3/1/1 relu max+avg3/2/0"]
    + ["8 3/1/1 cat0", "8 3/1/1 cat1 cat2", "8 3/1/1 cat 1"],
)
def test_a_pool_of_information_that_cannot_be_read_is_named(row):
    message = r"^`rows` must have rows such as '60 3/1/1 bn relu max2/2/0 drop0.1'. Received: "
    with pytest.raises(ValueError, match=message + r"rows\[1\]="):
        keras_archs.SimpNet(rows=["8 3/1/1 bn relu", row, HEAD])
    with pytest.raises(ValueError, match="^`rows` must end with a row such as"):
        keras_archs.SimpNet(rows=["8 3/1/1", "conv 3/1/1 add1 gap"])


def test_shortcuts_hold_at_any_alpha():
    for alpha in (0.3, 1 / 3, 1.7):
        model = build("simpnet", (9, 8, 3), rows=POOLED, alpha=alpha)
        assert model.get_layer("conv4_add").output.shape[-1] == math.floor(6 * alpha + 0.5)


def test_a_model_of_rows_is_saved_and_loaded_without_them(tmp_path):
    rows = ["6 3/1/1 bn relu avg2/2/0 drop0.1", "8 3/2/1 bn relu", *POOLED]
    model = keras_archs.SimpNet((9, 10, 1), 4, rows=rows)
    model.save(tmp_path / "model.keras")
    values = np.random.default_rng(0).normal(size=(2, 9, 10, 1)).astype("float32")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(run(loaded, values), run(model, values))
