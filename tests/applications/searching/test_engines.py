"""Engines: what is proposed, what counts, and that a search goes on where it was cut off."""

import itertools
import json
import os
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.optimize
from keras_tuner import HyperParameters
from keras_tuner.src.tuners import bayesian

from applications import runs
from applications.searching.engines import local as engines
from applications.searching.engines.local import (
    ALGORITHMS,
    SCORE,
    KerasTuner,
    Listed,
    LocalEngine,
)
from applications.searching.engines.promoting import Hyperband

EPOCHS = 9
OPTIONS = {"arch": "lenet5", "algorithm": "random", "seed": 0, "size": [16, 16]}


def wide_space():
    """More points than any search here has trials."""
    hp = HyperParameters()
    hp.Choice("pooling", ["max", "average", "stride"], default="average")
    hp.Float("rate", 1e-4, 1.0, sampling="log", default=1e-2)
    hp.Int("depth", 1, 8, default=5)
    return hp


def small_space():
    """Six points."""
    hp = HyperParameters()
    hp.Choice("pooling", ["max", "average"], default="average")
    hp.Int("depth", 1, 3, default=2)
    return hp


def plan(values):
    args = {name: value for name, value in values.items() if not name.startswith("tuner/")}
    return {"arch": "lenet5", "args": args}


def accuracy(config, epochs=EPOCHS):
    """Of a training that never was: depth 6 and a rate of 0.1 are best, and longer is better."""
    args = config["args"]
    rate = abs(np.log10(args.get("rate", 0.1)) + 1)
    pooling = {"max": 0, "average": 1, "stride": 2}[args["pooling"]]
    badness = (args["depth"] - 6) ** 2 / 36 + rate + pooling / 10 + 1 / epochs
    return float(1 / (1 + badness))


@pytest.fixture(autouse=True)
def quick_guidance(monkeypatch):
    """keras-tuner climbs from 50 points to where its model is highest, which takes seconds.

    Here the highest of the 50 will do.
    """

    def stay(function, x0, **options):
        return SimpleNamespace(x=x0, fun=function(x0))

    optimize = SimpleNamespace(minimize=stay)
    monkeypatch.setattr(bayesian, "scipy", SimpleNamespace(optimize=optimize))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "search.json"


@pytest.fixture
def open_engine(file):
    """An engine on the test's file, as the next process would open it."""

    def open_(algorithm="random", space=wide_space, trials=8, seed=0, plan=plan, **options):
        oracle = KerasTuner(algorithm, space(), trials=trials, epochs=EPOCHS, seed=seed)
        given = {"file": file, "options": OPTIONS, "trials": trials, **options}
        return LocalEngine(oracle, plan, **given)

    return open_


def tell(engine, job):
    epochs = job.epochs or EPOCHS
    engine.tell(job, {SCORE: accuracy(job.config, epochs), "epochs": epochs})


def run(engine):
    """Train all that the engine hands out, one after the other; returns the jobs."""
    jobs = []
    while job := engine.ask():
        jobs.append(job)
        tell(engine, job)
    assert engine.finished
    return jobs


def configs(engine):
    return [record["config"] for record in engine.records()]


def distinct(found):
    return len({json.dumps(config, sort_keys=True) for config in found}) == len(found)


# -------------------------------------------------------------------------------- what is proposed


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_first_proposal_is_the_default_point(open_engine, algorithm):
    job = open_engine(algorithm).ask()
    assert job.number == 0 and job.attempt == 1
    assert job.config == plan({"pooling": "average", "rate": 1e-2, "depth": 5})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_search_trains_as_many_configurations_as_it_was_given_none_twice(open_engine, algorithm):
    engine = open_engine(algorithm)
    run(engine)
    assert [record["trial"] for record in engine.records()] == list(range(8))
    assert {record["status"] for record in engine.records()} == {"completed"}
    assert distinct(configs(engine))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_space_that_is_exhausted_ends_the_search(open_engine, algorithm):
    engine = open_engine(algorithm, small_space, trials=20)
    run(engine)
    points = {(c["args"]["pooling"], c["args"]["depth"]) for c in configs(engine)}
    assert points == set(itertools.product(["max", "average"], [1, 2, 3]))
    assert len(engine.records()) == 6 and engine.exhausted
    assert engine.ask() is None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_points_that_make_the_same_network_count_once(open_engine, algorithm):
    """The depth says nothing here: there are two networks."""

    def flat(values):
        return {"arch": "lenet5", "args": {"pooling": values["pooling"], "depth": 6}}

    engine = open_engine(algorithm, small_space, trials=20, plan=flat)
    run(engine)
    assert sorted(c["args"]["pooling"] for c in configs(engine)) == ["average", "max"]
    assert engine.exhausted


def test_a_grid_is_visited_whole_and_only_as_far_as_trials_go(open_engine, file):
    engine = open_engine("grid", small_space, trials=6)
    run(engine)
    assert distinct(configs(engine)) and len(configs(engine)) == 6
    whole = configs(engine)
    file.unlink()
    engine = open_engine("grid", small_space, trials=4)
    run(engine)
    assert configs(engine) == whole[:4] and not engine.exhausted


def test_a_grid_keeps_any_number_of_workers_busy(open_engine, file):
    engine = open_engine("grid", small_space, trials=20)
    jobs = list(iter(engine.ask, None))
    assert len(jobs) == 6 and distinct(configs(engine)) and not engine.finished
    for job in reversed(jobs[2:]):
        tell(engine, job)
    engine = open_engine("grid", small_space, trials=20)  # killed, with two in flight
    assert [job.config for job in run(engine)] == [job.config for job in jobs[:2]]
    assert len(engine.records()) == 6 and engine.exhausted
    side_by_side = configs(engine)
    file.unlink()
    engine = open_engine("grid", small_space, trials=20)
    run(engine)
    assert configs(engine) == side_by_side


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_proposals_follow_from_the_seed(open_engine, file, algorithm):
    def found(seed):
        file.unlink(missing_ok=True)
        engine = open_engine(algorithm, seed=seed)
        run(engine)
        return configs(engine)

    first = found(3)
    assert first == found(3)
    assert (first != found(4)) or algorithm == "grid"


@pytest.mark.slow
def test_a_bayesian_search_learns_from_the_scores(open_engine, file, monkeypatch):
    monkeypatch.setattr(bayesian, "scipy", scipy)

    def best(algorithm, seed):
        file.unlink(missing_ok=True)
        engine = open_engine(algorithm, trials=12, seed=seed)
        run(engine)
        return max(accuracy(config) for config in configs(engine)[6:])

    pairs = [(best("bayesian", seed), best("random", seed)) for seed in range(2)]
    guided, drawn = np.mean(pairs, axis=0)
    assert guided > drawn


def test_trials_side_by_side_are_different_ones(open_engine):
    engine = open_engine("bayesian", trials=6)
    jobs = [engine.ask() for _ in range(6)]
    assert [job.number for job in jobs] == list(range(6)) and distinct([j.config for j in jobs])
    assert engine.ask() is None and not engine.finished
    for job in reversed(jobs):
        tell(engine, job)
    assert engine.finished


def test_what_is_listed_is_proposed_in_its_order(file):
    values = [{"pooling": "max", "depth": n, "seed": 0} for n in (3, 1, 2)]
    oracle = Listed(values)
    engine = LocalEngine(oracle, plan, file=file, options={}, trials=len(oracle))
    assert [job.values for job in run(engine)] == values


# ------------------------------------------------------------------------------------- hyperband


def test_hyperband_caps_its_configurations_and_trains_the_best_to_the_end(open_engine):
    engine = open_engine("hyperband", trials=12)
    jobs = run(engine)
    assert len(engine.records()) == 12
    trained = [record["metrics"]["epochs"] for record in engine.records()]
    assert max(trained) == EPOCHS and min(trained) < EPOCHS
    assert len(jobs) > 12


def test_a_promotion_continues_its_trial(open_engine):
    jobs = run(open_engine("hyperband", trials=12))
    times = Counter(job.number for job in jobs)
    promoted = [number for number, count in times.items() if count > 1]
    assert promoted
    for number in promoted:
        epochs = [job.epochs for job in jobs if job.number == number]
        assert epochs == sorted(set(epochs))
        assert len({json.dumps(job.config) for job in jobs if job.number == number}) == 1


def test_hyperband_promotes_the_best_of_a_round(open_engine):
    engine = open_engine("hyperband", trials=8)
    jobs = []
    while (job := engine.ask()).number not in [known.number for known in jobs]:
        jobs.append(job)
        tell(engine, job)
    rivals = [known for known in jobs if known.epochs == jobs[0].epochs]
    scores = {known.number: accuracy(known.config, known.epochs) for known in rivals}
    first_promoted = [job.number]
    tell(engine, job)
    while (job := engine.ask()) and job.number in scores and job.number not in first_promoted:
        first_promoted.append(job.number)
        tell(engine, job)
    best = sorted(scores, key=scores.__getitem__, reverse=True)
    assert set(first_promoted) == set(best[: len(first_promoted)])
    assert len(first_promoted) < len(rivals)


@pytest.mark.parametrize("trials", [4, 12, 20])
def test_a_study_has_the_rounds_that_hyperband_has_here(open_engine, trials):
    """keras-tuner's oracle deals out the same brackets as the rules of a study."""
    engine = open_engine("hyperband", trials=trials)
    jobs = sorted((job.number, job.epochs) for job in run(engine))
    rules, scores = Hyperband(trials, EPOCHS), {}
    for config in configs(engine):
        scores[len(scores), 0] = accuracy(config, rules.epochs(len(scores), 0))
    while step := rules.promotion(scores, over=True):
        scores[step] = accuracy(configs(engine)[step[0]], rules.epochs(*step))
    assert jobs == sorted((trial, rules.epochs(trial, rung)) for trial, rung in scores)


# ------------------------------------------------------------------------------------------ asha


def asha_jobs(engine, scores, workers=1):
    """What is handed out, as (trial, epochs), where a trial always has the score of its number."""
    handed, running = [], []
    while True:
        while len(running) < workers and (job := engine.ask()):
            handed.append((job.number, job.epochs))
            running.append(job)
        if not running:
            return handed
        job = running.pop(0)
        engine.tell(job, {SCORE: scores[job.number], "epochs": job.epochs})


def test_asha_promotes_as_algorithm_2_of_its_paper(open_engine):
    """By hand, rungs of 1, 3 and 9 epochs, of which a third goes on, rounded down."""
    scores = [0.1, 0.5, 0.3, 0.2, 0.4, 0.9, 0.6, 0.7, 0.8]
    assert asha_jobs(open_engine("asha", trials=9), scores) == [
        *((0, 1), (1, 1), (2, 1), (1, 3)),  # the best of three
        *((3, 1), (4, 1), (5, 1), (5, 3)),  # the best two of six are 5 and 1
        *((6, 1), (6, 3)),  # of seven 5 and 6
        (5, 9),  # the best of three in rung 1, before any in rung 0
        *((7, 1), (7, 3)),  # the best two of eight are 5 and 7
        *((8, 1), (8, 3)),  # the best three of nine 5, 8 and 7
    ]


def test_asha_waits_for_nobody(open_engine):
    """Of three workers one is slow: the others go on with new trials."""
    engine = open_engine("asha", trials=9)
    slow, *quick = (engine.ask() for _ in range(3))
    for job in quick:
        tell(engine, job)
    others = [engine.ask() for _ in range(2)]
    assert [job.number for job in others] == [3, 4] and {job.epochs for job in others} == {1}
    tell(engine, others[0])
    assert engine.ask().epochs == 3, "the best of three that are done"
    assert slow.number == 0


def test_a_short_asha_trains_its_best_to_the_end(open_engine):
    assert asha_jobs(open_engine("asha", trials=2), [0.2, 0.7]) == [(0, 1), (1, 1), (1, 3), (1, 9)]


def test_a_promotion_that_fails_is_not_tried_again_and_another_takes_its_place(open_engine):
    engine = open_engine("asha", trials=3, retries=0)
    for _ in range(3):
        tell(engine, engine.ask())
    first = engine.ask()
    assert first.epochs == 3 and not engine.fail(first, "out of memory")
    rest = run(engine)
    assert {job.number for job in rest}.isdisjoint([first.number])
    assert [job.epochs for job in rest] == [3, 9]


# -------------------------------------------------------------------------------------- failures


def test_a_trial_that_failed_is_tried_again_first(open_engine):
    engine = open_engine()
    first, second = engine.ask(), engine.ask()
    assert engine.fail(first, "out of memory")
    again = engine.ask()
    assert (again.number, again.config, again.attempt) == (first.number, first.config, 2)
    assert (second.number, second.attempt) == (1, 1)
    record = engine.records()[0]
    assert (record["status"], record["reason"], record["attempts"]) == (
        *("running", "out of memory", 2),
    )
    tell(engine, again)
    record = engine.records()[0]
    assert (record["status"], record["reason"], record["attempts"]) == ("completed", "", 2)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_trial_that_fails_its_retries_counts_and_is_not_proposed_again(open_engine, algorithm):
    engine = open_engine(algorithm, small_space, trials=5, retries=2)
    jobs = []
    while job := engine.ask():
        jobs.append(job)
        if job.number == 1:
            assert engine.fail(job, f"attempt {job.attempt}") == (job.attempt < 3)
        else:
            tell(engine, job)
    records = engine.records()
    assert [record["status"] for record in records].count("completed") == 4
    assert (records[1]["status"], records[1]["reason"]) == ("failed", "attempt 3")
    assert (records[1]["attempts"], records[1]["metrics"]) == (3, {})
    assert [job.attempt for job in jobs if job.number == 1] == [1, 2, 3]
    assert engine.finished and distinct(configs(engine))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_search_in_which_all_fails_ends(open_engine, algorithm):
    engine = open_engine(algorithm, trials=5, retries=0)
    while job := engine.ask():
        assert not engine.fail(job, "no memory at all")
    assert {record["status"] for record in engine.records()} == {"failed"}
    assert len(engine.records()) == 5 and engine.finished


# --------------------------------------------------------------------------- a search that is cut


class Killed(BaseException):
    """The process ended here: nothing that comes after is done."""


@pytest.fixture
def kill_after(monkeypatch):
    """The process ends right after this save."""

    def kill(saves):
        count = itertools.count(1)

        def write(path, value):
            runs.write_json(path, value)
            if next(count) == saves:
                raise Killed

        monkeypatch.setattr(engines, "write_json", write)

    return kill


def train(open_engine, seen):
    """A search of which one trial fails once and another for good; notes what it trains."""
    engine = open_engine()
    while job := engine.ask():
        seen.append((job.number, job.attempt, job.epochs, job.config))
        if (job.number, job.attempt) in [(1, 1), (2, 1), (2, 2)]:
            engine.fail(job, "killed by SIGKILL")
        else:
            tell(engine, job)
    return engine


@pytest.mark.parametrize(
    ("algorithm", "space"),
    [
        *((algorithm, wide_space) for algorithm in ALGORITHMS if algorithm != "bayesian"),
        pytest.param("bayesian", wide_space, marks=pytest.mark.slow),
        pytest.param("bayesian", small_space, marks=pytest.mark.slow),
    ],
)
def test_a_search_that_is_killed_after_any_save_ends_as_one_that_was_not(
    open_engine, kill_after, file, algorithm, space, monkeypatch
):
    def open_():
        return open_engine(algorithm, space, trials=6)

    expected = []
    whole = train(open_, expected).records()
    for saves in itertools.count(1):
        file.unlink()
        kill_after(saves)
        seen = []
        try:
            train(open_, seen)
            break
        except Killed:
            monkeypatch.setattr(engines, "write_json", runs.write_json)
        assert train(open_, seen).records() == whole
        assert seen == expected
    assert saves > 2 * len(whole)


@pytest.mark.parametrize("algorithm", ["random", "bayesian"])
def test_a_search_that_is_killed_every_time_gets_to_its_end(
    open_engine, kill_after, file, algorithm, monkeypatch
):
    """Each process gets one trial further than the last one."""
    whole = train(lambda: open_engine(algorithm), []).records()
    file.unlink()
    for _ in range(100):
        kill_after(3)
        try:
            engine = train(lambda: open_engine(algorithm), [])
            break
        except Killed:
            continue
    assert engine.records() == whole


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_was_running_waits_again_and_no_attempt_is_charged(open_engine, algorithm):
    engine = open_engine(algorithm)
    running, done = engine.ask(), engine.ask()
    tell(engine, done)
    engine = open_engine(algorithm)
    assert [record["status"] for record in engine.records()] == ["waiting", "completed"]
    assert engine.ask() == running


def test_a_finished_search_stays_finished(open_engine, file):
    run(open_engine())
    before = file.read_bytes()
    engine = open_engine()
    assert engine.finished and engine.ask() is None
    assert file.read_bytes() == before


def test_a_search_may_be_given_more_trials(open_engine):
    first = open_engine("bayesian", trials=4)
    run(first)
    more = open_engine("bayesian", trials=6)
    assert not more.finished
    run(more)
    assert configs(more)[:4] == configs(first) and len(configs(more)) == 6
    assert distinct(configs(more))


# --------------------------------------------------------------------------------- other searches


def test_the_first_option_that_differs_is_named(open_engine):
    open_engine()
    message = r"`algorithm` must be as in the search that is resumed, 'random'. Received: "
    with pytest.raises(ValueError, match=message + "algorithm='grid'"):
        open_engine(options={**OPTIONS, "algorithm": "grid", "seed": 1})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"options": {}, "study": "s"}',
        b"\xff\xfe",
        b'{"trials": 3}',
    ],
)
def test_a_file_of_something_else_is_refused_and_left_alone(open_engine, file, content):
    file.write_bytes(content)
    with pytest.raises(ValueError, match="`run_dir` must hold a search. Received: .*search.json"):
        open_engine()
    assert file.read_bytes() == content


TRIAL = {
    "trial": [None, 1, "x"],
    "values": [None, [3]],
    "config": [3, "x"],
    "status": ["sleeping", [], None],
    "failures": [-1, "x"],
    "epochs": ["x", 0, 1.5],
    "metrics": [None, {}, {SCORE: "high"}, {SCORE: float("nan")}, {SCORE: 1, "macs": []}],
    "asked": ["x", None],
    "another": [3],
}
STATE = {
    "options": [None, 3, []],
    "exhausted": [None, "x"],
    "trials": [None, 3, [3], [None], [{}], "x"],
    "events": [None, 3, "x", [3], [None], [{}], [{"learn": "nobody", "score": 1.0}]],
    "oracle": [3, "x", {}, [None]],
}


@pytest.mark.parametrize(
    ("name", "value", "of_a_trial"),
    [(name, value, False) for name, values in STATE.items() for value in values]
    + [(name, value, True) for name, values in TRIAL.items() for value in values],
)
def test_a_value_of_another_kind_is_refused_and_the_file_left_alone(
    open_engine, file, name, value, of_a_trial
):
    engine = open_engine("bayesian")
    tell(engine, engine.ask())
    state = json.loads(file.read_text())
    (state["trials"][0] if of_a_trial else state)[name] = value
    file.write_text(json.dumps(state))
    before = file.read_bytes()
    with pytest.raises(ValueError, match="`run_dir` must hold a search. Received: .*search.json"):
        open_engine("bayesian")
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xef\xbb\xbf{}", "{}".encode("utf-16")])
def test_what_json_does_not_read_is_refused(open_engine, file, content):
    file.write_bytes(content)
    with pytest.raises(ValueError, match="`run_dir` must hold a search. Received: .*search.json"):
        open_engine()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_and_not_waited_for(open_engine, file, make):
    make(file)
    with pytest.raises(ValueError, match="must hold a search. .*search.json .no regular file"):
        open_engine()


def test_no_part_of_a_file_passes_for_the_whole(open_engine, file):
    engine = open_engine()
    tell(engine, engine.ask())
    whole = file.read_bytes().rstrip()
    for end in range(0, len(whole), 97):
        file.write_bytes(whole[:end])
        with pytest.raises(ValueError, match="`run_dir` must hold a search"):
            open_engine()


def test_a_keras_tuner_that_proposes_otherwise_is_noticed(open_engine):
    run(open_engine("random", seed=0))
    with pytest.raises(ValueError, match="`resume` must meet the keras-tuner that"):
        open_engine("random", seed=1)


def test_the_file_is_json_that_says_what_was_tried(open_engine, file):
    engine = open_engine()
    run(engine)
    state = json.loads(file.read_text())
    assert state["options"] == OPTIONS
    assert [trial["config"] for trial in state["trials"]] == configs(engine)
