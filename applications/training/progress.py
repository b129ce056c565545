"""How far a training is, and when it ends before its last epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_archs.checks import count, number

Row = dict[str, float]


@dataclass
class Progress:
    """What a later process needs to know of a training beside the values of its variables.

    Attributes:
        history: a row for each finished epoch.
        steps: those of the whole training so far.
        step: those of the epoch that is under way.
        seconds: what this epoch has taken so far.
        ended: why the training ended before its last epoch; None if it did not.
    """

    history: list[Row] = field(default_factory=list)
    steps: int = 0
    step: int = 0
    seconds: float = 0.0
    ended: str | None = None


def checked_progress(state: Mapping[str, Any], epochs: int | None, steps: int | None) -> Progress:
    """The progress that a checkpoint tells of.

    Args:
        state: of `Progress`, by name of attribute.
        epochs: of the whole training; None: any number.
        steps: of an epoch; None: any number.

    Raises:
        ValueError, TypeError: a value is none that a training has.
    """
    progress = Progress(**state)
    if not isinstance(progress.history, list):
        raise ValueError(f"`history` must be a list. Received: {type(progress.history).__name__}")
    count("epochs", len(progress.history), least=0, most=epochs)
    for place, row in enumerate(progress.history, start=1):
        if not isinstance(row, dict) or not set(_KEPT) <= row.keys() or row["epoch"] != place:
            raise ValueError(f"`history` must have {', '.join(_KEPT)} of each epoch in turn")
        if not all(isinstance(value, int | float) for value in row.values()):
            raise ValueError(f"`history` must hold numbers. Received: {row}")
    count("steps", progress.steps, least=0)
    count("step", progress.step, least=0, most=steps and steps - 1)
    number("seconds", progress.seconds, least=0)
    if not isinstance(progress.ended, str | None):
        raise ValueError(f"`ended` must be a text or None. Received: {progress.ended!r}")
    return progress


_KEPT = ("epoch", "val_loss", "val_accuracy", "seconds")  # what a training goes by


def quality(row: Row) -> tuple[float, float]:
    """What makes one epoch better than another: validation accuracy, then validation loss."""
    return row["val_accuracy"], -row["val_loss"]


class Ends(keras.callbacks.Callback):
    """Ends a training that validation says gets no better, or whose time is over.

    All that it goes by is in the history, so a training that is resumed ends where it would have.
    Keras' EarlyStopping keeps a count and weights of its own, which no checkpoint has.

    Args:
        progress: of the training.
        steps: of the whole training.
        first: epoch, counted from 0, from which on patience counts.
        patience: epochs in a row that may be no better than the best one before; None: all.
        seconds: after which the training ends, validation included; None: never.
    """

    def __init__(
        self,
        progress: Progress,
        steps: int,
        *,
        first: int = 0,
        patience: int | None = None,
        seconds: float | None = None,
    ):
        super().__init__()
        self.progress, self.steps, self.first = progress, steps, first
        self.patience, self.seconds = patience, seconds

    def on_train_batch_end(self, batch, logs: Any = None):
        if self.seconds is None:
            return
        spent = sum(row["seconds"] for row in self.progress.history) + self.progress.seconds
        if spent >= self.seconds:
            self._end("time limit")

    def on_epoch_end(self, epoch, logs: Any = None):
        rows = self.progress.history[self.first :]
        best = max(range(len(rows)), key=lambda place: quality(rows[place]), default=0)
        if self.patience is not None and len(rows) - 1 - best >= self.patience:
            self._end("patience")

    def _end(self, reason: str) -> None:
        if self.progress.steps < self.steps and self.progress.ended is None:
            self.progress.ended = reason
            model: Any = self.model
            model.stop_training = True
