"""Specialists of what a network confuses, and their predictions as one: arXiv:1503.02531, 5."""

from pathlib import Path

import keras
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

import keras_archs
from applications import load, specialists, train
from applications.data.sources import open_source
from applications.evaluation.networks import logits_network
from applications.learning.specialists import combined, confused, specialist_of
from applications.training import checkpoints

SMALL = {"size": 16, "batch_size": 128, "verbose": 0}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("parent") / "run"
    return train("lenet5", alpha=0.5, epochs=3, run_dir=run_dir, **SMALL)


def test_classes_that_are_predicted_together_are_a_set(random):
    labels = np.arange(7000) % 7
    logits = random.normal(0, 1, (7000, 7)) + 6 * np.eye(7)[labels]
    for several in ((0, 3), (1, 2, 5)):
        for row in np.flatnonzero(np.isin(labels, several)):
            logits[row, list(several)] = random.normal(6, 1, len(several))
    found = confused(softmax(logits, axis=1), 4, seed=0)
    assert found == [[0, 3], [1, 2, 5]]  # 4 and 6 are confused with none: no set


def test_a_specialist_sees_as_many_images_of_other_classes_as_of_its_own():
    source = open_source("digits", seed=0)
    every, own = source.at(8), source.focused(["3", "8"], "(others)", 0).at(8)
    assert own.labels == ("3", "8", "(others)")
    for split in ("train", "validation"):
        labels, of_all = getattr(own, split).labels, getattr(every, split).labels
        assert (labels == 0).sum() == (of_all == 3).sum()
        assert (labels == 1).sum() == (of_all == 8).sum()
        assert (labels == 2).sum() == (labels < 2).sum()
        assert len(set(getattr(own, split).ids)) == len(labels)
    mapped = np.select([every.test.labels == 3, every.test.labels == 8], [0, 1], 2)
    np.testing.assert_array_equal(own.test.labels, mapped)
    assert own.test.ids == every.test.ids
    images, labels = np.zeros((8, 8, 8), np.uint8), np.arange(8) % 4
    splits = {"x_val": images[:2], "y_val": labels[:2], "x_test": images, "y_test": labels}
    np.savez("few.npz", x_train=images, y_train=labels, **splits)
    with pytest.raises(ValueError, match="a specialist has. Received: 2, 3 without validation"):
        open_source("few.npz").focused(["2", "3"], "(others)", 0)


def test_a_specialist_begins_with_the_generalists_weights(random):
    generalist = keras_archs.MLP((8, 8, 1), 5, hidden=[6], classifier_activation=None)
    images = random.uniform(-1, 1, (4, 8, 8, 1)).astype(np.float32)
    logits = generalist.predict(images, verbose=0)
    found = specialist_of(generalist, [1, 4]).predict(images, verbose=0)
    expected = np.stack([logits[:, 1], logits[:, 4], logits[:, [0, 2, 3]].mean(axis=1)], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def network(logits, name):
    """A network whose answer to an image of one pixel is a row of these."""
    images = keras.Input((1, 1, 1), dtype="uint8")
    row = keras.layers.Flatten()(images)
    table = keras.layers.Embedding(*logits.shape, name=name)
    outputs = keras.layers.Softmax()(keras.layers.Flatten()(table(row)))
    model = keras.Model(images, outputs)
    table.set_weights([logits])
    return model


def equation_5(general, special, own):
    """The q of the least KL(general, q) + KL(own, q), found by descent on its logits."""
    rest = [c for c in range(len(general)) if c not in special]

    def loss(logits):
        logs = log_softmax(logits)
        dustbin = np.log(np.exp(logs[rest]).sum())
        return -(general @ logs) - own @ np.append(logs[special], dustbin)

    found = minimize(loss, np.zeros(len(general)), method="BFGS", options={"gtol": 1e-9})
    return softmax(found.x)


def test_predictions_are_those_of_equation_5(random):
    general = random.normal(0, 2, (12, 7)).astype(np.float32)
    general[:2, 4] += 9  # of no set: nobody is asked
    sets, offsets = [[0, 3], [1, 2, 5]], [1.5, 0.4]
    own = [random.normal(0, 2, (12, len(each) + 1)).astype(np.float32) for each in sets]
    members = [
        (each, network(logits, f"own_{index}"), offset)
        for index, (each, logits, offset) in enumerate(zip(sets, own, offsets, strict=True))
    ]
    model = combined(network(general, "general"), members)
    found = model.predict(np.arange(12, dtype=np.uint8).reshape(12, 1, 1, 1), verbose=0)
    p_g, asked = softmax(general, axis=1), set()
    for row, top in enumerate(general.argmax(axis=1)):
        expected = p_g[row]
        for each, logits, offset in zip(sets, own, offsets, strict=True):
            if top in each:
                asked.add(tuple(each))
                p_m = softmax(logits[row] + offset * (np.arange(len(each) + 1) == len(each)))
                expected = equation_5(p_g[row], each, p_m)
        np.testing.assert_allclose(found[row], expected, atol=2e-5)
    assert asked == {(0, 3), (1, 2, 5)}


def test_the_network_as_it_is_kept_has_a_cost_and_is_loaded(tmp_path, random):
    generalist = keras_archs.MLP((8, 8, 1), 5, hidden=[6])
    member = specialist_of(generalist, [1, 4])
    images = keras.Input((8, 8, 1), dtype="uint8")
    both = [
        keras.Model(images, model(keras.layers.Rescaling(1 / 255)(images)))
        for model in (generalist, member)
    ]
    model = combined(both[0], [([1, 4], both[1], 0.5)])
    spread = 2 * 5
    assert keras_archs.profile(model).macs == 64 * 6 * 2 + 6 * 5 + 6 * 3 + spread
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    shown = random.integers(0, 256, (4, 8, 8, 1), np.uint8)
    answers = model.predict(shown, verbose=0)
    np.testing.assert_array_equal(loaded.predict(shown, verbose=0), answers)
    np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=1e-5)
    logits = logits_network(model).predict(shown, verbose=0)  # as one that teaches is asked
    np.testing.assert_allclose(softmax(logits, axis=1), answers, rtol=1e-5)


@pytest.mark.slow
def test_specialists_are_a_run_that_is_resumed(parent, monkeypatch):
    asked = {"sets": 3, "epochs": 2, "verbose": 0}
    whole = specialists(parent.path, run_dir="whole", **asked)
    assert whole.config["parent"] == str(parent.path)
    assert whole.config["specialists"] == {"sets": 3} and whole.labels == parent.labels
    members = [load(path) for path in sorted(whole.path.glob("specialist-*"))]
    own = [each.labels[:-1] for each in members]
    assert len(members) > 1 and len({name for names in own for name in names}) == sum(map(len, own))
    for each in members:
        assert each.config["specialists"] == {"classes": list(each.labels[:-1])}
        assert each.config["learning_rate"] == pytest.approx(parent.config["learning_rate"] / 10)
    assert whole.metrics["parent"]["test_accuracy"] == parent.metrics["test_accuracy"]
    costs = [run.metrics["macs"] for run in (parent, *members)]
    assert costs[0] < whole.metrics["active_macs"] <= sum(costs) <= whole.metrics["macs"]
    answers = whole.predictions["probabilities"]
    np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=1e-5)
    nobody = ~np.isin(
        parent.predictions["probabilities"].argmax(axis=1),
        [parent.labels.index(name) for names in own for name in names],
    )
    before = parent.predictions["probabilities"]
    np.testing.assert_allclose(answers[nobody], before[nobody], atol=1e-5)
    card = (whole.path / "card.md").read_text()
    assert f"| specialist-1 | {', '.join(own[0])} |" in card and f"| {parent.path} |" in card

    save = checkpoints.Checkpoint.on_epoch_end
    with monkeypatch.context() as patch:

        def on_epoch_end(self, epoch, logs=None):
            save(self, epoch, logs)
            if Path("cut/specialist-2").exists():
                raise KeyboardInterrupt

        patch.setattr(checkpoints.Checkpoint, "on_epoch_end", on_epoch_end)
        with pytest.raises(KeyboardInterrupt):
            specialists(parent, run_dir="cut", **asked)
    first = (whole.path.parent / "cut" / "specialist-1" / "metrics.json").stat().st_mtime_ns
    again = specialists(parent, run_dir="cut", resume=True, **asked)
    assert (again.path / "specialist-1" / "metrics.json").stat().st_mtime_ns == first
    np.testing.assert_array_equal(again.predictions["probabilities"], answers)
    assert not list(again.path.glob("**/checkpoint"))
    assert specialists(parent, run_dir="cut", resume=True, **asked).metrics == again.metrics


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sets": 1}, "`sets` must be an integer >= 2. Received: sets=1"),
        ({"sets": 6}, "`sets` must be at most half .* Received: sets=6 for 10 classes"),
        ({"epochs": 0}, "`epochs` must be"),
        ({"patience": 0}, "`patience` must be"),
    ],
)
def test_wrong_arguments_leave_nothing_behind(parent, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        specialists(parent.path, **{"verbose": 0, **options})
    assert not list(tmp_path.iterdir())


def test_data_that_have_become_others_are_refused(tmp_path, random):
    images, labels = random.integers(0, 256, (80, 16, 16), np.uint8), np.arange(80) % 4
    arrays = {"x_train": images, "x_test": images, "y_test": labels}
    np.savez("data.npz", y_train=labels, **arrays)
    options = {"data": "data.npz", "epochs": 1, "batch_size": 16, "verbose": 0}
    run = train("mlp", args={"hidden": [4]}, run_dir="run", **options)
    np.savez("data.npz", y_train=labels % 3, **{**arrays, "y_test": labels % 3})
    with pytest.raises(ValueError, match="`run` must have been trained on what its data are now"):
        specialists(run, sets=2, verbose=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npz", "run"]
