"""Run the tests marker `slow` selects, within the time that CI grants: `python tests/run_slow.py`.

Works in the project's root folder, one pytest process per test file, two at a time; what a file
printed comes when it is done. CI sets KERAS_ARCHS_CI_START
(seconds since the epoch): an item that could not start in time is listed as "not run", one that had
to be stopped as "not finished", and neither fails the run. Without the variable there is no limit.
Each day begins elsewhere in their order, so that none is left out for long.

Loaded by pytest as a plugin, this file is also what tells how far those processes came.
"""

import argparse
import concurrent.futures
import datetime
import itertools
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

EVENTS = "KERAS_ARCHS_SLOW_EVENTS"  # the file to which the plugin appends "STATE NODE_ID" lines
START_BY = "KERAS_ARCHS_SLOW_START_BY"
WORKERS = 2
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
SECONDS_TO_TEAR_DOWN = 20
NO_TESTS_COLLECTED = 5


def pytest_runtest_protocol(item, nextitem):
    """Leave an item out, without a word, once it is too late to start it."""
    return True if time.time() >= float(os.environ[START_BY]) else None


def pytest_runtest_logstart(nodeid, location):
    _note("started", nodeid)


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        _note(report.outcome, report.nodeid)


def _note(state, node_id):
    with open(os.environ[EVENTS], "a", encoding="utf-8") as file:
        file.write(f"{state} {node_id}\n")


def collect(folder: str) -> list[str]:
    """Node ids of the slow tests; ends the program where a test file cannot be read."""
    command = [sys.executable, "-m", "pytest", "-m", "slow", "--collect-only", "-q"]
    command += ["--disable-warnings", folder]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode not in (0, NO_TESTS_COLLECTED):
        sys.exit(result.stdout + result.stderr)
    return [line for line in result.stdout.splitlines() if "::" in line]


def rotated(items: list[str], day: int) -> list[str]:
    """The same items in the same cyclic order, begun elsewhere each day.

    The golden ratio of the order from one day to the next: the beginnings of days in a row lie far
    apart, however many days those are.
    """
    start = int(len(items) * (day * GOLDEN_RATIO % 1))
    return items[start:] + items[:start]


def run(
    items: list[str], start_by: float, stop_at: float, interrupted: threading.Event
) -> dict[str, str]:
    """State by node id: passed, failed, skipped, "not run" or "not finished".

    Args:
        items: node ids of one file.
        start_by: time, in seconds since the epoch, from which on no item is started.
        stop_at: time at which the process is stopped.
        interrupted: set to stop the process now.
    """
    states = dict.fromkeys(items, "not run")
    if time.time() >= start_by or interrupted.is_set():
        return states
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder, "events")
        events.touch()
        output = Path(folder, "output")
        here = str(Path(__file__).parent)
        path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
        limits = {EVENTS: str(events), START_BY: str(start_by), "PYTHONPATH": path}
        process = subprocess.Popen(
            # No time limit on one item: a machine may be several times slower than usual.
            [sys.executable, "-m", "pytest", "-p", "run_slow", "-o", "timeout=0"]
            + ["-m", "slow", "-q", "--durations=0", "--durations-min=1", *items],
            env=os.environ | limits,
            stdout=output.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        while process.poll() is None and time.time() < stop_at and not interrupted.is_set():
            time.sleep(0.1)
        stopped = process.poll() is None
        _stop(process)
        text = output.read_text(encoding="utf-8", errors="replace")
        print(f"\n{items[0].split('::')[0]}: {len(items)} slow\n{text}", flush=True)
        for line in events.read_text(encoding="utf-8").splitlines():
            state, node_id = line.split(" ", 1)
            if stopped and states[node_id] == "started" and state != "passed":
                continue  # what being stopped looks like from within
            if states[node_id] != "failed":  # a test that passed may fail as it tears down
                states[node_id] = state
    for node_id, state in states.items():
        if state == "started":
            states[node_id] = "not finished" if stopped else "failed"
    if not stopped and process.returncode not in (0, NO_TESTS_COLLECTED):
        if "failed" not in states.values():
            states[items[0].split("::")[0]] = "failed"
    return states


def _stop(process):
    """Let pytest tear down, then end whatever is left of the process and its children."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(SECONDS_TO_TEAR_DOWN)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the slow tests within CI's time.")
    parser.add_argument("folder", nargs="?", default="tests")
    parser.add_argument("--start-by", type=float, default=70, help="minute of the last start")
    parser.add_argument("--stop-at", type=float, default=85, help="minute of the stop")
    args = parser.parse_args()
    begin = float(os.environ.get("KERAS_ARCHS_CI_START", math.inf))
    stop_at = begin + 60 * args.stop_at
    start_by = min(begin + 60 * args.start_by, stop_at)

    states = {}
    items = rotated(collect(args.folder), datetime.date.today().toordinal())
    by_file = itertools.groupby(items, key=lambda item: item.split("::")[0])
    interrupted = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        runs = [
            pool.submit(run, list(group), start_by, stop_at, interrupted) for _, group in by_file
        ]
        try:
            for done in runs:
                states |= done.result()
        except KeyboardInterrupt:
            interrupted.set()
            raise

    for state in ("failed", "not run", "not finished"):
        for item in (item for item, its_state in states.items() if its_state == state):
            print(f"{state}: {item}")
    counts = [list(states.values()).count(state) for state in ("passed", "failed", "skipped")]
    print("{} passed, {} failed, {} skipped".format(*counts))
    return int(counts[1] > 0)


if __name__ == "__main__":
    sys.exit(main())
