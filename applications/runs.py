"""Run folders: all that a training produced, and the only thing that applications hand on.

>>> run = applications.load("runs/mobilenet-digits-s0")
>>> run.metrics["test_accuracy"]
>>> run.predict(["one.png", "two.png"]).argmax(axis=1)
"""

import itertools
import os
import secrets
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

import applications
import keras_archs
from applications.files import (
    PARTIAL,
    naming_file,
    plain_yaml,
    read_arrays,
    read_json,
    write_atomic,
)
from applications.files import remove_partials as remove_partials
from applications.files import write_json as write_json
from applications.options import OPTIONS, check_recorded, default_of
from keras_archs.checks import count, is_count, nearest, number

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pandas as pd

CHECKPOINTS = "checkpoint"  # the folder in a run's that holds them while it is trained
DERIVED = (
    "parent",
    "compress",
    "distill",
    "grow",
    "shrink",
    "specialists",
)  # what config.yaml has in a run made of another
_BATCH = 256  # images that are predicted at a time
_FEW_STEPS = 100  # of a training, below which its figures mean nothing


class Claim:
    """That this process, and no other one, writes checkpoints into a folder.

    The next process that claims the folder takes it over: a process that was thought dead, or that
    outlives its parent, cannot write over its successor's work.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        """Claims the folder, which is made where it is missing."""
        self._file = Path(folder, "owner")
        self._token = secrets.token_hex(8)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self._file, self._token)

    def check(self) -> None:
        """Raise ValueError if another process has claimed the folder."""
        try:
            owner = self._file.read_text(encoding="utf-8")
        except FileNotFoundError:
            owner = None
        if owner != self._token:
            raise ValueError(
                "a run must be trained by one process at a time: another one has taken over. "
                f"Received: {self._file.parent.parent}"
            )


def write_config(path: str | os.PathLike[str], config: dict[str, Any]) -> None:
    """Write the options of a training as YAML, atomically."""
    write_atomic(path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def read_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The options of a training as `write_config` wrote them.

    Raises:
        ValueError: the file is not YAML, has a tag or holds anything but options of `train`, each
            within its range.
        OSError: it cannot be read.
    """
    with naming_file(path, "`config` must be plain YAML"):
        config = plain_yaml(Path(path).read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise ValueError(f"`config` must hold lines `option: value`. Received: {path}")
    for name, value in config.items():
        if name not in (*OPTIONS, *DERIVED):
            raise ValueError(
                f"`config` must hold options of `train`.{nearest(name, OPTIONS)} "
                f"Received: {name!r} in {path}"
            )
        try:
            _check_derived(name, value) if name in DERIVED else check_recorded(name, value)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{error} in {path}") from None
    return config


def _check_derived(name: str, value: Any) -> None:
    kind, wanted = (str, "a run folder") if name == "parent" else (dict, "the options by name")
    if not isinstance(value, kind):
        raise ValueError(f"`{name}` must be {wanted}. Received: {name}={value!r}")


# Figures of metrics.json that are read back; older runs lack some.
_NUMBERS = (
    *("test_accuracy", "mirrored_test_accuracy", "macro_f1", "validation_accuracy"),
    *("validation_macro_f1", "params", "trainable_params", "macs"),
    *("peak_activation_bytes", "latency_ms_p50", "latency_ms_p95", "train_seconds", "epochs"),
    *("kept_epoch", "steps"),
)
_LARGEST = 1e18


class _Metrics(dict):
    """Figures by name; a name that the file should have and has not is an error of the file."""

    def __init__(self, path: Path, classes: int):
        super().__init__(read_json(path, dict))
        self._path = path
        try:
            self._check(classes)
        except ValueError as error:
            raise ValueError(f"{error} in {path}") from None

    def _check(self, classes: int) -> None:
        """Raise ValueError where one that is read back is not of its kind."""
        for name in filter(self.__contains__, _NUMBERS):
            number(name, self[name], least=0, most=_LARGEST)
        for name, length in (("confusion_matrix", classes), ("input_shape", 3)):
            if name in self and not (isinstance(self[name], list) and len(self[name]) == length):
                found = _length(self[name])
                raise ValueError(f"`{name}` must have {length} entries. Received: {found}")
        for row in self.get("confusion_matrix", ()):
            if not (isinstance(row, list) and len(row) == classes and all(map(_is_number, row))):
                raise ValueError(
                    f"`confusion_matrix` must have rows of {classes} counts. Received: "
                    f"{_length(row)}, not all of them counts"
                )
        for side in self.get("input_shape", ()):
            count("input_shape", side)

    def __missing__(self, name: str):
        raise ValueError(f"metrics.json must hold {name!r}. Received: {self._path}")


def _is_number(value: Any) -> bool:
    return is_count(value, least=0)


def _length(value: Any) -> int | str:
    return len(value) if isinstance(value, list) else type(value).__name__


def _labels(path: Path) -> tuple[str, ...]:
    labels = read_json(path, list)
    if len(labels) < 2 or len({*map(str, labels)}) < len(labels):
        raise ValueError(
            "labels.json must hold distinct names of two or more classes. "
            f"Received: {len(labels)} in {path}"
        )
    if not all(isinstance(label, str) for label in labels):
        raise ValueError(f"labels.json must hold texts. Received: {path}")
    return tuple(labels)


class Run:
    """A finished training.

    Attributes:
        path: the run folder.
        config: every option of the training, as resolved; one that a later version added has its
            default. In a run that was made of another one also `parent`, its folder, and how.
        labels: class names; a class index is an index into them.
        metrics: test accuracy, cost, latency and more, as in metrics.json.
    """

    def __init__(self, path: str | os.PathLike[str]):
        """Reads the small files; the model is loaded when it is first used.

        Raises:
            FileNotFoundError: there is no such folder.
            ValueError: the folder is no run folder, or its run is not finished.
        """
        self.path: Path = Path(path)
        if not self.path.is_dir():
            raise FileNotFoundError(f"`run` must be an existing run folder. Received: run={path}")
        if not (self.path / "config.yaml").is_file():
            raise ValueError(
                f"`run` must be a run folder. Received: run={path}, which has no config.yaml"
            )
        if not is_finished(self.path):
            raise ValueError(
                "`run` must be finished (`train --resume` with the same options finishes it). "
                f"Received: run={path}"
            )
        recorded = read_config(self.path / "config.yaml")
        missing = {name: default_of(name) for name in OPTIONS if recorded.get(name) is None}
        self.config: dict[str, Any] = {**recorded, **missing}
        self.labels: tuple[str, ...] = _labels(self.path / "labels.json")
        self.metrics: dict[str, Any] = _Metrics(self.path / "metrics.json", len(self.labels))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def remarks(self) -> list[str]:
        """What makes its figures mean less than they seem to."""
        return remarks(self.metrics, len(self.labels))

    def check_tested(self) -> None:
        """Raise ValueError for a trial of a search that has not met its test images."""
        if "test_accuracy" not in self.metrics:
            raise ValueError(
                "`run` must have been tested. A search tests its best trial alone: "
                "`keras-archs train --config RUN/config.yaml` trains and tests this one. "
                f"Received: run={self.path}"
            )

    @cached_property
    def history(self) -> "pd.DataFrame":
        """One row an epoch: epoch, loss, accuracy, val_loss, ..., learning_rate, seconds."""
        import pandas as pd

        with naming_file(self.path / "history.csv", "A history must be a table of numbers"):
            return pd.read_csv(self.path / "history.csv").astype(float).astype({"epoch": int})

    @property
    def predictions(self) -> "dict[str, np.ndarray]":
        """Of the test images: ids (N,), labels int64 (N,), probabilities float32 (N, classes)."""
        import numpy as np

        path, classes = self.path / "predictions.npz", len(self.labels)
        found = read_arrays(path, "ids", "labels", "probabilities")
        kinds = {"ids": ("U", ()), "labels": ("iu", ()), "probabilities": ("f", (classes,))}
        for name, (kind, shape) in kinds.items():
            array, wanted = found[name], (found["ids"].size, *shape)
            if array.dtype.kind not in kind or array.shape != wanted:
                raise ValueError(
                    f"`{name}` must have the shape {wanted}. "
                    f"Received: {array.shape} of {array.dtype} in {path}"
                )
        labels = found["labels"]
        if ((labels < 0) | (labels >= classes)).any():
            raise ValueError(f"`labels` must be below {classes} and not negative. Received: {path}")
        if not np.isfinite(found["probabilities"]).all():
            raise ValueError(f"`probabilities` must be finite. Received: {path}")
        return found

    @cached_property
    def model(self) -> "keras.Model":
        """The trained model: uint8 images 0..255 (N, H, W, C) -> probabilities (N, classes)."""
        if not (self.path / "model.keras").is_file():
            raise ValueError(
                "`run` must hold its model. A search keeps those of its best trials alone: "
                "`keras-archs train --config RUN/config.yaml` trains this one again. "
                f"Received: run={self.path}"
            )
        network = load_network(self.path / "model.keras")
        shapes = (network.input_shape, network.output_shape)
        if not all(isinstance(shape, tuple) for shape in shapes) or (
            len(network.input_shape) != 4
            or None in network.input_shape[1:]
            or network.output_shape[1:] != (len(self.labels),)
        ):
            raise ValueError(
                f"model.keras must take images of one size and tell the {len(self.labels)} classes "
                f"of labels.json apart. Received: {self.path}, whose shapes are "
                f"{network.input_shape} and {network.output_shape}"
            )
        return network

    def predict(
        self, images: "np.ndarray | str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"
    ) -> "np.ndarray":
        """Class probabilities.

        Args:
            images: uint8 0..255 of any size, (N, H, W) or (N, H, W, 1 or 3), or paths of image
                files. They are resized as the training's were and get its channel count.

        Returns:
            float32 (N, classes), in the order of `labels`.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the images are not as described, or one cannot be decoded (it is named).
        """
        import numpy as np

        resize = self.config["resize"]
        shape = self.model.input_shape[1:]
        if isinstance(images, str | os.PathLike):
            images = [images]
        if isinstance(images, np.ndarray):
            pixels = applications.data.resize_images(images, shape, resize)
        else:
            pixels = applications.data.read_images(images, shape, resize)
        starts = range(0, len(pixels), _BATCH)
        batches = [self._forward(pixels[at : at + _BATCH])[0] for at in starts]
        return np.concatenate(batches).astype(np.float32)

    @cached_property
    def _forward(self) -> Callable[["np.ndarray"], list]:
        """The compiled model; `Model.predict` takes many times as long for an image."""
        return keras_archs.runtimes.compiled(self.model)


def remarks(metrics: Mapping[str, Any], classes: int) -> list[str]:
    """What makes the figures of a training mean less than they seem to.

    Args:
        metrics: as in metrics.json; of older runs some are missing.
        classes: that there are.
    """
    said = []
    if "confusion_matrix" in metrics:
        predicted = sum(map(any, zip(*metrics["confusion_matrix"], strict=True)))
        if predicted < classes:
            said.append(f"it predicts {predicted} of {classes} classes")
    if metrics.get("steps", _FEW_STEPS) < _FEW_STEPS:
        said.append(f"{metrics['steps']} steps of training are too few to mean anything")
    return said


def load_network(file: str | os.PathLike[str]) -> "keras.Model":
    """The model in a `.keras` file, loaded in safe mode and not compiled.

    Raises:
        ValueError: the file holds no model that Keras can read.
    """

    import keras

    own = {"keras_archs>LocalResponseNormalization": keras_archs.LocalResponseNormalization}
    with keras_archs.graph.deep_graphs():
        with naming_file(file, "A .keras file must hold a model that Keras can read"):
            with warnings.catch_warnings(record=True) as said:  # beside an error they are noise
                model = keras.saving.load_model(file, own, compile=False, safe_mode=True)
            for each in said:
                warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise ValueError(f"a .keras file must hold a model with inputs. Received: {file}")
    return keras_archs.graph.exportable(model)


def load(path: str | os.PathLike[str]) -> Run:
    """The finished training in a run folder.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: the folder is no run folder, or its run is not finished.
    """
    return Run(path)


def is_finished(path: str | os.PathLike[str]) -> bool:
    """Whether the run folder is complete: metrics.json is the last file that a training writes."""
    return (Path(path) / "metrics.json").exists()


def find_run(path: str | os.PathLike[str], config: dict[str, Any]) -> bool:
    """Whether the folder holds a run with these options that can be resumed.

    Raises:
        ValueError: its options are others (the first that differs is named).
        FileExistsError: there is something that is no run.
    """
    path = Path(path)
    if (path / "config.yaml").is_file():
        recorded = read_config(path / "config.yaml")
        for name in (*OPTIONS, *DERIVED):
            before = recorded[name] if name in recorded else default_of(name)
            if before != config.get(name):
                way = f" A new run with `weights` {path / 'model.keras'} trains a finished one on."
                raise ValueError(
                    f"`{name}` must be as in the run that is resumed, {before!r}."
                    f"{way if name == 'epochs' and is_finished(path) else ''} "
                    f"Received: {name}={config.get(name)!r}, run_dir={path}"
                )
        return True
    if path.exists() and not _is_blank(path):
        raise FileExistsError(
            f"`run_dir` must be a run folder or new. Received: run_dir={path}, which has no "
            "config.yaml"
        )
    return False


def _is_blank(path: Path) -> bool:
    """Whether a folder is empty but for what a killed process left."""
    return path.is_dir() and all(p.name.startswith(PARTIAL) for p in path.iterdir())


def default_run_dir(config: dict[str, Any], data_name: str) -> Path:
    """Where a run goes that has no folder given: `runs/ARCH-DATA-sSEED`.

    What was made of a run says so: a changed network has that one's name, a student its own.
    """
    for name, way in (
        *(("compress", "compressed"), ("grow", "grown"), ("shrink", "shrunk")),
        ("specialists", "specialists"),
    ):
        if config.get(name):
            return Path("runs", f"{Path(config['parent']).resolve().name}-{way}")
    way = "-distilled" if config.get("distill") else ""
    return Path("runs", f"{config['arch']}-{data_name}-s{config['seed']}{way}")


def make_numbered(base: Path) -> Path:
    """Make the folder `base`, or with -2, -3, ... where it is taken."""
    path = base
    base.parent.mkdir(parents=True, exist_ok=True)
    for place in itertools.count(2):
        try:
            path.mkdir()
            break
        except FileExistsError:
            path = base.with_name(f"{base.name}-{place}")
    return path


def check_new(path: str | os.PathLike[str]) -> None:
    """Raise FileExistsError if a named run folder exists."""
    if Path(path).exists():
        raise FileExistsError(
            f"`run_dir` must not exist (`resume` continues a run). Received: run_dir={path}"
        )


def new_run_dir(
    config: dict[str, Any], data_name: str, run_dir: str | os.PathLike[str] | None = None
) -> Path:
    """Create a run folder and write the options into it.

    Args:
        config: every option of the training, as resolved.
        data_name: short name of the data, for the default name.
        run_dir: the folder; None takes `runs/ARCH-DATA-sSEED`, with `-2`, `-3`, ... where taken.

    Raises:
        FileExistsError: `run_dir` exists and is not empty.
    """
    if run_dir is not None:
        path = Path(run_dir)
        if not _is_blank(path):
            check_new(path)
        path.mkdir(parents=True, exist_ok=True)
        remove_partials(path)
    else:
        path = make_numbered(default_run_dir(config, data_name))
    write_config(path / "config.yaml", config)
    return path
