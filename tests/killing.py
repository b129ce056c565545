"""Commands that are killed at any write, and what they leave when they are called again.

SIGKILL leaves what stands in the file system at that moment, and nothing else: so one run shows
all of its moments, where the folder is copied before and after each rename. Before a rename the
new file is cut in half, as it is in the middle of its writing.
"""

import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd

import applications
from applications.files import PARTIAL

SMALL = {"alpha": 0.1, "size": 16, "batch_size": 32, "seed": 1}
# Each draws random numbers or has a state of its own.
ELEMENTS = {"mixup": 0.2, "shift": 0.1, "averaging": 0.9, "checkpoint_minutes": 1e-9}
_TIMES = re.compile("second|latency|^p50|^p95|ms$")


class Command(NamedTuple):
    """A command whose result goes into a folder.

    Attributes:
        call: it, given the folder, and whether to resume.
        parent: whether it is given a finished run, the folder `parent` beside its own.
    """

    call: Callable[[Path, bool], Any]
    parent: bool = True


def _train(folder, resume):
    more = {"epochs": 2, "run_dir": folder, "resume": resume, "verbose": 0}
    return applications.train("lenet5", data="few.npz", **SMALL, **ELEMENTS, **more)


def _derived(function, *args, **options):
    def call(folder, resume):
        more = {"epochs": 1, "run_dir": folder, "resume": resume, "verbose": 0}
        return function("parent", *args, **options, **more)

    return Command(call)


def _compare(folder, _):
    return applications.compare(
        archs="lenet5:alpha=0.1,lenet5:alpha=0.2", data="few.npz", epochs=1, batch_size=32,
        size=16, run_dir=folder, verbose=0,
    )  # fmt: skip


def _export(folder, _):
    if folder.exists():
        return  # whole, and refused a second time
    applications.export("parent", format="keras", out=folder)


COMMANDS = {
    "train": Command(_train, parent=False),
    "distill": _derived(applications.distill, "lenet5", **SMALL),
    "grow": _derived(applications.grow, alpha=0.3),
    "shrink": _derived(applications.shrink, alpha=0.05),
    "compress": _derived(applications.compress, sparsity=0.3),
    "specialists": _derived(applications.specialists, sets=2),
    "compare": Command(_compare, parent=False),
    "export": Command(_export),
}


def make_data() -> None:
    """few.npz: 160 digits of four classes, 8 x 8 pixels."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(n_class=4, return_X_y=True)
    images = np.round(images.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    train, test = slice(96), slice(96, 160)
    arrays = {"x_train": images[train], "y_train": labels[train]}
    np.savez("few.npz", **arrays, x_test=images[test], y_test=labels[test])


def call(name: str, folder: str, *, resume: bool = False) -> None:
    """The command in the working directory, where few.npz and its parent are; it says nothing.

    Layers without a name of their own are numbered as in a new process.
    """
    keras.utils.clear_session(free_memory=False)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        COMMANDS[name].call(Path(folder), resume)


@contextmanager
def renames(before: Callable[[Path], None], after: Callable[[Path], None]) -> Iterator[None]:
    """Within, these are called at each rename with its target, or with where it stands before."""

    def through(rename):
        def renamed(source, target, **options):
            before(Path(source))
            rename(source, target, **options)
            after(Path(target))

        return renamed

    real = os.replace, os.rename
    os.replace, os.rename = map(through, real)
    try:
        yield
    finally:
        os.replace, os.rename = real


def moments(name: str, into: Path) -> list[Path]:
    """Copies of the working directory at each write of the command, which ends in `result`."""
    kept: list[Path] = []

    def keep() -> Path:
        kept.append(into / f"{len(kept):03d}")
        shutil.copytree(".", kept[-1])
        return kept[-1]

    def half(partial: Path) -> None:
        copy = keep() / os.path.relpath(partial)
        if copy.is_file():
            with open(copy, "rb+") as file:
                file.truncate(copy.stat().st_size // 2)

    with renames(half, lambda _: keep()):
        call(name, "result")
    return kept


def leftovers(folder: str = ".") -> list[str]:
    """Temporary files and checkpoints."""
    names = map(str, Path(folder).rglob("*"))
    return sorted(n for n in names if PARTIAL in n or "checkpoint" in Path(n).parts)


def content(folder: str) -> dict[str, Any]:
    """What a command wrote, by file and name, without its times."""
    found: dict[str, Any] = {}
    for path in sorted(Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".json":
            found[name] = _timeless(json.loads(path.read_text()))
        elif path.suffix == ".csv":
            table = pd.read_csv(path)
            kept = [column for column in table if not _TIMES.search(column)]
            found[name] = table[kept].to_csv(index=False)
        elif path.suffix in (".npz", ".npy"):
            arrays = np.load(path)
            arrays = dict(arrays) if path.suffix == ".npz" else {"": arrays}
            found |= {f"{name}/{key}": array.tobytes() for key, array in arrays.items()}
        elif path.suffix == ".keras":
            weights = keras.saving.load_model(path).get_weights()
            found[name] = [weight.tobytes() for weight in weights]
        elif path.suffix == ".kac":
            found[name] = path.read_bytes()
        elif path.is_file() and not path.name.startswith("events.out"):
            found[name] = None  # that it is there
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if not _TIMES.search(k)}
    return value
