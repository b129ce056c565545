"""ResNet, version 1, and its plain counterparts. He et al. 2015, https://arxiv.org/abs/1512.03385.

Table 1 for ImageNet, section 4.2 and Table 6 for CIFAR-10.

ResNet50, 101 and 152 are by default those of keras.applications, layer names included, so its
weights load by name. Their two layouts differ in

    layout="keras"    the stride in a block's first 1x1 (as the paper), biases in the convolutions,
                      epsilon 1.001e-5
    layout="torch"    the stride in a block's 3x3, no such biases, epsilon 1e-5

The others follow the paper under the same scheme of names, without these biases: a layout sets
their epsilon alone. On ImageNet a shortcut that widens is projected by a 1x1 convolution (option
B), on CIFAR-10 it is subsampled and filled up with zeros (option A). Strided 3x3 convolutions are
padded by 1 on all sides, as the authors' were; Keras' "same" is not where the side is even.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from keras import layers

from keras_archs._architecture import Figure, architecture, gap_dense, width
from keras_archs._layers import Stem, reducer

STEM = 64  # 7x7, stride 2; then 3x3 max pooling, stride 2
STAGES = (
    # filters, stride      output at 224x224
    (64, 1),  #   conv2_x           56 x  56
    (128, 2),  #  conv3_x           28 x  28
    (256, 2),  #  conv4_x           14 x  14
    (512, 2),  #  conv5_x            7 x   7
)
CIFAR_STEM = 16  # 3x3, stride 1
CIFAR_STAGES = (
    # filters, stride        output at 32x32
    (16, 1),  #   conv2_x           32 x  32
    (32, 2),  #   conv3_x           16 x  16
    (64, 2),  #   conv4_x            8 x   8
)


class Layout(NamedTuple):
    """What sources do in different ways."""

    bias: bool  # whether convolutions have one
    strided: int  # which convolution of a bottleneck has the stride
    epsilon: float  # of batch normalisation
    pools: bool = False  # whether max pooling stands for a stride


KERAS = Layout(bias=True, strided=1, epsilon=1.001e-5)
PAPER = Layout(bias=False, strided=1, epsilon=1.001e-5)
TORCH = Layout(bias=False, strided=2, epsilon=1e-5)


def _conv_bn(x, filters, kernel, stride, layout, name):
    """(B, H, W, C) -> (B, H/stride, W/stride, filters), sides rounded up."""
    pools = layout.pools and stride > 1
    padding = "same"
    if stride > 1 and kernel > 1 and not pools:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
        padding = "valid"
    x = layers.Conv2D(
        filters,
        kernel,
        1 if pools else stride,
        padding=padding,
        use_bias=layout.bias,
        name=f"{name}_conv",
    )(x)
    if pools:
        x = layers.MaxPooling2D(stride, padding="same", name=f"{name}_pool")(x)
    return layers.BatchNormalization(epsilon=layout.epsilon, name=f"{name}_bn")(x)


def _conv_bn_relu(x, filters, kernel, stride, layout, name):
    x = _conv_bn(x, filters, kernel, stride, layout, name)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def basic(x, filters, widest, stride, layout, name):
    """Two 3x3 convolutions. (B, H, W, C) -> (B, H/stride, W/stride, widest)."""
    x = _conv_bn_relu(x, filters, 3, stride, layout, f"{name}_1")
    return _conv_bn(x, widest, 3, 1, layout, f"{name}_2")


def bottleneck(x, filters, widest, stride, layout, name):
    """1x1, 3x3, 1x1 convolutions. (B, H, W, C) -> (B, H/stride, W/stride, widest)."""
    strides = (stride, 1) if layout.strided == 1 else (1, stride)
    x = _conv_bn_relu(x, filters, 1, strides[0], layout, f"{name}_1")
    x = _conv_bn_relu(x, filters, 3, strides[1], layout, f"{name}_2")
    return _conv_bn(x, widest, 1, 1, layout, f"{name}_3")


def projection(x, filters, stride, layout, name):
    """Option B: a 1x1 convolution."""
    return _conv_bn(x, filters, 1, stride, layout, f"{name}_0")


def zero_filled(x, filters, stride, layout, name):
    """Option A: no parameters. The zeros stand behind the old channels."""
    missing = filters - x.shape[-1]
    side = stride if layout.pools else 1
    x = layers.MaxPooling2D(side, stride, padding="same", name=f"{name}_0_pool")(x)
    x = layers.Permute((1, 3, 2), name=f"{name}_0_swap")(x)  # ZeroPadding2D pads axes 1 and 2
    x = layers.ZeroPadding2D(((0, 0), (0, missing)), name=f"{name}_0_pad")(x)
    return layers.Permute((1, 3, 2), name=f"{name}_0_swap_back")(x)


def _stages(x, alpha, stem, stages, repeats, block, shortcut, layout):
    """The stages of a table, of so many blocks each, after a stem of so many filters."""
    expansion = 4 if block is bottleneck else 1
    previous = stem
    for stage, ((filters, first_stride), repeat) in enumerate(
        zip(stages, repeats, strict=True), start=2
    ):
        for index in range(1, repeat + 1):
            name = f"conv{stage}_block{index}"
            stride = first_stride if index == 1 else 1
            widest = filters * expansion
            skip = x
            if shortcut and widest != previous:
                skip = shortcut(x, width(widest, alpha), stride, layout, name)
            x = block(x, width(filters, alpha), width(widest, alpha), stride, layout, name)
            if shortcut:
                x = layers.Add(name=f"{name}_add")([skip, x])
            x = layers.Activation("relu", name=f"{name}_out")(x)
            previous = widest
    return x


# ----------------------------------------------------------------------------------------- ImageNet


@architecture(
    paper="He et al. 2015, arXiv:1512.03385, Table 1",
    year=2015,
    input_shape=(224, 224, 3),
    classes=1000,
    min_size={"imagenet": 17, "small": 5},
    head=gap_dense,
    layout="keras",
)
def _imagenet(
    x,
    *,
    alpha,
    repeats,
    block,
    shortcut: Callable | None,
    stem: Stem = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
):
    """One 7x7 convolution and max pooling, then four stages of blocks."""
    conventions = TORCH if layout == "torch" else KERAS if block is bottleneck else PAPER
    stride_of = reducer(stem)
    x = _conv_bn_relu(x, width(STEM, alpha), 7, stride_of(2), conventions, "conv1")
    if stride_of(2) > 1:
        x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
        x = layers.MaxPooling2D(3, 2, name="pool1_pool")(x)
    return _stages(x, alpha, STEM, STAGES, repeats, block, shortcut, conventions)


ResNet18 = _imagenet.variant(
    "ResNet18",
    "18 layers: residual blocks of two 3x3 convolutions.",
    repeats=(2, 2, 2, 2),
    block=basic,
    shortcut=projection,
    published={
        "macs": Figure(1.8e9, "Table 1"),
        "imagenet_top1": Figure(72.12, "Table 2: 10 crops, option A"),
    },
)
ResNet34 = _imagenet.variant(
    "ResNet34",
    "34 layers: residual blocks of two 3x3 convolutions.",
    repeats=(3, 4, 6, 3),
    block=basic,
    shortcut=projection,
    published={
        "macs": Figure(3.6e9, "Table 1"),
        "imagenet_top1": Figure(75.48, "Table 3: 10 crops, option B"),
    },
)
ResNet50 = _imagenet.variant(
    "ResNet50",
    "50 layers: residual bottlenecks of 1x1, 3x3 and 1x1 convolutions.",
    repeats=(3, 4, 6, 3),
    block=bottleneck,
    shortcut=projection,
    published={
        "macs": Figure(3.8e9, "Table 1"),
        "imagenet_top1": Figure(77.15, "Table 3: 10 crops"),
    },
)
ResNet101 = _imagenet.variant(
    "ResNet101",
    "101 layers: residual bottlenecks of 1x1, 3x3 and 1x1 convolutions.",
    repeats=(3, 4, 23, 3),
    block=bottleneck,
    shortcut=projection,
    published={
        "macs": Figure(7.6e9, "Table 1"),
        "imagenet_top1": Figure(78.25, "Table 3: 10 crops"),
    },
)
ResNet152 = _imagenet.variant(
    "ResNet152",
    "152 layers: residual bottlenecks of 1x1, 3x3 and 1x1 convolutions.",
    repeats=(3, 8, 36, 3),
    block=bottleneck,
    shortcut=projection,
    published={
        "macs": Figure(11.3e9, "Table 1"),
        "imagenet_top1": Figure(78.57, "Table 3: 10 crops"),
    },
)
PlainNet18 = _imagenet.variant(
    "PlainNet18",
    "ResNet18 without its shortcuts.",
    repeats=(2, 2, 2, 2),
    block=basic,
    shortcut=None,
    published={
        "macs": Figure(1.8e9, "Table 1"),
        "imagenet_top1": Figure(72.06, "Table 2: 10 crops"),
    },
)
PlainNet34 = _imagenet.variant(
    "PlainNet34",
    "ResNet34 without its shortcuts.",
    repeats=(3, 4, 6, 3),
    block=basic,
    shortcut=None,
    published={
        "macs": Figure(3.6e9, "Figure 3"),
        "imagenet_top1": Figure(71.46, "Table 2: 10 crops"),
    },
)


# ----------------------------------------------------------------------------------------- CIFAR-10


@architecture(
    paper="He et al. 2015, arXiv:1512.03385, section 4.2",
    year=2015,
    input_shape=(32, 32, 3),
    classes=10,
    min_size=3,
    head=gap_dense,
)
def _cifar(
    x,
    *,
    alpha,
    repeat,
    shortcut: Callable | None,
    downsample: Literal["stride", "maxpool"] = "stride",
):
    """One 3x3 convolution, then three stages of blocks of two 3x3 convolutions.

    Args:
        downsample: "stride", or "maxpool" as in the comparison of the SimpNet paper
            (arXiv:1802.06205, Table VI): 2x2 max pooling right after a convolution, and in the
            shortcut around it, in place of the stride.
    """
    layout = PAPER._replace(pools=downsample == "maxpool")
    repeats = (repeat,) * len(CIFAR_STAGES)
    x = _conv_bn_relu(x, width(CIFAR_STEM, alpha), 3, 1, layout, "conv1")
    return _stages(x, alpha, CIFAR_STEM, CIFAR_STAGES, repeats, basic, shortcut, layout)


def _table_6(params, error):
    return {
        "params": Figure(params, "Table 6"),
        "cifar10_top1": Figure(round(100 - error, 2), f"Table 6: {error} % error"),
    }


def _cifar_resnet(depth, published):
    return _cifar.variant(
        f"ResNet{depth}",
        f"{depth} layers for small images: residual blocks of two 3x3 convolutions.",
        repeat=(depth - 2) // 6,
        shortcut=zero_filled,
        published=published,
    )


def _cifar_plain(depth, published):
    return _cifar.variant(
        f"PlainNet{depth}",
        f"ResNet{depth} without its shortcuts.",
        repeat=(depth - 2) // 6,
        shortcut=None,
        published=published,
    )


ResNet20 = _cifar_resnet(20, _table_6(270_000, 8.75))
ResNet32 = _cifar_resnet(32, _table_6(460_000, 7.51))
ResNet44 = _cifar_resnet(44, _table_6(660_000, 7.17))
ResNet56 = _cifar_resnet(56, _table_6(850_000, 6.97))
ResNet110 = _cifar_resnet(110, _table_6(1_700_000, 6.43))
ResNet1202 = _cifar_resnet(1202, _table_6(19_400_000, 7.93))
PlainNet20 = _cifar_plain(20, {})
PlainNet56 = _cifar_plain(56, {})
