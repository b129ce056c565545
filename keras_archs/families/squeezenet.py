"""SqueezeNet. Iandola et al. 2016, https://arxiv.org/abs/1602.07360, Table 1 and Figure 2.

Version 1.1 is the authors' later release, https://github.com/forresti/SqueezeNet: a smaller first
convolution and earlier pooling, for about half the multiply-adds.

Only the 3x3 convolutions of the fire modules are padded, which at 227x227 gives the sizes of Table
1. `layout="caffe"` is what the authors' Caffe files of both versions do: pooling rounds sides up,
which makes 28x28 and 14x14 of the last maps of version 1.1 at 227x227, and version 1.0 pads
`conv10` by 1 (15x15 maps of classes). They have no bypass; with `bypass="complex"`, whose sums may
be negative, the rows that rounding up adds hold zeros. `layout="torch"` is torchvision's: pooling
rounds up, and `conv10` is not padded.
"""

from typing import Literal

from keras import layers

from keras_archs.architecture import Figure, architecture, width
from keras_archs.families.blocks import Stem, ceil_max_pool, reducer
from keras_archs.heads import averaged, dropped

Layout = Literal["paper", "caffe", "torch"]

POOL = "3x3 max pooling, stride 2"

CONV10_PAD_V1_0, CONV10_PAD_V1_1 = 1, 0  # in the Caffe files
SAF_RATE = 0.2  # what SAF pooling drops, in the authors' files of the comparison

CONV1_V1_0 = 96, 7  # filters, kernel; stride 2     111 x 111
TABLE_V1_0 = (
    # s1x1, e1x1, e3x3                       output at 227x227
    POOL,  #             maxpool1                    55 x  55
    (16, 64, 64),  #     fire2
    (16, 64, 64),  #     fire3
    (32, 128, 128),  #   fire4
    POOL,  #             maxpool4                    27 x  27
    (32, 128, 128),  #   fire5
    (48, 192, 192),  #   fire6
    (48, 192, 192),  #   fire7
    (64, 256, 256),  #   fire8
    POOL,  #             maxpool8                    13 x  13
    (64, 256, 256),  #   fire9
)
CONV1_V1_1 = 64, 3  # filters, kernel; stride 2     113 x 113
TABLE_V1_1 = (
    POOL,  #             maxpool1                    56 x  56
    (16, 64, 64),  #     fire2
    (16, 64, 64),  #     fire3
    POOL,  #             maxpool3                    27 x  27
    (32, 128, 128),  #   fire4
    (32, 128, 128),  #   fire5
    POOL,  #             maxpool5                    13 x  13
    (48, 192, 192),  #   fire6
    (48, 192, 192),  #   fire7
    (64, 256, 256),  #   fire8
    (64, 256, 256),  #   fire9
)


def _conv(x, filters, kernel, name):
    return layers.Conv2D(filters, kernel, padding="same", activation="relu", name=name)(x)


def fire(x, s1x1, e1x1, e3x3, name):
    """Squeeze, then expand twice side by side. (B, H, W, C) -> (B, H, W, e1x1 + e3x3)."""
    x = _conv(x, s1x1, 1, f"{name}_squeeze1x1")
    expanded = [_conv(x, e1x1, 1, f"{name}_expand1x1"), _conv(x, e3x3, 3, f"{name}_expand3x3")]
    return layers.Concatenate(name=f"{name}_concat")(expanded)


def _bypassed(x, fired, bypass, widens, name):
    """Add to a fire module's output its input: as it is, or where it widens through a 1x1."""
    if bypass is None or (widens and bypass == "simple"):
        return fired
    if widens:
        x = layers.Conv2D(fired.shape[-1], 1, name=f"{name}_bypass1x1")(x)
    return layers.Add(name=f"{name}_add")([x, fired])


def _max_pool(x, layout, downsample, name):
    """3x3, stride 2. (B, H, W, C) -> (B, (H - 1) // 2, ..., C), or H // 2 where it rounds up."""
    if layout != "paper":
        x = ceil_max_pool(x, 3, 2, name)
    else:
        x = layers.MaxPooling2D(3, 2, name=name)(x)
    return dropped(x, SAF_RATE if downsample == "saf" else 0, f"{name}_drop")


def _conv10_gap(x, *, classes, dropout, classifier_activation, conv10_pad, layout):
    """A 1x1 convolution to the classes, averaged over the map. (B, H, W, C) -> (B, classes)."""
    x = dropped(x, dropout, name="drop9")
    if layout == "caffe" and conv10_pad:
        x = layers.ZeroPadding2D(conv10_pad, name="conv10_pad")(x)
    x = layers.Conv2D(classes, 1, activation="relu", name="conv10", dtype="float32")(x)
    return averaged(x, classifier_activation, "avgpool10")


def _min_size(stem, layout, conv1):
    """The kernel of the first convolution, and what the layers behind it need."""
    return conv1[1] + ((28, 6) if layout == "paper" else (14, 3))[stem == "small"]


@architecture(
    paper="Iandola et al. 2016, arXiv:1602.07360, Table 1",
    year=2016,
    input_shape=(227, 227, 3),
    classes=1000,
    min_size=_min_size,
    head=_conv10_gap,
    dropout=0.5,
)
def _squeezenet(
    x,
    *,
    alpha,
    conv1,
    table,
    stem: Stem = "imagenet",
    layout: Layout = "paper",
    bypass: Literal[None, "simple", "complex"] = None,
    downsample: Literal["maxpool", "saf"] = "maxpool",
):
    """One convolution, then eight fire modules.

    Args:
        bypass: None, "simple" (the input is added to the output of fire modules 3, 5, 7 and 9,
            which do not widen it) or "complex" (a 1x1 convolution does so around the others, too).
        downsample: "maxpool", or "saf" as in the comparison of the SimpNet paper
            (arXiv:1802.06205, Table XI): SAF pooling, a dropout of 0.2 after each max pooling.
    """
    stride_of = reducer(stem)
    filters, kernel = width(conv1[0], alpha), conv1[1]
    x = layers.Conv2D(filters, kernel, stride_of(2), activation="relu", name="conv1")(x)
    index, previous = 1, None
    for row in table:
        if row == POOL:
            if stride_of(2) > 1:
                x = _max_pool(x, layout, downsample, f"maxpool{index}")
            continue
        index += 1
        fired = fire(x, *(width(filters, alpha) for filters in row), name=f"fire{index}")
        x = _bypassed(x, fired, bypass, widens=row != previous, name=f"fire{index}")
        previous = row
    return x


SqueezeNet = _squeezenet.variant(
    "SqueezeNet",
    "One 7x7 convolution, then eight fire modules (version 1.0).",
    conv1=CONV1_V1_0,
    table=TABLE_V1_0,
    conv10_pad=CONV10_PAD_V1_0,
    published={
        "params": Figure(1_248_424, "Table 1"),
        "imagenet_top1": Figure(57.5, "Table 2"),
        "imagenet_top5": Figure(80.3, "Table 2"),
    },
)
SqueezeNet1_1 = _squeezenet.variant(
    "SqueezeNet1_1",
    "One 3x3 convolution, then eight fire modules, pooled earlier (version 1.1).",
    paper="Iandola et al. 2016, github.com/forresti/SqueezeNet, SqueezeNet_v1.1",
    conv1=CONV1_V1_1,
    table=TABLE_V1_1,
    conv10_pad=CONV10_PAD_V1_1,
    bypass=None,
)
