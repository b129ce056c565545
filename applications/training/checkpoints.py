"""All that a later process needs to resume a training bit for bit."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from applications import runs
from applications.files import write_atomic


class Checkpoint(keras.callbacks.Callback):
    """Writes all that a later process needs to resume bit for bit, in one file, after each epoch.

    `model.variables` holds the states of the seed generators, which `model.weights` does not; the
    schedule follows from the optimizer's step count, order and augmentation from the epoch.
    """

    def __init__(self, path: Path, rows: list[dict[str, float]], claim: runs.Claim):
        super().__init__()
        self.path, self.rows, self.claim = path, rows, claim

    def on_epoch_end(self, epoch, logs: Any = None):
        arrays: dict[str, Any] = {
            name: keras.ops.convert_to_numpy(v) for name, v in _state(self.model).items()
        }
        state = json.dumps({"history": self.rows, "backend": keras.backend.backend()})
        write_atomic(self.path, lambda path: np.savez(path, state=state, **arrays), self.claim)


def _state(model: Any) -> dict[str, keras.Variable]:
    """Every variable that lasts: metrics start anew each epoch."""
    metrics = {id(variable) for variable in model.metrics_variables}
    kept = [variable for variable in model.variables if id(variable) not in metrics]
    named = {f"model/{i}": variable for i, variable in enumerate(kept)}
    return named | {f"optimizer/{i}": v for i, v in enumerate(model.optimizer.variables)}


def finished_epochs(path: Path) -> int:
    """How many epochs a checkpoint has behind it; 0 where there is none."""
    if not path.exists():
        return 0
    with np.load(path, allow_pickle=False) as saved:
        return len(json.loads(str(saved["state"]))["history"])


def restore(path: Path, model: keras.Model) -> list[dict[str, float]]:
    """Put a checkpoint back into the compiled model, and return the history up to it.

    Raises:
        ValueError: it is of another network or backend.
    """
    variables = _state(model)
    with np.load(path, allow_pickle=False) as saved:
        state = json.loads(str(saved["state"]))
        if state["backend"] != keras.backend.backend():
            raise ValueError(
                f"`resume` must use the backend of the run, {state['backend']}. "
                f"Received: {keras.backend.backend()}"
            )
        shapes = {name: saved[name].shape for name in saved.files if name != "state"}
        if shapes != {name: tuple(v.shape) for name, v in variables.items()}:
            raise ValueError(
                f"`resume` must meet the network that was saved. Received: {path}, of another one"
            )
        for name, variable in variables.items():
            variable.assign(saved[name])
    return state["history"]
