"""Files of a run that come back damaged are named in one line; what is whole is still of use."""

import io
import json
import os
import shutil
import zipfile
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
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
        ("profile.csv", "nome,type,params,macs,activation_bytes\nc,x,1,1,1\n", "a table of layers"),
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


def refused(command, message):
    """The command ends with one line that has the message, and writes nothing."""
    before = sorted(Path().rglob("*"))
    result = call(command)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert message in result.stderr, result.stderr
    assert sorted(Path().rglob("*")) == before


# ------------------------------------------------------------------------ what is no file at all


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a link to itself"])
@pytest.mark.parametrize(
    ("command", "name"),
    [(command, name) for command, names in READ.items() for name in names],
)
def test_what_stands_in_the_place_of_a_file_is_not_waited_for(command, name, kind, run):
    (run / name).unlink()
    if kind == "a folder":
        (run / name).mkdir()
    elif kind == "a pipe":
        os.mkfifo(run / name)
    else:
        (run / name).symlink_to(name)
    if kind == "a link to itself" and name in MAY_LACK.get(command, ()):
        return  # as where there is none
    refused(command, "run")


# ------------------------------------------------------------------------------ values of a kind

METRICS = {
    "macs": [float("nan"), -1, "many", None, [1], 10**400],
    "params": [1e308, None, "x", True],
    "test_accuracy": [float("nan"), "high", None],
    "macro_f1": [None, {}],
    "latency_ms_p50": [None, "fast", float("inf")],
    "train_seconds": [None, [], -5],
    "input_shape": [5, [], "8x8", [16, 16, 0], [16.5, 16, 1]],
    "confusion_matrix": [[], 3, [[1]], [[1] * 9] * 10, [["a"] * 10] * 10, [[-1] * 10] * 10],
    "steps": ["few", None],
    "epochs": ["x", -1],
}
LABELS = [[], ["one"], [["0"]] * 10, list(range(10)), ["0"] * 10, [None] * 10, [{}] * 10]
CONFIG = {
    "arch": [3, None, "nonet"],
    "data": [[1], {}, 3, "a\0b"],
    "seed": ["x", -1, 1.5],
    "alpha": ["x", float("nan"), []],
    "rho": ["x", {}, 2.0],
    "size": ["big", [], -1],
    "resize": ["no", []],
    "args": ["x", []],
    "epochs": ["x", 0],
    "learning_rate": [float("inf"), "fast"],
}
PREDICTIONS = {
    "labels": [
        lambda x: x[:5],
        lambda x: x + 50,
        lambda x: x - 50,
        lambda x: x + 0.5,
        lambda x: x.astype(bool),
        lambda x: x.astype(np.uint64) + 2**63,
    ],
    "probabilities": [
        lambda x: x[:5],
        lambda x: x[:, :3],
        lambda x: x[:, 0],
        lambda x: x * np.nan,
        lambda x: x.astype(str),
        lambda x: x.astype(complex),
    ],
    "ids": [lambda x: x[:3], lambda x: np.arange(len(x)), lambda x: x[:, None]],
}


def each(values):
    return [(name, value) for name, several in values.items() for value in several]


def replace_json(path, change):
    value = json.loads(path.read_text())
    path.write_text(json.dumps(change(value)))


@pytest.mark.parametrize(("name", "value"), each(METRICS))
def test_a_figure_of_another_kind_is_named_before_anything_is_written(name, value, run):
    replace_json(run / "metrics.json", lambda metrics: {**metrics, name: value})
    refused("compare", f"`{name}`")
    refused("evaluate", "run/metrics.json")


@pytest.mark.parametrize("labels", LABELS)
def test_labels_are_distinct_texts(labels, run):
    replace_json(run / "labels.json", lambda _: labels)
    refused("predict", "run/labels.json")


def test_labels_are_as_many_as_the_network_tells_apart(run):
    replace_json(run / "labels.json", lambda labels: labels[:5])
    replace_json(run / "metrics.json", lambda m: {**m, "confusion_matrix": [[0] * 5] * 5})
    refused("predict", "model.keras must take images of one size and tell the 5 classes")


@pytest.mark.parametrize(("name", "value"), each(CONFIG))
def test_an_option_of_another_kind_is_named(name, value, run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**config, name: value}))
    refused("compare", "run/config.yaml")


@pytest.mark.parametrize(("name", "change"), each(PREDICTIONS))
def test_predictions_that_do_not_fit_the_run_are_named(name, change, run):
    with np.load(run / "predictions.npz") as file:
        arrays = {**file, name: change(file[name])}
    np.savez(run / "predictions.npz", **arrays)
    refused("compare", "run/predictions.npz")


@pytest.mark.parametrize("text", ["layer", '""', "layer,Conv2D,shape,5,5,0,0,s"])
def test_layers_that_are_none_are_named(text, run):
    head = "name,type,output_shape,params,macs,ops,activation_bytes,stage"
    (run / "profile.csv").write_text(f"{head}\n{text}\n")
    refused("compare", "run/profile.csv")


BOMB = "".join(f"  {b}: &{b} [*{a}, *{a}]\n" for a, b in pairwise("abcdefghijklmnopqrs"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"args:\n  a: &a [x]\n{BOMB}", "100,000 values"),
        ("args: &a\n  b: *a\n", "100,000 values"),
        ("arch: lenet5\narch: vgg16\n", "the key 'arch' comes twice in line 2"),
        ("data: 2020-99-99\n", "month must be in 1..12"),
        ("? [arch]\n: lenet5\n", "unhashable key"),
        ("arch: lenet5\n---\narch: vgg16\n", "another document"),
    ],
)
def test_yaml_is_plain(text, message, run):
    (run / "config.yaml").write_text(text)
    refused("compare", message)


# ------------------------------------------------------------------------------------- the model


def edit_model(path, config=None, weights=None):
    with zipfile.ZipFile(path) as old:
        files = {name: old.read(name) for name in old.namelist()}
    if config:
        files["config.json"] = json.dumps(config(json.loads(files["config.json"]))).encode()
    if weights:
        content = io.BytesIO(files["model.weights.h5"])
        with h5py.File(content, "r+") as file:
            names = []
            file.visit(names.append)
            weights(file, [name for name in names if isinstance(file[name], h5py.Dataset)])
        files["model.weights.h5"] = content.getvalue()
    with zipfile.ZipFile(path, "w") as new:
        for name, content in files.items():
            new.writestr(name, content)


def not_numbers(file, names):
    for name in names:
        file[name][...] = np.nan


def without_one(file, names):
    del file[names[0]]


def with_an_external_link(file, names):
    del file[names[0]]
    file[names[0]] = h5py.ExternalLink("/etc/passwd", "/x")


EMPTY = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": []}}


def any_sides(config):
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, None, None, 1]
    return config


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"weights": not_numbers}, "probabilities must be finite"),
        ({"weights": without_one}, "Received: run/model.keras"),
        ({"weights": with_an_external_link}, "Received: run/model.keras"),
        ({"config": lambda _: EMPTY}, "must hold a model with inputs. Received: run/model.keras"),
        ({"config": any_sides}, "model.keras must take images of one size"),
        ({"config": lambda _: [1]}, "Received: run/model.keras"),
    ],
)
def test_a_model_that_does_not_fit_the_run_is_named_in_one_line(edit, message, run):
    edit_model(run / "model.keras", **edit)
    refused("predict", message)
