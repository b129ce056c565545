"""Fine-tuning: which layers learn when, on which pixels, and that it is worth it."""

import numpy as np
import pytest

import keras_archs
from applications import recipe, train
from applications.data.sources import open_source
from applications.options import Options
from applications.training import finetuning, training

# ------------------------------------------------------------------------------------ the stages


@pytest.fixture(scope="module")
def mobilenet():
    return keras_archs.MobileNet((32, 32, 1), 4, alpha=1 / 8, stem="small")


def test_the_first_quarter_of_the_epochs_trains_what_stands_behind_the_stage(mobilenet):
    first, rest = finetuning.phases(mobilenet, "conv_pw_12", 20)
    assert (first.start, first.stop, first.rate) == (0, 5, 1)
    assert (rest.start, rest.stop, rest.rate) == (5, 20, 0.5) and not rest.frozen
    assert "conv_pw_12_relu" in first.frozen and "conv1" in first.frozen
    assert not any(name.startswith("conv_dw_13") for name in first.frozen)


def test_without_a_stage_a_training_has_one_part(mobilenet):
    assert finetuning.phases(mobilenet, None, 7) == [finetuning.Phase(0, 7)]


def test_one_epoch_is_all_for_the_head(mobilenet):
    (only,) = finetuning.phases(mobilenet, "P3", 1)
    assert (only.start, only.stop) == (0, 1) and only.frozen


def test_a_stage_is_a_total_stride_or_the_beginning_of_a_name(mobilenet):
    by_stride = finetuning.frozen_layers(mobilenet, "P2")
    last = keras_archs.MobileNet((32, 32, 1), alpha=1 / 8, stem="small", features=["P2"]).output[
        "P2"
    ]
    name = last._keras_history.operation.name
    assert by_stride == finetuning.frozen_layers(mobilenet, name)


@pytest.mark.parametrize("stage", ["P3", "avg_pool"])
def test_the_last_stage_leaves_the_classifier(stage, mobilenet):
    frozen = finetuning.frozen_layers(mobilenet, stage)
    learning = {layer.name for layer in mobilenet.layers if layer.weights} - frozen
    assert learning == {"conv_preds"}


def test_of_branches_all_are_frozen_up_to_where_they_meet():
    model = keras_archs.SqueezeNet((35, 35, 1), 4, alpha=1 / 16)
    frozen = finetuning.frozen_layers(model, "fire4")
    assert {"conv1", "fire4_expand1x1", "fire4_expand3x3", "fire4_concat"} <= frozen
    assert not any(name.startswith(("fire5", "conv10")) for name in frozen)


@pytest.mark.parametrize("stage", ["conv99", "P9", "", "predictions", "conv_preds"])
def test_what_is_no_stage_or_leaves_nothing_to_learn_is_an_error(stage, mobilenet):
    with pytest.raises(ValueError, match="`freeze_until` must ") as error:
        finetuning.frozen_layers(mobilenet, stage)
    assert repr(stage) in str(error.value)


@pytest.mark.parametrize("options", [{"adapt": True}, {"freeze_until": "P1"}])
def test_there_is_nothing_to_adapt_or_freeze_without_weights(options):
    with pytest.raises(ValueError, match="without `weights`"):
        train("lenet5", **options)


# ------------------------------------------------------------------------------------ the training


def write_digits(path, classes, each):
    """`each` training images of these classes of the digits, relabelled from 0."""
    source = open_source("digits").at((16, 16))
    random, arrays = np.random.default_rng(0), {}
    for split, subset in (("train", source.train), ("test", source.test)):
        rows = [
            random.permutation(np.flatnonzero(subset.labels == label))[:each] for label in classes
        ]
        chosen = np.concatenate(rows)
        arrays[f"x_{split}"] = subset.batch(chosen)
        arrays[f"y_{split}"] = np.searchsorted(classes, subset.labels[chosen])
    np.savez(path, **arrays)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """The folder, the options of a fine-tuning from three classes to two, and its run."""
    here = tmp_path_factory.mktemp("tuned")
    write_digits(here / "three.npz", [0, 1, 2], 30)
    write_digits(here / "two.npz", [3, 4], 30)
    # BatchNorm and dropout: both have state of their own
    rows = ["6 3/1/1 bn relu max2/2/0 drop0.1", "8 3/1/1 bn relu", "gmp drop0.2 dense"]
    given = {"size": 16, "args": {"rows": rows}, "batch_size": 8}
    data = str(here / "three.npz")
    pretrained = train("simpnet", data=data, run_dir=here / "pre", epochs=2, verbose=0, **given)
    weights = str(pretrained.path / "model.keras")
    options = {"arch": "simpnet", "data": str(here / "two.npz"), "weights": weights, **given}
    options |= {"adapt": True, "freeze_until": "pool1", "epochs": 4}
    return here, options, pretrained, train(**options, run_dir=here / "whole", verbose=0)


def weights_of(run, *names):
    return [w for name in names for w in run.model.get_layer(name).get_weights()]


def all_equal(ours, theirs):
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


BODY = ("conv1", "conv1_bn")


@pytest.mark.slow
def test_after_the_first_part_all_layers_learn_at_a_lower_rate(tuned):
    _, _, pretrained, run = tuned
    assert not all_equal(weights_of(run, *BODY), weights_of(pretrained, *BODY))
    assert all(layer.trainable for layer in run.model.layers)
    highest = recipe("default").learning_rate
    assert 0 < run.history["learning_rate"][1:].max() <= 0.5 * highest


@pytest.mark.slow
def test_the_run_and_its_card_say_what_it_started_from(tuned):
    _, options, _, run = tuned
    report = " ".join(run.metrics["weights"])
    assert "logits" in report and options["weights"] in report
    assert "Weights it started from" in (run.path / "card.md").read_text()


def test_pixels_are_what_the_weights_were_trained_on(tuned):
    """Of a run: the figures of its own training images."""
    _, _, pretrained, run = tuned
    theirs, ours = (x.model.get_layer("rescaling") for x in (pretrained, run))
    np.testing.assert_allclose(ours.scale, theirs.scale, rtol=1e-5)
    np.testing.assert_allclose(ours.offset, theirs.offset, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_interrupted_fine_tuning_goes_on_as_if_it_had_not_been(stop, tuned):
    """At the end of the first part, when the body is as it was, and within the second."""
    here, options, pretrained, whole = tuned
    part = training.train_trial(Options(**options), here / f"parts{stop}", until=stop)
    if stop == 1:
        assert all_equal(weights_of(part, *BODY), weights_of(pretrained, *BODY))
        assert not all_equal(weights_of(part, "conv2"), weights_of(pretrained, "conv2"))
    resumed = training.train_trial(Options(**options), here / f"parts{stop}")
    assert all_equal(resumed.model.get_weights(), whole.model.get_weights())
    columns = ["loss", "val_loss", "learning_rate"]
    assert resumed.history[columns].equals(whole.history[columns])


@pytest.mark.slow
def test_fine_tuning_beats_training_from_scratch(shared_data, tmp_path):
    """Digits 0 to 4 of MNIST, then 5 to 9 with 100 images each, on unseen images."""
    with np.load(shared_data / "mnist.npz") as mnist:
        arrays = {name: mnist[name] for name in ("x_train", "y_train", "x_test", "y_test")}

    def write(name, classes, each):
        chosen = {}
        for split, most in (("train", each), ("test", 400)):
            labels = arrays[f"y_{split}"]
            rows = np.concatenate([np.flatnonzero(labels == label)[:most] for label in classes])
            chosen[f"x_{split}"] = arrays[f"x_{split}"][rows]
            chosen[f"y_{split}"] = labels[rows] - classes[0]
        np.savez(tmp_path / name, **chosen)

    write("low.npz", range(5), 1000)
    write("high.npz", range(5, 10), 100)
    given = {"arch": "vgg11", "alpha": 0.125, "size": 32, "epochs": 3, "verbose": 0}
    train(**given, data=tmp_path / "low.npz", run_dir=tmp_path / "low")
    tuned = {"weights": tmp_path / "low" / "model.keras", "freeze_until": "block3"}
    results = {"scratch": [], "tuned": []}
    for seed in range(2):
        for name, more in (("scratch", {}), ("tuned", tuned)):
            high = {"data": tmp_path / "high.npz", "seed": seed}
            run = train(**given, **high, **more, run_dir=tmp_path / f"{name}{seed}")
            results[name].append(run.metrics["test_accuracy"])
    spread = max(np.ptp(accuracies) for accuracies in results.values())
    assert np.mean(results["tuned"]) > np.mean(results["scratch"]) + spread


@pytest.mark.slow
def test_a_network_of_any_size_trains_at_several_and_gives_its_weights_to_a_run(
    tmp_path,
):
    network = keras_archs.MobileNetV2((None, None, 1), 10, alpha=0.35, stem="small")
    network.compile("sgd", "sparse_categorical_crossentropy")
    random = np.random.default_rng(0)
    for side in (16, 23, 40):
        images = random.normal(size=(8, side, side, 1)).astype("float32")
        assert np.isfinite(network.train_on_batch(images, np.arange(8)))
        assert np.isfinite(network.predict(images, verbose=0)).all()
    network.save(tmp_path / "any-size.keras")

    run = train(
        "mobilenetv2",
        alpha=0.35,
        weights=tmp_path / "any-size.keras",
        epochs=1,
        run_dir=tmp_path / "run",
        verbose=0,
    )
    assert run.model.input_shape == (None, 16, 16, 1)
    assert np.isfinite(run.history["loss"]).all()
