"""Every recipe trains its own architecture, and every family trains in half precision."""

import keras
import numpy as np
import pytest
from networks import ONE_A_FAMILY

from applications import list_recipes, load, recipe, train
from applications.training import results

ARCHS = {"default": "mobilenet"}
OTHERS = {"vgg16": {"weights": "vgg11/model.keras"}, "fitnet19": {"teacher": "simpnet"}}
WHITENED = ("nincifar", "allcnn_c", "simpnet", "fitnet19")  # and who teaches the last, of one size
# Of the kinds of layers and blocks that another family has, too.
LIKE_OTHERS = {
    *("inceptionv3", "inceptionv4", "resnet18", "wrn_16_4", "allcnn_c", "simplenet_310k", "mlp"),
}


@pytest.fixture
def eagerly(monkeypatch):
    """Says whether steps run eagerly: two of a deep network are done sooner than they are traced.

    Latencies are not measured.
    """
    if keras.backend.backend() != "tensorflow":
        pytest.skip("elsewhere a minute is compiled for each network")
    import tensorflow as tf

    monkeypatch.setattr(results, "latency", lambda network: (1.0, 1.0))
    yield tf.config.run_functions_eagerly
    tf.config.run_functions_eagerly(False)


def write_few(path):
    """Twelve images of noise for each split, of three classes."""
    random, labels = np.random.default_rng(0), np.arange(12) % 3
    images = {
        f"x_{s}": random.integers(0, 256, (12, 32, 32, 3), np.uint8) for s in ("train", "val")
    }
    arrays = {**images, "y_train": labels, "y_val": labels}
    np.savez(path, **arrays, x_test=images["x_val"], y_test=labels)


@pytest.mark.slow
def test_every_recipe_trains_its_own_architecture_for_two_steps(tmp_path, monkeypatch, eagerly):
    monkeypatch.chdir(tmp_path)
    write_few("few.npz")
    names = sorted(list_recipes(), key=list(OTHERS).__contains__)  # these start from another's run
    for name in names:
        options = {"recipe": name, "data": "few.npz", "epochs": 1, "batch_size": 6, "verbose": 0}
        if recipe(name).teaching:
            options |= {"epochs": 2, "batch_size": 12}  # an epoch of hints, one of predictions
        if name != "lenet5":  # which has one width
            options["alpha"] = 0.25
        if name in WHITENED:
            options["size"] = 16
        eagerly(not name.startswith("resnext"))  # a CPU has gradients of groups in graphs alone
        run = train(ARCHS.get(name, name), **options, **OTHERS.get(name, {}), run_dir=name)
        assert run.metrics["steps"] == 2
        losses = run.history[["loss", "val_loss"]].to_numpy()
        assert np.isfinite(losses).all(), name
        keras.utils.clear_session(free_memory=False)


@pytest.mark.slow
def test_every_family_trains_in_half_precision_and_is_loaded_as_it_was(
    tmp_path, monkeypatch, eagerly
):
    """A network of each family in bfloat16, some in float16, whose loss is scaled."""
    monkeypatch.chdir(tmp_path)
    write_few("few.npz")
    images = np.load("few.npz")["x_test"]
    scaled = {"lenet5", "resnet20", "squeezenet"}
    for name in sorted(set(ONE_A_FAMILY) - LIKE_OTHERS):
        options = {"data": "few.npz", "epochs": 1, "batch_size": 6, "verbose": 0}
        if name != "lenet5":
            options["alpha"] = 0.125
        if name.startswith("densenet"):
            options["size"] = 16
        eagerly(not name.startswith("resnext"))
        for precision in ("mixed_bfloat16", "mixed_float16")[: 1 + (name in scaled)]:
            run = train(name, **options, precision=precision, run_dir=f"{name}-{precision}")
            kernels = [x for x in run.model.layers if x.name not in ("images", "rescaling")]
            assert any(x.compute_dtype == precision.removeprefix("mixed_") for x in kernels), name
            assert np.isfinite(run.history[["loss", "val_loss"]].to_numpy()).all(), name
            answers = load(run.path).predict(images)
            assert answers.dtype == np.float32
            np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=1e-3)
            np.testing.assert_array_equal(answers, run.predict(images))
        keras.utils.clear_session(free_memory=False)
