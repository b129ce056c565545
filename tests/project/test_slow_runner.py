"""tests/run_slow.py: what is too late is listed and fails nothing, what fails fails the run."""

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_slow import rotated

RUNNER = Path(__file__).parents[1] / "run_slow.py"


@pytest.fixture
def project(tmp_path):
    """A folder that `run(...)` treats as the project; its files are written by `add`."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -m 'not slow'\nmarkers = slow: .\n")
    (tmp_path / "tests").mkdir()
    return tmp_path


def add(project, name, body):
    text = f"import os, time, pytest\npytestmark = pytest.mark.slow\n{body}\n"
    (project / "tests" / name).write_text(text)


def run(project, *options, minutes_ago=None):
    env = dict(os.environ)
    env.pop("KERAS_ARCHS_CI_START", None)
    if minutes_ago is not None:
        env["KERAS_ARCHS_CI_START"] = str(time.time() - 60 * minutes_ago)
    command = [sys.executable, str(RUNNER), *options]
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)


def test_every_slow_item_runs_and_fast_ones_do_not(project):
    add(project, "test_a.py", "def test_one(): pass\ndef test_two(): pytest.skip('no browser')")
    (project / "tests" / "test_fast.py").write_text("def test_fast(): raise SystemExit(3)\n")
    result = run(project)
    assert result.returncode == 0, result.stdout
    assert result.stdout.splitlines()[-1] == "1 passed, 0 failed, 1 skipped"


def test_a_failure_an_error_and_a_crash_fail_the_run(project):
    add(project, "test_a.py", "def test_bad(): assert 0\ndef test_good(): pass")
    add(project, "test_b.py", "@pytest.fixture\ndef f(): 1 / 0\ndef test_error(f): pass")
    add(project, "test_c.py", "def test_crash(): os._exit(7)")
    result = run(project)
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == "1 passed, 3 failed, 0 skipped"
    for node in ("a.py::test_bad", "b.py::test_error", "c.py::test_crash"):
        assert f"failed: tests/test_{node}" in result.stdout


def test_a_test_that_fails_only_as_it_tears_down_counts_once_as_failed(project):
    add(project, "test_a.py", "@pytest.fixture\ndef f():\n yield\n 1 / 0\ndef test_x(f): pass")
    result = run(project)
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == "0 passed, 1 failed, 0 skipped"


def test_what_cannot_start_in_time_is_listed_and_fails_nothing(project):
    add(project, "test_a.py", "def test_late(): assert 0")
    result = run(project, minutes_ago=71)
    assert result.returncode == 0
    assert "not run: tests/test_a.py::test_late\n0 passed, 0 failed, 0 skipped" in result.stdout


def test_nothing_to_run_is_fine_and_a_file_that_does_not_import_is_not(project):
    assert run(project).stdout.splitlines()[-1] == "0 passed, 0 failed, 0 skipped"
    add(project, "test_a.py", "import no_such_module_at_all")
    result = run(project)
    assert result.returncode == 1
    assert "no_such_module_at_all" in result.stderr


@pytest.mark.slow  # it waits for the limit
def test_what_still_runs_at_the_limit_is_stopped_and_listed_and_fails_nothing(project):
    for name in ("test_a.py", "test_b.py", "test_c.py"):  # two at a time
        add(project, name, "def test_hang(): time.sleep(1e6)")
    result = run(project, "--stop-at", "1", minutes_ago=0)
    assert result.returncode == 0, result.stdout
    lines = result.stdout.splitlines()
    assert sum(line.startswith("not finished: tests/test_") for line in lines) == 2
    assert sum(line.startswith("not run: tests/test_") for line in lines) == 1
    assert lines[-1] == "0 passed, 0 failed, 0 skipped"


@pytest.mark.slow  # it waits for the limit
def test_no_item_starts_once_it_is_too_late_not_even_in_a_file_that_runs(project):
    late = "time.sleep(max(0, float(os.environ['KERAS_ARCHS_SLOW_START_BY']) - time.time()))"
    add(project, "test_a.py", f"def test_one(): {late}\ndef test_two(): {late}")
    result = run(project, "--start-by", "1", minutes_ago=0)
    assert result.returncode == 0, result.stdout
    assert "not run: tests/test_a.py::test_" in result.stdout
    assert result.stdout.splitlines()[-1] == "1 passed, 0 failed, 0 skipped"


def test_days_that_each_get_through_a_part_soon_get_through_all():
    items = [f"{number}" for number in range(1400)]
    for first in range(739_942, 739_942 + 365, 5):
        for part, days in ((0.4, 3), (0.25, 5), (0.1, 13)):
            run = {
                item
                for day in range(first, first + days)
                for item in rotated(items, day)[: math.ceil(part * len(items))]
            }
            assert run == set(items), (first, part)


def test_the_order_is_cyclic():
    items = ["a", "b", "c", "d"]
    assert {"".join(rotated(items, day)) for day in range(9)} == {"abcd", "bcda", "cdab", "dabc"}
    assert rotated([], 7) == []
