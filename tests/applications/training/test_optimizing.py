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
from applications.recipes.schema import OPTIMIZERS
from applications.training import memory
from applications.training.muon import Muon
from applications.training.optimizing import (
    compiled_model,
    draw,
    optimizer_of,
    schedule_of,
    varied,
)

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


def test_one_cycle_rises_from_a_25th_and_falls_to_a_250000th():
    schedule = schedule_of(dataclasses.replace(BASE, schedule="one_cycle"), 0.5, 100)
    rates = [float(keras.ops.convert_to_numpy(schedule(step))) for step in range(101)]
    assert rates[0] == pytest.approx(0.5 / 25)
    assert rates[30] == max(rates) == pytest.approx(0.5)
    assert rates[15] == pytest.approx((0.5 / 25 + 0.5) / 2)
    assert rates[65] == pytest.approx(0.25, rel=1e-3)  # half-way down the cosine
    assert rates[100] == pytest.approx(0.5 / 250_000, rel=1e-2)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_comes_with_its_rate_and_decay(name):
    source = open_source("digits")
    plan = Options(arch="resnet20", optimizer=name).planned(source)
    kind, options = plan.recipe.optimizer, plan.recipe.optimizer_options
    assert issubclass(getattr(keras.optimizers, kind), keras.optimizers.Optimizer)
    assert plan.learning_rate == OPTIMIZERS[name]["learning_rate"]
    assert options.get("nesterov", False) == (name == "nesterov")
    assert Options(arch="resnet20", optimizer=name, learning_rate=1e-4, weight_decay=0.0).planned(
        source
    ).learning_rate == pytest.approx(1e-4)


def test_a_recipes_own_optimizer_changes_nothing():
    source = open_source("digits")
    plain, same = (
        Options(arch="lenet5", optimizer=name).planned(source) for name in (None, "adamw")
    )
    assert plain.recipe == same.recipe and plain.learning_rate == same.learning_rate


@pytest.mark.parametrize(
    ("name", "expected"),
    [("constant", [1, 1, 1]), ("linear", [1, 0.5, 0]), ("cosine", [0, 0.5868, 0])],
)
def test_a_schedule_takes_the_place_of_the_recipes(name, expected):
    plan = Options(arch="resnet20", schedule=name).planned(open_source("digits"))
    schedule = schedule_of(plan.recipe, 1.0, 100)
    rates = [float(keras.ops.convert_to_numpy(schedule(step))) for step in (0, 50, 100)]
    np.testing.assert_allclose(rates, expected, atol=1e-3)


def muon(kernel, gradient, exclude=False, rate=0.1):
    variable = keras.Variable(np.array(kernel, np.float32), name="kernel")
    optimizer = Muon(rate, exclude=[variable] if exclude else [])
    optimizer.build([variable])
    optimizer.apply_gradients([(keras.ops.convert_to_tensor(np.float32(gradient)), variable)])
    return keras.ops.convert_to_numpy(variable)


def test_muon_makes_the_step_of_a_convolution_orthogonal():
    gradient = np.random.default_rng(0).normal(size=(3, 3, 2, 5))
    step = -muon(np.zeros((3, 3, 2, 5)), gradient).reshape(18, 5)
    # 0.2 sqrt(max(18, 5)) times the rate (arXiv:2502.16982, equation 4), and singular values that
    # five iterations bring to between 0.7 and 1.2.
    values = np.linalg.svd(step / (0.1 * 0.2 * np.sqrt(18)), compute_uv=False)
    assert (values > 0.6).all() and (values < 1.25).all()
    u, _, v = np.linalg.svd(gradient.reshape(18, 5), full_matrices=False)
    assert np.sum(step * (u @ v)) / np.linalg.norm(step) / np.linalg.norm(u @ v) > 0.97


def test_muon_leaves_the_rest_to_adam():
    gradient = np.random.default_rng(0).normal(size=(3, 3, 2, 5))
    np.testing.assert_allclose(
        muon(np.zeros((3, 3, 2, 5)), gradient, exclude=True), -0.1 * np.sign(gradient), rtol=1e-3
    )
    np.testing.assert_allclose(muon(np.zeros(3), [1, -2, 3]), [-0.1, 0.1, -0.1], rtol=1e-3)


def test_muon_does_not_take_depthwise_kernels_and_the_classifier():
    recipe = dataclasses.replace(BASE, optimizer="Muon")
    network = keras_archs.MobileNet((32, 32, 3), 10, alpha=0.25)
    optimizer = optimizer_of(recipe, network, 0.1, 100)
    optimizer.build(network.trainable_variables)
    adams = {
        v.path.split("/")[0]
        for v in network.trainable_variables
        if v.name == "kernel" and optimizer._should_use_adamw(v)
    }
    assert {f"conv_dw_{n}" for n in range(1, 14)} | {"conv_preds"} == adams


def test_where_a_relu_ends_a_network_every_class_is_alive_at_the_start():
    recipe = catalog.recipe("default")
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 1))
    for name in ("NiN", "SqueezeNet"):
        network = getattr(keras_archs, name)(
            (16, 16, 1), 10, alpha=0.25, stem="small", classifier_activation=None
        )
        for positive, dead in ((True, False), (False, True)):
            draw(network, dataclasses.replace(recipe, last_positive=positive), seed=2)
            assert (network.predict(images, verbose=0) == 0).any() == dead
    network = keras_archs.VGG11((32, 32, 3), 10, alpha=0.1)
    draw(network, recipe, seed=2)
    assert (network.layers[-1].get_weights()[0] < 0).any()


def residual():
    """x + 1x + 1x + ... twice: two blocks whose branch is a kernel of ones."""
    given = x = keras.Input((2, 2, 1))
    for number in (1, 2):
        branch = keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer="ones")(x)
        x = keras.layers.Add(name=f"add{number}")([x, branch])
    return keras.Model(given, x, name="two")


def test_stochastic_depth_leaves_out_branches_image_by_image_and_deep_ones_more_often():
    network = residual()
    recipe = dataclasses.replace(BASE, stochastic_depth=0.5)
    learning = varied(network, recipe, seed=0, sizes=())
    ones = np.ones((4000, 2, 2, 1), np.float32)
    np.testing.assert_allclose(learning.predict(ones, verbose=0), 4)
    found = keras.ops.convert_to_numpy(learning(ones, training=True))
    assert (found == found[:, :1, :1]).all()  # a branch as a whole
    # The first is kept in 3 of 4 images, the second in half: (1 + 4/3 or 0) (1 + 2 or 0).
    values, counts = np.unique(found[:, 0, 0, 0].round(4), return_counts=True)
    np.testing.assert_allclose(values, [1, 7 / 3, 3, 7], rtol=1e-4)
    np.testing.assert_allclose(counts / 4000, [1 / 8, 3 / 8, 1 / 8, 3 / 8], atol=0.03)
    assert [v.path for v in learning.trainable_variables] == [
        v.path for v in network.trainable_variables
    ]


@pytest.mark.parametrize(
    ("name", "sums"),
    [("ResNet18", 8), ("ResNet20", 9), ("ResNet18V2", 8), ("MobileNetV2", 10), ("WRN_16_4", 6)],
)
def test_the_branches_of_residual_families_are_found(name, sums):
    network = getattr(keras_archs, name)((32, 32, 3), 10, alpha=0.5)
    learning = varied(network, dataclasses.replace(BASE, stochastic_depth=0.2), seed=0, sizes=())
    added = [layer for layer in learning.layers if layer.name.endswith("_stochastic_depth")]
    assert len(added) == sums
    assert [layer.rate for layer in added] == pytest.approx(
        [0.2 * number / sums for number in range(1, sums + 1)]
    )


def test_a_network_learns_from_images_that_grow():
    network = keras_archs.ResNet20((16, 16, 1), 10, alpha=0.1)
    learning = varied(network, BASE, seed=0, sizes=[(8, 8), (11, 11)])
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 1)).astype(np.float32)
    np.testing.assert_allclose(
        learning.predict(images, verbose=0), network.predict(images, verbose=0), rtol=1e-5
    )
    assert learning.predict(images[:, ::2, ::2], verbose=0).shape == (2, 10)
