"""Searches that are killed again and again lose nothing, repeat nothing and end as if they had not.

The processes here are real, and so is what kills them.
"""

import contextlib
import inspect
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from postgres import postgres
from processes import alive, children, wait_for

from applications import load, runs
from applications.training.checkpoints import last_checkpoint

pytestmark = pytest.mark.slow

EPOCHS = 10
# Small checkpoints come often; one thread makes sums of the same order in every process.
SEARCH = [
    *(sys.executable, "-m", "applications.cli", "search", "--arch", "lenet5"),
    *("--algorithm", "random", "--tune", "learning_rate", "--epochs", str(EPOCHS)),
    *("--threads", "1", "--seed", "3", "--run-dir", "shared", "--resume"),
]


# Beside other work Ray's processes answer late, and it takes what is late for lost. Here only what
# is killed is lost: that refuses calls at once, and is called once a second.
_SECONDS = 600
RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # 15 by default: beside other work nothing would be trained
    "RAY_agent_register_timeout_ms": str(1000 * _SECONDS),
    "RAY_gcs_rpc_server_connect_timeout_s": str(_SECONDS),
    "RAY_gcs_rpc_server_reconnect_timeout_s": str(_SECONDS),
    "RAY_gcs_server_port_wait_time_s": str(_SECONDS),
    "RAY_gcs_server_request_timeout_seconds": str(_SECONDS),
    "RAY_grpc_keepalive_timeout_ms": str(1000 * _SECONDS),
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": str(1000 * _SECONDS),
    "RAY_py_gcs_connect_timeout_s": str(_SECONDS),
    "RAY_raylet_start_wait_time_s": str(_SECONDS),
    "RAY_worker_register_timeout_seconds": str(_SECONDS),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ports():
    """Free ports of a machine's agents, which it would else wait 15 seconds to hear of."""
    agents = "metrics_agent", "metrics_export", "runtime_env_agent"
    with contextlib.ExitStack() as held:
        free = [held.enter_context(socket.socket()) for _ in agents]
        for each in free:
            each.bind(("", 0))
        return {
            f"{name}_port": each.getsockname()[1] for name, each in zip(agents, free, strict=True)
        }


def without_hurry(services):
    """Ray's functions, by name, with which a machine may start as slowly as it does.

    That it dies after 15 seconds without the port of its dashboard's agent, and is given up after
    30, is none of Ray's settings.
    """
    start, known = services.start_raylet, services.get_node

    def start_raylet(*given, **named):
        found = inspect.signature(start).bind(*given, **named).arguments
        port = Path(found["session_dir"], f"dashboard_agent_listen_port_{found['node_id']}")
        port.write_text("-1")  # none, as the agent says itself where there is no dashboard
        return start(*given, **named)

    def get_node(*node):
        end = time.monotonic() + _SECONDS
        while True:
            try:
                return known(*node)
            except RuntimeError:
                assert time.monotonic() < end
                time.sleep(0.1)

    return {"start_raylet": start_raylet, "get_node": get_node}


@pytest.fixture
def cluster(here, monkeypatch):
    """A Ray cluster of three machines that are all here, the first of which trains nothing."""
    for name, value in RAY.items():
        monkeypatch.setenv(name, value)
    from ray._private import services
    from ray.cluster_utils import Cluster

    for name, function in without_hurry(services).items():
        monkeypatch.setattr(services, name, function)
    few = {"object_store_memory": 80 * 2**20, "include_log_monitor": False}
    head = {"num_cpus": 0, "include_dashboard": False, "no_monitor": True, **few, **ports()}
    cluster = Cluster(initialize_head=True, head_node_args={**head, "wait": False})
    cluster.nodes = [cluster.add_node(num_cpus=1, wait=False, **few, **ports()) for _ in range(2)]
    cluster.wait_for_nodes(_SECONDS)
    yield cluster
    cluster.shutdown()


def trainers(node):
    """Processes that train on one of the cluster's machines."""
    ours = [
        process.process.pid for processes in node.all_processes.values() for process in processes
    ]
    return {
        trainer
        for process in ours
        for worker in children(process)
        for trainer in children(worker)
        if b"applications.searching.worker" in command(trainer)
    }


def command(process):
    with contextlib.suppress(OSError):  # it has just ended
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


class Searches:
    """Processes of one search, and all processes that these have ever started."""

    def __init__(self, trials, *options, **environment):
        self.command = [*SEARCH, "--trials", str(trials), "--keep", str(trials), *options]
        self.trials, self.environment = trials, os.environ | environment
        self.running, self.offspring = [], set()

    def start(self):
        log = open(f"log-{time.monotonic_ns()}", "w")
        process = subprocess.Popen(self.command, env=self.environment, stdout=log, stderr=log)
        process.log = Path(log.name)
        log.close()
        self.running.append(process)

    def kill(self, process):
        """SIGKILL, which only this process gets; what it started has to notice."""
        self.look()
        process.kill()
        process.wait()
        self.running.remove(process)

    def look(self):
        """Note children; a process that ended by itself has succeeded."""
        for process in self.running:
            assert process.poll() in (None, 0), process.log.read_text()
            self.offspring.update(children(process.pid))

    def end(self):
        for process in self.running:
            process.kill()
            process.wait()


@pytest.fixture
def searches():
    started = []

    def of(trials, *options, **environment):
        started.append(Searches(trials, *options, **environment))
        return started[-1]

    yield of
    for search in started:
        search.end()


def checkpoints():
    """{trial: history in its checkpoint} of all trials that have one."""
    found = {}
    for folder in Path("shared").glob("trial-*/checkpoint"):
        with contextlib.suppress(FileNotFoundError):  # the trial has just ended
            saved = last_checkpoint(folder, or_anew=False)
            if saved:
                found[folder.parent.name] = saved.progress.history
    return found


def ended():
    """{trial: its result as it was written} of all trials that were trained to the end."""
    return {
        path.parent.name: ((path.parent / "history.csv").read_bytes(), path.stat().st_ino)
        for path in Path("shared").glob("trial-*/model.keras")
        if runs.is_finished(path.parent)
    }


def epochs_done():
    finished = ended()
    running = [rows for trial, rows in checkpoints().items() if trial not in finished]
    return EPOCHS * len(finished) + sum(map(len, running))


def writing():
    return any(Path("shared").glob("trial-*/checkpoint/.partial-*"))


class Notes:
    """What was on disk at the kills, which must be part of what is there at the end."""

    def __init__(self):
        self.histories, self.results = [], []
        self.during_a_write = 0

    def take(self):
        self.histories.append(checkpoints())
        self.results.append(ended())
        self.during_a_write += writing()

    def check(self):
        for histories in self.histories:
            for trial, rows in histories.items():
                final = load(Path("shared", trial)).history.to_dict("records")
                # The same rows, seconds included: no epoch that was saved was trained again.
                assert rows == final[: len(rows)]
        final = ended()
        for results in self.results:
            assert results.items() <= final.items()


def wait_until(condition, search):
    """Wait while the processes run; returns whether it came to that before the search's end."""
    end = time.monotonic() + 600
    while not condition():
        search.look()
        if all(process.poll() is not None for process in search.running):
            return False
        assert time.monotonic() < end
        time.sleep(0.001)
    return True


def moments(draw, times=1):
    """Moments of death, five or n times five of all kinds: functions that wait for one."""

    def starting(search):
        # On a fast machine others train meanwhile, and the search must outlive its kills.
        end, most = time.monotonic() + draw.uniform(0, 12), epochs_done() + 3
        while time.monotonic() < end and epochs_done() < most:
            time.sleep(0.05)

    def between_epochs(search):
        more = epochs_done() + draw.randint(1, 6)
        wait_until(lambda: epochs_done() >= more, search)
        time.sleep(draw.uniform(0, 0.3))

    def in_a_write(search):
        more = epochs_done() + draw.randint(0, 4)
        if wait_until(lambda: epochs_done() >= more, search):
            wait_until(writing, search)

    def between_trials(search):
        more = len(ended()) + 1
        wait_until(lambda: len(ended()) >= more, search)
        time.sleep(draw.uniform(0, 0.5))

    drawn = [starting, between_epochs, between_epochs, in_a_write, between_trials] * times
    draw.shuffle(drawn)
    return drawn


def check_results(search):
    """Exactly the trials that were asked for, each completed once, and nothing is left running."""
    wait_for(lambda: not any(map(alive, search.offspring)), seconds=60)
    table = pd.read_csv("shared/trials.csv")
    assert list(table["trial"]) == list(range(search.trials))
    assert set(table["status"]) == {"completed"}
    assert table["test_accuracy"].notna().sum() == 1
    assert not table.duplicated(["alpha", "rho", "learning_rate", "hp/dropout"]).any()
    assert {path.name for path in Path("shared").glob("trial-*")} == {
        f"trial-{number:04d}" for number in range(search.trials)
    }
    for run in table["run"]:
        assert list(load(run).history["epoch"]) == list(range(1, EPOCHS + 1))
        assert not Path(run, "checkpoint").exists()


def check_weights():
    """Every trial's weights are those of its own configuration, trained without interruption."""
    code = """
import sys
import numpy as np
from applications import load, train
for number, run in enumerate(sys.argv[1:]):
    run = load(run)
    again = train(**run.config, run_dir=f"whole-{number}", verbose=0)
    for ours, theirs in zip(run.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert run.history.drop(columns="seconds").equals(again.history.drop(columns="seconds"))
"""
    folders = sorted(map(str, Path("shared").glob("trial-*")))
    done = subprocess.run([sys.executable, "-c", code, *folders], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_local_search_that_is_killed_five_times_ends_as_if_it_had_not_been(here, searches):
    draw = random.Random(5)
    search, notes = searches(5), Notes()
    for come_to_it in moments(draw):
        search.start()
        come_to_it(search)
        (process,) = search.running
        assert process.poll() is None, "the search ended before its kills did"
        search.kill(process)
        notes.take()
    assert len(notes.histories) == 5
    search.start()
    assert search.running[0].wait() == 0, search.running[0].log.read_text()
    check_results(search)
    notes.check()
    check_weights()


def test_a_search_of_three_workers_on_postgresql_outlives_ten_kills(here, searches):
    draw = random.Random(7)
    with postgres() as server:
        options = ("--engine", "optuna", "--storage", server.url, "--heartbeat", "1")
        search, notes = searches(8, *options, **server.environment), Notes()

        def a_worker():
            search.kill(draw.choice(search.running))

        def all_workers():
            for process in list(search.running):
                search.kill(process)

        victims = [a_worker] * 6 + [all_workers] * 2 + [server.restart] * 2
        draw.shuffle(victims)
        for come_to_it, kill in zip(moments(draw, times=2), victims, strict=True):
            while len(search.running) < 3:
                search.start()
            come_to_it(search)
            search.look()
            search.running = [p for p in search.running if p.poll() is None]
            assert search.running, "the search ended before its kills did"
            kill()
            notes.take()
        assert len(notes.histories) == 10
        while len(search.running) < 3:
            search.start()
        for process in search.running:
            search.look()
            assert process.wait() == 0, process.log.read_text()
        check_results(search)
        notes.check()
        check_weights()


def test_a_search_on_ray_outlives_a_machine_that_is_lost_and_its_own_end(here, searches, cluster):
    options = ("--engine", "ray", "--address", cluster.address)
    search, notes = searches(3, *options), Notes()
    lost, left = cluster.nodes
    search.start()

    def both_train():
        time.sleep(0.5)  # to look takes time from those that train
        return all(map(trainers, cluster.nodes)) and len(checkpoints().keys() - ended()) == 2

    assert wait_until(both_train, search)
    notes.take()
    search.offspring |= trainers(lost)
    cluster.remove_node(lost, allow_graceful=False)
    wait_for(lambda: not any(map(alive, search.offspring)), _SECONDS)

    (driver,) = search.running
    loss = "lost its machine: another one goes on with it"

    def the_loss_is_said_one_is_done_and_one_trains():
        time.sleep(0.2)
        unfinished = checkpoints().keys() - ended()
        return loss in driver.log.read_text() and ended() and unfinished and trainers(left)

    assert wait_until(the_loss_is_said_one_is_done_and_one_trains, search)
    notes.take()
    search.offspring |= trainers(left)
    search.kill(driver)
    wait_for(lambda: not any(map(alive, search.offspring)), _SECONDS)
    said = driver.log.read_text().splitlines()
    assert said and all(line.startswith("trial ") for line in said), "Ray itself says nothing"
    assert any(loss in line for line in said)

    assert len(ended()) < 3 and any(notes.histories[-1].values())
    search.start()
    assert search.running[0].wait() == 0, search.running[0].log.read_text()
    check_results(search)
    notes.check()
    assert set(pd.read_csv("shared/trials.csv")["attempts"]) == {1}, "a loss is no failure"
