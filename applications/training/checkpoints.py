"""All that a later process needs to resume a training bit for bit."""

import json
import re
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from applications import runs
from applications.files import naming_file, read_arrays, write_atomic
from applications.training.progress import Progress, Row, checked_progress, quality

_KEPT = 2  # checkpoints, so that a damaged one costs an epoch and no more
_OLD = "state.npz"  # the one that version 0.1 kept


class CtrlC:
    """Within a `with` block the first Ctrl-C is noted, and the next one interrupts at once.

    So that a step ends whole, and what is saved after it is the state of that step. Elsewhere than
    in the main thread of a process nothing is changed.

    Attributes:
        pressed: whether there was one.
    """

    def __init__(self):
        self.pressed = False

    def __enter__(self) -> "CtrlC":
        self._before = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.getsignal(signal.SIGINT)
            if self._before is signal.default_int_handler:
                signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._before)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt if it was pressed."""
        if self.pressed:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: object) -> None:
        self.pressed = True
        print("a checkpoint is written; Ctrl-C again stops at once", file=sys.stderr)
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Checkpoint(keras.callbacks.Callback):
    """Writes all that a later process needs to resume bit for bit, in one file.

    After each epoch and, within long ones, after so many minutes and when Ctrl-C was pressed, which
    then interrupts the training. `model.variables` holds the
    states of the seed generators, which `model.weights` does not; the schedule follows from the
    optimizer's step count, order and augmentation from epoch and step. The file is an archive with
    a checksum of each array.

    Args:
        folder: of the checkpoints.
        progress: of the training.
        claim: on the folder.
        minutes: from one checkpoint to the next within an epoch, > 0; None: there are none.
        sums: what the metrics had summed up where an epoch was left.
        ctrl_c: whether it was pressed.
    """

    def __init__(
        self,
        folder: Path,
        progress: Progress,
        claim: runs.Claim,
        minutes: float | None = None,
        sums: Sequence[np.ndarray] = (),
        ctrl_c: CtrlC | None = None,
    ):
        super().__init__()
        self.folder, self.progress, self.claim = folder, progress, claim
        self.minutes, self.sums, self.ctrl_c = minutes, sums, ctrl_c or CtrlC()

    def on_epoch_begin(self, epoch, logs: Any = None):
        self._saved = time.monotonic()

    def on_train_batch_end(self, batch, logs: Any = None):
        if len(self.sums):
            # Not before the first step: Keras sets metrics to 0, and makes some of them there.
            for variable, before in zip(_sums(self.model), self.sums, strict=True):
                variable.assign(variable + before)
            self.sums = ()
        params: Any = self.params
        if batch + 1 == params["steps"]:
            return  # an epoch without a step left would not be an epoch
        if self.ctrl_c.pressed:
            self._save(_sums(self.model))
            self.ctrl_c.interrupt()
        if self.minutes is not None and time.monotonic() - self._saved >= 60 * self.minutes:
            self._save(_sums(self.model))

    def on_epoch_end(self, epoch, logs: Any = None):
        self._save()

    def _save(self, sums: Sequence[keras.Variable] = ()) -> None:
        variables = _state(self.model) | {f"sums/{i}": v for i, v in enumerate(sums)}
        arrays: dict[str, Any] = {
            name: keras.ops.convert_to_numpy(v) for name, v in variables.items()
        }
        state = json.dumps({**asdict(self.progress), "backend": keras.backend.backend()})
        within = f"-step-{self.progress.step:09d}" if self.progress.step else ""
        path = self.folder / f"epoch-{len(self.progress.history):06d}{within}.npz"
        write_atomic(path, lambda path: np.savez(path, state=state, **arrays), self.claim)
        for before in checkpoints(self.folder)[_KEPT:]:
            before.unlink(missing_ok=True)
        self._saved = time.monotonic()


def checkpoints(folder: Path) -> list[Path]:
    """The files of a folder's checkpoints, the last one first."""
    found = sorted(folder.glob("epoch-*.npz"), key=_place, reverse=True)
    return [*found, *folder.glob(_OLD)]


def _place(path: Path) -> list[int]:
    """The epochs that were finished, and the steps of the one after them."""
    return [int(number) for number in re.findall(r"\d+", path.stem)]


class Saved(NamedTuple):
    """What a checkpoint holds.

    Attributes:
        path: of the file.
        progress: of the training.
        backend: that it was trained on.
        values: of the variables, by name.
        sums: of the metrics of an epoch that was under way.
    """

    path: Path
    progress: Progress
    backend: str
    values: dict[str, np.ndarray]
    sums: list[np.ndarray]


def last_checkpoint(
    folder: Path, *, or_anew: bool, epochs: int | None = None, steps: int | None = None
) -> Saved | None:
    """The last whole checkpoint; a damaged one is passed over, with a line that names it.

    Args:
        folder: of the checkpoints.
        or_anew: what if none is whole: None as if there were none, or an error.
        epochs: of the whole training; a checkpoint that has more is damaged. None: any number.
        steps: of an epoch, likewise.

    Raises:
        ValueError: there are checkpoints, and none is whole.
        FileNotFoundError: one has gone meanwhile.
    """
    found = checkpoints(folder)
    for path in found:
        try:
            values = read_arrays(path, "state")
            with naming_file(path, "A checkpoint must tell how far a training is"):
                state = json.loads(str(values.pop("state")))
                backend = state.pop("backend")
                progress = checked_progress(state, epochs, steps)
            sums = [values.pop(name) for name in sorted(values) if name.startswith("sums/")]
            return Saved(path, progress, backend, values, sums)
        except FileNotFoundError:  # since the folder was listed: another process trains on
            raise
        except (ValueError, OSError) as error:
            print(f"passed over a damaged checkpoint: {error}", file=sys.stderr)
    if found and not or_anew:
        raise ValueError(
            "`resume` must find a whole checkpoint: without the folder it starts anew. "
            f"Received: {folder}, all of whose checkpoints are damaged"
        )
    return None


def _sums(model: Any) -> list[keras.Variable]:
    """What the metrics of an epoch sum up, and over how many images."""
    return list(model.metrics_variables)


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
    kinds = {name: (value.shape, str(value.dtype)) for name, value in saved.values.items()}
    if kinds != {name: (tuple(v.shape), str(v.dtype)) for name, v in variables.items()}:
        raise ValueError(
            f"`resume` must meet the network that was saved. Received: {saved.path}, of another one"
        )
    for name, variable in variables.items():
        variable.assign(saved.values[name])


class Best(keras.callbacks.Callback):
    """Keeps the network as it is after its best epoch, in a file beside the checkpoints.

    Place it before Keras' `SwapEMAWeights`: what was validated is kept, averages included.

    Args:
        network: whose variables are kept.
        folder: of the checkpoints.
        progress: of the training.
        claim: on the folder.
    """

    def __init__(self, network: keras.Model, folder: Path, progress: Progress, claim: runs.Claim):
        super().__init__()
        self.network, self.folder, self.progress, self.claim = network, folder, progress, claim

    def on_test_end(self, logs: Any = None):
        _ = self.model  # with JAX this brings the variables up to date
        row = {f"val_{name}": value for name, value in logs.items()}
        before = [r for r in self.progress.history if _best(self.folder, r).exists()]
        self._values = None
        if not before or quality(row) > max(map(quality, before)):
            variables: Any = self.network.variables
            self._values = [keras.ops.convert_to_numpy(variable) for variable in variables]

    def on_epoch_end(self, epoch, logs: Any = None):
        if self._values is None:
            return
        arrays: dict[str, Any] = {f"model/{i}": value for i, value in enumerate(self._values)}
        path = _best(self.folder, {"epoch": epoch + 1})
        write_atomic(path, lambda path: np.savez(path, **arrays), self.claim)
        # Each is better than those before it: of three one is the best of any kept checkpoint.
        for before in sorted(self.folder.glob("best-*.npz"), reverse=True)[_KEPT + 1 :]:
            before.unlink(missing_ok=True)


def _best(folder: Path, row: Row) -> Path:
    return folder / f"best-{int(row['epoch']):06d}.npz"


def put_best_back(network: keras.Model, folder: Path, history: list[Row]) -> Row:
    """Give the network the values that it had after its best epoch: that epoch's row.

    Of a run that was begun without `Best`, the best epoch is that of those since. A damaged file is
    passed over, with a line that names it; without any the network stays as it is.
    """
    variables: Any = network.variables
    for row in sorted(history, key=quality, reverse=True):
        path = _best(folder, row)
        if not path.exists():
            continue
        try:
            values = read_arrays(path)
            if len(values) != len(variables):
                raise ValueError(f"{path} is of another network")
            for index, variable in enumerate(variables):
                variable.assign(values[f"model/{index}"])
            return row
        except (ValueError, KeyError) as error:
            print(f"passed over a damaged checkpoint: {error}", file=sys.stderr)
    return history[-1]
