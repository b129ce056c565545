"""TensorBoard event files of a training, written without TensorFlow on every backend."""

# The message classes are made when their modules are imported, out of a checker's sight.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.summary import scalar

# The HParams table shows five columns of each kind before one asks for more: these first.
HPARAMS = ("arch", "alpha", "rho", "recipe", "seed")
METRICS = (
    "test_accuracy",
    "params",
    "macs",
    "latency_ms_p50",
    "train_seconds",
    "latency_ms_p95",
    "macro_f1",
    "test_loss",
    "validation_accuracy",
    "images_per_second",
)

# Keras' name of a value -> our tag. What stands before the slash groups the charts.
TAGS = {
    "loss": "loss/train",
    "val_loss": "loss/validation",
    "accuracy": "accuracy/train",
    "val_accuracy": "accuracy/validation",
    "learning_rate": "training/learning_rate",
}


class TensorBoardLogger(keras.callbacks.Callback):
    """Writes scalars once an epoch and one row of the HParams table into `log_dir`.

    Step n of a scalar is the value after n epochs. Every epoch is on disk when the callbacks
    after this one are called, so place it before the one that saves checkpoints: a resumed
    training then has every step once, because the steps of epochs that are trained again are
    hidden by the new event file. Writing is synchronous and raises what the disk raises.

    Args:
        log_dir: the run folder. Event files `events.out.tfevents.*` lie directly in it, and the
            folder's name is the row's name in the HParams table of the parent folder.
        hparams: what distinguishes runs (architecture, alpha, recipe, seed, ...): a flat dict,
            with the same keys in all runs that are to share a table.
        images: training images per epoch, for `training/images_per_second` (validation time
            not counted). None leaves it out.

    Attributes:
        epochs: finished epochs. Keras tells it when an epoch begins; set it for a run that is
            resumed with nothing left to do but `finish`.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike,
        hparams: Mapping[str, Any] | None = None,
        images: int | None = None,
    ):
        super().__init__()
        self.log_dir = Path(log_dir)
        self.hparams = {name: _plain(value) for name, value in (hparams or {}).items()}
        self.images = images
        self.epochs = 0
        self._writer = None

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs = epoch
        if self._writer is None:
            self._open()
        self._started, self._trained = time.perf_counter(), None

    def on_test_begin(self, logs=None):
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter()
        logs = logs or {}
        values = {tag: logs[name] for name, tag in TAGS.items() if name in logs}
        values.setdefault("training/learning_rate", self._learning_rate())
        values["training/epoch_seconds"] = now - self._started
        if self.images:
            seconds = (self._trained or now) - self._started
            values["training/images_per_second"] = self.images / seconds
        self.epochs = epoch + 1
        self._write(values)

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Writes the metrics of the HParams table after the test, and closes the event file.

        Args:
            metrics: those of `METRICS` that are present are written, everything else is ignored.
        """
        if self._writer is None:  # resumed between the last epoch and the test
            self._open()
        self._write({f"final/{name}": metrics[name] for name in METRICS if name in metrics})
        self.close()

    def close(self) -> None:
        """Closes the event file. May be called more than once."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> None:
        """Starts an event file, which replaces all steps after the finished epochs."""
        self.log_dir.mkdir(parents=True, exist_ok=True)
        # tensorboardX names files by the second; two starts within one must not share a name.
        self._writer = EventsWriter(str(self.log_dir / "events"), f".{self.epochs:05d}")
        self._add(Event(step=self.epochs + 1, session_log=SessionLog(status=SessionLog.START)))
        self._add(Event(summary=_columns(self.hparams)))
        self._add(Event(summary=_row(self.hparams)))
        self._writer.flush()

    def _write(self, values: Mapping[str, float]) -> None:
        summary = Summary()
        for tag, value in values.items():
            summary.MergeFrom(scalar(tag, float(value)))
        self._add(Event(step=self.epochs, summary=summary))
        self._writer.flush()

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)

    def _learning_rate(self) -> float:
        return keras.ops.convert_to_numpy(self.model.optimizer.learning_rate).item()


def _columns(hparams: Mapping[str, Any]) -> Summary:
    """Names the columns of the HParams table. TensorBoard reads one run's and ignores the rest."""
    kinds = {
        bool: api_pb2.DATA_TYPE_BOOL,
        int: api_pb2.DATA_TYPE_FLOAT64,
        float: api_pb2.DATA_TYPE_FLOAT64,
        str: api_pb2.DATA_TYPE_STRING,
    }
    inputs = [
        # What `differs` between the runs is shown first; no run knows that of itself.
        api_pb2.HParamInfo(name=name, type=kinds[type(value)], differs=name in HPARAMS)
        for name, value in hparams.items()
    ]
    outputs = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=f"final/{name}"), display_name=name)
        for name in METRICS
    ]
    experiment = api_pb2.Experiment(hparam_infos=inputs, metric_infos=outputs)
    return _plugin_summary(metadata.EXPERIMENT_TAG, experiment=experiment)


def _row(hparams: Mapping[str, Any]) -> Summary:
    """The values of one run's row in the HParams table."""
    session = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
    for name, value in hparams.items():
        if isinstance(value, bool):
            session.hparams[name].bool_value = value
        elif isinstance(value, str):
            session.hparams[name].string_value = value
        else:
            session.hparams[name].number_value = value
    return _plugin_summary(metadata.SESSION_START_INFO_TAG, session_start_info=session)


def _plugin_summary(tag: str, **content: Any) -> Summary:
    data = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**content))
    # TensorBoard and tensorboardX have a class each for the same message.
    plugin = SummaryMetadata.FromString(data.SerializeToString())
    return Summary(value=[Summary.Value(tag=tag, metadata=plugin)])


def _plain(value: Any) -> bool | int | float | str:
    """A value that the HParams table can hold."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, bool | int | float | str) else str(value)
