"""Folders of every version are read and resumed, and options they lack have defaults.

tests/fixtures/before holds a finished run, a run interrupted by Ctrl-C and a search interrupted by
Ctrl-C, all of LeNet-5 on the digits, without their event files, of the first days of 0.1.0;
tests/fixtures/versions those of each version, which tests/fixtures/make_version.py made.
"""

import json
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import yaml

import applications
import keras_archs
import tuning
from applications.options import OPTIONS

ROOT = Path(__file__).parents[2]
BEFORE = ROOT / "tests" / "fixtures" / "before"
VERSIONS = sorted((ROOT / "tests" / "fixtures" / "versions").iterdir())
ADDED_LATER = ("adapt", "freeze_until", "weight_decay", "shift")  # in an imagined older version


@pytest.fixture(params=[BEFORE, *VERSIONS], ids=lambda folder: folder.name)
def here(request, tmp_path, monkeypatch):
    shutil.copytree(request.param, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_version_has_its_folders():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[?v?(\d[\w.]*)", changelog, re.MULTILINE)
    wanted = {*released, keras_archs.__version__}
    assert {folder.name for folder in VERSIONS} == wanted, "tests/fixtures/make_version.py"


def test_its_weights_bring_their_preprocessing(here):
    file = here / "finished" / "model.keras"
    network = keras_archs.LeNet5((16, 16, 1), 10, alpha=0.25, weights=file)
    found = network.load_report.preprocessing
    (mean,), (std,) = found.mean, found.std
    saved = keras.saving.load_model(file, compile=False)
    scaled = keras.Model(saved.input, saved.get_layer("c1").input)
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    np.testing.assert_allclose(scaled(pixels), (pixels - mean) / std, rtol=1e-4, atol=1e-5)


def forget(file, names):
    """Take options out of a folder's record, as a version that did not have them left it."""
    if file.suffix == ".yaml":
        config = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump({k: v for k, v in config.items() if k not in names}))
    else:
        state = json.loads(file.read_text())
        state["options"] = {k: v for k, v in state["options"].items() if k not in names}
        file.write_text(json.dumps(state))


@pytest.mark.parametrize("forgotten", [(), ADDED_LATER])
def test_a_finished_run_is_evaluated_compared_and_left_alone(here, forgotten):
    forget(here / "finished" / "config.yaml", forgotten)
    run = applications.load("finished")
    assert set(run.config) == set(OPTIONS)
    assert applications.evaluate(run)["test_accuracy"] == run.metrics["test_accuracy"]
    table = applications.compare(["finished"], run_dir=".")
    assert list(table["test_accuracy"]) == [run.metrics["test_accuracy"]]
    before = (here / "finished" / "metrics.json").read_bytes()
    given = {**run.config, "run_dir": "finished", "resume": True, "verbose": 0}
    applications.train(**given)
    assert (here / "finished" / "metrics.json").read_bytes() == before


@pytest.mark.parametrize("forgotten", [pytest.param((), marks=pytest.mark.slow), ADDED_LATER])
def test_an_interrupted_run_is_finished(here, forgotten):
    config = yaml.safe_load((here / "cut" / "config.yaml").read_text())
    forget(here / "cut" / "config.yaml", forgotten)
    run = applications.train(**config, run_dir="cut", resume=True, verbose=0)
    assert list(run.history["epoch"]) == list(range(1, config["epochs"] + 1))
    assert {name: run.config[name] for name in config} == config


def test_an_option_that_differs_from_its_default_is_an_error_that_names_it(here):
    config = yaml.safe_load((here / "cut" / "config.yaml").read_text())
    forget(here / "cut" / "config.yaml", ADDED_LATER)
    message = "`shift` must be as in the run that is resumed, None. Received: shift=0.1"
    with pytest.raises(ValueError, match=message):
        applications.train(**{**config, "shift": 0.1}, run_dir="cut", resume=True, verbose=0)


def resumed_search():
    return applications.search(
        "lenet5",
        algorithm="random",
        trials=3,
        tune=("learning_rate",),
        budget=tuning.Budget(macs=60_000),
        **{"size": 16, "epochs": 1, "batch_size": 256, "seed": 3},
        run_dir="search",
        resume=True,
        verbose=0,
    )


@pytest.mark.parametrize("name", ["config.yaml", "labels.json", "metrics.json"])
def test_a_damaged_trial_of_a_search_is_said_before_others_are_trained(here, name):
    trials = set((here / "search").glob("trial-*"))
    file = here / "search" / "trial-0000" / name
    file.write_bytes(bytes(len(file.read_bytes())))  # as sectors that are lost
    with pytest.raises(ValueError, match=f"search/trial-0000/{name}"):
        resumed_search()
    assert set((here / "search").glob("trial-*")) == trials


@pytest.mark.slow
@pytest.mark.parametrize("forgotten", [(), ("adapt", "freeze_until", "retries", "objectives")])
def test_an_interrupted_search_is_finished(here, forgotten):
    done = pd.read_csv("search/trials.csv")
    forget(here / "search" / "search.json", forgotten)
    result = resumed_search()
    assert list(result.trials["status"]) == ["completed"] * 3
    first = result.trials.iloc[0]
    assert first["validation_accuracy"] == done["validation_accuracy"][0]
    assert first["attempts"] == 1
    assert result.best is not None and "test_accuracy" in result.best.metrics
