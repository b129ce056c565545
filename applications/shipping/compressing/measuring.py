"""What a compression goes by beside float32's accuracy: int8 files, and the time for an image."""

import functools
import statistics
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np

from applications.console import stderr_closed
from applications.data.sources import Dataset
from applications.evaluation.evaluating import score
from applications.evaluation.metrics import headline
from applications.shipping.exporting.formats import READERS, inference_copy
from keras_archs.runtimes import INT8, Converted, compiled, interleaved, runtime

FILE = "model.tflite"
_SECONDS = 1.0  # of timing
_AT_A_TIME = 32  # images
_FLOOR = 1e-6  # of a probability, for figures that take no row of zeros


def check_int8(asked: str | None) -> None:
    """Raise ValueError where a network cannot be converted to int8 here, and that is asked for.

    What `"aware"` trains can be converted elsewhere: its weights alone are put on the grid.
    """
    if asked == "after" and not can_convert():
        raise ValueError(
            "`int8` must be None, or 'aware', without TensorFlow as the backend and LiteRT, which "
            "pip install 'keras-archs[export]' installs. "
            f"Received: int8={asked!r} on {keras.backend.backend()}"
        )


def can_convert() -> bool:
    """Whether LiteRT's converter and interpreter are here."""
    return keras.backend.backend() == "tensorflow" and all(map(find_spec, INT8["litert"]))


class Int8(Converted):
    """A network whose weights and activations have 8 bits: a LiteRT file as `export` makes it.

    Args:
        network: of a run.
        images: that set the ranges: `exporting.ranges`.
    """

    def __init__(self, network: keras.Model, images: np.ndarray):
        super().__init__(inference_copy(network), images)

    @functools.cached_property
    def file(self) -> bytes:
        with stderr_closed():  # the converter's notes
            return self.litert_file("int8", None)

    def figures(self, dataset: Dataset) -> dict[str, Any]:
        """`bytes` of the file, and what it makes of the test images."""
        test = dataset.test
        with TemporaryDirectory() as folder:
            Path(folder, FILE).write_bytes(self.file)
            with stderr_closed():
                answers: Any = SimpleNamespace(predict_on_batch=READERS["litert"](Path(folder)))
                found = score(answers, test, _AT_A_TIME) + _FLOOR
        all_ = headline(test.labels, found / found.sum(axis=1, keepdims=True))
        kept = {name: all_[name] for name in ("test_accuracy", "macro_f1")}
        return {"bytes": len(self.file), **kept}


def latencies(networks: Mapping[str, keras.Model | Int8]) -> dict[str, dict[str, Any]]:
    """Milliseconds for one image, the medians of turns that all take one after the other.

    Each network is in its fastest runtime, one in int8 in LiteRT.

    Returns:
        Under each name `runtime` and `ms`.
    """
    calls, names = {}, {}
    for name, network in networks.items():
        with stderr_closed():
            call, names[name] = _fastest(network)
        shape, dtype = _input(network)
        calls[name] = functools.partial(call, np.zeros((1, *shape), dtype))
    times = interleaved(calls, seconds=_SECONDS)
    return {
        name: {"runtime": names[name], "ms": 1000 * statistics.median(times[name])}
        for name in networks
    }


def _fastest(network: keras.Model | Int8) -> tuple[Any, str]:
    """A function of a batch, and the name of what computes it."""
    if isinstance(network, Int8):
        return runtime(network, "litert", precision="int8"), "litert"
    copy = inference_copy(network)
    try:
        predictor = runtime(copy)
    except ValueError:  # no runtime is for this backend, or has its layers
        return compiled(copy), "keras"
    return predictor, predictor.runtime


def _input(network: keras.Model | Int8) -> tuple[tuple[int, ...], str]:
    model = network.model if isinstance(network, Int8) else network
    return model.input_shape[1:], model.inputs[0].dtype
