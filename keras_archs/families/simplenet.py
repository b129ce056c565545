"""SimpleNet. Hasanpour et al. 2016, https://arxiv.org/abs/1608.06037, "Lets keep it simple".

The networks are those of the Caffe files that the authors released, github.com/Coderx7/SimpleNet,
SimpNet_V1/Models: DropoutAll, Slim_version_310KParams and Slim_version_460KParams. There layer 7 is
pooled before its BatchNorm, layers 11 to 13 have none, and the last map (1x1 at 32x32) goes to the
dense layer without global pooling. Their later PyTorch version is another network: BatchNorm
everywhere, and other widths in the one of 460 thousand parameters. The README's CIFAR-10 accuracy
of the 310K network, 91.98 %, belongs to other widths (experiment 93 of `SimpNet`): not stated here.

Pooling rounds sides up, as Caffe does. Departure: BatchNorm's momentum is Keras' own.
"""

from keras_archs.architecture import Figure, architecture
from keras_archs.families.chains import chain, chain_min_size, chain_top

# Filters, kernel/stride/padding, then in this order what follows: BatchNorm, ReLU, max pooling,
# dropout (drop0: only with `dropout=`). simpnet.py explains the rows.
#                                                 output at 32x32
SIMPLENET = (
    "64 3/1/1 bn relu drop0.2",  #                32 x 32
    "128 3/1/1 bn relu drop0.2",
    "128 3/1/1 bn relu drop0.2",
    "128 3/1/1 bn relu max2/2/0 drop0.2",  #      16 x 16
    "128 3/1/1 bn relu drop0.2",
    "128 3/1/1 bn relu drop0.2",
    "256 3/1/1 max2/2/0 bn relu drop0.2",  #       8 x  8
    "256 3/1/1 bn relu drop0.2",
    "256 3/1/1 bn relu drop0.2 max2/2/0",  #       4 x  4
    "512 3/1/1 bn relu drop0.2",
    "2048 1/1/0 relu drop0.2",
    "256 1/1/0 relu max2/2/0 drop0.2",  #          2 x  2
    "256 3/1/1 relu max2/2/0",  #                  1 x  1
    "dense",
)
SIMPLENET_310K = (
    "64 3/1/1 bn relu drop0",  #                  32 x 32
    "32 3/1/1 bn relu drop0",
    "32 3/1/1 bn relu drop0",
    "32 3/1/1 bn relu max2/2/0 drop0",  #         16 x 16
    "32 3/1/1 bn relu drop0",
    "32 3/1/1 bn relu drop0",
    "64 3/1/1 max2/2/0 bn relu drop0",  #          8 x  8
    "64 3/1/1 bn relu drop0",
    "64 3/1/1 bn relu drop0 max2/2/0",  #          4 x  4
    "128 3/1/1 bn relu drop0",
    "256 1/1/0 relu drop0",
    "64 1/1/0 relu max2/2/0 drop0",  #             2 x  2
    "64 3/1/1 relu max2/2/0",  #                   1 x  1
    "dense",
)
SIMPLENET_460K = (
    "32 3/1/1 bn relu drop0",  #                  32 x 32
    "32 3/1/1 bn relu drop0",
    "32 3/1/1 bn relu drop0",
    "64 3/1/1 bn relu max2/2/0 drop0",  #         16 x 16
    "64 3/1/1 bn relu drop0",
    "64 3/1/1 bn relu drop0",
    "64 3/1/1 max2/2/0 bn relu drop0",  #          8 x  8
    "64 3/1/1 bn relu drop0",
    "64 3/1/1 bn relu drop0 max2/2/0",  #          4 x  4
    "96 3/1/1 bn relu drop0",
    "96 3/1/1 relu drop0",
    "96 3/1/1 relu max2/2/0 drop0",  #             2 x  2
    "100 1/1/0 relu max2/2/0",  #                  1 x  1
    "dense",
)


def _top(x, *, table, classes, dropout, classifier_activation):
    return chain_top(x, table, classes, dropout, classifier_activation)


@architecture(
    paper="Hasanpour et al. 2016, arXiv:1608.06037, released Caffe definitions",
    year=2016,
    input_shape=(32, 32, 3),
    classes=10,
    min_size=chain_min_size(SIMPLENET, 32),
    head=_top,
    dropout=None,
    layout="caffe",
)
def _simplenet(x, *, alpha, table, dropout):
    """`dropout` is the rate of every dropout layer; None leaves each its own."""
    return chain(x, table, alpha, dropout)


SimpleNet = _simplenet.variant(
    "SimpleNet",
    "13 convolutions, 5.5 million parameters.",
    table=SIMPLENET,
    published={
        "params": Figure(5_480_000, "authors' README, Table 2"),
        "macs": Figure(652_000_000, "authors' README, Table 1"),
        "cifar10_top1": Figure(95.32, "authors' README, Table 2, images padded with zeros"),
    },
)
SimpleNet_310K = _simplenet.variant(
    "SimpleNet_310K",
    "SimpleNet with 310 thousand parameters, without dropout.",
    table=SIMPLENET_310K,
    published={"params": Figure(310_000, "authors' README, Table 6")},
)
SimpleNet_460K = _simplenet.variant(
    "SimpleNet_460K",
    "SimpleNet with 460 thousand parameters, without dropout.",
    table=SIMPLENET_460K,
    published={
        "params": Figure(460_000, "authors' README, Table 6"),
        "cifar10_top1": Figure(92.33, "authors' README, Table 6"),
    },
)
