"""Does anything grow that should not, in a process that does the same thing again and again?

    python benchmarks/soak.py [--parts trainings,builds,trials,server] [--trainings 100]
        [--builds 1000] [--trials 500] [--minutes 60] [--output benchmarks/results/soak.csv]

Each part is a process of its own:

    trainings   `train` of LeNet-5 on scikit-learn's digits for one epoch
    builds      a network of any architecture at a quarter of its width, and its profile
    trials      one search of LeNet-5's learning rate, an epoch each, on 64 images; its workers,
                which are replaced when they have grown, are rows of their own
    server      `keras-archs serve`, asked by 8 clients at 80 % of what it answered 8 clients
                before, for so many minutes

Every second its resident memory, open descriptors and threads are read from /proc, so this runs on
Linux alone. The first quarter, in which libraries allocate what they keep, is left out. Of the rest
each row has the median of its first and of its last third, the slope an hour (Theil and Sen) with
its 95 % interval, and whether it is flat: the medians differ upwards by no more than the first
third's own samples (from the 5th percentile to the 95th), descriptors and threads by none of more
than one. Prints a table and adds the rows to the output; exit status 1 where one is not flat.
"""

import argparse
import base64
import contextlib
import http.client
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from rows import append, found
from scipy.stats import theilslopes
from serving import Refused, Server, ask, measure, started, wait_for

RESULTS = Path(__file__).parent / "results" / "soak.csv"
PARTS = ("trainings", "builds", "trials", "server")
CLIENTS, SHARE = 8, 0.8
_SAMPLES = 600  # that a slope is of
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Sample(NamedTuple):
    """Of one or more processes."""

    memory: float  # MiB
    descriptors: int
    threads: int


class Row(NamedTuple):
    """One quantity of one part.

    Attributes:
        part: of `PARTS`, "workers" for those of a search.
        quantity: of `Sample`.
        units: trainings, builds, trials or answers.
        errors: requests that were not answered with 200.
        minutes: that it took.
        first, last: medians of the first and of the last third.
        slope, low, high: an hour.
        flat: 1 or 0.
    """

    part: str
    quantity: str
    units: int
    errors: int
    minutes: float
    first: float
    last: float
    slope: float
    low: float
    high: float
    flat: int


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--parts", default=",".join(PARTS), help="default: %(default)s")
    for name, count in (("--trainings", 100), ("--builds", 1000), ("--trials", 500)):
        parser.add_argument(name, type=int, default=count, help="default: %(default)s")
    parser.add_argument("--minutes", type=float, default=60.0, help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=RESULTS, help="default: %(default)s")
    parser.add_argument("--child", choices=PARTS[:3], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        CHILDREN[options.child](getattr(options, options.child))
        return
    flat = True
    for part in options.parts.split(","):
        if part == "server":
            of_part = asked_for(options.minutes)
        else:
            of_part = repeated(part, getattr(options, part))
        for row in of_part:
            append(options.output, Row._fields, row)
            flat &= bool(row.flat)
    print(found(options.output, Row._fields).to_string(index=False))
    sys.exit(not flat)


# ------------------------------------------------------------------------------------- what is done


def trainings(count: int) -> None:
    from applications.training.training import train

    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder, "run")
            train("lenet5", data="digits", epochs=1, run_dir=run, seed=number, verbose=0)


def builds(count: int) -> None:
    import keras_archs

    chosen = random.Random(0)
    for _ in range(count):
        model = keras_archs.build(chosen.choice(keras_archs.list_archs()), alpha=0.25)
        keras_archs.profile(model)


def trials(count: int) -> None:
    from applications.searching.studies import search

    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "images.npz")
        arrays = {}
        for split in ("train", "val", "test"):
            arrays[f"x_{split}"] = generator.integers(0, 256, (64, 32, 32, 1), np.uint8)
            arrays[f"y_{split}"] = np.arange(64) % 4
        np.savez(data, **arrays)
        asked = {"tune": "learning_rate", "algorithm": "random", "epochs": 1, "batch_size": 32}
        search("lenet5", data, trials=count, run_dir=Path(folder, "search"), verbose=0, **asked)


CHILDREN: dict[str, Callable[[int], None]] = {
    "trainings": trainings,
    "builds": builds,
    "trials": trials,
}


# ----------------------------------------------------------------------------------- how it is seen


def repeated(part: str, count: int) -> Iterator[Row]:
    """Rows of a part that is a process of this file."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", part, f"--{part}", str(count)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    own, others = [], []
    start = time.monotonic()
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError):
            own.append(sample(process.pid))
            others.append(workers(process.pid))
        time.sleep(1)
    if process.returncode:
        raise SystemExit(f"error: {part} ended with exit status {process.returncode}")
    minutes = (time.monotonic() - start) / 60
    yield from rows(part, own, count, 0, minutes)
    if part == "trials":
        yield from rows("workers", [each for each in others if each], count, 0, minutes)


def asked_for(minutes: float) -> Iterator[Row]:
    """Rows of the server."""
    import keras_archs

    pixels = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    body = json.dumps({"images": [base64.b64encode(file.getvalue()).decode()]}).encode()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model.keras")
        keras_archs.build("lenet5").save(model)
        with started("keras-archs", str(model)) as server:
            wait_for(server.port, body)
            capacity = measure(server, body, CLIENTS, 20)
            if capacity.errors:
                raise SystemExit(f"error: {capacity.errors} requests were refused before the soak")
            samples, answers, errors = soaked(server, body, SHARE * capacity.rate, 60 * minutes)
    print(
        f"server: {capacity.rate:.0f} answers a second to {CLIENTS} clients, "
        f"{answers / (60 * minutes):.0f} in the soak",
        file=sys.stderr,
    )
    yield from rows("server", samples, answers, errors, minutes)


def soaked(
    server: Server, body: bytes, rate: float, seconds: float
) -> tuple[list[Sample], int, int]:
    """Samples, answers and errors, asked `rate` times a second by all clients together."""
    answers, errors = [0] * CLIENTS, [0] * CLIENTS
    start = time.monotonic()

    def client(which: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for number in range(int(seconds * rate / CLIENTS)):
            due = start + (number + which / CLIENTS) * CLIENTS / rate
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                ask(connection, body)
                answers[which] += 1
            except (Refused, OSError, http.client.HTTPException):
                errors[which] += 1
                connection.close()
        connection.close()

    threads = [threading.Thread(target=client, args=(which,)) for which in range(CLIENTS)]
    for thread in threads:
        thread.start()
    samples = []
    while any(thread.is_alive() for thread in threads):
        samples.append(sample(server.session))
        time.sleep(1)
    return samples, sum(answers), sum(errors)


def sample(process: int) -> Sample:
    """What a process has now.

    Raises:
        OSError, IndexError: it has ended.
    """
    place = Path(f"/proc/{process}")
    pages = int((place / "statm").read_text().split()[1])
    descriptors, threads = (len(list((place / name).iterdir())) for name in ("fd", "task"))
    return Sample(pages * _PAGE / 2**20, descriptors, threads)


def workers(parent: int) -> Sample | None:
    """What the processes that a process has started have together; None where it has none."""
    samples = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            if int(file.read_text().rpartition(") ")[2].split()[1]) == parent:
                samples.append(sample(int(file.parent.name)))
    return Sample(*map(sum, zip(*samples, strict=True))) if samples else None


def rows(
    part: str, samples: list[Sample], units: int, errors: int, minutes: float
) -> Iterator[Row]:
    if len(samples) < 12:
        raise SystemExit(f"error: {part} ended after {len(samples)} samples: ask for more of it")
    settled = np.array(samples)[len(samples) // 4 :]
    hours = minutes / 60 * np.linspace(0.25, 1, len(settled))
    kept = np.linspace(0, len(settled) - 1, min(_SAMPLES, len(settled))).astype(int)
    third = len(settled) // 3
    for name, values in zip(Sample._fields, settled.T, strict=True):
        slope, _, low, high = theilslopes(values[kept], hours[kept])
        first, last = np.median(values[:third]), np.median(values[-third:])
        within = np.ptp(np.percentile(values[:third], (5, 95))) if name == "memory" else 1
        figures = (round(float(figure), 3) for figure in (minutes, first, last, slope, low, high))
        yield Row(part, name, units, errors, *figures, int(last - first <= within))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
