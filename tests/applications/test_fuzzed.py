"""Bytes that a fuzzer made are read, or refused as it is documented: `benchmarks/fuzz.py`."""

import csv
import importlib.util
import subprocess
import sys
from pathlib import Path

import fuzzing
import pytest

ROOT = Path(__file__).parents[2]
FOUND = sorted(path for path in fuzzing.FOUND.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_was_a_finding_is_refused(path):
    name = path.parent.name
    assert fuzzing.refused(name, path.read_bytes()) or name == "server"  # which answers


@pytest.mark.parametrize("name", fuzzing.TARGETS)
def test_a_target_takes_what_its_first_seed_is(name):
    seed, *_ = fuzzing.TARGETS[name].seeds()
    assert not fuzzing.refused(name, seed)


@pytest.mark.parametrize("name", fuzzing.TARGETS)
@pytest.mark.parametrize("content", [b"", b"\0", b"\xff" * 300])
def test_a_target_refuses_what_is_none(name, content):
    if name == "server":
        assert fuzzing.TARGETS[name].read(content) in (307, 400, 404, 415)
    else:
        assert fuzzing.refused(name, content)


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="needs atheris, of `dev`")
def test_a_little_fuzzing_finds_nothing(tmp_path):
    targets = [name for name in fuzzing.TARGETS if name != "h5"]  # HDF5 itself may not return
    command = [sys.executable, ROOT / "benchmarks" / "fuzz.py", "--runs", "40", "--seed", "1"]
    command += ["--targets", ",".join(targets)]
    command += ["--folder", tmp_path / "fuzz", "--output", tmp_path / "fuzz.csv"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(tmp_path / "fuzz.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["target"] for row in rows] == targets
    assert all(int(row["executions"]) > 0 and int(row["edges"]) > 0 for row in rows)
