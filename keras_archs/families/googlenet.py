"""GoogLeNet. Szegedy et al. 2014, https://arxiv.org/abs/1409.4842, Table 1.
BN-Inception. Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167, Figure 5.

GoogLeNet(layout="caffe") is Caffe's bvlc_googlenet: the published widths, biases, local response
normalisation (the paper gives no constants), dropout of 40 %. layout="torch" is torchvision's:
BatchNorm (epsilon 1e-3) for biases and normalisation, 3x3 convolutions where the paper has 5x5, 2x2
windows in the last max pooling, dropout of 20 %, auxiliary classifiers that pool any map to 4x4.

BNInception is the network of github.com/lim0606/caffe-googlenet-bn: no biases before BatchNorm, its
epsilon 1e-5; average pooling counts the zeros beside the map. separable_stem=True is TF-slim's
inception_v2: a separable 7x7 convolution, as in the paper; BatchNorm without gamma, epsilon 1e-3;
Keras' "same" padding. Neither drops out here (the paper removes dropout; TF-slim has 20 %).

Departures from the papers: pooling between modules rounds sides up without padding above and left
(at even sides "same"); the last average pooling is global; 4c and 4d of Figure 5 have 96 filters
after pooling, which give the 576 channels that it prints, not 128; the first convolution of the
default BNInception is not separable. In 3c and 4e max pooling follows the convolutions beside it at
odd sides, where Caffe's would not fit.

Two papers that share their module make this file longer than 220 lines.
"""

from typing import Literal, NamedTuple

from keras import layers

from keras_archs.architecture import Figure, architecture, width
from keras_archs.families.blocks import Stem, ceil_max_pool, padded, reducer
from keras_archs.heads import classifier, flatten, gap_dense
from keras_archs.kinds import globally_pooled
from keras_archs.normalization import LocalResponseNormalization

STEM = 64, 64, 192  # 7x7, stride 2; pool1; 1x1; 3x3; pool2
TABLE_1 = (
    # 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj      output at 224x224
    ("3a", 64, 96, 128, 16, 32, 32),  #                     28 x 28 x  256
    ("3b", 128, 128, 192, 32, 96, 64),  #                   28 x 28 x  480
    "pool3",
    ("4a", 192, 96, 208, 16, 48, 64),  #                    14 x 14 x  512
    ("4b", 160, 112, 224, 24, 64, 64),  #                   14 x 14 x  512
    ("4c", 128, 128, 256, 24, 64, 64),  #                   14 x 14 x  512
    ("4d", 112, 144, 288, 32, 64, 64),  #                   14 x 14 x  528
    ("4e", 256, 160, 320, 32, 128, 128),  #                 14 x 14 x  832
    "pool4",
    ("5a", 256, 160, 320, 32, 128, 128),  #                  7 x  7 x  832
    ("5b", 384, 192, 384, 48, 128, 128),  #                  7 x  7 x 1024
)
AUX = {"4a": "aux1", "4d": "aux2"}  # after these modules
AUX_WIDTHS = 128, 1024  # 5x5 average pooling, stride 3; 1x1; dense
FIGURE_5 = (
    # 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3, pool, proj
    ("3a", 64, 64, 64, 64, 96, "avg", 32),  #               28 x 28 x  256
    ("3b", 64, 64, 96, 64, 96, "avg", 64),  #               28 x 28 x  320
    ("3c", 0, 128, 160, 64, 96, "max", 0),  #   stride 2    14 x 14 x  576
    ("4a", 224, 64, 96, 96, 128, "avg", 128),  #            14 x 14 x  576
    ("4b", 192, 96, 128, 96, 128, "avg", 128),  #           14 x 14 x  576
    ("4c", 160, 128, 160, 128, 160, "avg", 96),  #          14 x 14 x  576
    ("4d", 96, 128, 192, 160, 192, "avg", 96),  #           14 x 14 x  576
    ("4e", 0, 128, 192, 192, 256, "max", 0),  # stride 2     7 x  7 x 1024
    ("5a", 352, 192, 320, 160, 224, "avg", 128),  #          7 x  7 x 1024
    ("5b", 352, 192, 320, 192, 224, "max", 128),  #          7 x  7 x 1024
)


class Conventions(NamedTuple):
    """What the definitions do in different ways."""

    wide: tuple[str, ...]  # the convolutions of a module's third branch
    kernel: int  # of these but the first
    epsilon: float | None = None  # of BatchNorm; without it biases and LRN
    dropout: float = 0.0
    pool4: int = 3  # window
    slim: bool = False  # whether it is TF-slim's


DOUBLE = "double3x3_reduce", "double3x3a", "double3x3b"
CONVENTIONS = {
    "caffe": Conventions(("5x5_reduce", "5x5"), 5, dropout=0.4),
    "torch": Conventions(("5x5_reduce", "5x5"), 3, epsilon=1e-3, dropout=0.2, pool4=2),
    "caffe_bn": Conventions(DOUBLE, 3, epsilon=1e-5),
    "slim": Conventions(DOUBLE, 3, epsilon=1e-3, slim=True),
}


def conv(x, filters, kernel, stride, how, name):
    """(B, H, W, C) -> (B, H/stride, W/stride, filters), sides rounded up."""
    kind, padding = layers.Conv2D, "same"
    options = {"use_bias": how.epsilon is None, "name": f"{name}_conv"}
    if not how.slim:
        x, padding = padded(x, kernel, stride, f"{name}_pad")
    elif name == "conv1":
        kind, options["depth_multiplier"] = layers.SeparableConv2D, max(1, min(filters // 3, 8))
    x = kind(filters, kernel, stride, padding, **options)(x)
    if how.epsilon:
        x = layers.BatchNormalization(epsilon=how.epsilon, scale=not how.slim, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def max_pool(x, how, name):
    """(B, H, W, C) -> (B, H/2, W/2, C)."""
    if how.slim:
        return layers.MaxPooling2D(3, 2, padding="same", name=name)(x)
    return ceil_max_pool(x, how.pool4 if name == "pool4" else 3, 2, name)


def _normalized(x, how, name):
    lrn = LocalResponseNormalization(size=5, alpha=1e-4 / 5, beta=0.75, k=1.0, name=name)
    return x if how.epsilon else lrn(x)


def stem_layers(x, alpha, stem, how):
    """(B, H, W, C) -> (B, H/8, W/8, 192), where stem="small" (B, H/2, W/2, 192)."""
    stride_of = reducer(stem)
    conv1, conv2_reduce, conv2 = (width(filters, alpha) for filters in STEM)
    x = conv(x, conv1, 7, stride_of(2), how, "conv1")
    x = max_pool(x, how, "pool1") if stride_of(2) > 1 else x
    x = conv(_normalized(x, how, "lrn1"), conv2_reduce, 1, 1, how, "conv2_reduce")
    x = conv(x, conv2, 3, 1, how, "conv2")
    return max_pool(_normalized(x, how, "lrn2"), how, "pool2")


def _pooled(x, kind, stride, how, name):
    if kind == "max":
        return layers.MaxPooling2D(3, stride, padding="same", name=name)(x)
    if how.slim:
        return layers.AveragePooling2D(3, 1, padding="same", name=name)(x)
    return layers.AveragePooling2D(3, 1, name=name)(layers.ZeroPadding2D(1, name=f"{name}_pad")(x))


def inception(x, row, alpha, how):
    """Four branches side by side. (B, H, W, C) -> (B, H, W, sum of their filters).

    Without its 1x1 branch the module has stride 2 and hands the pooled input on as it is.
    """
    module, one, reduce3, three, reduce_wide, wide, kind, projected = row
    name, stride = f"inception_{module}", 1 if one else 2

    def unit(x, filters, kernel, op, stride=1):
        return conv(x, width(filters, alpha), kernel, stride, how, f"{name}_{op}")

    second = unit(unit(x, reduce3, 1, "3x3_reduce"), three, 3, "3x3", stride)
    third = unit(x, reduce_wide, 1, how.wide[0])
    for op in how.wide[1:]:
        third = unit(third, wide, how.kernel, op, stride if op == how.wide[-1] else 1)
    branches = [second, third, _pooled(x, kind, stride, how, f"{name}_pool")]
    if one:
        branches.insert(0, unit(x, one, 1, "1x1"))
        branches[-1] = unit(branches[-1], projected, 1, "pool_proj")
    return layers.Concatenate(name=f"{name}_output")(branches)


def _auxiliary(x, alpha, layout, name):
    """(B, H, W, C) -> (B, 1024)."""
    filters, units = (width(wide, alpha) for wide in AUX_WIDTHS)
    if layout == "torch":
        x = layers.AdaptiveAveragePooling2D(4, name=f"{name}_pool")(x)
    else:
        x = layers.AveragePooling2D(5, 3, name=f"{name}_pool")(x)
    x = flatten(conv(x, filters, 1, 1, CONVENTIONS[layout], f"{name}_1x1"), f"{name}_flatten")
    return layers.Dense(units, activation="relu", name=f"{name}_fc")(x)


def _classifiers(
    x,
    *,
    taps,
    alpha,
    classes,
    dropout,
    classifier_activation,
    layout,
    aux: bool = False,
):
    """Global average pooling and a dense layer; with `aux` a dict of this and of those before."""
    rate, aux_rate = (CONVENTIONS[layout].dropout, 0.7) if dropout is None else (dropout, dropout)
    x = globally_pooled(x, "avg")
    outputs = {"predictions": classifier(x, classes, rate, classifier_activation)}
    for name, tap in taps.items() if aux else ():
        x = _auxiliary(tap, alpha, layout, name)
        outputs[name] = classifier(x, classes, aux_rate, classifier_activation, f"{name}_")
    return outputs if aux else outputs["predictions"]


def _smallest(stem, layout, aux):
    pools_5x5 = aux and layout == "caffe"
    return {"imagenet": (31, 79), "small": (8, 20)}[stem][pools_5x5]


@architecture(
    paper="Szegedy et al. 2014, arXiv:1409.4842, Table 1",
    year=2014,
    input_shape=(224, 224, 3),
    classes=1000,
    min_size=_smallest,
    head=_classifiers,
    dropout=None,
    published={"imagenet_top5": Figure(89.93, "Table 3: 1 model, 1 crop, 10.07 % error")},
)
def GoogLeNet(x, *, alpha, stem: Stem = "imagenet", layout: Literal["caffe", "torch"] = "caffe"):
    """Three convolutions, then nine inception modules (Inception v1)."""
    how, taps = CONVENTIONS[layout], {}
    x = stem_layers(x, alpha, stem, how)
    for row in TABLE_1:
        if isinstance(row, str):
            x = max_pool(x, how, row)
        else:
            x = inception(x, (*row[:-1], "max", row[-1]), alpha, how)
        if row[0] in AUX:
            taps[AUX[row[0]]] = x
    return x, taps


def _smallest_bn(stem, separable_stem):
    return {"imagenet": (23, 17), "small": (6, 5)}[stem][separable_stem]


@architecture(
    paper="Ioffe and Szegedy 2015, arXiv:1502.03167, Figure 5",
    year=2015,
    input_shape=(224, 224, 3),
    classes=1000,
    min_size=_smallest_bn,
    head=gap_dense,
    layout="caffe",
    published={
        "imagenet_top1": Figure(74.8, "Figure 4: single crop, 25.2 % error"),
        "imagenet_top5": Figure(92.18, "Figure 4: single crop, 7.82 % error"),
    },
)
def BNInception(x, *, alpha, stem: Stem = "imagenet", separable_stem: bool = False):
    """Three convolutions, then ten inception modules with BatchNorm (Inception v2).

    Args:
        separable_stem: whether it is TF-slim's inception_v2: the 7x7 convolution is separable, and
            BatchNorm and padding differ; the module says how.
    """
    how = CONVENTIONS["slim" if separable_stem else "caffe_bn"]
    x = stem_layers(x, alpha, stem, how)
    for row in FIGURE_5:
        x = inception(x, row, alpha, how)
    return x
