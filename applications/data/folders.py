"""Folders of images: which entries are splits, classes and images, and which are not read.

A folder is `train/<class>/*` with, optionally, a validation and a test folder beside it, or just
`<class>/*`. Hidden entries and what archives of macOS bring along are passed over; every other
entry that is not read is recorded with the reason.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

EXTENSIONS = ".jpg .jpeg .jfif .png .bmp .gif .webp .tif .tiff .ppm .pgm".split()  # in any case
SPLIT_OF = {  # name of a folder, in any case -> its split
    "train": "train",
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_JUNK = "__MACOSX"


@dataclass(frozen=True)
class Listing:
    """What a split's folder holds.

    Attributes:
        ids: paths of the image files relative to the data folder, class by class, in order.
        classes: the name of each image's class.
        not_read: `"PATH: REASON"` of each entry that is no image and no class.
    """

    ids: list[str]
    classes: list[str]
    not_read: list[str]


def _entries(folder: Path) -> list[os.DirEntry]:
    """What is not hidden, by name."""
    with os.scandir(folder) as entries:
        return sorted(
            (e for e in entries if not e.name.startswith(".") and e.name != _JUNK),
            key=lambda entry: entry.name,
        )


def _folders(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder) if entry.is_dir()]


def split_folders(root: Path) -> dict[str, str]:
    """The name of each split's folder; empty where `root` holds classes.

    Raises:
        ValueError: two folders stand for one split, or one beside train/ for none.
    """
    names = _folders(root)
    found: dict[str, str] = {}
    for name in names:
        split = SPLIT_OF.get(name.lower())
        if split is None:
            continue
        if split in found:
            raise ValueError(
                f"`data` must hold either {found[split]}/ or {name}/, not both. Received: {root}"
            )
        found[split] = name
    others = [name for name in names if name not in found.values()]
    if found and others:
        named = next(iter(found.values()))
        raise ValueError(
            f"`data` must hold nothing but splits ({', '.join(SPLIT_OF)}) or nothing but classes; "
            f"a class called {named!r} goes into train/{named}/. "
            f"Received: {others[0]}/ beside {named}/ in {root}"
        )
    return found


def class_names(folder: Path) -> tuple[str, ...]:
    """The classes of a split's folder, sorted."""
    return tuple(_folders(folder))


def list_images(root: Path, name: str, labels: Iterable[str] | None = None) -> Listing:
    """The image files of all classes in the folder `name` of `root` (`""` for `root` itself).

    Args:
        labels: the classes that there may be; None: any.

    Raises:
        ValueError: a class is not among the labels or has no images, there is no class, or a name
            is not UTF-8.
    """
    known = None if labels is None else set(labels)
    ids: list[str] = []
    classes: list[str] = []
    not_read: list[str] = []
    prefix = f"{name}/" if name else ""
    for entry in _entries(root / name):
        label = entry.name
        if not entry.is_dir():
            not_read.append(f"{prefix}{label}: beside the classes")
            continue
        if known is not None and label not in known:
            raise ValueError(
                f"Each class in {name}/ must be in train/ as well. Received: {label!r} in {root}"
            )
        files, left = _images_of(Path(entry.path))
        if not files:
            raise ValueError(
                f"Each class folder must hold images ({' '.join(EXTENSIONS)}). "
                f"Received: none in {root / name / label}"
            )
        ids += [f"{prefix}{label}/{file}" for file in files]
        classes += [label] * len(files)
        not_read += [f"{prefix}{label}/{text}" for text in left]
    for path in (*ids, *not_read):
        _check_encoding(path, root)
    if not ids:
        raise ValueError(
            f"{name or root}/ must hold a folder for each class. Received: none in {root}"
        )
    return Listing(ids, classes, not_read)


def _images_of(folder: Path) -> tuple[list[str], list[str]]:
    """Names of a class folder's images, and `"NAME: REASON"` of what else is in it."""
    files, left = [], []
    for entry in _entries(folder):
        reason = _obstacle(entry)
        if reason is None:
            files.append(entry.name)
        else:
            left.append(f"{entry.name}: {reason}")
    return files, left


def _obstacle(entry: os.DirEntry) -> str | None:
    """Why an entry of a class folder is not read; None for an image."""
    if entry.is_dir():
        return "a folder"
    if not entry.is_file():
        return "a link to nothing" if entry.is_symlink() else "no regular file"
    suffix = os.path.splitext(entry.name)[1].lower()
    if suffix in EXTENSIONS or (not suffix and _is_image(entry.path)):
        return None
    return f"no image ({suffix or 'no suffix'})"


def _is_image(path: str) -> bool:
    """Whether the file begins as an image does."""
    try:
        with Image.open(path):
            return True
    except Exception:  # a damaged header makes Pillow raise a dozen types
        return False


def _check_encoding(path: str, root: Path) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"Names in `data` must be UTF-8. Received: {os.fsencode(path)!r} in {root}"
        ) from None
