"""Highway networks. Srivastava et al. 2015, https://arxiv.org/abs/1505.00387, Table 1, and their
second paper, "Training Very Deep Networks", https://arxiv.org/abs/1507.06228, Table 2.

A highway layer computes H, a convolution with ReLU, and T, one with a sigmoid, and gives
T*H + (1 - T)*x. It stands here as x + T*(H - x), in plain layers. H, T and x have one width: plain
convolutions stand where the width changes. The bias of T starts at -2, so that x passes at first.

Highway19 is the authors' Caffe network for CIFAR-10, github.com/flukeskywalker/highway-networks,
examples/highways/cifar10-19layers, modelled on FitNet-4. Its pooling rounds sides up. Its top is a
1x1 convolution of 100 filters, averaged over the map, and a dense layer. The papers print 92.24 %
for their 19 layers (first, Table 1), 92.46 % for the best of five (second, Table 2) and, with a 1x1
convolution and global pooling in place of a dense layer, 92.40 % (second, Table 3).

Highway32 is a RECONSTRUCTION: no table and no file of it were published. The second paper says that
3x3 and 1x1 kernels alternate over 32 layers, thinner, with about 1.25M parameters. Stages, pooling,
dropout, top and gates are those of Highway19; each stage has ten layers, and the widths 32, 64 and
96 make 1,264,502 parameters.

Departures from the Caffe file: Keras' own initialisation of all but the biases of T (the file's
Xavier looks at the inputs of a layer alone, and its first and last layers are Gaussian).
"""

from keras import initializers, layers

from keras_archs.architecture import Figure, architecture, width
from keras_archs.heads import dropped, gap_classifier

GATE_BIAS = -2.0
DROPOUT = 0.2  # of the image, after each pooling, before the classifier
LAST = 100  # filters of the 1x1 convolution before the global pooling

# A stage is a plain 3x3 convolution, then highway layers; 2x2 max pooling stands between stages.
HIGHWAY19 = (
    # filters, kernels of the highway layers
    (32, (3, 3, 3, 3)),  #      32 x 32
    (80, (3, 3, 3, 3, 3)),  #   16 x 16
    (128, (3, 3, 3, 3, 3)),  #   8 x  8
)
HIGHWAY32 = (
    (32, (1, 3, 1, 3, 1, 3, 1, 3, 1)),
    (64, (1, 3, 1, 3, 1, 3, 1, 3, 1)),
    (96, (1, 3, 1, 3, 1, 3, 1, 3, 1)),
)


def _conv(x, filters, kernel, name):
    return layers.Conv2D(filters, kernel, padding="same", activation="relu", name=name)(x)


def highway(x, kernel, name):
    """As much of the new state as the gate lets through. (B, H, W, C) -> (B, H, W, C)."""
    filters = x.shape[-1]
    options: dict = {"bias_initializer": initializers.Constant(GATE_BIAS), "name": f"{name}_gate"}
    gate = layers.Conv2D(filters, kernel, padding="same", activation="sigmoid", **options)(x)
    state = _conv(x, filters, kernel, name)
    change = layers.Subtract(name=f"{name}_change")([state, x])
    change = layers.Multiply(name=f"{name}_gated")([gate, change])
    return layers.Add(name=f"{name}_out")([x, change])


@architecture(
    paper="Srivastava et al. 2015, arXiv:1505.00387, Table 1, and the authors' Caffe file",
    year=2015,
    input_shape=(32, 32, 3),
    classes=10,
    min_size=3,
    head=gap_classifier,
    dropout=DROPOUT,
)
def _highway(x, *, alpha, table, dropout):
    """Three stages of highway layers."""
    rate = DROPOUT if dropout is None else dropout
    x = dropped(x, rate, "drop1")
    index = 0
    for stage, (filters, kernels) in enumerate(table, start=1):
        if stage > 1:
            x = layers.MaxPooling2D(2, padding="same", name=f"pool{stage - 1}")(x)
            x = dropped(x, rate, f"drop{stage}")
        index += 1
        x = _conv(x, width(filters, alpha), 3, f"conv{index}")
        for kernel in kernels:
            index += 1
            x = highway(x, kernel, f"conv{index}")
    return _conv(x, width(LAST, alpha), 1, f"conv{index + 1}")


def _published(params, top1, source):
    return {"params": Figure(params, source), "cifar10_top1": Figure(top1, source)}


Highway19 = _highway.variant(
    "Highway19",
    "18 convolutions, 14 of them gated, and a dense layer: 2.3 million parameters.",
    table=HIGHWAY19,
    published=_published(2_300_000, 92.24, "arXiv:1505.00387, Table 1"),
)
Highway32 = _highway.variant(
    "Highway32",
    "31 convolutions, 27 of them gated, 3x3 and 1x1 in turn, and a dense layer (reconstructed).",
    paper="Srivastava et al. 2015, arXiv:1507.06228, section 3.3.1: a reconstruction",
    table=HIGHWAY32,
    published=_published(1_250_000, 91.20, "arXiv:1507.06228, Table 2: theirs, not ours"),
)
