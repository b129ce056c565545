"""What `evaluate` tells of a run beside its metrics, and what it refuses."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

import applications
from applications import evaluate
from applications.evaluation import print_metrics
from applications.evaluation import protocols as protocols_module
from applications.evaluation.metrics import headline
from applications.runs import load

FINISHED = Path(__file__).parents[2] / "fixtures" / "before" / "finished"  # LeNet5, 16 x 16 digits


@pytest.fixture(scope="module")
def run():
    return load(FINISHED)


@pytest.fixture
def other(run, tmp_path):
    """The same run, whose first ten test images it knows and the rest of which it has as before."""
    path = tmp_path / "other"
    shutil.copytree(FINISHED, path)
    found = run.predictions
    found["probabilities"][:10] = np.eye(10)[found["labels"][:10]]
    np.savez(path / "predictions.npz", **found)
    return path


@pytest.fixture
def few(tmp_path):
    """Twenty images that are no digits."""
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), np.uint8)
    labels = np.tile(np.arange(10), 2)
    file = tmp_path / "few.npz"
    np.savez(file, x_train=images, y_train=labels, x_test=images, y_test=labels)
    return file


def changed(path, **arrays):
    """Other arrays in a run's predictions."""
    with np.load(path / "predictions.npz") as file:
        found = dict(file)
    np.savez(path / "predictions.npz", **{**found, **arrays})


# ----------------------------------------------------------------------------------------- answers


def test_figures_beside_the_metrics_are_always_there(run):
    result = evaluate(run)
    recorded = run.predictions
    line = headline(recorded["labels"], recorded["probabilities"])
    for name, value in line.items():
        assert result[name] == pytest.approx(value, abs=1e-5)
    assert 0 <= result["calibration"]["ece"] <= 1
    asked = {"intervals", "against", "temperature", "protocols", "ensemble", "corruptions"}
    assert not asked & set(result)


def test_another_run_is_compared_image_by_image(run, other, capsys):
    result = evaluate(run, against=other)
    recorded = run.predictions
    wrong = (recorded["probabilities"].argmax(axis=1) != recorded["labels"])[:10].sum()
    found = result["against"]
    assert (found["only_first"], found["only_second"]) == (0, wrong)
    assert found["difference"] == pytest.approx(-wrong / len(recorded["labels"]))
    assert found["p_value"] == pytest.approx(min(1, 2 * 0.5**wrong))
    print_metrics(result)
    assert f"0 images are right here alone, {wrong} there alone" in capsys.readouterr().out


def test_an_ensemble_has_the_mean_of_the_probabilities_and_the_sum_of_the_costs(run, other, capsys):
    result = evaluate(run, ensemble=[other])
    first, second = run.predictions["probabilities"], load(other).predictions["probabilities"]
    expected = headline(run.predictions["labels"], (first + second) / 2)
    found = result["ensemble"]
    assert found["test_accuracy"] == expected["test_accuracy"]
    assert found["test_loss"] == pytest.approx(expected["test_loss"], rel=1e-4)
    assert (found["params"], found["macs"]) == (2 * run.metrics["params"], 2 * run.metrics["macs"])
    best = max(row["test_accuracy"] for row in found["members"])
    assert found["gain"] == found["test_accuracy"] - best
    print_metrics(result)
    assert "ensemble of 2" in capsys.readouterr().out


def test_mirror_images_are_averaged_as_training_does_it(run):
    source = applications.data.open_source("digits", seed=run.config["seed"])
    test = source.test_at((16, 16), 1)
    images = test.batch(np.arange(len(test)))
    both = run.model.predict_on_batch(images) + run.model.predict_on_batch(images[:, :, ::-1])
    plain, mirrored = evaluate(run, mirrored=True)["protocols"]
    assert plain["test_accuracy"] == run.metrics["test_accuracy"]
    assert mirrored["test_accuracy"] == float(np.mean(both.argmax(axis=1) == test.labels))
    assert mirrored["views"] == 2


def test_protocols_are_a_table_that_begins_with_the_plain_one(run, capsys):
    result = evaluate(run, scales=[16, 18], crops="ten", dense=True, batch_size=64)
    rows = result["protocols"]
    assert [row["protocol"] for row in rows] == [
        *("plain", *["10 crops"] * 3, *["dense"] * 3, "10 crops and dense")
    ]
    dense = rows[4]  # at the network's own size that is the network
    assert dense["test_accuracy"] == rows[0]["test_accuracy"]
    assert dense["test_loss"] == pytest.approx(rows[0]["test_loss"], rel=1e-4)
    print_metrics(result)
    assert "10 crops and dense" in " ".join(capsys.readouterr().out.split())


def test_a_temperature_is_fitted_saved_and_written_down(run, tmp_path, capsys):
    files = {"save_calibrated": tmp_path / "cold.keras", "reliability": tmp_path / "bins.png"}
    result = evaluate(run, out=tmp_path / "all.json", **files)
    found = result["temperature"]
    assert found["validation"]["loss_after"] <= found["validation"]["loss_before"]
    assert found["test"]["loss_before"] == pytest.approx(result["test_loss"], rel=1e-4)
    assert found["test"]["ece_before"] == pytest.approx(result["calibration"]["ece"], abs=1e-3)
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), np.uint8)
    cold = keras.saving.load_model(files["save_calibrated"], safe_mode=True)
    logs = np.log(run.model.predict_on_batch(images)) / found["temperature"]
    expected = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(cold.predict_on_batch(images), expected, rtol=1e-3, atol=1e-6)
    assert files["reliability"].stat().st_size > 0
    assert json.loads((tmp_path / "all.json").read_text()) == result
    classes = pd.read_csv(tmp_path / "all-classes.csv")
    assert classes["images"].sum() == result["images"]
    bins = pd.read_csv(tmp_path / "all-calibration.csv")
    assert bins["images"].sum() == result["images"]
    print_metrics(result)
    assert f"temperature {found['temperature']:.4g}" in capsys.readouterr().out


def test_corruptions_and_intervals_are_repeated_by_their_seed(run, few, tmp_path, capsys):
    picture = tmp_path / "curves.png"
    options = {"intervals": True, "seed": 3, "data": few}
    result = evaluate(run, **options, robustness=picture, out=tmp_path / "r.json")
    again = evaluate(run, **options, corruptions=True, batch_size=7)
    assert {len(row) for row in result["corruptions"]["accuracy"].values()} == {5}
    assert result["corruptions"] == again["corruptions"]
    assert result["intervals"] == again["intervals"]
    low, high = result["intervals"]["test_accuracy"]
    assert low <= result["test_accuracy"] <= high
    assert picture.stat().st_size > 0
    table = pd.read_csv(tmp_path / "r-corruptions.csv")
    assert table["accuracy"].tolist() == sum(result["corruptions"]["accuracy"].values(), [])
    print_metrics(result)
    output = capsys.readouterr().out
    assert "95 % intervals: accuracy" in output and "rotation" in output


def test_other_data_are_scored_by_all_networks(run, other, few):
    result = evaluate(run, data=few, against=other, ensemble=[other])
    assert (result["against"]["only_first"], result["against"]["only_second"]) == (0, 0)
    accuracies = {row["test_accuracy"] for row in result["ensemble"]["members"]}
    assert accuracies == {result["test_accuracy"]} == {result["ensemble"]["test_accuracy"]}


def test_a_batch_has_fewer_images_where_each_has_many_views(run, monkeypatch):
    asked = []
    batch = applications.data.Subset.batch

    def noted(self, rows):
        asked.append(len(rows))
        return batch(self, rows)

    monkeypatch.setattr(applications.data.Subset, "batch", noted)
    monkeypatch.setattr(protocols_module, "_GRID", 3)
    evaluate(run, crops="grid", batch_size=36)
    assert set(asked) == {36, 2}  # images of a batch: plain, and 18 views of each


# ---------------------------------------------------------------------------------------- refusals


def refused(run, match, **options):
    with pytest.raises(ValueError, match=match):
        evaluate(run, **options)


def test_runs_of_other_images_are_refused(run, other):
    ids = run.predictions["ids"]
    changed(other, ids=np.array([*ids[:-1], "images/0x"]))
    wanted = r"must have been tested on the images of .*358 of the same names"
    refused(run, f"`against` {wanted}", against=other)
    refused(run, f"`ensemble` {wanted}", ensemble=other)
    changed(other, ids=ids, labels=run.predictions["labels"][::-1].copy())
    refused(run, "`against` must have been tested", against=other)


def test_runs_of_other_classes_are_refused(run, other):
    (other / "labels.json").write_text(json.dumps(list("abcdefghij")))
    refused(run, "`ensemble` must have the run's classes 0, 1.*with a, b", ensemble=[other])


def test_unfinished_and_missing_runs_are_refused(run, other, tmp_path):
    (other / "metrics.json").unlink()
    refused(run, "must be finished.*other", against=other)
    with pytest.raises(FileNotFoundError, match="none"):
        evaluate(run, ensemble=[tmp_path / "none"])


def test_validation_images_that_changed_are_refused(other):
    split = json.loads((other / "split.json").read_text())
    split["validation"]["rows"][0] += 1
    (other / "split.json").write_text(json.dumps(split))
    refused(other, "`calibrate` must have the validation images of the training", calibrate=True)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"scales": [15]}, "`scales` must be at least the network's 16 pixels. Received: 15"),
        ({"scales": [18, 18]}, "`scales` must be distinct"),
        ({"crops": "nine"}, "`crops` must be center, ten, grid or the crops along a side"),
        ({"crops": 1}, r"`crops` must be an integer in \[2, 32\]"),
        ({"batch_size": 0}, "`batch_size` must be an integer >= 1"),
        ({"intervals": 1}, "`intervals` must be a bool"),
        ({"against": FINISHED}, "`against` must name another run"),
        ({"ensemble": [FINISHED]}, "`ensemble` must name another run"),
        ({"ensemble": ["a", "b", "a"]}, "`ensemble` must name each run once"),
        ({"out": "result.txt"}, "`out` must be a .json file"),
        ({"save_calibrated": "model.h5"}, "`save_calibrated` must be a .keras file"),
        ({"out": FINISHED / "metrics.json"}, "`out` must be no file of the run's own"),
        ({"save_calibrated": FINISHED / "model.keras"}, "must be no file of the run's own"),
        ({"reliability": "a.png", "robustness": "a.png"}, "must be two files"),
    ],
)
def test_what_cannot_be_asked(run, options, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(run, match, **options)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_where_something_is_refused(run, other, tmp_path):
    changed(other, ids=run.predictions["ids"][::-1])
    refused(run, "`against`", against=other, out=tmp_path / "out.json")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


# ---------------------------------------------------------------------------------------- backends


@pytest.mark.slow
def test_jax_tells_the_same(run, tmp_path):
    file = tmp_path / "jax.json"
    options = "--mirrored --calibrate --intervals".split()
    command = [sys.executable, "-m", "applications.cli", "evaluate", FINISHED, "--out", file]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    subprocess.run([*command, *options], check=True, env=environment, capture_output=True)
    found = json.loads(file.read_text())
    asked = {"mirrored": True, "calibrate": True, "intervals": True}
    expected = evaluate(run, **asked)
    assert found["confusion_matrix"] == expected["confusion_matrix"]
    assert found["intervals"] == expected["intervals"]
    close = pytest.approx(expected["temperature"]["temperature"], rel=1e-3)
    assert found["temperature"]["temperature"] == close
    for row, other in zip(found["protocols"], expected["protocols"], strict=True):
        assert row["test_loss"] == pytest.approx(other["test_loss"], rel=1e-4)
