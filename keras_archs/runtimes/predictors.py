"""The fastest way from images to a network's outputs on this machine.

>>> predict = keras_archs.runtime(model)
>>> probabilities = predict(images)  # uint8 or float (B, H, W, C) -> float32 (B, classes)

`Model.predict` spends most of a small batch's time around the network. A runtime compiles the
network once, with BatchNormalization folded into the weights:

    litert        LiteRT with XNNPACK
    onnxruntime   ONNX Runtime
    openvino      OpenVINO, pinned to float32
    tensorflow    one TensorFlow graph with the weights in it
    jax           `jax.jit`

The first four need the TensorFlow backend, whose graph the others are converted from; `jax` needs
the JAX backend. The first three compute on the CPU. What is converted is a copy: a network that is
trained further needs a new predictor.
"""

import contextlib
import functools
import math
import statistics
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from keras_archs.checks import count, nearest
from keras_archs.runtimes.conversion import PASSES, Converted, Pass, processors

if TYPE_CHECKING:
    import keras

# The libraries that each needs beside Keras and its backend.
RUNTIMES = {
    "litert": ("ai_edge_litert",),
    "onnxruntime": ("onnxruntime", "onnx", "tf2onnx"),
    "openvino": ("openvino", "onnx", "tf2onnx"),
    "tensorflow": (),
    "jax": (),
}
INT8 = {
    "litert": RUNTIMES["litert"],
    "onnxruntime": (*RUNTIMES["onnxruntime"], "sympy"),
    "openvino": ("openvino", *RUNTIMES["onnxruntime"], "sympy"),
}
PRECISIONS = ("fp32", "int8")

Option = tuple[str, int]  # a runtime, and images that go through the network at a time

_MIDDLE = 8  # images; a pass that is tried beside 1 and the whole batch
_SLOW = 2.0  # times the fastest; what is slower in a first pass is not measured again
_SECONDS = 1.0  # of measuring
_BLOCK = 0.02  # seconds of passes one after the other, so that the caches are warm
_MOST = 1e-3  # of the largest output, or of 1: a difference that is none of rounding
_REST = 0.03  # seconds; libraries' threads spin that long before they sleep


# ------------------------------------------------------------------------------------- the choice


def runtime(
    model: "keras.Model | Converted",
    name: str = "auto",
    *,
    precision: str = "fp32",
    representative: np.ndarray | None = None,
    batch_size: int = 1,
    threads: int | None = None,
) -> "Predictor":
    """Compiles a network for prediction.

    Conversion takes seconds for each runtime. What there is to choose is measured for about a
    second: the runtimes, for `"auto"`, and how many images go through the network at a time, as
    small passes stay in the caches. The choice is remembered for the model as long as the process
    and the model live.

    Args:
        model: a functional model or a built Sequential with one input (H, W, C) of known sides;
            all its layers compute in float32. Or a `Converted` one.
        name: a runtime of the module's docstring, or `"auto"`: the fastest of those installed that
            answers an image of noise as the network does. Others are left out, with a warning. One
            that is asked for is used whatever it answers, with a warning.
        precision: `"fp32"`, outputs within 1e-5 of the model's, or `"int8"`, weights and
            activations of 8 bits: the predictor's `agreement` says how well it does.
        representative: for int8, a hundred or so images (N, H, W, C) such as the network will see,
            uint8 or float as the model takes them. They set the ranges of the activations.
        batch_size: images that are usually predicted at a time, >= 1. Any number can be.
        threads: CPU threads, >= 1. None: one for each processor that the process may use.

    Raises:
        ValueError: the runtime is unknown, not installed or not for this backend, or an argument
            is out of range. TensorFlow and JAX have one pool of threads for the whole process:
            `threads` must be None or that number.
    """
    if isinstance(model, Converted):
        if representative is not None:
            raise ValueError(
                "`representative` must be None for a Converted model, which has its own. "
                f"Received: images of shape {np.shape(representative)}"
            )
        converted = model
    else:
        converted = Converted(model, representative)
    batch_size = count("batch_size", batch_size)
    threads = None if threads is None else count("threads", threads)
    check_names([] if name == "auto" else [name], precision)
    names = available(precision, threads) if name == "auto" else [name]
    if not names:
        raise ValueError(
            "`runtime` must be installed, for example by pip install 'keras-archs[runtime]'. "
            f"Received: none for precision={precision!r}, threads={threads}"
        )
    for each in names:
        check_runtime(each, precision, threads)
    if precision == "int8":
        converted.check_representative()

    choices = _CHOICES.setdefault(converted.model, {})
    key = (tuple(names), precision, batch_size, threads)
    times = choices.get(key)
    options = (
        [_fastest(times)] if times else [(n, c) for n in names for c in _chunks(n, batch_size)]
    )
    passes = _passes(converted, precision, options, threads)
    if not times:
        times = choices[key] = _measured(passes, converted.shape)
    best = _fastest(times)
    return Predictor(converted, passes[best], best, precision, batch_size, times)


_CHOICES: WeakKeyDictionary = WeakKeyDictionary()  # model -> arguments -> seconds an image


def _fastest(times: Mapping[Option, float]) -> Option:
    return min(times, key=times.__getitem__)


def _chunks(name: str, batch_size: int) -> list[int]:
    """Images at a time that are worth a try. A call of TensorFlow or JAX costs too much for few."""
    if name in ("tensorflow", "jax"):
        return [batch_size]
    return sorted({min(size, batch_size) for size in (1, _MIDDLE, batch_size)})


def _passes(converted, precision, options: list[Option], threads) -> dict[Option, Pass]:
    """A compiled pass for each option.

    Where there are several runtimes one may fail to convert, or be found to answer otherwise than
    the graph that it was converted from: an optimiser's error is nothing that users would see. One
    that was asked for by its name is taken, with a warning.
    """
    image = _noise(converted)
    several = len({name for name, _ in options}) > 1
    converts = any(name not in ("tensorflow", "jax") for name, _ in options)
    expected = converted.answers(image) if converts and precision == "fp32" else None
    passes, failed = {}, {}
    for name, chunk in options:
        try:
            if name not in failed:
                run = PASSES[name](converted, precision, chunk, threads)
                found = run(np.repeat(image, chunk, axis=0))
                different = _difference(found, expected) if expected is not None else None
                if different and several:
                    raise ArithmeticError(different)
                if different:
                    warnings.warn(f"{name}: {different}", RuntimeWarning, stacklevel=3)
                passes[name, chunk] = run
        except Exception as error:  # what the libraries raise is their own
            failed[name] = error
    if failed and not passes:
        name, error = failed.popitem()
        raise ValueError(
            f"`model` must have layers that {name} can run in {precision}. "
            f"Received: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        ) from error
    for name, error in failed.items():
        warnings.warn(f"{name} cannot run this network: {error}", RuntimeWarning, stacklevel=3)
    return passes


def _noise(converted: Converted) -> np.ndarray:
    """One image of random pixels, float32 (1, H, W, C)."""
    most = 255 if "int" in converted.model.inputs[0].dtype else 1
    pixels = np.random.default_rng(0).random((1, *converted.shape), np.float32)
    return most * pixels


def _difference(found: list[np.ndarray], expected: list[np.ndarray]) -> str | None:
    """In words, where outputs differ by more than rounding explains."""
    for ours, wanted in zip(found, expected, strict=True):
        largest = _MOST * max(1.0, np.abs(wanted).max())
        if not np.allclose(ours[:1], wanted, rtol=0, atol=largest, equal_nan=True):
            difference = np.abs(ours[:1] - wanted).max()
            return f"outputs differ by {difference:.2g} from the network's own"
    return None


def _measured(passes: Mapping[Option, Pass], shape) -> dict[Option, float]:
    """Seconds an image of each pass, the median of its times; what is far off is measured once.

    Not the best time: a small pass is timed more often than a large one, and has more luck.
    """
    if len(passes) == 1:
        return dict.fromkeys(passes, math.nan)
    calls = {}
    for (name, chunk), run in passes.items():
        images = np.zeros((chunk, *shape), np.float32)
        calls[name, chunk] = functools.partial(run, images)

    def typical(times):
        return {option: statistics.median(times[option]) / option[1] for option in times}

    found = typical(interleaved(calls, seconds=0, rounds=1))
    limit = _SLOW * min(found.values())
    close = {option: call for option, call in calls.items() if found[option] <= limit}
    return found | typical(interleaved(close, seconds=_SECONDS))


def available(precision: str = "fp32", threads: int | None = None) -> list[str]:
    """The runtimes that are installed and run on this backend, with this number of threads."""
    found = []
    for name in RUNTIMES:
        with contextlib.suppress(ValueError):
            check_runtime(name, precision, threads)
            found.append(name)
    return found


def check_runtime(name: str, precision: str = "fp32", threads: int | None = None) -> None:
    """Raise ValueError unless the runtime can be used in this process."""
    import keras

    check_names([name], precision)
    backend = keras.backend.backend()
    if backend != ("jax" if name == "jax" else "tensorflow"):
        raise ValueError(
            "`runtime` must be one of the backend: jax needs KERAS_BACKEND=jax, all others "
            f"KERAS_BACKEND=tensorflow. Received: runtime={name!r} on {backend}"
        )
    libraries = RUNTIMES[name] if precision == "fp32" else INT8[name]
    if missing := [library for library in libraries if find_spec(library) is None]:
        raise ValueError(
            "`runtime` must be installed, for example by pip install 'keras-archs[runtime]'. "
            f"Received: runtime={name!r} without {', '.join(missing)}"
        )
    if threads is not None and name in ("tensorflow", "jax") and threads != _pool(name):
        raise ValueError(
            f"`threads` must be None or, for {name}, what the process was started with. "
            f"Received: threads={threads}"
        )


def check_names(names: Iterable[str], precision: str) -> None:
    """Raise ValueError unless there are such runtimes and they have the precision. No import."""
    if precision not in PRECISIONS:
        raise ValueError(
            f"`precision` must be one of {', '.join(PRECISIONS)}. Received: precision={precision!r}"
        )
    for name in names:
        if name not in RUNTIMES:
            raise ValueError(
                f"`runtime` must be one of auto, {', '.join(RUNTIMES)}.{nearest(name, RUNTIMES)} "
                f"Received: runtime={name!r}"
            )
        if precision == "int8" and name not in INT8:
            raise ValueError(
                f"`precision` must be fp32 for {name}. Received: precision={precision!r}"
            )


def _pool(name: str) -> int | None:
    """The threads that TensorFlow was set to; JAX and an unset TensorFlow take all there are."""
    if name == "jax":
        return processors()
    import tensorflow as tf

    return tf.config.threading.get_intra_op_parallelism_threads() or processors()


# ------------------------------------------------------------------------------------- predicting


class Predictor:
    """A compiled network: images in, outputs out. Any thread may call it.

    Attributes:
        runtime: its name.
        precision: `"fp32"` or `"int8"`.
        batch_size: images that it was chosen for.
        chunk: images that go through the network at a time. The last ones are filled up.
        times: seconds an image of all that was measured, by runtime and chunk.
        agreement: for int8 the fraction of the representative images whose highest output is the
            float32 network's; else None.
    """

    def __init__(
        self,
        converted: Converted,
        run: Pass,
        option: Option,
        precision: str,
        batch_size: int,
        times: Mapping[Option, float],
    ):
        self._run, self._shape, self._structure = run, converted.shape, converted.structure
        # The others serve several threads at once.
        one_at_a_time = option[0] in ("litert", "openvino")
        self._turn = threading.Lock() if one_at_a_time else contextlib.nullcontext()
        self.runtime: str = option[0]
        self.chunk: int = option[1]
        self.precision: str = precision
        self.batch_size: int = batch_size
        self.times: dict[Option, float] = dict(times)
        self.agreement: float | None = converted.agreement(self) if precision == "int8" else None

    def __repr__(self) -> str:
        agreement = "" if self.agreement is None else f", agreement {self.agreement:.4f}"
        return f"<Predictor {self.runtime} {self.precision}, {self.chunk} at a time{agreement}>"

    def __call__(self, images: np.ndarray) -> Any:
        """The outputs for any number of images.

        Args:
            images: uint8 or float (B, H, W, C) with values as the model takes them, B >= 1.

        Returns:
            float32 (B, classes). For a model with several outputs a structure as the model's, such
            as a dict of arrays.

        Raises:
            ValueError: the images have another shape.
        """
        images = np.asarray(images)
        if images.ndim != 4 or images.shape[1:] != self._shape or not len(images):
            raise ValueError(
                f"`images` must have the shape (B, {', '.join(map(str, self._shape))}), B >= 1. "
                f"Received: {images.shape}"
            )
        images = np.ascontiguousarray(images, np.float32)
        if len(images) == self.chunk:
            with self._turn:
                outputs = self._run(images)
        else:
            starts = range(0, len(images), self.chunk)
            with self._turn:
                parts = [self._run(self._filled(images[at : at + self.chunk])) for at in starts]
            outputs = [np.concatenate(part)[: len(images)] for part in zip(*parts, strict=True)]
        if self._structure is None:
            return outputs[0]
        import keras

        return keras.tree.pack_sequence_as(self._structure, outputs)

    def _filled(self, images: np.ndarray) -> np.ndarray:
        missing = self.chunk - len(images)
        return np.pad(images, [(0, missing), *[(0, 0)] * 3]) if missing else images


def interleaved(
    calls: Mapping[Any, Callable[[], object]], *, seconds: float, rounds: int = 3
) -> dict[Any, list[float]]:
    """Times of calls that take turns, so that a machine that slows down slows all of them.

    A turn is a rest of 30 ms, in which the threads of the one before stop waiting for more, a call
    that is not timed, for the caches, then calls for about 20 ms. The order changes from round to
    round.

    Args:
        calls: what to time, by any name.
        seconds: no further round is begun after this time.
        rounds: to do at least.

    Returns:
        Under each name the seconds of every timed call.
    """
    times: dict[Any, list[float]] = {name: [] for name in calls}
    order = list(calls.items())
    start = time.perf_counter()
    done = 0
    while done < rounds or time.perf_counter() - start < seconds:
        for name, call in order[:: -1 if done % 2 else 1]:
            time.sleep(_REST)
            call()
            turn = time.perf_counter()
            while True:
                begin = time.perf_counter()
                call()
                now = time.perf_counter()
                times[name].append(now - begin)
                if now - turn > _BLOCK:
                    break
        done += 1
    return times
