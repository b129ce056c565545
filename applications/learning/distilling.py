"""A run whose network learned from other runs' networks, and from labels.

Hinton, Vinyals & Dean 2015, arXiv:1503.02531, section 2: the student is to predict what its teacher
predicts, both softened by a temperature, and the right labels with a lower weight. Several teachers
are one whose prediction is their mean. Maps within the networks may be learned as well, as the
hints of Romero et al. 2015, arXiv:1412.6550, equation 3, in all epochs beside the predictions.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np
from keras import layers, ops

import applications
from applications.data.sources import Dataset, Source, open_source
from applications.evaluation.networks import logits_of, output_of
from applications.files import write_atomic
from applications.options import STUDENT, Distillation, Group, Options, Plan, Running, takes
from applications.training.building import built_network
from applications.training.deriving import (
    Derivation,
    figures_table,
    opened_parent,
    parent_figures,
)
from applications.training.optimizing import prepare
from applications.training.training import derive
from keras_archs.graph import feature_tensors

_FILE = "soft_targets.npy"  # beside the checkpoints, as long as they are there
_TINY = 1e-30  # the least probability, whose logarithm float32 has


@takes(Group(Distillation), STUDENT, Group(Running))
def distill(
    distillation: Distillation, student: dict[str, Any], running: Running
) -> applications.Run:
    """Train a network on what a finished run's network predicts.

    The loss is `hard_weight` times the cross-entropy with the labels and, with the rest of the
    weight and times the squared temperature, the divergence of the student's softened
    probabilities from the teacher's. Everything else is as in `train`. The new run's config.yaml
    has the teacher's folder as `parent`, its card the figures of both. With `transfer_classes` the
    student knows of the other classes what the teacher's answers say of them: its section 3.

    Args:

    Returns:
        The new run.

    Raises:
        ValueError, TypeError: an argument is wrong or contradicts another, a teacher is not
            finished or damaged, or has other classes, or saw the images that the student is to be
            tested on.
        FileExistsError: `run_dir` exists, and `resume` was not asked for.
        OSError: a file cannot be read or written.
    """
    teachers = [
        opened_parent(given) for given in (distillation.run, *(distillation.ensemble or ()))
    ]
    if student["data"] is None:
        student["data"] = teachers[0].config["data"]
    options = Options.made_of(student)
    return derive(options, running, _Distilling(teachers, distillation))


class _Distilling(Derivation):
    """The training of a student, as `training.derive` wants it."""

    def __init__(self, runs: Sequence[applications.Run], asked: Distillation):
        self.asked, self.teachers = asked, Teachers(runs, asked)
        self.learner, self.soft_targets = self.teachers.learner, self.teachers.soft_targets
        self.selected = self.teachers.selected

    @property
    def recorded(self) -> dict[str, Any]:
        return {"parent": os.fspath(self.teachers.runs[0].path), "distill": self.asked.recorded}

    def network(self, plan: Plan, dataset: Dataset) -> keras.Model:
        self.teachers.check(plan, dataset)
        network = built_network(plan, dataset)
        self.teachers.maps_of(network, "the student")  # or a name is refused
        prepare(network, plan)
        return network

    def finish(self, network: keras.Model, path: Path) -> dict[str, Any]:
        return {"parent": parent_figures(self.teachers.runs[0])}

    def section(self, metrics: Mapping[str, Any]) -> str:
        asked = self.asked
        shown = asked.transfer_classes
        seen = f" It saw images of {', '.join(shown)} alone." if shown else ""
        maps = ""
        if asked.features:
            names, weight = ", ".join(asked.features), asked.feature_weight
            maps = f" Maps it learned as well: {names}, weight {weight:g}."
        return (
            "\n## Distillation\n\nTaught by the networks above it in the table: arXiv:1503.02531, "
            f"temperature {asked.temperature:g}, weight of the labels {asked.hard_weight:g}, soft "
            f"targets asked for {asked.soft_targets}.{maps}{seen}\n\n"
            + figures_table({str(run.path): run.metrics for run in self.teachers.runs}, metrics)
        )


class Teachers:
    """Runs whose networks teach another one: `learner` and `soft_targets` of a `Derivation`.

    Args:
        runs: of the teachers.
        asked: how they teach.
    """

    def __init__(self, runs: Sequence[applications.Run], asked: Distillation):
        self.runs, self.asked = runs, asked

    def selected(self, source: Source) -> Source:
        """The data whose training images are the transfer set."""
        names = self.asked.transfer_classes
        return source if names is None else source.of_classes(names)

    def check(self, plan: Plan, dataset: Dataset) -> None:
        """Take note of the student's training; to be called before any network learns.

        Raises:
            ValueError: one of them has other classes, saw the student's test images, or cannot be
                asked in each step.
        """
        for teacher in self.runs:
            _check_teacher(teacher, plan, dataset, self.asked)
            self.maps_of(teacher.model, str(teacher.path))
        self._plan = plan

    def learner(self, network: keras.Model) -> keras.Model:
        asked = self.asked
        outputs = {"predictions": output_of(network), **self.maps_of(network, "the student")}
        model = Distilled(network.inputs, outputs, name=network.name)
        teacher = None if asked.soft_targets == "once" else self._in_the_graph(network)
        model.attach(
            teacher,
            temperature=asked.temperature,
            hard_weight=asked.hard_weight,
            feature_weight=asked.feature_weight,
        )
        return model

    def maps_of(self, network: keras.Model, whose: str) -> dict[str, Any]:
        """The tensors that are learned beside the predictions, by name.

        Raises:
            ValueError: the network, which `whose` names, has no such map.
        """
        names = self.asked.features
        if names is None:
            return {}
        try:
            return feature_tensors(network.inputs, output_of(network), list(names))
        except ValueError as error:
            raise ValueError(f"{error}, for {whose}") from None

    def soft_targets(self, dataset: Dataset, folder: Path) -> np.ndarray | None:
        """The teachers' mean of each training image as it is, kept in a file of the folder."""
        if self.asked.soft_targets == "always":
            return None
        path, shape = folder / _FILE, (len(dataset.train), len(dataset.labels))
        if path.exists():
            try:
                found = np.load(path, mmap_mode="r")
                if found.shape == shape and found.dtype == np.float32:
                    return found
            except (ValueError, EOFError):
                pass  # damaged: they are asked again
        write_atomic(path, lambda partial: self._ask(shape, partial))
        return np.load(path, mmap_mode="r")

    def _ask(self, shape: tuple[int, int], path: Path) -> None:
        options = self._plan.options
        source = self.selected(open_source(str(options.data), seed=options.seed))
        file = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        asked = []
        for teacher in self.runs:
            *size, channels = teacher.model.input_shape[1:]
            images = source.split_at("train", tuple(size), channels, teacher.config["resize"])
            logits = keras.Model(teacher.model.input, logits_of(teacher.model))
            asked.append((images, logits))
        count, batch_size = len(file), min(len(file), 256)
        for start in range(0, count, batch_size):
            rows = np.arange(start, start + batch_size) % count  # one shape is compiled, not two
            answers = [model.predict_on_batch(images.batch(rows)) for images, model in asked]
            mean: Any = ops.convert_to_numpy(mean_of(answers, self.asked))
            file[start : start + batch_size] = mean[: count - start]
        file.flush()

    def _in_the_graph(self, network: keras.Model) -> keras.Model:
        """One model of the student's images: the teachers' mean, and the maps that it shows."""
        shape = network.input_shape
        images = keras.Input(shape[1:], dtype="uint8")
        answers, maps = [], {}  # maps are those of the only teacher
        for run in self.runs:
            teacher = run.model
            x: Any = images
            if teacher.input_shape[1:3] != shape[1:3]:
                x = layers.Resizing(*teacher.input_shape[1:3], dtype="float32")(x)
                x = ops.cast(ops.round(ops.clip(x, 0, 255)), "uint8")
            outputs = {"logits": logits_of(teacher), **self.maps_of(teacher, str(run.path))}
            maps: dict[str, Any] = keras.Model(teacher.input, outputs)(x, training=False)
            answers.append(maps.pop("logits"))
        outputs = {"predictions": mean_of(answers, self.asked), **maps}
        model = keras.Model(images, outputs, name="teacher")
        model.trainable = False
        return model


def _check_teacher(
    teacher: applications.Run, plan: Plan, dataset: Dataset, asked: Distillation
) -> None:
    """Raise ValueError unless it knows the classes, and none of the student's test images."""
    if tuple(teacher.labels) != tuple(dataset.labels):
        raise ValueError(
            f"a teacher must have been trained on the same classes, {len(dataset.labels)} of them. "
            f"Received: {teacher.path} with {len(teacher.labels)}: {', '.join(teacher.labels[:10])}"
        )
    same = teacher.config["data"] == plan.config["data"]
    if same and teacher.predictions["ids"].tolist() != list(dataset.test.ids):
        raise ValueError(
            f"`seed` must be {teacher.config['seed']} for this teacher: the data's test images are "
            "cut with it, and with another one they are images that the teacher was trained on. "
            f"Received: seed={plan.options.seed}, {teacher.path}"
        )
    theirs, ours = teacher.model.input_shape[-1], dataset.image_shape[-1]
    if asked.soft_targets == "always" and theirs != ours:
        raise ValueError(
            "`soft_targets` must be 'once' for a teacher of images with other channels. Received: "
            f"{teacher.path} with {theirs} channels for a student with {ours}"
        )


def mean_of(logits: Sequence[Any], asked: Distillation) -> Any:
    """The softened probabilities of several teachers as one's: (N, classes).

    Args:
        logits: of each teacher, (N, classes).
        asked: `average`: "geometric", which is the mean of the logits, or "arithmetic";
            `temperature`.
    """
    stacked: Any = ops.stack([ops.cast(each, "float32") for each in logits])
    stacked = stacked / asked.temperature
    if asked.average == "geometric":
        return ops.softmax(ops.mean(stacked, axis=0))
    return ops.mean(ops.softmax(stacked), axis=0)


class Distilled(keras.Model):
    """A network that learns from a teacher's softened probabilities; its metrics are its own.

    Its outputs are a dict: `predictions`, and maps by name. The teacher's probabilities are columns
    behind those of the labels, or, where `attach` was given a teacher, what it says of the images
    of the step.
    """

    def attach(
        self,
        teacher: keras.Model | None,
        *,
        temperature: float,
        hard_weight: float,
        feature_weight: float = 1.0,
    ) -> None:
        """Say who teaches; to be called before the optimizer is built.

        Args:
            teacher: images -> a dict of softened probabilities (N, classes) as `predictions`, and
                of the maps that the network has as outputs. None: it has no maps.
            temperature: by which they are softened.
            hard_weight: of the cross-entropy with the labels, in [0, 1].
            feature_weight: of the mean squared difference of each pair of maps.
        """
        self.teacher, self.temperature, self.hard_weight = teacher, temperature, hard_weight
        self.feature_weight = feature_weight
        # Its default, a name, compares the logits themselves; the loss's instance softens them.
        divergence: Any = keras.losses.KLDivergence()
        self._softened = keras.distillation.LogitsDistillation(temperature, divergence)
        self._alike = keras.distillation.FeatureDistillation()
        outputs: Any = self.output
        self._adapters = {}
        for name in sorted(set(outputs) - {"predictions"}):
            theirs: Any = teacher.output[name]  # pyright: ignore[reportOptionalMemberAccess]
            adapter = layers.Conv2D(theirs.shape[-1], 1, name=f"adapter_{name.lower()}")
            adapter.build(outputs[name].shape)
            self._adapters[name] = adapter

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        hard, outputs = self._labels(y), cast(dict[str, Any], y_pred)
        predictions = outputs["predictions"]
        loss: Any = super().compute_loss(x, hard, predictions, sample_weight, training)
        if not training:
            return loss
        labels: Any = y
        taught: Any = {} if self.teacher is None else self.teacher(x)
        soft = labels[:, hard.shape[-1] :] if self.teacher is None else taught["predictions"]
        # Logarithms of probabilities are logits but for a constant, which a softmax takes off.
        theirs: Any
        theirs, ours = (
            ops.log(ops.maximum(ops.cast(each, "float32"), _TINY)) for each in (soft, predictions)
        )
        softened: Any = self._softened.compute_loss(self.temperature * theirs, ours)
        entropy: Any = keras.losses.categorical_crossentropy(hard, predictions)
        if sample_weight is not None:
            entropy = entropy * ops.cast(sample_weight, entropy.dtype)
        entropy = ops.mean(entropy)
        for name, adapter in self._adapters.items():
            loss = loss + self.feature_weight * self._unlike(taught[name], adapter(outputs[name]))
        # Taken off, not scaled, so that what regularises the weights keeps its weight.
        return loss + (1 - self.hard_weight) * (softened - entropy)

    def _unlike(self, theirs: Any, ours: Any) -> Any:
        """How far a student's map is from a teacher's, which is brought to its size."""
        theirs, ours = ops.cast(theirs, "float32"), ops.cast(ours, "float32")
        if theirs.shape[1:3] != ours.shape[1:3]:
            theirs = ops.image.resize(theirs, ours.shape[1:3], antialias=True)
        return self._alike.compute_loss(theirs, ours)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, self._labels(y), y_pred["predictions"], sample_weight)

    def _labels(self, y: Any) -> Any:
        outputs: Any = self.output
        return y[:, : outputs["predictions"].shape[-1]]
