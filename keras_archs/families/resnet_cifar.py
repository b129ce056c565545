"""ResNets for small images, and their plain counterparts.

Version 1: He et al. 2015, https://arxiv.org/abs/1512.03385, section 4.2 and Table 6.
Version 2: He et al. 2016, https://arxiv.org/abs/1603.05027, Figure 4(e) and Table 3.

Both have 6n + 2 layers and, where they widen, shortcuts without parameters (option A: subsampled
and filled up with zeros); most ports have projections there, and more parameters. Version 2 has
units of two 3x3 convolutions, not the bottlenecks of the paper's 164 and 1001 layers. Its first
activation, right after the first convolution, and those of the units that widen serve both paths.
Strided convolutions are padded by 1 on all sides, as the authors' were; Keras' "same" is not where
the side is even. Epsilon is 1.001e-5 as in the ImageNet networks.
"""

from collections.abc import Callable
from typing import Any, Literal

from keras import layers

from keras_archs.architecture import Figure, architecture, width
from keras_archs.families import resnet_v2
from keras_archs.families.blocks import conv, residual_units
from keras_archs.families.resnet import PAPER, basic, conv_bn_relu, residual_stages
from keras_archs.heads import gap_dense

STEM = 16  # 3x3, stride 1
STAGES = (
    # filters, stride        output at 32x32
    (16, 1),  #   conv2_x           32 x  32
    (32, 2),  #   conv3_x           16 x  16
    (64, 2),  #   conv4_x            8 x   8
)

CIFAR: dict[str, Any] = {  # what `architecture` is told of each of these networks
    "input_shape": (32, 32, 3),
    "classes": 10,
    "min_size": 3,
    "head": gap_dense,
}


def zero_filled(x, filters, stride, conventions, name):
    """Option A: the zeros stand behind the old channels.

    (B, H, W, C) -> (B, H/stride, W/stride, filters), sides rounded up.
    """
    missing = filters - x.shape[-1]
    side = stride if conventions.pools else 1
    x = layers.MaxPooling2D(side, stride, padding="same", name=f"{name}_0_pool")(x)
    x = layers.Permute((1, 3, 2), name=f"{name}_0_swap")(x)  # ZeroPadding2D pads axes 1 and 2
    x = layers.ZeroPadding2D(((0, 0), (0, missing)), name=f"{name}_0_pad")(x)
    return layers.Permute((1, 3, 2), name=f"{name}_0_swap_back")(x)


@architecture(
    paper="He et al. 2015, arXiv:1512.03385, section 4.2",
    year=2015,
    **CIFAR,
)
def _cifar(
    x,
    *,
    alpha,
    repeat,
    preactivated,
    shortcut: Callable | None,
    downsample: Literal["stride", "maxpool"] = "stride",
):
    """One 3x3 convolution, then three stages of blocks of two 3x3 convolutions.

    Args:
        downsample: "stride", or "maxpool" as in the comparison of the SimpNet paper
            (arXiv:1802.06205, Table VI): 2x2 max pooling right after a convolution, and in the
            shortcut around it, in place of the stride.
    """
    conventions = PAPER._replace(pools=downsample == "maxpool")
    units = residual_units(STAGES, (repeat,) * len(STAGES), STEM)
    if preactivated:
        x = conv(x, width(STEM, alpha), 3, 1, conventions, "conv1")
        return resnet_v2.preactivated_stages(
            x, units, alpha, resnet_v2.basic, shortcut, conventions, shared="conv2_block1"
        )
    x = conv_bn_relu(x, width(STEM, alpha), 3, 1, conventions, "conv1")
    return residual_stages(x, units, alpha, basic, shortcut, conventions)


def _table_6(params, error):
    return {
        "params": Figure(params, "Table 6"),
        "cifar10_top1": Figure(round(100 - error, 2), f"Table 6: {error} % error"),
    }


def _v1(depth, published):
    return _cifar.variant(
        f"ResNet{depth}",
        f"{depth} layers for small images: residual blocks of two 3x3 convolutions.",
        repeat=(depth - 2) // 6,
        preactivated=False,
        shortcut=zero_filled,
        published=published,
    )


def _v2(depth, published=None):
    return _cifar.variant(
        f"ResNet{depth}V2",
        f"{depth} layers for small images: pre-activation units of two 3x3 convolutions.",
        paper="He et al. 2016, arXiv:1603.05027, Figure 4(e)",
        year=2016,
        repeat=(depth - 2) // 6,
        preactivated=True,
        shortcut=zero_filled,
        published=published,
    )


def _plain(depth):
    return _cifar.variant(
        f"PlainNet{depth}",
        f"ResNet{depth} without its shortcuts.",
        repeat=(depth - 2) // 6,
        preactivated=False,
        shortcut=None,
    )


ResNet20 = _v1(20, _table_6(270_000, 8.75))
ResNet32 = _v1(32, _table_6(460_000, 7.51))
ResNet44 = _v1(44, _table_6(660_000, 7.17))
ResNet56 = _v1(56, _table_6(850_000, 6.97))
ResNet110 = _v1(110, _table_6(1_700_000, 6.43))
ResNet1202 = _v1(1202, _table_6(19_400_000, 7.93))
ResNet20V2 = _v2(20)
ResNet32V2 = _v2(32)
ResNet44V2 = _v2(44)
ResNet56V2 = _v2(56)
ResNet110V2 = _v2(110, {"cifar10_top1": Figure(93.63, "Table 3: 6.37 % error, median of 5")})
ResNet1202V2 = _v2(1202)
PlainNet20 = _plain(20)
PlainNet56 = _plain(56)
