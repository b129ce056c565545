"""Searches as users run them: real trials on real digits, in processes of their own."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from keras_tuner import HyperParameters
from processes import alive, children, wait_for
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from typer.testing import CliRunner

import applications
import keras_archs
import tuning
from applications.cli.commands import app
from applications.options import TUNED, Options, Search
from applications.searching import pool as workers
from applications.searching import studies as searching
from applications.training.checkpoints import checkpoints, last_checkpoint

COMMAND = [sys.executable, "-m", "applications.cli"]
LEADING = (
    *(
        "trial",
        "status",
        "reason",
        "attempts",
        "validation_accuracy",
        "validation_macro_f1",
        "validation_loss",
        "params",
        "macs",
        "peak_activation_bytes",
        "weight_bytes",
    ),
    *("latency_ms_p50", "latency_ms_p95", "epochs", "train_seconds", "test_accuracy"),
    *("macro_f1", "remarks", "run"),
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def all_files(folder):
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


# ------------------------------------------------------------------------ one search from its end

SEARCH = [
    *("search", "--arch", "lenet5", "--trials", "2", "--algorithm", "random", "--epochs", "3"),
    *("--tune", "learning_rate,augmentation", "--budget-macs", "300000", "--keep", "1"),
    *("--run-dir", "found"),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The folder of a finished search, and what it printed."""
    folder = tmp_path_factory.mktemp("search")
    done = subprocess.run([*COMMAND, *SEARCH], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture
def searched(found, monkeypatch):
    """The folder of the search; paths in its table are relative to the working directory."""
    monkeypatch.chdir(found[0])
    return Path("found")


def table(folder):
    return pd.read_csv(folder / "trials.csv", keep_default_na=False, na_values=[""])


def winner(folder):
    done = table(folder)
    return done.loc[done["test_accuracy"].notna()].iloc[0]


def others(folder):
    done = table(folder)
    return [Path(run) for run in done.loc[done["test_accuracy"].isna(), "run"]]


@pytest.mark.slow
def test_the_table_has_the_columns_that_are_documented(searched):
    columns = tuple(table(searched))
    parameters = [name for name in columns if name.startswith("hp/")]
    assert columns == (
        *(*LEADING, "arch", "alpha", "rho", "recipe", "learning_rate", "weight_decay", "shift"),
        *("seed", *parameters),
    )
    tuned = {"hp/alpha", "hp/rho", "hp/dropout", "hp/learning_rate", "hp/shift"}
    assert set(parameters) == tuned
    documented = set(re.findall(r"`([a-z_0-9]+)`", tuning.search.__doc__))
    assert set(LEADING) <= documented


@pytest.mark.slow
def test_the_table_tells_of_every_trial_what_its_run_says(searched):
    done = table(searched)
    assert list(done["trial"]) == [0, 1] and set(done["status"]) == {"completed"}
    assert done["reason"].isna().all() and list(done["attempts"]) == [1, 1]
    for row in done.to_dict("records"):
        run = applications.load(row["run"])
        for name in (
            "validation_accuracy",
            "validation_macro_f1",
            "validation_loss",
            "params",
            "macs",
            "latency_ms_p50",
            "epochs",
        ):
            assert row[name] == pytest.approx(run.metrics[name])
        for name in ("arch", "alpha", "rho", "recipe", "learning_rate", "shift", "seed"):
            assert row[name] == run.config[name]
        assert (row["hp/learning_rate"], row["hp/shift"]) == (row["learning_rate"], row["shift"])
    assert done["learning_rate"].nunique() == 2


@pytest.mark.slow
def test_every_trial_fits_the_budget(searched):
    assert (table(searched)["macs"] <= 300_000).all()


@pytest.mark.slow
def test_only_the_winner_is_tested_and_has_a_model(searched):
    done = table(searched)
    assert done["test_accuracy"].notna().sum() == 1
    best = winner(searched)
    assert best["validation_accuracy"] == done["validation_accuracy"].max()
    run = applications.load(best["run"])
    for name in ("test_accuracy", "macro_f1"):
        assert run.metrics[name] == best[name] and done[name].notna().sum() == 1
    assert {"model.keras", "predictions.npz"} < set(os.listdir(run.path))
    for folder in others(searched):
        names = set(os.listdir(folder))
        assert not {"model.keras", "predictions.npz", "checkpoint"} & names
        assert {"config.yaml", "metrics.json", "history.csv", "profile.csv", "card.md"} < names
        metrics = applications.load(folder).metrics
        assert not [name for name in metrics if name.startswith(("test", "confusion", "macro"))]
        assert "trial of a search" in (folder / "card.md").read_text()


@pytest.mark.slow
def test_every_trial_has_curves_and_a_row_of_hyperparameters(searched):
    for row in table(searched).to_dict("records"):
        board = EventAccumulator(row["run"])
        board.Reload()
        steps = [event.step for event in board.Scalars("accuracy/validation")]
        assert steps == [1, 2, 3]
        for name in ("params", "macs", "validation_accuracy", "latency_ms_p50"):
            (event,) = board.Scalars(f"final/{name}")
            assert event.value == pytest.approx(row[name])
        start = board.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
        shown = metadata.parse_session_start_info_plugin_data(start).hparams
        assert shown["alpha"].number_value == pytest.approx(row["alpha"])
        assert shown["learning_rate"].number_value == pytest.approx(row["learning_rate"])
        assert "args" not in shown


@pytest.mark.slow
def test_it_says_how_it_goes_and_what_was_best(found):
    folder, done = found
    lines = done.stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"trial {n} of 2" for n in (1, 2)]
    assert all("best " in line and "ETA " in line for line in lines)
    best = winner(folder / "found")
    assert done.stdout.startswith(
        f"best: {best['run']}, {100 * best['test_accuracy']:.2f} % test accuracy, macro F1 "
        f"{100 * best['macro_f1']:.2f} % ({100 * best['validation_accuracy']:.2f} % validation"
        f"; {best['remarks']}), "
    )
    assert "steps of training are too few" in best["remarks"]
    assert "keras-archs train --config found/best.yaml\n" in done.stdout
    assert "no further network" not in done.stdout


@pytest.mark.slow
def test_the_printed_call_builds_the_winner(found):
    folder, done = found
    call = done.stdout[done.stdout.index("keras_archs.LeNet5(") :].split("\n)")[0] + ")"
    model = eval(call, {"keras_archs": keras_archs})  # noqa: S307  our own text
    assert model.count_params() == winner(folder / "found")["params"]


@pytest.mark.slow
def test_the_best_config_rebuilds_the_winner_bit_for_bit(searched, tmp_path):
    best = applications.load(winner(searched)["run"])
    line = [*COMMAND, "train", "--config", "found/best.yaml", "--run-dir", str(tmp_path / "again")]
    subprocess.run(line, check=True, capture_output=True)
    again = applications.load(tmp_path / "again")
    assert again.config == best.config
    for ours, theirs in zip(again.model.get_weights(), best.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert again.metrics["test_accuracy"] == best.metrics["test_accuracy"]
    assert again.metrics["confusion_matrix"] == best.metrics["confusion_matrix"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("compare {run}", "must have been tested"),
        ("evaluate {run}", "must have been tested"),
        ("evaluate {run} --data mnist.npz", "must hold its model"),
        ("predict {run} image.png", "must hold its model"),
    ],
)
def test_what_needs_a_model_or_a_test_says_that_a_trial_has_none(searched, line, part, tmp_path):
    path = tmp_path / "mnist.npz"
    images, labels = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 10
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    words = line.format(run=others(searched)[0]).replace("mnist.npz", str(path)).split()
    result = CliRunner().invoke(app, words)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith("error: `run` must") and part in result.stderr


@pytest.mark.slow
def test_a_finished_search_is_left_alone(found):
    folder, first = found
    before = all_files(folder)
    done = subprocess.run(
        [*COMMAND, *SEARCH, "--resume"], cwd=folder, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, first.stdout, "")
    after = all_files(folder)
    kept = {path: state for path, state in before.items() if "trial-" in str(path)}
    assert {path: after[path] for path in kept} == kept and set(after) == set(before)


@pytest.mark.slow
def test_a_search_that_is_named_again_needs_resume(searched):
    result = CliRunner().invoke(app, SEARCH)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: `run_dir` must not exist (`resume` continues")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "value", "part"),
    [
        (
            "--epochs",
            "4",
            "`epochs` must be as in the search that is resumed, 3. Received: epochs=",
        ),
        ("--algorithm", "grid", "`algorithm` must be as in the search that is resumed, 'random'"),
        ("--budget-macs", "200000", "`budget_macs` must be as in the search that is resumed"),
        ("--tune", "weight_decay", "`tune` must be as in the search that is resumed"),
        ("--seed", "1", "`seed` must be as in the search that is resumed, 0. Received: seed=1"),
    ],
)
def test_a_search_is_resumed_with_its_own_options_alone(searched, option, value, part):
    before = all_files(".")
    result = CliRunner().invoke(app, [*SEARCH, "--resume", option, value])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ") and part in result.stderr
    assert all_files(".") == before


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"algorithm": "genetic"}, "`algorithm` must be one of 'random', .*algorithm='genetic'"),
        (
            {"engine": "spark"},
            "`engine` must be one of 'local', 'optuna', 'ray'. Received: engine='spark'",
        ),
        ({"trials": 0}, r"`trials` must be an integer in \[1, 1000000\]. Received: trials=0"),
        ({"trials": 2.5}, r"`trials` must be an integer in \[1, 1000000\]. Received: trials=2.5"),
        ({"workers": 0}, r"`workers` must be an integer in \[1, 1024\]"),
        ({"keep": 0}, "`keep` must be an integer >= 1"),
        ({"retries": -1}, "`retries` must be an integer >= 0"),
        ({"seed": -1}, r"`seed` must be an integer in \[0, 4294967295\]"),
        ({"tune": ("learning_rat",)}, "`tune` must hold.*Did you mean 'learning_rate'"),
        ({"tune": ("recipe", "recipe")}, "`tune` must name each once"),
        ({"tune": ("stochastic_depth",)}, "`tune` must not hold stochastic_depth .*lenet5"),
        ({"tune": ("stochastic_depth",), "space": "highway19"}, "no residual branches.*highway19"),
        (
            {"tune": ("progressive",)},
            "`tune` must not hold progressive .*of one size alone.*lenet5",
        ),
        ({"tune": ("progressive",), "space": "resnet18", "size": 8}, "`tune` must not hold prog"),
        ({"objectives": ("speed",)}, "`objectives` must hold some of accuracy, macs"),
        ({"objectives": ("accuracy", "macs")}, "`objectives` must be accuracy with the engine"),
        ({"storage": "sqlite:///x.db"}, "`storage` must be given with the engine 'optuna'"),
        ({"engine": "optuna"}, "`storage` must be given .* no storage"),
        ({"isolate": "beauty", "space": "simpnet"}, "'beauty'"),
        ({"isolate": "pooling", "space": "simpnet", "seeds": ()}, "`seeds` must hold at least one"),
        ({"space": "lenet"}, "Did you mean 'lenet5'"),
        ({"data": "digit"}, "Did you mean 'digits'"),
        ({"budget": tuning.Budget(params=10)}, "`budget` must allow at least .* parameters"),
        ({"epochs": 0}, r"`epochs` must be an integer in \[1, 1000000\]"),
        ({"weight_decay": -1}, "`weight_decay` must be >= 0. Received: weight_decay=-1"),
        ({"run_dir": "taken"}, "`run_dir` must not exist"),
        ({"run_dir": "taken", "resume": True}, "must be the folder of a search or new"),
    ],
    ids=lambda value: None if isinstance(value, str) else ",".join(value),
)
def test_wrong_arguments_leave_nothing_behind(here, options, message):
    Path("taken").mkdir()
    Path("taken", "thesis.txt").touch()
    before = sorted(here.rglob("*"))
    given = {"space": "lenet5", "data": "digits", **options}
    with pytest.raises((ValueError, FileExistsError), match=message) as error:
        searching.search(**given)
    assert "\n" not in str(error.value)
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("space", "options"),
    [("lenet5", {"isolate": "pooling"}), ("lenet5", {"principles": ("pooling",)})],
)
def test_principles_are_of_the_space_that_has_them(here, space, options):
    with pytest.raises(ValueError, match="`(isolate|principles)` .*simpnet"):
        searching.search(space, **options)


# ----------------------------------------------------------------------------------- failing trials


def diverging(hp, *, input_shape, classes, budget=None):
    """LeNet-5 of three widths; `args` of the last one are not LeNet-5's."""
    alpha = hp.Choice("alpha", [0.25, 0.5, 0.75], default=0.25)
    return {"alpha": alpha} if alpha != 0.5 else {"alpha": alpha, "variant": "1989"}


diverging.arch = "lenet5"


@pytest.mark.slow
def test_a_trial_that_cannot_be_trained_is_marked_and_the_search_goes_on(here, digits, capfd):
    result = searching.search(
        diverging, digits, algorithm="grid", trials=3, epochs=1, size=16, run_dir="s", retries=1
    )
    done = result.trials.set_index("alpha")
    assert dict(done["status"]) == {0.25: "completed", 0.5: "failed", 0.75: "completed"}
    assert "variant='1989'" in done["reason"][0.5] and "\n" not in done["reason"][0.5]
    assert done["attempts"][0.5] == 2 and done["attempts"][0.25] == 1
    assert result.best.config["alpha"] in (0.25, 0.75)
    lines = capfd.readouterr().err.splitlines()
    failed = [line for line in lines if " failed: " in line]
    assert len(failed) == 2 and failed[0].endswith("(will be tried again)")
    assert not children(os.getpid())


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_its_trial_alone(here, digits):
    options = {"epochs": 9, "size": 16, "verbose": 0, "retries": 0, "recipe": "resnet20"}
    with pytest.raises(ValueError, match="no trial of .*the loss must stay finite"):
        searching.search("lenet5", digits, trials=1, learning_rate=1e6, weight_decay=1e6, **options)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_tried_again_and_the_reason_says_so(here, digits, monkeypatch):
    """SIGKILL of the trial's process alone, as the kernel does it when memory runs out."""
    started, notes = workers.Workers.start, []

    def start(self, tag, job):
        started(self, tag, job)
        if tag != "test" and not notes:
            (process,) = self._at.values()
            notes.append("killed")
            process._process.send_signal(signal.SIGKILL)

    monkeypatch.setattr(workers.Workers, "start", start)
    reasons = []
    failed = searching._Search._failed
    monkeypatch.setattr(
        searching._Search, "_failed", lambda *args: (reasons.append(args[-1]), failed(*args))
    )
    result = searching.search(
        "lenet5", digits, algorithm="random", trials=2, epochs=1, size=16, run_dir="s", verbose=0
    )
    assert reasons == ["killed by SIGKILL (out of memory?)"]
    assert list(result.trials["status"]) == ["completed", "completed"]
    assert list(result.trials["attempts"]) == [2, 1]


# -------------------------------------------------------------------------------------- isolation


@pytest.mark.slow
def test_isolation_compares_the_settings_of_one_principle(here, digits, capfd):
    result = searching.search(
        "simpnet",
        digits,
        isolate="homogeneous_groups",
        seeds=(0, 1),
        budget=tuning.Budget(params=6_000),
        epochs=1,
        size=16,
        run_dir="s",
    )
    effect = pd.read_csv("s/isolation.csv")
    assert list(effect) == [
        *("principle", "setting", "seeds", "mean", "macro_f1", "min", "max", "std"),
        *("params", "macs"),
    ]
    assert set(effect["principle"]) == {"homogeneous_groups"} and (effect["seeds"] == 2).all()
    labels = [label for label, _ in tuning.settings("homogeneous_groups", input_shape=(16, 16, 1))]
    assert list(effect["setting"]) == labels and len(labels) > 1
    trials = result.trials
    assert len(trials) == 2 * len(labels) and set(trials["seed"]) == {0, 1}
    for row in effect.to_dict("records"):
        scores = trials.loc[trials["hp/setting"] == row["setting"], "validation_accuracy"]
        assert row["mean"] == pytest.approx(scores.mean())
        f1 = trials.loc[trials["hp/setting"] == row["setting"], "validation_macro_f1"]
        assert row["macro_f1"] == pytest.approx(f1.mean())
        assert (row["min"], row["max"]) == (scores.min(), scores.max())
        assert row["std"] == pytest.approx(scores.std())
    assert trials["params"].between(0.97 * 6_000, 6_000).all()  # as `tuning.space` promises
    shown = capfd.readouterr().out
    assert all(label in shown for label in labels) and "no further network" not in shown


# ----------------------------------------------------------------------------------------- options


@pytest.mark.slow
def test_hyperband_promotes_within_one_run_folder(here, digits):
    result = searching.search(
        "lenet5", digits, algorithm="hyperband", trials=4, epochs=4, size=16, run_dir="s", verbose=0
    )
    done = result.trials
    assert len(done) == 4 and set(done["status"]) == {"completed"}
    assert done["epochs"].max() == 4 and done["epochs"].min() < 4
    assert result.best.metrics["epochs"] == 4
    for run, epochs in zip(done["run"], done["epochs"], strict=True):
        assert list(applications.load(run).history["epoch"]) == list(range(1, epochs + 1))
        assert not Path(run, "checkpoint").exists()


@pytest.mark.slow
def test_asha_for_a_microcontroller_goes_on_from_its_checkpoints_after_a_kill(
    here, digits, monkeypatch
):
    budget = tuning.Budget(peak_activation_bytes=1_500, weight_bytes=12_000, dtype="int8")
    options = {"algorithm": "asha", "budget": budget, "trials": 3, "epochs": 3, "size": 16}
    options |= {"data": digits, "run_dir": "s", "verbose": 0}
    completed = searching._Search._completed

    def dies_at_the_third(self, job, metrics):
        if job.number == 2:
            raise KeyboardInterrupt
        completed(self, job, metrics)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(searching._Search, "_completed", dies_at_the_third)
        searching.search("lenet5", **options)
    result = searching.search("lenet5", **options, resume=True)
    done = result.trials
    assert sorted(zip(done["rung"], done["epochs"], strict=True)) == [(0, 1), (0, 1), (1, 3)]
    assert set(done["status"]) == {"completed"}
    assert list(result.best.history["epoch"]) == [1, 2, 3] and result.best.metrics["epochs"] == 3
    for row in done.to_dict("records"):
        config = applications.load(row["run"]).config
        found = keras_archs.deployment(
            "lenet5", input_shape=(16, 16, 1), alpha=config["alpha"], rho=config["rho"]
        )
        assert row["peak_activation_bytes"] == found.peak_activation_bytes <= 1_500
        assert row["weight_bytes"] == found.weight_bytes <= 12_000
    recorded = json.loads(Path("s", "search.json").read_text())["options"]
    assert (recorded["budget_sram"], recorded["budget_flash"]) == (1_500, 12_000)
    assert recorded["budget_dtype"] == "int8"
    options["budget"] = tuning.Budget(weight_bytes=12_000, dtype="int8")
    with pytest.raises(ValueError, match="`budget_sram` must be as in the search"):
        searching.search("lenet5", **options, resume=True)


@pytest.mark.slow
def test_asha_of_a_study_goes_on_from_its_checkpoints_with_another_worker(
    here, digits, monkeypatch
):
    options = {"algorithm": "asha", "trials": 3, "epochs": 3, "size": 16, "data": digits}
    options |= {"engine": "optuna", "storage": "sqlite:///s.db", "run_dir": "s", "verbose": 0}
    message = searching._Search._message

    def dies_at_the_promotion(self, job):
        if job.epochs == 3:
            raise KeyboardInterrupt
        return message(self, job)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(searching._Search, "_message", dies_at_the_promotion)
        searching.search("lenet5", **options)
    folders = sorted(Path("s").glob("trial-*/checkpoint"))
    stopped = [last_checkpoint(folder, or_anew=False) for folder in folders]
    assert [len(each.progress.history) for each in stopped] == [1, 1, 1]
    result = searching.search("lenet5", **options)
    done = result.trials
    assert sorted(zip(done["rung"], done["epochs"], strict=True)) == [(0, 1), (0, 1), (1, 3)]
    assert set(done["status"]) == {"completed"}
    history = result.best.history.to_dict("records")
    promoted = stopped[int(done["trial"][done["epochs"].idxmax()])].progress.history
    assert len(history) == 3 and history[:1] == promoted, "its first epoch is that of before"
    assert not list(Path("s").glob("trial-*/checkpoint"))


def test_what_is_tuned_begins_at_the_recipe_and_has_rates_for_each_optimizer(digits):
    asked = Search(space="resnet20", tune=("learning_rate", *TUNED), algorithm="random")
    plan = searching._SearchPlan(asked, {"data": digits, "mixup": 0.3})
    first = plan(HyperParameters())
    assert first["mixup"] == 0.3 and first["optimizer"] == "adamw"
    assert first["learning_rate"] == pytest.approx(3e-3)
    assert {name: first[name] for name in ("cutmix", "averaging", "progressive")} == {
        "cutmix": 0.0,
        "averaging": 0.0,
        "progressive": 1.0,
    }
    names = {hp.name for hp in plan.hyperparameters().space}
    rates = {f"learning_rate_{name}" for name in TUNED["optimizer"]}
    assert names >= {*TUNED, *rates} and "learning_rate" not in names
    hp = HyperParameters()
    hp.values["optimizer"] = "nesterov"
    config = plan(hp)
    assert (config["optimizer"], config["learning_rate"]) == ("nesterov", pytest.approx(0.05))
    Options.made_of(config)


@pytest.mark.slow
def test_tuned_options_reach_the_trainings_within_their_ranges(here, digits):
    tune = ("learning_rate", "weight_decay", "augmentation", "recipe")
    result = searching.search(
        *("lenet5", digits),
        **{"algorithm": "random", "trials": 3, "epochs": 1, "size": 32, "run_dir": "s"},
        **{"tune": tune, "workers": 2, "learning_rate": 1e-3, "verbose": 0},
    )
    configs = [applications.load(run).config for run in result.trials["run"]]
    assert configs[0]["learning_rate"] == 1e-3 and configs[0]["recipe"] == "default"
    for name in ("learning_rate", "weight_decay", "shift"):
        assert len({config[name] for config in configs}) > 1
    assert all(1e-3 / 8 <= config["learning_rate"] <= 8e-3 for config in configs)
    assert all(0 <= config["shift"] <= 0.2 for config in configs)


@pytest.mark.slow
def test_two_workers_find_what_one_does(here, digits):
    """Random proposals do not depend on scores; each trial has threads of its own."""
    options = {"algorithm": "random", "trials": 3, "epochs": 1, "size": 16, "verbose": 0}
    one, two = (
        searching.search("lenet5", digits, run_dir=f"s{n}", workers=n, threads=1, **options)
        for n in (1, 2)
    )
    for name in ("trial", "status", "alpha", "rho", "validation_accuracy", "hp/dropout"):
        assert list(one.trials[name]) == list(two.trials[name])
    assert not children(os.getpid())


@pytest.mark.slow
def test_the_best_k_keep_their_models(here, digits):
    result = searching.search(
        *("lenet5", digits),
        **{"algorithm": "random", "trials": 3, "epochs": 1, "size": 16, "run_dir": "s"},
        **{"keep": 2, "verbose": 0},
    )
    ranked = result.trials.sort_values("validation_accuracy", ascending=False)
    have = [Path(run, "model.keras").exists() for run in ranked["run"]]
    assert sum(have) == 2 and not have[2]


@pytest.mark.slow
def test_silence(here, digits, capfd):
    options = {"algorithm": "random", "trials": 1, "epochs": 1, "size": 16, "verbose": 0}
    searching.search("lenet5", digits, **options)
    assert capfd.readouterr() == ("", "")
    assert Path("runs/search-lenet5-few-s0/best.yaml").exists()


# -------------------------------------------------------------------------------------- interrupted


@pytest.mark.slow
def test_ctrl_c_ends_with_130_leaves_no_process_and_resume_goes_on(here, digits):
    line = [
        *(*COMMAND, "search", "--arch", "lenet5", "--data", str(digits), "--size", "16"),
        *("--trials", "2", "--epochs", "20", "--algorithm", "random", "--run-dir", "s"),
    ]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: checkpoints(Path("s/trial-0000/checkpoint")) or process.poll())
    running = children(process.pid)
    process.send_signal(signal.SIGINT)
    stderr = process.communicate()[1]
    assert process.returncode == 130
    assert "interrupted after 0 of 2 trials: `--resume` continues from there (s)" in stderr
    assert "Traceback" not in stderr
    assert running and not any(map(alive, running))
    before = last_checkpoint(Path("s/trial-0000/checkpoint"), or_anew=False).progress.history
    done = subprocess.run([*line, "--resume"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(table(Path("s"))["status"]) == {"completed"}
    history = applications.load("s/trial-0000").history
    assert list(history["epoch"]) == list(range(1, 21))
    assert list(history["seconds"][: len(before)]) == [row["seconds"] for row in before]


def test_workers_end_when_their_parent_dies(here):
    """Before they have a job, too."""
    code = "from applications.searching.pool import Workers; import time\n"
    code += "w = Workers(2); w.prepare()\n"
    parent = subprocess.Popen([sys.executable, "-c", code + "time.sleep(600)"])
    try:
        wait_for(lambda: len(children(parent.pid)) == 2)
        running = children(parent.pid)
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not any(map(alive, running)), seconds=60)


# ------------------------------------------------------------------------------ without TensorFlow


@pytest.mark.slow
def test_a_search_runs_on_jax_where_there_is_no_tensorflow(without_tensorflow, here, digits):
    python = without_tensorflow / "python"
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"KERAS_BACKEND": "jax"}
    gone = subprocess.run([python, "-c", "import tensorflow"], env=env, capture_output=True)
    assert gone.returncode and b"ModuleNotFoundError" in gone.stderr
    done = subprocess.run(
        [
            *(without_tensorflow / "keras-archs", "search", "--arch", "lenet5", "--trials", "2"),
            *("--data", digits, "--size", "16", "--epochs", "1", "--algorithm", "random"),
            *("--run-dir", "s"),
        ],
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    done = table(Path("s"))
    assert set(done["status"]) == {"completed"} and len(done) == 2
    for row in done.to_dict("records"):
        assert json.loads(Path(row["run"], "metrics.json").read_text())["backend"] == "jax"
        board = EventAccumulator(row["run"])
        board.Reload()
        start = board.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
        shown = metadata.parse_session_start_info_plugin_data(start).hparams
        assert shown["arch"].string_value == "lenet5"
        for name in ("params", "macs", "validation_accuracy", "latency_ms_p50"):
            assert board.Scalars(f"final/{name}")[0].value == pytest.approx(row[name])
