"""Runs made of a run: a grown network begins where its parent ended, a shrunk one near it."""

import keras
import numpy as np
import pytest
from interrupting import interrupt_after

import keras_archs
from applications import grow, load, runs, shrink, train
from applications.training import checkpoints

RATE = 2e-3
SMALL = {"size": 16, "batch_size": 128, "verbose": 0}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("parent") / "run"
    options = {"alpha": 0.5, "epochs": 3, "learning_rate": RATE, "run_dir": run_dir, **SMALL}
    return train("lenet5", **options)


def first_predictions(monkeypatch):
    """What a network predicts of the test images when its training begins."""
    found = {}
    begin = checkpoints.Checkpoint.on_epoch_begin

    def on_epoch_begin(self, epoch, logs=None):
        begin(self, epoch, logs)
        found.setdefault("model", keras.models.clone_model(self.model))
        if "weights" not in found:
            found["weights"] = [keras.ops.convert_to_numpy(w) for w in self.model.weights]

    monkeypatch.setattr(checkpoints.Checkpoint, "on_epoch_begin", on_epoch_begin)
    return found


def test_a_grown_network_begins_with_its_parents_predictions(parent, monkeypatch):
    found = first_predictions(monkeypatch)
    run = grow(parent.path, alpha=1.0, epochs=1, verbose=0)
    assert run.path.name == "run-grown" and run.config["alpha"] == 1.0
    assert run.config["learning_rate"] == RATE
    asked = {"alpha": 1.0, "extra_depth": 0, "new_channels": "random", "noise": 0.0}
    assert (run.config["parent"], run.config["grow"]) == (str(parent.path), asked)
    assert run.metrics["agreement"] == 1.0
    assert run.metrics["parent"]["params"] == parent.metrics["params"] < run.metrics["params"]
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 1), np.uint8)
    found["model"].set_weights(found["weights"])
    begun = found["model"].predict(images, verbose=0)
    np.testing.assert_allclose(begun, parent.predict(images), atol=1e-4)
    assert not np.allclose(load(run.path).predict(images), begun, atol=1e-4)  # it has learned
    card = (run.path / "card.md").read_text()
    assert "called 100.00 % of the test images what its parent" in card
    assert f"| {parent.path} |" in card


@pytest.mark.slow
def test_a_deeper_network_begins_with_its_parents_predictions_too():
    first = train("allcnn_c", alpha=0.1, epochs=1, run_dir="first", **SMALL)
    run = grow(first.path, extra_depth=2, epochs=1, verbose=0)
    assert run.metrics["agreement"] > 0.99
    assert sum("deeper" in layer.name for layer in run.model.layers if layer.weights) == 2
    asked = {"alpha": None, "extra_depth": 2, "new_channels": "random", "noise": 0.0}
    assert run.config["grow"] == asked
    assert load(run.path).predict(np.zeros((1, 16, 16, 1), np.uint8)).shape == (1, 10)


@pytest.mark.parametrize("temperature", [None, pytest.param(3.0, marks=pytest.mark.slow)])
def test_a_shrunk_network_has_the_strongest_channels_and_learns_on(parent, temperature):
    run = shrink(parent.path, alpha=0.25, epochs=2, temperature=temperature, verbose=0)
    assert run.path.name == "run-shrunk" and run.config["alpha"] == 0.25
    assert run.config["learning_rate"] == RATE
    assert run.config["shrink"] == {"alpha": 0.25, "temperature": temperature}
    small = keras_archs.profile("lenet5", alpha=0.25, input_shape=(16, 16, 1)).params
    assert run.metrics["params"] == small < parent.metrics["params"]
    assert 0 <= run.metrics["agreement"] <= 1
    assert not (run.path / "checkpoint").exists()


@pytest.mark.slow
def test_growing_resumes_bit_for_bit(parent, monkeypatch):
    asked = {"alpha": 1.0, "epochs": 3, "verbose": 0}
    whole = grow(parent, run_dir="whole", **asked)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            grow(parent, run_dir="cut", **asked)
    assert not runs.is_finished("cut")
    again = grow(parent, run_dir="cut", resume=True, **asked)
    for one, other in zip(whole.model.weights, again.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (grow, {}, "`alpha` or `extra_depth` must make the network larger. Received: alpha=None"),
        (grow, {"alpha": 0.5}, "must make the network larger. Received: alpha=0.5"),
        (grow, {"alpha": 0.25}, "narrower|at least"),
        (grow, {"alpha": 0}, "`alpha` must be > 0. Received: alpha=0"),
        (grow, {"extra_depth": 1}, "`extra_depth` must be at most 0, the layers that another can"),
        (grow, {"extra_depth": -1}, "`extra_depth` must be an integer >= 0"),
        (grow, {"alpha": 1.0, "noise": -1}, "`noise` must be >= 0. Received: noise=-1"),
        (grow, {"alpha": 1.0, "noise": 0.1}, "`noise` must be 0 unless new_channels"),
        (grow, {"alpha": 1.0, "new_channels": "x"}, "`new_channels` must be one of 'copies'"),
        (shrink, {"alpha": 1.0}, "wider|at most"),
        (shrink, {"alpha": 0.25, "temperature": 0}, "`temperature` must be > 0"),
        (shrink, {"alpha": 0.25, "epochs": 0}, "`epochs` must be"),
    ],
)
def test_wrong_arguments_leave_nothing_behind(parent, function, options, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        function(parent.path, **options)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
