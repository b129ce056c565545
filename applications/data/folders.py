"""Folders of images: which entries are splits, classes and images, and which are not read.

A folder is `train/<class>/*` with, optionally, a validation and a test folder beside it, or just
`<class>/*`. Hidden entries and folders of systems, such as `__MACOSX`, are passed over; every other
entry that is not read is recorded with the reason.
"""

import errno
import os
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

EXTENSIONS = ".jpg .jpeg .jfif .png .bmp .gif .webp .tif .tiff .ppm .pgm".split()  # in any case
SPLIT_OF = {  # name of a folder, in any case -> its split
    "train": "train",
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# What macOS, Synology's NAS, Windows and Linux leave in archives and at the root of a disk.
_JUNK = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}


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
    """What is not hidden, by name. ValueError: a name is not UTF-8."""
    with os.scandir(folder) as entries:
        found = [e for e in entries if not e.name.startswith(".") and e.name not in _JUNK]
    for entry in found:
        _check_encoding(entry.name, folder)
    return sorted(found, key=lambda entry: entry.name)


def _kind(entry: os.DirEntry) -> str:
    """`"folder"`, `"file"`, or why it is neither."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
        entry.stat()
    except FileNotFoundError:
        return "a link to nothing"
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return "a link in a circle"
    return "no regular file"


def _folders(folder: Path) -> list[str]:
    """Names of the folders in it, each of which is another one."""
    names = [entry.name for entry in _entries(folder) if _kind(entry) == "folder"]
    seen: dict[tuple[int, int], str] = {}
    for name in names:
        status = os.stat(folder / name)
        other = seen.setdefault((status.st_dev, status.st_ino), name)
        if other != name:
            raise ValueError(
                f"`data` must hold an own folder for each split and class. Received: {other}/ and "
                f"{name}/, which are one, in {folder}"
            )
    return names


def split_folders(root: Path) -> dict[str, str]:
    """The name of each split's folder; empty where `root` holds classes.

    Raises:
        ValueError: two folders stand for one split, one beside train/ for none, or two splits are
            one folder.
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


def beside_splits(root: Path) -> list[str]:
    """`"NAME: REASON"` of each entry of a folder of splits that is none."""
    kinds = {entry.name: _kind(entry) for entry in _entries(root)}
    return [
        f"{name}: {_reason(kind, 'splits')}" for name, kind in kinds.items() if kind != "folder"
    ]


def _reason(kind: str, others: str) -> str:
    return f"beside the {others}" if kind == "file" else kind


def class_names(folder: Path) -> tuple[str, ...]:
    """The classes of a split's folder, sorted.

    Raises:
        ValueError: two have one name, written with other code points.
    """
    names = _folders(folder)
    written = _by_letters(names)
    for name in names:
        other = written[_letters(name)]
        if other != name:
            raise ValueError(
                "Names of classes must differ in more than the code points of their letters. "
                f"Received: {ascii(name)} and {ascii(other)} in {folder}"
            )
    return tuple(names)


def _letters(name: str) -> str:
    """The name as it is read: an accent may be part of its letter's code point or have its own."""
    return unicodedata.normalize("NFC", name)


def _by_letters(names: Iterable[str]) -> Mapping[str, str]:
    return {_letters(name): name for name in names}


def list_images(root: Path, name: str, labels: Iterable[str] | None = None) -> Listing:
    """The image files of all classes in the folder `name` of `root` (`""` for `root` itself).

    Args:
        labels: the classes that there may be; None: any.

    Raises:
        ValueError: a class is not among the labels or has no images, there is no class, a name
            is not UTF-8, or two classes are one folder.
    """
    known = None if labels is None else set(labels)
    ids: list[str] = []
    classes: list[str] = []
    not_read: list[str] = []
    prefix = f"{name}/" if name else ""
    for entry in _entries(root / name):
        label = entry.name
        kind = _kind(entry)
        if kind != "folder":
            not_read.append(f"{prefix}{label}: {_reason(kind, 'classes')}")
            continue
        if known is not None and label not in known:
            same = _by_letters(known).get(_letters(label))
            received = repr(label) if same is None else f"{ascii(label)} (there {ascii(same)})"
            raise ValueError(
                f"Each class in {name}/ must be in train/ as well. Received: {received} in {root}"
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
    if not ids:
        raise ValueError(
            f"{name or root}/ must hold a folder for each class. Received: none in {root}"
        )
    return Listing(ids, classes, not_read)


def flat_images(folder: Path) -> Listing:
    """The image files that lie in the folder itself; they have no class.

    Raises:
        ValueError: there is none.
    """
    files, left = _images_of(folder)
    if not files:
        raise ValueError(
            f"`data` must hold images ({' '.join(EXTENSIONS)}) or a folder of them for each class. "
            f"Received: none in {folder}"
        )
    return Listing(files, [""] * len(files), left)


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
    kind = _kind(entry)
    if kind != "file":
        return "a folder" if kind == "folder" else kind
    suffix = os.path.splitext(entry.name)[1].lower()
    if suffix in EXTENSIONS or (not suffix and _is_image(entry.path)):
        return None
    return f"no image ({suffix or 'no suffix'})"


def _is_image(path: str) -> bool:
    """Whether the file begins as an image does, or may not be read, which is said later."""
    try:
        with Image.open(path):
            return True
    except PermissionError:
        return True
    except Exception:  # a damaged header makes Pillow raise a dozen types
        return False


def _check_encoding(name: str, folder: Path) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"Names in `data` must be UTF-8. Received: {os.fsencode(name)!r} in {folder}"
        ) from None
