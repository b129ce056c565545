"""Does training for int8 gain over int8 after the training, where int8 costs accuracy?

    python benchmarks/quantisation.py [--data mnist|FILE.npz] [--seeds 0,1,2] [--alpha 0.125]
        [--size 16] [--images 6000] [--epochs 8] [--more 2] [--folder runs/quantisation]

A narrow MobileNet, whose depthwise kernels have few weights and channels of very different ranges,
is trained on the first images of MNIST, and then trained on in two ways of as many epochs: in
float32, and with `compress --int8 aware`. Float32's further training is the one to compare with: it
tells what more epochs alone are worth. Each network is converted to int8 by LiteRT as `export` does
it and meets the 10,000 test images in float32 and in int8.

Each seed is a row of `benchmarks/results/quantisation.csv`, which is passed over when this is given
again; a training that was stopped goes on. The table goes to quantisation.md beside it.
"""

import argparse
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd
from rows import append, found

import applications
from applications.files import write_atomic

RESULTS = Path(__file__).parent / "results" / "quantisation.csv"
SETTINGS = ["alpha", "size", "images", "epochs", "more"]
NETWORKS = {  # columns of the accuracy in float32 and in int8
    "trained": "as trained",
    "more": "trained on in float32",
    "aware": "trained on for int8",
}
KINDS = "float32", "int8"
COLUMNS = [*SETTINGS, "seed", *(f"{name}_{kind}" for name in NETWORKS for kind in KINDS)]


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    for name, default in (
        ("--data", "mnist"),
        ("--seeds", "0,1,2"),
        ("--alpha", 0.125),
        ("--size", 16),
        ("--images", 6_000),
        ("--epochs", 8),
        ("--more", 2),
        ("--folder", "runs/quantisation"),
    ):
        parser.add_argument(name, default=default, type=type(default), help="default: %(default)s")
    options = parser.parse_args()
    data = cut(options)
    for seed in map(int, options.seeds.split(",")):
        row = [*(getattr(options, name) for name in SETTINGS), seed]
        done = found(RESULTS, COLUMNS)
        if (done[[*SETTINGS, "seed"]] == row).all(axis=1).any():
            continue
        append(RESULTS, COLUMNS, [*row, *measured(options, data, seed)])
        write_atomic(RESULTS.with_suffix(".md"), report(found(RESULTS, COLUMNS)))


def cut(options: argparse.Namespace) -> Path:
    """A file of the first training images, and all test images."""
    if options.data == "mnist":
        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    else:
        with np.load(options.data, allow_pickle=False) as arrays:
            x_train, y_train, x_test, y_test = (
                arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")
            )
    path = Path(options.folder, f"mnist-{options.images}.npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    few = {"x_train": x_train[: options.images], "y_train": y_train[: options.images]}
    write_atomic(path, lambda to: np.savez(to, **few, x_test=x_test, y_test=y_test))
    return path


def measured(options: argparse.Namespace, data: Path, seed: int) -> list[float]:
    """The test accuracies of a seed, in the order of the columns."""
    folder = Path(options.folder, "-".join(str(getattr(options, name)) for name in SETTINGS))
    runs = {name: folder / f"{name}-{seed}" for name in NETWORKS}
    common = {"data": data, "seed": seed, "resume": True, "verbose": 0}
    network = {"alpha": options.alpha, "size": options.size, "args": {"stem": "small"}}
    training = {**common, **network, "batch_size": 128}
    applications.train("mobilenet", **training, epochs=options.epochs, run_dir=runs["trained"])
    aware = applications.compress(
        runs["trained"],
        int8="aware",
        epochs=options.more,
        run_dir=runs["aware"],
        resume=True,
        verbose=0,
    )
    applications.train(
        "mobilenet",
        **training,
        epochs=options.more,
        learning_rate=aware.config["learning_rate"],
        weights=str(runs["trained"] / "model.keras"),
        keep="last",  # as compress does
        run_dir=runs["more"],
    )
    figures = []
    for run in runs.values():
        accuracy = exported(run)["parity"]["accuracy"]
        figures += [accuracy["keras"], accuracy["export"]]
    print(f"seed {seed}: {figures}", flush=True)
    return figures


def exported(run: Path) -> dict[str, Any]:
    """The report of an export to LiteRT in int8, however much it changes."""
    with TemporaryDirectory() as folder:
        asked = {"format": "litert", "precision": "int8", "batch": 32, "tolerance": 1.0}
        return applications.export(run, **asked, out=Path(folder, "int8"))


def report(rows: pd.DataFrame) -> str:
    """As Markdown."""
    lines = ["# Training for int8: `python benchmarks/quantisation.py`", ""]
    for setting, group in rows.groupby(SETTINGS, sort=False):
        alpha, size, images, epochs, more = setting
        group = group.sort_values("seed")
        lines += [
            f"MobileNet with alpha {alpha:g} and `stem=small` on the first {images:,.0f} training "
            f"images of MNIST at {size:.0f}x{size:.0f}, {epochs:.0f} epochs, then {more:.0f} more "
            "in either way. Accuracy on the 10,000 test images, in float32 -> in int8 by LiteRT.",
            "",
            "| seed | " + " | ".join(NETWORKS.values()) + " | gain of training for int8 |",
            "|--:|" + "--:|" * (len(NETWORKS) + 1),
        ]
        gains = 100 * (group["aware_int8"] - group["more_int8"])
        for (_, row), gain in zip(group.iterrows(), gains, strict=True):
            cells = [
                f"{100 * row[f'{name}_float32']:.2f} -> {100 * row[f'{name}_int8']:.2f} %"
                for name in NETWORKS
            ]
            lines.append(f"| {row['seed']:.0f} | {' | '.join(cells)} | {gain:+.2f} points |")
        low, high = gains.min(), gains.max()
        cost = 100 * (group["more_float32"] - group["more_int8"]).mean()
        lines += [
            "",
            f"The gain is that of int8 over int8 after as many epochs in float32: mean "
            f"{gains.mean():+.2f} points, {low:+.2f} to {high:+.2f}, of {len(gains)} "
            f"seed{'s'[: len(gains) > 1]}. int8 itself cost {cost:.2f} "
            "points there: what is gained beyond that is another training's luck, or its learning.",
            "",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
