"""Wide ResNet. Zagoruyko and Komodakis 2016, https://arxiv.org/abs/1605.07146, Tables 1 and 8.

`WideResNet` and the WRNs are the CIFAR networks of Table 1 as the authors' models/wide-resnet.lua
has them: the stages of ResNet20 with `k` times the width (`alpha` comes on top of it), BatchNorm
and ReLU before each convolution, the stride in the first 3x3 of a block, dropout between the two.
Where the width changes, a 1x1 convolution of the block's activation, without BatchNorm, leads
around it. No biases; epsilon 1e-5, Torch's. The rate of dropout is 0 as in most of the paper's
tables; its networks with dropout had 0.3 on CIFAR.

WideResNet50_2 and 101_2 are ResNet50 and 101, version 1, with twice the width inside a bottleneck
(WRN-50-2-bottleneck of Table 8; 101_2 is torchvision's), and torchvision's conventions: the stride
in the 3x3, no biases, epsilon 1e-5.
"""

from functools import partial

from keras_archs.architecture import Figure, architecture, width
from keras_archs.families import resnet, resnet_cifar, resnet_v2
from keras_archs.families.blocks import Stem, conv, residual_units
from keras_archs.families.resnet import TORCH
from keras_archs.heads import gap_dense

# ------------------------------------------------------------------------------------------- CIFAR


def _gap_dense(x, *, classes, classifier_activation):
    """Without dropout, which stands in the blocks. (B, H, W, C) -> (B, classes)."""
    return gap_dense(x, classes=classes, dropout=0, classifier_activation=classifier_activation)


@architecture(
    paper="Zagoruyko and Komodakis 2016, arXiv:1605.07146, Table 1",
    year=2016,
    dropout=0.0,
    **(resnet_cifar.CIFAR | {"head": _gap_dense}),
)
def _wide(x, *, alpha, dropout, depth: int = 28, k: int = 10):
    """One 3x3 convolution, then three stages of blocks of two 3x3 convolutions.

    `dropout` is the rate inside every block.

    Args:
        depth: number of layers with weights on the longest way, 6n + 4: 10, 16, 22, 28, ...
        k: factor by which the blocks are wider than ResNet's.
    """
    if depth < 10 or depth % 6 != 4:
        raise ValueError(f"`depth` must be 6n + 4: 10, 16, 22, ... Received: depth={depth!r}")
    x = conv(x, width(resnet_cifar.STEM, alpha), 3, 1, TORCH, "conv1")
    stages = [(filters * k, stride) for filters, stride in resnet_cifar.STAGES]
    units = residual_units(stages, [(depth - 4) // 6] * len(stages), resnet_cifar.STEM)
    block = partial(resnet_v2.basic, dropout=dropout)
    return resnet_v2.preactivated_stages(x, units, alpha, block, resnet_v2.projection, TORCH)


def _table_5(params, error):
    return {
        "params": Figure(params, "Table 5"),
        "cifar10_top1": Figure(round(100 - error, 2), f"Table 5: {error} % error"),
    }


def _wrn(depth, k, published=None):
    doc = f"{depth} layers for small images, {k} times as wide as ResNet's."
    return _wide.variant(f"WRN_{depth}_{k}", doc, depth=depth, k=k, published=published)


WideResNet = _wide.variant("WideResNet", "Wide residual network of any depth and width.")
WRN_16_4 = _wrn(16, 4)
WRN_16_8 = _wrn(16, 8, _table_5(11_000_000, 4.27))
WRN_28_10 = _wrn(28, 10, _table_5(36_500_000, 4.00))
WRN_40_4 = _wrn(40, 4, _table_5(8_900_000, 4.53))


# ---------------------------------------------------------------------------------------- ImageNet


def _twice(filters, alpha):
    return width(2 * filters, alpha)


@architecture(
    paper="Zagoruyko and Komodakis 2016, arXiv:1605.07146, Table 8",
    year=2016,
    layout="torch",
    **resnet.IMAGENET,
)
def _imagenet(x, *, alpha, repeats, stem: Stem = "imagenet"):
    """One 7x7 convolution and max pooling, then four stages of wide bottlenecks."""
    x = resnet.imagenet_stem(x, width(resnet.STEM, alpha), stem, TORCH)
    units = residual_units(resnet.STAGES, repeats, resnet.STEM, expansion=4)
    return resnet.residual_stages(
        x, units, alpha, resnet.bottleneck, resnet.projection, TORCH, inner=_twice
    )


WideResNet50_2 = _imagenet.variant(
    "WideResNet50_2",
    "ResNet50 with bottlenecks twice as wide inside.",
    repeats=(3, 4, 6, 3),
    published={
        "params": Figure(68.9e6, "Table 8"),
        "imagenet_top1": Figure(78.1, "Table 8: 21.9 % error"),
    },
)
WideResNet101_2 = _imagenet.variant(
    "WideResNet101_2",
    "ResNet101 with bottlenecks twice as wide inside.",
    paper="Zagoruyko and Komodakis 2016, arXiv:1605.07146; torchvision's wide_resnet101_2",
    repeats=(3, 4, 23, 3),
)
