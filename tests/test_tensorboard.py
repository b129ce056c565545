"""Event files: what TensorBoard reads of them is what happened in the training."""

import os
import subprocess
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from applications.tensorboard import HPARAMS, METRICS, TensorBoardLogger

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
    board = EventAccumulator(str(folder))
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


@pytest.mark.skipif(find_spec("jax") is None, reason="needs JAX")
def test_with_another_backend_tensorflow_is_never_imported(tmp_path):
    code = f"""
import sys, keras, numpy as np
from applications.tensorboard import TensorBoardLogger
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
logger = TensorBoardLogger({str(tmp_path)!r}, {HYPERPARAMETERS!r})
model.fit(np.zeros((4, 2)), np.zeros((4, 1)), callbacks=[logger], verbose=0)
logger.finish({{"test_accuracy": 0.5}})
sys.exit("tensorflow" in sys.modules)
"""
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert curve(read(tmp_path), "final/test_accuracy") == {1: 0.5}
