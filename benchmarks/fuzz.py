"""Readers under a fuzzer that is led by coverage: atheris, on the targets of tests/fuzzing.py.

    python benchmarks/fuzz.py [--seconds 60] [--targets kac,server] [--folder runs/fuzz]
        [--output benchmarks/results/fuzz.csv]

Every target runs in a process of its own, on Keras' NumPy backend. What was found goes to
`FOLDER/TARGET/findings`, one input for each place that an error comes from, and is printed; what
led to new code to `FOLDER/TARGET/corpus`, from which the next run begins. Each run of a target is a
row of the table. Exit status 1 where anything was found.

`python docs/reliability.py` brings the table's figures to docs/reliability.md.
"""

import argparse
import contextlib
import io
import os
import re
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "numpy"  # no threads before a process forks

import atheris  # noqa: E402
import rows  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
# Whose branches are counted; code that is not Python counts none.
READERS = (
    *("keras_archs.weights", "applications", "fuzzing"),
    *("zipfile", "yaml", "PIL", "python_multipart", "starlette.formparsers", "safetensors"),
)
with (
    contextlib.redirect_stderr(io.StringIO()),  # a line for each module
    atheris.instrument_imports(include=READERS, enable_loader_override=False),
):
    from fuzzing import SECONDS, TARGETS, TIMES, Target

COLUMNS = ("target", "seconds", "executions", "edges", "features", "peak_mb", "findings")
_STATUS = re.compile(rb"#(\d+)\s+\w+ +cov: (\d+) ft: (\d+)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60, help="each target (%(default)s)")
    parser.add_argument("--runs", type=int, default=-1, help="each target, where it is sooner")
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--targets", default=",".join(TARGETS), help="%(default)s")
    parser.add_argument("--folder", type=Path, default=Path("runs", "fuzz"), help="%(default)s")
    parser.add_argument("--output", type=Path, metavar="FILE.csv")
    options = parser.parse_args()
    found = 0
    print(f"| {' | '.join(COLUMNS)} |\n|---|{'--:|' * (len(COLUMNS) - 1)}", flush=True)
    for name in options.targets.split(","):
        row = fuzzed(name, (options.folder / name).resolve(), options)
        print(f"| {' | '.join(map(str, row))} |", flush=True)
        if options.output:
            rows.append(options.output, COLUMNS, row)
        found += row[-1]
    sys.exit(bool(found))


def fuzzed(name: str, folder: Path, options: argparse.Namespace) -> tuple[Any, ...]:
    """The row of one target."""
    for place in ("corpus", "findings", "seeds"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    before = set((folder / "findings").iterdir())
    log = folder / "log.txt"
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as place:  # what a child that is killed leaves goes too
        child = os.fork()
        if not child:
            tempfile.tempdir = place
            _become(name, folder, options, log)
        _, status, used = os.wait4(child, 0)
    took = round(time.monotonic() - begin)
    figures = _STATUS.findall(log.read_bytes())
    executions, edges, features = map(int, figures[-1]) if figures else (0, 0, 0)
    new = sorted(set((folder / "findings").iterdir()) - before)
    for path in new:
        print(f"{name}: {path}", file=sys.stderr)
    if status and not new:
        print(f"{name}: ended with {status}, see {log}", file=sys.stderr)
    count = max(len(new), int(status != 0))
    return name, took, executions, edges, features, used.ru_maxrss // 1024, count


def _become(name: str, folder: Path, options: argparse.Namespace, log: Path) -> None:
    """Fuzz in this process until it ends."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    target = TARGETS[name]
    try:
        for number, seed in enumerate(target.seeds()):
            (folder / "seeds" / f"{number:02d}").write_bytes(seed)
            with contextlib.suppress(*target.refused):
                target.read(seed)  # what it imports and keeps costs no input any more
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    arguments = [
        *(name, f"-max_total_time={options.seconds}", f"-runs={options.runs}"),
        *(f"-seed={options.seed}", f"-timeout={SECONDS}", "-rss_limit_mb=4096"),
        *(f"-max_len={target.longest}", f"-artifact_prefix={folder}/findings/"),
        *(str(folder / "corpus"), str(folder / "seeds")),
    ]
    atheris.Setup(arguments, _watched(target, folder / "findings"))
    atheris.Fuzz()


def _watched(target: Target, findings: Path) -> Callable[[bytes], None]:
    """Reads and goes on; what is found is kept by what it is."""

    def keep(kind: str, content: bytes) -> None:
        path = findings / re.sub(r"[^\w.:-]", "_", kind)
        if not path.exists():
            path.write_bytes(content)

    def read(content: bytes) -> None:
        before = _peak()
        try:
            target.read(content)
        except target.refused:
            pass
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            keep(f"{type(error).__name__}-{_place(error)}", content)
        if _peak() - before > target.memory * 2**20 + TIMES * len(content):
            keep("memory", content)

    return read


def _peak() -> int:
    """The most memory that this process ever had, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _place(error: BaseException) -> str:
    """The last line of a package of ours that an error came through."""
    frames: Sequence[Any] = traceback.extract_tb(error.__traceback__)
    packages = tuple(str(ROOT / name) for name in ("keras_archs", "applications"))
    ours = [frame for frame in frames if frame.filename.startswith(packages)]
    last = (ours or frames)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


if __name__ == "__main__":
    main()
