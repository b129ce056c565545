"""The fast tests under the oldest and the newest allowed libraries, on each Python.

    python benchmarks/matrix.py [--pythons 3.11,3.12,3.13] [--versions oldest,newest] [--again]
        [--workers 2] [--folder .matrix] [--output benchmarks/results/matrix.csv]

`make test-matrix` runs it with uv, which resolves and installs; the packages of all environments
come to some 20 GB. A Python is a version, to be found on the PATH, or the path of its program.
"oldest" is the lower bound of every requirement of pyproject.toml, the extras for GPUs and
PyTorch left out, or the next version that this Python has a wheel of; "newest" is what is resolved
without any constraint. What the requirements bring themselves is as new as it may be.

Every combination is a row of the table, and what has its row for this version of the project is
passed over unless `--again` is given. Versions that do not install are a row with the status "not
available". Exit status 1 where a Python is missing, versions do not install, or a test fails. After
each row docs/reliability.py makes the table of docs/reliability.md, which is tested, too.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import rows

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = "3.11", "3.12", "3.13"
RESULTS = ROOT / "benchmarks" / "results" / "matrix.csv"
EXTRAS = "tensorflow,jax,search,ray,serve,retrieve,runtime,notebooks,docs,dev"
LIBRARIES = "tensorflow", "keras", "keras-tuner"
RESOLUTIONS = {"oldest": "lowest-direct", "newest": "highest"}
UV = sys.executable, "-m", "uv", "--no-python-downloads"


class Combination(NamedTuple):
    """A row.

    Attributes:
        version: of the project.
        date: on which the tests ran, UTC.
        python: its version.
        versions: "oldest" or "newest" of the libraries.
        keras, tensorflow, keras_tuner: their versions; None where they do not install.
        passed, failed, skipped: how many tests; an error is a failure.
        status: "passed", "failed" or "not available".
    """

    version: str
    date: str
    python: str
    versions: str
    keras: str | None
    tensorflow: str | None
    keras_tuner: str | None
    passed: int
    failed: int
    skipped: int
    status: str


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pythons", default=",".join(PYTHONS), help="%(default)s")
    parser.add_argument("--versions", default=",".join(RESOLUTIONS), help="%(default)s")
    parser.add_argument("--again", action="store_true", help="those that have a row, too")
    parser.add_argument("--workers", type=int, default=2, help="processes (%(default)s)")
    parser.add_argument("--folder", type=Path, default=ROOT / ".matrix", help="%(default)s")
    parser.add_argument("--output", type=Path, default=RESULTS, help="%(default)s")
    options = parser.parse_args()
    if unknown := set(options.versions.split(",")) - RESOLUTIONS.keys():
        parser.error(f"--versions takes oldest and newest. Received: {', '.join(sorted(unknown))}")
    version = version_of_project()
    known = rows.found(options.output, Combination._fields)
    known = known[known["version"] == version]
    whole = True
    for name in options.pythons.split(","):
        if (python := python_version(name)) is None:
            print(f"error: there is no Python {name}", file=sys.stderr)
            whole = False
            continue
        for versions in options.versions.split(","):
            done = known[(known["python"] == python) & (known["versions"] == versions)]
            if len(done) and not options.again:
                row = Combination(*done.iloc[-1])
            else:
                row = tried(name, python, versions, version, options)
                rows.append(options.output, Combination._fields, row)
                subprocess.run([sys.executable, ROOT / "docs" / "reliability.py"], check=True)
            print(*row, flush=True)
            whole &= row.status == "passed"
    sys.exit(not whole)


def version_of_project() -> str:
    text = (ROOT / "keras_archs" / "__init__.py").read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "(.*)"$', text, re.MULTILINE)[0]


def python_version(name: str) -> str | None:
    """The version of a Python; None where there is none."""
    find = *UV, "python", "find", "--system", name
    found = subprocess.run(find, stdout=subprocess.PIPE, text=True)
    if found.returncode:
        return None
    program = "import platform; print(platform.python_version())"
    return printed(found.stdout.strip(), "-c", program)


def tried(name: str, python: str, versions: str, version: str, options) -> Combination:
    """A new environment, and the fast tests in it."""
    folder = options.folder.resolve()
    environment = folder / f"{python}-{versions}"
    uv = *UV, "--cache-dir", folder / "cache"
    # With pip, which the tests install the wheel with.
    subprocess.run([*uv, "venv", "--clear", "--seed", "--python", name, environment], check=True)
    program = environment / "bin" / "python"
    install = *uv, "pip", "install", "--python", program, "--resolution", RESOLUTIONS[versions]
    install = *install, "--only-binary", ":all:", "--no-binary", "keras-archs"
    # What stands first is resolved first: TensorFlow may be older for the sake of a newer h5py.
    install = *install, *LIBRARIES, "--editable", f"{ROOT}[{EXTRAS}]"
    row = Combination(version, today(), python, versions, *[None] * 3, 0, 0, 0, "not available")
    if subprocess.run(install).returncode:
        return row
    report = folder / f"{environment.name}.xml"
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    tests = program, "-m", "pytest", "-q", "-n", str(options.workers), "--no-loadscope-reorder"
    tests = *tests, "-rs", "-p", "no:cacheprovider", f"--junitxml={report}"
    ended = subprocess.run(tests, cwd=ROOT, env=os.environ | {"PATH": path}).returncode
    if ended not in (0, 1):  # passed and failed; whatever else, such as Ctrl-C, is no result
        sys.exit(f"error: pytest ended with status {ended} in {environment.name}")
    listed = printed(*uv, "pip", "list", "--python", program, "--format", "json")
    installed = {each["name"]: each["version"] for each in json.loads(listed)}
    passed, failed, skipped = outcomes(report)
    return row._replace(
        date=today(),
        keras=installed["keras"],
        tensorflow=installed["tensorflow"],
        keras_tuner=installed["keras-tuner"],
        passed=passed,
        failed=failed,
        skipped=skipped,
        status="failed" if ended else "passed",
    )


def outcomes(report: Path) -> tuple[int, int, int]:
    """How many tests passed, failed and were skipped, of pytest's report."""
    suite = next(ElementTree.parse(report).iter("testsuite")).attrib
    tests, failures, errors, skipped = (
        int(suite[name]) for name in ("tests", "failures", "errors", "skipped")
    )
    return tests - failures - errors - skipped, failures + errors, skipped


def printed(*command: str | Path) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


if __name__ == "__main__":
    main()
