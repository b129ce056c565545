"""ResNet, version 1, and its plain counterparts. He et al. 2015, https://arxiv.org/abs/1512.03385.

Table 1, for ImageNet.

ResNet50, 101 and 152 are by default those of keras.applications, layer names included, so its
weights load by name. Their layouts differ in

    layout="keras"    the stride in a block's first 1x1 (as the paper), biases in the convolutions,
                      epsilon 1.001e-5
    layout="torch"    the stride in a block's 3x3, no such biases, epsilon 1e-5
    layout="caffe"    the authors' files: as "torch", but the stride in the first 1x1, and the max
                      pooling is not padded: its side is rounded up

The others follow the paper under the same scheme of names, without these biases: a layout sets
their epsilon and the pooling alone. A shortcut that widens is projected by a 1x1 convolution
(option B). Strided 3x3 convolutions are padded by 1 on all sides, as the authors' were; Keras'
"same" is not where the side is even.
"""

from collections.abc import Callable
from typing import Any, Literal

from keras import layers

from keras_archs.architecture import Figure, architecture, width
from keras_archs.families.blocks import (
    Conventions,
    Stem,
    ceil_max_pool,
    conv,
    reducer,
    residual_units,
)
from keras_archs.heads import gap_dense

STEM = 64  # 7x7, stride 2; then 3x3 max pooling, stride 2
STAGES = (
    # filters, stride      output at 224x224
    (64, 1),  #   conv2_x           56 x  56
    (128, 2),  #  conv3_x           28 x  28
    (256, 2),  #  conv4_x           14 x  14
    (512, 2),  #  conv5_x            7 x   7
)
KERAS = Conventions(bias=True, strided=1, epsilon=1.001e-5)
PAPER = Conventions(bias=False, strided=1, epsilon=1.001e-5)
TORCH = Conventions(bias=False, strided=2, epsilon=1e-5)
CAFFE = Conventions(bias=False, strided=1, epsilon=1e-5, rounds_up=True)

IMAGENET: dict[str, Any] = {  # what `architecture` is told of each of these networks
    "input_shape": (224, 224, 3),
    "classes": 1000,
    "min_size": {"imagenet": 17, "small": 5},
    "head": gap_dense,
}


def conv_bn(x, filters, kernel, stride, conventions, name, groups=1):
    """(B, H, W, C) -> (B, H/stride, W/stride, filters), sides rounded up."""
    x = conv(x, filters, kernel, stride, conventions, name, groups)
    return layers.BatchNormalization(epsilon=conventions.epsilon, name=f"{name}_bn")(x)


def conv_bn_relu(x, filters, kernel, stride, conventions, name, groups=1):
    """(B, H, W, C) -> (B, H/stride, W/stride, filters), sides rounded up."""
    x = conv_bn(x, filters, kernel, stride, conventions, name, groups)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def basic(x, filters, widest, stride, conventions, name):
    """Two 3x3 convolutions. (B, H, W, C) -> (B, H/stride, W/stride, widest)."""
    x = conv_bn_relu(x, filters, 3, stride, conventions, f"{name}_1")
    return conv_bn(x, widest, 3, 1, conventions, f"{name}_2")


def bottleneck(x, filters, widest, stride, conventions, name, groups=1):
    """1x1, 3x3, 1x1 convolutions. (B, H, W, C) -> (B, H/stride, W/stride, widest)."""
    strides = (stride, 1) if conventions.strided == 1 else (1, stride)
    x = conv_bn_relu(x, filters, 1, strides[0], conventions, f"{name}_1")
    x = conv_bn_relu(x, filters, 3, strides[1], conventions, f"{name}_2", groups)
    return conv_bn(x, widest, 1, 1, conventions, f"{name}_3")


def projection(x, filters, stride, conventions, name):
    """Option B: a 1x1 convolution. (B, H, W, C) -> (B, H/stride, W/stride, filters)."""
    return conv_bn(x, filters, 1, stride, conventions, f"{name}_0")


def residual_stages(x, units, alpha, block, shortcut, conventions, inner=width):
    """Blocks and what leads around them; `inner(filters, alpha)` is the width inside a block."""
    for name, filters, widest, stride, widens in units:
        skip = x
        if shortcut and widens:
            skip = shortcut(x, width(widest, alpha), stride, conventions, name)
        x = block(x, inner(filters, alpha), width(widest, alpha), stride, conventions, name)
        if shortcut:
            x = layers.Add(name=f"{name}_add")([skip, x])
        x = layers.Activation("relu", name=f"{name}_out")(x)
    return x


def imagenet_stem(x, filters, stem: Stem, conventions):
    """7x7 convolution and max pooling. (B, H, W, C) -> (B, H/4, W/4, filters), sides rounded up."""
    stride_of = reducer(stem)
    x = conv_bn_relu(x, filters, 7, stride_of(2), conventions, "conv1")
    if stride_of(2) == 1:
        return x
    if conventions.rounds_up:
        return ceil_max_pool(x, 3, 2, "pool1_pool")
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    return layers.MaxPooling2D(3, 2, name="pool1_pool")(x)


def _min_size(stem, layout):
    return 19 if (stem, layout) == ("imagenet", "caffe") else IMAGENET["min_size"][stem]


@architecture(
    paper="He et al. 2015, arXiv:1512.03385, Table 1",
    year=2015,
    **{**IMAGENET, "min_size": _min_size},
)
def _imagenet(
    x,
    *,
    alpha,
    repeats,
    block,
    shortcut: Callable | None,
    stem: Stem = "imagenet",
    layout: Literal["keras", "torch", "caffe"] = "keras",
):
    """One 7x7 convolution and max pooling, then four stages of blocks."""
    expansion = 4 if block is bottleneck else 1
    ours = KERAS if block is bottleneck else PAPER
    conventions = {"keras": ours, "torch": TORCH, "caffe": CAFFE}[layout]
    x = imagenet_stem(x, width(STEM, alpha), stem, conventions)
    units = residual_units(STAGES, repeats, STEM, expansion)
    return residual_stages(x, units, alpha, block, shortcut, conventions)


def _published(macs, top1, source, macs_source="Table 1"):
    return {"macs": Figure(macs, macs_source), "imagenet_top1": Figure(top1, source)}


def _resnet(depth, repeats, block, published):
    blocks = {
        basic: "blocks of two 3x3 convolutions",
        bottleneck: "bottlenecks of 1x1, 3x3 and 1x1 convolutions",
    }
    return _imagenet.variant(
        f"ResNet{depth}",
        f"{depth} layers: residual {blocks[block]}.",
        repeats=repeats,
        block=block,
        shortcut=projection,
        published=published,
    )


def _plainnet(depth, repeats, published):
    return _imagenet.variant(
        f"PlainNet{depth}",
        f"ResNet{depth} without its shortcuts.",
        repeats=repeats,
        block=basic,
        shortcut=None,
        published=published,
    )


_OPTION_A, _10_CROPS = "Table 2: 10 crops, option A", "Table 3: 10 crops"
ResNet18 = _resnet(18, (2, 2, 2, 2), basic, _published(1.8e9, 72.12, _OPTION_A))
ResNet34 = _resnet(34, (3, 4, 6, 3), basic, _published(3.6e9, 75.48, f"{_10_CROPS}, option B"))
ResNet50 = _resnet(50, (3, 4, 6, 3), bottleneck, _published(3.8e9, 77.15, _10_CROPS))
ResNet101 = _resnet(101, (3, 4, 23, 3), bottleneck, _published(7.6e9, 78.25, _10_CROPS))
ResNet152 = _resnet(152, (3, 8, 36, 3), bottleneck, _published(11.3e9, 78.57, _10_CROPS))
PlainNet18 = _plainnet(18, (2, 2, 2, 2), _published(1.8e9, 72.06, "Table 2: 10 crops"))
PlainNet34 = _plainnet(34, (3, 4, 6, 3), _published(3.6e9, 71.46, "Table 2: 10 crops", "Figure 3"))
