"""What Inception v3, Inception v4 and Inception-ResNet v2 are built from: branches of convolutions.

A branch is a tuple of `Conv`, `Fork` and `Pool`; a module is a dict of branches by name.
"""

from typing import NamedTuple

from keras import layers

from keras_archs.architecture import width

V = "valid"  # as the figures of the Inception papers mark it; all else is "same"


class Layout(NamedTuple):
    """What sources do in different ways."""

    gamma: bool  # whether BatchNorm has one
    averages_padding: bool = False  # whether a 3x3 average at the border is over nine pixels


class Conv(NamedTuple):
    """A convolution without bias, then BatchNorm and ReLU."""

    filters: int
    kernel: int | tuple[int, int]
    stride: int = 1
    padding: str = "same"


class Fork(NamedTuple):
    """A 1x3 and a 3x1 convolution side by side."""

    filters: int  # of each


class Pool(NamedTuple):
    """3x3 pooling."""

    layer: type
    stride: int
    padding: str


AVG = Pool(layers.AveragePooling2D, 1, "same")
MAX = Pool(layers.MaxPooling2D, 2, V)
Branches = dict[str, tuple[Conv | Fork | Pool, ...]]


def conv_bn_relu(x, op, alpha, layout, name):
    """(B, H, W, C) -> (B, H', W', filters), `filters` scaled by `alpha`."""
    filters = width(op.filters, alpha)
    x = layers.Conv2D(filters, op.kernel, op.stride, op.padding, use_bias=False, name=name)(x)
    x = layers.BatchNormalization(scale=layout.gamma, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_ac")(x)


def _pool(x, op, layout, name):
    padding = op.padding
    if op.layer is layers.AveragePooling2D and layout.averages_padding:
        x, padding = layers.ZeroPadding2D(1, name=f"{name}_pad")(x), V
    return op.layer(3, op.stride, padding=padding, name=name)(x)


def _applied(x, op, alpha, layout, name):
    if isinstance(op, Conv):
        return conv_bn_relu(x, op, alpha, layout, f"{name}_conv")
    if isinstance(op, Pool):
        return _pool(x, op, layout, f"{name}_pool")
    across = conv_bn_relu(x, Conv(op.filters, (1, 3)), alpha, layout, f"{name}_conv1x3")
    down = conv_bn_relu(x, Conv(op.filters, (3, 1)), alpha, layout, f"{name}_conv3x1")
    return layers.Concatenate(name=f"{name}_concat")([across, down])


def side_by_side(x, branches, alpha, layout, name):
    """The ends of branches that start from one map. (B, H, W, C) -> [(B, H', W', filters), ...]."""
    ends = []
    for branch, ops in branches.items():
        end = x
        for index, op in enumerate(ops, start=1):
            end = _applied(end, op, alpha, layout, f"{name}_{branch}_{index}")
        ends.append(end)
    return ends


def stem_of(x, ops, alpha, layout, stride_of):
    """A chain of layers whose strides pass through `stride_of`. (B, H, W, C) -> (B, H', W', C')."""
    for index, op in enumerate(ops, start=1):
        stride = stride_of(op.stride)
        if isinstance(op, Conv) or stride > 1:
            x = _applied(x, op._replace(stride=stride), alpha, layout, f"stem_{index}")
    return x
