"""Commands that are killed at every write and at random moments, and what they end with.

    python benchmarks/kills.py [--commands train,export] [--random 20] [--seed 0]

For each command of tests/killing.py, on a network of a few hundred parameters: the folder as
SIGKILL leaves it before and after every rename is resumed and compared with the run that was not
killed, bit for bit but for times. Then processes of the command get SIGKILL, SIGTERM, Ctrl-C and
Ctrl-C twice, in turn, at random moments after their imports, and are resumed. Prints a table; exit
status 1 where a result differs, or a temporary file is left.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

import killing  # noqa: E402  it stands there

SIGNALS = (signal.SIGKILL,), (signal.SIGTERM,), (signal.SIGINT,), (signal.SIGINT, signal.SIGINT)
CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
import killing
print("ready", flush=True)
killing.call(sys.argv[2], "result", resume=True)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--commands", default=",".join(killing.COMMANDS), help="%(default)s")
    parser.add_argument("--random", type=int, default=20, help="processes a command (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (%(default)s)")
    options = parser.parse_args()
    print("| command | kills at writes | kills at random | results that differ | files left |")
    print("|---|--:|--:|--:|--:|")
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        parent = Path(place, "parent")
        parent.mkdir()
        os.chdir(parent)
        killing.make_data()
        killing.call("train", "parent")
        for name in options.commands.split(","):
            found = tried(name, parent, Path(place, name), options)
            print(f"| {name} | {' | '.join(map(str, found))} |", flush=True)
            wrong += sum(found[2:])
            os.chdir(place)
            shutil.rmtree(Path(place, name))
    sys.exit(bool(wrong))


def tried(name: str, parent: Path, place: Path, options) -> tuple[int, int, int, int]:
    """Kills at writes, kills at random moments, results that differ, temporary files left."""
    place.mkdir()
    os.chdir(shutil.copytree(parent, place / "whole"))
    start = time.monotonic()
    at_writes = killing.moments(name, place / "kept")
    seconds = time.monotonic() - start
    wanted = killing.content("result")
    at_random = list(killed(name, parent, place, seconds, options))
    differ = left = 0
    for folder in (*at_writes, *at_random):
        os.chdir(folder)
        killing.call(name, "result", resume=True)
        if killing.content("result") != wanted:
            differ += 1
            print(f"{name}: another result from {folder.name}", file=sys.stderr)
        if leftovers := killing.leftovers():
            left += len(leftovers)
            print(f"{name}: left from {folder.name}: {', '.join(leftovers)}", file=sys.stderr)
    return len(at_writes), len(at_random), differ, left


def killed(name: str, parent: Path, place: Path, seconds: float, options) -> Iterator[Path]:
    """Folders of processes that got signals at random moments of the command."""
    moment = random.Random(f"{options.seed} {name}")
    for number in range(options.random):
        folder = Path(shutil.copytree(parent, place / f"killed-{number}"))
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(TESTS), name],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        process.stdout.readline()  # its imports are done
        time.sleep(moment.uniform(0, seconds))
        for each in SIGNALS[number % len(SIGNALS)]:
            process.send_signal(each)
            time.sleep(0.05)
        process.communicate()
        yield folder


if __name__ == "__main__":
    main()
