"""The memory that LiteRT's interpreter plans for ten networks in int8, beside what we count.

    python benchmarks/arena.py [--output benchmarks/results/arena.md]

Each network is converted as for a microcontroller, int8 from input to output, one image at a time,
and its arena is read from where the interpreter puts its tensors. Ends with 1 if a count is off by
more than a tenth. Nothing is timed. Weights are random; normalisations have the statistics of
random images, and biases are not 0, as in a trained network: the converter drops those that are.
"""

import argparse
import datetime
import importlib.metadata
import sys
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

import keras_archs
from keras_archs.runtimes import Converted, planned_arena

TOLERANCE = 0.1
SMALL = {"input_shape": (96, 96, 3), "classes": 10}
NETWORKS: dict[str, dict[str, Any]] = {
    "lenet5": {},
    "allcnn_c": {},
    "squeezenet": SMALL,
    "mobilenet": {**SMALL, "alpha": 0.25},
    "mobilenetv2": {**SMALL, "alpha": 0.35},
    "resnet20": {},
    "resnet20v2": {},
    "densenet40_12": {},
    "bninception": {**SMALL, "alpha": 0.25},
    "simpnet_300k": {},
}


class Row(NamedTuple):
    """One network: bytes of its arena and its file, each as it is and as we count it."""

    name: str
    arena: int
    counted: int
    file: int
    weights: int

    @property
    def ratio(self) -> float:
        return self.counted / self.arena

    def __str__(self) -> str:
        return (
            f"| {self.name} | {self.arena:,} | {self.counted:,} | {self.ratio:.3f} | "
            f"{self.file:,} | {self.weights:,} | {self.weights / self.file:.3f} |"
        )


def trained_like(name: str, **arguments: Any) -> tuple[keras.Model, np.ndarray]:
    """A network with statistics of images and biases that are not 0, and such images."""
    keras.utils.set_random_seed(0)
    model = keras_archs.build(name, **arguments)
    draw = np.random.default_rng(0)
    images = draw.uniform(size=(4, *model.input_shape[1:])).astype("float32")
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(draw.normal(scale=0.01, size=layer.bias.shape))
    model(images, training=True)
    return model, images


def measured(name: str, **arguments: Any) -> Row:
    model, images = trained_like(name, **arguments)
    file = Converted(model, images).litert_file("int8", 1, pixels="int8", answers="int8")
    found = keras_archs.deployment(model)
    counted = found.peak_activation_bytes, len(file), found.weight_bytes
    return Row(name, planned_arena(file), *counted)


def page(rows: list[Row]) -> str:
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("keras", "tensorflow", "ai-edge-litert")
    )
    return "\n".join(
        [
            "# The memory of ten networks in int8",
            "",
            "What LiteRT's interpreter plans for the activations, in bytes, beside",
            "`keras_archs.deployment(model).peak_activation_bytes`; and the network's file beside",
            "its `weight_bytes`: names and operators are the rest of the file.",
            "",
            f"`python benchmarks/arena.py`, {datetime.date.today()}, {versions}.",
            "",
            "| network | arena | counted | ratio | file | weights | ratio |",
            "| --- | --: | --: | --: | --: | --: | --: |",
            *map(str, rows),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--output", type=Path, help="the Markdown file to write")
    options = parser.parse_args()
    rows = [measured(name, **arguments) for name, arguments in NETWORKS.items()]
    print(page(rows))
    if options.output:
        options.output.write_text(page(rows), encoding="utf-8")
    sys.exit(any(abs(row.ratio - 1) > TOLERANCE for row in rows))


if __name__ == "__main__":
    main()
