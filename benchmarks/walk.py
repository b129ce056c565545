"""The way of a network on MNIST by the commands that its user gives: trained, compressed, served.

    python benchmarks/walk.py [--data mnist|FILE.npz] [--folder runs/walk] [--seconds 60]

LeNet-5 is trained, and made small in two ways: pruned, shared and coded; and the same after it has
lost channels, which makes it faster, too. The first network is exported to every format and
precision and served, to curl, to its page in Chromium (where that is installed), and to 8 clients
that ask without a break. Each command is one of `keras-archs`, in a process of its own, in the
folder `--folder`; what stands there is passed over when this is given again, and a training that
was stopped goes on.

Writes `benchmarks/results/walk.md` and walk.csv. Aims: the first way takes 20 times fewer bytes
than the weights in float32, for at most 0.2 points of test accuracy; every export is within its
tolerance; over HTTP the classes are those that `predict` names, and every request is answered. Ends
with 1 where one is missed.
"""

import argparse
import csv
import datetime
import io
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from PIL import Image
from serving import Server, measure

from applications.files import read_json, write_atomic, write_json

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "walk.md"
SMALLER, LOST = 20, 0.002  # times, and share of the test images
CLIENTS = 8
AIMED = "pruned, shared, coded"  # the step that is to reach it
PICTURES, SHOWN = 50, 10  # that curl sends, and of those the page

TRAIN = "train --arch lenet5 --data {data} --epochs 4 --run-dir runs/lenet5"
PACKED = "compress runs/lenet5 --sparsity 0.85 --bits 5 --epochs 6 --run-dir runs/packed"
NARROW = "compress runs/lenet5 --channels 0.2 --epochs 3 --run-dir runs/narrow"
SMALL = "compress runs/narrow --sparsity 0.85 --bits 5 --int8 after --epochs 6 --run-dir runs/small"
EXPORTS = {
    "keras": ["fp32"],
    "saved_model": ["fp32"],
    "onnx": ["fp32", "fp16", "int8"],
    "litert": ["fp32", "fp16", "int8"],
    "openvino": ["fp32", "fp16", "int8"],
    "c": ["int8"],
}
SERVE = "serve runs/packed --port 0"
PREDICT = "predict runs/packed {pictures} --top 10 --out answers.csv"
CURL = "curl -F images=@{picture} {address}/predict/packed?top=10"


class Row(NamedTuple):
    """A step, and what it came to; None is what it does not tell.

    Attributes:
        part: "run", "export" or "served".
        step: what was done.
        command: that did it.
        bytes: of the network's weights in float32, of model.kac, or of the exported files.
        smaller: how many times fewer than the trained network's weights.
        accuracy: share of the 10,000 test images.
        difference: the largest of a probability, to the network that the step began with.
        agrees: share of images for which the class is that network's.
        macs: multiply-adds of an image.
        ms: milliseconds for an image; over HTTP, the median answer.
        keras_ms: the same of Keras, measured in turns with it.
        p99_ms: over HTTP, the 99th percentile.
        answers: over HTTP.
        errors: requests without one.
    """

    part: str
    step: str
    command: str
    bytes: int | None = None
    smaller: float | None = None
    accuracy: float | None = None
    difference: float | None = None
    agrees: float | None = None
    macs: int | None = None
    ms: float | None = None
    keras_ms: float | None = None
    p99_ms: float | None = None
    answers: int | None = None
    errors: int | None = None


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--data", default="mnist", help="default: %(default)s")
    parser.add_argument("--folder", type=Path, default=Path("runs/walk"), help="of the runs")
    parser.add_argument("--seconds", type=float, default=60.0, help="in which the clients ask")
    options = parser.parse_args()
    user = User(options.folder, options.data)
    for command in (TRAIN, PACKED, NARROW, SMALL):
        user.trains(command)
    for name, precisions in EXPORTS.items():
        for precision in precisions:
            user.exports(name, precision)
    served = user.folder / "served.json"
    if not served.exists():
        write_json(served, [row._asdict() for row in user.serves(options.seconds)])
    rows = [*trained(user), *exported(user), *(Row(**each) for each in read_json(served, list))]
    write_atomic(RESULTS.with_suffix(".csv"), table(rows))
    missed = list(misses(rows))
    write_atomic(RESULTS, report(rows, missed))
    print(RESULTS.read_text(encoding="utf-8"))
    sys.exit(bool(missed))


class User:
    """Gives commands in a folder, where a file of data lies under its own name.

    Args:
        folder: made where there is none.
        data: a name, or a file.
    """

    def __init__(self, folder: Path, data: str):
        self.folder, self.data = folder.resolve(), data
        self.folder.mkdir(parents=True, exist_ok=True)
        if Path(data).is_file():
            self.data = Path(data).name
            link = self.folder / self.data
            link.unlink(missing_ok=True)
            link.symlink_to(Path(data).resolve())

    def ready(self, command: str, **options: Any) -> tuple[list[str], dict[str, Any]]:
        """What `subprocess` takes to run a command of `keras-archs`."""
        program = str(Path(sys.executable).with_name("keras-archs"))
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
        return [program, *shlex.split(command)], {"cwd": self.folder, "env": environment, **options}

    def gives(self, command: str) -> None:
        """Run a command to its end; one that fails ends the walk."""
        print(f"$ keras-archs {command}", flush=True)
        arguments, options = self.ready(command)
        if status := subprocess.run(arguments, **options).returncode:
            sys.exit(f"error: keras-archs {command} ended with {status}")

    def trains(self, command: str) -> None:
        command = command.format(data=self.data)
        run = self.folder / command.split()[-1]
        if not (run / "metrics.json").exists():
            self.gives(f"{command} --resume" if run.exists() else command)

    def exports(self, name: str, precision: str) -> None:
        if not self.export(name, precision).exists():
            self.gives(export_command(name, precision))

    def metrics(self, command: str) -> dict[str, Any]:
        """Of the run that a command made."""
        return read_json(self.folder / command.split()[-1] / "metrics.json", dict)

    def export(self, name: str, precision: str) -> Path:
        return self.folder / "runs/packed/export" / f"{name}-{precision}" / "export.json"

    # --------------------------------------------------------------------------------- over HTTP

    def serves(self, seconds: float) -> Iterator[Row]:
        """The answers of the server: to curl, to the page, to clients that ask without a break."""
        pictures = self.pictures()
        expected = self.predicted(pictures)
        with self.serving() as (address, session):
            yield self.curls(pictures, expected, address)
            if chromium := shutil.which("chromium") or shutil.which("chromium-browser"):
                yield self.looks(chromium, pictures[:SHOWN], expected, address)
            port = int(address.rpartition(":")[2])
            found = measure(
                *(
                    Server(port, session),
                    (self.folder / pictures[0]).read_bytes(),
                    CLIENTS,
                    seconds,
                ),
                **{"kind": "image/png", "address": "/predict/packed"},
            )
        yield Row(
            "served",
            f"{CLIENTS} clients for {seconds:g} s",
            f"keras-archs {SERVE}",
            ms=found.p50,
            p99_ms=found.p99,
            answers=found.answers,
            errors=found.errors,
        )

    def pictures(self) -> list[str]:
        """The first test images, as PNG files."""
        if self.data == "mnist":
            images = keras.datasets.mnist.load_data()[1][0]
        else:
            images = np.load(self.folder / self.data, allow_pickle=False)["x_test"]
        (self.folder / "pictures").mkdir(exist_ok=True)
        names = [f"pictures/{at:02d}.png" for at in range(PICTURES)]
        for name, image in zip(names, images[:PICTURES], strict=True):
            Image.fromarray(image).save(self.folder / name)
        return names

    def predicted(self, pictures: list[str]) -> dict[str, dict[str, float]]:
        """The probabilities of each picture's classes, the most probable first."""
        self.gives(PREDICT.format(pictures=" ".join(pictures)))
        found: dict[str, dict[str, float]] = {name: {} for name in pictures}
        with open(self.folder / "answers.csv", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found[row["image"]][row["class"]] = float(row["probability"])
        return found

    @contextmanager
    def serving(self) -> Iterator[tuple[str, int]]:
        """A server as its user starts it; gives its address and session, ends with Ctrl-C."""
        print(f"$ keras-archs {SERVE}", flush=True)
        with open(self.folder / "serve.log", "w") as log:
            arguments, options = self.ready(SERVE, stdout=subprocess.PIPE, stderr=log, text=True)
            server = subprocess.Popen(arguments, start_new_session=True, **options)
            try:
                said = server.stdout.readline() if server.stdout else ""
                found = re.search(r"http://\S+:\d+", said)
                if found is None:
                    sys.exit(
                        f"error: the server did not start, {self.folder / 'serve.log'}: {said}"
                    )
                yield found[0], server.pid
            finally:
                server.send_signal(signal.SIGINT)
                server.wait(60)

    def curls(self, pictures: list[str], expected: dict[str, Any], address: str) -> Row:
        differences, same = [], []
        for picture in pictures:
            command = CURL.format(picture=picture, address=address)
            done = subprocess.run(
                shlex.split(command), cwd=self.folder, capture_output=True, check=True
            )
            (answer,) = json.loads(done.stdout)["predictions"]
            found = {each["class"]: each["probability"] for each in answer["top"]}
            same.append(answer["class"] == next(iter(expected[picture])))
            differences += [abs(found[name] - p) for name, p in expected[picture].items()]
        return Row(
            "served",
            f"curl, {len(pictures)} pictures",
            CURL.format(picture="PICTURE", address="http://127.0.0.1:PORT"),
            difference=max(differences),
            agrees=float(np.mean(same)),
        )

    def looks(
        self, chromium: str, pictures: list[str], expected: dict[str, Any], address: str
    ) -> Row:
        """What the page shows of pictures that are dropped on it."""
        from playwright.sync_api import sync_playwright

        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=flags)
            page = browser.new_page()
            page.set_default_timeout(60_000)
            page.goto(address)
            page.locator("#files").set_input_files([self.folder / name for name in pictures])
            page.get_by_role("status").get_by_text(f"{len(pictures)} of {len(pictures)}").wait_for()
            answers = page.locator("#answers > li").all_inner_texts()
            browser.close()
        same = []
        for picture in pictures:
            (answer,) = (text for text in answers if Path(picture).name in text)
            best, probability = next(iter(expected[picture].items()))
            same.append(f"{best} {100 * probability:.1f} %" in " ".join(answer.split()))
        what = f"the page, {len(pictures)} pictures"
        return Row("served", what, f"keras-archs {SERVE}", agrees=float(np.mean(same)))


def export_command(name: str, precision: str) -> str:
    return f"export runs/packed --format {name} --precision {precision}"


# -------------------------------------------------------------------------------------------- rows


def trained(user: User) -> Iterator[Row]:
    """The networks as runs; the last one's two files."""
    large = 4 * user.metrics(TRAIN)["params"]
    before = user.metrics(PACKED)["fastest"]["parent"]
    steps = (
        ("trained", TRAIN, large, before),
        (AIMED, PACKED, None, None),
        ("or without a fifth of the channels", NARROW, None, None),
        ("and then pruned, shared, coded", SMALL, None, None),
    )
    for step, command, size, time in steps:
        found = user.metrics(command)
        size, time = size or found["compressed_bytes"], time or found["fastest"]["this"]
        yield Row(
            "run",
            step,
            f"keras-archs {command.format(data=user.data)}",
            *(size, large / size, found["test_accuracy"]),
            macs=found["macs"],
            ms=time["ms"],
        )
    int8 = found["int8"]["this"]
    yield Row(
        "run",
        "the latter in int8",
        "model.tflite of the same command",
        *(int8["bytes"], large / int8["bytes"], int8["test_accuracy"]),
        macs=found["macs"],
        ms=found["fastest"]["this in int8"]["ms"],
    )


def exported(user: User) -> Iterator[Row]:
    large, macs = 4 * user.metrics(TRAIN)["params"], user.metrics(PACKED)["macs"]
    for name, precisions in EXPORTS.items():
        for precision in precisions:
            found = read_json(user.export(name, precision), dict)
            parity, times = found["parity"], found["latency_ms_p50"]
            yield Row(
                "export",
                f"{name}, {precision}",
                f"keras-archs {export_command(name, precision)}",
                *(found["bytes"], large / found["bytes"], parity["accuracy"]["export"]),
                *(parity["max_difference"], parity["top1_agreement"], macs),
                *(times["export"], times["keras"]),
            )


def misses(rows: list[Row]) -> Iterator[str]:
    """The aims that are missed."""
    (before,) = (row for row in rows if row.step == "trained")
    (after,) = (row for row in rows if row.step == AIMED)
    if after.smaller < SMALLER:
        yield f"{after.smaller:.1f} times smaller, not {SMALLER}"
    if (lost := before.accuracy - after.accuracy) > LOST + 1e-9:
        yield f"{100 * lost:.2f} points of accuracy lost, more than {100 * LOST:g}"
    for row in rows:
        if row.agrees is not None and row.part == "served" and row.agrees < 1:
            yield f"{row.step}: {100 * row.agrees:.1f} % of the classes are those of predict"
        if row.errors:
            yield f"{row.step}: {row.errors} errors"


def table(rows: list[Row]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows([format(c, ".6g") if isinstance(c, float) else c for c in r] for r in rows)
    return file.getvalue()


def report(rows: list[Row], missed: list[str]) -> str:
    """As Markdown."""
    shown = {
        "bytes": ",d",
        "smaller": ".1f",
        "accuracy": ".2%",
        "difference": ".1e",
        "agrees": ".2%",
        "macs": ",d",
        "ms": ".3g",
        "keras_ms": ".3g",
    }
    header = (
        *("step", "command", "bytes", "times smaller", "test accuracy", "largest difference"),
        *("same class", "MACs", "ms", "Keras, ms"),
    )
    lines = [
        "# From training to serving: `python benchmarks/walk.py`",
        "",
        f"{datetime.date.today()}. MNIST, seed 0, one run of each; {os.cpu_count()} processors "
        "that other work shared, so times are worth comparing within a row alone. Python "
        f"{platform.python_version()}, Keras {keras.__version__}. "
        + (f"Missed: {'; '.join(missed)}." if missed else "Every aim was reached."),
        "",
        "| " + " | ".join(header) + " |",
        "|---|---|" + "--:|" * len(shown),
    ]
    for row in rows:
        values = ((getattr(row, name), spec) for name, spec in shown.items())
        cells = ("" if v is None else format(v, spec).replace("%", " %") for v, spec in values)
        lines.append(f"| {row.step} | `{row.command}` | {' | '.join(cells)} |")
    lines += [
        "",
        "- Bytes: of the weights in float32 where the network was trained, of model.kac where it "
        "was compressed, of all files where it was exported (for c, of the array). Smaller: than "
        "those weights.",
        "- The largest difference of a probability, and how often the class is the same: of an "
        "export to the run's network on all 10,000 test images, over HTTP to what `predict` says.",
        "- ms: one image; of an export in its runtime and, in turns with it, in Keras; of a run in "
        "the fastest runtime; of clients the median answer.",
        *(
            f"- {row.step}: {row.answers:,} answers, {row.errors} errors, p50 {row.ms:.1f} ms, "
            f"p99 {row.p99_ms:.1f} ms."
            for row in rows
            if row.answers is not None
        ),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
