"""What BatchNorm's running statistics are worth after a short training.

    python benchmarks/running_statistics.py [--networks resnet20] [--steps 30] [--seeds 0,1,2]

Trains one network of each of six families for a few steps on 400 of scikit-learn's digits at 16x16,
and asks of the 360 training images how many it gets right: in training mode, where each batch is
normalised by its own statistics, and at inference, with running statistics that are

- kept as Keras keeps them: they begin at 0 and 1 and remember that;
- unbiased: what they began with is taken out (`UnbiasedStatistics`);
- unbiased and short: as `train` keeps them, nothing older than a tenth of the training;
- estimated anew after the training, from eight batches: the best that can be had, for a pass over
  images before each validation.

Prints a Markdown table: accuracy in %, mean and range over the seeds. The running statistics do not
act on the training, so that all four are of the same kernels.
"""

import argparse
import contextlib
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.datasets import load_digits

import applications
from applications.data.sources import open_source
from applications.training import training
from applications.training.callbacks import UnbiasedStatistics

IMAGES, SIDE, BATCH = 400, 16, 64
NETWORKS = {
    "mobilenet": 0.25,
    "resnet20": 0.5,
    "densenet40_12": 0.5,
    "simpnet_300k": 0.5,
    "bninception": 0.125,
    "mobilenetv2": 0.35,
}


def as_keras(patch):
    patch(UnbiasedStatistics, "_scale", lambda self, factor: None)
    patch(training, "short_memory", lambda network, steps: contextlib.nullcontext())


def unbiased(patch):
    patch(training, "short_memory", lambda network, steps: contextlib.nullcontext())


def short(patch):
    pass


MODES = {"as Keras keeps them": as_keras, "unbiased": unbiased, "unbiased and short": short}


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--networks", default=",".join(NETWORKS), help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=30, help="default: %(default)s")
    parser.add_argument("--seeds", default="0,1,2", help="default: %(default)s")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]

    images, labels = load_digits(return_X_y=True)
    images = np.round(images.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    columns = ("in training mode", *MODES, "estimated anew")
    print(f"| network | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "digits.npz")
        np.savez(
            data,
            x_train=images[:IMAGES],
            y_train=labels[:IMAGES],
            x_test=images[IMAGES:],
            y_test=labels[IMAGES:],
        )
        for arch in options.networks.split(","):
            alpha = NETWORKS[arch]
            found = {column: [] for column in columns}
            for seed in seeds:
                for column, accuracy in measured(arch, alpha, seed, options.steps, data).items():
                    found[column].append(100 * accuracy)
            cells = [
                f"{np.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"
                for values in found.values()
            ]
            print(f"| {arch}, alpha {alpha} | {' | '.join(cells)} |", flush=True)


def measured(arch, alpha, seed, steps, data):
    train = open_source(data, seed=seed).at(SIDE).train
    pixels, labels = train.batch(np.arange(len(train))), train.labels
    results = {}
    for name, mode in MODES.items():
        keras.utils.clear_session()
        with patches() as patch, tempfile.TemporaryDirectory() as folder:
            mode(patch)
            model = applications.train(
                arch,
                data=data,
                alpha=alpha,
                size=SIDE,
                seed=seed,
                batch_size=BATCH,
                epochs=max(1, steps // (len(train) // BATCH)),
                run_dir=Path(folder, "run"),
                verbose=0,
            ).model
        results[name] = accuracy(model(pixels), labels)
    return {
        "in training mode": in_training_mode(model, pixels, labels),
        **results,
        "estimated anew": estimated_anew(model, pixels, labels),
    }


@contextlib.contextmanager
def patches():
    """A function that replaces attributes until the block ends."""
    with contextlib.ExitStack() as undo:

        def patch(owner, name, value):
            undo.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)

        yield patch


def accuracy(probabilities, labels):
    return float((keras.ops.convert_to_numpy(probabilities).argmax(axis=1) == labels).mean())


def batches(pixels, labels):
    rows = np.random.default_rng(0).permutation(len(labels))
    for start in range(0, len(rows) - BATCH + 1, BATCH):
        batch = rows[start : start + BATCH]
        yield pixels[batch], labels[batch]


def normalising(model):
    return [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]


def in_training_mode(model, pixels, labels):
    """Dropout, which is on in training mode as well, is left out."""
    dropout = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    for layer in dropout:
        layer.rate = 0.0
    kept = [layer.get_weights() for layer in normalising(model)]
    found = [accuracy(model(x, training=True), y) for x, y in batches(pixels, labels)]
    for layer, weights in zip(normalising(model), kept, strict=True):
        layer.set_weights(weights)
    return float(np.mean(found))


def estimated_anew(model, pixels, labels):
    random = np.random.default_rng(1)
    for done in range(8):
        for layer in normalising(model):
            layer.momentum = done / (done + 1)
        model(pixels[random.permutation(len(labels))[:BATCH]], training=True)
    return accuracy(model(pixels), labels)


if __name__ == "__main__":
    main()
