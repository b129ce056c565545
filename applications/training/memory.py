"""The memory that a training needs at least, said before it is asked for, and what it has."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import keras

from applications.data.sources import MEMORY_LIMIT, Source
from applications.logs.diagnostics import device_figures, device_name
from applications.options import Plan
from keras_archs.checks import gib, machine_memory

_OUT_OF_MEMORY = ("ResourceExhausted", "RESOURCE_EXHAUSTED", "OutOfMemory")  # TF, JAX, PyTorch


def check_memory(plan: Plan, source: Source) -> None:
    """Raise ValueError, saying what would fit, where the machine cannot hold the training.

    Counted are the weights, their average where the recipe keeps one, their gradients, the
    optimizer's moments, the outputs of all layers for a batch, and the images that are kept
    decoded: less than a training on a CPU was seen to take.
    On a GPU it is the device's memory that counts, of which nothing is said here.
    """
    if device_name() is not None:
        return
    _check_whitening(plan, source)
    moments = 2 if plan.recipe.optimizer.startswith("Adam") else 1
    averages = 1 if plan.recipe.averaging else 0
    weights = plan.cost.weight_bytes * (2 + moments + averages)
    height, width = plan.image_size
    pixels = height * width * source.channels
    held = source.held((height, width, source.channels))
    in_memory = plan.options.cache or ("memory" if held <= MEMORY_LIMIT else "none")
    fixed = weights + (held if in_memory == "memory" else 0)
    per_image = plan.cost.activation_bytes + 4 * pixels
    needed, there = fixed + plan.batch_size * per_image, machine_memory()
    if needed <= there:
        return
    batch = int((there - fixed) // per_image)
    if batch >= 1:
        way = f"`batch_size` {batch} would fit"
    elif in_memory == "memory" and needed - held <= there:
        way = "`cache` 'disk' or 'none' would fit"
    elif weights < there:
        share = (there - weights) / (needed - weights)
        way = f"a `size` of about {int(min(height, width) * math.sqrt(share))} would fit"
    else:
        # Whatever its width, a network has the images and one map or more of their size.
        both = 8 * plan.batch_size * pixels > there
        way = f"a smaller {'`size` and `alpha`' if both else '`alpha`'} would fit"
    raise ValueError(
        f"a training must fit into this machine's {gib(there)}: {way}. Received: "
        f"{plan.options.arch}, batch_size={plan.batch_size}, {height}x{width}, at least "
        f"{gib(needed)} (weights, gradients and optimizer {gib(weights)}, layers' outputs "
        f"{gib(plan.batch_size * per_image)}, images {gib(fixed - weights)})"
    )


def _check_whitening(plan: Plan, source: Source) -> None:
    """Raise ValueError where whitening, whose matrix is fitted in three copies, does not fit."""
    if plan.recipe.preprocessing != "gcn_zca":
        return
    height, width = plan.image_size
    needed, there = 3 * 8 * (height * width * source.channels) ** 2, machine_memory()
    if needed > there:
        side = int((there / 24) ** 0.25 / source.channels**0.5)
        raise ValueError(
            f"`size` must be at most about {side} on this machine of {gib(there)} for the recipe "
            f"{plan.recipe.name!r}, which whitens images. Received: "
            f"{height}x{width}x{source.channels}, which needs {gib(needed)}"
        )


def resident() -> int:
    """Bytes of memory that this process has; off Linux the most that it ever had, on Windows 0."""
    with suppress(OSError):
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    return int(2**20 * device_figures(gpu=False).get("peak_memory_mib", 0))


def forget_peak() -> None:
    """Let peaks be those from now on: the process' on Linux, and TensorFlow's of a GPU."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    if keras.backend.backend() == "tensorflow" and device_name() is not None:
        import tensorflow as tf

        tf.config.experimental.reset_memory_stats("GPU:0")


def ran_out(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that memory ran out."""
    while error is not None:
        texts = f"{type(error).__name__} {error}"
        if isinstance(error, MemoryError) or any(sign in texts for sign in _OUT_OF_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def naming_what_is_too_large(plan: Plan) -> Iterator[None]:
    """A backend that runs out of memory in here is a ValueError that says what to lower."""
    try:
        yield
    except Exception as error:
        if ran_out(error):
            height, width = plan.image_size
            raise ValueError(
                "a training must fit into memory: lower `batch_size`, `size` or `alpha`. Received: "
                f"{plan.options.arch}, batch_size={plan.batch_size}, {height}x{width}, of which "
                f"{keras.backend.backend()} says that memory ran out"
            ) from error
        raise
