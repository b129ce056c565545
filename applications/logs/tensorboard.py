"""TensorBoard event files of a training, written without TensorFlow on every backend."""

# The message classes are made when their modules are imported, out of a checker's sight.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import keras
import numpy as np
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.summary import custom_scalars, histogram, image, scalar, text

from applications.evaluation import pictures
from applications.evaluation.metrics import worst_mistakes
from applications.logs import diagnostics
from applications.options import Running

if TYPE_CHECKING:
    from keras_archs import Profile

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
    "predicted_classes",
    "steps",
    "validation_accuracy",
    "validation_macro_f1",
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


MISTAKES = 16
_SHOWN = 4  # inputs whose activation maps are drawn
# The page "custom scalars" lays the curves of all runs over each other; TensorBoard merges what
# every run says of it.
_MULTILINE = {
    "validation accuracy": ["accuracy/validation"],
    "training accuracy": ["accuracy/train"],
    "validation loss": ["loss/validation"],
    "training loss": ["loss/train"],
    "loss, training and validation": ["loss/(train|validation)"],
    "images per second": ["training/images_per_second"],
    "learning rate": ["training/learning_rate"],
}
_INSIDE = {
    "gradient norm of each layer": ["gradient_norm/.*"],
    "share of dead ReLUs": ["dead_relus/.*"],
}


class TensorBoardLogger(keras.callbacks.Callback):
    """Writes what TensorBoard shows of a training into `log_dir`.

    By default: scalars once an epoch (loss, accuracy, learning rate, images a second, memory and,
    on a GPU, its utilisation), one row of the HParams table, a layout that lays the curves of all
    runs over each other, the cost of each layer as text, activation maps of a few images after the
    last epoch and, after the test, the confusion matrix and the worst mistakes as images.

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
        profile: the network's cost, for a table of its layers. None leaves it out.
        inputs: a few images (N, H, W, C), as the network takes them, and their labels (N,): what
            activation maps, gradients and dead ReLUs are of. None leaves them out.
        log: what else is logged after each epoch: any of "histograms" (of kernels and of their
            gradients), "gradients" (the norm of each layer's, and a picture of them by depth),
            "dead_relus" (the share of each layer's channels that are 0 for all inputs).
        profile_steps: first and last training step, counted from 1 in this process, of a trace by
            the backend's own profiler, which goes to `log_dir/plugins/profile`.

    Raises:
        ValueError: `log` holds something else or lacks the inputs it needs, or the steps are none.

    Attributes:
        epochs: finished epochs. Keras tells it when an epoch begins; set it for a run that is
            resumed with nothing left to do but `finish`.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        hparams: Mapping[str, Any] | None = None,
        images: int | None = None,
        *,
        profile: "Profile | None" = None,
        inputs: tuple[np.ndarray, np.ndarray] | None = None,
        log: Collection[str] | None = None,
        profile_steps: tuple[int, int] | None = None,
    ):
        super().__init__()
        asked = Running(log=log, profile_steps=profile_steps)
        if log and inputs is None:
            raise ValueError(f"`inputs` must be given for `log`. Received: log={list(log)}")
        self.profile, self.inputs, self.log = profile, inputs, frozenset(asked.log or ())
        self.profile_steps = asked.profile_steps
        self._gradients = self._trace = None
        self._step = 0
        self.log_dir = Path(log_dir)
        self.hparams = {name: _plain(value) for name, value in (hparams or {}).items()}
        self.images = images
        self.epochs = 0
        self._writer = None

    def set_model(self, model):
        super().set_model(model)
        self._gradients = None  # of another network, or of other layers of it

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs = epoch
        if self._writer is None:
            self._open()
        self._started, self._trained = time.perf_counter(), None

    def on_train_batch_begin(self, batch, logs=None):
        self._step += 1
        if self.profile_steps and self._step == self.profile_steps[0]:
            self._trace = diagnostics.Profiler(self.log_dir)

    def on_train_batch_end(self, batch, logs=None):
        if self._trace and self.profile_steps and self._step == self.profile_steps[1]:
            self._stop_trace()

    def on_test_begin(self, logs=None):
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter()
        logs = logs or {}
        values = {tag: logs[name] for name, tag in TAGS.items() if name in logs}
        if "learning_rate" not in logs:  # to ask the schedule is a compilation on JAX
            values["training/learning_rate"] = self._learning_rate()
        values["training/epoch_seconds"] = now - self._started
        if self.images:
            seconds = (self._trained or now) - self._started
            values["training/images_per_second"] = self.images / seconds
        figures = diagnostics.device_figures(gpu=self._device is not None)
        values |= {f"device/{name}": value for name, value in figures.items()}
        self.epochs = epoch + 1
        self._write(values)
        if self.log:
            self._write_inside()

    def on_train_end(self, logs=None):
        if self.inputs is not None:
            images, model = self.inputs[0][:_SHOWN], cast(keras.Model, self.model)
            for name, maps in diagnostics.activation_maps(model, images).items():
                self._image(f"activations/{name}", pictures.activation_maps(images, maps))

    def add_test(
        self,
        names: Sequence[str],
        labels: np.ndarray,
        probabilities: np.ndarray,
        images: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        """Writes the confusion matrix and the worst mistakes as images.

        Args:
            names: of the classes.
            labels: true class of each image, (N,), integers.
            probabilities: (N, classes).
            images: row numbers -> uint8 images (rows, H, W, C).
        """
        from sklearn.metrics import confusion_matrix

        predicted = probabilities.argmax(axis=1).tolist()
        matrix: Any = confusion_matrix(labels, predicted, labels=np.arange(len(names)))
        self._image("test/confusion_matrix", pictures.confusion_matrix(matrix, names))
        rows = worst_mistakes(labels, probabilities, MISTAKES)
        if len(rows):
            captions = [
                f"{names[predicted[row]]}, {100 * probabilities[row].max():.1f} %\n"
                f"is {names[int(labels[row])]}"
                for row in rows.tolist()
            ]
            self._image("test/worst_mistakes", pictures.captioned(images(rows), captions))

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Writes the metrics of the HParams table after the test, and closes the event file.

        Args:
            metrics: those of `METRICS` that are present are written, everything else is ignored.
        """
        self._write({f"final/{name}": metrics[name] for name in METRICS if name in metrics})
        self.close()

    def close(self) -> None:
        """Closes the event file. May be called more than once."""
        self._stop_trace()
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
        layout = {"architectures": {name: ["Multiline", t] for name, t in _MULTILINE.items()}}
        if self.log:
            layout["inside"] = {name: ["Multiline", t] for name, t in _INSIDE.items()}
        self._add(Event(summary=custom_scalars(layout)))
        self._device = diagnostics.device_name()
        if self.epochs == 0 and self._device:
            self._add(Event(summary=text("device/gpu", self._device)))
        if self.epochs == 0 and self.profile is not None:
            self._add(Event(summary=text("cost/layers", _markdown(self.profile))))
        self._writer.flush()

    def _write(self, values: Mapping[str, float]) -> None:
        summary = Summary()
        for tag, value in values.items():
            summary.MergeFrom(scalar(tag, float(value)))
        self._write_summary(summary)

    def _image(self, tag: str, pixels: np.ndarray) -> None:
        self._write_summary(image(tag, pixels, dataformats="HWC"))

    def _write_summary(self, summary: Summary) -> None:
        if self._writer is None:  # resumed between the last epoch and the test
            self._open()
        self._add(Event(step=self.epochs, summary=summary))
        self._writer.flush()

    def _write_inside(self) -> None:
        """What `log` asks for, of the network as it is now."""
        images, labels = cast(tuple, self.inputs)
        model = cast(keras.Model, self.model)
        summary, values = Summary(), {}
        if "dead_relus" in self.log:
            shares = diagnostics.dead_relus(model, images)
            values |= {f"dead_relus/{name}": share for name, share in shares.items()}
        if self.log & {"gradients", "histograms"}:
            self._gradients = self._gradients or diagnostics.Gradients(model)
            gradients = self._gradients(images, labels)
            norms = {name: float(np.linalg.norm(g)) for name, g in gradients.items()}
            if "gradients" in self.log:
                values |= {f"gradient_norm/{name}": norm for name, norm in norms.items()}
                drawn = pictures.by_depth(list(norms.values()))
                summary.MergeFrom(image("gradient_norm", drawn, dataformats="HWC"))
            if "histograms" in self.log:
                for name, kernel in self._gradients.kernels.items():
                    weights = keras.ops.convert_to_numpy(kernel)
                    summary.MergeFrom(histogram(f"weights/{name}", weights, 64))
                    summary.MergeFrom(histogram(f"gradients/{name}", gradients[name], 64))
        for tag, value in values.items():
            summary.MergeFrom(scalar(tag, value))
        self._write_summary(summary)

    def _stop_trace(self) -> None:
        if self._trace:
            self._trace.stop()
            self._trace = None

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)

    def _learning_rate(self) -> float:
        """That of the last step; the optimizer's own attribute is that of the next one.

        Of an optimizer that has others for some layers, that of the rest.
        """
        optimizer: Any = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of mixed_float16
        optimizer = getattr(optimizer, "optimizers", [optimizer])[-1]
        rate: Any = optimizer.learning_rate
        described = optimizer.get_config()["learning_rate"]
        if isinstance(described, dict):
            schedule: Any = keras.optimizers.schedules.deserialize(described)
            rate = schedule(optimizer.iterations - 1)
        return keras.ops.convert_to_numpy(rate).item()


def _markdown(profile: "Profile") -> str:
    """A table of the layers."""
    head = ("layer", "type", "output", "parameters", "MACs", "activations, bytes")
    rows = [
        (r.name, r.type, "x".join(map(str, r.output_shape)), r.params, r.macs, r.activation_bytes)
        for r in profile.rows
    ]
    total = ("total", "", "", profile.params, profile.macs, profile.activation_bytes)
    lines = [head, ("---",) * 3 + ("---:",) * 3, *rows, total]
    return "\n".join(
        "| " + " | ".join(f"{c:,}" if isinstance(c, int) else str(c) for c in line) + " |"
        for line in lines
    )


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
