"""ResNet, version 2. He et al. 2016, https://arxiv.org/abs/1603.05027, Figure 4(e) and appendix.

The stages of version 1 (arXiv:1512.03385, Table 1) with BatchNorm and ReLU before each convolution
and once more after the last unit. A projection starts from the unit's activation and has no
BatchNorm; the first unit's activation, right after the stem, serves both paths.

ResNet50V2, 101V2 and 152V2 are by default those of keras.applications, layer names included, so
its weights load by name. Their two layouts differ in

    layout="keras"    the stride in the last unit of a stage, its shortcut subsampled by pooling;
                      biases in the stem, the projections and each unit's last convolution; zeros
                      around the map that the stem pools; epsilon 1.001e-5
    layout="torch"    as the paper: the stride in the 3x3 of the first unit of a stage; no biases;
                      nothing but the map's own values in the stem's pooling; epsilon 1e-5

The others follow the paper: a layout sets their epsilon alone. The paper prints no networks of 18
and 34 layers: they are version 1's, with the units of this paper. Departure: the stem pools before
the first BatchNorm and ReLU, as those of keras.applications and timm do; in Torch's ResNets (file
preresnet.lua of fb.resnet.torch) it pools after them, and projections have BatchNorm.
"""

from typing import Literal

from keras import layers

from keras_archs.architecture import Figure, architecture, width
from keras_archs.families.blocks import Stem, conv, reducer, residual_units
from keras_archs.families.resnet import IMAGENET, KERAS, PAPER, STAGES, STEM, TORCH
from keras_archs.heads import dropped

KERAS_STRIDES = 2, 2, 2, 1  # of the stages' last units; output 28x28, 14x14, 7x7 and 7x7
KERAS_STAGES = [(row[0], stride) for row, stride in zip(STAGES, KERAS_STRIDES, strict=True)]


def bn_relu(x, conventions, name):
    """(B, H, W, C) -> (B, H, W, C)."""
    x = layers.BatchNormalization(epsilon=conventions.epsilon, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def basic(x, filters, widest, stride, conventions, name, dropout=0):
    """Two 3x3 convolutions of an activation. (B, H, W, C) -> (B, H/stride, W/stride, widest)."""
    x = conv(x, filters, 3, stride, conventions, f"{name}_1")
    x = bn_relu(x, conventions, f"{name}_1")
    x = dropped(x, dropout, f"{name}_drop")
    return conv(x, widest, 3, 1, conventions, f"{name}_2")


def bottleneck(x, filters, widest, stride, conventions, name):
    """1x1, 3x3, 1x1 convolutions. (B, H, W, C) -> (B, H/stride, W/stride, widest)."""
    inner = conventions._replace(bias=False)
    x = conv(x, filters, 1, 1, inner, f"{name}_1")
    x = bn_relu(x, conventions, f"{name}_1")
    x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = layers.Conv2D(filters, 3, stride, use_bias=False, name=f"{name}_2_conv")(x)
    x = bn_relu(x, conventions, f"{name}_2")
    return conv(x, widest, 1, 1, conventions, f"{name}_3")


def projection(x, filters, stride, conventions, name):
    """A 1x1 convolution of an activation. (B, H, W, C) -> (B, H/stride, W/stride, filters)."""
    return conv(x, filters, 1, stride, conventions, f"{name}_0")


def preactivated_stages(x, units, alpha, block, shortcut, conventions, shared=None):
    """Units that begin with BatchNorm and ReLU, and these once more after the last.

    `shared` names units whose two paths both start from the activation though they do not widen.
    """
    for name, filters, widest, stride, widens in units:
        active = bn_relu(x, conventions, f"{name}_preact")
        skip = active if name == shared else x
        if widens:
            skip = shortcut(active, width(widest, alpha), stride, conventions, name)
        elif stride > 1:
            skip = layers.MaxPooling2D(1, stride, name=f"{name}_0_pool")(x)
        x = block(active, width(filters, alpha), width(widest, alpha), stride, conventions, name)
        x = layers.Add(name=f"{name}_out")([skip, x])
    return bn_relu(x, conventions, "post")


def _max_pool(x, conventions):
    """3x3 with stride 2. (B, H, W, C) -> (B, H/2, W/2, C), sides rounded up.

    The map has negative values, under which zeros around it would be the largest. Pooling with
    stride 1, whose "same" takes the map's own values alone, and then subsampling avoids them.
    """
    if conventions is KERAS:
        x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
        return layers.MaxPooling2D(3, 2, name="pool1_pool")(x)
    x = layers.MaxPooling2D(3, 1, padding="same", name="pool1_max")(x)
    return layers.MaxPooling2D(1, 2, name="pool1_pool")(x)


@architecture(
    paper="He et al. 2016, arXiv:1603.05027, Figure 4(e)",
    year=2016,
    **IMAGENET,
)
def _imagenet_v2(
    x,
    *,
    alpha,
    repeats,
    block,
    twin,
    stem: Stem = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
):
    """One 7x7 convolution and max pooling, then four stages of pre-activation units."""
    conventions = TORCH if layout == "torch" else KERAS if twin else PAPER
    stages, strided = (KERAS_STAGES, "last") if conventions is KERAS else (STAGES, "first")
    stride_of = reducer(stem)
    x = conv(x, width(STEM, alpha), 7, stride_of(2), conventions, "conv1")
    if stride_of(2) > 1:
        x = _max_pool(x, conventions)
    units = residual_units(stages, repeats, STEM, 4 if block is bottleneck else 1, strided)
    first = "conv2_block1"
    return preactivated_stages(x, units, alpha, block, projection, conventions, shared=first)


def _table_5(top1_error, top5_error):
    source = "Table 5: 320x320 crop, {} % error"
    return {
        "imagenet_top1": Figure(round(100 - top1_error, 2), source.format(top1_error)),
        "imagenet_top5": Figure(round(100 - top5_error, 2), source.format(top5_error)),
    }


def _variant(depth, repeats, block, *, twin=False, published=None):
    return _imagenet_v2.variant(
        f"ResNet{depth}V2",
        f"{depth} layers: pre-activation units of "
        + ("two 3x3 convolutions." if block is basic else "1x1, 3x3 and 1x1 convolutions."),
        repeats=repeats,
        block=block,
        twin=twin,
        published=published,
    )


ResNet18V2 = _variant(18, (2, 2, 2, 2), basic)
ResNet34V2 = _variant(34, (3, 4, 6, 3), basic)
ResNet50V2 = _variant(50, (3, 4, 6, 3), bottleneck, twin=True)
ResNet101V2 = _variant(101, (3, 4, 23, 3), bottleneck, twin=True)
ResNet152V2 = _variant(152, (3, 8, 36, 3), bottleneck, twin=True, published=_table_5(21.1, 5.5))
ResNet200V2 = _variant(200, (3, 24, 36, 3), bottleneck, published=_table_5(20.7, 5.3))
