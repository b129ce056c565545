"""How to train: one recipe a paper, and a modern one for any architecture.

>>> from applications.recipes import recipe
>>> recipe("resnet50").learning_rate
0.1
>>> recipe("default").epochs_for(images=1293, batch_size=64)
24

A recipe is plain data. Its schedule speaks of fractions of the training, and papers' iterations are
given as passes over their data, so that a recipe also means something on other data and with other
epochs. Every figure has its source beside it; what a paper leaves open is marked as ours.

Departures that all of the papers' recipes share: weight decay acts on kernels alone, not on biases
or BatchNorm; random crops repeat the border's pixels where the papers pad with zeros; there is no
augmentation but shifts and mirrors (the scale and colour augmentation of the ImageNet papers is
left out); the last batch of a pass is dropped when it is not full.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import keras_archs
from keras_archs._checks import nearest


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
        he: whether all but depthwise kernels are drawn anew: normal, variance 2 / fan-in.
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
    he: bool = False
    shift: float = 0.0
    mirror: bool = False
    size: int | None = None
    min_steps: int = 0
    plain_learning_rate: float | None = None

    def epochs_for(self, images: int, batch_size: int) -> int:
        """Passes over so many training images: `epochs`, or more to reach `min_steps`."""
        return max(self.epochs, math.ceil(self.min_steps / max(1, images // batch_size)))


_DEFAULT = Recipe(
    name="default",
    source="measured on the digits: benchmarks/digits.py",
    optimizer="AdamW",
    learning_rate=3e-3,
    plain_learning_rate=1e-3,  # at 2e-3 SqueezeNet loses classes for ever to the ReLU of conv10
    batch_size=64,
    epochs=15,
    min_steps=480,
    schedule="cosine",
    warmup=0.1,
    weight_decay=1e-3,
    decay_depthwise=False,
    clipnorm=1.0,
    norm_momentum=0.9,  # Keras' 0.99 lags in short trainings: MobileNet then ends at 40 to 60 %
    he=True,
    shift=1 / 16,
    mirror=True,
)

_LENET5 = Recipe(
    name="lenet5",
    source="LeCun et al. 1998, Proc. IEEE 86(11), section III.B and appendix C",
    optimizer="SGD",
    # The paper divides a global rate (0.0005 at first) by mu + h, with mu = 0.02 and h a running
    # estimate of each weight's second derivative (stochastic diagonal Levenberg-Marquardt).
    # Departure: h = 0, plain gradient descent at 0.0005 / 0.02.
    learning_rate=0.0005 / 0.02,
    batch_size=1,  # III.B: on-line
    epochs=20,
    # Appendix C: 0.0005 for two passes, 0.0002 for three, 0.0001 for three, 0.00005 for four, then
    # 0.00001.
    schedule=((2 / 20, 0.4), (5 / 20, 0.2), (8 / 20, 0.1), (12 / 20, 0.02)),
    size=32,  # II.B: larger than the characters, for its convolutions do not pad
)

_MOBILENET_EPOCHS = 200  # ours: neither the paper nor TF-slim says when to stop
_MOBILENET = Recipe(
    name="mobilenet",
    source="Howard et al. 2017, arXiv:1704.04861, section 3.2; what it leaves open is TF-slim's "
    "mobilenet_v1_train.py and mobilenet_v1.py, RMSprop's constants train_image_classifier.py's",
    optimizer="RMSprop",  # section 3.2
    optimizer_options={"rho": 0.9, "momentum": 0.9, "epsilon": 1.0},  # TF-slim
    learning_rate=0.045,  # TF-slim
    batch_size=64,  # TF-slim
    epochs=_MOBILENET_EPOCHS,
    schedule=tuple(  # TF-slim: times 0.94 every 2.5 epochs
        (2.5 * k / _MOBILENET_EPOCHS, 0.94**k) for k in range(1, int(_MOBILENET_EPOCHS / 2.5))
    ),
    weight_decay=4e-5,  # TF-slim
    decay_depthwise=False,  # section 3.2: "very little or no weight decay" on them
    norm_momentum=0.9997,  # TF-slim
    # Section 3.2: less augmentation, for small networks overfit less.
    mirror=True,
)

_SQUEEZENET = Recipe(
    name="squeezenet",
    source="Iandola et al. 2016, arXiv:1602.07360, section 3.3, and the authors' solver.prototxt",
    optimizer="SGD",
    optimizer_options={"momentum": 0.9},  # solver
    learning_rate=0.04,  # section 3.3
    schedule="linear",  # section 3.3
    batch_size=512,  # solver: 32 x 16 accumulated
    epochs=68,  # solver: 170,000 iterations over ImageNet's 1,281,167 images
    weight_decay=2e-4,  # solver
    mirror=True,
)

_RESNET = Recipe(
    name="resnet50",
    source="He et al. 2015, arXiv:1512.03385, section 3.4",
    optimizer="SGD",
    optimizer_options={"momentum": 0.9},
    learning_rate=0.1,
    # Divided by 10 when the error plateaus: Figure 4 shows that after 150,000 and 300,000 of the
    # up to 600,000 iterations.
    schedule=((0.25, 0.1), (0.5, 0.01)),
    batch_size=256,
    epochs=120,  # 600,000 iterations over ImageNet
    weight_decay=1e-4,
    mirror=True,
)

_RESNET_CIFAR = Recipe(
    name="resnet20",
    source="He et al. 2015, arXiv:1512.03385, section 4.2",
    optimizer="SGD",
    optimizer_options={"momentum": 0.9},
    learning_rate=0.1,
    schedule=((0.5, 0.1), (0.75, 0.01)),  # at 32,000 and 48,000 of 64,000 iterations
    batch_size=128,
    epochs=182,  # 64,000 iterations over 45,000 images
    weight_decay=1e-4,
    he=True,  # section 4.2: the initialisation of their reference 13
    shift=4 / 32,  # padded by 4 pixels on each side, 32x32 cropped at random
    mirror=True,
)

_RESNET110 = Recipe(
    **{
        **vars(_RESNET_CIFAR),
        "name": "resnet110",
        # Section 4.2: at 0.01 until the training error is below 80 %, "about 400 iterations".
        "schedule": ((0.0, 0.1), (400 / 64_000, 1.0), (0.5, 0.1), (0.75, 0.01)),
    }
)

_SIMPNET = Recipe(
    name="simpnet",
    source="Hasanpour et al. 2018, arXiv:1802.06205, and the authors' solver for CIFAR",
    optimizer="Adadelta",
    optimizer_options={"rho": 0.9, "epsilon": 1e-3},  # Caffe's momentum and delta
    learning_rate=0.1,
    schedule=tuple(  # multistep, times 0.1 at each
        (step / 400_000, 0.1**k)
        for k, step in enumerate((50_000, 95_000, 153_000, 198_000, 223_000, 270_000), start=1)
    ),
    batch_size=100,
    epochs=800,  # 400,000 iterations over 50,000 images
    weight_decay=5e-3,
    shift=4 / 32,  # padded by 4 pixels on each side, 32x32 cropped at random
    mirror=True,
)

_RECIPES = {
    recipe.name: recipe
    for recipe in (
        *(_DEFAULT, _LENET5, _MOBILENET, _SQUEEZENET, _RESNET, _RESNET_CIFAR, _RESNET110),
        _SIMPNET,
    )
}
# Module of keras_archs -> the recipe of its architectures, and those that have another.
_OF_FAMILY = {
    "lenet": "lenet5",
    "mobilenet": "mobilenet",
    "resnet": "resnet50",
    "simpnet": "simpnet",
    "squeezenet": "squeezenet",
}
_OF_ARCH = {
    **dict.fromkeys(("resnet32", "resnet44", "resnet56", "plainnet20", "plainnet56"), "resnet20"),
    "resnet1202": "resnet110",  # section 4.2: "trained as described above"
}


def _architectures() -> dict[str, str]:
    """Architectures that have a recipe of their paper -> its name."""
    return {
        title.lower(): _OF_FAMILY[module]
        for module, titles in keras_archs.MODULES.items()
        if module in _OF_FAMILY
        for title in titles
    } | _OF_ARCH


def recipe(name: str) -> Recipe:
    """The recipe `"default"`, or that of the paper of an architecture such as `"resnet50"`.

    Raises:
        ValueError: there is none of this name; the message names the nearest.
    """
    key = str(name).lower()
    known = {**_architectures(), **{own: own for own in _RECIPES}}
    if key not in known:
        raise ValueError(
            "`recipe` must be 'default' or an architecture whose paper's recipe is known."
            f"{nearest(name, known)} Received: recipe={name!r}"
        )
    return _RECIPES[known[key]]


def list_recipes() -> list[str]:
    """Names of the recipes; `recipe` also takes the name of any architecture of their families."""
    return list(_RECIPES)


def wanted_size(arch: str) -> int | None:
    """Side in pixels that the recipe of the architecture's paper asks for, if it does."""
    own = _architectures().get(arch.lower())
    return _RECIPES[own].size if own else None
