"""The folder of an index: the vector of each image of a library, and how it is kept current.

`index.json` is written last and names the other files with their sizes and SHA-256: what it does
not name is not part of the index, so that a process that is killed leaves the one before. None of
the files can hold code, and none is read before its size and checksum are found to be right.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from applications.data.libraries import Library
from applications.files import (
    naming_file,
    read_arrays,
    read_json,
    remove_partials,
    write_atomic,
    write_json,
)
from keras_archs.checks import is_count

INDEX = "index.json"
BLOCK = 1024  # images that are embedded between two files: what a kill costs at most
_FORMAT = 1
_NAME = re.compile(r"(vectors|images|encoder|codes)-[0-9a-z-]+\.(npy|npz|keras|faiss)")
_BYTES_AT_ONCE = 2**26  # of vectors
WHOLE = "An index must be whole (without its folder it is made anew)"


@dataclass
class Index:
    """Vectors of images, and what was made of them.

    Attributes:
        path: the folder.
        network: what the vectors are of: a hash of the network and of how images are resized.
        ids: names of the N images.
        marks: theirs, as of `Library`, int64 (N, 2).
        files: size and SHA-256 of each file of the index.
        codes: by kind of code what `codes` keeps of it.
        precision: how well images of one class find each other; empty where that is not known.
    """

    path: Path
    network: str
    ids: list[str]
    marks: np.ndarray
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    precision: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def token(self) -> str:
        """What the index is of, in a few letters."""
        found = hashlib.sha256(f"{self.network} {self.ids}".encode())
        found.update(np.ascontiguousarray(self.marks).data)
        return found.hexdigest()[:12]

    @property
    def vectors(self) -> np.ndarray:
        """float32 (N, D), mapped into memory: rows are read from the disk when they are used."""
        return np.load(self.path / f"vectors-{self.token}.npy", mmap_mode="r")

    def add(self, name: str, write: Callable[[Path], Any]) -> None:
        """Write a file of the index, which `publish` makes part of it."""
        write_atomic(self.path / name, write)
        self.files[name] = _facts(self.path / name)

    def publish(self) -> None:
        """Write index.json, and delete what the index no longer consists of."""
        kept = {f"vectors-{self.token}.npy", f"images-{self.token}.npz"}
        kept |= {each[part] for each in self.codes.values() for part in ("encoder", "file")}
        self.files = {name: facts for name, facts in self.files.items() if name in kept}
        write_json(
            self.path / INDEX,
            {
                "format": _FORMAT,
                "network": self.network,
                "images": len(self),
                "token": self.token,
                "codes": self.codes,
                "precision": self.precision,
                "files": self.files,
            },
        )
        for path in self.path.iterdir():
            other = _NAME.fullmatch(path.name) and path.name not in self.files
            if other or path.name.startswith("block-"):
                path.unlink(missing_ok=True)


def check_folder(path: Path) -> None:
    """Raise FileExistsError where something other than an index is in the way."""
    blank = path.is_dir() and all(
        each.name.startswith((".partial-", "block-")) for each in path.iterdir()
    )
    if path.exists() and not blank and not (path / INDEX).is_file():
        raise FileExistsError(
            f"`run_dir` must be an index or new. Received: run_dir={path}, which has no {INDEX}"
        )


def opened(path: Path) -> Index | None:
    """The index in a folder; None where there is none yet.

    Raises:
        ValueError: it is damaged; the message names the file.
    """
    if not (path / INDEX).exists():
        return None
    told = read_json(path / INDEX, dict)
    with naming_file(path / INDEX, WHOLE):
        _check(told)
    for name, facts in told["files"].items():
        if not (path / name).exists():
            raise ValueError(f"{WHOLE}. Received: {path / name} (it is missing)")
        with naming_file(path / name, WHOLE):
            if _facts(path / name, facts["bytes"]) != facts:
                raise ValueError("its checksum is another")
    token = told["token"]
    rows = read_arrays(path / f"images-{token}.npz", "ids", "marks")
    index = Index(path, told["network"], rows["ids"].tolist(), rows["marks"], told["files"])
    index.codes, index.precision = told["codes"], told["precision"]
    with naming_file(path / INDEX, WHOLE):
        vectors = index.vectors if index.token == token else None
        if vectors is None or len(index) != told["images"] != 0:
            raise ValueError("it is of other images than its files")
        if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != len(index):
            raise ValueError(f"its vectors are {vectors.shape} of {vectors.dtype}")
    return index


def _check(told: Mapping[str, Any]) -> None:
    """Raise ValueError where index.json does not hold what is read from it."""
    if told.get("format") != _FORMAT:
        raise ValueError(f"its format is {told.get('format')!r}, and {_FORMAT} is known")
    kinds = {"network": str, "token": str, "codes": dict, "precision": dict, "files": dict}
    for name, kind in kinds.items():
        if not isinstance(told.get(name), kind):
            raise ValueError(f"{name!r} is no {kind.__name__}")
    if not is_count(told.get("images")):
        raise ValueError("'images' is no count")
    for name, facts in told["files"].items():
        whole = isinstance(facts, dict) and is_count(facts.get("bytes"), least=0)
        if not _NAME.fullmatch(name) or not whole or not isinstance(facts.get("sha256"), str):
            raise ValueError(f"what it says of the file {name!r} is none")
    needed = [f"vectors-{told['token']}.npy", f"images-{told['token']}.npz"]
    for each in told["codes"].values():
        if not isinstance(each, dict) or not all(is_count(each.get(n)) for n in _COUNTS):
            raise ValueError("what it says of codes is none")
        needed += [each.get("encoder"), each.get("file")]
    for name in needed:
        if name not in told["files"]:
            raise ValueError(f"it says nothing of the file {name!r}")


_COUNTS = ("bits", "images")


def _facts(path: Path, size: int | None = None) -> dict[str, Any]:
    """Size and checksum of a file; of one that has another size than it should the size alone."""
    found = os.path.getsize(path)
    if size is not None and found != size:
        raise ValueError(f"it has {found:,} bytes instead of {size:,}")
    with open(path, "rb") as file:
        return {"bytes": found, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


# ----------------------------------------------------------------------------------------- updating


def updated(
    path: Path,
    before: Index | None,
    library: Library,
    network: str,
    embed: Callable[[np.ndarray], np.ndarray],
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Index:
    """The index of a library's images as they are now; embedded is what is new or has changed.

    What a killed process has embedded in this folder is taken over. `publish` is left to the
    caller.

    Args:
        path: the folder.
        before: what `opened` found there.
        library: the images.
        network: as of `Index`.
        embed: vectors of some of the library's images: rows (M,) -> float32 (M, D).
        progress: called with how many of the new images are embedded.

    Returns:
        `before` itself where nothing has changed.
    """
    index = Index(path, network, library.ids, library.marks)
    if before is not None and before.token == index.token:
        return before
    path.mkdir(parents=True, exist_ok=True)
    remove_partials(path)
    taken = kept_rows(before, library, network)
    new = np.flatnonzero(taken < 0)
    blocks = []
    for start in range(0, len(new), BLOCK):
        rows = new[start : start + BLOCK]
        blocks.append((rows, _block(index, rows, embed)))
        progress(start + len(rows), len(new))
    old = None if before is None else before.vectors

    def write(partial: Path) -> None:
        of = old if old is not None and not blocks else _read_block(blocks[0][1])
        shape = (len(library), of.shape[1])
        file = np.lib.format.open_memmap(partial, "w+", np.float32, shape)
        step = max(1, _BYTES_AT_ONCE // (4 * shape[1]))
        kept = np.flatnonzero(taken >= 0)
        for start in range(0, len(kept), step):
            rows = kept[start : start + step]
            file[rows] = old[taken[rows]]  # pyright: ignore[reportOptionalSubscript]
        for rows, block in blocks:
            file[rows] = _read_block(block)
        file.flush()

    index.add(f"vectors-{index.token}.npy", write)
    arrays: dict[str, Any] = {"ids": np.array(library.ids, dtype=str), "marks": library.marks}
    index.add(f"images-{index.token}.npz", lambda partial: np.savez(partial, **arrays))
    if before is not None and before.network == network:
        index.codes = before.codes  # of the vectors before: `codes` makes them anew
        index.files |= {
            name: facts for name, facts in before.files.items() if name.startswith("encoder-")
        }
    return index


def kept_rows(before: Index | None, library: Library, network: str) -> np.ndarray:
    """The row that each image of the library has in an index; -1 where it has none, int64 (N,)."""
    if before is None or before.network != network:
        return np.full(len(library), -1)
    pairs = zip(before.ids, map(tuple, before.marks.tolist()), strict=True)
    rows = {pair: row for row, pair in enumerate(pairs)}
    marks = map(tuple, library.marks.tolist())
    found = [rows.get(pair, -1) for pair in zip(library.ids, marks, strict=True)]
    return np.array(found, np.int64)


def _block(index: Index, rows: np.ndarray, embed: Callable[[np.ndarray], np.ndarray]) -> Path:
    """The file with the vectors of these images, which is written unless it is there whole."""
    of = [[index.network], [index.ids[row] for row in rows], index.marks[rows].tolist()]
    name = hashlib.sha256(json.dumps(of).encode()).hexdigest()[:16]
    path = index.path / f"block-{name}.npz"
    try:
        if len(_read_block(path)) == len(rows):
            return path
    except (ValueError, OSError):
        pass  # there is none, or it is damaged
    vectors = embed(rows)
    if not np.isfinite(vectors).all():
        raise ValueError(
            "`run` must have a network whose last hidden layer is finite. Received: NaN or "
            f"infinity for an image among {index.ids[rows[0]]} .. {index.ids[rows[-1]]}"
        )
    write_atomic(path, lambda partial: np.savez(partial, vectors=vectors))
    return path


def _read_block(path: Path) -> np.ndarray:
    return read_arrays(path, "vectors")["vectors"]
