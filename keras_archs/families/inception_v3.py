"""Inception v3. Szegedy et al. 2015, https://arxiv.org/abs/1512.00567, Table 1 and section 6.

Structure, padding, head and order of weights are those of keras.applications.InceptionV3, which is
the network that the authors released. There most layers are numbered from one network to the next,
so its weights are copied in order (`set_weights`), not by name; concatenations have its names.
Departures from the paper, as in that release:

- after the first pooling Table 1 has three 3x3 convolutions, the second with stride 2; here it is a
  1x1 and a 3x3 convolution and a second max pooling, so the first module reads 192 maps, not 288
- the modules at 35x35 keep a 5x5 convolution in one branch, where Figure 5 has 3x3
- BatchNorm has no gamma

    layout="keras"    no gamma; a 3x3 average at the border is over the pixels inside the map
    layout="torch"    as torchvision: gamma; that average is over nine pixels, the padding's zeros
                      among them

keras.applications has no dropout and Table 1 names none; torchvision drops 50 % before the
classifier, TF-slim 20 %.

`aux` is the paper's BN-auxiliary classifier (section 4) as the release and torchvision build it:
its 5x5 convolution is what the paper calls fully connected. It needs the 17x17 map of a 299x299
image (77x77 with stem="small"). At larger sides its map is averaged.

Unpadded layers stay unpadded with stem="small": the last map of a 32x32 image is 2x2.
"""

from typing import Literal

from keras import layers

from keras_archs.architecture import Figure, architecture
from keras_archs.families import inception_blocks
from keras_archs.families.blocks import Stem, reducer
from keras_archs.families.inception_blocks import AVG, MAX, Branches, Conv, Fork, Layout, V
from keras_archs.heads import fused_classifier, gap_dense
from keras_archs.kinds import globally_pooled

LAYOUTS = {"keras": Layout(gamma=False), "torch": Layout(gamma=True, averages_padding=True)}

STEM = (
    #                           output at 299x299
    Conv(32, 3, 2, V),  #          149 x 149
    Conv(32, 3, 1, V),  #          147 x 147
    Conv(64, 3),
    MAX,  #                         73 x  73
    Conv(80, 1),
    Conv(192, 3, 1, V),  #          71 x  71
    MAX,  #                         35 x  35
)


def grid35(pool: int) -> Branches:
    """Branches at 35x35: Figure 5, but for the 5x5 convolution."""
    return {
        "1x1": (Conv(64, 1),),
        "5x5": (Conv(48, 1), Conv(64, 5)),
        "3x3dbl": (Conv(64, 1), Conv(96, 3), Conv(96, 3)),
        "pool": (AVG, Conv(pool, 1)),
    }


def grid17(f: int) -> Branches:
    """Branches at 17x17: Figure 6 with n = 7."""
    across, down = (1, 7), (7, 1)
    return {
        "1x1": (Conv(192, 1),),
        "7x7": (Conv(f, 1), Conv(f, across), Conv(192, down)),
        "7x7dbl": (
            Conv(f, 1),
            *(Conv(f, down), Conv(f, across)),
            *(Conv(f, down), Conv(192, across)),
        ),
        "pool": (AVG, Conv(192, 1)),
    }


TO_GRID17: Branches = {  # after Figure 10
    "3x3": (Conv(384, 3, 2, V),),
    "3x3dbl": (Conv(64, 1), Conv(96, 3), Conv(96, 3, 2, V)),
    "pool": (MAX,),
}
TO_GRID8: Branches = {  # after Figure 10
    "3x3": (Conv(192, 1), Conv(320, 3, 2, V)),
    "7x7x3": (Conv(192, 1), Conv(192, (1, 7)), Conv(192, (7, 1)), Conv(192, 3, 2, V)),
    "pool": (MAX,),
}
GRID8: Branches = {  # Figure 7
    "1x1": (Conv(320, 1),),
    "3x3": (Conv(384, 1), Fork(384)),
    "3x3dbl": (Conv(448, 1), Conv(384, 3), Fork(384)),
    "pool": (AVG, Conv(192, 1)),
}
MODULES = {
    #                           output at 299x299
    "mixed0": grid35(32),  #     35 x 35 x  256
    "mixed1": grid35(64),  #     35 x 35 x  288
    "mixed2": grid35(64),
    "mixed3": TO_GRID17,  #      17 x 17 x  768
    "mixed4": grid17(128),
    "mixed5": grid17(160),
    "mixed6": grid17(160),
    "mixed7": grid17(192),  #    the auxiliary classifier starts here
    "mixed8": TO_GRID8,  #        8 x  8 x 1280
    "mixed9": GRID8,  #           8 x  8 x 2048
    "mixed10": GRID8,
}
AUX = Conv(128, 1), Conv(768, 5, 1, V)  # after 5x5 average pooling, stride 3


def _gap_dense_aux(
    x,
    *,
    layout,
    aux: bool = False,
    taps,
    alpha,
    classes,
    dropout,
    classifier_activation,
):
    """The head of keras.applications, and the auxiliary classifier on request."""
    activation = classifier_activation
    predictions = gap_dense(x, classes=classes, dropout=dropout, classifier_activation=activation)
    if not aux:
        return predictions
    y = layers.AveragePooling2D(5, 3, name="aux1_pool")(taps["aux"])
    for index, op in enumerate(AUX, start=1):
        y = inception_blocks.conv_bn_relu(y, op, alpha, LAYOUTS[layout], f"aux1_{index}_conv")
    y = globally_pooled(y, "avg", "aux1_avg_pool")
    y = fused_classifier(y, classes, 0, activation, "aux1")
    return {"predictions": predictions, "aux1": y}


def _min_size(stem, aux):
    """The smallest side; the auxiliary classifier needs a map of 17x17."""
    if aux:
        return {"imagenet": 299, "small": 77}[stem]
    return {"imagenet": 75, "small": 21}[stem]


@architecture(
    paper="Szegedy et al. 2015, arXiv:1512.00567, Table 1",
    year=2015,
    input_shape=(299, 299, 3),
    classes=1000,
    min_size=_min_size,
    head=_gap_dense_aux,
    published={
        "imagenet_top1": Figure(78.8, "Table 3: 21.2 % error, BN-auxiliary"),
        "imagenet_top5": Figure(94.4, "Table 3: 5.6 % error, BN-auxiliary"),
    },
)
def InceptionV3(x, *, alpha, stem: Stem = "imagenet", layout: Literal["keras", "torch"] = "keras"):
    """Five convolutions, then eleven Inception modules at 35x35, 17x17 and 8x8."""
    conventions = LAYOUTS[layout]
    x = inception_blocks.stem_of(x, STEM, alpha, conventions, reducer(stem))
    taps = {}
    for name, branches in MODULES.items():
        x = layers.Concatenate(name=name)(
            inception_blocks.side_by_side(x, branches, alpha, conventions, name)
        )
        if name == "mixed7":
            taps["aux"] = x
    return x, taps
