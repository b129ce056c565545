"""SimpNet. Hasanpour et al. 2018, https://arxiv.org/abs/1802.06205, section 5, and the definitions
that its authors released with the trained networks.

Thirteen 3x3 convolutions, each with a bias, BatchNorm and ReLU; two poolings; global max pooling.
"SAF pooling" is max pooling followed by dropout. The widths are those of the released CIFAR-10
files (CIFAR-100's file of SimpNet_9M has 450 filters in layer 11, CIFAR-10's 455). Departure:
BatchNorm's momentum is Keras' own.
"""

from keras import layers

from keras_archs._architecture import Figure, architecture, classifier, dropped, width

# filters, repeat, max pooling after the last of them, dropout (of the last row: after the global
# pooling). The map is 32 x 32 until the first pooling, then 16 x 16, then 8 x 8.
SIMPNET_9M = (
    (128, 1, False, 0.2),
    (182, 3, False, 0.2),
    (182, 1, True, 0.2),
    (182, 4, False, 0.2),
    (430, 1, True, 0.2),
    (430, 1, False, 0.2),
    (455, 1, False, 0.2),
    (600, 1, False, 0.2),
)
SIMPNET_5M = (
    (66, 1, False, 0.2),
    (128, 3, False, 0.2),
    (192, 1, True, 0.2),
    (192, 4, False, 0.2),
    (288, 1, True, 0.3),
    (288, 1, False, 0.3),
    (355, 1, False, 0.3),
    (432, 1, False, 0.3),
)
SIMPNET_1M = (
    (60, 1, False, 0.0),
    (80, 3, False, 0.0),
    (85, 1, True, 0.1),
    (85, 1, False, 0.0),
    (90, 3, False, 0.0),
    (110, 1, True, 0.2),
    (110, 1, False, 0.0),
    (127, 1, False, 0.0),
    (150, 1, False, 0.2),
)
SIMPNET_600K = (
    (40, 1, False, 0.1),
    (60, 3, False, 0.1),
    (72, 1, True, 0.1),
    (73, 3, False, 0.1),
    (75, 1, False, 0.1),
    (81, 1, True, 0.2),
    (82, 1, False, 0.2),
    (90, 1, False, 0.2),
    (120, 1, False, 0.2),
)
SIMPNET_300K = (
    (30, 1, False, 0.0),
    (40, 3, False, 0.0),
    (50, 1, True, 0.0),
    (50, 4, False, 0.0),
    (58, 1, True, 0.0),
    (58, 1, False, 0.0),
    (70, 1, False, 0.0),
    (90, 1, False, 0.0),
)


def _gmp_dense(x, *, table, classes, dropout, classifier_activation):
    """Global SAF pooling and a dense layer. (B, H, W, C) -> (B, classes)."""
    x = layers.GlobalMaxPooling2D(name="max_pool")(x)
    rate = table[-1][-1] if dropout is None else dropout
    return classifier(x, classes, rate, classifier_activation)


@architecture(
    paper="Hasanpour et al. 2018, arXiv:1802.06205, section 5",
    year=2018,
    input_shape=(32, 32, 3),
    classes=10,
    min_size=3,
    head=_gmp_dense,
    dropout=None,
)
def _simpnet(x, *, alpha, table, dropout):
    """13 convolutions of 3x3.

    `dropout` is the rate after every layer, pooled or not; None leaves each layer its own.
    """
    rows = [
        (filters, pool and last, rate)
        for filters, repeat, pool, rate in table
        for last in [False] * (repeat - 1) + [True]
    ]
    for index, (filters, pool, rate) in enumerate(rows, start=1):
        name = f"conv{index}"
        x = layers.Conv2D(width(filters, alpha), 3, padding="same", name=name)(x)
        x = layers.BatchNormalization(epsilon=1e-5, name=f"{name}_bn")(x)
        x = layers.ReLU(name=f"{name}_relu")(x)
        if pool:
            x = layers.MaxPooling2D(2, padding="same", name=f"pool{index}")(x)
        if index < len(rows):
            x = dropped(x, rate if dropout is None else dropout, f"drop{index}")
    return x


def _published(params, top1, source):
    return {"params": Figure(params, source), "cifar10_top1": Figure(top1, source)}


SimpNet = _simpnet.variant(
    "SimpNet",
    "13 convolutions of 3x3, 5.5 million parameters: the paper's main network.",
    table=SIMPNET_5M,
    published=_published(5_480_000, 95.69, "authors' README; their training log reaches 95.49"),
)
SimpNet_9M = _simpnet.variant(
    "SimpNet_9M",
    "SimpNet with 8.9 million parameters.",
    table=SIMPNET_9M,
    published=_published(8_900_000, 96.12, "authors' README; their training log reaches 95.89"),
)
SimpNet_1M = _simpnet.variant(
    "SimpNet_1M",
    "SimpNet with one million parameters; dropout after the poolings only.",
    table=SIMPNET_1M,
    published=_published(1_000_000, 94.76, "authors' released slim networks, CIFAR-10"),
)
SimpNet_600K = _simpnet.variant(
    "SimpNet_600K",
    "SimpNet with 600 thousand parameters.",
    table=SIMPNET_600K,
    published=_published(600_000, 94.03, "authors' released slim networks, CIFAR-10"),
)
SimpNet_300K = _simpnet.variant(
    "SimpNet_300K",
    "SimpNet with 300 thousand parameters, without dropout.",
    table=SIMPNET_300K,
    published=_published(300_000, 93.25, "authors' released slim networks, CIFAR-10"),
)
