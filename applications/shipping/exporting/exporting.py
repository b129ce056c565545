"""A run's network in another format, compared with the run before it is handed out."""

import functools
import importlib.metadata
import json
import os
import statistics
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np

import applications
import keras_archs
from applications.comparison.benching import representative_images
from applications.console import plain_console, stderr_closed
from applications.data.sources import Subset
from applications.evaluation.evaluating import score, tested
from applications.files import new_folder, write_json
from applications.options import Exporting, Group, takes
from applications.shipping.exporting import micro
from applications.shipping.exporting.formats import (
    READERS,
    WRITERS,
    Answers,
    Exported,
    check_usable,
    inference_copy,
)
from applications.training.deriving import opened_parent
from keras_archs.runtimes import Converted, compiled, interleaved

_AT_A_TIME = 32  # images that are compared at a time where any number can be
_SECONDS = 1.0  # of timing
_LIBRARIES = {
    "keras": ("keras",),
    "saved_model": ("keras", "tensorflow"),
    "onnx": ("keras", "tf2onnx", "onnx", "onnxruntime"),
    "litert": ("keras", "tensorflow", "ai-edge-litert"),
    "openvino": ("keras", "tf2onnx", "openvino"),
    "c": ("keras", "tensorflow", "ai-edge-litert"),
}


@takes(Group(Exporting))
def export(asked: Exporting) -> dict[str, Any]:
    """Make a finished run's network a file for another runtime.

    The folder holds the network, labels.json and export.json. Normalisations are folded into the
    weights, and preprocessing is inside: every format takes images as they are stored, uint8
    0..255 (B, H, W, C), scaled to the network's size as export.json says, and answers with
    probabilities. ONNX and OpenVINO files also carry the labels, as JSON under `labels`.

    What was written is read back by its runtime and answers all test images of the run. Where it
    differs from the run's network, in float32, by more than the tolerance, nothing is left.

    Args:

    Returns:
        What export.json holds: `input` and `output`, `bytes` of all files of the network,
        `parity` (`images`, `max_difference` of a probability, `top1_agreement` in 0..1,
        `accuracy` of both), `latency_ms_p50` of one pass of `images_a_pass` on this machine, of the
        export and of the network in Keras, for c the `operators` and `arena_bytes`; and `path`, the
        folder.

    Raises:
        ValueError, TypeError: an argument is wrong, the run is not finished, damaged or untested,
            its data are others now, the backend or the libraries installed cannot make the format,
            or the export differs by more than the tolerance.
        FileExistsError: `out` exists.
        OSError: a file cannot be read or written.
    """
    run, asked = opened_parent(asked.run), asked.settled
    check_usable(asked.format, str(asked.precision))
    _, test = tested(run, None, keep=False)
    network = inference_copy(run.model)
    exported = Exported(
        network=network,
        converted=Converted(network, ranges(run) if asked.precision == "int8" else None),
        asked=asked,
        notes=_notes(run),
        example=test.batch([0])[0],
    )
    print(f"{asked.format} {asked.precision}, on {len(test):,} test images", file=sys.stderr)
    with new_folder(asked.folder) as folder:
        with stderr_closed():  # the libraries' notes
            WRITERS[asked.format](exported, folder)
        report = _report(run, exported, folder, test)
        _check(report)
        write_json(folder / "labels.json", list(run.labels))
        write_json(folder / "export.json", report)
    _print(report, asked.folder)
    return {**report, "path": asked.folder}


def ranges(run: applications.Run) -> np.ndarray:
    """Images that set the ranges of int8: in one of them a pixel is black and one white.

    So the input has the scale 1, and each value of a pixel its own code.
    """
    images = representative_images(run)
    whole = images[:1].copy()
    whole[0, 0, 0], whole[0, 0, -1] = 0, 255
    return np.concatenate([images, whole])


def _notes(run: applications.Run) -> dict[str, str]:
    return {
        "labels": json.dumps(list(run.labels), ensure_ascii=False),
        "arch": run.config["arch"],
        "resize": run.config["resize"],
        "keras_archs": keras_archs.__version__,
    }


# --------------------------------------------------------------------------------- the comparison


def _judged(answers: Answers) -> Any:
    """What `score` takes for a network."""
    return SimpleNamespace(predict_on_batch=answers)


def _report(
    run: applications.Run, exported: Exported, folder: Path, test: Subset
) -> dict[str, Any]:
    """What export.json holds."""
    asked = exported.asked
    files = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    with stderr_closed():  # the libraries' notes
        answers, size = READERS[asked.format](folder), exported.batch or _AT_A_TIME
    forward = compiled(exported.network)
    found = score(_judged(answers), test, size)
    expected = score(_judged(lambda images: np.asarray(forward(images)[0])), test, size)
    one = exported.batch or 1
    images = test.batch(np.arange(one) % len(test))
    times = interleaved(
        {
            "export": functools.partial(answers, images),
            "keras": functools.partial(forward, keras.ops.convert_to_tensor(images)),
        },
        seconds=_SECONDS,
    )
    input_shape = [asked.batch, *exported.converted.shape]
    is_c = asked.format == "c"
    lowest, highest = (-128, 127) if is_c else (0, 255)
    report = {
        "run": os.fspath(run.path),
        "arch": run.config["arch"],
        "format": asked.format,
        "precision": asked.precision,
        "input": {
            **{"dtype": "int8" if is_c else "uint8", "shape": input_shape},
            **{"range": [lowest, highest], "what": "pixels - 128" if is_c else "pixels"},
            "resize": run.config["resize"],
        },
        "output": {
            "dtype": "int8" if is_c else "float32",
            "shape": [asked.batch, len(run.labels)],
            "what": "probabilities, in the order of labels.json",
        },
        "files": files,
        "bytes": sum(files.values()),
        "parity": {**_parity(found, expected, test.labels), "tolerance": asked.tolerance},
        "images_a_pass": one,
        "latency_ms_p50": {name: 1000 * statistics.median(times[name]) for name in times},
        "made_with": {
            "keras-archs": keras_archs.__version__,
            **{name: importlib.metadata.version(name) for name in _LIBRARIES[asked.format]},
        },
    }
    if asked.format == "c":
        model = (folder / "model.tflite").read_bytes()
        network = micro.read(model)
        report["bytes"] = len(model)  # of the array on the chip
        report["operators"], report["arena_bytes"] = list(network.operators), network.arena
    return report


def _parity(found: np.ndarray, expected: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    ours, theirs = found.argmax(axis=1), expected.argmax(axis=1)
    return {
        "images": len(labels),
        "max_difference": float(np.abs(found - expected).max()),
        "top1_agreement": float(np.mean(ours == theirs)),
        "accuracy": {
            "export": float(np.mean(ours == labels)),
            "keras": float(np.mean(theirs == labels)),
        },
    }


def _check(report: dict[str, Any]) -> None:
    """Raise ValueError where the export differs from the run by more than it may."""
    parity = report["parity"]
    found, what = parity["max_difference"], "largest difference of a probability"
    if report["precision"] == "int8":
        found, what = 1 - parity["top1_agreement"], "share of images whose class changes"
    if not found <= parity["tolerance"]:  # a difference may be no number
        raise ValueError(
            f"`tolerance` must be at least the {what} on the {parity['images']} test images for "
            f"{report['format']} in {report['precision']}. Received: "
            f"tolerance={parity['tolerance']:g}, and it is {found:.3g}"
        )


def _print(report: dict[str, Any], folder: str) -> None:
    from rich import box
    from rich.table import Table

    parity, times = report["parity"], report["latency_ms_p50"]
    kept = Path(report["run"], "model.keras").stat().st_size
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("network", "bytes", "test accuracy", "same class", "difference", "p50 ms"):
        table.add_column(name, justify="left" if name == "network" else "right")
    shares = {name: f"{100 * share:.2f} %" for name, share in parity["accuracy"].items()}
    table.add_row("the run's", f"{kept:,}", shares["keras"], "", "", f"{times['keras']:.3g}")
    table.add_row(
        f"{report['format']} {report['precision']}",
        *(f"{report['bytes']:,}", shares["export"], f"{100 * parity['top1_agreement']:.2f} %"),
        *(f"{parity['max_difference']:.2g}", f"{times['export']:.3g}"),
    )
    console = plain_console()
    # A file has no edge to fold lines at.
    console.width = console.width if console.is_terminal else 100
    console.print(table)
    if "operators" in report:
        arena = f"{report['arena_bytes']:,} bytes of memory, estimated"
        print(f"{', '.join(report['operators'])}; {arena}")
    print(f"{folder}: {', '.join(report['files'])}, labels.json, export.json")
