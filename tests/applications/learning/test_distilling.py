"""A student learns from teachers' softened probabilities and from labels, by arXiv:1503.02531."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
from interrupting import interrupt_after
from scipy.special import log_softmax, softmax

from applications import distill, load, train
from applications.data.augmentation import Mixing
from applications.data.batches import TrainingBatches
from applications.data.sources import open_source
from applications.learning.distilling import Distilled, mean_of
from applications.options import Distillation

SMALL = {"size": 16, "batch_size": 128, "verbose": 0}
ALWAYS = {"soft_targets": "always"}
LOGITS = np.random.default_rng(0).normal(0, 3, (2, 6, 10)).astype(np.float32)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("teacher") / "run"
    return train("lenet5", epochs=2, run_dir=run_dir, **SMALL)


@pytest.mark.parametrize(
    ("average", "expected"),
    [
        ("geometric", softmax(LOGITS.mean(axis=0) / 3, axis=1)),
        ("arithmetic", softmax(LOGITS / 3, axis=2).mean(axis=0)),
    ],
)
def test_several_teachers_are_one_whose_prediction_is_their_mean(average, expected):
    asked = Distillation(run="", temperature=3.0, average=average)
    found = keras.ops.convert_to_numpy(mean_of(list(LOGITS), asked))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def student(decay=0.0):
    """A network of one layer whose probabilities are the softmax of its inputs."""
    inputs = keras.Input((10,))
    kernel = keras.initializers.Identity()
    dense = keras.layers.Dense(10, "softmax", kernel_initializer=kernel)
    if decay:
        dense.kernel_regularizer = keras.regularizers.L2(decay)
    return keras.Model(inputs, dense(inputs))


@pytest.mark.parametrize("hard_weight", [0.0, 0.25, 1.0])
def test_the_loss_is_that_of_the_paper(hard_weight):
    ours, theirs, labels, temperature = LOGITS[0], LOGITS[1], np.arange(6), 4.0
    network = student(decay=0.1)
    soft = softmax(theirs / temperature, axis=1)
    log_ours = log_softmax(ours / temperature, axis=1)
    divergence = (soft * (np.log(soft) - log_ours)).sum(axis=1).mean()
    entropy = -log_softmax(ours, axis=1)[labels, labels].mean()
    decay = 0.1 * 10  # the kernel is the identity, with ten ones
    expected = hard_weight * entropy + (1 - hard_weight) * temperature**2 * divergence + decay

    hard = np.eye(10, dtype=np.float32)[labels]
    asked = keras.Input((10,))
    said = keras.ops.convert_to_tensor(soft) + 0 * asked
    answering = keras.Model(asked, {"predictions": said})
    for teacher, rows in ((None, np.concatenate([hard, soft], axis=1)), (answering, hard)):
        model = Distilled(network.inputs, {"predictions": network.output})
        model.attach(teacher, temperature=temperature, hard_weight=hard_weight)
        model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
        logs = model.train_on_batch(ours, rows, return_dict=True)
        network.layers[-1].set_weights([np.eye(10), np.zeros(10)])
        assert logs["loss"] == pytest.approx(expected, rel=1e-5)
        assert logs["accuracy"] == np.mean(ours.argmax(axis=1) == labels)
        # Validation is that of the network itself.
        tested = model.test_on_batch(ours, hard, return_dict=True)
        assert tested["loss"] == pytest.approx(entropy + decay, rel=1e-5)


def test_maps_are_brought_to_the_teachers_channels_and_the_students_size():
    """To the loss is added the mean square of what a 1x1 convolution leaves between them."""
    generator, weight = np.random.default_rng(3), 0.5
    ours = generator.normal(size=(6, 4, 4, 2)).astype(np.float32)
    theirs = generator.normal(size=(6, 8, 8, 3)).astype(np.float32)
    images = keras.Input((4, 4, 2))
    dense = keras.layers.Dense(10, "softmax", kernel_initializer="zeros")
    outputs = {"predictions": dense(keras.layers.Flatten()(images)), "P2": images + 0}
    shown = {"predictions": keras.ops.full((6, 10), 0.1), "P2": keras.ops.convert_to_tensor(theirs)}
    larger = keras.layers.Resizing(8, 8)(keras.layers.Conv2D(3, 1)(images))
    answering = keras.Model(images, {"predictions": outputs["predictions"], "P2": larger})
    answering.call, answering.trainable = lambda *_, **__: shown, False

    model = Distilled([images], outputs)
    asked = {"temperature": 1.0, "hard_weight": 0.0, "feature_weight": weight}
    model.attach(answering, **asked)
    model.compile("sgd", "categorical_crossentropy")
    adapter = next(layer for layer in model._flatten_layers() if layer.name == "adapter_p2")
    kernel, bias = (keras.ops.convert_to_numpy(each) for each in adapter.weights)
    assert kernel.shape == (1, 1, 2, 3)
    # Halving with antialiasing weighs four pixels by 1, 3, 3, 1; at an edge, those that are there.
    halves = np.array([[3, 3, 1, 0, 0, 0, 0, 0], [0, 1, 3, 3, 1, 0, 0, 0]])
    halves = np.concatenate([halves, np.roll(halves[1:], 2, axis=1), halves[:1, ::-1]])
    halves = halves / halves.sum(axis=1, keepdims=True)
    smaller = np.einsum("ij,njkc,lk->nilc", halves, theirs, halves)
    expected = weight * np.mean((smaller - (ours @ kernel[0, 0] + bias)) ** 2)
    labels = np.eye(10, dtype=np.float32)[np.arange(6)]
    found = model.train_on_batch(ours, labels, return_dict=True)["loss"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_what_teachers_say_is_mixed_as_the_labels_are():
    subset = open_source("digits", seed=0).at(8).train
    soft = np.random.default_rng(1).dirichlet(np.ones(10), len(subset)).astype(np.float32)
    asked = {"subset": subset, "batch_size": 32, "seed": 5, "targets": np.eye(10, dtype=np.float32)}
    plain = TrainingBatches(soft_targets=soft, **asked)[0]
    order = np.random.default_rng((5, 0)).permutation(len(subset))[:32]
    np.testing.assert_array_equal(plain[1][:, 10:], soft[order])
    np.testing.assert_array_equal(plain[1][:, :10], np.eye(10)[subset.labels[order]])
    same = np.eye(10, dtype=np.float32)[subset.labels]
    mixed = TrainingBatches(soft_targets=same, mixing=Mixing(mixup=0.5), **asked)[0][1]
    assert 0 < mixed.min(initial=1, where=mixed > 0) < 1
    np.testing.assert_allclose(mixed[:, :10], mixed[:, 10:], atol=1e-6)


def test_a_transfer_set_lacks_classes_that_are_tested_all_the_same():
    source = open_source("digits", seed=0)
    every, some = source.at(8), source.of_classes(["8", "7"]).at(8)
    assert some.labels == every.labels and some.test.ids == every.test.ids
    for kept, split in ((some.train, every.train), (some.validation, every.validation)):
        seen = np.isin(split.labels, [7, 8])
        assert kept.ids == np.array(split.ids)[seen].tolist()
        np.testing.assert_array_equal(kept.labels, split.labels[seen])
        np.testing.assert_array_equal(
            kept.batch(range(len(kept))), split.batch(np.flatnonzero(seen))
        )


def test_a_transfer_set_must_have_images_of_each_split():
    images, labels = np.zeros((4, 8, 8), np.uint8), np.arange(4) % 2
    splits = {"x_val": images[:1], "y_val": labels[:1], "x_test": images, "y_test": labels}
    np.savez("few.npz", x_train=images, y_train=labels, **splits)
    with pytest.raises(ValueError, match="must have validation images. Received: 1$"):
        open_source("few.npz").of_classes(["1"])


@pytest.mark.slow
@pytest.mark.parametrize("soft_targets", ["once", "always"])
def test_a_student_has_a_run_folder_and_resumes_bit_for_bit(teacher, monkeypatch, soft_targets):
    # Two teachers, whose images are larger; the student has dropout and mixed images, and no 3s.
    asked = {"ensemble": [teacher.path], "soft_targets": soft_targets, "temperature": 2.0}
    asked |= {"size": 20, "epochs": 2, "batch_size": 128, "verbose": 0, "mixup": 0.2, "alpha": 0.5}
    asked |= {"args": {"dropout": 0.2}, "transfer_classes": list("012456789")}
    whole = distill(teacher.path, "lenet5", run_dir="whole", **asked)
    assert whole.config["parent"] == str(teacher.path)
    assert whole.config["distill"]["ensemble"] == [str(teacher.path)]
    assert whole.metrics["parent"]["test_accuracy"] == teacher.metrics["test_accuracy"]
    assert whole.config["distill"]["transfer_classes"] == list("012456789")
    split = json.loads((whole.path / "split.json").read_text())
    labels = open_source("digits", seed=0)._splits["train"][0].labels
    assert 3 not in labels[split["train"]["rows"]] and split["classes"] == list("012456789")
    assert 3 in whole.predictions["labels"]
    card = (whole.path / "card.md").read_text()
    assert "It saw images of 0, 1, 2, 4, 5, 6, 7, 8, 9 alone." in card
    assert "## Distillation" in card and f"| {teacher.path} | 15,626 |" in card
    assert not (whole.path / "checkpoint").exists()

    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            distill(teacher, "lenet5", run_dir="cut", **asked)
    kept = whole.path.parent / "cut" / "checkpoint" / "soft_targets.npy"
    assert kept.exists() == (soft_targets == "once")
    if kept.exists():
        kept.write_bytes(kept.read_bytes()[:100])  # damaged: it is made again
    again = distill(teacher, "lenet5", run_dir="cut", resume=True, **asked)
    for one, other in zip(whole.model.weights, again.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    losses = [pd.read_csv(run.path / "history.csv").loss.tolist() for run in (whole, again)]
    assert losses[0] == losses[1]
    assert load("cut").predict(np.zeros((1, 20, 20, 1), np.uint8)).shape == (1, 10)


@pytest.mark.slow
def test_a_narrower_student_learns_maps_and_resumes_bit_for_bit(teacher, monkeypatch):
    asked = {"features": ["P1", "P2"], "feature_weight": 0.1, **ALWAYS, **SMALL}
    asked |= {"size": 20, "epochs": 2, "alpha": 0.5}
    whole = distill(teacher.path, "lenet5", run_dir="whole", **asked)
    assert whole.config["distill"]["features"] == ["P1", "P2"]
    assert "Maps it learned as well: P1, P2, weight 0.1." in (whole.path / "card.md").read_text()
    assert not any("adapter" in layer.name for layer in whole.model._flatten_layers())
    without = distill(teacher.path, "lenet5", run_dir="without", **{**asked, "features": None})
    assert whole.history.loss[1] != without.history.loss[1]

    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            distill(teacher, "lenet5", run_dir="cut", **asked)
    again = distill(teacher, "lenet5", run_dir="cut", resume=True, **asked)
    for one, other in zip(whole.model.weights, again.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, "`temperature` must be > 0. Received: temperature=0"),
        ({"hard_weight": 1.5}, r"`hard_weight` must be in \[0, 1\]. Received: hard_weight=1.5"),
        ({"average": "mean"}, "`average` must be one of 'geometric', 'arithmetic'"),
        ({"soft_targets": "never"}, "`soft_targets` must be one of 'once', 'always'"),
        ({"ensemble": ["nowhere"]}, "nowhere"),
        (
            {"transfer_classes": ["3", "ten"]},
            "`transfer_classes` must be .*: 0, 1, .* Received: ten",
        ),
        ({"transfer_classes": ["3", "3"]}, "`transfer_classes` must name each once. .*: 3,3"),
        ({"transfer_classes": []}, r"`transfer_classes` must be a list .* transfer_classes=\[\]"),
        ({"seed": 1}, "`seed` must be 0 for this teacher: .* Received: seed=1"),
        ({"features": ["P1"]}, "`soft_targets` must be 'always' with `features`"),
        (
            {"features": ["P1"], "soft_targets": "always", "ensemble": ["a", "b"]},
            "`ensemble` must be None with `features`.* Received: 2 more",
        ),
        ({**ALWAYS, "features": "P1"}, "`features` must be a list of feature maps. .*='P1'"),
        ({**ALWAYS, "features": ["P7"]}, r"`features` must be a list of P1, P2. .*=\['P7'\], for "),
        (
            {**ALWAYS, "arch": "resnet20", "size": 32, "features": ["P3"]},
            r"`features` must be a list of P1, P2. .*=\['P3'\], for .*run",
        ),
        ({**ALWAYS, "features": ["P1"], "feature_weight": 0}, "`feature_weight` must be > 0"),
        ({"recipe": "fitnet19"}, "`teacher` must be the run folder"),
        ({"arch": "lenet"}, "Did you mean 'lenet5'"),
    ],
)
def test_wrong_arguments_leave_nothing_behind(teacher, options, message, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        distill(teacher.path, **{"arch": "lenet5", "epochs": 1, **SMALL, **options})
    assert not list(tmp_path.iterdir())


def test_teachers_of_other_images_or_classes_are_refused(teacher, tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (40, 16, 16, 3), np.uint8)
    for name, labels in (("ten", np.arange(40) % 10), ("two", np.arange(40) % 2)):
        np.savez(f"{name}.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    before = sorted(tmp_path.iterdir())
    asked = {"arch": "lenet5", "epochs": 1, "batch_size": 8, "size": 16, "verbose": 0}
    with pytest.raises(ValueError, match="trained on the same classes, 2 of them. .* with 10"):
        distill(teacher.path, data="two.npz", **asked)
    with pytest.raises(ValueError, match="`soft_targets` must be 'once' .* 1 channels .* with 3"):
        distill(teacher.path, data="ten.npz", soft_targets="always", **asked)
    assert sorted(tmp_path.iterdir()) == before
