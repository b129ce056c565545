"""Searches on Ray: what it is asked and told, and a search that is interrupted on this machine."""

import json
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from processes import alive, children, wait_for
from ray.tune.schedulers import TrialScheduler

import tuning
from applications import load, runs
from applications.options import Search
from applications.searching import studies as searching
from applications.searching.engines import local
from applications.searching.engines import ray as engine
from applications.searching.engines.local import SCORE, LocalEngine
from applications.searching.engines.optuna import StudyOracle
from applications.searching.pool import Event

DEFAULTS = {"pooling": "average", "rate": 1e-2, "depth": 5}


def plan(hp):
    args = {
        "pooling": hp.Choice("pooling", ["max", "average", "stride"]),
        "rate": hp.Float("rate", 1e-4, 1.0, sampling="log"),
        "depth": hp.Int("depth", 1, 8),
    }
    return {"arch": "lenet5", "args": args}


def small_plan(hp):
    """Six configurations."""
    args = {"pooling": hp.Choice("pooling", ["max", "average"]), "depth": hp.Int("depth", 1, 3)}
    return {"arch": "lenet5", "args": args}


def of(plan):
    """The plan as the local engine calls it: with values."""

    def configured(values):
        return plan(SimpleNamespace(**{name: lambda key, *_, **__: values[key] for name in KINDS}))

    return configured


KINDS = ("Choice", "Float", "Int")


@pytest.fixture
def open_engine(tmp_path):
    """An engine on the test's file with Optuna's proposals, as the next process would open it."""

    def open_(plan=plan, first=DEFAULTS, trials=8, seed=0):
        oracle = StudyOracle(plan, first, seed=seed)
        options = {"file": tmp_path / "search.json", "options": {}, "trials": trials}
        return LocalEngine(oracle, of(plan), **options)

    return open_


def accuracy(config):
    args = config["args"]
    return 1 / (1 + abs(args["depth"] - 6) / 8 + abs(args.get("rate", 0.1) - 0.1))


def tell(engine, job):
    engine.tell(job, {SCORE: accuracy(job.config), "epochs": 9})


def configs(engine):
    return [record["config"] for record in engine.records()]


def distinct(found):
    return len({json.dumps(config, sort_keys=True) for config in found}) == len(found)


# -------------------------------------------------------------------------------- what is proposed


def test_optuna_proposes_the_default_point_first_and_nothing_twice(open_engine):
    engine = open_engine()
    assert engine.ask().config == {"arch": "lenet5", "args": DEFAULTS}
    while job := engine.ask():
        tell(engine, job)
    assert len(engine.records()) == 8 and distinct(configs(engine))


def test_a_space_that_optuna_has_exhausted_ends_the_search(open_engine, monkeypatch):
    monkeypatch.setattr(local, "_COLLISIONS", 100)
    engine = open_engine(small_plan, {"pooling": "max", "depth": 2}, trials=20)
    while job := engine.ask():
        tell(engine, job)
    assert len(engine.records()) == 6 and distinct(configs(engine))
    assert engine.exhausted and engine.finished


def test_optuna_goes_on_where_a_search_was_cut_off(open_engine):
    """After any number of trials: what was running comes again, then what would have come."""
    whole = open_engine(trials=6)
    while job := whole.ask():
        tell(whole, job)
    expected = configs(whole)
    assert configs(open_engine(trials=6)) == expected

    def cut(after):
        engine = open_engine(trials=6)
        for number in range(after):
            job = engine.ask()
            if number < after - 1:
                tell(engine, job)

    for after in (1, 3, 5):
        Path(whole._file).unlink()
        cut(after)
        engine = open_engine(trials=6)
        assert configs(engine) == expected[:after]
        while job := engine.ask():
            tell(engine, job)
        assert configs(engine) == expected


def test_a_trial_that_failed_tells_optuna_nothing(open_engine):
    engine = open_engine(trials=2)
    for _ in range(2):
        engine.fail(engine.ask(), "out of memory")
    assert engine.ask().number == 1 and len(engine.records()) == 2


def test_optuna_draws_from_the_space_that_keras_tuner_draws_from():
    asked = Search(engine="ray", budget=tuning.Budget(params=60_000))
    plan = searching._SearchPlan(asked, {"data": "digits", "epochs": 2})
    oracle = searching._oracle(asked, plan)
    drawn = [oracle.propose(True).values for _ in range(4)]
    assert plan.of(drawn[0]) == plan.of({}), "the space's default"
    assert distinct([plan.of(values) for values in drawn])
    again = StudyOracle(plan, {}, seed=0)
    for values in drawn:
        read_back = json.loads(json.dumps(values))
        assert again.propose(True, read_back).values == values


# ------------------------------------------------------------------------------------------ asha


def decisions(scheduler, trial, *accuracies):
    """Of ASHA, for the accuracies of a trial in its rungs, up to its end."""
    trial = SimpleNamespace(trial_id=trial)
    scheduler.on_trial_add(None, trial)
    for rung, accuracy in enumerate(accuracies):
        result = {SCORE: accuracy, "resource": 3**rung}
        found = scheduler.on_trial_result(None, trial, result)
        yield found
        if found == TrialScheduler.STOP:
            return


def test_asha_ends_what_is_not_among_the_best_third_of_its_rung():
    scheduler = engine.asha([1, 3, 9])
    go_on, stop = TrialScheduler.CONTINUE, TrialScheduler.STOP
    assert list(decisions(scheduler, "a", 0.5, 0.6, 0.7)) == [go_on, go_on, stop]  # it is done
    assert list(decisions(scheduler, "b", 0.4)) == [stop]
    assert list(decisions(scheduler, "c", 0.6, 0.5)) == [go_on, stop]
    assert list(decisions(scheduler, "d", 0.52)) == [stop]


def test_what_a_trial_says_between_rungs_decides_nothing():
    scheduler = engine.asha([2, 6])
    list(decisions(scheduler, "a", 0.5))
    trial = SimpleNamespace(trial_id="b")
    scheduler.on_trial_add(None, trial)
    said = scheduler.on_trial_result(None, trial, {SCORE: 0.0, "resource": 0})
    assert said == TrialScheduler.CONTINUE


def test_asha_of_a_search_that_is_resumed_knows_the_trials_before(tmp_path):
    for number, history in enumerate([[0.1, 0.2, 0.3], [0.6], [0.9, 0.8, 0.7]]):
        folder = tmp_path / str(number)
        folder.mkdir()
        epochs = range(1, len(history) + 1)
        table = pd.DataFrame({"epoch": epochs, "val_accuracy": history})
        table.to_csv(folder / "history.csv", index=False)
        runs.write_json(folder / "metrics.json", {"epochs": len(history)})
        runs.write_config(folder / "config.yaml", {"arch": "lenet5"})
        runs.write_json(folder / "labels.json", ["0", "1"])
    scheduler = engine.asha([1, 3, 9], sorted(tmp_path.iterdir()))
    assert list(decisions(scheduler, "new", 0.61)) == [TrialScheduler.STOP]
    go_on, stop = TrialScheduler.CONTINUE, TrialScheduler.STOP
    assert list(decisions(scheduler, "best", 0.95, 0.65)) == [go_on, go_on]
    assert list(decisions(scheduler, "worse", 0.95, 0.2)) == [go_on, stop]


# ----------------------------------------------------------------------- what Ray is told and says


class Told:
    """A talk with an engine of as many jobs as trials, of which it hands out two at a time."""

    def __init__(self, engine):
        self.heard, self.engine = [], engine
        self.talk = self.new()

    def new(self, rungs=()):
        message = lambda job: {"kind": "train", "number": job.number}  # noqa: E731
        return engine._Talk(self.engine, message, self.hear, print, {"PWD": "/"}, rungs)

    def hear(self, event):
        self.heard.append(event)
        if event.metrics is not None:
            self.engine.tell(event.tag, event.metrics)
        elif event.error is not None:
            self.engine.fail(event.tag, event.error)


@pytest.fixture
def told(open_engine):
    return Told(open_engine(trials=2))


METRICS = {SCORE: 0.5, "epochs": 3}


def test_a_trial_ends_with_what_it_said_last(told):
    talk = told.talk
    job = talk.ask("a")
    talk.say("a", {"row": {"epoch": 1}, "metrics": None, "error": None})
    talk.say("a", {"row": None, "metrics": {**METRICS, "epochs": 1}, "error": None})
    talk.say("a", {"row": None, "metrics": METRICS, "error": None})
    talk.pass_on()
    assert [event.row for event in told.heard] == [{"epoch": 1}], "it is still going on"
    talk.end("a")
    talk.pass_on()
    assert told.heard[-1] == Event(job, metrics=METRICS)
    assert told.engine.records()[0]["metrics"] == METRICS


def test_a_trial_that_failed_is_handed_out_again(told):
    talk = told.talk
    job = talk.ask("a")
    talk.say("a", {"row": None, "metrics": None, "error": "out of memory"})
    talk.end("a")
    talk.pass_on()
    again = talk.ask("b")
    assert (again.number, again.attempt) == (job.number, 2)


def test_a_trial_whose_machines_are_lost_again_and_again_has_failed(told):
    talk = told.talk
    talk.ask("a")
    talk.say("a", {"row": None, "metrics": METRICS, "error": None})
    talk.end("a", "the node was lost")
    talk.pass_on()
    assert told.engine.records()[0]["reason"] == "the node was lost"


def test_an_engine_with_nothing_to_start_is_not_asked_again_before_a_trial_ends(told, monkeypatch):
    asked = Counter()
    ask = told.engine.ask
    monkeypatch.setattr(told.engine, "ask", lambda: (asked.update("a"), ask())[1])
    talk = told.talk
    assert talk.ask("a") and talk.ask("b")
    assert [talk.ask("c") for _ in range(5)] == [None] * 5 and asked["a"] == 3
    talk.say("a", {"row": None, "metrics": METRICS, "error": None})
    talk.end("a")
    talk.pass_on()
    assert talk.ask("c") is None and asked["a"] == 4


def test_a_trial_is_told_to_stop_at_each_rung(told):
    job = told.talk.ask("a")
    assert json.loads(told.talk.told(job)) == {
        "message": {"kind": "train", "number": 0},
        "until": [None],
        "environment": {"PWD": "/"},
    }
    assert json.loads(told.new(rungs=[1, 3, 9]).told(job))["until"] == [1, 3, 9]


class Says:
    """A worker that says, for each job, an epoch and how it ended."""

    def __init__(self, **end):
        self.end, self.told = end, []

    def __call__(self, message, environment):
        self.told.append(message)
        yield Event(None, row={"epoch": 1, "val_accuracy": 0.5})
        yield Event(None, **self.end)


@pytest.mark.parametrize(
    ("end", "until"),
    [({"metrics": METRICS}, [1, 3]), ({"metrics": {**METRICS, "ended": "patience"}}, [1])]
    + [({"error": "ValueError"}, [1])],
)
def test_a_trial_goes_on_to_the_next_rung_unless_it_failed_or_ended_by_itself(
    monkeypatch, end, until
):
    says = Says(**end)
    monkeypatch.setattr(engine, "_events", says)
    monkeypatch.setattr(engine, "_accuracy", lambda folder, epochs: epochs / 10)
    told = {"message": {"folder": "f"}, "until": [1, 3], "environment": {}}
    results = list(engine._trial({"told": json.dumps(told)}))
    assert [message["until"] for message in says.told] == until
    said = [json.loads(result["said"]) for result in results]
    assert [each["row"] is not None for each in said] == [True, False] * len(until)
    if "metrics" in end:
        ends = [(result[SCORE], result["resource"]) for result in results[1::2]]
        assert ends == [(0.1, 1), (0.3, 3)][: len(until)]
    assert all(result["resource"] == 0 for result in results[::2])


def test_accuracy_in_a_rung_is_that_of_its_epoch(tmp_path):
    runs.write_json(tmp_path / "metrics.json", {})
    runs.write_config(tmp_path / "config.yaml", {"arch": "lenet5"})
    runs.write_json(tmp_path / "labels.json", ["0", "1"])
    history = pd.DataFrame({"epoch": [1, 2, 3], "val_accuracy": [0.1, 0.3, 0.2]})
    history.to_csv(tmp_path / "history.csv", index=False)
    assert [engine._accuracy(tmp_path, epochs) for epochs in (1, 2, 9)] == [0.1, 0.3, 0.2]


# ---------------------------------------------------------------------------------------- machines


def test_a_missing_ray_is_said_in_one_line_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    find = engine.find_spec
    monkeypatch.setattr(engine, "find_spec", lambda name: None if name == "ray" else find(name))
    with pytest.raises(ValueError, match=r"pip install 'keras-archs\[ray\]'. .* no ray$"):
        tuning.search("lenet5", "digits", engine="ray")
    assert not list(tmp_path.iterdir())


def test_an_address_that_nobody_answers_is_said_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            ValueError, match="`address` must be that of a Ray cluster that answers"
        ):
            engine.Cluster(address, cpus=1, gpus=0).__enter__()


def test_a_machine_says_what_it_lacks(tmp_path):
    version = engine.keras_archs.__version__
    here = str(tmp_path)
    assert engine._lacking(version, here, here) == ""
    assert engine._lacking("0.0.0", here) == f"keras-archs {version}"
    assert engine._lacking(version, here, f"{here}/shared") == f"no {here}/shared"


@pytest.mark.parametrize(
    ("gpus", "visible", "share"), [(0, "", None), (0.5, None, "0.450"), (2, None, None)]
)
def test_trials_that_share_a_gpu_share_its_memory(gpus, visible, share):
    environment = engine.Cluster(None, cpus=1, gpus=gpus)._environment
    assert environment.get("CUDA_VISIBLE_DEVICES") == visible
    assert environment.get("XLA_PYTHON_CLIENT_MEM_FRACTION") == share
    assert environment.get("TF_FORCE_GPU_ALLOW_GROWTH") == (share and "true")


def test_threads_of_a_trial_are_its_processors(digits):
    def threads(**options):
        asked = Search(space="lenet5", engine="ray", **options)
        return searching._SearchPlan(asked, {"data": digits}).base.threads

    assert [threads(), threads(cpus_per_trial=3), threads(gpus_per_trial=0.5)] == [1, 3, None]


# --------------------------------------------------------------------------------- on this machine


def descendants(process):
    found = children(process)
    return [*found, *(each for child in found for each in descendants(child))]


@pytest.mark.slow
def test_a_search_with_asha_is_interrupted_leaves_no_process_and_goes_on(
    tmp_path, monkeypatch, digits
):
    monkeypatch.chdir(tmp_path)
    line = [
        *(sys.executable, "-m", "applications.cli", "search", "--engine", "ray"),
        *("--arch", "lenet5", "--data", str(digits), "--size", "16", "--algorithm", "asha"),
        *("--trials", "3", "--epochs", "3", "--run-dir", "s"),
    ]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: any(Path("s").glob("trial-*/checkpoint/epoch-*")) or process.poll(), 300)
    running = descendants(process.pid)
    process.send_signal(2)
    stderr = process.communicate()[1]
    assert process.returncode == 130
    assert stderr.splitlines()[-1].startswith("interrupted after ")
    assert "`--resume` continues from there (s)" in stderr and "Traceback" not in stderr
    wait_for(lambda: not any(map(alive, running)))
    assert len(running) > 2

    done = subprocess.run([*line, "--resume"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("best: s/trial-")
    assert all(part.startswith("trial ") for part in done.stderr.splitlines())
    table = pd.read_csv("s/trials.csv")
    assert list(table["trial"]) == [0, 1, 2] and set(table["status"]) == {"completed"}
    assert set(zip(table["rung"], table["epochs"], strict=True)) <= {(0, 1), (1, 3)}
    assert table["epochs"].max() == 3 and table["test_accuracy"].notna().sum() == 1
    for run, epochs in zip(table["run"], table["epochs"], strict=True):
        assert list(load(run).history["epoch"]) == list(range(1, epochs + 1))
        assert not Path(run, "checkpoint").exists()
    names = {path.name for path in Path("s").iterdir()}
    trials = {f"trial-{number:04d}" for number in range(3)}
    assert names == {"search.json", "trials.csv", "best.yaml", "report.html", *trials}
