"""Images to search in: any data that `train` takes, all splits together, or a folder of images.

A folder may hold splits, classes, or images alone, which then have no class.
"""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from applications.data.folders import (
    Listing,
    beside_splits,
    class_names,
    flat_images,
    list_images,
    split_folders,
)
from applications.data.images import text_array
from applications.data.sources import NAMES, Subset, open_source, short_name

NO_CLASS = -1  # the label of an image that has none


@dataclass(frozen=True)
class Library:
    """Images that are decoded when they are asked for.

    Attributes:
        name: short name, fit for a folder's name.
        ids: N texts that name the images, as of `Subset`.
        classes: names of the classes; empty where there are none.
        labels: indices into them or `NO_CLASS`, int64 (N,).
        tested: whether an image belongs to the data's own test split, bool (N,).
        marks: what is other where an image is: size in bytes and time in nanoseconds of its file,
            or a hash of its pixels; int64 (N, 2).
        not_read: `"PATH: REASON"` of each entry of a folder that is no image and no class.
    """

    name: str
    ids: list[str]
    classes: tuple[str, ...]
    labels: np.ndarray
    tested: np.ndarray
    marks: np.ndarray
    not_read: tuple[str, ...]
    _images: np.ndarray = field(repr=False)  # uint8 (N, h, w, c), or paths (N,) as objects

    def __len__(self) -> int:
        return len(self.ids)

    def at(self, shape: tuple[int, int, int], resize: str, rows: np.ndarray) -> Subset:
        """Some of the images, decoded a batch at a time.

        Args:
            shape: (H, W, C) of each.
            resize: as of `Source.at`.
            rows: which, (M,).
        """
        ids = [self.ids[row] for row in rows]
        return Subset(self._images[rows], self.labels[rows], ids, shape, resize, False)


def open_library(data: str | os.PathLike[str], *, seed: int = 0) -> Library:
    """Find the images and their classes.

    Args:
        data: as for `open_source`, or a folder of images: of splits, of classes, with as few images
            as one may like, or of images alone.
        seed: of a cut: those of a named data set and an `.npz` file that have no test split.

    Raises:
        ValueError: as `open_source`, or the folder holds no images.
        OSError: a file cannot be read or a data set cannot be downloaded.
    """
    root = Path(os.path.expanduser(data))
    if os.fspath(data) not in NAMES and root.is_dir():
        return _of_folder(root)
    source = open_source(data, seed=seed)
    images, labels, ids, tested = source.pooled()
    marks = np.array([(_hash(image), 0) for image in images], np.int64)
    return Library(source.name, ids, source.labels, labels, tested, marks, (), images)


def _hash(image: np.ndarray) -> int:
    found = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=8).digest()
    return int.from_bytes(found, "big", signed=True)


def _of_folder(root: Path) -> Library:
    ids: list[str] = []
    classes: list[str] = []
    tested: list[bool] = []
    splits = split_folders(root)
    not_read = beside_splits(root) if splits else []
    for split, listing in _listings(root, splits):
        ids += listing.ids
        classes += listing.classes
        tested += [split == "test"] * len(listing.ids)
        not_read += listing.not_read
    names = tuple(sorted(set(classes) - {""}))
    index = {name: at for at, name in enumerate(names)}
    labels = np.array([index.get(name, NO_CLASS) for name in classes], np.int64)
    paths = [os.path.join(root, path) for path in ids]
    marks = np.array([_times(path) for path in paths], np.int64)
    return Library(
        *(short_name(root), ids, names, labels, np.array(tested), marks, tuple(not_read)),
        text_array(paths),
    )


def _listings(root: Path, splits: dict[str, str]) -> list[tuple[str, Listing]]:
    if splits:
        return [(split, list_images(root, name)) for split, name in splits.items()]
    return [("", list_images(root, "") if class_names(root) else flat_images(root))]


def _times(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns
