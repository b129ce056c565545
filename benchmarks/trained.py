"""Make the weights that are in the package: train a network, compress it, install the file.

    python benchmarks/trained.py lenet5-mnist [--data FILE.npz] [--run-dir runs/trained]

Each is two commands, which its card shows. What is interrupted goes on where it was; what is done
is not done again. The file and its entry of `table.json` replace those in
`keras_archs/weights/trained/`.
"""

import argparse
import hashlib
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import keras_archs
from applications.data.sources import KERAS_DATASETS
from keras_archs.weights.catalog import TRAINED

DATA: dict[str, dict[str, Any]] = {
    "mnist": {
        "data": "MNIST",
        "labels": list(KERAS_DATASETS["mnist"][0]),
        "data_source": "LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist",
        "data_licence": "CC-BY-SA-3.0",
    },
    "cifar10": {
        "data": "CIFAR-10, each image saved as a JPEG of quality 75",
        "labels": list(KERAS_DATASETS["cifar10"][0]),
        "data_source": "Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html",
        "data_licence": "NOASSERTION",
    },
}
IMAGES = {"mnist": "mnist", "cifar10": "cifar10-jpeg.npz"}  # as `train` takes them
COMMANDS = (
    "keras-archs train --arch {arch} --alpha {alpha} --data {images} {train} --run-dir runs/{name}",
    "keras-archs compress runs/{name} {compress} --run-dir runs/{name}-compressed",
)
LIGHT = "--sparsity 0 --bits 8 --epochs 1 --batch-size 256 --learning-rate 0.0001 --threads 1"
SIMPNET = {"arch": "simpnet_300k", "data": "mnist", "train": "--size 28 --epochs 20 --threads 1"}
ON_CIFAR = {"data": "cifar10", "train": "--mirror --epochs 30 --threads 1"}
NETWORKS: dict[str, dict[str, Any]] = {
    "lenet5-mnist": {
        "arch": "lenet5",
        "data": "mnist",
        "alpha": 1.0,
        "train": "--epochs 4",
        "compress": "--sparsity 0.5 --bits 8 --epochs 1 --batch-size 256 --threads 1",
    },
    "simpnet-10k-mnist": {**SIMPNET, "alpha": 0.17, "compress": LIGHT},
    "simpnet-30k-mnist": {**SIMPNET, "alpha": 0.309, "compress": LIGHT},
    "simpnet-100k-mnist": {**SIMPNET, "alpha": 0.57, "compress": LIGHT},
    "simpnet-10k-cifar10": {**SIMPNET, **ON_CIFAR, "alpha": 0.17, "compress": LIGHT},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", choices=NETWORKS)
    parser.add_argument("--data", help="the images, an .npz file (default: as the card says)")
    parser.add_argument("--run-dir", type=Path, default=Path("runs/trained"), help="%(default)s")
    given = parser.parse_args()
    for command in commands(given.name):
        words = shlex.split(command.replace("runs/", f"{given.run_dir}/"))[1:]
        if given.data is not None and "--data" in words:
            words[words.index("--data") + 1] = given.data
        subprocess.run([sys.executable, "-m", "applications.cli", *words, "--resume"], check=True)
    print(install(given.name, given.run_dir / f"{given.name}-compressed"))


def commands(name: str) -> list[str]:
    """What a user types to train and to compress this network."""
    network = NETWORKS[name]
    return [text.format(name=name, images=IMAGES[network["data"]], **network) for text in COMMANDS]


def install(name: str, folder: Path) -> str:
    """Copy the file of a compressed run and its figures into the package; a line on it."""
    network, target = NETWORKS[name], TRAINED / f"{name}.kac"
    shutil.copyfile(folder / "model.kac", target)
    model, data = keras_archs.load_compressed(target), target.read_bytes()
    rescaling = model.get_layer("rescaling")
    scale, offset = np.ravel(rescaling.scale), np.ravel(rescaling.offset)
    with np.load(folder / "predictions.npz") as tested:
        right = tested["probabilities"].argmax(axis=1) == tested["labels"]
    table = TRAINED / "table.json"
    entries = {entry["file"]: entry for entry in json.loads(table.read_text(encoding="utf-8"))}
    cost = keras_archs.profile(model)
    entries[target.name] = {
        "weights": network["data"],
        **DATA[network["data"]],
        "source": "trained for this package",
        "licence": "Apache-2.0",
        "arch": network["arch"],
        "kwargs": {"alpha": network["alpha"]},
        "file": target.name,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "input_shape": list(model.input_shape[1:]),
        "mean": (-offset / scale).tolist(),
        "std": (1 / scale).tolist(),
        "params": cost.params,
        "macs": cost.macs,
        "right": int(right.sum()),
        "tested": len(right),
        "commands": commands(name),
    }
    ordered = sorted(entries.values(), key=lambda e: (e["arch"], e["weights"], e["params"]))
    table.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")
    return f"{target.name}: {right.sum():,} of {len(right):,} right, {len(data):,} bytes"


if __name__ == "__main__":
    main()
