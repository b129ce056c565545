"""VGG. Simonyan & Zisserman 2014, https://arxiv.org/abs/1409.1556, Table 1, columns A to E.

Layer names are those of keras.applications.VGG16 and VGG19, so their weights load by name; the
other columns are named by the same scheme. `dropout` adds layers that those two do not have (the
paper's 0.5 after `fc1` and `fc2`); they change no prediction.

Departures from the paper:
- Weights start as Glorot & Bengio's, which section 3.1 recommends in hindsight; the authors' runs
  started columns B to E from the trained layers of A.
- `batch_norm=True`, which the paper has not, is BatchNorm between each convolution and its ReLU as
  in Torchvision: the convolutions keep their biases, the dense layers have no BatchNorm.
- Dense layers fix the size of the image; the authors evaluate them as convolutions.
"""

from keras import layers

from keras_archs.architecture import Figure, architecture, width
from keras_archs.families.blocks import Stem, reducer
from keras_archs.heads import dropped, flatten
from keras_archs.normalization import LocalResponseNormalization

LRN = "LRN"  # constants of Krizhevsky et al. 2012
COLUMNS = ("A", "A-LRN", "B", "C", "D", "E")
TABLE = (
    # filters, kernels of the convolutions in each column; then 2x2 max pooling
    (64, (3,), (3, LRN), (3, 3), (3, 3), (3, 3), (3, 3)),  #                       224 x 224
    (128, (3,), (3,), (3, 3), (3, 3), (3, 3), (3, 3)),  #                          112 x 112
    (256, (3, 3), (3, 3), (3, 3), (3, 3, 1), (3, 3, 3), (3, 3, 3, 3)),  #           56 x  56
    (512, (3, 3), (3, 3), (3, 3), (3, 3, 1), (3, 3, 3), (3, 3, 3, 3)),  #           28 x  28
    (512, (3, 3), (3, 3), (3, 3), (3, 3, 1), (3, 3, 3), (3, 3, 3, 3)),  #           14 x  14
)
FC = 4096  # units of fc1 and fc2, from 7 x 7 x 512


def _conv(x, filters, kernel, batch_norm, name):
    """Convolution and ReLU, BatchNorm between. (B, H, W, C) -> (B, H, W, filters)."""
    activation = None if batch_norm else "relu"
    x = layers.Conv2D(filters, kernel, padding="same", activation=activation, name=name)(x)
    if not batch_norm:
        return x
    x = layers.BatchNormalization(epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _fc1_fc2(x, *, alpha, classes, dropout, classifier_activation):
    """Two dense layers with dropout, then the classes. (B, H, W, C) -> (B, classes)."""
    x = flatten(x)
    for name in ("fc1", "fc2"):
        x = layers.Dense(width(FC, alpha), activation="relu", name=name)(x)
        x = dropped(x, dropout, name=f"{name}_dropout")
    activation = classifier_activation or "linear"
    return layers.Dense(classes, activation=activation, name="predictions", dtype="float32")(x)


@architecture(
    paper="Simonyan & Zisserman 2014, arXiv:1409.1556, Table 1",
    year=2014,
    input_shape=(224, 224, 3),
    classes=1000,
    min_size={"imagenet": 32, "small": 8},
    head=_fc1_fc2,
    dropout=0.5,
)
def _vgg(x, *, alpha, column, stem: Stem = "imagenet", batch_norm: bool = False):
    """Five stages of 3x3 convolutions, each closed by 2x2 max pooling."""
    stride_of = reducer(stem)
    at = COLUMNS.index(column)
    for block, (filters, *columns) in enumerate(TABLE, start=1):
        for index, kernel in enumerate(columns[at], start=1):
            if kernel == LRN:
                x = LocalResponseNormalization(name=f"block{block}_lrn")(x)
            else:
                name = f"block{block}_conv{index}"
                x = _conv(x, width(filters, alpha), kernel, batch_norm, name)
        if stride_of(2) > 1:
            x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return x


def _published(params, top1_error, top5_error, scales):
    source = f"Table 3, {scales}: errors of {top1_error} and {top5_error} %"
    return {
        "params": Figure(params, "Table 2"),
        "imagenet_top1": Figure(round(100 - top1_error, 1), source),
        "imagenet_top5": Figure(round(100 - top5_error, 1), source),
    }


VGG11 = _vgg.variant(
    "VGG11",
    "Eight 3x3 convolutions and three dense layers: column A.",
    column="A",
    published=_published(133_000_000, 29.6, 10.4, "S = Q = 256"),
)
VGG11LRN = _vgg.variant(
    "VGG11LRN",
    "VGG11 with local response normalisation after the first convolution: column A-LRN.",
    column="A-LRN",
    published=_published(133_000_000, 29.7, 10.5, "S = Q = 256"),
)
VGG13 = _vgg.variant(
    "VGG13",
    "Ten 3x3 convolutions and three dense layers: column B.",
    column="B",
    published=_published(133_000_000, 28.7, 9.9, "S = Q = 256"),
)
VGG16C = _vgg.variant(
    "VGG16C",
    "Ten 3x3 and three 1x1 convolutions and three dense layers: column C.",
    column="C",
    published=_published(134_000_000, 27.3, 8.8, "S in [256, 512], Q = 384"),
)
VGG16 = _vgg.variant(
    "VGG16",
    "Thirteen 3x3 convolutions and three dense layers: column D.",
    column="D",
    published=_published(138_000_000, 25.6, 8.1, "S in [256, 512], Q = 384"),
)
VGG19 = _vgg.variant(
    "VGG19",
    "Sixteen 3x3 convolutions and three dense layers: column E.",
    column="E",
    published=_published(144_000_000, 25.5, 8.0, "S in [256, 512], Q = 384"),
)
