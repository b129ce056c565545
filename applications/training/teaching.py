"""Learning from a trained network: its hints first, then its predictions."""

import os
from typing import Any

import keras
from keras import ops

from applications.evaluation.networks import Network, logits_of, opened, output_of
from applications.options import Plan
from applications.recipes.schema import Teaching
from applications.training.finetuning import Phase, frozen_layers
from keras_archs.graph import calls, outputs_of

_WANTED = "`teacher` must be"


def teacher_of(plan: Plan, labels: tuple[str, ...], network: keras.Model) -> keras.Model | None:
    """The network that the plan's training learns from, as one graph; None without one.

    Args:
        plan: of the training.
        labels: class names of the data.
        network: the one that learns.

    Raises:
        FileNotFoundError: there is no such run or file.
        ValueError: it classifies other classes, or images of another shape.
    """
    given = plan.options.teacher
    if given is None:
        return None
    found = opened(os.fspath(given))
    teacher = found.model
    if teacher.input_shape != network.input_shape:
        raise ValueError(
            f"{_WANTED} trained on images of the shape {network.input_shape[1:]}. "
            f"Received: teacher={str(given)!r}, with {teacher.input_shape[1:]}"
        )
    of_other_classes = not isinstance(found, Network) and tuple(found.labels) != labels
    if of_other_classes or len(found.labels) != len(labels):
        raise ValueError(
            f"{_WANTED} trained on the same {len(labels)} classes. Received: "
            f"teacher={str(given)!r}, with {len(found.labels)}: {', '.join(found.labels[:10])}"
        )
    teacher.trainable = False
    return teacher


def hint_phases(network: keras.Model, teaching: Teaching, epochs: int) -> list[Phase]:
    """First the layers up to the guided one learn from hints, then all from predictions."""
    hints = round(teaching.hint_epochs * epochs)
    if teaching.guided is None or hints == 0:
        return [Phase(0, epochs)]
    learning = frozen_layers(network, teaching.guided)  # up to that one
    others = frozenset(layer.name for layer in network.layers) - learning
    phases = [Phase(0, hints, others, hints=True), Phase(hints, epochs)]
    return [phase for phase in phases if phase.stop > phase.start]


class Taught(keras.Model):
    """A network that learns from another one's predictions as well; its metrics are its own.

    Romero et al. 2015, arXiv:1412.6550, equation 2: the cross-entropy with the labels and, times
    `teacher_weight`, that with the teacher's probabilities, both of them softened. As Keras'
    `LogitsDistillation` has it, the teacher's own entropy is taken off, which changes no gradient.
    """

    def attach(self, teacher: keras.Model, teaching: Teaching) -> None:
        """Say who teaches; to be called before the optimizer is built."""
        answers = output_of(teacher)
        if answers is logits_of(teacher):
            answers = keras.layers.Softmax(dtype="float32")(answers)
        self.teacher = keras.Model(teacher.input, answers, name="teacher")
        self.teaching = teaching
        self.teacher_weight = self.add_weight(
            name="teacher_weight",
            initializer=keras.initializers.Constant(teaching.weight),
            trainable=False,
        )
        # Its default, a name, compares the logits themselves; the loss's instance softens them.
        divergence: Any = keras.losses.KLDivergence()
        self._softened = keras.distillation.LogitsDistillation(teaching.temperature, divergence)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss: Any = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not training:
            return loss
        tiny = keras.config.epsilon()
        # Logarithms of probabilities are logits but for a constant, which a softmax takes off.
        theirs, ours = (
            ops.log(ops.maximum(ops.cast(p, "float32"), tiny))
            for p in (self.teacher(x, training=False), y_pred)
        )
        softened: Any = self._softened.compute_loss(theirs, ours)
        # Keras multiplies by the squared temperature, which the paper does not.
        weight: Any = self.teacher_weight / self.teaching.temperature**2
        return loss + weight * softened


class Hinted(keras.Model):
    """A network whose guided layer learns a teacher's maps; its metrics are of its predictions.

    Romero et al. 2015, equation 3: half the squared difference, summed over the map, between the
    hint and what a regressor makes of the guided layer. Departure: the regressor is a linear 1x1
    convolution whatever the teacher's layer is.
    """

    def attach(self, teacher: keras.Model, hint: Any) -> None:
        """Say who teaches; to be called before the optimizer is built."""
        self.teacher = keras.Model(teacher.input, hint, name="teacher")
        self.regressor = keras.layers.Conv2D(hint.shape[-1], 1, name="hint_regressor")
        outputs: Any = self.output
        self.regressor.build(outputs["guided"].shape)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        outputs: Any = y_pred
        if not training:
            return super().compute_loss(x, y, outputs["predictions"], sample_weight, training)
        hint: Any = ops.cast(self.teacher(x, training=False), "float32")
        guessed: Any = ops.cast(self.regressor(outputs["guided"]), "float32")
        squares: Any = ops.sum(ops.square(hint - guessed), axis=(1, 2, 3))
        return ops.mean(squares / 2)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, y, y_pred["predictions"], sample_weight)


def taught(network: keras.Model, teacher: keras.Model, teaching: Teaching) -> Taught:
    """The network, and who teaches it."""
    model = Taught(network.inputs, output_of(network), name=network.name)
    model.attach(teacher, teaching)
    return model


def hinted(network: keras.Model, teacher: keras.Model, teaching: Teaching) -> Hinted:
    """The network with its guided layer's maps beside its predictions, and who teaches them.

    Raises:
        ValueError: the teacher has no map of the guided layer's size.
    """
    guided = outputs_of(network)[str(teaching.guided)]
    same = [
        tensor
        for call in calls(teacher)
        for tensor in call.outputs
        if len(tensor.shape) == 4 and tensor.shape[1:3] == guided.shape[1:3] and call.inputs
    ]
    if not same:
        raise ValueError(
            f"{_WANTED} a network with a map of the size of `{teaching.guided}`, "
            f"{guided.shape[1]}x{guided.shape[2]}. Received: {teacher.name!r} without one"
        )
    outputs = {"predictions": output_of(network), "guided": guided}
    model = Hinted(network.inputs, outputs, name=network.name)
    model.attach(teacher, same[-1])
    return model


class FallingTeacher(keras.callbacks.Callback):
    """The weight of a teacher falls evenly from epoch to epoch, to its last in the last one.

    Args:
        teaching: from which weight to which.
        phase: the part of the training in which it falls.
    """

    def __init__(self, teaching: Teaching, phase: Phase):
        super().__init__()
        self.teaching, self.phase = teaching, phase

    def on_epoch_begin(self, epoch, logs: Any = None):
        model: Any = self.model
        first, last = self.teaching.weight, self.teaching.last_weight
        done = (epoch - self.phase.start) / max(1, self.phase.stop - self.phase.start - 1)
        model.teacher_weight.assign(first + (last - first) * done)
