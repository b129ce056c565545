"""Whether every registered architecture exports to ONNX, LiteRT and OpenVINO and still agrees.

    python benchmarks/export_all.py [--archs resnet*,lenet5] [--output benchmarks/results/export.md]

Each is built with a width multiplier of 0.125, the smallest input of its default arguments and
random weights and statistics, written as `keras-archs export` writes it, read back by ONNX Runtime,
LiteRT and OpenVINO, and asked about four random images. Prints, and writes as Markdown, the largest
difference of a probability to Keras' for each. Ends with 1 if one is above the tolerance of
`export`, or if the probabilities differ between the images by less than a hundred times that, which
would prove nothing. A file that has some of the networks already keeps them and gets the others, so
that a run that was stopped goes on: DenseNets take minutes each.
"""

import argparse
import datetime
import importlib.metadata
import os
import platform
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

import keras_archs
from applications.files import write_atomic
from applications.options import TOLERANCES, Exporting
from applications.shipping.exporting.formats import READERS, WRITERS, Exported, inference_copy
from keras_archs.graph import deep_graphs
from keras_archs.runtimes import Converted

ALPHA = 0.125
FORMATS = "onnx", "litert", "openvino"
LIBRARIES = "keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime", "openvino", "ai-edge-litert"
LEAST_SPREAD, PROVES, CERTAIN = 1e-5, 100, 0.9
SEEDS = 20  # in as many again the kernels let their input through


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--archs", default="*", metavar="PATTERN,...", help="default: all")
    parser.add_argument("--output", type=Path, metavar="FILE.md")
    options = parser.parse_args()
    patterns = options.archs.split(",")
    names = dict.fromkeys(name for each in patterns for name in keras_archs.list_archs(each))
    rows = known(options.output)
    for name in names:
        if name in rows:
            continue
        begin = time.perf_counter()
        rows[name] = row(name)
        print(rows[name], f"{time.perf_counter() - begin:.0f} s", flush=True)
        keras.utils.clear_session()
        if options.output:
            write_atomic(options.output, report(rows))
    sys.exit(any("**no**" in each for each in rows.values()))


def known(file: Path | None) -> dict[str, str]:
    """The rows of a table that was written before, by network."""
    lines = file.read_text(encoding="utf-8").splitlines() if file and file.exists() else []
    found = {line.split("|")[1].strip(): line for line in lines if line.startswith("| ")}
    return {name: line for name, line in found.items() if name in keras_archs.list_archs()}


def row(name: str) -> str:
    """The line of a network."""
    shape, params, spread, found = compared(name)
    largest = max(found.values())
    agrees = largest <= TOLERANCES["fp32"] and LEAST_SPREAD <= spread >= PROVES * largest
    cells = [name, "x".join(map(str, shape)), f"{params:,}", f"{spread:.2g}"]
    cells += [*(f"{found[each]:.1e}" for each in FORMATS), "yes" if agrees else "**no**"]
    return "| " + " | ".join(cells) + " |"


def compared(name: str) -> tuple[tuple[int, ...], int, float, dict[str, float]]:
    """Input shape, parameters, spread of probabilities, and the largest difference by format."""
    info = keras_archs.info(name)
    shape = (*2 * (info.min_size_for(),), info.input_shape[-1])
    with deep_graphs():
        model = keras_archs.build(name, shape, classes=10, alpha=ALPHA)
        images = np.random.default_rng(0).integers(0, 256, (4, *shape), np.uint8)
        pixels = keras.Input(shape, dtype="uint8")
        whole = keras.Model(pixels, model(layers.Rescaling(1 / 255)(pixels)))
        for seed in range(2 * SEEDS):  # a narrow network may have no unit alive at its end
            randomize(model, seed, through=seed >= SEEDS)
            expected = softened(model, whole, images)
            if np.ptp(expected, axis=0).max() >= LEAST_SPREAD:
                break
        network = inference_copy(whole)
    converted = Converted(network)
    found = {}
    for each in FORMATS:
        with TemporaryDirectory() as folder:
            asked = Exporting(run="", format=each, out=f"{folder}/none", batch=4).settled
            exported = Exported(network, converted, asked, {"labels": "[]"}, images[0])
            WRITERS[each](exported, Path(folder))
            found[each] = float(np.abs(READERS[each](Path(folder))(images) - expected).max())
    return shape, model.count_params(), float(np.ptp(expected, axis=0).max()), found


def randomize(model: keras.Model, seed: int, through: bool = False) -> None:
    """Weights that keep a signal alive through many layers, and statistics that are not 0 and 1.

    `through`, for many layers without a shortcut: half of a random kernel and an identity, and
    shifts and means around 0.
    """
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers(include_self=False):
        if not layer.weights or isinstance(layer, keras.Model):
            continue
        values = []
        for weight in layer.weights:
            shape = tuple(weight.shape)
            if isinstance(layer, layers.BatchNormalization):
                drawn = rng.uniform(0.5, 1.5, shape)
                centred = through and weight.name in ("beta", "moving_mean")
                values.append((drawn - 1) / 2 if centred else drawn)
            elif len(shape) == 1:
                values.append(np.abs(rng.normal(scale=0.1, size=shape)))
            else:
                depthwise = isinstance(layer, layers.DepthwiseConv2D)
                fan_in = np.prod(shape[:2] if depthwise else shape[:-1])
                kernel = rng.normal(scale=np.sqrt(2 / fan_in), size=shape)
                if through and len(shape) == 4 and not depthwise:
                    kernel /= 2
                    kernel[shape[0] // 2, shape[1] // 2] += np.eye(*shape[2:])
                values.append(kernel)
        layer.set_weights(values)


def softened(model: keras.Model, whole: keras.Model, images: np.ndarray) -> np.ndarray:
    """What it answers once the last weights are small enough that it is certain of none.

    Probabilities of 0 and 1 would hide a difference.
    """
    last = [layer for layer in model._flatten_layers() if hasattr(layer, "kernel")][-1]
    while (answers := whole.predict_on_batch(images)).max() > CERTAIN:
        last.set_weights([weight / 2 for weight in last.get_weights()])
    return answers


def report(rows: dict[str, str]) -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    failed = sum("**no**" in each for each in rows.values())
    missing = [name for name in keras_archs.list_archs() if name not in rows]
    said = "All of these agree" if not failed else f"{failed} do not agree"
    left = f" Not run: {', '.join(missing)}." if missing else ""
    header = "network", "input", "parameters", "spread", *FORMATS, "agrees"
    return "\n".join(
        [
            "# Exporting every architecture: `python benchmarks/export_all.py`\n",
            f"{datetime.date.today()}. Python {platform.python_version()}, {versions}.\n",
            f"{len(rows)} of {len(rows) + len(missing)} networks with a width multiplier of "
            f"{ALPHA} and random weights: the largest difference of a probability between Keras "
            "and the exported file, on four random images. `spread`: the most that a class's "
            f"probability differs between these. Tolerance {TOLERANCES['fp32']:g}. {said}.{left}\n",
            "| " + " | ".join(header) + " |",
            "|---|---|--:|--:|" + "--:|" * len(FORMATS) + "---|",
            *(rows[name] for name in sorted(rows)),
            "",
        ]
    )


if __name__ == "__main__":
    main()
