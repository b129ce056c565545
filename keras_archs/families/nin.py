"""Network in Network. Lin, Chen & Yan 2013, https://arxiv.org/abs/1312.4400, Figure 2.

The paper gives no widths; they are those of the authors' Caffe files in the Caffe model zoo:
`NiN` is nin_imagenet, `NiNCifar` the CIFAR-10 model. Initialisation and the ReLU after the
convolution to the classes, before the global pooling, are theirs, too. An "mlpconv" block is a
convolution and two 1x1 convolutions (cccp: cascaded cross-channel pooling); in the last block the
second of them has one map a class and belongs to the classifier. NiN's Gaussians suit pixels of
0 to 255 less their mean, as in Caffe: smaller ones make a weak signal at the start.

Pooling rounds sides up, as Caffe does. Departures:
- NiN's images are 227x227, as AlexNet's; the file crops 224x224, with the same maps after pool1.
- NiNCifar averages in pool2 as the Caffe file does; the authors' cuda-convnet file takes maxima.
- The averaging pool2 is Caffe's where the sides of its map are both even (as at 32x32) or both
  odd; otherwise, and where a None side turns out odd, it makes the odd side 1 larger.
"""

from keras import initializers, layers

from keras_archs.architecture import Figure, architecture, width
from keras_archs.families.blocks import Stem, ceil_max_pool, reducer
from keras_archs.heads import averaged, dropped

IMAGENET = (
    # filters, kernel, stride, std; 1x1s; 3x3/2 pooling; dropout    output at 227x227, pooled
    (96, 11, 4, 0.01, (96, 96), "max", False),  #      conv1          55 x 55,  27 x 27
    (256, 5, 1, 0.05, (256, 256), "max", False),  #    conv2          27 x 27,  13 x 13
    (384, 3, 1, 0.01, (384, 384), "max", True),  #     conv3          13 x 13,   6 x  6
    (1024, 3, 1, 0.05, (1024,), None, False),  #       conv4           6 x  6
)
CIFAR = (
    # filters, kernel, stride, std; 1x1s; 3x3/2 pooling; dropout    output at 32x32, pooled
    (192, 5, 1, 0.05, (160, 96), "max", True),  #      conv1          32 x 32,  16 x 16
    (192, 5, 1, 0.05, (192, 192), "average", True),  # conv2          16 x 16,   8 x  8
    (192, 3, 1, 0.05, (192,), None, False),  #         conv3           8 x  8
)
CCCP_STD = 0.05  # of the Gaussian that a 1x1's weights start from


def _conv(x, filters, kernel, name, std=CCCP_STD, stride=1, **options):
    """(B, H, W, C) -> (B, H, W, filters), or unpadded with the stride of the 11x11."""
    options["padding"] = "valid" if kernel == 11 else "same"
    options["kernel_initializer"] = initializers.RandomNormal(stddev=std)
    return layers.Conv2D(filters, kernel, stride, activation="relu", name=name, **options)(x)


def _ceil_average_pool(x, name):
    """(B, H, W, C) -> (B, ceil((H - 3) / 2) + 1, ..., C). Only what is in the map is averaged."""
    odd = all(side is not None and side % 2 for side in x.shape[1:3])
    return layers.AveragePooling2D(3, 2, padding="valid" if odd else "same", name=name)(x)


def _cccp_gap(x, *, table, classifier_std, classes, classifier_activation):
    """A 1x1 convolution to the classes, averaged over the map. (B, H, W, C) -> (B, classes)."""
    last = 2 * len(table)
    x = _conv(x, classes, 1, f"cccp{last}", classifier_std, dtype="float32")
    return averaged(x, classifier_activation, f"pool{len(table)}")


@architecture(
    paper="Lin et al. 2013, arXiv:1312.4400, Figure 2; widths of the authors' Caffe files",
    year=2013,
    input_shape=(227, 227, 3),
    classes=1000,
    layout="caffe",
    min_size={"imagenet": 39, "small": 14},
    head=_cccp_gap,
    dropout=None,
)
def _nin(x, *, alpha, table, classifier_std, dropout, stem: Stem = "imagenet"):
    """Blocks of one convolution and two 1x1 convolutions, pooled; global average pooling.

    `dropout` is the rate after the poolings that have it, None 0.5.
    """
    stride_of, rate = reducer(stem), 0.5 if dropout is None else dropout
    for block, (filters, kernel, stride, std, cccps, pool, drops) in enumerate(table, start=1):
        x = _conv(x, width(filters, alpha), kernel, f"conv{block}", std, stride_of(stride))
        for index, filters in enumerate(cccps, start=2 * block - 1):
            x = _conv(x, width(filters, alpha), 1, f"cccp{index}")
        if pool and stride_of(2) > 1:
            name = f"pool{block}"
            x = ceil_max_pool(x, 3, 2, name) if pool == "max" else _ceil_average_pool(x, name)
        x = dropped(x, rate if drops else 0, name=f"drop{block}")
    return x


NiN = _nin.variant(
    "NiN",
    "Four blocks for ImageNet.",
    table=IMAGENET,
    classifier_std=0.01,
    published={"imagenet_top1": Figure(59.36, "Caffe model zoo, nin_imagenet, one crop")},
)
NiNCifar = _nin.variant(
    "NiNCifar",
    "Three blocks for CIFAR-10.",
    input_shape=(32, 32, 3),
    classes=10,
    min_size=4,
    table=CIFAR,
    classifier_std=0.05,
    stem="imagenet",
    published={"cifar10_top1": Figure(91.19, "Table 1, with augmentation: error of 8.81 %")},
)
