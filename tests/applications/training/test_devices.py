"""Several devices train as one does: four virtual processors share every batch."""

import dataclasses
import gc
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_archs
from applications import train
from applications.recipes import catalog as recipes
from applications.training import devices
from applications.training.optimizing import compiled_model

SCRIPT = """
import json, sys
import keras
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)
from applications import train
options = json.loads(sys.argv[1])
for number in (1, 4):
    train("lenet5", devices=number, run_dir=f"on{number}", **options)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_four_devices_give_the_losses_of_one(backend, digits, tmp_path):
    """Clipped gradients, decay, a schedule, and a validation split that four do not divide."""
    options = {"data": str(digits), "epochs": 2, "batch_size": 32, "size": 16, "verbose": 0}
    environment = {**os.environ, "KERAS_BACKEND": backend}
    environment["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
    command = [sys.executable, "-c", SCRIPT, json.dumps(options)]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    one, four = (
        np.genfromtxt(tmp_path / f"on{n}" / "history.csv", delimiter=",", names=True)
        for n in (1, 4)
    )
    for name in ("loss", "val_loss", "accuracy", "val_accuracy"):
        np.testing.assert_allclose(one[name], four[name], rtol=1e-4)
    tested = [json.loads((tmp_path / f"on{n}" / "metrics.json").read_text()) for n in (1, 4)]
    assert tested[0]["test_loss"] == pytest.approx(tested[1]["test_loss"], rel=1e-4)


def alive(kind: str) -> int:
    gc.collect()
    return sum(type(each).__name__ == kind for each in gc.get_objects())


def test_a_training_leaves_no_graph_and_no_images_behind(tmp_path, digits):
    before = {kind: alive(kind) for kind in ("FuncGraph", "Subset", "Functional")}
    options = {"epochs": 1, "batch_size": 64, "size": 16, "verbose": 0}
    train("lenet5", data=digits, run_dir=tmp_path / "run", **options)
    for kind, count in before.items():
        assert alive(kind) <= count, kind


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's graphs")
@pytest.mark.parametrize("rates", [{}, {"c": 0.1}], ids=["one rate", "rates by layer"])
@pytest.mark.parametrize("scaled", [False, True], ids=["float32", "scaled loss"])
def test_no_optimizer_leaves_a_graph_behind(rates, scaled):
    recipe = dataclasses.replace(recipes.recipe("default"), layer_rates=rates)
    x, y = np.zeros((4, 28, 28, 1), np.float32), np.arange(4)

    def step() -> None:
        network = keras_archs.LeNet5((28, 28, 1), 4, alpha=0.5)
        model = compiled_model(network, recipe, 0.1, 10)
        if scaled:
            model.optimizer = keras.optimizers.LossScaleOptimizer(model.optimizer)
        devices.sum_gradients(model.optimizer, 1)
        model.fit(x, y, verbose=0)

    before = alive("FuncGraph")
    step()
    assert alive("FuncGraph") <= before


def test_what_cannot_be_is_said_before(tmp_path, monkeypatch, digits):
    monkeypatch.chdir(tmp_path)
    there = len(devices._devices())
    with pytest.raises(ValueError, match=f"`devices` must be at most {there}, .*devices=99"):
        train("lenet5", data=digits, devices=99, size=16)
    monkeypatch.setattr(devices, "_devices", lambda: ["a", "b", "c"])
    with pytest.raises(ValueError, match="multiple of the 3 devices, such as 66. .*batch_size=64"):
        devices.device_count("all", 64, 100)
    assert devices.device_count(3, 66, 100) == devices.device_count("all", 66, 100) == 3
    assert devices.device_count(None, 7, 1) == devices.device_count(1, 7, 1) == 1
    for wrong in (0, -1, 1.5, "some"):
        with pytest.raises(ValueError, match="`devices` must be"):
            train("lenet5", data=digits, devices=wrong, size=16)
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX takes any number")
def test_too_few_validation_images_for_the_devices_are_said_before(tmp_path, monkeypatch, digits):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "_devices", lambda: [f"device {n}" for n in range(32)])
    for images in (32, 64, 65):
        assert devices.device_count("all", 64, images) == 32
    with pytest.raises(ValueError, match="32 or at least 64 validation .* devices=32, 40 valid"):
        train("lenet5", data=digits, devices=32, batch_size=64, size=16)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("images", [1, 7, 145, 256, 300, 511, 1024, 1025])
@pytest.mark.parametrize("number", [1, 2, 3, 4, 8])
def test_a_split_is_evaluated_whole_in_batches_that_devices_take(images, number):
    starts = devices.batch_starts(images, number)
    sizes = np.diff(starts)
    assert starts[0] == 0 and starts[-1] == images and (sizes > 0).all()
    if number == 1:
        assert (sizes[:-1] == 256).all()
    elif keras.backend.backend() == "jax":
        assert len({size % number == 0 for size in sizes[:1]}) == 1
        assert images % number == 0 or sizes[0] % number
    elif images >= 2 * number:
        assert sizes[0] % number == 0 and (sizes >= number).all()
