"""All that a later process needs to resume a training bit for bit."""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from applications import runs
from applications.files import read_arrays, write_atomic

_KEPT = 2  # checkpoints, so that a damaged one costs an epoch and no more
_OLD = "state.npz"  # the one that version 0.1 kept


class Checkpoint(keras.callbacks.Callback):
    """Writes all that a later process needs to resume bit for bit, in one file, after each epoch.

    `model.variables` holds the states of the seed generators, which `model.weights` does not; the
    schedule follows from the optimizer's step count, order and augmentation from the epoch. The
    file is an archive with a checksum of each array.
    """

    def __init__(self, folder: Path, rows: list[dict[str, float]], claim: runs.Claim):
        super().__init__()
        self.folder, self.rows, self.claim = folder, rows, claim

    def on_epoch_end(self, epoch, logs: Any = None):
        arrays: dict[str, Any] = {
            name: keras.ops.convert_to_numpy(v) for name, v in _state(self.model).items()
        }
        state = json.dumps({"history": self.rows, "backend": keras.backend.backend()})
        path = self.folder / f"epoch-{epoch + 1:06d}.npz"
        write_atomic(path, lambda path: np.savez(path, state=state, **arrays), self.claim)
        for before in checkpoints(self.folder)[_KEPT:]:
            before.unlink(missing_ok=True)


def checkpoints(folder: Path) -> list[Path]:
    """The files of a folder's checkpoints, the last one first."""
    return [*sorted(folder.glob("epoch-*.npz"), reverse=True), *folder.glob(_OLD)]


class Saved(NamedTuple):
    """What a checkpoint holds: the history up to it, the backend, the values by name."""

    path: Path
    history: list[dict[str, float]]
    backend: str
    values: dict[str, np.ndarray]


def last_checkpoint(folder: Path, *, or_anew: bool) -> Saved | None:
    """The last whole checkpoint; a damaged one is passed over, with a line that names it.

    Args:
        folder: of the checkpoints.
        or_anew: what if none is whole: None as if there were none, or an error.

    Raises:
        ValueError: there are checkpoints, and none is whole.
    """
    found = checkpoints(folder)
    for path in found:
        try:
            values = read_arrays(path, "state")
            state = json.loads(str(values.pop("state")))
            return Saved(path, state["history"], state["backend"], values)
        except (ValueError, KeyError, TypeError) as error:
            print(f"passed over a damaged checkpoint: {error}", file=sys.stderr)
    if found and not or_anew:
        raise ValueError(
            "`resume` must find a whole checkpoint: without the folder it starts anew. "
            f"Received: {folder}, all of whose checkpoints are damaged"
        )
    return None


def _state(model: Any) -> dict[str, keras.Variable]:
    """Every variable that lasts: metrics start anew each epoch, a teacher stays as it is."""
    teacher = getattr(model, "teacher", None)
    passing = {id(v) for v in (*model.metrics_variables, *(teacher.variables if teacher else ()))}
    kept = [variable for variable in model.variables if id(variable) not in passing]
    named = {f"model/{i}": variable for i, variable in enumerate(kept)}
    return named | {f"optimizer/{i}": v for i, v in enumerate(model.optimizer.variables)}


def restore(saved: Saved, model: keras.Model) -> None:
    """Put a checkpoint back into the compiled model.

    Raises:
        ValueError: it is of another network or backend.
    """
    variables = _state(model)
    if saved.backend != keras.backend.backend():
        raise ValueError(
            f"`resume` must use the backend of the run, {saved.backend}. "
            f"Received: {keras.backend.backend()}"
        )
    shapes = {name: value.shape for name, value in saved.values.items()}
    if shapes != {name: tuple(v.shape) for name, v in variables.items()}:
        raise ValueError(
            f"`resume` must meet the network that was saved. Received: {saved.path}, of another one"
        )
    for name, variable in variables.items():
        variable.assign(saved.values[name])
