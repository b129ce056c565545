"""Seconds of a search that are not training, for each trial: ours, on Ray too, and keras-tuner's.

    python benchmarks/search_overhead.py [--rounds 4] [--trials 6] [--epochs 3]

All draw networks at random from one space (LeNet-5 with `alpha` and `dropout`), train them on
scikit-learn's digits at 32x32 with batches of 64, score them on the validation images and save
them. Training is what lies between the beginning and the end of the epochs, validation included.
Each side runs in a process of its own. On Ray, which is started on this machine, a trial has all of
its processors, so that trials are trained one after another. "search" is the search alone,
"process" includes the start of Python and the imports, and "a further trial" leaves out what a
search begins and ends with: it is the time from the end of the first training to that of the last.
Rounds change the order of the sides, and ratios are taken within the round, so that a machine that
slows down slows all.
Prints a Markdown table: the median and the rounds' spread.

Ours trains in a process beside its own, whose imports are part of "search". It also writes after
each epoch all that a killed trial needs to go on, measures latency, logs to TensorBoard and tests
the winner, none of which keras-tuner does.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

SIDE, BATCH, CLASSES = 32, 64, 10
SIDES = ("ours", "on Ray", "keras-tuner")
PARTS = ("search", "process", "a further trial")


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    for name, default in (("--rounds", 4), ("--trials", 6), ("--epochs", 3)):
        parser.add_argument(name, type=int, default=default, help="default: %(default)s")
    parser.add_argument("--side", choices=SIDES, help="run this one and print its seconds as JSON")
    options = parser.parse_args()
    if options.side:
        run = {"ours": ours, "on Ray": on_ray, "keras-tuner": theirs}[options.side]
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(run(Path(folder), options.trials, options.epochs)))
        return

    measured = {side: [] for side in SIDES}
    for round_ in range(options.rounds):
        for side in SIDES if round_ % 2 else reversed(SIDES):
            seconds = overhead(side, options.trials, options.epochs)
            measured[side].append(seconds)
            print(f"round {round_ + 1}, {side}: {seconds}", file=sys.stderr, flush=True)
    titles = *SIDES, "ours / keras-tuner", "on Ray / ours"
    print(f"| seconds a trial beside training | {' | '.join(titles)} |")
    print("|---" * (1 + len(titles)) + "|")
    for part in PARTS:
        mine, ray, other = ([seconds[part] for seconds in measured[side]] for side in SIDES)
        ratios = [
            [a / b for a, b in zip(*two, strict=True)] for two in ((mine, other), (ray, mine))
        ]
        print(f"| {part} | {' | '.join(map(spread, (mine, ray, other, *ratios)))} |")


def overhead(side: str, trials: int, epochs: int) -> dict[str, float]:
    """Seconds a trial beside training, of each of `PARTS`."""
    start = time.perf_counter()
    done = subprocess.run(
        [
            *(sys.executable, __file__, "--side", side),
            *("--trials", str(trials), "--epochs", str(epochs)),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    whole = time.perf_counter() - start
    seconds = json.loads(done.stdout.splitlines()[-1])
    training, ends = seconds["training"], seconds["ends"]
    further = ends[-1] - ends[0] - sum(training[1:])
    return {
        "search": round((seconds["search"] - sum(training)) / trials, 2),
        "process": round((whole - sum(training)) / trials, 2),
        "a further trial": round(further / (trials - 1), 2),
        "training": round(sum(training) / trials, 2),
    }


def space(hp, *, input_shape, classes, budget) -> dict[str, float]:
    return {"alpha": hp.Float("alpha", 0.5, 1.5), "dropout": hp.Float("dropout", 0.0, 0.5)}


space.arch = "lenet5"


def on_ray(folder: Path, trials: int, epochs: int) -> dict[str, Any]:
    return ours(folder, trials, epochs, engine="ray", cpus_per_trial=os.cpu_count())


def ours(folder: Path, trials: int, epochs: int, **engine: Any) -> dict[str, Any]:
    """Seconds of the search and of each training, and when each training had ended."""
    import keras  # noqa: F401  on all sides it is imported before the search

    from applications.searching.studies import search

    start = time.perf_counter()
    result = search(
        space,
        "digits",
        algorithm="random",
        trials=trials,
        run_dir=folder / "search",
        size=SIDE,
        batch_size=BATCH,
        epochs=epochs,
        verbose=0,
        **engine,
    )
    seconds = time.perf_counter() - start
    ends = [Path(run, "history.csv").stat().st_mtime for run in result.trials["run"]]
    return {"search": seconds, "training": list(result.trials["train_seconds"]), "ends": ends}


def theirs(folder: Path, trials: int, epochs: int) -> dict[str, Any]:
    """Seconds of the search and of each training, and when each training had ended."""
    import keras
    import keras_tuner
    import numpy as np

    import keras_archs
    from applications.data.sources import open_source

    class Stopwatch(keras.callbacks.Callback):
        """Adds up epochs, in the class: keras-tuner copies the callback for each trial."""

        seconds: ClassVar[list[float]] = []
        ends: ClassVar[list[float]] = []

        def on_train_begin(self, logs=None):
            self.seconds.append(0.0)

        def on_train_end(self, logs=None):
            self.ends.append(time.time())

        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds[-1] += time.perf_counter() - self.start

    def build(hp):
        shape = (SIDE, SIDE, 1)
        chosen = space(hp, input_shape=shape, classes=CLASSES, budget=None)
        model = keras_archs.build("lenet5", shape, CLASSES, **chosen)
        loss = "sparse_categorical_crossentropy"
        model.compile(keras.optimizers.AdamW(2e-3), loss=loss, metrics=["accuracy"])
        return model

    start = time.perf_counter()
    data = open_source("digits", seed=0).at(SIDE)
    parts = {
        name: (part.batch(np.arange(len(part))) / 255, part.labels)
        for name, part in (("train", data.train), ("validation", data.validation))
    }
    tuner = keras_tuner.RandomSearch(
        build, objective="val_accuracy", max_trials=trials, seed=1, directory=folder
    )
    tuner.search(
        *parts["train"],
        epochs=epochs,
        batch_size=BATCH,
        validation_data=parts["validation"],
        callbacks=[Stopwatch()],
        verbose=0,
    )
    seconds = time.perf_counter() - start
    return {"search": seconds, "training": Stopwatch.seconds, "ends": Stopwatch.ends}


def spread(values: list[float]) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
