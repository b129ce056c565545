"""Auxiliary classifiers: outputs of their own, three tenths of a loss each, gone after training."""

import keras
import numpy as np
import pytest

import keras_archs
from applications import load
from applications.recipes.catalog import recipe
from applications.training import optimizing, training
from keras_archs.graph import without_values

SMALL = {"input_shape": (20, 20, 3), "classes": 3, "alpha": 1 / 8, "stem": "small"}


@pytest.mark.parametrize(
    "name, outputs, least, least_small",
    [("googlenet", ["aux1", "aux2"], 79, 20), ("inceptionv3", ["aux1"], 299, 77)],
)
def test_outputs_are_probabilities_by_name_with_a_minimum_of_their_own(
    name, outputs, least, least_small
):
    info = keras_archs.info(name)
    assert info.min_size_for(aux=True) == least > info.min_size
    assert info.min_size_for(aux=True, stem="small") == least_small
    with without_values():
        model = keras_archs.build(name, aux=True, classes=7)
        plain = keras_archs.build(name, classes=7)
    assert list(model.output) == ["predictions", *outputs]
    for output in model.output.values():
        assert (output.shape, output.dtype) == ((None, 7), "float32")
        layer = output._keras_history.operation
        assert layer.activation is keras.activations.softmax
    names = {layer.name for layer in model.layers}
    assert names > {layer.name for layer in plain.layers}
    assert all(name.startswith("aux") for name in names - {layer.name for layer in plain.layers})


@pytest.mark.parametrize("arguments", [{"include_top": False}, {"features": ["P2"]}])
def test_without_a_classifier_there_is_none_beside_it(arguments):
    with pytest.raises(ValueError, match="`aux` must be False without the classifier. Received"):
        keras_archs.GoogLeNet(aux=True, **arguments)


def test_their_losses_count_three_tenths_in_training_and_nothing_in_validation():
    network = keras_archs.GoogLeNet(**SMALL, aux=True, dropout=0)
    model = optimizing.compiled_model(network, recipe("default"), 1e-3, steps=1)
    images = np.random.default_rng(0).normal(size=(6, 20, 20, 3)).astype("float32")
    labels = np.array([0, 1, 2, 2, 1, 0])
    weights = np.array([1, 2, 1, 1, 0.5, 1], "float32")
    outputs = model([images], training=False)

    def loss(name):
        each = keras.losses.sparse_categorical_crossentropy(labels, outputs[name])
        return float(keras.ops.mean(each * weights))

    own, auxiliary = loss("predictions"), loss("aux1") + loss("aux2")
    for in_training, wanted in ((True, own + 0.3 * auxiliary), (False, own)):
        found = model.compute_loss(images, labels, outputs, weights, training=in_training)
        assert float(found) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.slow  # traces GoogLeNet twice
def test_a_run_learns_with_them_and_keeps_the_network_without(tmp_path):
    random = np.random.default_rng(0)
    y = np.arange(48) % 3
    x = (random.integers(0, 60, (48, 20, 20, 3)) + 90 * y[:, None, None, None]).astype(np.uint8)
    np.savez(tmp_path / "greys.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    options = {"data": tmp_path / "greys.npz", "size": 20, "batch_size": 16, "verbose": 0}
    options |= {"alpha": 1 / 8, "args": {"aux": True}, "run_dir": tmp_path / "run"}
    training.train("googlenet", epochs=2, **options)
    run = load(tmp_path / "run")
    assert run.config["args"] == {"aux": True, "stem": "small"}
    assert run.model.output_shape == (None, 3)
    assert not [layer.name for layer in run.model.layers if layer.name.startswith("aux")]
    assert run.metrics["params"] == run.model.count_params()
    assert np.isfinite(run.history[["loss", "accuracy", "val_loss", "val_accuracy"]].values).all()
    np.testing.assert_allclose(run.predict(x[:4]).sum(axis=1), 1, rtol=1e-5)
