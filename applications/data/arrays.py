"""Images given as arrays from Python, kept in a file: other processes and later commands need them.

>>> import numpy as np
>>> images, labels = np.load("images.npy"), np.load("labels.npy")
>>> applications.train("lenet5", data=(images, labels))
>>> test = images[:100], labels[:100]
>>> applications.train("lenet5", data={"train": (images[100:], labels[100:]), "test": test})
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from applications.data.folders import SPLIT_OF
from applications.files import write_atomic

_WANTED = "`data` must be a name, a path, a pair (images, labels) or a dict of splits to such pairs"


def kept_arrays(data: Any, folder: str = "runs") -> str:
    """The path of an `.npz` file with these arrays, which is written unless it is there.

    Args:
        data: (images (N, H, W) or (N, H, W, 1 or 3) of integers 0..255, labels (N,) of integers),
            or a dict of such pairs by split: "train" and, where there are such, "validation" and
            "test", in any of the names that folders may have.
        folder: where it goes. The file's name holds a hash of what it holds.

    Raises:
        TypeError: `data` is of another kind; the message says how it becomes one of these.
        ValueError: there is no training split, or a split twice.
    """
    splits = data if isinstance(data, Mapping) else {"train": data}
    arrays: dict[str, Any] = {}
    for name, pair in splits.items():
        split = SPLIT_OF.get(str(name).lower())
        if split is None:
            raise ValueError(f"{_WANTED}: {', '.join(SPLIT_OF)}. Received: a split {name!r}")
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise TypeError(f"{_WANTED}.{_way(pair)} Received: {type(pair).__name__}")
        suffix = "val" if split == "validation" else split
        if f"x_{suffix}" in arrays:
            raise ValueError(f"{_WANTED}, each split once. Received: {', '.join(map(str, splits))}")
        arrays[f"x_{suffix}"], arrays[f"y_{suffix}"] = (np.asarray(array) for array in pair)
    if "x_train" not in arrays:
        raise ValueError(f"{_WANTED}, train among them. Received: {', '.join(map(str, splits))}")
    path = Path(folder, f"data-{_digest(arrays)}.npz")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, lambda partial: np.savez(partial, **arrays))
    return str(path)


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    found = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:12]


def _way(data: Any) -> str:
    """How data that come in batches become arrays."""
    if hasattr(data, "__iter__") or hasattr(data, "__getitem__"):
        return (
            " Of batches: `images, labels = (np.concatenate(each) for each in zip(*batches))`; "
            "images that do not fit in memory go into a folder train/CLASS/*."
        )
    return ""
