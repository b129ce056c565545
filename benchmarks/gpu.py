"""What a machine with one GPU makes of `train`: one command, some eight minutes.

    KERAS_BACKEND=jax python benchmarks/gpu.py CIFAR10 [--minutes 4] [--networks ...] [--epochs 4]
        [--images 8192] [--batch-size 256] [--rounds 1]

CIFAR10 is a folder with `cifar10_train.npz` and `cifar10_test.npz`, the images as JPEGs, as
`benchmarks/search_quality.py` reads them. Prints, as Markdown:

- `train` against a plain `fit` on arrays, in float32 and in mixed_bfloat16, as
  `benchmarks/training.py` measures them;
- what TensorBoard's files say of the device during such a training, read back from them;
- SimpNet_300K trained on CIFAR10 by the default recipe, with as many epochs as the minutes allow
  by the seconds that an epoch took before: its accuracy on the test images.

It runs on a CPU too, to try the script: `--minutes 0.5 --images 512 --batch-size 64
--networks lenet5`.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import training
from search_quality import cifar10

NETWORK = "simpnet_300k"
SEVERAL = ("mixed_bfloat16", "float32")


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("cifar10", type=Path, help="folder of the JPEGs")
    for name, default in (
        ("--minutes", 4.0),
        ("--networks", "simpnet_300k,mobilenet:0.5,resnet20"),
        ("--images", 8192),
        ("--epochs", 4),
        ("--rounds", 1),
        ("--batch-size", 256),
    ):
        parser.add_argument(name, default=default, type=type(default), help="default: %(default)s")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        # So that the rounds after the first are short.
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{folder}/compiled")
        import keras

        from applications.logs.diagnostics import device_name

        device = device_name() or "no GPU"
        print(f"# {device}, Keras {keras.__version__} on {keras.backend.backend()}\n")
        for precision in SEVERAL:
            print(f"\n## {precision}, batches of {options.batch_size}, {options.rounds} rounds\n")
            print(training.HEAD)
            for network in options.networks.split(","):
                asked = argparse.Namespace(**vars(options), precision=precision)
                print(training.row(network, asked), flush=True)
        learn(options, Path(folder))


def learn(options: Any, folder: Path) -> None:
    """Train on CIFAR10 for the minutes that are asked for, and print how good that is."""
    from applications import train

    arrays = {}
    for split, (images, labels) in cifar10(options.cifar10).items():
        arrays |= {f"x_{split}": np.stack([np.asarray(i) for i in images]), f"y_{split}": labels}
    np.savez(folder / "cifar10.npz", **arrays)
    asked = {"data": folder / "cifar10.npz", "batch_size": options.batch_size, "verbose": 0}
    asked |= {"precision": SEVERAL[0], "time_limit": options.minutes}

    first = train(NETWORK, **asked, epochs=3, run_dir=folder / "first")
    print("\n## What TensorBoard's files say of the device\n\n| scalar | last value |\n|---|---|")
    for name, value in scalars(first.path):
        print(f"| {name} | {value:.4g} |")
    seconds = first.history["seconds"]
    # An epoch that was cut by the time limit, on a slow machine, says nothing of the others.
    each = statistics.median(seconds[1:]) if len(seconds) == 3 else seconds[0]
    epochs = max(1, int(60 * options.minutes / each))
    run = train(NETWORK, **asked, epochs=epochs, run_dir=folder / "run")
    metrics = run.metrics
    print(f"\n## {NETWORK} on CIFAR-10 as JPEGs of quality 75: no published figure compares\n")
    print("| epochs | minutes | images/s | test accuracy | macro F1 |\n|---|---|---|---|---|")
    print(
        f"| {metrics['epochs']} of {epochs} | {metrics['train_seconds'] / 60:.1f} "
        f"| {metrics['images_per_second']:.0f} | {100 * metrics['test_accuracy']:.2f} % "
        f"| {100 * metrics['macro_f1']:.2f} % |"
    )


def scalars(folder: Path) -> list[tuple[str, float]]:
    """The last values of what a run logged of its device and its speed."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    tags = events.Tags()["scalars"]
    wanted = [t for t in tags if t.startswith("device/") or t == "training/images_per_second"]
    return [(tag, events.Scalars(tag)[-1].value) for tag in wanted]


if __name__ == "__main__":
    main()
