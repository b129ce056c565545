"""Many workers, one study, on a real PostgreSQL: every trial is completed once, whoever dies."""

import json
import logging
import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import optuna
import psycopg
import pytest
from postgres import USER, postgres

from applications.searching.engines.optuna import StudyEngine, database_url
from applications.searching.studies import pareto, ranking

SPAWN = multiprocessing.get_context("spawn")
SIZES = [4, 6, 8, 12]
HEARTBEAT, GRACE = 1, 2


def plan(hp):
    """About four million configurations, some of them only in a part of the space."""
    config = {
        "arch": "simpnet",
        "width": hp.Int("width", 8, 64, step=8),
        "depth": hp.Choice("depth", [1, 2, 3, 4, 5]),
        "rate": hp.Float("rate", 1e-4, 1e-1, sampling="log"),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1),
        "saf": hp.Boolean("saf"),
    }
    if config["depth"] > 3:
        config["tilt"] = hp.Choice("tilt", ["early", "late"])
    return config | {"seed": hp.Fixed("seed", 0)}


def small_plan(hp):
    """Six configurations."""
    return {"width": hp.Choice("width", SIZES[:3]), "saf": hp.Boolean("saf")}


def score(config):
    accuracy = 1 - abs(config["width"] - 40) / 100 - config.get("dropout", 0) / 10
    return {"validation_accuracy": accuracy, "macs": config["width"] ** 2, "params": 1}


def work(storage, study, trials, options, seconds, training, gate):
    """A worker that takes `seconds` for a training, says when it is `training`, and ends none while
    another process holds the `gate`."""
    engine = StudyEngine(
        plan,
        storage=storage,
        study=study,
        trials=trials,
        heartbeat=HEARTBEAT,
        grace=GRACE,
        **options,
    )
    while not engine.finished:
        job = engine.ask()
        if job is None:
            time.sleep(0.05)
            continue
        training.value = True
        time.sleep(seconds)
        with gate:
            training.value = False
        engine.tell(job, score(job.config) | {"worker": os.getpid()})
    engine.close()


@pytest.fixture(scope="module")
def server():
    with postgres() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture
def study(request):
    return request.node.name


@pytest.fixture
def open_engine(server, study):
    """Engines of this test's study, closed at its end."""
    engines = []

    def start(plan=plan, trials=4, **options):
        given = {"study": study, "heartbeat": HEARTBEAT, "grace": GRACE} | options
        engines.append(StudyEngine(plan, storage=server.url, trials=trials, **given))
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


@pytest.fixture
def start_worker(server, study):
    """Worker processes of this test's study; none is left at its end."""
    workers = []

    def start(trials=12, seconds=0.05, gate=None, **options):
        training, gate = SPAWN.RawValue("b", False), gate or SPAWN.Lock()
        arguments = server.url, study, trials, options, seconds, training, gate
        worker = SPAWN.Process(target=work, args=arguments)
        worker.training, worker.gate = training, gate  # which go with the last reference to them
        worker.start()
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.kill()
        worker.join()


def attempts(server, study):
    """Optuna's own trials, read as another program would."""
    url = database_url(server.url).render_as_string()
    return optuna.load_study(study_name=study, storage=url).get_trials(deepcopy=False)


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def run_to_its_end(engine):
    while not engine.finished:
        job = engine.ask()
        if job is None:
            time.sleep(0.05)
        else:
            engine.tell(job, score(job.config))


def check_complete(server, study, trials):
    """Every number is completed, once, with the result of its own configuration, unlike others'."""
    completed = [trial for trial in attempts(server, study) if trial.state.name == "COMPLETE"]
    assert sorted(trial.user_attrs["number"] for trial in completed) == list(range(trials))
    configs = [trial.user_attrs["config"] for trial in completed]
    assert len({json.dumps(config, sort_keys=True) for config in configs}) == trials
    for trial in completed:
        assert trial.values[0] == score(trial.user_attrs["config"])["validation_accuracy"]
    return completed


# ------------------------------------------------------------------------------------- exactly once


@pytest.mark.slow
def test_three_workers_complete_as_many_trials_as_were_asked_for(server, study, start_worker):
    workers = [start_worker(trials=12) for _ in range(3)]
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    completed = check_complete(server, study, 12)
    assert len(attempts(server, study)) == 12
    assert len({trial.user_attrs["metrics"]["worker"] for trial in completed}) > 1


@pytest.mark.slow
def test_random_trials_do_not_depend_on_who_asks(server, study, start_worker, open_engine):
    options = {"trials": 8, "algorithm": "random", "seed": 3}
    for worker in [start_worker(**options) for _ in range(2)]:
        worker.join(60)
    alone = open_engine(study=f"{study}-alone", **options)
    run_to_its_end(alone)
    configs = [
        [record["config"] for record in engine.records()]
        for engine in (alone, open_engine(**options))
    ]
    assert configs[0] == configs[1]
    other = open_engine(study=f"{study}-other", **options | {"seed": 4})
    assert other.ask().config != configs[0][0]


@pytest.mark.slow
def test_a_survivor_finishes_what_a_killed_worker_began(study, start_worker, open_engine):
    engine = open_engine(trials=3)
    victim = start_worker(trials=3, seconds=1000)
    wait_for(lambda: engine.records()[0]["status"] == "running")
    victim.kill()
    begun = engine.records()[0]
    run_to_its_end(engine)
    records = engine.records()
    assert [record["status"] for record in records] == ["completed"] * 3
    assert [record["attempts"] for record in records] == [2, 1, 1]
    assert records[0]["config"] == begun["config"]


@pytest.mark.slow
def test_kills_are_no_failures(open_engine):
    engine = open_engine(trials=1, retries=0)
    for attempt in (1, 2, 3):
        job = engine.ask()
        assert (job.number, job.attempt) == (0, attempt)
        engine.close()
        engine = open_engine(trials=1, retries=0)
    run_to_its_end(engine)
    assert engine.records()[0]["attempts"] == 4


def test_a_worker_that_ends_gives_back_at_once_what_it_began(open_engine):
    patient = {"trials": 1, "heartbeat": 60, "grace": 120}
    first, second = open_engine(**patient), open_engine(**patient)
    job = first.ask()
    assert second.ask() is None
    first.close()
    assert second.ask().config == job.config


@pytest.mark.slow
def test_a_worker_that_was_silent_too_long_completes_nothing(
    server, study, start_worker, open_engine
):
    silent = start_worker(trials=1, seconds=1)
    engine = open_engine(trials=1)
    wait_for(lambda: engine.records()[0]["status"] == "running")
    os.kill(silent.pid, signal.SIGSTOP)
    wait_for(lambda: (job := engine.ask()) and not engine.tell(job, score(job.config)))
    os.kill(silent.pid, signal.SIGCONT)
    silent.join(60)
    assert silent.exitcode == 0
    (completed,) = check_complete(server, study, 1)
    assert "worker" not in completed.user_attrs["metrics"]


# -------------------------------------------------------------------------------- death at any time


def die_at(call, server, study):
    """Run a worker that is killed in the call of one of the storage's methods."""
    code = (
        "import multiprocessing, os, signal, optuna, test_studies\n"
        f"setattr(optuna.storages.RDBStorage, {call!r},"
        " lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))\n"
        "training, gate = multiprocessing.Value('b'), multiprocessing.Lock()\n"
        f"test_studies.work({server.url!r}, {study!r}, 2, {{}}, 0, training, gate)"
    )
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    result = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path})
    assert result.returncode == -signal.SIGKILL


def test_a_worker_killed_between_claim_and_first_heartbeat_claimed_nothing(
    server, study, open_engine
):
    die_at("record_heartbeat", server, study)
    assert attempts(server, study) == []
    run_to_its_end(open_engine(trials=2))
    assert len(attempts(server, study)) == 2


@pytest.mark.slow
def test_a_worker_killed_as_it_tells_leaves_no_half_result(server, study, open_engine):
    die_at("set_trial_state_values", server, study)
    (trial,) = attempts(server, study)
    assert trial.state.name == "RUNNING" and "metrics" not in trial.user_attrs
    run_to_its_end(open_engine(trials=2))
    check_complete(server, study, 2)


@pytest.fixture
def lose_an_answer(monkeypatch):
    """Calling it lets the next commit get through, but not the database's word that it did."""
    commit = psycopg.Connection.commit

    def lose():
        def commit_and_break(connection):
            monkeypatch.undo()
            commit(connection)
            raise psycopg.OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(psycopg.Connection, "commit", commit_and_break)

    return lose


def test_nothing_happens_twice_where_the_answer_to_a_commit_is_lost(
    server, study, open_engine, lose_an_answer
):
    engine = open_engine(trials=2, retries=1)
    lose_an_answer()
    job = engine.ask()
    assert len(attempts(server, study)) == 1
    lose_an_answer()
    assert engine.fail(job, "out of memory")
    assert len(attempts(server, study)) == 2
    lose_an_answer()
    again = engine.ask()
    assert (again.number, again.attempt, again.config) == (0, 2, job.config)
    lose_an_answer()
    engine.tell(again, score(again.config))
    run_to_its_end(engine)
    check_complete(server, study, 2)
    assert len(attempts(server, study)) == 3


@pytest.mark.slow
def test_workers_outlive_a_database_that_crashes(server, study, start_worker, open_engine):
    engine = open_engine(trials=16)
    workers = [start_worker(trials=16) for _ in range(2)]
    for begun in (2, 8):
        wait_for(lambda begun=begun: sum(r["attempts"] for r in engine.records()) > begun)
        server.restart()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    check_complete(server, study, 16)


@pytest.mark.slow
def test_an_absence_of_the_database_is_nobodys_death(server, study, start_worker, open_engine):
    engine = open_engine(trials=2)
    workers = [start_worker(trials=2, seconds=12) for _ in range(2)]
    wait_for(lambda: [record["status"] for record in engine.records()] == ["running"] * 2)
    server.stop()
    time.sleep(2 * GRACE)
    server.start()
    while not engine.finished:
        assert engine.ask() is None
        time.sleep(0.05)
    for worker in workers:
        worker.join(60)
    assert [record["attempts"] for record in engine.records()] == [1, 1]


@pytest.mark.slow
def test_ten_kills_at_random_moments_lose_nothing_and_double_nothing(
    server, study, start_worker, open_engine
):
    draw, gate = random.Random(0), SPAWN.Lock()
    engine = open_engine(trials=45)  # more than are completed between the kills

    def start():
        return start_worker(45, 1, gate)

    workers = [start() for _ in range(3)]
    kinds = ["worker", "worker", "worker", "worker", "all", "all", "all"] + ["database"] * 3
    draw.shuffle(kinds)
    killed = 0
    for kind in kinds:
        wait_for(lambda: any(record["status"] == "running" for record in engine.records()))
        time.sleep(draw.uniform(0, 1))
        if kind == "database":
            server.restart()
            continue
        places = range(3) if kind == "all" else [draw.randrange(3)]
        with gate:  # who is training stays so
            victims = [workers[place] for place in places]
            wait_for(lambda some=victims: all(each.training.value for each in some), seconds=120)
            for victim in victims:
                victim.kill()
                victim.join()
                killed += 1
        for place in places:
            workers[place] = start()
    for worker in workers:
        worker.join(240)
        assert worker.exitcode == 0
    check_complete(server, study, 45)
    counts = Counter(trial.state.name for trial in attempts(server, study))
    assert counts.keys() <= {"COMPLETE", "FAIL"}
    assert counts["FAIL"] >= killed == 4 + 3 * 3, "every kill did hit a trial"


# ------------------------------------------------------------------------------------- promotions


@pytest.fixture
def open_file(tmp_path):
    """Engines of a study in a file, closed at the test's end: what a few calls show in no time."""
    engines = []

    def start(algorithm, **options):
        given = {"study": "s", "trials": 6, "epochs": 3, "heartbeat": 60, **options}
        storage = f"sqlite:///{tmp_path}/study.db"
        found = StudyEngine(plan, storage=storage, algorithm=algorithm, **given)
        engines.append(found)
        return found

    yield start
    for engine in engines:
        engine.close()


def train(engine, job, accuracy):
    engine.tell(job, {"validation_accuracy": accuracy, "epochs": job.epochs})


def test_a_trial_that_one_worker_stopped_another_one_trains_further(open_file):
    first, second = open_file("asha"), open_file("asha")
    for accuracy in (0.8, 0.9, 0.1):
        train(first, first.ask(), accuracy)
    best = second.ask()
    assert (best.number, best.epochs, best.attempt) == (1, 3, 1)
    assert best.config == first.records()[1]["config"]
    assert first.records()[1]["status"] == "running", "it has the figures of its first rung"
    assert first.records()[1]["metrics"]["validation_accuracy"] == 0.9
    for accuracy in (0.2, 0.3, 0.4):
        job = first.ask()
        assert job.epochs == 1
        train(first, job, accuracy)
    later = first.ask()
    assert (later.number, later.epochs) == (0, 3), "stopped long ago, and now of the best third"
    assert second.ask() is None and not second.finished
    train(second, best, 0.95)
    train(first, later, 0.85)
    assert first.ask() is None and first.finished and second.finished
    records = second.records()
    assert [record["metrics"]["epochs"] for record in records] == [3, 3, 1, 1, 1, 1]
    assert {(record["status"], record["attempts"]) for record in records} == {("completed", 1)}


def test_a_worker_that_dies_in_a_promotion_leaves_it_to_another(open_file):
    first = open_file("asha", trials=3)
    for accuracy in (0.1, 0.9, 0.2):
        train(first, first.ask(), accuracy)
    begun = first.ask()
    first.close()
    second = open_file("asha", trials=3)
    again = second.ask()
    assert (again.number, again.epochs, again.attempt) == (1, 3, 2)
    assert again.config == begun.config
    train(second, again, 0.95)
    assert second.finished
    assert [record["attempts"] for record in second.records()] == [1, 2, 1]


def test_a_promotion_that_fails_for_good_gives_its_place_to_the_next(open_file):
    engine = open_file("asha", trials=3, retries=0)
    for accuracy in (0.1, 0.9, 0.2):
        train(engine, engine.ask(), accuracy)
    assert not engine.fail(engine.ask(), "out of memory")
    job = engine.ask()
    assert (job.number, job.epochs) == (2, 3)
    train(engine, job, 0.3)
    assert engine.finished
    records = engine.records()
    assert [record["status"] for record in records] == ["completed", "failed", "completed"]
    assert records[1]["reason"] == "out of memory"


def test_hyperband_of_three_workers_trains_what_that_of_one_does(open_file):
    """Scores depend on the configuration alone, and the trials on nothing but the seed."""

    def trained(count):
        options = {"trials": 7, "epochs": 9, "seed": 5}
        engines = [open_file("hyperband", **options, study=f"of {count}") for _ in range(count)]
        found = []
        while jobs := [(engine, job) for engine in engines if (job := engine.ask())]:
            for engine, job in reversed(jobs):
                found.append((job.number, job.epochs))
                train(engine, job, score(job.config)["validation_accuracy"])
        assert all(engine.finished for engine in engines)
        return sorted(found)

    assert trained(1) == trained(3)


def test_a_space_that_is_exhausted_still_promotes(open_file, monkeypatch):
    engine = open_file("asha", trials=20)
    monkeypatch.setattr(engine, "_plan", small_plan)
    while job := engine.ask():
        train(engine, job, score(job.config)["validation_accuracy"])
    assert engine.exhausted and engine.finished and len(engine.records()) == 6
    assert sorted(record["metrics"]["epochs"] for record in engine.records()) == [1, 1, 1, 1, 3, 3]


def test_what_promotes_has_one_objective(open_file):
    with pytest.raises(ValueError, match="`objectives` must be accuracy with .* 'asha'"):
        open_file("asha", objectives=("accuracy", "macs"))


# -------------------------------------------------------------------------------- what is proposed


def test_a_failed_trial_is_tried_again_and_then_given_up(open_engine):
    engine = open_engine(trials=2, retries=1)
    job = engine.ask()
    assert engine.fail(job, "out of memory")
    assert engine.records()[0]["status"] == "waiting"
    again = engine.ask()
    assert (again.number, again.values, again.config) == (job.number, job.values, job.config)
    assert not engine.fail(again, "loss is not a number")
    run_to_its_end(engine)
    records = engine.records()
    assert [record["status"] for record in records] == ["failed", "completed"]
    assert records[0]["reason"] == "loss is not a number" and records[0]["attempts"] == 2
    assert records[1]["reason"] == "" and records[1]["metrics"] == score(records[1]["config"])


@pytest.mark.parametrize("algorithm", ["random", "bayesian"])
def test_no_configuration_is_tried_twice_and_an_exhausted_space_ends_the_search(
    server, study, open_engine, algorithm
):
    engine = open_engine(small_plan, trials=9, algorithm=algorithm)
    run_to_its_end(engine)
    assert engine.exhausted and engine.ask() is None
    configs = {tuple(record["config"].values()) for record in engine.records()}
    assert configs == {(width, saf) for width in SIZES[:3] for saf in (False, True)}
    assert len(attempts(server, study)) == len(engine.records()) == 6
    later = open_engine(small_plan, trials=9, algorithm=algorithm)
    assert later.finished and later.exhausted


def test_trials_that_run_elsewhere_keep_an_exhausted_search_open(open_engine):
    first, second = open_engine(small_plan, trials=7), open_engine(small_plan, trials=7)
    jobs = [first.ask() for _ in range(6)]
    assert second.ask() is None and second.exhausted and not second.finished
    for job in jobs:
        first.tell(job, score(job.config))
    assert second.finished


@pytest.mark.slow
def test_a_bayesian_search_learns(open_engine):
    engine = open_engine(trials=40)
    run_to_its_end(engine)
    accuracies = [record["metrics"]["validation_accuracy"] for record in engine.records()]
    assert sum(accuracies[-10:]) > sum(accuracies[:10])


@pytest.mark.slow
def test_two_objectives_evolve_and_have_a_pareto_front(server, study, open_engine):
    engine = open_engine(trials=24, objectives=("accuracy", "macs"))
    run_to_its_end(engine)
    points = {
        record["trial"]: (record["metrics"]["validation_accuracy"], -record["metrics"]["macs"])
        for record in engine.records()
    }
    front = [
        number
        for number, point in points.items()
        if not any(
            other != point and all(a >= b for a, b in zip(other, point, strict=True))
            for other in points.values()
        )
    ]
    assert {points[n] for n in pareto(engine.records())} == {points[n] for n in front}
    assert 1 < len(front) < 24
    generations = [
        value
        for trial in attempts(server, study)
        for name, value in trial.system_attrs.items()
        if name.endswith("generation")
    ]
    assert len(generations) == 24 and max(Counter(generations).values()) <= 24 // 4


@pytest.mark.parametrize(
    "objectives", [("accuracy",), ("accuracy", "macs"), ("params", "accuracy")]
)
def test_other_programs_see_the_names_of_the_objectives(tmp_path, objectives, recwarn):
    storage = f"sqlite:///{tmp_path}/study.db"
    options = {"storage": storage, "study": "s", "trials": 2, "objectives": objectives}
    for _ in range(2):  # two workers, one after the other
        engine = StudyEngine(plan, **options)
        job = engine.ask()
        engine.tell(job, score(job.config))
        engine.close()
    study = optuna.load_study(study_name="s", storage=storage)
    assert study.metric_names == list(objectives)
    assert not [warning for warning in recwarn if "xperimental" in str(warning.message)]


def test_a_study_that_was_begun_without_names_is_given_them(tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"
    options = {"storage": storage, "study": "s", "trials": 2, "objectives": ("accuracy", "macs")}
    StudyEngine(plan, **options).close()
    with sqlite3.connect(tmp_path / "study.db") as file:
        file.execute("DELETE FROM study_system_attributes WHERE key = 'study:metric_names'")
    StudyEngine(plan, **options).close()
    names = optuna.load_study(study_name="s", storage=storage).metric_names
    assert names == ["accuracy", "macs"]


def test_a_plan_sees_the_values_that_keras_tuner_would_give_it(open_engine):
    seen = []

    def curious(hp):
        config = {
            "int": hp.Int("int", 3, 10, step=3),
            "log": hp.Int("log", 1, 1000, sampling="log"),
            "float": hp.Float("float", 0.1, 0.75, step=0.2, default=0.1),
            "rate": hp.Float("rate", min_value=1e-4, max_value=1e-2, sampling="log"),
            "choice": hp.Choice("choice", values=["a", "b"], ordered=False),
            "fixed": hp.Fixed("fixed", [1, 2]),
        }
        seen.append((config, hp.values))
        return config

    engine = open_engine(curious, trials=20, algorithm="random")
    jobs = [engine.ask() for _ in range(20)]
    assert {job.config["int"] for job in jobs} == {3, 6, 9}
    assert {round(job.config["float"], 6) for job in jobs} == {0.1, 0.3, 0.5, 0.7}
    assert all(1e-4 <= job.config["rate"] <= 1e-2 for job in jobs)
    assert {job.config["choice"] for job in jobs} == {"a", "b"}
    assert all(config == values for config, values in seen)
    assert all(job.values == job.config for job in jobs)
    assert sum(job.config["log"] < 100 for job in jobs) > 5
    (stored, *_) = engine.records()
    assert stored["values"] == jobs[0].values


@pytest.mark.parametrize("options", [{"sampling": "reverse_log"}, {"sampling": "log", "step": 2}])
def test_what_no_sampler_can_draw_is_an_error(open_engine, options):
    engine = open_engine(lambda hp: {"width": hp.Int("width", 1, 64, **options)})
    with pytest.raises(ValueError, match="`sampling` must be .* 'width'"):
        engine.ask()
    assert engine.records()[0]["attempts"] == 0


# ------------------------------------------------------------------------------------ what is wrong


@pytest.mark.parametrize(
    "other", [{"trials": 5}, {"seed": 1}, {"algorithm": "random"}, {"options": {"data": "mnist"}}]
)
def test_a_worker_with_other_options_is_refused(open_engine, other):
    options = {"trials": 4, "options": {"data": "digits", "size": 16}}
    open_engine(**options)
    open_engine(**options)
    name, value = next(iter(other.get("options", other).items()))
    with pytest.raises(ValueError, match=f"`{name}` must be .* Received: {name}={value!r}"):
        open_engine(**options | other)


def test_a_study_of_something_else_is_left_alone(server, study, open_engine):
    url = database_url(server.url).render_as_string()
    optuna.create_study(storage=url, study_name=study).enqueue_trial({})
    with pytest.raises(ValueError, match="`study` must be new"):
        open_engine()


@pytest.mark.parametrize(
    ("wanted", "options"),
    [
        ("`algorithm` must be one of random, bayesian, hyperband, asha", {"algorithm": "grid"}),
        ("`objectives` must be some of accuracy, macs", {"objectives": ("accuracy", "speed")}),
        ("`objectives` must be some of", {"objectives": ("macs", "macs")}),
        ("`trials` must be at least 1", {"trials": 0}),
        ("`retries` must be at least 0", {"retries": -1}),
        ("`heartbeat` must be at least 1", {"heartbeat": 0}),
        ("`grace` must be longer than the heartbeat, 1", {"grace": 1}),
    ],
)
def test_an_option_out_of_range_is_refused(open_engine, wanted, options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=wanted) as error:
        open_engine(**options)
    assert str(error.value).endswith(f"Received: {name}={value!r}")


def test_a_result_that_is_no_number_is_refused_and_can_still_fail(open_engine):
    engine = open_engine(trials=1, retries=0)
    job = engine.ask()
    with pytest.raises(ValueError, match="`metrics` must be finite numbers"):
        engine.tell(job, {"validation_accuracy": float("nan")})
    engine.fail(job, "the accuracy is not a number")
    assert engine.records()[0]["status"] == "failed"


@pytest.mark.parametrize(
    "storage",
    [
        "postgresql://someone:secret@localhost/studies",
        "postgresql://localhost/studies?user=someone&password=secret",
        "postgresql://localhost/studies?sslpassword=secret",
        "mysql://someone:secret@localhost/studies",
    ],
)
def test_a_password_in_the_storage_is_refused_and_not_repeated(storage):
    with pytest.raises(ValueError, match="must not hold a password: use PGPASSFILE") as error:
        database_url(storage)
    assert "secret" not in str(error.value) and error.value.__cause__ is None


@pytest.mark.parametrize(
    "storage",
    ["studies.db", "someone:secret@localhost/studies", "sqlite://", "sqlite:///:memory:"]
    + ["mysql://localhost/studies", "postgresql://localhost", "redis://localhost"],
)
def test_other_storages_are_refused(storage):
    with pytest.raises(
        ValueError, match="`storage` must be postgresql://.* or sqlite:///"
    ) as error:
        database_url(storage)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("library", ["optuna", "psycopg", "sqlalchemy"])
def test_without_its_libraries_a_study_says_what_to_install(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=rf"keras-archs\[search\].* Received: no {library}"):
        database_url("postgresql://localhost/studies")


def test_the_password_is_seen_nowhere(server, open_engine, caplog, capfd):
    with caplog.at_level(logging.DEBUG):
        engine = open_engine(trials=4)
        engine.ask()
        server.stop()
        engine.close()
        server.start()
    assert f"{USER}@127.0.0.1" in caplog.text and "has not answered for 1 s" in caplog.text
    output = capfd.readouterr()
    assert server.password not in caplog.text + output.out + output.err


@pytest.mark.slow
def test_a_wrong_password_is_an_error_that_names_the_reason(server, open_engine, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "not-the-word")
    monkeypatch.delenv("PGPASSFILE")
    with pytest.raises(ValueError, match="`storage` must be a database that answers") as error:
        open_engine()
    assert "password authentication failed" in str(error.value) and USER in str(error.value)
    assert "not-the-word" not in str(error.value)


@pytest.mark.slow
def test_workers_of_one_machine_can_share_a_file(tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"
    told = SPAWN.RawValue("b", False), SPAWN.Lock()
    arguments = storage, "s", 8, {}, 0.05, *told
    workers = [SPAWN.Process(target=work, args=arguments) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    with sqlite3.connect(tmp_path / "study.db") as file:
        states = file.execute("SELECT state, count(*) FROM trials GROUP BY state").fetchall()
    assert states == [("COMPLETE", 8)]


def test_trials_rank_by_how_long_they_were_trained_then_by_accuracy_then_by_loss():
    def trial(name, epochs, accuracy, loss=1.0, status="completed", **more):
        metrics = {"epochs": epochs, "validation_accuracy": accuracy, "validation_loss": loss}
        return {"name": name, "status": status, "metrics": metrics | more}

    records = [
        trial("a short rung", 2, 0.9),
        trial("failed", 0, 0.0, status="failed"),
        trial("long", 6, 0.6),
        trial("long, with a lower loss", 6, 0.6, 0.5),
        trial("no better for some epochs", 3, 0.7, ended="patience"),
    ]
    names = [record["name"] for record in ranking(records)]
    first, second = "no better for some epochs", "long, with a lower loss"
    assert names == [first, second, "long", "a short rung"]
