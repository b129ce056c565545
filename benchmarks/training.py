"""What `train` costs beside a plain `model.fit` of the same network on arrays in memory.

    python benchmarks/training.py [--networks simpnet_300k,mobilenet:0.5,resnet20] [--images 2048]
        [--epochs 3] [--rounds 5] [--precision float32] [--batch-size 64]

Each network, `NAME[:ALPHA][@SIDE]`, is trained on generated images in turn by `train`, with all
that it does (augmentation, logging, checkpoints, the best epoch's weights), and by `fit` with the
same network, optimizer and validation images and without any of that. Both run in one process, in
interleaved rounds whose order changes; the first epoch of each, which compiles, is left out. An
epoch includes its validation. Prints a Markdown table: images per second of both, and the median
and the spread over the rounds of the ratios of time and of CPU time, `train` to `fit`.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HEAD = "| network | images/s, `train` | images/s, `fit` | time | CPU time |\n|---|---|---|---|---|"


class Seconds(NamedTuple):
    """Of an epoch: on the clock, and on all processors."""

    wall: float
    cpu: float


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    for name, default in (
        ("--networks", "simpnet_300k,mobilenet:0.5,resnet20"),
        ("--images", 2048),
        ("--epochs", 3),
        ("--rounds", 5),
        ("--precision", "float32"),
        ("--batch-size", 64),
    ):
        parser.add_argument(name, default=default, type=type(default), help="default: %(default)s")
    options = parser.parse_args()

    print(HEAD)
    for network in options.networks.split(","):
        print(row(network, options), flush=True)


def row(network: str, options: Any) -> str:
    """A line of the table."""
    arch, alpha, side = parsed(network)
    with tempfile.TemporaryDirectory() as folder:
        data = generated(Path(folder) / "images.npz", options.images, side)
        asked = {"arch": arch, "alpha": alpha, "data": data, "size": side, "epochs": options.epochs}
        asked |= {"batch_size": options.batch_size, "precision": options.precision}
        found: dict[str, list[Seconds]] = {"train": [], "fit": []}
        for round_ in range(options.rounds):
            for name in ("train", "fit") if round_ % 2 else ("fit", "train"):
                measure = trained if name == "train" else fitted
                found[name].append(measure(asked, Path(folder) / f"{name}{round_}"))
    images = options.images // options.batch_size * options.batch_size
    rates = [images / statistics.median(s.wall for s in found[n]) for n in ("train", "fit")]
    pairs = list(zip(found["train"], found["fit"], strict=True))
    wall = spread([ours.wall / bare.wall for ours, bare in pairs])
    cpu = spread([ours.cpu / bare.cpu for ours, bare in pairs])
    return f"| {network} | {rates[0]:.0f} | {rates[1]:.0f} | {wall} | {cpu} |"


def parsed(network: str) -> tuple[str, float, int]:
    """Name, alpha and side of `NAME[:ALPHA][@SIDE]`."""
    name, _, side = network.partition("@")
    arch, _, alpha = name.partition(":")
    return arch, float(alpha or 1), int(side or 32)


def generated(path: Path, images: int, side: int) -> Path:
    """A file of random images of ten classes, a tenth of them for validation and for test."""
    random = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", images), ("val", images // 10), ("test", images // 10)):
        arrays[f"x_{split}"] = random.integers(0, 256, (count, side, side, 3), np.uint8)
        arrays[f"y_{split}"] = np.arange(count) % 10
    np.savez(path, **arrays)
    return path


def trained(asked: dict[str, Any], folder: Path) -> Seconds:
    """Seconds of an epoch of `train`: the median of all but the first."""
    from applications.training import training

    stopwatch = Stopwatch()
    checkpoint = training.Checkpoint

    class Timed(checkpoint):
        """The last callback that acts when an epoch ends."""

        def on_epoch_end(self, epoch, logs: Any = None):
            super().on_epoch_end(epoch, logs)
            stopwatch.lap()

    training.Checkpoint = Timed
    try:
        training.train(**asked, run_dir=folder, verbose=0)
    finally:
        training.Checkpoint = checkpoint
    return stopwatch.median()


def fitted(asked: dict[str, Any], folder: Path) -> Seconds:
    """The same of `fit` on arrays, with the network, the optimizer and the steps of `train`."""
    import keras

    from applications.data.sources import open_source
    from applications.options import Options
    from applications.training.building import built_network
    from applications.training.optimizing import compiled_model, prepare

    source = open_source(asked["data"], seed=0)
    plan = Options(**asked).planned(source)
    dataset = source.at(plan.image_size)
    keras.config.set_dtype_policy(asked["precision"])
    try:
        network = built_network(plan, dataset)
    finally:
        keras.config.set_dtype_policy("float32")
    prepare(network, plan)
    steps = len(dataset.train) // plan.batch_size
    model = compiled_model(network, plan.recipe, plan.learning_rate, plan.epochs * steps)
    splits = [
        (split.batch(np.arange(len(split))), split.labels)
        for split in (dataset.train, dataset.validation)
    ]
    images = steps * plan.batch_size
    stopwatch = Stopwatch()
    model.fit(
        *(array[:images] for array in splits[0]),
        batch_size=plan.batch_size,
        epochs=plan.epochs,
        validation_data=splits[1],
        verbose=0,  # pyright: ignore[reportArgumentType]
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: stopwatch.lap())],
    )
    return stopwatch.median()


class Stopwatch:
    """The seconds between the ends of epochs."""

    def __init__(self):
        self.laps: list[Seconds] = []

    def lap(self) -> None:
        self.laps.append(Seconds(time.perf_counter(), time.process_time()))

    def median(self) -> Seconds:
        taken = [
            Seconds(end.wall - start.wall, end.cpu - start.cpu)
            for start, end in zip(self.laps, self.laps[1:], strict=False)
        ]
        return Seconds(
            statistics.median(s.wall for s in taken), statistics.median(s.cpu for s in taken)
        )


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
