"""Testing a trained network: probabilities, metrics, latency, other data, single images."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from applications import train
from applications.evaluation import evaluating as evaluation
from applications.evaluation.evaluating import (
    answers,
    evaluate,
    latency,
    metrics,
    predict,
    score,
)
from applications.evaluation.tables import print_metrics
from applications.runs import load
from keras_archs.runtimes import predictors as runtimes

NAMES = ("cat", "dog", "owl")


class Memory:
    """A subset of images in memory, which counts how many are asked for at a time."""

    def __init__(self, images):
        self.images, self.asked = images, []

    def __len__(self):
        return len(self.images)

    def batch(self, rows):
        self.asked.append(len(rows))
        return self.images[rows]


@pytest.fixture(scope="module")
def network():
    """uint8 (B, 4, 4, 1) -> probabilities of 3 classes."""
    keras.utils.set_random_seed(0)
    images = keras.Input((4, 4, 1), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(images)
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(x))
    return keras.Model(images, keras.layers.Dense(3, activation="softmax")(x))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """LeNet5 after one epoch on the digits."""
    folder = tmp_path_factory.mktemp("runs") / "lenet5"
    return train("lenet5", epochs=1, run_dir=folder, verbose=0)


def digits_npz(path, classes):
    """Random images of the given classes, 12 of each in either split."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (12 * classes, 8, 8, 1), np.uint8)
    labels = np.tile(np.arange(classes), 12)
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    return str(path)


# ------------------------------------------------------------------------------------------ score


@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_scores_do_not_depend_on_the_batch_size(network, batch_size):
    images = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 1), np.uint8)
    subset = Memory(images)
    probabilities = score(network, subset, batch_size)
    assert probabilities.shape == (7, 3)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, network(images, training=False), rtol=1e-5)
    assert set(subset.asked) == {batch_size}  # one shape, compiled once


# ---------------------------------------------------------------------------------------- metrics


def test_metrics_of_a_small_example():
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array(
        [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.2, 0.5, 0.3]], np.float32
    )
    result = metrics(labels, probabilities, NAMES)
    assert result["test_accuracy"] == 0.75
    assert result["confusion_matrix"] == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]  # rows: the truth
    assert result["test_loss"] == pytest.approx(-np.log([0.8, 0.2, 0.8, 0.5]).mean(), rel=1e-5)
    assert result["per_class"]["cat"] == {
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
        "images": 2,
    }
    assert result["per_class"]["dog"]["precision"] == pytest.approx(2 / 3)
    assert result["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)  # no owl: not counted


def test_a_class_that_is_absent_has_zeros_and_no_images():
    absent = metrics(np.array([0, 1]), np.eye(3, dtype=np.float32)[:2], NAMES)["per_class"]["owl"]
    assert absent == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 0}


def test_metrics_are_ready_for_json():
    result = metrics(np.array([0, 1, 2]), np.eye(3, dtype=np.float32), NAMES)
    assert json.loads(json.dumps(result)) == result
    assert result["test_accuracy"] == result["macro_f1"] == 1.0


def test_probabilities_that_are_not_numbers_are_an_error():
    probabilities = np.array([[1, 0, 0], [np.nan] * 3], np.float32)
    with pytest.raises(ValueError, match="must be finite.*1 of 2 rows"):
        metrics(np.array([0, 1]), probabilities, NAMES)


# ---------------------------------------------------------------------------------------- latency


@pytest.mark.parametrize("batch_size", [1, 8])
def test_latency_is_a_median_and_a_tail_in_milliseconds(network, batch_size):
    p50, p95 = latency(network, batch_size, repeats=5)
    assert 0 < p50 <= p95


def test_latency_ends_in_time_and_changes_nothing(network):
    before = [v.numpy() for v in network.variables]
    p50, _ = latency(network, repeats=10**9, seconds=0.05)
    assert p50 > 0
    for old, new in zip(before, network.variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


# --------------------------------------------------------------------------------------- evaluate


def test_a_run_evaluates_to_the_metrics_it_recorded(run):
    result = evaluate(run.path)
    assert (result["data"], result["images"]) == ("digits", 359)
    for name in ("test_accuracy", "macro_f1", "confusion_matrix", "per_class"):
        assert result[name] == run.metrics[name]
    assert result["test_loss"] == pytest.approx(run.metrics["test_loss"], rel=1e-5)


def test_a_loaded_run_and_another_batch_size_serve_as_well(run):
    result = evaluate(load(run.path), batch_size=50)
    assert result["test_accuracy"] == run.metrics["test_accuracy"]


@pytest.mark.slow
@pytest.mark.parametrize("convertible", [True, False])
def test_many_images_are_tested_in_the_fastest_runtime_that_there_is(run, monkeypatch, convertible):
    chosen = []

    def runtime(model, batch_size):
        if not convertible:
            raise ValueError("no runtime has its layers")
        chosen.append(runtimes.runtime(model, batch_size=batch_size))
        return chosen[-1]

    monkeypatch.setattr(evaluation, "_REPAID", 0)
    monkeypatch.setattr(evaluation.runtimes, "runtime", runtime)
    result = evaluate(run.path)
    assert len(chosen) == convertible
    assert result["confusion_matrix"] == run.metrics["confusion_matrix"]
    assert result["test_loss"] == pytest.approx(run.metrics["test_loss"], rel=1e-4)


def test_other_data_with_the_same_classes(run, tmp_path):
    result = evaluate(run, data=digits_npz(tmp_path / "other.npz", classes=10))
    assert (result["data"], result["images"]) == ("other", 120)
    assert [row["images"] for row in result["per_class"].values()] == [12] * 10


def test_data_that_lack_classes_are_tested_by_name_and_the_missing_ones_are_said(
    run, tmp_path, capsys
):
    result = evaluate(run, data=digits_npz(tmp_path / "three.npz", classes=3))
    assert result["images"] == 36
    assert result["missing_classes"] == list("3456789")
    assert [row["images"] for row in result["per_class"].values()] == [12] * 3 + [0] * 7
    print_metrics(result)
    assert "no images of 3, 4, 5, 6, 7, 8, 9" in capsys.readouterr().out


def test_a_class_that_the_run_does_not_know_is_an_error_that_names_it(run, tmp_path):
    with pytest.raises(ValueError, match=r"no class but the network's.*Received: 10, 11$"):
        evaluate(run, data=digits_npz(tmp_path / "twelve.npz", classes=12))


@pytest.mark.parametrize("inside", ["", "test", "Testing"])
def test_a_folder_of_classes_or_of_a_test_split_alone_is_tested_whole(run, tmp_path, inside):
    data = tmp_path / "new"
    for label in ("3", "8"):
        (data / inside / label).mkdir(parents=True)
        for number in range(5):
            Image.new("L", (8, 8), 40 * number).save(data / inside / label / f"{number}.png")
    result = evaluate(run, data=data)
    assert (result["data"], result["images"]) == ("new", 10)
    assert [row["images"] for row in result["per_class"].values()] == [0, 0, 0, 5, 0, 0, 0, 0, 5, 0]


def test_a_folder_of_validation_images_alone_is_an_error(run, tmp_path):
    (tmp_path / "val" / "3").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"must hold test/ or train/. Received: val/"):
        evaluate(run, data=tmp_path)


def test_class_names_are_printed_as_they_are(capsys):
    names = ("[red]cat[/red]", ":dog:", "owl")
    result = metrics(np.array([0, 1]), np.eye(3, dtype=np.float32)[[0, 1]], names)
    print_metrics({"data": "[b]pets", "images": 2, "missing_classes": ["owl"], **result})
    output = capsys.readouterr().out
    assert "[red]cat[/red]" in output and ":dog:" in output and "[b]pets" in output


def test_data_that_changed_since_the_training_are_an_error(tmp_path):
    def add_images(numbers):
        for label, grey in (("dark", 50), ("light", 200)):
            (tmp_path / "mine" / label).mkdir(parents=True, exist_ok=True)
            for number in numbers:
                image = Image.new("L", (32, 32), grey + number)
                image.save(tmp_path / "mine" / label / f"{number}.png")

    data = str(tmp_path / "mine")
    add_images(range(20))
    run = train("lenet5", data=data, epochs=1, run_dir=tmp_path / "run", verbose=0)
    assert evaluate(run)["test_accuracy"] == run.metrics["test_accuracy"]
    add_images(range(20, 40))
    with pytest.raises(ValueError, match="have changed since"):
        evaluate(run)  # its test split may now hold what the network was trained on
    assert evaluate(run, data=data)["images"] == 16  # asked for by name


def test_what_is_no_run_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        evaluate(tmp_path / "none")
    with pytest.raises(ValueError, match="run folder"):
        evaluate(tmp_path)


def test_metrics_print_as_a_table(capsys):
    result = metrics(np.array([0, 1, 1, 1]), np.eye(3, dtype=np.float32)[[0, 1, 1, 2]], NAMES)
    print_metrics({"data": "pets", "images": 4, "missing_classes": [], **result})
    output = capsys.readouterr().out
    assert "pets, 4 test images" in output
    assert "accuracy 75.00 %" in output
    assert "66.67" in output  # recall of dog


# ---------------------------------------------------------------------------------------- predict


@pytest.fixture
def photographs(tmp_path):
    """Two image files that are nothing like 32x32 grey."""
    paths = []
    for name, size, colour in (("a.png", (50, 40), "white"), ("b.jpg", (9, 31), "navy")):
        Image.new("RGB", size, colour).save(tmp_path / name)
        paths.append(tmp_path / name)
    return paths


def test_predictions_are_the_best_classes_of_each_image(run, photographs):
    rows = predict(run.path, photographs, top=2)
    assert [path for path, _ in rows] == [str(path) for path in photographs]
    for (_, best), probabilities in zip(rows, run.predict(photographs), strict=True):
        order = np.argsort(-probabilities)[:2]
        assert [label for label, _ in best] == [run.labels[k] for k in order]
        assert [p for _, p in best] == pytest.approx(probabilities[order], rel=1e-5)


def test_all_classes_sum_to_one(run, photographs):
    ((_, best), _) = predict(run, photographs, top=99)
    assert len(best) == 10
    assert sum(p for _, p in best) == pytest.approx(1, abs=1e-5)


def test_bad_requests_are_refused(run, photographs, tmp_path):
    with pytest.raises(ValueError, match="`images` must name at least one"):
        predict(run, [])
    with pytest.raises(ValueError, match="`top` must be >= 1"):
        predict(run, photographs, top=0)
    with pytest.raises(ValueError, match="`out` must be a .csv file"):
        predict(run, photographs, out=tmp_path / "out.txt")


def test_good_images_are_answered_and_bad_ones_named_at_the_end(run, photographs, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    first, second = map(str, photographs)
    bad = [str(tmp_path / name) for name in ("text.png", "none.png")]
    found = list(answers(run, [first, bad[0], second, bad[1]], top=1))
    assert [answer.error for answer in found] == [None, "unknown format", None, "no such file"]
    assert [answer.classes for answer in found[::2]] == [
        classes for _, classes in predict(run, [first, second], top=1)
    ]
    with pytest.raises(ValueError, match="Received: 2 of 3 that are not: ") as error:
        predict(run, [bad[0], first, bad[1]], out=tmp_path / "out.csv", top=2)
    assert f"{bad[0]} (unknown format), {bad[1]} (no such file)" in str(error.value)
    table = pd.read_csv(tmp_path / "out.csv", dtype={"class": str})
    ((_, expected),) = predict(run, [first], top=2)
    assert table["image"].tolist() == [first] * 2 and table["rank"].tolist() == [1, 2]
    assert table["class"].tolist() == [label for label, _ in expected]
    assert table["probability"].tolist() == pytest.approx([p for _, p in expected], abs=1e-6)


def test_of_many_bad_images_ten_are_named(run, tmp_path):
    with pytest.raises(ValueError, match="Received: 12 of 12 that are not: ") as error:
        predict(run, [tmp_path / f"{number}.png" for number in range(12)])
    assert str(error.value).count("no such file") == 10


def test_images_are_decoded_a_chunk_at_a_time(run, photographs, monkeypatch):
    monkeypatch.setattr(evaluation, "_CHUNK", 2)
    seen = []
    network = SimpleNamespace(
        model=run.model,
        labels=run.labels,
        predict=lambda paths: seen.append(len(paths)) or run.predict(paths),
    )
    paths = photographs * 3
    assert [answer.classes for answer in answers(network, paths[:5])] == [
        classes for _, classes in predict(run, paths[:5])
    ]
    assert seen == [2, 2, 1]
