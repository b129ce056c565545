"""The spaces as hypermodels of keras-tuner, for its own tuners.

    tuner = keras_tuner.RandomSearch(
        tuning.HyperSimpNet((28, 28, 1), 10, budget=tuning.Budget(params=60_000)),
        objective="val_accuracy",
        max_trials=20,
    )
    tuner.search(x, y, validation_split=0.2, epochs=5)

As those of `keras_tuner.applications` they build a compiled network. Images come as the network is
to see them, so scaled to about -1..1 or 0..1 beforehand; labels are integers.
"""

from collections.abc import Iterable
from typing import Any

import keras
import keras_tuner

import keras_archs
from tuning.budget import Budget
from tuning.spaces import arch_space, space

_RATES = (3e-4, 1e-2)
_USUAL_RATE = 3e-3


class _HyperNetwork(keras_tuner.HyperModel):
    """A space and the training's own hyperparameter, the learning rate of AdamW."""

    def __init__(
        self,
        space: Any,
        arguments: dict[str, Any],
        loss: Any,
        name: str | None,
        tunable: bool,
    ):
        super().__init__(name=name, tunable=tunable)
        self.space, self.arguments, self.loss = space, arguments, loss
        # What no budget allows is said here, not by a trial that fails.
        self.space(keras_tuner.HyperParameters(), **arguments)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """The compiled network of a sample, with accuracy as its metric."""
        kwargs = self.space(hp, **self.arguments)
        rate: Any = hp.Float("learning_rate", *_RATES, sampling="log", default=_USUAL_RATE)
        shape, classes = self.arguments["input_shape"], self.arguments["classes"]
        model = keras_archs.build(self.space.arch, input_shape=shape, classes=classes, **kwargs)
        optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-3, clipnorm=1.0)
        model.compile(optimizer, loss=self.loss, metrics=["accuracy"])
        return model


class HyperSimpNet(_HyperNetwork):
    """Networks that follow SimpNet's design principles, of `tuning.space`.

    Args:
        input_shape: `(height, width, channels)` of the images in pixels.
        classes: number of classes, at least 1.
        budget: limits that every trial's network keeps by construction; None: the paper's widths.
        principles: "all", or the names of those of `tuning.principles` that bind.
        loss: of the compiled network, as Keras takes it; the default wants integers as labels,
            "categorical_crossentropy" rows of one 1.
        name: of the hypermodel.
        tunable: as `keras_tuner.HyperModel` has it: False leaves hyperparameters that the tuner was
            not given at their defaults.

    Raises:
        ValueError: an argument is out of range, or the budget is too small for any network.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        budget: Budget | None = None,
        principles: str | Iterable[str] = "all",
        loss: Any = "sparse_categorical_crossentropy",
        name: str | None = None,
        tunable: bool = True,
    ):
        arguments = {"input_shape": input_shape, "classes": classes, "budget": budget}
        arguments["principles"] = principles if isinstance(principles, str) else list(principles)
        super().__init__(space, arguments, loss, name, tunable)


class HyperArch(_HyperNetwork):
    """Networks of a registered architecture, of `tuning.arch_space`: `alpha` and `dropout` vary.

    Args:
        arch: a name of `keras_archs.list_archs()`.
        input_shape: `(height, width, channels)` of the images in pixels; None for the paper's.
        classes: number of classes; None for the paper's.
        budget: limits that every trial's network keeps by construction.
        loss: as for `HyperSimpNet`.
        name: of the hypermodel.
        tunable: as for `HyperSimpNet`.
        **own: arguments of the family's own that are fixed, such as `stem="small"`.

    Raises:
        ValueError: an argument is out of range, or the budget is too small for any network.
    """

    def __init__(
        self,
        arch: str,
        input_shape: tuple[int, int, int] | None = None,
        classes: int | None = None,
        *,
        budget: Budget | None = None,
        loss: Any = "sparse_categorical_crossentropy",
        name: str | None = None,
        tunable: bool = True,
        **own: Any,
    ):
        arguments = {"input_shape": input_shape, "classes": classes, "budget": budget}
        super().__init__(arch_space(arch, **own), arguments, loss, name, tunable)
