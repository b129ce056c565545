"""All-CNN. Springenberg et al. 2015, https://arxiv.org/abs/1412.6806, Tables 1 and 2.

Three networks for CIFAR, each in four variants. Table 2 writes them out for C; the paper says that
those of A and B are made likewise, so the stride of Strided-CNN-B is in the 1x1 convolution before
each pooling. Errors on CIFAR-10 in %, without augmentation (Table 3):

    variant              A      B      C
    base              12.47  10.20   9.74
    strided           13.46  10.98  10.19
    convpool          10.21   9.33   9.31
    all               10.30   9.10   9.08 (7.25 with augmentation)

Convolutions are padded by half their kernel on all sides, strided ones too, but for the 3x3 of the
last block: only without padding is its map the 6x6 of Table 1. Pooling is not padded and rounds up,
32 -> 16 -> 8. The classifier convolution is followed by a ReLU, as Table 1 prints it. Table 3
prints 1.3M parameters for Model C and Strided-CNN-C, where the layers of Table 1 have 0.95M.
Departure: Keras' own initialisation.
"""

from typing import Literal

from keras import layers

from keras_archs.architecture import Figure, architecture, width
from keras_archs.families.blocks import ceil_max_pool, padded
from keras_archs.heads import averaged, dropped

Variant = Literal["all", "strided", "convpool", "base"]

# (filters, kernel) of the convolutions before the first and before the second 3x3 max pooling of
# stride 2 of the base models. The map is 32 x 32, then 16 x 16, then 8 x 8.
TABLE_A = (((96, 5),), ((192, 5),))
TABLE_B = (((96, 5), (96, 1)), ((192, 5), (192, 1)))
TABLE_C = (((96, 3), (96, 3)), ((192, 3), (192, 3)))
TOP = (
    # filters, kernel, padding
    (192, 3, "valid"),  # 6 x 6
    (192, 1, "valid"),
)
INPUT_DROPOUT, DROPOUT = 0.2, 0.5  # of the image; after each pooling or what stands for it


def _conv(x, filters, kernel, stride, name):
    """Padded convolution and ReLU. (B, H, W, C) -> (B, ceil(H/stride), ceil(W/stride), filters)."""
    x, padding = padded(x, kernel, stride, f"{name}_pad")
    return layers.Conv2D(filters, kernel, stride, padding, activation="relu", name=name)(x)


def reduced(x, variant, convs, name):
    """Convolutions, then half the sides in the variant's way. (B, H, W, C) -> (B, H/2, W/2, F)."""
    if variant in ("convpool", "all"):
        convs = (*convs, (convs[-1][0], 3))
    for index, (filters, kernel) in enumerate(convs, start=1):
        halves = index == len(convs) and variant in ("strided", "all")
        x = _conv(x, filters, kernel, 2 if halves else 1, f"conv{name}_{index}")
    return ceil_max_pool(x, 3, 2, f"pool{name}") if variant in ("convpool", "base") else x


def _conv_gap(x, *, classes, classifier_activation):
    """A 1x1 convolution to the classes, averaged over the map. (B, H, W, C) -> (B, classes)."""
    x = layers.Conv2D(classes, 1, activation="relu", name="logits_map", dtype="float32")(x)
    return averaged(x, classifier_activation, "logits")


def _min_size(variant):
    """The second map must have 3 pixels a side; pooling without padding loses those of the edge."""
    return 12 if variant in ("convpool", "base") else 9


@architecture(
    paper="Springenberg et al. 2015, arXiv:1412.6806, Tables 1 and 2",
    year=2014,
    input_shape=(32, 32, 3),
    classes=10,
    min_size=_min_size,
    head=_conv_gap,
    dropout=None,
)
def _allcnn(x, *, alpha, table, dropout, variant: Variant = "all"):
    """Convolutions alone.

    Args:
        variant: how the map is halved. "base": 3x3 max pooling of stride 2. "strided": the
            convolution before that pooling gets its stride, the pooling is left out. "convpool":
            one more 3x3 convolution before the pooling. "all": one more 3x3 convolution, of stride
            2, in place of the pooling.
    """
    x = dropped(x, INPUT_DROPOUT if dropout is None else dropout, "drop_input")
    for block, convs in enumerate(table, start=1):
        scaled = tuple((width(filters, alpha), kernel) for filters, kernel in convs)
        x = reduced(x, variant, scaled, block)
        x = dropped(x, DROPOUT if dropout is None else dropout, f"drop{block}")
    for index, (filters, kernel, padding) in enumerate(TOP, start=1):
        conv = layers.Conv2D(
            width(filters, alpha), kernel, 1, padding, activation="relu", name=f"conv3_{index}"
        )
        x = conv(x)
    return x


def _published(error):
    return {"cifar10_top1": Figure(error, "Table 3, ALL-CNN, without augmentation")}


AllCNN_A = _allcnn.variant(
    "AllCNN_A",
    "One 5x5 convolution before each reduction.",
    table=TABLE_A,
    published=_published(89.70),
)
AllCNN_B = _allcnn.variant(
    "AllCNN_B",
    "One 5x5 and one 1x1 convolution before each reduction.",
    table=TABLE_B,
    published=_published(90.90),
)
AllCNN_C = _allcnn.variant(
    "AllCNN_C",
    "Two 3x3 convolutions before each reduction.",
    table=TABLE_C,
    published=_published(90.92),
)
