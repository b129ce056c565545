"""What a recipe says: plain data, with fractions of the training in place of iterations."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

NOT_AVAILABLE = {  # what recipes need and training cannot do yet
    "averaged_weights": "weights averaged over the steps, to predict with",
    "colour_jitter": "random brightness, contrast and saturation",
    "gcn": "global contrast normalisation",
    "gcn_zca": "global contrast normalisation and ZCA whitening",
    "inception_crop": "crops of random area and proportions",
    "label_smoothing": "label smoothing",
    "layer_rates": "learning rates of single layers",
    "max_norm": "limits on the norms of kernels",
    "pca_colour": "random colour shifts along the principal components of the data's colours",
    "scale_jitter": "crops of images of random scale",
    "teacher": "a teacher's hints and predictions",
}


class Initializer(NamedTuple):
    """How kernels are drawn: around 0, with the width `scale / fan_in**power`.

    Where `power` is not 0 depthwise kernels keep what the architecture gave them: their fan-in of 9
    would make them so large that MobileNet overfits.
    """

    distribution: Literal["normal", "truncated", "uniform"]  # truncated: at 2 deviations
    scale: float  # standard deviation (before the truncation), or half the range if uniform
    power: float = 0.0


HE = Initializer("normal", math.sqrt(2), 0.5)  # arXiv:1502.01852, and Caffe's "msra"
XAVIER = Initializer("uniform", math.sqrt(3), 0.5)  # Caffe's: variance 1 / fan-in


@dataclass(frozen=True)
class Recipe:
    """How to train a network.

    Attributes:
        name: the name that `recipe` knows it by.
        source: where its figures come from.
        optimizer: class of `keras.optimizers`.
        learning_rate: base rate, > 0.
        batch_size: images a step.
        epochs: passes over the training images.
        schedule: "cosine" (down to 0), "linear" (down to 0), or steps `(from, factor)`: from this
            fraction of the training on, the rate is `factor` times the base rate.
        warmup: fraction of the training during which the rate rises from 0. Needs "cosine".
        optimizer_options: further arguments of the optimizer.
        weight_decay: decoupled (times the rate) for AdamW, for all others the L2 penalty whose
            gradient is `weight_decay * kernel`.
        decay_depthwise: whether depthwise kernels decay too.
        clipnorm: largest norm of a variable's gradient.
        norm_momentum: momentum of BatchNorm's running statistics; None keeps the network's.
        initializer: of all kernels, drawn anew; None keeps what the architecture drew.
        last_initializer: of the last kernel, the classifier's; None: `initializer`.
        pretrained_from: architecture whose trained weights the training starts from.
        pretrained_layers: names of the layers that are copied from there.
        needs: keys of `NOT_AVAILABLE` without which it is not the paper's training.
        shift: largest random shift of an image, as a fraction of its sides.
        mirror: whether images are mirrored at random, where the data allow it.
        size: smallest side in pixels that images are enlarged to unless a size is given.
        min_steps: fewest steps of a training: on few images the epochs grow to reach it.
        plain_learning_rate: base rate of networks without BatchNorm; None: the same.
    """

    name: str
    source: str
    optimizer: str
    learning_rate: float
    batch_size: int
    epochs: int
    schedule: Literal["cosine", "linear"] | tuple[tuple[float, float], ...]
    warmup: float = 0.0
    optimizer_options: Mapping[str, float | bool] = field(default_factory=dict)
    weight_decay: float = 0.0
    decay_depthwise: bool = True
    clipnorm: float | None = None
    norm_momentum: float | None = None
    initializer: Initializer | None = None
    last_initializer: Initializer | None = None
    pretrained_from: str | None = None
    pretrained_layers: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    shift: float = 0.0
    mirror: bool = False
    size: int | None = None
    min_steps: int = 0
    plain_learning_rate: float | None = None

    def epochs_for(self, images: int, batch_size: int) -> int:
        """Passes over n training images: `epochs`, or more to reach `min_steps`."""
        return max(self.epochs, math.ceil(self.min_steps / max(1, images // batch_size)))
