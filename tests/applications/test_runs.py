"""Run folders: written whole or not at all, read back with checks."""

import json
import os
import subprocess
import sys

import pytest

from applications import runs
from applications.options import OPTIONS, default_of, plain

CONFIG = {name: None for name in OPTIONS} | {"arch": "lenet5", "seed": 3, "args": {}}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def finished(tmp_path):
    """The small files of a finished run."""
    path = runs.new_run_dir(CONFIG, "digits", tmp_path / "run")
    runs.write_json(path / "labels.json", ["cat", "dog"])
    runs.write_json(path / "metrics.json", {"test_accuracy": 0.5})
    return path


def test_write_atomic_takes_bytes_text_and_functions(tmp_path):
    for name, content in (("a", b"x"), ("b", "é"), ("c", lambda path: path.write_text("y"))):
        runs.write_atomic(tmp_path / name, content)
    assert [(tmp_path / name).read_bytes() for name in "abc"] == [b"x", "é".encode(), b"y"]
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")

    def fail(path):
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        runs.write_atomic(file, fail)
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_function_is_given_a_path_with_the_same_suffix(tmp_path):
    seen = []
    runs.write_atomic(tmp_path / "m.keras", lambda path: (seen.append(path), path.touch()))
    assert seen[0].suffix == ".keras" and seen[0].parent == tmp_path


def test_who_claims_a_folder_last_has_it(tmp_path):
    first = runs.Claim(tmp_path / "checkpoint")
    runs.write_atomic(tmp_path / "checkpoint" / "state", "first", first)
    second = runs.Claim(tmp_path / "checkpoint")
    with pytest.raises(ValueError, match="another one has taken over. Received: .*"):
        first.check()
    with pytest.raises(ValueError, match="another one has taken over"):
        runs.write_atomic(tmp_path / "checkpoint" / "state", "late", first)
    assert (tmp_path / "checkpoint" / "state").read_text() == "first"
    runs.write_atomic(tmp_path / "checkpoint" / "state", "second", second)
    assert (tmp_path / "checkpoint" / "state").read_text() == "second"
    assert sorted(os.listdir(tmp_path / "checkpoint")) == ["owner", "state"]


def test_what_a_killed_process_left_half_written_can_be_cleared_away(tmp_path):
    runs.write_atomic(tmp_path / "whole", "")
    (tmp_path / ".partial-01234567-state.npz").touch()
    runs.remove_partials(tmp_path)
    assert os.listdir(tmp_path) == ["whole"]


def test_options_come_back_from_yaml_as_they_went(tmp_path):
    config = plain({"arch": "lenet5", "learning_rate": 1e-5, "size": (32, 24), "args": {"k": "é"}})
    runs.write_config(tmp_path / "config.yaml", config)
    assert runs.read_config(tmp_path / "config.yaml") == config
    assert config["size"] == [32, 24] and config["learning_rate"] == 1e-5


def test_options_that_yaml_cannot_hold_are_refused():
    with pytest.raises(TypeError, match="`args` must be made of.*Received: args="):
        plain({"args": {"layer": object()}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arch: !!python/object/apply:os.system [true]", "must be plain YAML.*a tag in line 1"),
        ("arch: [", "must be plain YAML"),
        ("- arch", "must hold lines"),
        ("archh: lenet5", "Did you mean 'arch'.*Received: 'archh'"),
        ("run_dir: x", "must hold options of `train`"),
    ],
)
def test_a_config_that_is_not_one(tmp_path, text, message):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        runs.read_config(file)
    assert "\n" not in str(error.value)


def test_a_run_is_named_after_architecture_data_and_seed_and_numbered_where_taken(here):
    made = [runs.new_run_dir(CONFIG, "digits") for _ in range(3)]
    assert [str(path) for path in made] == [
        "runs/lenet5-digits-s3",
        "runs/lenet5-digits-s3-2",
        "runs/lenet5-digits-s3-3",
    ]
    assert runs.read_config(made[2] / "config.yaml") == CONFIG


def test_a_named_folder_that_exists_is_an_error(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(FileExistsError, match="`run_dir` must not exist.*Received: run_dir="):
        runs.check_new(tmp_path / "x")
    runs.check_new(tmp_path / "y")
    assert not (tmp_path / "y").exists()


def test_a_run_to_resume_is_found_only_with_its_own_options(tmp_path, finished):
    assert runs.find_run(finished, CONFIG)
    assert not runs.find_run(tmp_path / "new", CONFIG)
    with pytest.raises(ValueError, match="`seed` must be as in the run .* 3. Received: seed=4"):
        runs.find_run(finished, {**CONFIG, "seed": 4})


def test_what_a_kill_left_before_the_options_were_written_is_started_anew(tmp_path):
    path = tmp_path / "x"
    path.mkdir()
    (path / ".partial-config.yaml").touch()
    assert not runs.find_run(path, CONFIG)
    assert runs.new_run_dir(CONFIG, "digits", path) == path
    assert os.listdir(path) == ["config.yaml"]


def test_a_folder_of_something_else_is_not_resumed(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(FileExistsError, match="must be a run folder or new"):
        runs.find_run(tmp_path, CONFIG)


def test_load_reads_a_finished_run(finished):
    run = runs.load(finished)
    set_ = {name: value for name, value in CONFIG.items() if value is not None}
    config = {name: default_of(name) for name in OPTIONS} | set_
    assert (run.path, run.config, run.labels) == (finished, config, ("cat", "dog"))
    assert run.metrics == {"test_accuracy": 0.5}


def test_an_untested_trial_says_that_it_has_neither_test_nor_model(finished):
    runs.load(finished).check_tested()
    runs.write_json(finished / "metrics.json", {"validation_accuracy": 0.5})
    run = runs.load(finished)
    with pytest.raises(ValueError, match="`run` must have been tested.*Received: run="):
        run.check_tested()
    with pytest.raises(ValueError, match="`run` must hold its model.*train --config RUN/config"):
        run.predict("image.png")


def test_load_refuses_what_is_no_finished_run(tmp_path, finished):
    with pytest.raises(FileNotFoundError, match="`run` must be an existing run folder"):
        runs.load(tmp_path / "none")
    with pytest.raises(ValueError, match="must be a run folder.*no config.yaml"):
        runs.load(tmp_path)
    (finished / "metrics.json").unlink()
    with pytest.raises(ValueError, match="`run` must be finished"):
        runs.load(finished)


def test_json_is_readable(tmp_path):
    runs.write_json(tmp_path / "a.json", {"ä": [1]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "ä" in text and json.loads(text) == {"ä": [1]}


def test_runs_are_read_without_keras(finished):
    code = (
        "import sys; from applications.runs import load; load(sys.argv[1]); "
        "sys.exit('keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(finished)]).returncode == 0


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({}, []),
        ({"confusion_matrix": [[3, 1], [0, 4]], "steps": 480}, []),
        ({"confusion_matrix": [[4, 0], [4, 0]]}, ["it predicts 1 of 2 classes"]),
        ({"steps": 36}, ["36 steps of training are too few to mean anything"]),
    ],
)
def test_figures_that_mislead_are_remarked_on(metrics, said):
    assert runs.remarks(metrics, 2) == said


def test_a_longer_training_than_the_finished_one_is_shown_the_way(finished):
    with pytest.raises(ValueError, match="A new run with `weights` .*run/model.keras trains a fin"):
        runs.find_run(finished, {**CONFIG, "epochs": 9})
