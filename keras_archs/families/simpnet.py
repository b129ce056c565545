"""SimpNet. Hasanpour et al. 2018, https://arxiv.org/abs/1802.06205, section 5, and the definitions
that its authors released with the trained networks.

Thirteen 3x3 convolutions, each with a bias, BatchNorm and ReLU; two poolings; global max pooling.
"SAF pooling" is max pooling followed by dropout. The widths are those of the released CIFAR-10
files (CIFAR-100's file of SimpNet_9M has 450 filters in layer 11, CIFAR-10's 455). Departure:
BatchNorm's momentum is Keras' own.

`SimpNet(rows=[...])` builds any chain that is spelled out as the rows below.

`experiments.json` holds the 99 chains of layers that the authors of SimpNet and of SimpleNet
published, one a line; `where` is the path in github.com/Coderx7/SimpNet (SimpNetV2/...) or
github.com/Coderx7/SimpleNet (SimpNet_V1/...), `accuracy` what they state, in %. Its rows, `rows=`
and the tables here once they are spelled out read

    60 3/1/1 bn relu max2/2/0 drop0.1    a convolution of 60 filters, kernel/stride/padding, and
                                         what follows it in this order: BatchNorm, ReLU, max pooling
                                         (kernel/stride/padding; sides rounded up), dropout;
                                         avg2/2/0 is average pooling, sides rounded up, without
                                         the padding in its means
    60 3/1/1 bn add1 relu                add1: what 1 row before put out is added, 2 rows before by
                                         add2, ...; both maps must be of one shape
    12 3/1/1 bn relu cat1                cat1: what 1 row before put out stands beside it, 2 rows
                                         before by cat2, ...; maps of one height and width. A dense
                                         block is a row after another with cat1
    60 3/1/1 bn relu max+avg2/2/0        max and average pooling, added
    60 3/1/1 bn relu max|avg2/2/0        max and average pooling side by side, 120 channels
    gmp drop0.2 dense                    the last row: global max (gap: average) pooling, dropout,
                                         the dense layer to the classes
    dense                                or the dense layer on all that is left of the map
    conv 3/1/1 bn relu gap               or a convolution to the classes, pooled globally
"""

import functools
import json
from pathlib import Path

from keras_archs.architecture import Figure, architecture
from keras_archs.families.chains import chain, chain_min_size, chain_top, check_rows

EXPERIMENTS = Path(__file__).with_name("experiments.json")

_Id = int | None
_Rows = list[str] | None

# filters, repeat, max pooling after the last of them, dropout (of the last row: after the global
# pooling). The map is 32 x 32 until the first pooling, then 16 x 16, then 8 x 8.
SIMPNET_9M = (
    (128, 1, False, 0.2),
    (182, 3, False, 0.2),
    (182, 1, True, 0.2),
    (182, 4, False, 0.2),
    (430, 1, True, 0.2),
    (430, 1, False, 0.2),
    (455, 1, False, 0.2),
    (600, 1, False, 0.2),
)
SIMPNET_5M = (
    (66, 1, False, 0.2),
    (128, 3, False, 0.2),
    (192, 1, True, 0.2),
    (192, 4, False, 0.2),
    (288, 1, True, 0.3),
    (288, 1, False, 0.3),
    (355, 1, False, 0.3),
    (432, 1, False, 0.3),
)
SIMPNET_1M = (
    (60, 1, False, 0.0),
    (80, 3, False, 0.0),
    (85, 1, True, 0.1),
    (85, 1, False, 0.0),
    (90, 3, False, 0.0),
    (110, 1, True, 0.2),
    (110, 1, False, 0.0),
    (127, 1, False, 0.0),
    (150, 1, False, 0.2),
)
SIMPNET_600K = (
    (40, 1, False, 0.1),
    (60, 3, False, 0.1),
    (72, 1, True, 0.1),
    (73, 3, False, 0.1),
    (75, 1, False, 0.1),
    (81, 1, True, 0.2),
    (82, 1, False, 0.2),
    (90, 1, False, 0.2),
    (120, 1, False, 0.2),
)
SIMPNET_300K = (
    (30, 1, False, 0.0),
    (40, 3, False, 0.0),
    (50, 1, True, 0.0),
    (50, 4, False, 0.0),
    (58, 1, True, 0.0),
    (58, 1, False, 0.0),
    (70, 1, False, 0.0),
    (90, 1, False, 0.0),
)


@functools.cache
def experiments() -> dict[int, dict]:
    """The lines of `experiments.json` by id."""
    return {row["id"]: row for row in json.loads(EXPERIMENTS.read_text(encoding="utf-8"))}


def _experiment(experiment):
    whole = hasattr(experiment, "__index__") and not isinstance(experiment, bool)
    if not whole or int(experiment) not in experiments():
        raise ValueError(
            "`experiment` must be None or the id of a chain in keras_archs/experiments.json, such "
            f"as 0, 1, 2. Received: experiment={experiment!r}"
        )
    return experiments()[int(experiment)]


def _rows(table, experiment, rows):
    """The rows that are given, or those of an experiment, or of a table."""
    if rows is not None:
        if experiment is not None:
            raise ValueError(
                "`rows` must be None where `experiment` is given. "
                f"Received: rows={rows!r}, experiment={experiment!r}"
            )
        check_rows(rows)
        return rows
    if experiment is not None:
        return _experiment(experiment)["rows"]
    *spelled, last = [
        f"{filters} 3/1/1 bn relu {'max2/2/0 ' * (pool and at == repeat)}drop{rate}"
        for filters, repeat, pool, rate in table
        for at in range(1, repeat + 1)
    ]
    last, _, drop = last.rpartition(" ")
    return [*spelled, last, f"gmp {drop} dense"]


def _paper_input(experiment):
    if experiment is None:
        return (32, 32, 3), 10
    row = _experiment(experiment)
    return tuple(row["input_shape"]), row["classes"]


def _min_size(table, experiment, rows):
    return chain_min_size(_rows(table, experiment, rows), min(_paper_input(experiment)[0][:2]))


def _top(
    x, *, table, classes, dropout, classifier_activation, experiment: _Id = None, rows: _Rows = None
):
    return chain_top(x, _rows(table, experiment, rows), classes, dropout, classifier_activation)


@architecture(
    paper="Hasanpour et al. 2018, arXiv:1802.06205, section 5",
    year=2018,
    input_shape=(32, 32, 3),
    classes=10,
    min_size=_min_size,
    head=_top,
    dropout=None,
    paper_input=_paper_input,
)
def _simpnet(x, *, alpha, table, experiment: _Id = None, rows: _Rows = None, dropout):
    """`dropout` is the rate of every dropout layer; None leaves each its own."""
    return chain(x, _rows(table, experiment, rows), alpha, dropout)


def _published(params, top1, source):
    return {"params": Figure(params, source), "cifar10_top1": Figure(top1, source)}


SimpNet = _simpnet.variant(
    "SimpNet",
    """13 convolutions of 3x3, 5.5 million parameters: the paper's main network.

    Args:
        experiment: None, or the id of one of the 99 published networks in experiments.json, which
            is built instead; `input_shape`, `classes` and the minimum size are then its own.
        rows: None, or the chain of layers that is built instead, such as
            `["60 3/1/1 bn relu max2/2/0 drop0.1", "gmp drop0.2 dense"]`; the docstring of
            keras_archs.simpnet says how rows read. `experiment` must then be None.
    """,
    table=SIMPNET_5M,
    published=_published(5_480_000, 95.69, "authors' README; their training log reaches 95.49"),
)
SimpNet_9M = _simpnet.variant(
    "SimpNet_9M",
    "SimpNet with 8.9 million parameters.",
    table=SIMPNET_9M,
    experiment=None,
    rows=None,
    published=_published(8_900_000, 96.12, "authors' README; their training log reaches 95.89"),
)
SimpNet_1M = _simpnet.variant(
    "SimpNet_1M",
    "SimpNet with one million parameters; dropout after the poolings only.",
    table=SIMPNET_1M,
    experiment=None,
    rows=None,
    published=_published(1_000_000, 94.76, "authors' released slim networks, CIFAR-10"),
)
SimpNet_600K = _simpnet.variant(
    "SimpNet_600K",
    "SimpNet with 600 thousand parameters.",
    table=SIMPNET_600K,
    experiment=None,
    rows=None,
    published=_published(600_000, 94.03, "authors' released slim networks, CIFAR-10"),
)
SimpNet_300K = _simpnet.variant(
    "SimpNet_300K",
    "SimpNet with 300 thousand parameters, without dropout.",
    table=SIMPNET_300K,
    experiment=None,
    rows=None,
    published=_published(300_000, 93.25, "authors' released slim networks, CIFAR-10"),
)
