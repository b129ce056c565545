"""LeNet-5. LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document
recognition", Proc. IEEE 86(11), section II.B and Figure 2.

The network as it is commonly built today, 61,706 parameters. Departures from the paper: C3 sees all
six maps of S2 (Table I connects them sparsely), S2 and S4 average without trained coefficients, the
activations are plain tanh, and the output is a dense softmax layer instead of distances to fixed
codes. C5 is a dense layer, which at 32x32 is the paper's 5x5 convolution on a 5x5 map, and leaves
any size possible.
"""

from keras import layers

from keras_archs._architecture import Figure, architecture, classifier, flatten, width

C1, C3, C5, F6 = 6, 16, 120, 84  # maps, maps, units, units


def _dense_tanh(x, *, alpha, classes, classifier_activation, dropout):
    """(B, H, W, C) -> (B, classes) through C5 and F6."""
    x = flatten(x)
    x = layers.Dense(width(C5, alpha), activation="tanh", name="c5")(x)
    x = layers.Dense(width(F6, alpha), activation="tanh", name="f6")(x)
    return classifier(x, classes, dropout, classifier_activation)


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
def LeNet5(x, *, alpha):
    """Two 5x5 convolutions with average pooling, then three dense layers."""
    x = layers.Conv2D(width(C1, alpha), 5, activation="tanh", name="c1")(x)  # 28 x 28
    x = layers.AveragePooling2D(2, name="s2")(x)  #                             14 x 14
    x = layers.Conv2D(width(C3, alpha), 5, activation="tanh", name="c3")(x)  # 10 x 10
    return layers.AveragePooling2D(2, name="s4")(x)  #                            5 x  5
