"""Decoded images in a file, for data that do not fit in memory and are decoded more than once."""

import hashlib
import math
import os
import shutil
from pathlib import Path

import numpy as np

from applications.console import one_line
from applications.data.images import load_images
from applications.files import naming_file, write_atomic
from keras_archs.checks import gib

_DECODED_AT_ONCE = 2**28  # bytes


def on_disk(paths: np.ndarray, shape: tuple[int, int, int], resize: str) -> np.ndarray:
    """The decoded images of these files, read from a file when they are asked for.

    It is written unless it is there whole, into `keras_archs/` of Keras' folder (`KERAS_HOME`, else
    `~/.keras`), and stays for the next training. Its name goes by the image files' names, sizes and
    times and by what is asked of them.

    Args:
        paths: of image files, (N,).
        shape: (H, W, C) of every image.
        resize: as of `Source.at`.

    Returns:
        uint8 0..255, (N, H, W, C), read-only.

    Raises:
        ValueError: an image cannot be decoded (it is named), the folder cannot be written, or the
            disk has no room for them.
    """
    folder = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "keras_archs"
    path = folder / f"images-{_digest(paths, shape, resize)}.npy"
    kept = _kept(path, (len(paths), *shape))
    if kept is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            needed, free = len(paths) * math.prod(shape), shutil.disk_usage(folder).free
            if needed > free:
                raise ValueError(
                    "`cache` must be 'memory' or 'none' where the disk has no room. Received: "
                    f"'disk', {gib(needed)} of images and {gib(free)} free in {folder}"
                )
            write_atomic(path, lambda partial: _decode(paths, shape, resize, partial))
        except FileNotFoundError:  # an image has gone
            raise
        except OSError as error:
            raise ValueError(
                "`cache` must be 'memory' or 'none' where its folder cannot be written. Received: "
                f"'disk', {folder} ({one_line(error)})"
            ) from error
        kept = np.load(path, mmap_mode="r")
    return kept


def _kept(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The images in a file; None where it is not there, or is damaged and must be written anew."""
    try:
        with naming_file(path, "Decoded images must be whole"):
            kept = np.load(path, mmap_mode="r")
    except (ValueError, OSError):
        return None
    return kept if kept.shape == shape and kept.dtype == np.uint8 else None


def _decode(paths: np.ndarray, shape: tuple[int, int, int], resize: str, path: Path) -> None:
    file = np.lib.format.open_memmap(path, "w+", np.uint8, (len(paths), *shape))
    count = max(1, _DECODED_AT_ONCE // math.prod(shape))
    for start in range(0, len(paths), count):
        file[start : start + count] = load_images(paths[start : start + count], shape, resize)
    file.flush()


def _digest(paths: np.ndarray, shape: tuple[int, int, int], resize: str) -> str:
    found = hashlib.sha256(f"{shape} {resize}".encode())
    for path in paths:
        status = os.stat(path)
        found.update(f"\0{os.path.abspath(path)}\0{status.st_size} {status.st_mtime_ns}".encode())
    return found.hexdigest()[:16]
