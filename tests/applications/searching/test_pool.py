"""Workers: one process for many trials, replaced when it is worn out, and no trial the worse."""

import contextlib
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from processes import alive, children, wait_for

import applications
from applications.logs.diagnostics import device_figures
from applications.options import Options
from applications.searching import pool, worker
from applications.searching.pool import Workers
from applications.training import memory, training

GIB = 2**30

# Speaks as `worker` does, trains nothing, and does what its job says.
STAND_IN = """
import json, os, signal, sys
for line in sys.stdin:
    job = json.loads(line)
    say = lambda **what: print(json.dumps(what), flush=True)
    say(epoch={"pid": os.getpid()})
    if "complain" in job:
        print(job["complain"], file=sys.stderr, flush=True)
    if "exit" in job:
        sys.exit(job["exit"])
    if "signal" in job:
        os.kill(os.getpid(), job["signal"])
    if "error" in job:
        say(error=job["error"], damaged=job.get("damaged", False))
    else:
        say(metrics={"pid": os.getpid()})
    say(ready=job.get("resident", 1))
"""


@pytest.fixture
def start_workers(monkeypatch):
    """`Workers` whose processes are stand-ins; none is left behind."""

    def start(module, *arguments, errors, environment, **options):
        command = [sys.executable, "-c", STAND_IN]
        pipes = {"stdout": subprocess.PIPE, "stderr": errors, "env": environment}
        return subprocess.Popen(command, **pipes, **options)

    monkeypatch.setattr(pool.children, "start", start)
    with contextlib.ExitStack() as stack:
        yield lambda count=1: stack.enter_context(Workers(count))
    assert not children(os.getpid())


def do(workers, **job):
    """Do a job: its last event and the process that it was begun in last."""
    while not workers.free:
        workers.wait(10)
    workers.start("job", {"threads": None, **job})
    pids = []
    while (event := workers.wait(10)) is None or event.row:
        if event:
            pids.append(event.row["pid"])
    assert event.tag == "job" and not workers.busy
    return event, pids[-1]


def rest(workers):
    while not workers.free:
        workers.wait(10)


# ---------------------------------------------------------------------------- processes come and go


def test_one_process_does_job_after_job(start_workers):
    workers = start_workers()
    workers.prepare()
    events, pids = zip(*(do(workers) for _ in range(5)), strict=True)
    assert all(event.metrics and event.error is None for event in events)
    assert set(pids) == set(children(os.getpid())) and len(set(pids)) == 1


def test_each_place_has_a_process_of_its_own(start_workers):
    workers = start_workers(2)
    workers.start("a", {"threads": None})
    workers.start("b", {"threads": None})
    assert not workers.free and workers.busy
    ended = {}
    while len(ended) < 2:
        event = workers.wait(10)
        if event and event.metrics:
            ended[event.tag] = event.metrics["pid"]
    assert ended["a"] != ended["b"] and len(children(os.getpid())) == 2


@pytest.mark.parametrize(
    ("first", "kept", "early", "worn"),
    [
        (0.6 * GIB, 1.0 * GIB, 1.2 * GIB, 1.7 * GIB),  # more than 1 GiB
        (4.0 * GIB, 4.9 * GIB, 5.1 * GIB, 6.1 * GIB),  # more than half
    ],
)
def test_a_process_that_has_grown_makes_way_for_its_successor(
    start_workers, first, kept, early, worn
):
    workers = start_workers()
    _, pid = do(workers, resident=int(first))
    assert do(workers, resident=int(kept))[1] == pid
    rest(workers)
    assert children(os.getpid()) == [pid]
    assert do(workers, resident=int(early))[1] == pid
    rest(workers)
    (successor,) = set(children(os.getpid())) - {pid}  # it imports its libraries meanwhile
    assert do(workers, resident=int(worn))[1] == pid
    rest(workers)
    assert children(os.getpid()) == [successor]
    assert do(workers, resident=int(worn))[1] == successor
    assert do(workers, resident=int(worn))[1] == successor  # its own first job is what counts


def test_a_process_that_has_grown_at_once_is_replaced_at_once(start_workers):
    workers = start_workers()
    _, pid = do(workers, resident=GIB)
    assert do(workers, resident=9 * GIB)[1] == pid
    assert do(workers)[1] != pid


def test_other_threads_need_another_process(start_workers):
    workers = start_workers()
    pids = [do(workers, threads=threads)[1] for threads in (1, 1, 2, None, None)]
    assert pids[0] == pids[1] and pids[3] == pids[4]
    assert len(set(pids)) == 3


# ---------------------------------------------------------------------------------------- failures


def test_a_failed_job_leaves_its_process_alone(start_workers):
    workers = start_workers()
    _, pid = do(workers)
    event, same = do(workers, error="ValueError: `alpha` must be > 0")
    assert (event.error, event.metrics) == ("ValueError: `alpha` must be > 0", None)
    assert same == pid == do(workers)[1]


def test_a_job_that_may_have_damaged_its_process_ends_it(start_workers):
    workers = start_workers()
    event, pid = do(workers, error="ResourceExhaustedError: OOM", damaged=True)
    assert event.error == "ResourceExhaustedError: OOM"
    assert do(workers)[1] != pid and not alive(pid)


def test_what_may_be_the_fault_of_jobs_before_is_tried_in_a_new_process(start_workers):
    """So that a job fails where it would have failed alone, and nowhere else."""
    workers = start_workers()
    _, pid = do(workers)
    event, other = do(workers, error="InternalError: of its own", damaged=True)
    assert event.error == "InternalError: of its own" and other != pid


@pytest.mark.parametrize("number", range(1, 3))
def test_a_death_costs_one_job_and_says_why(start_workers, number):
    """That of a process that has just begun, and of one that has done a job."""
    workers = start_workers()
    for _ in range(1, number):
        do(workers, complain="RuntimeError: of an earlier job")
    event, pid = do(workers, signal=signal.SIGKILL)
    assert event.error == "killed by SIGKILL (out of memory?)" and not alive(pid)
    event, other = do(workers)
    assert event.error is None and other != pid
    event, _ = do(workers, exit=3, complain="SomeError: here\n\n")
    assert event.error == "ended with exit status 3: SomeError: here"
    do(workers, complain="SomeError: there")
    assert do(workers, exit=4)[0].error == "ended with exit status 4: nothing said"


def test_a_process_that_died_in_between_is_given_no_job(start_workers):
    workers = start_workers()
    _, pid = do(workers)
    rest(workers)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not alive(pid))
    event, other = do(workers)
    assert event.error is None and other != pid


def test_a_successor_that_dies_before_its_turn_is_not_missed(start_workers):
    workers = start_workers()
    _, pid = do(workers, resident=GIB)
    do(workers, resident=int(1.8 * GIB))
    rest(workers)
    (successor,) = set(children(os.getpid())) - {pid}
    os.kill(successor, signal.SIGKILL)
    wait_for(lambda: not alive(successor))
    assert workers.wait(10) is None
    assert do(workers, resident=9 * GIB)[1] == pid
    event, other = do(workers)
    assert event.error is None and other not in (pid, successor)


# -------------------------------------------------------------------------------- the worker's side

JOB = {
    "kind": "train",
    "folder": "f",
    "threads": None,
    "until": None,
    "columns": None,
    "parents": [],
}


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "damaged"),
    [
        (ValueError("the loss must\nstay finite"), False),
        (TypeError("an argument"), False),
        (MemoryError(), True),
        (caused(ValueError("a training must fit into memory"), MemoryError()), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), True),
        (RuntimeError("INTERNAL: a device has failed"), True),
        (KeyError("a bug"), True),
    ],
    ids=repr,
)
def test_a_worker_tells_whether_it_is_as_good_as_new(monkeypatch, error, damaged):
    def train_trial(*_, **__):
        raise error

    monkeypatch.setattr(training, "train_trial", train_trial)
    said = []
    job = JOB | {"config": Options(arch="lenet5").as_dict()}
    assert worker._do(job, lambda **what: said.append(what)) == (not damaged)
    (answer,) = said
    assert answer["damaged"] == damaged and "\n" not in answer["error"]
    assert answer["error"].startswith(f"{type(error).__name__}: ")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell the peak alone")
def test_memory_that_is_freed_is_forgotten():
    before = memory.resident()
    pixels = np.ones(2**26, np.uint8)  # 64 MiB, more than any other test's noise
    assert memory.resident() - before > 2**25
    del pixels
    assert memory.resident() - before < 2**25
    memory.forget_peak()
    assert 2**20 * device_figures(gpu=False)["peak_memory_mib"] - before < 2**25


def train_config(digits, **options):
    return Options(
        **{"arch": "lenet5", "data": str(digits), "size": 16, "threads": 1, "epochs": 2, **options}
    ).as_dict()


def train(workers, config, folder):
    job = {"config": config, "folder": str(folder), "threads": config["threads"]}
    workers.start(folder, JOB | job)
    return result(workers)


def result(workers):
    while (event := workers.wait(60)) is None or event.row:
        assert workers.busy or not workers.free
    rest(workers)
    return event


@pytest.mark.slow
def test_a_trial_ends_as_in_a_new_process_whatever_was_trained_before_it(tmp_path, digits):
    """Weights, history and figures, bit for bit; so does the test of a winner."""
    config = train_config(digits, seed=3, args={"dropout": 0.2}, rand_augment=0.5)
    before = [
        train_config(digits, seed=5, precision="mixed_bfloat16", epochs=1, size=20, alpha=0.5),
        train_config(digits, recipe="resnet20", learning_rate=1e6, weight_decay=1e6, epochs=9),
        train_config(digits, args={"variant": "1989"}, epochs=1),
    ]
    test = {"kind": "test", "threads": 1}
    with Workers(2) as workers:
        workers.prepare()
        used, new = workers._at.values()
        errors = []
        workers._free.remove(1)
        for number, other in enumerate(before):
            errors.append(train(workers, other, tmp_path / f"before-{number}").error)
        assert errors[0] is None and all(error.startswith("ValueError") for error in errors[1:])
        train(workers, config, tmp_path / "used")
        workers.start("test", test | {"folder": str(tmp_path / "used")})
        assert result(workers).error is None
        workers._free[:] = [1]
        train(workers, config, tmp_path / "new")
        workers.start("test", test | {"folder": str(tmp_path / "new")})
        assert result(workers).error is None
        assert (used.jobs, new.jobs) == (5, 2) and list(workers._at.values()) == [used, new]
    ours, theirs = (applications.load(tmp_path / name) for name in ("used", "new"))
    for one, other in zip(ours.model.weights, theirs.model.weights, strict=True):
        assert one.path == other.path
        np.testing.assert_array_equal(one, other)
    histories = [run.history.drop(columns="seconds") for run in (ours, theirs)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    assert "test_accuracy" in ours.metrics
    timed = {"latency_ms_p50", "latency_ms_p95", "train_seconds", "images_per_second"}
    for name in ours.metrics.keys() | theirs.metrics.keys():
        assert name in timed or ours.metrics[name] == theirs.metrics[name], name
    for name in ("ids", "labels", "probabilities"):
        np.testing.assert_array_equal(ours.predictions[name], theirs.predictions[name])
    assert {path.name for path in ours.path.iterdir() if "events" not in path.name} == {
        path.name for path in theirs.path.iterdir() if "events" not in path.name
    }
