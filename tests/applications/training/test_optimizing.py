"""Averaged weights, limits of norms, rates of layers: on numbers worked out by hand."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_archs
from applications import train
from applications.data.sources import open_source
from applications.options import Options
from applications.recipes import catalog
from applications.training import memory
from applications.training.optimizing import compiled_model, optimizer_of

BASE = dataclasses.replace(
    catalog.recipe("nin"), schedule=((0.0, 1.0),), weight_decay=0.0, optimizer_options={}
)
X = np.array([[1.0, 2.0]], np.float32)


def linear(start):
    """Two layers of one unit and no bias; all kernels begin at `start`."""
    given = keras.Input((2,))
    constant = keras.initializers.Constant(start)
    x = keras.layers.Dense(1, use_bias=False, kernel_initializer=constant, name="body1")(given)
    x = keras.layers.Dense(2, use_bias=False, kernel_initializer=constant, name="head")(x)
    return keras.Model(given, x)


def stepped(recipe, model, gradients, rate=0.1, steps=1000):
    optimizer = optimizer_of(recipe, model, rate, steps)
    optimizer.build(model.trainable_variables)
    for gradient in gradients:
        values = [keras.ops.full(v.shape, gradient) for v in model.trainable_variables]
        optimizer.apply_gradients(list(zip(values, model.trainable_variables, strict=True)))
    return optimizer


def kernels(model):
    return [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]


def test_an_averaged_weight_is_the_moving_average_of_the_steps():
    """Polyak averaging as TF-slim has it: average = d average + (1 - d) weight."""
    model = linear(1.0)
    recipe = dataclasses.replace(BASE, averaging=0.9)
    optimizer = stepped(recipe, model, [1.0, 2.0, 3.0])
    w1, w2, w3 = 0.9, 0.7, 0.4
    np.testing.assert_allclose(kernels(model)[0], w3, rtol=1e-6)
    optimizer.finalize_variable_values(model.trainable_variables)
    expected = 0.9 * (0.9 * w1 + 0.1 * w2) + 0.1 * w3
    np.testing.assert_allclose(kernels(model)[0], expected, rtol=1e-6)


@pytest.mark.parametrize(("steps", "momentum"), [(10_000_000, 0.9999), (1000, 0.99), (5, 0)])
def test_in_a_short_training_the_average_remembers_a_tenth_of_the_steps(steps, momentum):
    recipe = dataclasses.replace(BASE, averaging=0.9999)
    assert stepped(recipe, linear(1.0), [], steps=steps).ema_momentum == pytest.approx(momentum)


def test_a_units_kernel_is_scaled_down_to_the_largest_norm():
    model = linear(3.0)
    recipe = dataclasses.replace(BASE, max_norm={"body": 2.0})
    stepped(recipe, model, [0.0])
    body, head = kernels(model)
    np.testing.assert_allclose(body, 3 * 2 / np.sqrt(9 + 9), rtol=1e-5)  # of norm 2
    np.testing.assert_allclose(head, 3)
    given = keras.layers.Conv2D(5, 3, kernel_initializer="ones", name="body2")
    model = keras.Sequential([keras.Input((4, 4, 2)), given])
    stepped(recipe, model, [0.0])
    norms = np.sqrt((kernels(model)[0] ** 2).sum(axis=(0, 1, 2)))
    np.testing.assert_allclose(norms, 2, rtol=1e-5)


def test_layers_have_rates_of_their_own():
    model = linear(1.0)
    recipe = dataclasses.replace(BASE, layer_rates={"body": 0.05})
    stepped(recipe, model, [1.0, 1.0])
    body, head = kernels(model)
    np.testing.assert_allclose(body, 1 - 2 * 0.1 * 0.05, rtol=1e-6)
    np.testing.assert_allclose(head, 1 - 2 * 0.1, rtol=1e-6)


def test_smoothed_labels_are_learned_and_plain_ones_are_validated():
    model = keras_archs.LeNet5((28, 28, 1), 4)
    recipe = dataclasses.replace(BASE, label_smoothing=0.1)
    compiled = compiled_model(model, recipe, 0.1, 100)
    x = np.zeros((2, 28, 28, 1), np.float32)
    target = np.array([[0.925, 0.025, 0.025, 0.025]] * 2, np.float32)
    p = compiled.predict(x, verbose=0)[0].astype(np.float64)
    found = compiled.compute_loss(x, target, model(x))
    assert float(found) == pytest.approx(-(target[0] * np.log(p)).sum(), rel=1e-5)


def test_what_is_validated_and_kept_is_the_averaged_network(tmp_path, digits):
    options = {"recipe": "resnet20", "size": 16, "epochs": 3, "batch_size": 64, "verbose": 0}
    options |= {"averaging": 0.9, "label_smoothing": 0.1, "weight_decay": 0.0}
    run = train("lenet5", data=digits, run_dir=tmp_path / "run", **options)
    validation = open_source(digits).at(16).validation
    images = validation.batch(np.arange(len(validation)))
    model = run.model
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = model.evaluate(images, validation.labels, verbose=0)
    kept = run.history.iloc[run.metrics["kept_epoch"] - 1]
    assert loss == pytest.approx(kept["val_loss"], rel=1e-4)
    assert accuracy == pytest.approx(kept["val_accuracy"])


def test_whitening_that_memory_does_not_hold_is_refused_before(monkeypatch):
    monkeypatch.setattr(memory, "machine_memory", lambda: 16 * 2**30)
    source = dataclasses.replace(open_source("digits"), channels=3)
    options = {"arch": "allcnn_c", "recipe": "allcnn_c"}
    with pytest.raises(ValueError, match="`size` must be at most about 94 .*224x224x3, .* GiB"):
        memory.check_memory(Options(**options, size=224).planned(source), source)
    memory.check_memory(Options(**options, size=32).planned(source), source)
