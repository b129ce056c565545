"""What TensorBoardLogger costs at its defaults, as a share of training: the goal is 3 % at most.

    python benchmarks/logging_cost.py [--arch resnet20] [--rounds 6] [--epochs 5]

Trains a network on scikit-learn's digits at 16x16 with validation, in turn without the logger and
with it, in one process that compiles once; the order changes with the round, and the ratio is taken
within the round, so that a machine that slows down slows both. With the logger counts all that a
run of `train` logs: scalars, HParams, layer costs, activation maps, confusion matrix and worst
mistakes. "inside the logger" is the share of that training's seconds which its own methods took: it
does not depend on how quiet the machine is. Prints a Markdown table: the median and the rounds'
spread, and fails above 3 %.

Recorded on two cores with nothing else running, TensorFlow 2.21, Keras 3.15.1, 6 rounds: inside the
logger 0.53 % (0.43 to 0.67); with the logger / without 0.83 (0.75 to 1.13). So whole trainings vary
by far more than logging costs, and only the first figure says anything about it.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIDE, BATCH, CLASSES, GOAL = 16, 64, 10, 0.03
HOOKS = (
    *("on_epoch_begin", "on_epoch_end", "on_test_begin", "on_train_batch_begin"),
    *("on_train_batch_end", "on_train_end", "add_test", "finish"),
)


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--arch", default="resnet20", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=6, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=5, help="default: %(default)s")
    options = parser.parse_args()

    bench = Bench(options.arch, options.epochs)
    bench.train(logged=False)  # compiles
    bench.train(logged=True)
    ratios, shares = [], []
    for round_ in range(options.rounds):
        seconds = {}
        for logged in (True, False) if round_ % 2 else (False, True):
            seconds[logged], inside = bench.train(logged)
            if logged:
                shares.append(inside / seconds[True])
        ratios.append(seconds[True] / seconds[False])
    print(f"| {options.arch}, {options.epochs} epochs | median (least to most) |\n|---|---|")
    print(f"| with the logger / without | {spread(ratios, 3)} |")
    print(f"| inside the logger | {spread([100 * share for share in shares], 2)} % |")
    if statistics.median(shares) > GOAL:
        sys.exit(f"logging took more than {100 * GOAL:g} % of training")


class Bench:
    """One compiled network and its data."""

    def __init__(self, arch: str, epochs: int):
        import keras

        import keras_archs
        from applications.data.sources import open_source

        self.epochs = epochs
        self.data = open_source("digits", seed=0).at(SIDE)
        self.parts = {
            name: (part.batch(np.arange(len(part))), part.labels)
            for name, part in (("train", self.data.train), ("validation", self.data.validation))
        }
        built = keras_archs.build(arch, self.data.image_shape, CLASSES)
        images = keras.Input(self.data.image_shape, dtype="uint8")
        scaled = keras.layers.Rescaling(1 / 255)(images)
        self.model = keras.Model(images, built(scaled))
        loss = "sparse_categorical_crossentropy"
        self.model.compile("adam", loss, metrics=["accuracy"])
        self.profile = keras_archs.profile(built)

    def train(self, logged: bool) -> tuple[float, float]:
        """Seconds of the training, and of them inside the logger."""
        inside = 0.0
        probabilities = np.eye(CLASSES, dtype=np.float32)[(self.data.test.labels + 1) % CLASSES]
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            logger = self.logger(Path(folder)) if logged else None
            self.model.fit(
                *self.parts["train"],
                batch_size=BATCH,
                epochs=self.epochs,
                validation_data=self.parts["validation"],
                callbacks=[logger] if logger else [],
                verbose=0,
            )
            if logger:
                test = self.data.test
                logger.add_test(self.data.labels, test.labels, probabilities, test.batch)
                logger.finish({"test_accuracy": 0.0, "params": self.profile.params})
                inside = logger.seconds
            return time.perf_counter() - start, inside

    def logger(self, folder: Path):
        """A logger that adds up the seconds of its methods."""
        from applications.logs.tensorboard import TensorBoardLogger

        images, labels = self.parts["validation"]
        logger = TensorBoardLogger(
            folder,
            {"arch": "bench"},
            len(self.parts["train"][0]),
            profile=self.profile,
            inputs=(images[:64], labels[:64]),
        )
        logger.seconds = 0.0
        for name in HOOKS:
            setattr(logger, name, timed(logger, getattr(logger, name)))
        return logger


def timed(logger, method):
    def call(*args, **kwargs):
        start = time.perf_counter()
        try:
            return method(*args, **kwargs)
        finally:
            logger.seconds += time.perf_counter() - start

    return call


def spread(values: list[float], digits: int) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    main()
