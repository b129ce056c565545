"""What happens after each epoch of a training: a row of its history, a report, a line."""

import math
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import keras
import numpy as np
from rich import progress as bars

from applications.console import plain_console
from applications.training.progress import Progress


class Journal(keras.callbacks.Callback):
    """Keeps the progress and stops a training whose loss is no longer finite.

    Args:
        schedule: step -> learning rate.
        progress: of the training before; it is continued.
        start: step of the training at which the schedule begins.
    """

    def __init__(self, schedule: Callable, progress: Progress, start: int = 0):
        super().__init__()
        self.schedule, self.progress, self.start = schedule, progress, start

    def on_epoch_begin(self, epoch, logs: Any = None):
        self._epoch, self._started = epoch, time.perf_counter() - self.progress.seconds

    def on_train_batch_end(self, batch, logs: Any = None):
        self.progress.step += 1
        self.progress.steps += 1
        self.progress.seconds = time.perf_counter() - self._started
        if not math.isfinite(logs["loss"]):
            done = f"the checkpoint of epoch {self._epoch}" if self._epoch else "no checkpoint"
            raise ValueError(
                "the loss must stay finite: try a lower `learning_rate` in a new run (this run's "
                f"folder keeps {done}). Received: loss={logs['loss']} in epoch {self._epoch + 1}, "
                f"step {self.progress.step}, at a learning rate of {self._rate():.3g}"
            )

    def on_epoch_end(self, epoch, logs: Any = None):
        logs["learning_rate"] = self._rate()
        names = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
        values = {name: float(logs[name]) for name in names}
        seconds = round(time.perf_counter() - self._started, 3)
        self.progress.history.append({"epoch": epoch + 1, **values, "seconds": seconds})
        self.progress.step, self.progress.seconds = 0, 0.0

    def _rate(self) -> float:
        """That of the last step."""
        rate: Any = keras.ops.convert_to_numpy(self.schedule(self.progress.steps - 1 - self.start))
        return float(rate)


class UnbiasedStatistics(keras.callbacks.Callback):
    """Between epochs BatchNorm's running statistics are those of the steps so far alone.

    As Keras keeps them they still hold `momentum ** steps` of the values that they began with,
    which in a short training outweigh small variances. Here they begin at 0 and are divided by
    the share that is not of the beginning, as Adam divides its moments (arXiv:1412.6980, section
    3): the same as a momentum that rises from 0 to the layer's own. While an epoch is trained they
    are what Keras expects. A frozen layer keeps its own.

    Args:
        steps: those before; the optimizer does not count steps whose gradients overflow.
        begun: whether the first epoch is the rest of one that was begun before.
    """

    def __init__(self, steps: int = 0, begun: bool = False):
        super().__init__()
        self.steps, self.begun = steps, begun

    def on_epoch_begin(self, epoch, logs: Any = None):
        if not self.begun:
            self._scale(lambda share: share)
        self.begun = False

    def on_train_batch_end(self, batch, logs: Any = None):
        self.steps += 1

    def on_test_begin(self, logs: Any = None):
        self._scale(lambda share: 1 / share)

    def _scale(self, factor: Callable[[float], float]) -> None:
        model: Any = self.model
        layers: Any = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
        for layer in layers:
            if layer.trainable:
                by = factor(1 - layer.momentum**self.steps)
                layer.moving_mean.assign(layer.moving_mean * by)
                layer.moving_variance.assign(layer.moving_variance * by)


class Report(keras.callbacks.Callback):
    """Hands each finished epoch's row of the history on."""

    def __init__(self, report: Callable[[dict[str, float]], None], rows: list[dict[str, float]]):
        super().__init__()
        self.report, self.rows = report, rows

    def on_epoch_end(self, epoch, logs: Any = None):
        self.report(self.rows[-1])


class ProgressLines(keras.callbacks.Callback):
    """A line an epoch on stderr and, in a terminal, a bar with the time that is left.

    Args:
        epochs: of the whole training.
        steps: of an epoch.
        progress: what `Journal` keeps.
    """

    def __init__(self, epochs: int, steps: int, progress: Progress):
        super().__init__()
        self.epochs, self.steps = epochs, steps
        self.rows, self._done = progress.history, progress.steps
        self.console = plain_console(stderr=True)
        self.bar = bars.Progress(
            bars.TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TextColumn("{task.fields[figures]}"),
            bars.TextColumn("ETA"),
            bars.TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._first = len(self.rows)

    def on_train_begin(self, logs: Any = None):
        self.bar.start()
        done = self._done
        fields: dict[str, Any] = {"epoch": self._first + 1, "epochs": self.epochs, "figures": ""}
        self._task = self.bar.add_task("", total=self.epochs * self.steps, completed=done, **fields)

    def on_epoch_begin(self, epoch, logs: Any = None):
        self.bar.update(self._task, epoch=epoch + 1)

    def on_train_batch_end(self, batch, logs: Any = None):
        figures = f"loss {logs['loss']:.3f}  accuracy {100 * logs['accuracy']:.1f} %"
        self.bar.update(self._task, advance=1, figures=figures)

    def on_epoch_end(self, epoch, logs: Any = None):
        row = self.rows[-1]
        recent = [r["seconds"] for r in self.rows[self._first :]]
        # The first epoch compiles, so it says little of the next ones.
        per_epoch = float(np.median(recent[1:] or recent))
        left = timedelta(seconds=round(per_epoch * (self.epochs - epoch - 1)))
        self.console.print(
            f"epoch {epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"
            f"  loss {row['loss']:.4f}  accuracy {100 * row['accuracy']:5.1f} %"
            f"  validation loss {row['val_loss']:.4f}  accuracy {100 * row['val_accuracy']:5.1f} %"
            f"  {row['seconds']:.1f} s  ETA {left}",
            soft_wrap=True,
        )

    def close(self) -> None:
        """Takes the bar away. May be called more than once."""
        self.bar.stop()
