"""MobileNet. Howard et al. 2017, https://arxiv.org/abs/1704.04861, Table 1.

Layer names, padding and classifier are those of keras.applications.MobileNet, so its weights load
by name. Departures from the paper, as in those weights: ReLU6 for ReLU, dropout of 0.1 % before the
classifier, and a strided block pads its map at the bottom and right before it shrinks it, which at
odd sides rounds down (the first layer rounds up). `alpha` rounds widths down, as there.

    layout="keras"    that padding; BatchNorm's epsilon is 1e-3
    layout="torch"    timm's: strided layers are padded by 1 on all sides, which rounds up; 1e-5
"""

from typing import Literal

from keras import layers

from keras_archs.architecture import Figure, architecture
from keras_archs.families.blocks import Stem, padded, reducer
from keras_archs.heads import dropped

Layout = Literal["keras", "torch"]
EPSILON = {"keras": 1e-3, "torch": 1e-5}

STEM = 32  # 3x3, stride 2
TABLE = (
    # filters, stride, repeat        output at 224x224
    (64, 1, 1),  #                   112 x 112
    (128, 2, 1),  #                   56 x  56
    (128, 1, 1),
    (256, 2, 1),  #                   28 x  28
    (256, 1, 1),
    (512, 2, 1),  #                   14 x  14
    (512, 1, 5),
    (1024, 2, 1),  #                   7 x   7
    (1024, 1, 1),  #                   7 x   7; Table 1 prints s2, the size it prints needs s1
)


def _width(filters, alpha):
    """Rounded down, as keras.applications does."""
    return max(1, int(filters * alpha))


def _bn_relu6(x, layout, name):
    x = layers.BatchNormalization(epsilon=EPSILON[layout], name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _padded(x, stride, layout, index):
    """The map and the padding mode of a 3x3 layer with this stride."""
    if stride == 1 or layout == "torch":
        return padded(x, 3, stride, f"conv_pad_{index}")
    return layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{index}")(x), "valid"


def separable(x, filters, stride, layout, index):
    """Depthwise 3x3, pointwise 1x1. (B, H, W, C) -> (B, H/stride, W/stride, filters)."""
    dw, pw = f"conv_dw_{index}", f"conv_pw_{index}"
    x, padding = _padded(x, stride, layout, index)
    x = layers.DepthwiseConv2D(3, stride, padding=padding, use_bias=False, name=dw)(x)
    x = _bn_relu6(x, layout, dw)
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=pw)(x)
    return _bn_relu6(x, layout, pw)


def full(x, filters, stride, layout, index):
    """One 3x3 convolution. (B, H, W, C) -> (B, H/stride, W/stride, filters)."""
    x, padding = _padded(x, stride, layout, index)
    x = layers.Conv2D(filters, 3, stride, padding=padding, use_bias=False, name=f"conv_{index}")(x)
    return _bn_relu6(x, layout, f"conv_{index}")


def _gap_conv(x, *, classes, dropout, classifier_activation):
    """Global average pooling and a 1x1 convolution. (B, H, W, C) -> (B, classes)."""
    x = layers.GlobalAveragePooling2D(keepdims=True, name="avg_pool")(x)
    x = dropped(x, dropout)
    x = layers.Conv2D(classes, 1, padding="same", name="conv_preds", dtype="float32")(x)
    x = layers.Reshape((classes,), name="reshape_2", dtype="float32")(x)
    return layers.Activation(classifier_activation, name="predictions", dtype="float32")(x)


def _smallest(stem, layout):
    return {"imagenet": (31, 17), "small": (8, 5)}[stem][layout == "torch"]


@architecture(
    paper="Howard et al. 2017, arXiv:1704.04861, Table 1",
    year=2017,
    input_shape=(224, 224, 3),
    classes=1000,
    min_size=_smallest,
    head=_gap_conv,
    dropout=1e-3,
)
def _mobilenet(x, *, alpha, table, block, stem: Stem = "imagenet", layout: Layout = "keras"):
    """One 3x3 convolution, then the blocks of the table."""
    stride_of = reducer(stem)
    stride, padding = stride_of(2), "same"
    if layout == "torch":
        x, padding = padded(x, 3, stride, "conv1_pad")
    filters = _width(STEM, alpha)
    x = layers.Conv2D(filters, 3, stride, padding=padding, use_bias=False, name="conv1")(x)
    x = _bn_relu6(x, layout, "conv1")
    blocks = [(filters, stride) for filters, stride, repeat in table for _ in range(repeat)]
    for index, (filters, stride) in enumerate(blocks, start=1):
        x = block(x, _width(filters, alpha), stride_of(stride), layout, index)
    return x


MobileNet = _mobilenet.variant(
    "MobileNet",
    "One 3x3 convolution, then 13 depthwise separable blocks.",
    table=TABLE,
    block=separable,
    published={
        "params": Figure(4_200_000, "Table 4"),
        "macs": Figure(569_000_000, "Table 4"),
        "imagenet_top1": Figure(70.6, "Table 4"),
    },
)
MobileNetConv = _mobilenet.variant(
    "MobileNetConv",
    "MobileNet with one full 3x3 convolution for every depthwise separable block (Table 4).",
    paper="Howard et al. 2017, arXiv:1704.04861, Table 4",
    table=TABLE,
    block=full,
    published={
        "params": Figure(29_300_000, "Table 4"),
        "macs": Figure(4_866_000_000, "Table 4"),
        "imagenet_top1": Figure(71.7, "Table 4"),
    },
)
MobileNetShallow = _mobilenet.variant(
    "MobileNetShallow",
    "MobileNet without the five blocks of 512 filters at 14x14 (Table 5).",
    paper="Howard et al. 2017, arXiv:1704.04861, Table 5",
    table=tuple(row for row in TABLE if row != (512, 1, 5)),
    block=separable,
    published={
        "params": Figure(2_900_000, "Table 5"),
        "macs": Figure(307_000_000, "Table 5"),
        "imagenet_top1": Figure(65.3, "Table 5"),
    },
)
