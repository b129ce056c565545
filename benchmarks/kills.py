"""Commands that are killed at every write and at random moments, and what they end with.

    python benchmarks/kills.py [--commands train,export] [--random 20] [--seed 0] [--minutes 60]
        [--output benchmarks/results/kills.csv]

For each command of tests/killing.py, on a network of a few hundred parameters: the folder as
SIGKILL leaves it before and after every rename is resumed and compared with the run that was not
killed, bit for bit but for times. Then processes of the command get SIGKILL, SIGTERM, Ctrl-C and
Ctrl-C twice, in turn, at random moments after their imports, and are resumed.

Every resumption is a training, so all of them take hours: each is a row of the table, and what has
its row is passed over when the command is given again. They are taken in a random order, so that a
part of them is a sample. Prints how many there were; exit status 1 where a result differs, or a
temporary file is left. `python docs/reliability.py` brings the figures to docs/reliability.md.
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
from typing import NamedTuple

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

import killing  # noqa: E402  it stands there
import rows  # noqa: E402

SIGNALS = (signal.SIGKILL,), (signal.SIGTERM,), (signal.SIGINT,), (signal.SIGINT, signal.SIGINT)
RESULTS = Path(__file__).parent / "results" / "kills.csv"
CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
import killing
print("ready", flush=True)
killing.call(sys.argv[2], "result", resume=True)
"""


class Kill(NamedTuple):
    """A row.

    Attributes:
        command: of `killing.COMMANDS`.
        at: "write" or "random".
        number: which of them.
        of: how many there are.
        differs: whether the result is another one.
        left: temporary files that are left.
    """

    command: str
    at: str
    number: int
    of: int
    differs: int
    left: int


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--commands", default=",".join(killing.COMMANDS), help="%(default)s")
    parser.add_argument("--random", type=int, default=20, help="processes a command (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (%(default)s)")
    parser.add_argument("--minutes", type=float, default=1e9, help="after which no kill is begun")
    parser.add_argument("--output", type=Path, default=RESULTS, help="%(default)s")
    options = parser.parse_args()
    output = options.output.resolve()
    end = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as place:
        parent = Path(place, "parent")
        parent.mkdir()
        os.chdir(parent)
        killing.make_data()
        killing.call("train", "parent")
        for name in options.commands.split(","):
            known = rows.found(output, Kill._fields)
            known = known[known["command"] == name]
            for kill in tried(name, parent, Path(place, name), options, known, end):
                rows.append(output, Kill._fields, kill)
                print(*kill, flush=True)
            os.chdir(place)
            shutil.rmtree(Path(place, name), ignore_errors=True)
    found = rows.found(output, Kill._fields)
    sums = found.groupby(["command", "at"]).agg(
        {"number": "count", "of": "max", "differs": "sum", "left": "sum"}
    )
    print(sums.to_string())
    sys.exit(bool(sums[["differs", "left"]].to_numpy().sum()))


def tried(name: str, parent: Path, place: Path, options, known, end: float) -> Iterator[Kill]:
    """What became of each kill that has no row yet, until the time is over."""
    done = set(zip(known["at"], known["number"], strict=True))
    writes = int(known[known["at"] == "write"]["of"].max()) if len(known) else None
    if writes is not None and len(done) >= writes + options.random or time.monotonic() >= end:
        return
    place.mkdir()
    os.chdir(shutil.copytree(parent, place / "whole"))
    start = time.monotonic()
    folders = killing.moments(name, place / "kept")
    seconds = time.monotonic() - start
    wanted = killing.content("result")
    left = [("write", number) for number in range(len(folders))]
    left += [("random", number) for number in range(options.random)]
    random.Random(options.seed).shuffle(left)
    for at, number in left:
        if (at, number) in done:
            continue
        if time.monotonic() >= end:
            return
        if at == "random":
            folder = killed(name, number, parent, place, seconds, options)
        else:
            folder = folders[number]
        os.chdir(folder)
        killing.call(name, "result", resume=True)
        differs, leftovers = killing.content("result") != wanted, killing.leftovers()
        if differs:
            print(f"{name}: another result from {folder.name}", file=sys.stderr)
        if leftovers:
            print(f"{name}: left from {folder.name}: {', '.join(leftovers)}", file=sys.stderr)
        of = len(folders) if at == "write" else options.random
        yield Kill(name, at, number, of, int(differs), len(leftovers))


def killed(name: str, number: int, parent: Path, place: Path, seconds: float, options) -> Path:
    """The folder of a process that got a signal at a random moment of the command."""
    moment = random.Random(f"{options.seed} {name} {number}")
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
    return folder


if __name__ == "__main__":
    main()
