"""FitNet-4. Romero et al. 2015, https://arxiv.org/abs/1412.6550, appendix, and the authors' file
github.com/adri-romsor/FitNets, yaml/cifar10_fitnet19_all.yaml.

17 maxout convolutions of 3x3, a maxout layer of 500 units and the classifier: 19 layers. Maxout is
written in plain layers: two layers of the same width side by side (the pieces), then their maximum.

Widths, padding by 1, 2x2 max pooling and the last 8x8 max pooling, here over whatever map there is,
are those of the file. Where they differ the network follows Table 5: its 2.5M parameters are those
of a last maxout layer of 2 pieces, against 5 in the appendix and the file (2,742,102 parameters).
The file has no dropout; `dropout` puts it before the classifier. Departures: Keras' own
initialisation, and no limits on the norms of the weights.
"""

from keras import layers

from keras_archs.architecture import Figure, architecture, width
from keras_archs.heads import classifier
from keras_archs.kinds import globally_pooled

PIECES = 2
UNITS = 500  # of the maxout layer before the classifier
TABLE = (
    # filters, repeat, 2x2 max pooling after the last of them
    (32, 3, False),  #  32 x 32
    (48, 2, True),
    (80, 6, True),  #   16 x 16
    (128, 6, False),  #  8 x  8
)


def _maxout(x, layer, name):
    """The largest of `PIECES` layers that `layer(name)` makes, unit by unit."""
    pieces = [layer(f"{name}_piece{piece}")(x) for piece in range(1, PIECES + 1)]
    return layers.Maximum(name=name)(pieces)


def maxout_conv(x, filters, name):
    """Padded 3x3 convolutions. (B, H, W, C) -> (B, H, W, filters)."""
    return _maxout(x, lambda piece: layers.Conv2D(filters, 3, padding="same", name=piece), name)


def maxout_dense(x, units, name):
    """(B, C) -> (B, units)."""
    return _maxout(x, lambda piece: layers.Dense(units, name=piece), name)


def _gmp_maxout(x, *, alpha, classes, dropout, classifier_activation):
    """Global max pooling, a maxout layer and the classifier. (B, H, W, C) -> (B, classes)."""
    x = globally_pooled(x, "max")
    x = maxout_dense(x, width(UNITS, alpha), "fc1")
    return classifier(x, classes, dropout, classifier_activation)


@architecture(
    paper="Romero et al. 2015, arXiv:1412.6550, FitNet-4",
    year=2014,
    input_shape=(32, 32, 3),
    classes=10,
    min_size=4,
    head=_gmp_maxout,
    published={
        "params": Figure(2_500_000, "Table 5"),
        "macs": Figure(382_000_000, "Table 5"),
        "cifar10_top1": Figure(91.61, "Table 5, trained with hints"),
    },
)
def FitNet19(x, *, alpha):
    """17 maxout convolutions of 3x3, thin and deep."""
    index = 0
    for pool, (filters, repeat, pooled) in enumerate(TABLE):
        for _ in range(repeat):
            index += 1
            x = maxout_conv(x, width(filters, alpha), f"conv{index}")
        if pooled:
            x = layers.MaxPooling2D(2, name=f"pool{pool}")(x)
    return x
