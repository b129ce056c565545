"""Inception v4 and Inception-ResNet v2. Szegedy et al. 2016, https://arxiv.org/abs/1602.07261.

Convolutions that a figure marks with V are unpadded; an average at the border is over the pixels
inside the map. The orders of 1x7 and 7x1, 1x3 and 3x1 are those of the authors' release in TF-slim,
in places the other way round than in the figures. Unpadded layers stay unpadded with stem="small":
the last map of a 32x32 image is 2x2.

InceptionV4: Figures 3 to 9, with BatchNorm's gamma (as timm; TF-slim trains none) and without
TF-slim's auxiliary classifier.

InceptionResNetV2: structure, padding, head and order of weights of
keras.applications.InceptionResNetV2, which is the released network. Its weights are copied in order
(`set_weights`): keras.applications gives names to the last layers of a block alone, and those are
the names here. The scaling of the residuals is a Rescaling layer. Departures from the paper's
Figures 15 to 19, as in that release:

- the stem of Inception v3 and one Inception module (`mixed_5b`) for the stem of Figure 3
- 10, 20 and 10 blocks for 5, 10 and 5
- maps of 320, 1088 and 2080 channels for 384, 1154 and 2048
- residuals are scaled by 0.17, 0.1 and 0.2; the last block's are not, and no ReLU follows it
- a 1x1 convolution to 1536 before the head
- no dropout, as in keras.applications (the paper and TF-slim drop 20 %)
- BatchNorm has no gamma in layout="keras"; layout="torch" (timm's) has it. All else is the same.

A block's last 1x1 is as wide as the map it is added to, whatever `alpha` rounds its branches to.
"""

from typing import Literal

from keras import layers

from keras_archs.architecture import Figure, architecture
from keras_archs.families.blocks import Stem, reducer
from keras_archs.families.inception_blocks import (
    AVG,
    MAX,
    Branches,
    Conv,
    Fork,
    Layout,
    V,
    conv_bn_relu,
    side_by_side,
    stem_of,
)
from keras_archs.families.inception_v3 import LAYOUTS, STEM
from keras_archs.heads import gap_dense

WITH_GAMMA = Layout(gamma=True)
ACROSS, DOWN = (1, 7), (7, 1)

# ------------------------------------------------------------------------------------- Inception v4

STEM_V4 = (  # Figure 3             output at 299x299
    Conv(32, 3, 2, V),  #              149 x 149
    Conv(32, 3, 1, V),  #              147 x 147
    Conv(64, 3),
)


def mixed_3a(stride) -> Branches:
    """Figure 3: pooling beside a convolution. 73 x 73 x 160 at 299x299."""
    return {"pool": (MAX._replace(stride=stride),), "3x3": (Conv(96, 3, stride, V),)}


MIXED_4A: Branches = {  # Figure 3
    "3x3": (Conv(64, 1), Conv(96, 3, 1, V)),
    "7x7": (Conv(64, 1), Conv(64, ACROSS), Conv(64, DOWN), Conv(96, 3, 1, V)),
}
MIXED_5A: Branches = {"3x3": (Conv(192, 3, 2, V),), "pool": (MAX,)}  # Figure 3
INCEPTION_A: Branches = {  # Figure 4
    "1x1": (Conv(96, 1),),
    "3x3": (Conv(64, 1), Conv(96, 3)),
    "3x3dbl": (Conv(64, 1), Conv(96, 3), Conv(96, 3)),
    "pool": (AVG, Conv(96, 1)),
}
REDUCTION_A: Branches = {  # Figure 7 with k, l, m, n = 192, 224, 256, 384
    "3x3": (Conv(384, 3, 2, V),),
    "3x3dbl": (Conv(192, 1), Conv(224, 3), Conv(256, 3, 2, V)),
    "pool": (MAX,),
}
INCEPTION_B: Branches = {  # Figure 5
    "1x1": (Conv(384, 1),),
    "7x7": (Conv(192, 1), Conv(224, ACROSS), Conv(256, DOWN)),
    "7x7dbl": (
        Conv(192, 1),
        *(Conv(192, DOWN), Conv(224, ACROSS)),
        *(Conv(224, DOWN), Conv(256, ACROSS)),
    ),
    "pool": (AVG, Conv(128, 1)),
}
REDUCTION_B: Branches = {  # Figure 8
    "3x3": (Conv(192, 1), Conv(192, 3, 2, V)),
    "7x7x3": (Conv(256, 1), Conv(256, ACROSS), Conv(320, DOWN), Conv(320, 3, 2, V)),
    "pool": (MAX,),
}
INCEPTION_C: Branches = {  # Figure 6
    "1x1": (Conv(256, 1),),
    "3x3": (Conv(384, 1), Fork(256)),
    "3x3dbl": (Conv(384, 1), Conv(448, (3, 1)), Conv(512, (1, 3)), Fork(256)),
    "pool": (AVG, Conv(256, 1)),
}
MODULES = (  # Figure 9
    # names, branches                  output at 299x299
    ("4a", MIXED_4A),  #                 71 x 71 x  192
    ("5a", MIXED_5A),  #                 35 x 35 x  384
    ("5b 5c 5d 5e", INCEPTION_A),
    ("6a", REDUCTION_A),  #              17 x 17 x 1024
    ("6b 6c 6d 6e 6f 6g 6h", INCEPTION_B),
    ("7a", REDUCTION_B),  #               8 x  8 x 1536
    ("7b 7c 7d", INCEPTION_C),
)


def _module(x, branches, alpha, layout, name):
    """(B, H, W, C) -> (B, H', W', sum of the branches' filters)."""
    return layers.Concatenate(name=name)(side_by_side(x, branches, alpha, layout, name))


@architecture(
    paper="Szegedy et al. 2016, arXiv:1602.07261, Figure 9",
    year=2016,
    input_shape=(299, 299, 3),
    classes=1000,
    min_size={"imagenet": 75, "small": 23},
    head=gap_dense,
    dropout=0.2,
    published={
        "imagenet_top1": Figure(80.0, "Table 2: 20.0 % error, non-blacklisted images"),
        "imagenet_top5": Figure(95.0, "Table 2: 5.0 % error, non-blacklisted images"),
    },
)
def InceptionV4(x, *, alpha, stem: Stem = "imagenet"):
    """A stem that branches, then 4, 7 and 3 Inception modules at 35x35, 17x17 and 8x8."""
    stride_of = reducer(stem)
    x = stem_of(x, STEM_V4, alpha, WITH_GAMMA, stride_of)
    x = _module(x, mixed_3a(stride_of(2)), alpha, WITH_GAMMA, "mixed_3a")
    for names, branches in MODULES:
        for name in names.split():
            x = _module(x, branches, alpha, WITH_GAMMA, f"mixed_{name}")
    return x


# ------------------------------------------------------------------------------ Inception-ResNet v2

MIXED_5B: Branches = {  #               35 x 35 x  320 at 299x299
    "1x1": (Conv(96, 1),),
    "5x5": (Conv(48, 1), Conv(64, 5)),
    "3x3dbl": (Conv(64, 1), Conv(96, 3), Conv(96, 3)),
    "pool": (AVG, Conv(64, 1)),
}
BLOCK35: Branches = {  # Figure 16
    "1x1": (Conv(32, 1),),
    "3x3": (Conv(32, 1), Conv(32, 3)),
    "3x3dbl": (Conv(32, 1), Conv(48, 3), Conv(64, 3)),
}
MIXED_6A: Branches = {  # Figure 7      17 x 17 x 1088; k, l, m, n = 256, 256, 384, 384
    "3x3": (Conv(384, 3, 2, V),),
    "3x3dbl": (Conv(256, 1), Conv(256, 3), Conv(384, 3, 2, V)),
    "pool": (MAX,),
}
BLOCK17: Branches = {  # Figure 17
    "1x1": (Conv(192, 1),),
    "7x7": (Conv(128, 1), Conv(160, ACROSS), Conv(192, DOWN)),
}
MIXED_7A: Branches = {  # Figure 18      8 x  8 x 2080
    "3x3a": (Conv(256, 1), Conv(384, 3, 2, V)),
    "3x3b": (Conv(256, 1), Conv(288, 3, 2, V)),
    "3x3dbl": (Conv(256, 1), Conv(288, 3), Conv(320, 3, 2, V)),
    "pool": (MAX,),
}
BLOCK8: Branches = {  # Figure 19
    "1x1": (Conv(192, 1),),
    "3x3": (Conv(192, 1), Conv(224, (1, 3)), Conv(256, (3, 1))),
}
STAGES = (
    # module, its branches; block, its branches, repeat, scale of the residuals
    ("mixed_5b", MIXED_5B, "block35", BLOCK35, 10, 0.17),
    ("mixed_6a", MIXED_6A, "block17", BLOCK17, 20, 0.1),
    ("mixed_7a", MIXED_7A, "block8", BLOCK8, 9, 0.2),
)


def _residual(x, branches, scale, alpha, layout, name):
    """The map plus what branches and a linear 1x1 make of it. (B, H, W, C) -> (B, H, W, C)."""
    y = layers.Concatenate(name=f"{name}_mixed")(side_by_side(x, branches, alpha, layout, name))
    y = layers.Conv2D(x.shape[-1], 1, name=f"{name}_conv")(y)
    if scale != 1:
        y = layers.Rescaling(scale, name=f"{name}_scale")(y)
    return layers.Add(name=f"{name}_add")([x, y])


@architecture(
    paper="Szegedy et al. 2016, arXiv:1602.07261, Figures 15 to 19",
    year=2016,
    input_shape=(299, 299, 3),
    classes=1000,
    min_size={"imagenet": 75, "small": 21},
    head=gap_dense,
    published={
        "imagenet_top1": Figure(80.1, "Table 2: 19.9 % error, non-blacklisted images"),
        "imagenet_top5": Figure(95.1, "Table 2: 4.9 % error, non-blacklisted images"),
    },
)
def InceptionResNetV2(
    x, *, alpha, stem: Stem = "imagenet", layout: Literal["keras", "torch"] = "keras"
):
    """The stem of Inception v3, then 10, 20 and 10 residual blocks at 35x35, 17x17 and 8x8."""
    conventions = WITH_GAMMA if layout == "torch" else LAYOUTS["keras"]
    x = stem_of(x, STEM, alpha, conventions, reducer(stem))
    for module, branches, block, residual, repeat, scale in STAGES:
        x = _module(x, branches, alpha, conventions, module)
        for index in range(1, repeat + 1):
            name = f"{block}_{index}"
            x = _residual(x, residual, scale, alpha, conventions, name)
            x = layers.Activation("relu", name=f"{name}_ac")(x)
    x = _residual(x, BLOCK8, 1, alpha, conventions, "block8_10")
    return conv_bn_relu(x, Conv(1536, 1), alpha, conventions, "conv_7b")
