"""What two or more families share in their bodies."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from keras import layers

Stem = Literal["imagenet", "small"]


def reducer(stem: Stem) -> Callable[[int], int]:
    """A function that the strides of a body pass through, in the network's order.

    Under `stem="small"` it turns the first two that reduce into 1: the map of a 32x32 image then
    ends at about 4x4 instead of 1x1. A pooling layer that stands alone is left out where it says 1.
    """
    to_skip = 2 if stem == "small" else 0

    def stride(paper_stride: int) -> int:
        nonlocal to_skip
        if paper_stride > 1 and to_skip:
            to_skip -= 1
            return 1
        return paper_stride

    return stride


def padded(x, kernel: int, stride: int, name: str):
    """The map and the padding mode of a layer that is padded by kernel // 2 on all sides.

    So do Torch and Caffe. Keras' "same" is that at stride 1; at stride 2 it depends on the side.
    """
    if stride == 1 or kernel == 1:
        return x, "same"
    return layers.ZeroPadding2D(kernel // 2, name=name)(x), "valid"


class Conventions(NamedTuple):
    """What the sources of residual networks do in different ways."""

    bias: bool  # whether convolutions have one
    strided: int  # which convolution of a block has the stride
    epsilon: float  # of batch normalisation
    pools: bool = False  # whether max pooling stands for a stride
    rounds_up: bool = False  # whether the stem's max pooling does so, instead of being padded


def conv(x, filters, kernel, stride, conventions: Conventions, name: str, groups=1):
    """(B, H, W, C) -> (B, H/stride, W/stride, filters), sides rounded up."""
    pools = conventions.pools and stride > 1
    strides = 1 if pools else stride
    x, padding = padded(x, kernel, strides, f"{name}_pad")
    x = layers.Conv2D(
        filters,
        kernel,
        strides,
        padding=padding,
        groups=groups,
        use_bias=conventions.bias,
        name=f"{name}_conv",
    )(x)
    return layers.MaxPooling2D(stride, padding="same", name=f"{name}_pool")(x) if pools else x


class Unit(NamedTuple):
    """A residual unit, its widths at alpha=1."""

    name: str
    filters: int  # as its stage's row of the table has it
    widest: int  # of its output
    stride: int
    widens: bool  # whether its output has more channels than its input


def residual_units(stages, repeats, stem: int, expansion=1, strided="first") -> Iterator[Unit]:
    """The units of stages `(filters, stride)`, with `repeats` units each, after `stem` channels.

    `strided` says which unit of a stage has its stride: the "first" or the "last".
    """
    previous = stem
    for stage, ((filters, stride), repeat) in enumerate(zip(stages, repeats, strict=True), start=2):
        widest = filters * expansion
        for index in range(1, repeat + 1):
            strides = stride if index == (1 if strided == "first" else repeat) else 1
            yield Unit(f"conv{stage}_block{index}", filters, widest, strides, widest != previous)
            previous = widest


def ceil_max_pool(x, kernel: int, stride: int, name: str):
    """Max pooling of a map without negative values that rounds its sides up, as Caffe does.

    (B, H, W, C) -> (B, ceil((H - kernel) / stride) + 1, ..., C). The zeros that are put behind the
    map are never the largest, and are left over where the side comes out even.
    """
    x = layers.ZeroPadding2D(((0, stride - 1), (0, stride - 1)), name=f"{name}_pad")(x)
    return layers.MaxPooling2D(kernel, stride, name=name)(x)
