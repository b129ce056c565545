"""Files of a run that come back damaged are named in one line; what is whole is still of use."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from applications.cli.commands import app

FINISHED = Path(__file__).parents[1] / "fixtures" / "before" / "finished"
# What each command reads of a run; the rest of the folder may be as it likes.
READ = {
    "evaluate": ("config.yaml", "labels.json", "metrics.json", "model.keras", "predictions.npz"),
    "predict": ("config.yaml", "labels.json", "metrics.json", "model.keras"),
    "compare": (
        *("config.yaml", "labels.json", "metrics.json", "history.csv", "profile.csv"),
        "predictions.npz",
    ),
}
MAY_LACK = {"compare": ("history.csv", "profile.csv", "predictions.npz")}  # shown without


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("image.png")
    shutil.copytree(FINISHED, "run")
    return Path("run")


def call(command):
    images = ["image.png"] if command == "predict" else []
    return CliRunner().invoke(app, [command, "run", *images])


def damage(path, how):
    content = path.read_bytes()
    if how == "removed":
        path.unlink()
    else:
        path.write_bytes({"cut short": content[: len(content) // 2], "emptied": b""}[how])


@pytest.mark.parametrize(
    ("command", "name", "how"),
    [
        (command, name, how)
        for command, names in READ.items()
        for name in names
        for how in ("cut short", "emptied", "removed")
        if (name, how) != ("history.csv", "cut short")  # which is a shorter history
    ],
)
def test_a_damaged_file_is_named_in_one_line(command, name, how, run):
    damage(run / name, how)
    result = call(command)
    if how == "removed" and name in MAY_LACK.get(command, ()):
        assert result.exit_code == 0, result.stderr
        return
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert "run" in result.stderr


@pytest.mark.parametrize("name", ["model.keras", "predictions.npz"])
def test_one_byte_that_changed_is_seen(name, run):
    content = bytearray((run / name).read_bytes())
    content[len(content) // 2] ^= 1
    (run / name).write_bytes(content)
    result = call("evaluate")
    assert result.exit_code == 2, result.output
    assert f"run/{name}" in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.json", "[]", "must hold an object in JSON. Received: run/metrics.json"),
        ("metrics.json", "[" * 100_000, "must hold an object in JSON. Received: run/metrics.json"),
        ("labels.json", "{}", "must hold an array in JSON. Received: run/labels.json"),
        ("labels.json", '["\\ud800"', "Received: run/labels.json"),
        ("config.yaml", "arch: [" + "[" * 3000, "must be plain YAML. Received: run/config.yaml"),
        ("config.yaml", "arch: !!python/object:os.system x", "Received: run/config.yaml"),
        ("config.yaml", "lenet5", "must hold lines `option: value`. Received: run/config.yaml"),
        ("config.yaml", "arhc: lenet5", "Did you mean 'arch'"),
        ("config.yaml", "\0", "Received: run/config.yaml"),
        ("history.csv", "epoch,loss\n1,x\n", "a table of numbers. Received: run/history.csv"),
        ("profile.csv", "name,macs\nc,x\n", "a table of layers. Received: run/profile.csv"),
        ("predictions.npz", "PK", "must hold whole arrays. Received: run/predictions.npz"),
    ],
)
def test_other_content_is_named_too(name, content, message, run):
    (run / name).write_text(content)
    result = call("compare")
    assert result.exit_code == 2, result.output
    assert message in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("figure", ["macs", "params", "test_accuracy", "input_shape"])
def test_a_figure_that_is_missing_is_named(figure, run):
    metrics = json.loads((run / "metrics.json").read_text())
    metrics[figure[:-1] + "x"] = metrics.pop(figure)
    (run / "metrics.json").write_text(json.dumps(metrics))
    result = call("compare")
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


def test_predictions_of_other_arrays_are_refused(run):
    np.savez(run / "predictions.npz", ids=np.zeros(3))
    result = call("compare")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "it has no labels" in result.stderr
