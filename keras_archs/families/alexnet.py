"""AlexNet. Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional
neural networks", NIPS 25, section 3.5 and Figure 2.

`AlexNet` is the network of two towers, 60,965,224 parameters: each convolution of conv2, conv4 and
conv5 sees half of the maps, as in Caffe's `bvlc_alexnet`. It is built as two convolutions on the
halves and a concatenation, which trains much faster on a CPU than `groups=2`. Initialisation is the
paper's, for pixels of 0 to 255 less their mean (section 2).

Departures from the paper:
- The images are 227x227: the paper prints 224x224, but its 55x55 maps need 227.
- Normalisation sums across the maps of both towers, as the paper's equation and Caffe have it,
  although each of the authors' two GPUs held half of them. The constants are the paper's.
- Dropout scales the outputs in training, the authors halved them in testing.

`layout="caffe"` is what `bvlc_alexnet` does in another way: k = 1 and alpha / 5 in normalisation;
pooling rounds sides up, which at 227x227 it need not.

`AlexNetOneTower` is Krizhevsky 2014, "One weird trick", https://arxiv.org/abs/1404.5997, as
Torchvision has it: one tower of 64-192-384-256-256 maps at 224x224, without normalisation, dropout
before instead of after the dense layers. Torchvision also averages the last map to 6x6, which does
nothing at 224x224; here a larger image has a larger map. Initialisation is Keras' own.
"""

from typing import Literal

from keras import initializers, layers

from keras_archs.architecture import Figure, architecture, width
from keras_archs.families.blocks import Stem, ceil_max_pool, reducer
from keras_archs.heads import activated, classifier, dropped, flatten
from keras_archs.normalization import LocalResponseNormalization

LRN, POOL = "LRN", "POOL"  # POOL: 3x3 max pooling, stride 2
TWO_TOWERS = (
    # filters, kernel, stride, towers, bias, what follows       output at 227x227, pooled
    (96, 11, 4, 1, 0, (LRN, POOL)),  # conv1                     55 x 55,  27 x 27
    (256, 5, 1, 2, 1, (LRN, POOL)),  # conv2                     27 x 27,  13 x 13
    (384, 3, 1, 1, 0, ()),  #          conv3                     13 x 13
    (384, 3, 1, 2, 1, ()),  #          conv4                     13 x 13
    (256, 3, 1, 2, 1, (POOL,)),  #     conv5                     13 x 13,   6 x  6
)
ONE_TOWER = (
    # filters, kernel, stride, what follows                     output at 224x224, pooled
    (64, 11, 4, (POOL,)),  #  conv1, padded by 2                 55 x 55,  27 x 27
    (192, 5, 1, (POOL,)),  #  conv2                              27 x 27,  13 x 13
    (384, 3, 1, ()),  #       conv3                              13 x 13
    (256, 3, 1, ()),  #       conv4                              13 x 13
    (256, 3, 1, (POOL,)),  #  conv5                              13 x 13,   6 x  6
)
FC = 4096  # units of fc6 and fc7
NORM = {"paper": {}, "caffe": {"alpha": 1e-4 / 5, "k": 1.0}}


def _start(bias):
    """Section 5: weights from a Gaussian of 0.01, biases of 1 where ReLUs should start alive."""
    return {
        "kernel_initializer": initializers.RandomNormal(stddev=0.01),
        "bias_initializer": initializers.Constant(bias),
    }


def _half(x, tower, name):
    """(B, H, W, C) -> (B, H, W, C / 2), the first or the second half of the maps."""
    kept = x.shape[-1] // 2
    crop = (0, kept) if tower == 1 else (kept, 0)
    # told that the sides come last, Cropping2D crops the last axis, here the maps
    return layers.Cropping2D(((0, 0), crop), data_format="channels_first", name=name)(x)


def _conv(x, filters, kernel, stride, name, **start):
    """(B, H, W, C) -> (B, H, W, filters), or unpadded with the stride of the 11x11."""
    padding = "valid" if kernel == 11 else "same"
    conv = layers.Conv2D(filters, kernel, stride, padding, activation="relu", name=name, **start)
    return conv(x)


def _towers(x, half_filters, kernel, bias, name):
    """Two convolutions, each on half of the maps. (B, H, W, C) -> (B, H, W, 2 * half_filters)."""
    halves = [
        _conv(_half(x, t, f"{name}_{t}_in"), half_filters, kernel, 1, f"{name}_{t}", **_start(bias))
        for t in (1, 2)
    ]
    return layers.Concatenate(name=f"{name}_concat")(halves)


def _max_pool(x, kernel, stride, name):
    return layers.MaxPooling2D(kernel, stride, name=name)(x)


def _fc(x, alpha, name, **start):
    return layers.Dense(width(FC, alpha), activation="relu", name=name, **start)(x)


def _fc6_fc7(x, *, alpha, classes, dropout, classifier_activation):
    """Dropout after both dense layers. (B, H, W, C) -> (B, classes)."""
    x = _fc(flatten(x), alpha, "fc6", **_start(1))
    x = _fc(dropped(x, dropout, "drop6"), alpha, "fc7", **_start(1))
    x = dropped(x, dropout, "drop7")
    x = layers.Dense(classes, name="logits", dtype="float32", **_start(0))(x)
    return activated(x, classifier_activation)


def _dropped_fc6_fc7(x, *, alpha, classes, dropout, classifier_activation):
    """Dropout before both dense layers. (B, H, W, C) -> (B, classes)."""
    x = _fc(dropped(flatten(x), dropout, "drop6"), alpha, "fc6")
    x = _fc(dropped(x, dropout, "drop7"), alpha, "fc7")
    return classifier(x, classes, 0, classifier_activation)


def _min_size(stem, layout):
    return {"paper": (67, 17), "caffe": (39, 14)}[layout][stem == "small"]


@architecture(
    paper="Krizhevsky et al. 2012, NIPS 25, section 3.5, Figure 2",
    year=2012,
    input_shape=(227, 227, 3),
    classes=1000,
    min_size=_min_size,
    head=_fc6_fc7,
    dropout=0.5,
    published={
        "params": Figure(60_000_000, "abstract"),
        "imagenet_top1": Figure(59.3, "Table 2, one CNN: validation error of 40.7 %"),
        "imagenet_top5": Figure(81.8, "Table 2, one CNN: validation error of 18.2 %"),
    },
)
def AlexNet(x, *, alpha, stem: Stem = "imagenet", layout: Literal["paper", "caffe"] = "paper"):
    """Five convolutions, three of them in two towers, then three dense layers.

    `alpha` scales the halves, so that every layer divides into two.
    """
    stride_of = reducer(stem)
    for index, (filters, kernel, stride, towers, bias, then) in enumerate(TWO_TOWERS, start=1):
        name, half = f"conv{index}", width(filters // 2, alpha)
        if towers == 2:
            x = _towers(x, half, kernel, bias, name)
        else:
            x = _conv(x, 2 * half, kernel, stride_of(stride), name, **_start(bias))
        if LRN in then:
            x = LocalResponseNormalization(**NORM[layout], name=f"norm{index}")(x)
        if POOL in then and stride_of(2) > 1:
            pool = ceil_max_pool if layout == "caffe" else _max_pool
            x = pool(x, 3, 2, f"pool{index}")
    return x


@architecture(
    paper="Krizhevsky 2014, arXiv:1404.5997, as in Torchvision",
    year=2014,
    input_shape=(224, 224, 3),
    classes=1000,
    layout="torch",
    min_size={"imagenet": 63, "small": 13},
    head=_dropped_fc6_fc7,
    dropout=0.5,
)
def AlexNetOneTower(x, *, alpha, stem: Stem = "imagenet"):
    """Five convolutions and three dense layers in one tower."""
    stride_of = reducer(stem)
    x = layers.ZeroPadding2D(2, name="conv1_pad")(x)
    for index, (filters, kernel, stride, then) in enumerate(ONE_TOWER, start=1):
        x = _conv(x, width(filters, alpha), kernel, stride_of(stride), f"conv{index}")
        if POOL in then and stride_of(2) > 1:
            x = layers.MaxPooling2D(3, 2, name=f"pool{index}")(x)
    return x
