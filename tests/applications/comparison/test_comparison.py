"""Comparing: what is trained, what is only read, and the table that comes out."""

import json

import pandas as pd
import pytest
import yaml

from applications.comparison.comparing import COLUMNS, Entry, compare, parse_archs
from applications.options import OPTIONS
from applications.runs import load
from applications.training import training

ACCURACY = {("lenet5", 0): 0.99, ("mobilenet", 0): 0.95, ("mobilenet", 1): 0.97}


def write_run(folder, **config):
    """The small files of a finished run."""
    config = {"alpha": 1.0, "rho": 1.0, "data": "digits", "seed": 0, **config}
    accuracy = ACCURACY.get((config["arch"], config["seed"]), 0.9)
    metrics = {
        "test_accuracy": accuracy,
        "macro_f1": accuracy - 0.01,
        "params": 61_706,
        "macs": 416_520,
        "latency_ms_p50": 0.5,
        "latency_ms_p95": 0.75,
        "train_seconds": 12.5,
        "input_shape": [32, 32, 1],
        "confusion_matrix": [[1, 0], [0, 1]],
    }
    folder.mkdir(parents=True)
    config = {option: config.get(option) for option in OPTIONS}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "labels.json").write_text(json.dumps(["0", "1"]))
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.fixture
def trainings(monkeypatch):
    """The options of every call of `train`, which writes a finished run and trains nothing."""

    def train(*, run_dir, resume, **options):
        assert resume
        calls.append(run_dir.name)
        return load(run_dir if run_dir.exists() else write_run(run_dir, **options))

    calls = []
    monkeypatch.setattr(training, "train", train)
    return calls


@pytest.mark.parametrize(
    ("archs", "entries"),
    [
        ("lenet5", [Entry("lenet5")]),
        ("LeNet5, ResNet20", [Entry("lenet5"), Entry("resnet20")]),
        ("mobilenet:alpha=0.5", [Entry("mobilenet", alpha=0.5)]),
        ("mobilenet:rho=0.75:alpha=.25", [Entry("mobilenet", alpha=0.25, rho=0.75)]),
        (["lenet5", "mobilenet:alpha=1"], [Entry("lenet5"), Entry("mobilenet", alpha=1.0)]),
    ],
)
def test_an_entry_is_a_name_and_its_own_multipliers(archs, entries):
    assert parse_archs(archs) == entries


@pytest.mark.parametrize(
    ("archs", "message"),
    [
        ("mobilnet", "Did you mean 'mobilenet'"),
        ("", "must be one of"),
        ("lenet5,", "must be one of"),
        ("mobilenet:alhpa=0.5", "Did you mean 'alpha'"),
        ("mobilenet:alpha", "NAME.:OPTION=VALUE"),
        ("mobilenet:alpha=0.5:alpha=1", "each once"),
        ("mobilenet:alpha=half", "`alpha` must be a number"),
        ("mobilenet:alpha=nan", "`alpha` must be > 0"),
        ("mobilenet:rho=2", r"`rho` must be in \(0, 1\]"),
    ],
)
def test_what_is_wrong_in_an_entry_is_said(archs, message):
    with pytest.raises(ValueError, match=message):
        parse_archs(archs)


def test_runs_are_read_and_sorted_by_accuracy(tmp_path, capsys):
    runs = [write_run(tmp_path / name, arch=name) for name in ("mobilenet", "lenet5")]
    table = compare(runs)
    assert tuple(table.columns) == COLUMNS
    assert table["arch"].tolist() == ["lenet5", "mobilenet"]
    best = table.iloc[0]
    assert best["run"] == str(tmp_path / "lenet5")
    assert best["input"] == "32x32x1"
    assert (best["params"], best["macs"], best["test_accuracy"]) == (61_706, 416_520, 0.99)
    output = capsys.readouterr().out
    assert output.index("lenet5") < output.index("mobilenet")
    assert output.splitlines()[-1].endswith(f"keras-archs dashboard {tmp_path}")


def test_a_network_that_predicts_one_class_is_remarked_on(tmp_path, capsys):
    write_run(tmp_path / "one", arch="lenet5")
    metrics = json.loads((tmp_path / "one" / "metrics.json").read_text())
    metrics |= {"confusion_matrix": [[5, 0], [2, 0]], "steps": 36}
    (tmp_path / "one" / "metrics.json").write_text(json.dumps(metrics))
    table = compare([tmp_path / "one", write_run(tmp_path / "two", arch="mobilenet")])
    remark = "it predicts 1 of 2 classes; 36 steps of training are too few to mean anything"
    assert table.set_index("arch")["remarks"].to_dict() == {"lenet5": remark, "mobilenet": ""}
    assert f"{tmp_path / 'one'}: {remark}" in capsys.readouterr().out
    assert "it predicts 1 of 2 classes" in (tmp_path / "report.html").read_text()


def test_the_csv_has_one_row_a_run(tmp_path):
    runs = [write_run(tmp_path / f"m{seed}", arch="mobilenet", seed=seed) for seed in (0, 1)]
    table = compare(runs, run_dir=tmp_path / "out")
    written = pd.read_csv(tmp_path / "out" / "comparison.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(written, table, check_dtype=False)
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"comparison.csv", "report.html"}


def test_a_pattern_that_names_the_last_comparison_too_is_understood(tmp_path):
    write_run(tmp_path / "a", arch="lenet5")
    first = compare(sorted(tmp_path.iterdir()))
    assert (tmp_path / "comparison.csv").is_file()
    assert compare(sorted(tmp_path.iterdir())).equals(first)


def test_architectures_are_trained_into_folders_named_after_them(tmp_path, trainings):
    archs = "lenet5,mobilenet:alpha=0.5,mobilenet:alpha=1.0:rho=0.5"
    table = compare(archs=archs, run_dir=tmp_path, seeds=(0, 1))
    assert trainings == [
        "lenet5-digits-s0",
        "lenet5-digits-s1",
        "mobilenet-a0.5-digits-s0",
        "mobilenet-a0.5-digits-s1",
        "mobilenet-r0.5-digits-s0",
        "mobilenet-r0.5-digits-s1",
    ]
    assert sorted(table["run"]) == sorted(str(tmp_path / name) for name in trainings)


def test_table_and_page_grow_with_each_finished_training(tmp_path, trainings, monkeypatch):
    def train(**arguments):
        table = tmp_path / "comparison.csv"
        rows.append(len(pd.read_csv(table)) if table.exists() else 0)
        pages.append(table.with_name("report.html").exists())
        return finish(**arguments)

    rows, pages, finish = [], [], training.train
    monkeypatch.setattr(training, "train", train)
    compare(archs="lenet5,mobilenet,resnet20", run_dir=tmp_path)
    assert rows == [0, 1, 2]
    assert pages == [False, True, True]


def test_options_of_train_reach_every_training(tmp_path, trainings):
    compare(archs="lenet5,mobilenet:alpha=0.25", run_dir=tmp_path, epochs=3, alpha=0.5)
    configs = [load(tmp_path / name).config for name in trainings]
    assert [(c["arch"], c["alpha"], c["epochs"]) for c in configs] == [
        ("lenet5", 0.5, 3),
        ("mobilenet", 0.25, 3),
    ]


def test_read_runs_and_trained_ones_share_a_table(tmp_path, trainings):
    other = write_run(tmp_path / "elsewhere" / "mine", arch="resnet20")
    table = compare([other], archs="lenet5", run_dir=tmp_path / "runs")
    assert set(table["arch"]) == {"resnet20", "lenet5"}
    assert (tmp_path / "runs" / "comparison.csv").exists()


def test_a_run_that_is_named_and_trained_is_one_row(tmp_path, trainings):
    run = write_run(tmp_path / "lenet5-digits-s0", arch="lenet5")
    assert len(compare([run], archs="lenet5", run_dir=tmp_path)) == 1


def test_seeds_are_one_line_with_mean_and_range(tmp_path, trainings, capsys):
    compare(archs="mobilenet,lenet5", run_dir=tmp_path, seeds=(0, 1))
    output = capsys.readouterr().out
    assert "mean (lowest..highest)" in output
    assert "96.00 (95.00..97.00)" in output
    assert output.count(" mobilenet ") == 1


def test_runs_that_differ_by_more_than_the_seed_stay_apart(tmp_path, capsys):
    compare([write_run(tmp_path / f"e{n}", arch="mobilenet", epochs=n) for n in (1, 2)])
    output = capsys.readouterr().out
    assert ".." not in output
    assert output.count(" mobilenet ") == 2


def test_different_data_are_a_warning(tmp_path, capsys):
    runs = [write_run(tmp_path / data, arch="lenet5", data=data) for data in ("digits", "mnist")]
    compare(runs)
    assert "different data: digits, mnist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "must name what to compare"),
        ({"archs": "lenet5,lenet5"}, "`archs` must be distinct. Received: lenet5 twice"),
        ({"archs": "mobilenet,mobilenet:alpha=1"}, "`archs` must be distinct"),
        ({"archs": "lenet5", "seeds": (0, 0)}, "`seeds` must be distinct. Received: 0 twice"),
        ({"archs": "lenet5", "seeds": ()}, "`seeds` must hold at least one"),
        ({"archs": "lenet5", "data": "digit"}, "digits"),
        ({"archs": "lenet5", "alpha": -1}, "`alpha` must be > 0"),
        ({"archs": "simpnet_300k,mobilenet", "size": 4}, "must be at least 8x8 for MobileNet"),
        ({"archs": "mobilenet,lenet5", "args": {"stem": "small"}}, "unexpected keyword argument"),
    ],
)
def test_bad_input_is_refused_before_any_training(tmp_path, trainings, arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        compare(run_dir=tmp_path / "runs", **arguments)
    assert not trainings
    assert not (tmp_path / "runs").exists()


def test_a_run_named_twice_is_refused(tmp_path):
    run = write_run(tmp_path / "a", arch="lenet5")
    with pytest.raises(ValueError, match="`runs` must be distinct"):
        compare([run, tmp_path / "a" / ".." / "a"])


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must be a run folder"):
        compare([tmp_path])
    with pytest.raises(FileNotFoundError):
        compare([tmp_path / "none"])


def test_the_csv_names_what_a_run_was_made_of(tmp_path):
    write_run(tmp_path / "a", arch="lenet5")
    write_run(tmp_path / "b", arch="mobilenet")
    with open(tmp_path / "b" / "config.yaml", "a") as file:
        file.write("parent: a\ngrow: {alpha: 1.0}\n")
    compare([tmp_path / "a", tmp_path / "b"])
    written = pd.read_csv(tmp_path / "comparison.csv", keep_default_na=False)
    assert written["parent"].tolist() == ["", "a"]
