"""MobileNetV2. Sandler et al. 2018, https://arxiv.org/abs/1801.04381, Table 2.

Layer names, padding, widths and classifier are those of keras.applications.MobileNetV2, so its
weights load by name. What the paper leaves open, or has otherwise:

- `alpha` rounds widths to a multiple of 8, at least 8 and not below 0.9 of the exact value, and
  leaves the last convolution at 1280 filters where it is below 1.
- A block that keeps its width and its map has a shortcut, so a small `alpha` may add some: at 0.25
  the first block's.
- A strided block pads an odd side at both ends and an even one at its end alone: both round up. A
  side that is None is padded as an even one: odd maps round down, and images need 31 pixels.
- BatchNorm has an epsilon of 1e-3 and a momentum of 0.999. The classifier is a dense layer, not a
  1x1 convolution, without dropout before it (0.2 in the authors' code).

layout="torch" is torchvision's and timm's: strided layers are padded by 1 on all sides, which
rounds up, and the epsilon is 1e-5.
"""

from typing import Literal

from keras import layers

from keras_archs.architecture import Figure, architecture
from keras_archs.families.blocks import Stem, padded, reducer
from keras_archs.heads import fused_classifier
from keras_archs.kinds import globally_pooled

Layout = Literal["keras", "torch"]
EPSILON = {"keras": 1e-3, "torch": 1e-5}

STEM = 32  # 3x3, stride 2                  112 x 112
TABLE = (
    # t (expansion), c, n, s     output at 224x224
    (1, 16, 1, 1),  #                       112 x 112
    (6, 24, 2, 2),  #                        56 x  56
    (6, 32, 3, 2),  #                        28 x  28
    (6, 64, 4, 2),  #                        14 x  14
    (6, 96, 3, 1),  #                        14 x  14
    (6, 160, 3, 2),  #                        7 x   7
    (6, 320, 1, 1),  #                        7 x   7
)
LAST = 1280  # 1x1


def _multiple_of_8(filters):
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded


def _bn(x, layout, name):
    return layers.BatchNormalization(epsilon=EPSILON[layout], momentum=0.999, name=name)(x)


def _bn_relu6(x, layout, bn, relu):
    return layers.ReLU(6.0, name=relu)(_bn(x, layout, bn))


def _padded(x, stride, layout, name):
    """The map and the padding mode of a 3x3 layer with this stride."""
    if stride == 1 or layout == "torch":
        return padded(x, 3, stride, name)
    pads = tuple(((side or 0) % 2, 1) for side in x.shape[1:3])
    return layers.ZeroPadding2D(pads, name=name)(x), "valid"


def inverted_residual(x, expansion, filters, stride, layout, name):
    """1x1 to more channels, depthwise 3x3, linear 1x1. (B, H, W, C) -> (B, H/s, W/s, filters)."""
    if expansion > 1:
        expanded = expansion * x.shape[-1]
        x = layers.Conv2D(expanded, 1, padding="same", use_bias=False, name=f"{name}_expand")(x)
        x = _bn_relu6(x, layout, f"{name}_expand_BN", f"{name}_expand_relu")
    x, padding = _padded(x, stride, layout, f"{name}_pad")
    x = layers.DepthwiseConv2D(
        3, stride, padding=padding, use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = _bn_relu6(x, layout, f"{name}_depthwise_BN", f"{name}_depthwise_relu")
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}_project")(x)
    return _bn(x, layout, f"{name}_project_BN")


def _head(x, *, classes, dropout, classifier_activation):
    """`gap_dense` with keras.applications' name of the pooling. (B, H, W, C) -> (B, classes)."""
    x = globally_pooled(x, "avg", "global_average_pooling2d")
    return fused_classifier(x, classes, dropout, classifier_activation)


@architecture(
    paper="Sandler et al. 2018, arXiv:1801.04381, Table 2",
    year=2018,
    input_shape=(224, 224, 3),
    classes=1000,
    min_size={"imagenet": 17, "small": 5},
    head=_head,
    published={
        "macs": Figure(300_000_000, "Table 4"),
        "imagenet_top1": Figure(72.0, "Table 4"),
    },
)
def MobileNetV2(x, *, alpha, stem: Stem = "imagenet", layout: Layout = "keras"):
    """One 3x3 convolution, 17 inverted residual blocks, one 1x1 convolution."""
    stride_of = reducer(stem)
    first, last = _multiple_of_8(STEM * alpha), _multiple_of_8(LAST * max(1, alpha))
    stride, padding = stride_of(2), "same"
    if layout == "torch":
        x, padding = padded(x, 3, stride, "Conv1_pad")
    x = layers.Conv2D(first, 3, stride, padding=padding, use_bias=False, name="Conv1")(x)
    x = _bn_relu6(x, layout, "bn_Conv1", "Conv1_relu")
    blocks = [(t, c, s if i == 0 else 1) for t, c, n, s in TABLE for i in range(n)]
    for index, (expansion, filters, stride) in enumerate(blocks):
        name = f"block_{index}" if index else "expanded_conv"
        skip, filters = x, _multiple_of_8(int(filters * alpha))
        x = inverted_residual(x, expansion, filters, stride_of(stride), layout, name)
        if stride == 1 and skip.shape[-1] == filters:
            x = layers.Add(name=f"{name}_add")([skip, x])
    x = layers.Conv2D(last, 1, use_bias=False, name="Conv_1")(x)
    return _bn_relu6(x, layout, "Conv_1_bn", "out_relu")
