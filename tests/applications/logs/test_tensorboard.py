"""Event files: what TensorBoard reads of them is what happened in the training."""

import io
import os
import subprocess
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata

import keras_archs
from applications.logs import diagnostics
from applications.logs.tensorboard import HPARAMS, METRICS, TensorBoardLogger

HYPERPARAMETERS = {"arch": "dense", "alpha": 0.5, "rho": 1.0, "recipe": "default", "seed": 0}


def fit(folder, epochs, initial_epoch=0, model=None, **options):
    """A short training on real digits that logs into `folder`; returns logger, model, history."""
    images, labels = load_digits(return_X_y=True)
    if model is None:
        model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    logger = TensorBoardLogger(folder, **options)
    history = model.fit(
        images[:640] / 16,
        labels[:640],
        batch_size=64,
        validation_data=(images[640:768] / 16, labels[640:768]),
        epochs=epochs,
        initial_epoch=initial_epoch,
        callbacks=[logger],
        verbose=0,
    )
    return logger, model, history.history


def read(folder):
    board = EventAccumulator(str(folder), size_guidance={"histograms": 0})
    board.Reload()
    return board


def curve(board, tag):
    """{step: value} of a scalar, and that no step is there twice."""
    events = board.Scalars(tag)
    steps = {event.step: event.value for event in events}
    assert len(steps) == len(events)
    return steps


def hparams(board, tag):
    return board.SummaryMetadata(tag).plugin_data.content


def test_every_epoch_is_one_step_of_each_curve(tmp_path):
    logger, model, history = fit(tmp_path, epochs=3, images=640)
    logger.close()
    board = read(tmp_path)
    for tag, name in {
        "loss/train": "loss",
        "loss/validation": "val_loss",
        "accuracy/train": "accuracy",
        "accuracy/validation": "val_accuracy",
    }.items():
        assert curve(board, tag) == pytest.approx(dict(enumerate(history[name], start=1)))
    assert curve(board, "training/learning_rate") == pytest.approx({1: 1e-3, 2: 1e-3, 3: 1e-3})
    seconds = curve(board, "training/epoch_seconds")
    speed = curve(board, "training/images_per_second")
    assert all(640 / seconds[step] <= speed[step] for step in (1, 2, 3))  # without validation


def test_the_learning_rate_is_that_of_the_last_step(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(keras.optimizers.schedules.PolynomialDecay(1, 4, 0)), "mse")
    x, y = np.zeros((8, 2)), np.zeros((8, 1))
    logger = TensorBoardLogger(tmp_path)
    model.fit(x, y, batch_size=4, epochs=2, callbacks=[logger], verbose=0)
    logger.close()
    rates = curve(read(tmp_path), "training/learning_rate")
    assert rates == pytest.approx({1: 0.75, 2: 0.25})  # of steps 1 and 3, counted from 0


def test_what_is_not_known_is_left_out(tmp_path):
    fit(tmp_path, epochs=1)[0].close()
    assert "training/images_per_second" not in read(tmp_path).Tags()["scalars"]


def test_the_event_file_lies_in_the_run_folder_itself(tmp_path):
    logger, *_ = fit(tmp_path / "run", epochs=1)
    logger.finish({"test_accuracy": 0.9})
    (path,) = (tmp_path / "run").rglob("*")
    assert path.name.startswith("events.out.tfevents.")


def test_an_epoch_is_on_disk_when_the_next_callback_is_called(tmp_path):
    class Kill(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(len(read(tmp_path).Scalars("loss/train")))

    seen = []
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    callbacks = [TensorBoardLogger(tmp_path), Kill()]
    model.fit(np.zeros((4, 2)), np.zeros((4, 1)), epochs=3, callbacks=callbacks, verbose=0)
    assert seen == [1, 2, 3]


def test_resume_replaces_the_epochs_that_are_trained_again(tmp_path):
    _, model, first = fit(tmp_path, epochs=4)  # never closed, as after a kill
    logger, _, second = fit(tmp_path, epochs=5, initial_epoch=2, model=model)
    logger.close()
    expected = first["loss"][:2] + second["loss"]
    assert curve(read(tmp_path), "loss/train") == pytest.approx(dict(enumerate(expected, start=1)))


def test_resume_between_the_last_epoch_and_the_test_keeps_every_step(tmp_path):
    fit(tmp_path, epochs=3)
    logger = TensorBoardLogger(tmp_path, HYPERPARAMETERS)
    logger.epochs = 3
    logger.finish({"test_accuracy": 0.5})
    board = read(tmp_path)
    assert list(curve(board, "loss/train")) == [1, 2, 3]
    assert curve(board, "final/test_accuracy") == {3: 0.5}


def test_final_metrics_are_the_columns_of_the_hparams_table(tmp_path):
    logger, *_ = fit(tmp_path, epochs=2, hparams=HYPERPARAMETERS)
    logger.finish({"test_accuracy": 0.75, "macs": 640, "confusion_matrix": [[1]]})
    board = read(tmp_path)
    final = {tag for tag in board.Tags()["scalars"] if tag.startswith("final/")}
    assert final == {"final/test_accuracy", "final/macs"}
    assert curve(board, "final/test_accuracy") == {2: 0.75}
    assert curve(board, "final/macs") == {2: 640}
    columns = metadata.parse_experiment_plugin_data(hparams(board, metadata.EXPERIMENT_TAG))
    assert [info.display_name for info in columns.metric_infos] == list(METRICS)
    assert [info.name.tag for info in columns.metric_infos] == [f"final/{m}" for m in METRICS]


def test_hyperparameters_of_any_type_make_a_row(tmp_path):
    given = {**HYPERPARAMETERS, "batch_size": np.int64(64), "balanced": True, "args": None}
    logger = TensorBoardLogger(tmp_path, {**given, "size": (16, 24)})
    logger.finish({})
    board = read(tmp_path)
    content = hparams(board, metadata.SESSION_START_INFO_TAG)
    row = metadata.parse_session_start_info_plugin_data(content).hparams
    assert row["arch"].string_value == "dense"
    assert row["alpha"].number_value == 0.5
    assert row["batch_size"].number_value == 64
    assert row["balanced"].bool_value is True
    assert row["args"].string_value == "None"
    assert row["size"].string_value == "(16, 24)"
    columns = metadata.parse_experiment_plugin_data(hparams(board, metadata.EXPERIMENT_TAG))
    assert {info.name for info in columns.hparam_infos} == set(row)
    assert {info.name for info in columns.hparam_infos if info.differs} == set(HPARAMS)


def test_close_twice_is_close_once(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    logger.close()
    logger.finish({})
    logger.close()


def test_what_the_disk_refuses_is_raised(tmp_path):
    (tmp_path / "taken").write_text("a file where the folder should be")
    with pytest.raises(OSError):
        fit(tmp_path / "taken", epochs=1)


# -------------------------------------------------------------------- text, images, what is inside


@pytest.fixture
def network():
    """Two convolutions on digits, small enough to be trained at once."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first"),
            keras.layers.MaxPooling2D(name="pool"),
            keras.layers.Conv2D(6, 3, padding="same", name="second"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(name="relu"),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dropout(0.5, name="dropout"),
            keras.layers.Dense(10, "softmax", name="classifier"),
        ]
    )


@pytest.fixture
def digits():
    images, labels = load_digits(return_X_y=True)
    return images[:64].reshape(-1, 8, 8, 1).astype(np.float32) / 16, labels[:64]


def fit_network(network, folder, digits, epochs=2, **options):
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    logger = TensorBoardLogger(folder, HYPERPARAMETERS, inputs=digits, **options)
    network.fit(*digits, batch_size=32, epochs=epochs, callbacks=[logger], verbose=0)
    return logger


def picture(board, tag):
    """The only image of a tag, as pixels."""
    (event,) = board.Images(tag)
    return np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))


def test_every_run_brings_the_layout_that_lays_curves_over_each_other(tmp_path):
    fit(tmp_path, epochs=1)[0].close()
    (event,) = read(tmp_path).Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    charts = {chart.title: list(chart.multiline.tag) for c in layout.category for chart in c.chart}
    assert charts["validation accuracy"] == ["accuracy/validation"]
    assert charts["images per second"] == ["training/images_per_second"]


def test_the_cost_of_each_layer_is_text(tmp_path, network, digits):
    profile = keras_archs.profile(network)
    fit_network(network, tmp_path, digits, profile=profile).close()
    (event,) = read(tmp_path).Tensors("cost/layers/text_summary")
    lines = event.tensor_proto.string_val[0].decode().splitlines()
    assert len(lines) == 2 + len(profile.rows) + 1
    total = [cell.strip() for cell in lines[-1].strip("|").split("|")]
    assert total[3:5] == [f"{profile.params:,}", f"{profile.macs:,}"]


def test_activation_maps_of_a_few_inputs_are_images(tmp_path, network, digits):
    fit_network(network, tmp_path, digits).close()
    board = read(tmp_path)
    tags = [tag for tag in board.Tags()["images"] if tag.startswith("activations/")]
    assert tags == ["activations/1_first", "activations/2_norm"]  # one of each resolution
    height, width, _ = picture(board, "activations/1_first").shape
    assert width / height == (1 + 4) / 4  # an input and four maps in a row, four inputs


def test_an_activation_map_is_what_the_layer_gives(network, digits):
    found = diagnostics.activation_maps(network, digits[0][:3])["1_first"]
    layer = network.get_layer("first")
    np.testing.assert_allclose(
        found, keras.ops.convert_to_numpy(layer(digits[0][:3])), rtol=1e-5, atol=1e-6
    )


def test_the_confusion_matrix_and_the_worst_mistakes_are_images(tmp_path, network, digits):
    logger = fit_network(network, tmp_path, digits)
    images = (255 * digits[0]).astype(np.uint8)
    names = [f"digit {k}" for k in range(10)]
    probabilities = np.eye(10, dtype=np.float32)[digits[1]]
    probabilities[5] = np.eye(10)[(digits[1][5] + 1) % 10]
    asked = []

    def batch(rows):
        asked.extend(rows.tolist())
        return images[rows]

    logger.add_test(names, digits[1], probabilities, batch)
    logger.finish({})
    board = read(tmp_path)
    assert asked == [5]
    assert picture(board, "test/confusion_matrix").ndim == 3
    assert picture(board, "test/worst_mistakes").ndim == 3


@pytest.mark.slow
def test_a_network_without_mistakes_has_no_picture_of_them(tmp_path, network, digits):
    logger = fit_network(network, tmp_path, digits)
    perfect = np.eye(10, dtype=np.float32)[digits[1]]
    logger.add_test([str(k) for k in range(10)], digits[1], perfect, lambda rows: 1 / 0)
    logger.finish({})
    assert "test/worst_mistakes" not in read(tmp_path).Tags()["images"]


def test_gradients_are_those_of_the_mean_cross_entropy():
    """Of one dense layer with softmax: inputs transposed times (probabilities - truth) / N."""
    images, labels = load_digits(return_X_y=True)
    images, labels = images[:32].astype(np.float32) / 16, labels[:32]
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, "softmax", name="only")])
    probabilities = keras.ops.convert_to_numpy(model(images))
    expected = images.T @ (probabilities - np.eye(10)[labels]) / len(images)
    found = diagnostics.Gradients(model)(images, labels)
    assert list(found) == ["1_only"]
    np.testing.assert_allclose(found["1_only"], expected, atol=1e-5)


def test_a_channel_that_is_never_above_zero_is_dead(network, digits):
    layer = network.get_layer("first")
    kernel, bias = layer.get_weights()
    kernel[..., 1:3], bias[1:3] = 0, -1
    kernel[..., [0, 3]], bias[[0, 3]] = 0, 1
    layer.set_weights([kernel, bias])
    assert diagnostics.dead_relus(network, digits[0])["1_first"] == 0.5


def test_what_is_asked_for_is_logged_after_each_epoch(tmp_path, network, digits):
    log = ("histograms", "gradients", "dead_relus")
    fit_network(network, tmp_path, digits, epochs=2, log=log).close()
    board = read(tmp_path)
    kernels = ("1_first", "2_second", "3_classifier")
    for name in kernels:
        assert list(curve(board, f"gradient_norm/{name}")) == [1, 2]
        assert all(norm > 0 for norm in curve(board, f"gradient_norm/{name}").values())
        assert [event.step for event in board.Histograms(f"weights/{name}")] == [1, 2]
        assert [event.step for event in board.Histograms(f"gradients/{name}")] == [1, 2]
    weights = network.get_layer("second").get_weights()[0]
    assert board.Histograms("weights/2_second")[-1].histogram_value.num == weights.size
    assert set(curve(board, "dead_relus/2_relu")) == {1, 2}
    assert board.Images("gradient_norm")


def test_nothing_of_it_is_logged_unasked(tmp_path, network, digits):
    fit_network(network, tmp_path, digits).close()
    tags = read(tmp_path).Tags()
    assert tags["histograms"] == []
    assert not [tag for tag in tags["scalars"] if tag.startswith(("gradient", "dead"))]


@pytest.mark.slow
def test_looking_inside_changes_nothing(tmp_path, network, digits):
    """The same training ends with the same weights, dropout and statistics included."""
    start = [keras.ops.convert_to_numpy(variable) for variable in network.variables]
    ends = []
    for log in (None, ("histograms", "gradients", "dead_relus")):
        for variable, value in zip(network.variables, start, strict=True):
            variable.assign(value)
        keras.utils.set_random_seed(0)  # the order of the images
        fit_network(network, tmp_path / str(log), digits, log=log).close()
        ends.append([keras.ops.convert_to_numpy(variable) for variable in network.variables])
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_chosen_steps_are_traced(tmp_path, network, digits):
    fit_network(network, tmp_path, digits, profile_steps=(2, 3)).close()
    assert list((tmp_path / "plugins" / "profile").rglob("*.xplane.pb"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"log": ("gradient",)}, "Did you mean 'gradients'"),
        ({"log": ("gradients",)}, "`inputs` must be given"),
        ({"profile_steps": (0, 1)}, "a first step >= 1"),
        ({"profile_steps": (3, 2)}, r"Received: profile_steps=\(3, 2\)"),
    ],
)
def test_what_cannot_be_logged_is_an_error(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        TensorBoardLogger(tmp_path, **options)


@pytest.mark.skipif(find_spec("jax") is None, reason="needs JAX")
@pytest.mark.slow
def test_with_another_backend_tensorflow_is_never_imported(tmp_path):
    code = f"""
import sys, keras, numpy as np
from applications.logs.tensorboard import TensorBoardLogger
layers = [keras.layers.Conv2D(2, 3, activation="relu"), keras.layers.Flatten()]
model = keras.Sequential([keras.Input((6, 6, 1)), *layers, keras.layers.Dense(3, "softmax")])
model.compile("sgd", "sparse_categorical_crossentropy")
inputs = np.ones((4, 6, 6, 1), "uint8"), np.arange(4) % 3
log = ("gradients", "histograms", "dead_relus")
logger = TensorBoardLogger({str(tmp_path)!r}, {HYPERPARAMETERS!r}, inputs=inputs, log=log)
model.fit(*inputs, callbacks=[logger], verbose=0)
logger.add_test(["a", "b", "c"], inputs[1], np.eye(3)[[0, 2, 1, 0]], lambda rows: inputs[0][rows])
logger.finish({{"test_accuracy": 0.5}})
sys.exit("tensorflow" in sys.modules)
"""
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    board = read(tmp_path)
    assert curve(board, "final/test_accuracy") == {1: 0.5}
    assert {"test/worst_mistakes", "gradient_norm"} <= set(board.Tags()["images"])
