"""Files that are written whole or not at all, and paths that can be written to."""

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

PARTIAL = ".partial-"  # how the name of a file begins that is not whole yet
_PROCESS = secrets.token_hex(4)


class Claim(Protocol):
    """What says whether this process may still write."""

    def check(self) -> None:
        """Raise ValueError where it may not."""


def write_atomic(
    path: str | os.PathLike[str],
    content: bytes | str | Callable[[Path], Any],
    claim: Claim | None = None,
) -> None:
    """Write a file so that, whatever happens, it is there whole, as it was before or not at all.

    Args:
        path: the file.
        content: bytes, text, or a function that writes the file at the path it is given.
        claim: where several processes may want to write the file: that of the one that may.

    Raises:
        ValueError: the claim no longer holds.
    """
    path = Path(path)
    # A name that no other process uses. The suffix stays, writers look at it.
    partial = path.with_name(f"{PARTIAL}{_PROCESS}-{path.name}")
    try:
        if callable(content):
            content(partial)
        else:
            partial.write_bytes(content.encode() if isinstance(content, str) else content)
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        if claim:
            claim.check()
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def remove_partials(folder: str | os.PathLike[str]) -> None:
    """Delete what killed processes left half-written in a folder that no other one writes into."""
    for left in Path(folder).glob(f"{PARTIAL}*"):
        left.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def check_picture(name: str, path: str | os.PathLike[str], suffix: str = ".png") -> None:
    """Raise ValueError or FileNotFoundError unless a picture can be written there.

    Args:
        name: of the argument that the path comes from.
        path: of the file.
        suffix: that it must have.
    """
    if Path(path).suffix.lower() != suffix:
        raise ValueError(f"`{name}` must be a {suffix} file. Received: {name}={str(path)!r}")
    if not Path(path).parent.is_dir():
        raise FileNotFoundError(
            f"`{name}` must be in an existing folder. Received: {name}={str(path)!r}"
        )
