"""Files that are written whole or not at all, and refused by name where they come back damaged."""

import contextlib
import errno
import glob
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from applications.console import one_line, shown

if TYPE_CHECKING:
    import numpy as np

PARTIAL = ".partial-"  # how the name of a file begins that is not whole yet
_TOKEN = 8  # letters, after which the name of the whole file follows


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
        OSError: it cannot be written; the error names the file, not the temporary one.
    """
    path = Path(path)
    partial = _partial(path)
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
    except BaseException as error:
        with contextlib.suppress(OSError):  # of a file system that takes nothing any more
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            if str(error.filename) in ("None", str(partial)):
                error.filename = os.fspath(path)
                del error.filename2  # None would be shown
        raise


def _partial(path: Path) -> Path:
    """A name that nobody else uses. The suffix stays, writers look at it."""
    return path.with_name(f"{PARTIAL}{secrets.token_hex(_TOKEN // 2)}-{path.name}")


@contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder to fill, which has this path when all is in it; it and new parents go on an error.

    What a killed process left of one of the same path goes too.

    Raises:
        FileExistsError: there is something at the path.
    """
    path = Path(path)
    partial = _partial(path)
    missing = [parent for parent in path.parents if not parent.exists()]
    try:
        partial.mkdir(parents=True)
        remove_partials(path.parent, path.name, but=partial)
        yield partial
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path))
        os.rename(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        with contextlib.suppress(OSError):  # another one may have put something there
            for parent in missing:
                parent.rmdir()
        raise


def remove_partials(
    folder: str | os.PathLike[str], name: str | None = None, but: Path | None = None
) -> None:
    """Delete what killed processes left half-written.

    Args:
        folder: that no other process writes into now, or not this name.
        name: of what was to be written. None: whatever it was.
        but: what this process writes itself.
    """
    of = "*" if name is None else f"{'[0-9a-f]' * _TOKEN}-{glob.escape(name)}"
    for left in Path(folder).glob(f"{PARTIAL}{of}"):
        if left.is_dir() and left != but:
            shutil.rmtree(left, ignore_errors=True)
        elif left != but:
            left.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike[str], kind: type) -> Any:
    """A value of this type that `write_json` wrote.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged.
    """
    with naming_file(path, f"A file must hold {_JSON_KINDS[kind]} in JSON"):
        value = json.loads(Path(path).read_bytes())
        if not isinstance(value, kind):
            raise ValueError(f"it holds {type(value).__name__}")
    return value


_JSON_KINDS = {dict: "an object", list: "an array"}


def read_arrays(path: str | os.PathLike[str], *names: str) -> "dict[str, np.ndarray]":
    """The arrays of an `.npz` file by name, each checked by the checksum that the format has.

    Args:
        path: the file.
        names: of arrays that it must hold.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, or lacks one of the names.
    """
    import numpy as np

    wanted = "A file must hold whole arrays"
    with naming_file(path, wanted), open(path, "rb") as file, np.load(file) as archive:
        arrays = dict(archive)
        for name in names:
            if name not in arrays:
                raise ValueError(f"it has no {name}")
            if not isinstance(arrays[name], np.ndarray):  # bytes, as NumPy has other members
                raise ValueError(f"its {name} is no array")
    return arrays


@contextmanager
def naming_file(path: str | os.PathLike[str], wanted: str) -> Iterator[None]:
    """Whatever goes wrong with the file is a ValueError that names it, but that it is not there.

    A damaged file makes Pillow, zipfile, NumPy and Keras raise a dozen types, down to SyntaxError.
    What is no file is refused before it is opened: a pipe would be waited for without end.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ValueError("no regular file")
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        reason = one_line(error) or type(error).__name__
        raise ValueError(f"{wanted}. Received: {shown(os.fspath(path))} ({reason})") from error


class _Loader(yaml.SafeLoader):
    """Refuses a key that comes twice. Reads 1e-3 as a number, as YAML 1.2 has it.

    PyYAML takes the last of several equal keys, and wants 1.0e-3.
    """

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for node_of_key, _ in node.value:
            if node_of_key.tag == "tag:yaml.org,2002:merge":
                continue
            key: Any = self.construct_object(node_of_key, deep=True)
            if not isinstance(key, Hashable):
                continue  # which PyYAML refuses
            if key in seen:
                mark, problem = node_of_key.start_mark, f"the key {key!r} comes twice"
                raise yaml.constructor.ConstructorError(None, None, problem, mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
_MOST_VALUES = 100_000


def plain_yaml(text: str) -> Any:
    """The value of a YAML text without tags.

    Raises:
        ValueError: it is none, or, as aliases can make it, without end or larger than any memory.
    """
    try:
        for token in yaml.scan(text, Loader=_Loader):
            if isinstance(token, yaml.TagToken):
                line = token.start_mark.line + 1
                raise ValueError(f"a tag in line {line}, and tags are not followed")
        value = yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{error.problem}{line}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if _expanded(value, {}) > _MOST_VALUES:
        raise ValueError(f"its aliases stand for more than {_MOST_VALUES:,} values")
    return value


def _expanded(value: Any, known: dict[int, int]) -> int:
    """How many values it has where each alias stands for its own copy."""
    if not isinstance(value, list | tuple | dict):
        return 1
    if id(value) not in known:
        known[id(value)] = _MOST_VALUES + 1  # what it would have if it held itself
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_expanded(part, known) for part in parts)
    return known[id(value)]


def check_file(name: str, path: str | os.PathLike[str], suffix: str = ".png") -> None:
    """Raise ValueError or FileNotFoundError unless a file of this kind can be written there.

    Args:
        name: of the argument that the path comes from.
        path: of the file, such as a picture.
        suffix: that it must have.
    """
    if Path(path).suffix.lower() != suffix:
        raise ValueError(f"`{name}` must be a {suffix} file. Received: {name}={str(path)!r}")
    if not Path(path).parent.is_dir():
        raise FileNotFoundError(
            f"`{name}` must be in an existing folder. Received: {name}={str(path)!r}"
        )
