"""What a recipe says: plain data, with fractions of the training in place of iterations."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple


class Initializer(NamedTuple):
    """How kernels are drawn: around 0, with the width `scale / fan_in**power`.

    Where `power` is not 0 depthwise kernels keep what the architecture gave them: their fan-in of 9
    would make them so large that MobileNet overfits.
    """

    distribution: Literal["normal", "truncated", "uniform"]  # truncated: at 2 deviations
    scale: float  # standard deviation (before the truncation), or half the range if uniform
    power: float = 0.0


class ColourJitter(NamedTuple):
    """Random changes of colour, as `applications.data.augmentation.jittered` makes them.

    `brightness`, `contrast` and `saturation` are factors of 1 -+ this, `offset` is added to all
    pixels as a fraction of 255.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    offset: float = 0.0


class Affine(NamedTuple):
    """Random affine distortions, as `applications.data.augmentation.distorted` makes them."""

    translation: float
    scale: float
    squeeze: float
    shear: float


class Teaching(NamedTuple):
    """What a network learns from a trained one. Romero et al. 2015, arXiv:1412.6550, section 2.

    First, where `guided` is given, the layers up to that one learn to predict the teacher's hint,
    the last of its maps of the same size, through a convolution of their own. Then all layers
    learn from labels and from the teacher's probabilities.

    Attributes:
        temperature: that both networks' probabilities are softened by.
        weight: of the cross-entropy with the teacher's probabilities; that with the labels has 1.
        last_weight: what the weight falls to, linearly over the epochs.
        guided: name of the layer of the student that the hint guides.
        hint_epochs: share of the epochs that learn from the hint alone.
    """

    temperature: float
    weight: float
    last_weight: float
    guided: str | None = None
    hint_epochs: float = 0.0


def _optimizer(kind: str, rate: float, decay: float, **options: float | bool) -> dict[str, Any]:
    return {
        "optimizer": kind,
        "learning_rate": rate,
        "weight_decay": decay,
        "optimizer_options": options,
    }


# What can take the place of a recipe's optimizer, with figures for batches of 64.
OPTIMIZERS = {
    "adam": _optimizer("Adam", 1e-3, 0.0),
    "adamw": _optimizer("AdamW", 3e-3, 1e-3),
    "muon": _optimizer("Muon", 3e-3, 1e-3),
    "nesterov": _optimizer("SGD", 0.05, 5e-4, momentum=0.9, nesterov=True),
    "sgd": _optimizer("SGD", 0.05, 5e-4, momentum=0.9),
}

HE = Initializer("normal", math.sqrt(2), 0.5)  # arXiv:1502.01852, and Caffe's "msra"
XAVIER = Initializer("uniform", math.sqrt(3), 0.5)  # Caffe's: variance 1 / fan-in


@dataclass(frozen=True)
class Recipe:
    """How to train a network.

    Attributes:
        name: the name that `recipe` knows it by.
        source: where its figures come from.
        optimizer: class of `keras.optimizers`; "Muon" is `applications.training.muon`'s.
        learning_rate: base rate, > 0.
        batch_size: images a step.
        epochs: passes over the training images.
        schedule: "cosine" (down to 0), "linear" (down to 0), "one_cycle" (up from a 25th for the
            first 30 %, then down to a 250,000th along a cosine), "constant", or steps
            `(from, factor)`: from this fraction of the training on, the rate is `factor` times the
            base rate.
        warmup: fraction of the training during which the rate rises from 0. Needs "cosine".
        optimizer_options: further arguments of the optimizer.
        weight_decay: decoupled (times the rate) for AdamW and Muon, else the L2 penalty whose
            gradient is `weight_decay * kernel`.
        decay_depthwise: whether depthwise kernels decay too.
        clipnorm: largest norm of a variable's gradient.
        norm_momentum: momentum of BatchNorm's running statistics; None keeps the network's.
        initializer: of all kernels, drawn anew; None keeps what the architecture drew.
        last_initializer: of the last kernel, the classifier's; None: `initializer`.
        last_positive: whether the last kernel has no negative value at the start where a ReLU
            follows it. What it reads is positive, so otherwise half of the classes are 0
            everywhere, which has no gradient.
        pretrained_from: architecture whose trained weights the training starts from.
        pretrained_layers: names of the layers that are copied from there.
        preprocessing: what is subtracted from pixels 0..255 and what they are divided by, fitted to
            the training images: "channel" (each channel's mean and deviation), "mean_image" (the
            mean image, by nothing), "pixel" (each pixel's mean and deviation), "gcn" (each
            image's own mean and norm: global contrast normalisation), "gcn_zca" (whitened after
            that, by a layer of (H * W * C)**2 weights), "unit" (nothing, by 255).
        area: areas of random windows that are enlarged to the whole image, as fractions of it.
        scale: factors of which one enlarges an image before a window of the old size is cut out.
        affine: affine distortions.
        colour_jitter: changes of brightness, contrast and saturation.
        lighting: deviation of the shifts along the principal components of the data's colours, in
            units of their eigenvalues.
        shift: largest random shift of an image, as a fraction of its sides.
        mirror: whether images are mirrored at random, where the data allow it.
        rand_augment: largest amount of RandAugment's two operations, in [0, 1].
        random_erasing: share of the images of which a rectangle becomes noise.
        mixup, cutmix: parameter of the beta distribution that images are mixed by; 0: they are not.
        progressive: share of the sides in the first quarter of the epochs, in (0, 1]; it grows to 1
            in three equal steps.
        stochastic_depth: how often the last residual branch is left out in training, in [0, 1).
        size: smallest side in pixels that images are enlarged to unless a size is given.
        min_steps: fewest steps of a training: on few images the epochs grow to reach it.
        plain_learning_rate: base rate of networks without BatchNorm; None: the same.
        label_smoothing: share of a label that is spread evenly over all classes, in [0, 1).
        averaging: decay by step of the moving average of the weights that validates and is kept;
            None: the weights themselves are. In a short training the average remembers a tenth
            of the steps.
        max_norm: largest norm of a unit's kernel, by the start of the layer's name.
        layer_rates: factor of the learning rate, by the start of the layer's name.
        teaching: what is learned from a teacher.
    """

    name: str
    source: str
    optimizer: str
    learning_rate: float
    batch_size: int
    epochs: int
    schedule: Literal["cosine", "linear", "one_cycle", "constant"] | tuple[tuple[float, float], ...]
    warmup: float = 0.0
    optimizer_options: Mapping[str, float | bool] = field(default_factory=dict)
    weight_decay: float = 0.0
    decay_depthwise: bool = True
    clipnorm: float | None = None
    norm_momentum: float | None = None
    initializer: Initializer | None = None
    last_initializer: Initializer | None = None
    last_positive: bool = False
    pretrained_from: str | None = None
    pretrained_layers: tuple[str, ...] = ()
    preprocessing: Literal["channel", "mean_image", "pixel", "gcn", "gcn_zca", "unit"] = "channel"
    area: tuple[float, float] | None = None
    scale: tuple[float, float] | None = None
    affine: Affine | None = None
    colour_jitter: ColourJitter | None = None
    lighting: float = 0.0
    shift: float = 0.0
    mirror: bool = False
    rand_augment: float = 0.0
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    progressive: float = 1.0
    stochastic_depth: float = 0.0
    size: int | None = None
    min_steps: int = 0
    plain_learning_rate: float | None = None
    label_smoothing: float = 0.0
    averaging: float | None = None
    max_norm: Mapping[str, float] = field(default_factory=dict)
    layer_rates: Mapping[str, float] = field(default_factory=dict)
    teaching: Teaching | None = None

    def with_optimizer(self, name: str) -> "Recipe":
        """The recipe with one of `OPTIMIZERS` and its figures, unless it is its own."""
        other = OPTIMIZERS[name]
        own = ("optimizer", "optimizer_options")
        if all(getattr(self, field) == other[field] for field in own):
            return self
        return replace(self, plain_learning_rate=None, **other)

    def epochs_for(self, images: int, batch_size: int) -> int:
        """Passes over n training images: `epochs`, or more to reach `min_steps`."""
        return max(self.epochs, math.ceil(self.min_steps / max(1, images // batch_size)))
