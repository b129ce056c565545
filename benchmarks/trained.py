"""Make the weights that are in the package: train a network, compress it, install the file.

    python benchmarks/trained.py lenet5-mnist [--data mnist] [--run-dir runs/trained]

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

import numpy as np

import keras_archs
from keras_archs.weights.catalog import TRAINED

MNIST = {
    "weights": "mnist",
    "data": "MNIST",
    "source": "trained for this package",
    "licence": "Apache-2.0",
    "labels": [str(digit) for digit in range(10)],
    "data_source": "LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist",
    "data_licence": "CC-BY-SA-3.0",
}
COMMANDS = (
    "keras-archs train --arch {arch} --alpha {alpha} --data mnist {train} --run-dir runs/{name}",
    "keras-archs compress runs/{name} {compress} --run-dir runs/{name}-compressed",
)
NETWORKS = {
    "lenet5-mnist": {
        "arch": "lenet5",
        "alpha": 1.0,
        "train": "--epochs 4",
        "compress": "--sparsity 0.5 --bits 8 --epochs 1 --batch-size 256 --threads 1",
    },
    "simpnet-10k-mnist": {
        "arch": "simpnet_300k",
        "alpha": 0.17,
        "train": "--size 28 --epochs 20 --threads 1",
        "compress": (
            "--sparsity 0 --bits 8 --epochs 1 --batch-size 256 --learning-rate 0.0001 --threads 1"
        ),
    },
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", choices=NETWORKS)
    parser.add_argument("--data", default="mnist", help="or an .npz file of it (%(default)s)")
    parser.add_argument("--run-dir", type=Path, default=Path("runs/trained"), help="%(default)s")
    given = parser.parse_args()
    for command in commands(given.name):
        here = command.replace("--data mnist", f"--data {given.data}")
        words = shlex.split(here.replace("runs/", f"{given.run_dir}/"))[1:]
        subprocess.run([sys.executable, "-m", "applications.cli", *words, "--resume"], check=True)
    print(install(given.name, given.run_dir / f"{given.name}-compressed"))


def commands(name: str) -> list[str]:
    """What a user types to train and to compress this network."""
    return [text.format(name=name, **NETWORKS[name]) for text in COMMANDS]


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
        **MNIST,
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
    ordered = [entries[file] for file in sorted(entries)]
    table.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")
    return f"{target.name}: {right.sum():,} of {len(right):,} right, {len(data):,} bytes"


if __name__ == "__main__":
    main()
