"""LeNet-5. LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document
recognition", Proc. IEEE 86(11), section II.B and Figure 2.

By default the network as it is commonly built today, 61,706 parameters. Departures from the paper:
C3 sees all six maps of S2 (Table I connects them sparsely), S2 and S4 average without trained
coefficients, the activations are plain tanh, and the output is a dense softmax layer instead of
distances to fixed codes. C5 is a dense layer, which at 32x32 is the paper's 5x5 convolution on a
5x5 map, and leaves any size possible.

`variant="1998"` has the paper's C3 and subsampling and keeps the other departures: 60,850
parameters, the paper's 60,000 and 850 of the dense output. The paper's tanh is scaled, 1.7159
tanh(2/3 a). Subsampling takes the mean of four inputs where the paper takes their sum: the trained
coefficient is four times the paper's. C1 and C3 are one convolution a map, so that each map of C3
can see maps of its own.
"""

from typing import Literal

from keras import layers

from keras_archs.architecture import Figure, architecture, width
from keras_archs.heads import classifier, flatten

C1, C3, C5, F6 = 6, 16, 120, 84  # maps, maps, units, units
TABLE_I = (
    # C3's 16 maps    the map of S2 that those with an X see
    "X...XXX..XXXX.XX",  # 0
    "XX...XXX..XXXX.X",  # 1
    "XXX...XXX..X.XXX",  # 2
    ".XXX..XXXX..X.XX",  # 3
    "..XXX..XXXX.XX.X",  # 4
    "...XXX..XXXX.XXX",  # 5
)


def _dense_tanh(x, *, alpha, classes, classifier_activation, dropout):
    """(B, H, W, C) -> (B, classes) through C5 and F6."""
    x = flatten(x)
    x = layers.Dense(width(C5, alpha), activation="tanh", name="c5")(x)
    x = layers.Dense(width(F6, alpha), activation="tanh", name="f6")(x)
    return classifier(x, classes, dropout, classifier_activation)


def _subsampled(x, name):
    """2x2 means, a coefficient and a bias a map, tanh. (B, H, W, C) -> (B, H // 2, W // 2, C)."""
    x = layers.AveragePooling2D(2, name=f"{name}_mean")(x)
    return layers.DepthwiseConv2D(1, activation="tanh", name=name)(x)


def _map(x, name):
    """One map of a 5x5 convolution. (B, H, W, C) -> (B, H - 4, W - 4, 1)."""
    return layers.Conv2D(1, 5, activation="tanh", name=name)(x)


def _of_1998(x):
    """C1 to S4 with Table I. (B, H, W, C) -> (B, ((H - 4) // 2 - 4) // 2, ..., 16)."""
    s2 = [_subsampled(_map(x, f"c1_{index}"), f"s2_{index}") for index in range(C1)]
    c3 = []
    for index in range(C3):
        seen = [s2[row] for row in range(C1) if TABLE_I[row][index] == "X"]
        seen = layers.Concatenate(name=f"c3_{index}_in")(seen)
        c3.append(_map(seen, f"c3_{index}"))
    return _subsampled(layers.Concatenate(name="c3")(c3), "s4")


@architecture(
    paper="LeCun et al. 1998, Proc. IEEE 86(11), section II.B, Figure 2",
    year=1998,
    input_shape=(32, 32, 1),
    classes=10,
    min_size=16,
    head=_dense_tanh,
    published={
        "params": Figure(60_000, "section II.B: trainable parameters"),
        "mnist_top1": Figure(99.05, "section III.B: 0.95 % test error without distortions"),
    },
)
def LeNet5(x, *, alpha, variant: Literal["common", "1998"] = "common"):
    """Two 5x5 convolutions with average pooling, then three dense layers.

    Args:
        variant: "common", or "1998" for the paper's sparse C3 and trained subsampling; its widths
            are fixed: alpha must be 1.
    """
    if variant == "1998":
        if alpha != 1:
            raise ValueError(f"`alpha` must be 1 for variant='1998'. Received: alpha={alpha!r}")
        return _of_1998(x)
    x = layers.Conv2D(width(C1, alpha), 5, activation="tanh", name="c1")(x)  # 28 x 28
    x = layers.AveragePooling2D(2, name="s2")(x)  #                             14 x 14
    x = layers.Conv2D(width(C3, alpha), 5, activation="tanh", name="c3")(x)  # 10 x 10
    return layers.AveragePooling2D(2, name="s4")(x)  #                            5 x  5
