"""The dense network that distillation was shown on. Hinton, Vinyals & Dean 2015, "Distilling the
Knowledge in a Neural Network", https://arxiv.org/abs/1503.02531, section 3.

Two hidden layers of 1,200 rectified linear units on MNIST, regularised as in Hinton, Srivastava,
Krizhevsky, Sutskever & Salakhutdinov 2012, https://arxiv.org/abs/1207.0580, appendix A.1: a fifth
of the pixels and half of the hidden units are dropped out, and the incoming weights of a hidden
unit have a largest norm, which is the recipe's. `MLP(hidden=(800, 800), dropout=0)` is the small
net of the same section.

There is no map but the image: without the classifier, hidden layers included, the output is the
image.
"""

from collections.abc import Sequence

from keras import layers

from keras_archs.architecture import Figure, architecture, width
from keras_archs.checks import count
from keras_archs.heads import activated, dropped, flatten

HIDDEN = (1200, 1200)  # units of the hidden layers
DROPPED = {"input": 0.2, "hidden": 0.5}
_MOST = 1_000_000  # units of one layer


def _rate(dropout, of):
    return DROPPED[of] if dropout is None else dropout


def _hidden_layers(
    x,
    *,
    alpha,
    classes,
    dropout,
    classifier_activation,
    hidden: Sequence[int] = HIDDEN,
):
    """Dense layers, each followed by dropout. (B, H, W, C) -> (B, classes)."""
    if isinstance(hidden, str) or not isinstance(hidden, Sequence):
        raise ValueError(
            f"`hidden` must be a list of numbers of units. Received: hidden={hidden!r}"
        )
    units = [width(count("hidden", each, most=_MOST), alpha) for each in hidden]
    x = flatten(x)
    for index, each in enumerate(units, start=1):
        x = layers.Dense(each, activation="relu", name=f"fc{index}")(x)
        x = dropped(x, _rate(dropout, "hidden"), f"drop{index}")
    x = layers.Dense(classes, name="logits", dtype="float32")(x)
    return activated(x, classifier_activation)


@architecture(
    paper="Hinton et al. 2015, arXiv:1503.02531, section 3",
    year=2015,
    input_shape=(28, 28, 1),
    classes=10,
    min_size=1,
    head=_hidden_layers,
    dropout=None,
    published={"mnist_top1": Figure(99.33, "section 3: 67 test errors, images jittered")},
)
def MLP(x, *, dropout):
    """Dense layers alone, two hidden ones of 1,200 units; `dropout` is the input's too.

    Args:
        hidden: units of each hidden layer at alpha=1, 1..1,000,000; `[]` for none.
    """
    return dropped(x, _rate(dropout, "input"), "input_dropout")
