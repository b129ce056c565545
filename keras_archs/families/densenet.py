"""DenseNet. Huang et al. 2017, https://arxiv.org/abs/1608.06993, Table 1 and section 3.

DenseNet121, 169 and 201 are those of keras.applications, layer names included, so its weights load
by name; 161 and 264 follow the same scheme. On ImageNet all have bottlenecks and compression ("BC"
in the paper). Two layouts differ in BatchNorm's epsilon alone: 1.001e-5 ("keras"), 1e-5 ("torch").
DenseNet264 is Table 1's, with k = 32 (others' have k = 48); its blocks make it 265 layers deep.
DenseNet161, with k = 48 and 96 first filters, is that of the authors' release.

For CIFAR-10 the first convolution has 16 filters without and 2k with bottlenecks, as section 3 says
and as the paper's counts need; the authors' Lua code takes 2k in both. BatchNorm's epsilon is 1e-5.

Departures. Dropout is 0: the paper drops 0.2 where it trains CIFAR without augmentation. A given
`dropout` acts where the paper's does, after every convolution but the first, and not before the
classifier. BatchNorm's momentum is Keras' own. `alpha` scales the growth rate and the first width;
bottlenecks (4k) and transitions (half of the channels that arrive, rounded down) follow from these.
"""

from typing import Literal, NamedTuple

from keras import layers

from keras_archs.architecture import Figure, architecture, width
from keras_archs.families.blocks import Stem, padded, reducer
from keras_archs.heads import dropped, gap_dense

TABLE = {
    # layers of the four dense blocks; their output at 224x224: 56 x 56, 28 x 28, 14 x 14, 7 x 7
    121: (6, 12, 24, 16),
    161: (6, 12, 36, 24),
    169: (6, 12, 32, 32),
    201: (6, 12, 48, 32),
    264: (6, 12, 64, 48),
}
CIFAR_BLOCKS = 3  # of equal depth; output at 32x32: 32 x 32, 16 x 16, 8 x 8
EPSILON = {"keras": 1.001e-5, "torch": 1e-5}


class Rules(NamedTuple):
    """What all layers of a network have in common."""

    growth: int  # channels that each layer adds: the paper's k
    dropout: float | None
    epsilon: float  # of batch normalisation
    bottleneck: bool = True  # whether a 1x1 convolution precedes a 3x3
    compression: float = 0.5  # share of its channels that a transition keeps


def _bn_relu(x, rules, prefix):
    x = layers.BatchNormalization(epsilon=rules.epsilon, name=f"{prefix}bn")(x)
    return layers.Activation("relu", name=f"{prefix}relu")(x)


def _bn_relu_conv(x, filters, kernel, rules, before, after):
    """Pre-activated convolution. (B, H, W, C) -> (B, H, W, filters)."""
    x = _bn_relu(x, rules, before)
    x = layers.Conv2D(filters, kernel, padding="same", use_bias=False, name=f"{after}conv")(x)
    return dropped(x, rules.dropout, f"{after}drop")


def dense_layer(x, rules, name):
    """New channels behind all that arrive. (B, H, W, C) -> (B, H, W, C + growth)."""
    new = x
    if rules.bottleneck:
        new = _bn_relu_conv(new, 4 * rules.growth, 1, rules, f"{name}_0_", f"{name}_1_")
        new = _bn_relu_conv(new, rules.growth, 3, rules, f"{name}_1_", f"{name}_2_")
    else:
        new = _bn_relu_conv(new, rules.growth, 3, rules, f"{name}_0_", f"{name}_1_")
    return layers.Concatenate(name=f"{name}_concat")([x, new])


def transition(x, rules, name):
    """Fewer channels, half the sides. (B, H, W, C) -> (B, H/2, W/2, C * compression)."""
    filters = int(x.shape[-1] * rules.compression)
    x = _bn_relu_conv(x, filters, 1, rules, f"{name}_", f"{name}_")
    return layers.AveragePooling2D(2, name=f"{name}_pool")(x)


def _dense_blocks(x, repeats, rules):
    for stage, repeat in enumerate(repeats, start=2):
        if stage > 2:
            x = transition(x, rules, f"pool{stage - 1}")
        for index in range(1, repeat + 1):
            x = dense_layer(x, rules, f"conv{stage}_block{index}")
    return _bn_relu(x, rules, "")


def _head(x, *, classes, classifier_activation):
    """Without dropout, which acts inside the body. (B, H, W, C) -> (B, classes)."""
    return gap_dense(x, classes=classes, dropout=0, classifier_activation=classifier_activation)


# ----------------------------------------------------------------------------------------- ImageNet


@architecture(
    paper="Huang et al. 2017, arXiv:1608.06993, Table 1",
    year=2016,
    input_shape=(224, 224, 3),
    classes=1000,
    min_size={"imagenet": 29, "small": 8},
    head=_head,
)
def _imagenet(
    x,
    *,
    alpha,
    dropout,
    repeats,
    growth,
    first,
    stem: Stem = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
):
    """One 7x7 convolution and max pooling, then four dense blocks.

    `dropout` is the rate after every convolution but the first.
    """
    rules = Rules(width(growth, alpha), dropout, EPSILON[layout])
    stride_of = reducer(stem)
    stride = stride_of(2)
    x, padding = padded(x, 7, stride, "conv1_pad")
    x = layers.Conv2D(
        width(first, alpha), 7, stride, padding=padding, use_bias=False, name="conv1_conv"
    )(x)
    x = _bn_relu(x, rules, "conv1_")
    if stride_of(2) > 1:
        x, padding = padded(x, 3, 2, "pool1_pad")
        x = layers.MaxPooling2D(3, 2, padding=padding, name="pool1")(x)
    return _dense_blocks(x, repeats, rules)


def _densenet(depth, published, growth=32, first=64):
    repeats = TABLE[depth]
    return _imagenet.variant(
        f"DenseNet{depth}",
        "Blocks of {}, {}, {} and {} layers that add {} channels each.".format(*repeats, growth),
        repeats=repeats,
        growth=growth,
        first=first,
        published=published,
    )


def _table_3(top1_error, top5_error):
    return {
        "imagenet_top1": Figure(round(100 - top1_error, 2), "Table 3: single crop"),
        "imagenet_top5": Figure(round(100 - top5_error, 2), "Table 3: single crop"),
    }


DenseNet121 = _densenet(121, _table_3(25.02, 7.71))
DenseNet161 = _densenet(
    161, {"imagenet_top1": Figure(77.8, "authors' README: single crop")}, growth=48, first=96
)
DenseNet169 = _densenet(169, _table_3(23.80, 6.85))
DenseNet201 = _densenet(201, _table_3(22.58, 6.34))
DenseNet264 = _densenet(264, _table_3(22.15, 6.12))


# ----------------------------------------------------------------------------------------- CIFAR-10


@architecture(
    paper="Huang et al. 2017, arXiv:1608.06993, section 3 and Table 2",
    year=2016,
    input_shape=(32, 32, 3),
    classes=10,
    min_size=4,
    head=_head,
)
def _cifar(x, *, alpha, dropout, repeat, growth, bottleneck):
    """One 3x3 convolution, then three dense blocks of equal depth.

    `dropout` is the rate after every convolution but the first: 0.2 in the paper where it trains
    without augmentation.
    """
    rules = Rules(
        width(growth, alpha), dropout, 1e-5, bottleneck, compression=0.5 if bottleneck else 1
    )
    first = width(2 * growth if bottleneck else 16, alpha)
    x = layers.Conv2D(first, 3, padding="same", use_bias=False, name="conv1_conv")(x)
    return _dense_blocks(x, (repeat,) * CIFAR_BLOCKS, rules)


def _table_2(error, params=None):
    figures = {"cifar10_top1": Figure(round(100 - error, 2), f"Table 2, C10+: {error} % error")}
    return figures | ({"params": Figure(params, "Table 2")} if params else {})


def _densenet_bc(depth, growth, published):
    return _cifar.variant(
        f"DenseNetBC_{depth}_{growth}",
        f"{depth} layers for small images, with bottlenecks and compression, growing by {growth}.",
        repeat=(depth - 4) // 6,
        growth=growth,
        bottleneck=True,
        published=published,
    )


DenseNet40_12 = _cifar.variant(
    "DenseNet40_12",
    "40 layers for small images, without bottlenecks and compression, growing by 12.",
    repeat=12,
    growth=12,
    bottleneck=False,
    published=_table_2(5.24, 1_000_000),
)
DenseNetBC_100_12 = _densenet_bc(100, 12, _table_2(4.51))
DenseNetBC_250_24 = _densenet_bc(250, 24, _table_2(3.62, 15_300_000))
DenseNetBC_190_40 = _densenet_bc(190, 40, _table_2(3.46, 25_600_000))
