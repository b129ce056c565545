"""ResNeXt. Xie et al. 2016, https://arxiv.org/abs/1611.05431, Table 1 and section 5.3.

Version 1 bottlenecks of ResNet whose 3x3 convolution is grouped (Figure 3(c)): "32x4d" are 32
groups of 4 channels in the first stage, 8, 16 and 32 in the next. The stride is in the 3x3, there
are no biases, and epsilon is 1e-5, as in the authors' models/resnext.lua and in torchvision, whose
ResNeXt101_32x8d is not in the paper (that has 32x4d and 64x4d). Shortcuts that widen are projected.

Under `alpha` the number of groups stays, and the width of each is scaled: the width inside a block
is a multiple of the groups, at least one channel each.

Grouped convolutions are slow on a CPU: 4.7 s a step were measured on TensorFlow.
"""

from functools import partial

from keras_archs.architecture import Figure, architecture, width
from keras_archs.families.blocks import Stem, residual_units
from keras_archs.families.resnet import (
    IMAGENET,
    STAGES,
    STEM,
    TORCH,
    bottleneck,
    conv_bn_relu,
    imagenet_stem,
    projection,
    residual_stages,
)
from keras_archs.families.resnet_cifar import CIFAR

CIFAR_STEM = 64  # 3x3, stride 1
CIFAR_STAGES = STAGES[:3]  # 32x32, 16x16 and 8x8 at 32x32


def _grouped_stages(x, stages, repeats, stem, alpha, groups, group_width):
    """Stages of bottlenecks whose 3x3 convolution has `groups` groups.

    `group_width` is that of the first stage.
    """

    def inner(filters, alpha):
        return groups * width(group_width * filters // stages[0][0], alpha)

    units = residual_units(stages, repeats, stem, expansion=4)
    block = partial(bottleneck, groups=groups)
    return residual_stages(x, units, alpha, block, projection, TORCH, inner)


@architecture(
    paper="Xie et al. 2016, arXiv:1611.05431, Table 1",
    year=2016,
    layout="torch",
    **IMAGENET,
)
def _imagenet(x, *, alpha, repeats, groups, group_width, stem: Stem = "imagenet"):
    """One 7x7 convolution and max pooling, then four stages of grouped bottlenecks.

    The grouped convolutions are slow on a CPU.
    """
    x = imagenet_stem(x, width(STEM, alpha), stem, TORCH)
    return _grouped_stages(x, STAGES, repeats, STEM, alpha, groups, group_width)


@architecture(
    paper="Xie et al. 2016, arXiv:1611.05431, section 5.3",
    year=2016,
    **CIFAR,
)
def _cifar(x, *, alpha, repeat, groups, group_width):
    """One 3x3 convolution, then three stages of grouped bottlenecks.

    The grouped convolutions are slow on a CPU.
    """
    x = conv_bn_relu(x, width(CIFAR_STEM, alpha), 3, 1, TORCH, "conv1")
    repeats = (repeat,) * len(CIFAR_STAGES)
    return _grouped_stages(x, CIFAR_STAGES, repeats, CIFAR_STEM, alpha, groups, group_width)


ResNeXt50_32x4d = _imagenet.variant(
    "ResNeXt50_32x4d",
    "50 layers: residual bottlenecks of 32 groups, of 4 channels each in the first stage.",
    repeats=(3, 4, 6, 3),
    groups=32,
    group_width=4,
    published={
        "params": Figure(25.0e6, "Table 1"),
        "macs": Figure(4.2e9, "Table 1"),
        "imagenet_top1": Figure(77.8, "Table 3: 22.2 % error"),
    },
)
ResNeXt101_32x8d = _imagenet.variant(
    "ResNeXt101_32x8d",
    "101 layers: residual bottlenecks of 32 groups, of 8 channels each in the first stage.",
    paper="Xie et al. 2016, arXiv:1611.05431; torchvision's resnext101_32x8d",
    repeats=(3, 4, 23, 3),
    groups=32,
    group_width=8,
)
ResNeXt29_8x64d = _cifar.variant(
    "ResNeXt29_8x64d",
    "29 layers for small images: bottlenecks of 8 groups, of 64 channels each at first.",
    repeat=3,
    groups=8,
    group_width=64,
    published={
        "params": Figure(34.4e6, "Table 7"),
        "cifar10_top1": Figure(96.35, "Table 7: 3.65 % error"),
    },
)
