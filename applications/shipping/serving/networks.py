"""A network that is served: compiled in the fastest runtime, with what images become for it."""

import base64
import functools
import io
import math
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from PIL import Image

import keras_archs
from applications.data.images import read_image, resize_images
from applications.evaluation.explaining import Explanation, explain_all
from applications.evaluation.networks import Network, opened
from applications.options import Serving
from applications.runs import Run
from keras_archs import runtimes

_SECONDS = 0.2  # of measuring what passes cost


class _Pass(NamedTuple):
    """A compiled network that takes `chunk` images at a time, in about `seconds`."""

    run: Callable[[np.ndarray], np.ndarray]
    chunk: int
    seconds: float


class Served:
    """A network by its name. Its images are those of `shape`, uint8 or float32.

    Attributes:
        name: in addresses.
        labels: class names, in the order of the probabilities.
        shape: (H, W, C).
        runtime: what computes: a runtime's name, or the backend's where none has its layers.
        trained: whether it is of a run, whose images are 0..255.
    """

    def __init__(self, name: str, run: "Run | str | os.PathLike[str]", options: Serving):
        """Loads and compiles the network, which takes seconds.

        Raises:
            FileNotFoundError: there is no such folder or file.
            ValueError: it holds no finished run and no classifier of images of one size, or the
                runtime has not its layers.
        """
        self.name = name
        self._network = _opened(run)
        model = self._network.model
        if None in model.input_shape[1:] or model.input_shape[3] not in (1, 3):
            raise ValueError(
                "`runs` must take images of one size and 1 or 3 channels. "
                f"Received: {name!r} with input {model.input_shape}"
            )
        self.labels: tuple[str, ...] = tuple(self._network.labels)
        self.shape: tuple[int, int, int] = tuple(model.input_shape[1:])
        self.trained: bool = isinstance(self._network, Run)
        classifier = model if isinstance(self._network, Run) else self._network.classifier
        self.runtime, self._passes = _passes(classifier, options)
        self._most_pixels = options.max_pixels

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities of images (N, H, W, C): float32 (N, classes). For one thread."""
        cheapest = min(self._passes, key=lambda p: math.ceil(len(images) / p.chunk) * p.seconds)
        return cheapest.run(images)

    def pixels(self, image: Any) -> np.ndarray:
        """An image as the network takes it, as the run's own images were resized.

        Args:
            image: what an image file holds, or an array or lists (h, w) or (h, w, 1 or 3) of
                integers 0..255.

        Returns:
            uint8, (H, W, C).

        Raises:
            ValueError: it is none that can be decoded, or too large.
        """
        resize = self._network.config["resize"]
        if isinstance(image, bytes):
            return read_image(image, self.shape, resize, most_pixels=self._most_pixels)
        try:
            found = np.asarray(image)
        except ValueError:
            raise ValueError("lists must have one length at each depth") from None
        if found.ndim not in (2, 3):
            raise ValueError(
                "an array must have the shape (height, width) or (height, width, 1 or 3). "
                f"Received: shape={found.shape}"
            )
        return resize_images(found[None], self.shape, resize)[0]

    def explained(self, pixels: np.ndarray) -> list[dict[str, Any]]:
        """Where the network finds the most probable class of each image (N, H, W, C), in PNG.

        Raises:
            ValueError: no method explains this network.
        """
        return [
            {
                "method": each.method,
                "class": each.label,
                "map": _data_url(Image.fromarray(np.rint(255 * each.map).astype(np.uint8))),
                "overlay": _data_url(_overlay(each)),
            }
            for each in explain_all(self._network, list(pixels))
        ]


def _opened(run: "Run | str | os.PathLike[str]") -> Run | Network:
    if isinstance(run, str | os.PathLike) and Path(run).suffix == ".kac":
        return Network(keras_archs.load_compressed(run))
    return opened(run)


def _passes(model: keras.Model, options: Serving) -> tuple[str, list[_Pass]]:
    """Compiled for an image, and for a whole batch: the name of what computes, and the passes."""
    try:
        converted = runtimes.Converted(model)
        found = [
            runtimes.runtime(converted, options.runtime, batch_size=size, threads=options.threads)
            for size in sorted({1, options.max_batch})
        ]
    except ValueError:
        if options.runtime != "auto":
            raise
        forward = runtimes.compiled(model)  # no runtime has its layers, or it is in half precision
        forward(np.zeros((1, *model.input_shape[1:]), np.uint8))
        backend = keras.backend.backend()
        return backend, [_Pass(lambda images: _float32(forward(images)[0]), 1, 1.0)]
    distinct = {(each.runtime, each.chunk): each for each in found}
    calls = {
        key: functools.partial(each, np.zeros((each.chunk, *converted.shape), np.uint8))
        for key, each in distinct.items()
    }
    times = runtimes.interleaved(calls, seconds=_SECONDS)
    passes = [
        _Pass(each, each.chunk, statistics.median(times[key])) for key, each in distinct.items()
    ]
    return "+".join(dict.fromkeys(name for name, _ in distinct)), passes


def _float32(outputs: Any) -> np.ndarray:
    return np.asarray(outputs, np.float32)


# ----------------------------------------------------------------------------------------- pictures


def _overlay(explanation: Explanation) -> Image.Image:
    """The image as the network saw it, the map laid over it in colours."""
    image = Image.fromarray(explanation.image.squeeze()).convert("RGB")
    shares = explanation.map[..., None]
    colours = _colours()[np.rint(255 * explanation.map).astype(np.uint8)]
    opacity = 0.25 + 0.5 * shares
    return Image.fromarray(
        np.rint((1 - opacity) * np.asarray(image) + opacity * colours).astype(np.uint8)
    )


@functools.cache
def _colours() -> np.ndarray:
    """matplotlib's inferno, float (256, 3) in 0..255."""
    import matplotlib

    return 255 * matplotlib.colormaps["inferno"](np.arange(256))[:, :3]


def _data_url(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
