"""BatchNorm's running statistics are those of the training, however short it was."""

import keras
import numpy as np
import pytest

from applications import train
from applications.data.sources import open_source
from applications.training.callbacks import UnbiasedStatistics
from applications.training.optimizing import short_memory

BATCH = 64


def batches(subset):
    images, labels = subset.batch(np.arange(len(subset))), subset.labels
    rows = np.random.default_rng(0).permutation(len(labels))
    for start in range(0, len(rows) - BATCH + 1, BATCH):
        batch = rows[start : start + BATCH]
        yield images[batch], labels[batch]


def accuracy(model, subset, **mode):
    right = [
        keras.ops.convert_to_numpy(model(images, **mode)).argmax(axis=1) == labels
        for images, labels in batches(subset)
    ]
    return float(np.mean(right))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "alpha", "averaging"),
    [
        ("mobilenet", 0.25, None),
        ("resnet20", 0.5, None),
        ("densenet40_12", 0.5, None),
        ("simpnet_300k", 0.5, None),
        ("simpnet_300k", 0.5, 0.9999),
        ("bninception", 0.125, None),
        ("mobilenetv2", 0.35, None),
    ],
)
def test_after_30_steps_inference_is_as_good_as_training_mode(
    arch, alpha, averaging, digits, tmp_path
):
    options = {"size": 16, "batch_size": BATCH, "epochs": 6, "verbose": 0}  # 5 steps an epoch
    options["averaging"] = averaging
    run = train(arch, data=digits, alpha=alpha, run_dir=tmp_path / "run", **options)
    images = open_source(digits).at(16).train
    found = accuracy(run.model, images)
    for layer in run.model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # it is off at inference
    assert found > accuracy(run.model, images, training=True) - 0.02


def model_of(momentum, optimizer="sgd"):
    normalise = keras.layers.BatchNormalization(momentum=momentum)
    model = keras.Sequential([keras.Input((1,)), normalise, keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model, normalise


@pytest.mark.parametrize("overflows", [False, True])
def test_what_the_statistics_began_with_is_taken_out(overflows):
    """Also where steps are left out because their gradients overflow, as in float16."""
    optimizer = "sgd"
    if overflows:
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), 3e38, 100)
    model, normalise = model_of(momentum=0.9, optimizer=optimizer)
    x = np.random.default_rng(0).normal(3, 0.1, (40, 1)).astype(np.float32)
    seen = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(
            [float(v[0]) for v in (normalise.moving_mean, normalise.moving_variance)]
        )
    )
    model.fit(
        *(x, x),
        validation_data=(x, x),
        batch_size=10,
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[UnbiasedStatistics(), note],
    )
    groups = np.tile(x.reshape(4, 10), (3, 1))
    for epoch, (mean, variance) in enumerate(seen, start=1):
        steps = 4 * epoch
        weights = 0.9 ** np.arange(steps)[::-1]
        expected = np.average(groups[:steps].mean(axis=1), weights=weights)
        assert mean == pytest.approx(expected, rel=1e-4)
        expected = np.average(groups[:steps].var(axis=1), weights=weights)
        assert variance == pytest.approx(expected, rel=1e-3)


def test_a_frozen_layer_keeps_its_statistics():
    model, normalise = model_of(momentum=0.9)
    normalise.trainable = False
    model.compile("sgd", "mse")
    x = np.ones((20, 1), np.float32)
    model.fit(x, x, validation_data=(x, x), verbose=0, callbacks=[UnbiasedStatistics()])
    assert (float(normalise.moving_mean[0]), float(normalise.moving_variance[0])) == (0, 1)


@pytest.mark.parametrize(("steps", "momentum"), [(5, 0), (10, 0), (40, 0.75), (10_000, 0.9)])
def test_a_short_training_forgets_sooner(steps, momentum):
    model, normalise = model_of(momentum=0.9)
    with short_memory(model, steps):
        assert normalise.momentum == pytest.approx(momentum)
    assert normalise.momentum == 0.9
