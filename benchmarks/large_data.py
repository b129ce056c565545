"""What a folder of images that fit no memory costs `train` beside the same images in memory.

    python benchmarks/large_data.py [--images 100000] [--side 224] [--network mobilenet:0.25]
        [--minutes 2] [--rounds 3] [--work FOLDER]

Makes a folder of JPEGs of ten classes, once. Each round trains the network on it with
`--cache none`, so that every image is read and decoded when it is asked for, and on some of these
images in memory, for so many minutes each and in an order that changes. Prints Markdown: images per
second of both, the median and the spread over the rounds of their ratios on the clock and of the
CPU time an image costs, and by how much the process had grown between the first quarter and the end
of a training on the folder. Then how fast the images are decoded alone, by threads and by
processes.

The first ten steps, which compile, and all validation are left out.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from training import parsed, spread

from applications.data.images import load_images
from applications.files import write_atomic

CLASSES = 10
IN_MEMORY = 2_048
BATCH = 64
_WARM = 10  # steps
_DECODED = 2_048  # images, to compare threads with processes


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    for name, default in (
        ("--images", 100_000),
        ("--side", 224),
        ("--network", "mobilenet:0.25"),
        ("--minutes", 2.0),
        ("--rounds", 3),
    ):
        parser.add_argument(name, default=default, type=type(default), help="default: %(default)s")
    parser.add_argument("--work", type=Path, default=Path("runs", "benchmark-large-data"))
    options = parser.parse_args()

    folder = made(options.work / f"{options.images}-{options.side}", options.images, options.side)
    few = in_memory(folder, options.work / f"{options.side}.npz")
    found: dict[str, list[Trained]] = {"folder": [], "memory": []}
    for round_ in range(options.rounds):
        for name in ("folder", "memory") if round_ % 2 else ("memory", "folder"):
            found[name].append(trained(few if name == "memory" else folder, options))
    pairs = list(zip(found["folder"], found["memory"], strict=True))
    print(f"# {options.network}, {options.images:,} JPEGs of {options.side}x{options.side}\n")
    print("| | images/s | CPU time an image, ms | grown, MiB |\n|---|---|---|---|")
    for name, runs in found.items():
        cells = [[run.rate for run in runs], [1e3 * run.cpu for run in runs], [r.mib for r in runs]]
        print(f"| {name} | {' | '.join(map(spread, cells))} |")
    print(f"\nfolder to memory: images/s {spread([a.rate / b.rate for a, b in pairs])}, ", end="")
    print(f"CPU time an image {spread([a.cpu / b.cpu for a, b in pairs])}")
    decoding(folder, options)


class Trained(NamedTuple):
    """Of one training.

    Attributes:
        rate: images per second.
        cpu: seconds of all processors for an image.
        mib: by which the process had grown at the end since the first quarter of the steps.
    """

    rate: float
    cpu: float
    mib: float


def trained(data: Path, options: Any) -> Trained:
    """Train for the minutes that are asked for."""
    from applications.training import training

    steps: list[tuple[int, float, float, float]] = []
    journal = training.Journal

    class Timed(journal):
        def on_train_batch_end(self, batch, logs: Any = None):
            super().on_train_batch_end(batch, logs)
            now = time.perf_counter(), time.process_time(), resident()
            steps.append((len(self.progress.history), *now))

    arch, alpha, _ = parsed(options.network)
    training.Journal = Timed
    try:
        training.train(
            *(arch,),
            **{"data": data, "alpha": alpha, "size": options.side, "batch_size": BATCH},
            **{"cache": "none" if data.is_dir() else None, "time_limit": options.minutes},
            **{"epochs": 1000, "run_dir": options.work / f"run-{time.time_ns()}", "verbose": 0},
        )
    finally:
        training.Journal = journal
    inside = [
        (end[1] - start[1], end[2] - start[2])
        for start, end in zip(steps[_WARM:], steps[_WARM + 1 :], strict=False)
        if start[0] == end[0]
    ]
    if not inside:
        raise SystemExit(f"error: `minutes` must leave over {_WARM} steps. Received: {len(steps)}")
    wall, cpu = (sum(parts) / len(inside) / BATCH for parts in zip(*inside, strict=True))
    return Trained(1 / wall, cpu, steps[-1][3] - steps[len(steps) // 4][3])


def resident() -> float:
    """MiB of memory that the process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def made(folder: Path, count: int, side: int) -> Path:
    """A folder of smooth random images, the splits of validation and test small."""
    if folder.exists():
        return folder
    random, partial = np.random.default_rng(0), folder.with_suffix(".partial")
    for split, images in (("train", count), ("val", 10 * CLASSES), ("test", 10 * CLASSES)):
        for label in range(CLASSES):
            (partial / split / f"class{label}").mkdir(parents=True, exist_ok=True)
        for number in range(images):
            coarse = random.integers(0, 256, (side // 8, side // 8, 3), np.uint8)
            image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
            place = partial / split / f"class{number % CLASSES}" / f"{number:06d}.jpg"
            image.save(place, quality=90)
    return partial.rename(folder)


def in_memory(folder: Path, path: Path) -> Path:
    """An `.npz` with some of the folder's images."""
    if not path.exists():
        arrays = {}
        for split in ("train", "val", "test"):
            files = sorted((folder / split).rglob("*.jpg"), key=lambda file: file.name)[:IN_MEMORY]
            arrays[f"x_{split}"] = np.stack([np.asarray(Image.open(file)) for file in files])
            arrays[f"y_{split}"] = np.array([int(file.parent.name[5:]) for file in files])
        write_atomic(path, lambda partial: np.savez(partial, **arrays))
    return path


def decoding(folder: Path, options: Any) -> None:
    """Prints how many images a second threads and processes decode."""
    files = sorted((folder / "train").rglob("*.jpg"), key=lambda file: file.name)[:_DECODED]
    shape = (options.side, options.side, 3)
    batches = [
        (np.array(list(map(str, files[start : start + BATCH])), object), shape, "stretch")
        for start in range(0, len(files), BATCH)
    ]
    count = os.cpu_count() or 1
    spawned = multiprocessing.get_context("spawn")
    pools: dict[str, Callable[[], Executor]] = {
        "threads": lambda: ThreadPoolExecutor(count),
        "processes": lambda: ProcessPoolExecutor(count, spawned),
    }
    found: dict[str, list[float]] = {name: [] for name in pools}
    for _ in range(options.rounds):
        for name, make in pools.items():
            with make() as pool:
                list(pool.map(decoded, batches[:count]))  # started and imported
                start = time.perf_counter()
                list(pool.map(decoded, batches))
                found[name].append(len(files) / (time.perf_counter() - start))
    ratios = [b / a for a, b in zip(found["threads"], found["processes"], strict=True)]
    rates = ", ".join(f"{statistics.median(r):.0f} by {count} {n}" for n, r in found.items())
    print(f"\ndecoded alone, images/s: {rates}; processes to threads {spread(ratios)}")


def decoded(batch: tuple) -> np.ndarray:
    return load_images(*batch)


if __name__ == "__main__":
    main()
