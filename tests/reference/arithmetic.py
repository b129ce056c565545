"""What courses and papers teach about cost: each printed figure beside the count that it means.

`SECTIONS` holds the figures by section, row and column, each in the unit in which it is printed.
The tests compare the two; `docs/tables.py` makes the tables of docs/cost.md from them.
"""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import keras
from keras import layers

import keras_archs
from keras_archs import LayerCost


@dataclass(frozen=True)
class Figure:
    """A count, or share, that a course or paper prints.

    Attributes:
        count: computes it; a share as a float.
        printed: the figure there.
        unit: what that figure counts in.
        erratum: whether what is printed does not follow from the layers beside it.
    """

    count: Callable[[], float]
    printed: float
    unit: float = 1
    erratum: bool = False

    def __str__(self) -> str:
        true = self.count()
        if isinstance(true, float):
            return f"{percent(true)} ({100 * self.printed:g} %)"
        if self.unit == 1:
            return f"{true:,}"
        printed = f"**{self.printed:g}**" if self.erratum else f"{self.printed:g}"
        return f"{true:,} ({printed})"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


# ------------------------------------------------------------------------------ what is counted

_profile = functools.cache(keras_archs.profile)


@functools.cache
def stack(shape: tuple[int, ...], *stacked: tuple) -> tuple[LayerCost, ...]:
    """The rows of these layers, one after the other; each is given as its class and arguments."""

    def build():
        return keras.Sequential([keras.Input(shape), *(make(*args) for make, *args in stacked)])

    return keras_archs.profile(build).rows[1:]


def conv(filters: int, kernel: int | tuple[int, int], strides: int = 1, padding: str = "same"):
    return layers.Conv2D(filters, kernel, strides, padding=padding, use_bias=False)


def depthwise(kernel: int, padding: str = "same"):
    return layers.DepthwiseConv2D(kernel, padding=padding, use_bias=False)


def dense(units: int):
    return layers.Dense(units, use_bias=False)


def pool(kernel: int, strides: int):
    return layers.MaxPooling2D(kernel, strides, padding="same")


def total(rows: Iterable[LayerCost], quantity: str) -> int:
    return sum(getattr(row, quantity) for row in rows)


def weights(rows: Iterable[LayerCost]) -> int:
    """Of convolutions and dense layers that have biases, those left out."""
    return sum(row.params - row.output_shape[-1] for row in rows if row.macs)


@functools.cache
def inception(side: int, channels: int, bottlenecks: bool) -> tuple[LayerCost, ...]:
    """1x1 128, 3x3 192, 5x5 96 and pooling side by side; with 1x1 64 before or behind these."""

    def build():
        inputs = keras.Input((side, side, channels))
        reduce = (lambda x: conv(64, 1)(x)) if bottlenecks else (lambda x: x)
        branches = [
            conv(128, 1)(inputs),
            conv(192, 3)(reduce(inputs)),
            conv(96, 5)(reduce(inputs)),
            reduce(pool(3, 1)(inputs)),
        ]
        return keras.Model(inputs, layers.Concatenate()(branches))

    return keras_archs.profile(build).rows


def low_rank(inputs: int, units: int, rank: int) -> tuple[LayerCost, ...]:
    """Two dense layers in the place of one: its kernel as a product of two narrow matrices."""
    return stack((inputs,), (dense, rank), (dense, units))


def break_even(inputs: int, units: int) -> int:
    """The highest rank that saves anything."""
    return (inputs * units - 1) // (inputs + units)


# ------------------------------------------------------------------------------------- sections

SINGLE = (
    ("5x5 convolution, 28x28x192 -> 28x28x32, same padding", (28, 28, 192), [(conv, 32, 5)]),
    (
        "the same through a 1x1 bottleneck of 16 channels",
        (28, 28, 192),
        [(conv, 16, 1), (conv, 32, 5)],
    ),
    (
        "5x5 depthwise separable, 28x28x192 -> 28x28x32",
        (28, 28, 192),
        [(depthwise, 5), (conv, 32, 1)],
    ),
    ("3x3 convolution, 6x6x3 -> 4x4x5, valid padding", (6, 6, 3), [(conv, 5, 3, 1, "valid")]),
    ("the same, depthwise separable", (6, 6, 3), [(depthwise, 3, "valid"), (conv, 5, 1)]),
)
SINGLE_PRINTED = (
    {"params": 153_600, "macs": 120_422_400},
    {"params": 15_872, "macs": 12_443_648, "parts_macs": [2_408_448, 10_035_200]},
    {"params": 10_944, "macs": 8_580_096, "parts_macs": [3_763_200, 4_816_896]},
    {"macs": 2_160},
    {"macs": 672, "parts_macs": [432, 240]},
)
FACTORISED = {
    "3x3": [(conv, 10, 3)],
    "two 2x2": [(conv, 10, 2), (conv, 10, 2)],
    "3x1, then 1x3": [(conv, 10, (3, 1)), (conv, 10, (1, 3))],
}


def _single_layers() -> list[dict]:
    rows = []
    for (_, shape, stacked), printed in zip(SINGLE, SINGLE_PRINTED, strict=True):
        counted = functools.partial(stack, shape, *stacked)
        row: dict = {
            quantity: Figure(lambda c=counted, q=quantity: total(c(), q), printed[quantity])
            for quantity in ("params", "macs")
            if quantity in printed
        }
        if "parts_macs" in printed:
            row["parts_macs"] = [
                Figure(lambda c=counted, i=i: c()[i].macs, macs)
                for i, macs in enumerate(printed["parts_macs"])
            ]
        rows.append(row)
    ways = zip(FACTORISED.values(), (900, 800, 600), strict=True)
    factorised = [
        Figure(lambda way=way: total(stack((9, 9, 10), *way), "params"), printed)
        for way, printed in ways
    ]
    return [*rows, {}, {"params": factorised}]


def _naive_inception() -> dict:
    naive = functools.partial(inception, 28, 256, False)
    reduced = functools.partial(inception, 28, 256, True)
    return {
        "output_channels": Figure(lambda: naive()[-1].output_shape[-1], 672),
        "macs": Figure(lambda: total(naive(), "macs"), 854_196_224),
        "macs_with_bottlenecks": Figure(lambda: total(reduced(), "macs"), 271_351_808),
        "printed_millions": [
            Figure(lambda: total(naive(), "macs"), 854, 1e6),
            Figure(lambda: total(reduced(), "macs"), 358, 1e6, erratum=True),
        ],
    }


STEM = {
    "conv 7x7/2": (conv, 64, 7, 2),
    "max-pool 3x3/2": (pool, 3, 2),
    "conv 1x1": (conv, 64, 1),
    "conv 3x3": (conv, 192, 3),
    "max-pool 3x3/2 ": (pool, 3, 2),  # a second one
}
STEM_PRINTED = (
    (64, 112, 3136, 9, 118),
    (64, 56, 784, 0, 2),
    (64, 56, 784, 4, 13),
    (192, 56, 2352, 111, 347),
    (192, 28, 588, 0, 1),
)


def stem() -> tuple[LayerCost, ...]:
    return stack((224, 224, 3), *STEM.values())


def _stem() -> list[dict]:
    return [
        {
            "output_channels": Figure(lambda i=i: stem()[i].output_shape[-1], channels),
            "output_size": Figure(lambda i=i: stem()[i].output_shape[0], size),
            "memory_kb": Figure(lambda i=i: stem()[i].activation_bytes, memory, 1024),
            "params_k": Figure(lambda i=i: stem()[i].params, params, 1000),
            "mops": Figure(lambda i=i: stem()[i].ops, mops, 1e6),
        }
        for i, (channels, size, memory, params, mops) in enumerate(STEM_PRINTED)
    ]


# type, prefixes of the names in our GoogLeNet, output, thousands of weights, millions of MACs
TABLE_1 = (
    ("convolution 7x7/2", "conv1_", (112, 112, 64), 2.7, 34),
    ("convolution 3x3/1", "conv2_", (56, 56, 192), 112, 360),
    ("inception 3a", "inception_3a_", (28, 28, 256), 159, 128),
    ("inception 3b", "inception_3b_", (28, 28, 480), 380, 304),
    ("inception 4a", "inception_4a_", (14, 14, 512), 364, 73),
    ("inception 4b", "inception_4b_", (14, 14, 512), 437, 88),
    ("inception 4c", "inception_4c_", (14, 14, 512), 463, 100),
    ("inception 4d", "inception_4d_", (14, 14, 528), 580, 119),
    ("inception 4e", "inception_4e_", (14, 14, 832), 840, 170),
    ("inception 5a", "inception_5a_", (7, 7, 832), 1072, 54),
    ("inception 5b", "inception_5b_", (7, 7, 1024), 1388, 71),
    ("linear", "logits", (1, 1, 1000), 1000, 1),
)
TABLE_1_ERRATA = {
    *(("convolution 7x7/2", "params_k"), ("convolution 7x7/2", "mops")),
    *(("inception 4c", "params_k"), ("inception 5a", "params_k"), ("inception 5a", "mops")),
}
BRANCHES = ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")
FILTERS = {
    "3a": (192, 64, 96, 128, 16, 32, 32, 28),
    "3b": (256, 128, 128, 192, 32, 96, 64, 28),
    "4a": (480, 192, 96, 208, 16, 48, 64, 14),
    "4b": (512, 160, 112, 224, 24, 64, 64, 14),
    "4c": (512, 128, 128, 256, 24, 64, 64, 14),
    "4d": (512, 112, 144, 288, 32, 64, 64, 14),
    "4e": (528, 256, 160, 320, 32, 128, 128, 14),
    "5a": (832, 256, 160, 320, 32, 128, 128, 7),
    "5b": (832, 384, 192, 384, 48, 128, 128, 7),
}


def googlenet(prefix: str) -> list[LayerCost]:
    """The rows of a module of our GoogLeNet."""
    return [row for row in _profile("googlenet").rows if row.name.startswith(prefix)]


def _side_by_side(prefix: str) -> tuple[int, ...]:
    """What the last row writes, as a map."""
    shape = googlenet(prefix)[-1].output_shape
    return shape if len(shape) == 3 else (1, 1, *shape)


def _table_1() -> dict:
    rows = [
        {
            "output": [
                Figure(lambda p=prefix, i=i: _side_by_side(p)[i], side)
                for i, side in enumerate(output)
            ],
            "params_k": Figure(
                lambda p=prefix: weights(googlenet(p)),
                params,
                1024,
                (kind, "params_k") in TABLE_1_ERRATA,
            ),
            "mops": Figure(
                lambda p=prefix: total(googlenet(p), "macs"),
                mops,
                1e6,
                (kind, "mops") in TABLE_1_ERRATA,
            ),
        }
        for kind, prefix, output, params, mops in TABLE_1
    ]
    filters = [
        {
            "in": Figure(lambda m=module: _channels_into(m), read),
            **{
                branch.replace("_", " "): Figure(lambda m=module, b=branch: _filters(m, b), count)
                for branch, count in zip(BRANCHES, counts, strict=True)
            },
            "side": Figure(lambda m=module: _side_by_side(f"inception_{m}_")[0], side),
        }
        for module, (read, *counts, side) in FILTERS.items()
    ]
    return {"rows": rows, "filters": filters}


def _filters(module: str, branch: str) -> int:
    (row,) = googlenet(f"inception_{module}_{branch}_conv")
    return row.output_shape[-1]


def _channels_into(module: str) -> int:
    (row,) = googlenet(f"inception_{module}_1x1_conv")
    return weights([row]) // row.output_shape[-1]


def _vgg_head() -> list[dict]:
    def row(name):
        return [row for row in _profile("vgg16").rows if row.name == name]

    printed = (("fc1", 102_760, 103), ("fc2", 16_777, 17), ("predictions", 4096, 4))
    return [
        {
            "params_k": Figure(lambda n=name: weights(row(n)), params, 1000),
            "mops": Figure(lambda n=name: total(row(n), "macs"), mops, 1e6),
        }
        for name, params, mops in printed
    ]


def _params(millions: dict[str, tuple[str, float]], quantity: str = "params") -> dict[str, Figure]:
    """By label, of the architecture of this name; statistics of BatchNormalization count if
    `quantity` is `params`."""
    return {
        label: Figure(lambda n=name: getattr(_profile(n), quantity), printed, 1e6)
        for label, (name, printed) in millions.items()
    }


VGG = {
    **{"A": ("vgg11", 133), "A-LRN": ("vgg11lrn", 133), "B": ("vgg13", 133)},
    **{"C": ("vgg16c", 134), "D": ("vgg16", 138), "E": ("vgg19", 144)},
}
RESNETS = {"18": 1.8, "34": 3.6, "50": 3.8, "101": 7.6, "152": 11.3}
RESNETS_CIFAR = {"20": 0.27, "32": 0.46, "44": 0.66, "56": 0.85, "110": 1.7, "1202": 19.4}

SQUEEZENET_PARAMS = {
    **{"conv1": 14_208, "fire2": 11_920, "fire3": 12_432, "fire4": 45_344, "fire5": 49_440},
    **{"fire6": 104_880, "fire7": 111_024, "fire8": 188_992, "fire9": 197_184},
    **{"conv10": 513_000, "total": 1_248_424},
}
SQUEEZENET_OUTPUTS = {
    **{"conv1": (111, 111, 96), "maxpool1": (55, 55, 96), "fire3": (55, 55, 128)},
    **{"fire4": (55, 55, 256), "maxpool4": (27, 27, 256), "fire7": (27, 27, 384)},
    **{"fire8": (27, 27, 512), "maxpool8": (13, 13, 512), "conv10": (13, 13, 1000)},
}


def _squeezenet(module: str) -> list[LayerCost]:
    rows = _profile("squeezenet").rows
    return [row for row in rows if module in ("total", row.name.partition("_")[0])]


def _squeezenet_output(module: str) -> tuple:
    name = f"{module}_concat" if module.startswith("fire") else module
    (row,) = (row for row in _profile("squeezenet").rows if row.name == name)
    return row.output_shape


MOBILENETS = {
    "MobileNet 1.0-224": ("mobilenet", {}, 569, 4.2),
    "MobileNet 0.75-224": ("mobilenet", {"alpha": 0.75}, 325, 2.6),
    "MobileNet 0.5-224": ("mobilenet", {"alpha": 0.5}, 149, 1.3),
    "MobileNet 0.25-224": ("mobilenet", {"alpha": 0.25}, 41, 0.5),
    "MobileNet 1.0-192": ("mobilenet", {"rho": 192 / 224}, 418, 4.2),
    "MobileNet 1.0-160": ("mobilenet", {"rho": 160 / 224}, 290, 4.2),
    "MobileNet 1.0-128": ("mobilenet", {"rho": 128 / 224}, 186, 4.2),
    "MobileNet 0.5-160": ("mobilenet", {"alpha": 0.5, "rho": 160 / 224}, 76, 1.32),
    "Conv MobileNet 1.0-224": ("mobilenetconv", {}, 4866, 29.3),
    "Shallow MobileNet 1.0-224": ("mobilenetshallow", {}, 307, 2.9),
}


def _mobilenet() -> dict:
    def in_1x1(quantity, whole):
        rows = _profile("mobilenet").rows
        part = total((row for row in rows if row.name in pointwise), quantity)
        return part / getattr(_profile("mobilenet"), whole)

    pointwise = {f"conv_pw_{i}" for i in range(1, 14)}
    rows = [
        {
            "mmacs": Figure(lambda n=name, k=kwargs: _profile(n, **k).macs, mmacs, 1e6),
            "mparams": Figure(
                lambda n=name, k=kwargs: _profile(n, **k).trainable_params, mparams, 1e6
            ),
        }
        for name, kwargs, mmacs, mparams in MOBILENETS.values()
    ]
    share = {
        "macs": Figure(lambda: in_1x1("macs", "macs"), 0.95),
        "params": Figure(lambda: in_1x1("params", "trainable_params"), 0.75),
    }
    return {"rows": rows, "share_in_1x1": share}


SECTIONS = {
    "single_layers": _single_layers(),
    "naive_inception_28x28x256": _naive_inception(),
    "googlenet_stem": _stem(),
    "googlenet_table_1": _table_1(),
    "vgg16_head": _vgg_head(),
    "vgg_params_millions": _params(VGG),
    "squeezenet_1_0_params_with_bias": {
        module: Figure(lambda m=module: total(_squeezenet(m), "params"), printed)
        for module, printed in SQUEEZENET_PARAMS.items()
    },
    "squeezenet_1_0_outputs": {
        module: [
            Figure(lambda m=module, i=i: _squeezenet_output(m)[i], side)
            for i, side in enumerate(shape)
        ]
        for module, shape in SQUEEZENET_OUTPUTS.items()
    },
    "squeezenet_deep_compression": {
        "megabytes_fp32": Figure(lambda: _profile("squeezenet").weight_bytes, 4.8, 1024**2)
    },
    "resnet_gmacs_224": {
        depth: Figure(lambda d=depth: _profile(f"resnet{d}").macs, printed, 1e9)
        for depth, printed in RESNETS.items()
    },
    "resnet_cifar_params_millions": _params(
        {depth: (f"resnet{depth}", printed) for depth, printed in RESNETS_CIFAR.items()},
        "trainable_params",
    ),
    "mobilenet": _mobilenet(),
    "densenet_bc_100_12_params_millions": Figure(
        lambda: _profile("densenetbc_100_12").trainable_params, 0.8, 1e6
    ),
}


# --------------------------------------------------------------------------------------- tables


def table(*headings: str, rows: Iterable[Iterable]) -> str:
    """Markdown; all columns but the first hold numbers."""
    lines = [headings, ["---", *["--:"] * (len(headings) - 1)], *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def _by(figures: Iterable[Figure]) -> str:
    return "x".join(str(figure.count()) for figure in figures)


def _single_table() -> str:
    rows = []
    for (what, shape, stacked), figures in zip(SINGLE, SECTIONS["single_layers"], strict=False):
        parts = " + ".join(map(str, figures.get("parts_macs", ())))
        params = total(stack(shape, *stacked), "params")
        rows.append([what, f"{params:,}", figures["macs"], parts])
    return table("layer", "weights", "MACs", "of its parts", rows=rows)


def _factorised_table() -> str:
    counts = SECTIONS["single_layers"][-1]["params"]
    whole = counts[0].count()
    rows = [
        [way, figure, percent(figure.count() / whole)]
        for way, figure in zip(FACTORISED, counts, strict=True)
    ]
    return table("kernels, 10 channels to 10", "weights", "share", rows=rows)


def _inception_table() -> str:
    section = SECTIONS["naive_inception_28x28x256"]
    channels = inception(28, 256, True)[-1].output_shape[-1]
    naive, reduced = section["printed_millions"]
    rows = [
        ["naive", section["output_channels"], naive],
        ["with bottlenecks", channels, reduced],
    ]
    return table("module on 28x28x256", "channels out", "MACs (printed, M)", rows=rows)


def _stem_table() -> str:
    headings = "layer", "output", "bytes (KB)", "weights (K)", "operations (M)"
    rows = [
        [
            name.strip(),
            f"{row['output_size']}x{row['output_size']}x{row['output_channels']}",
            *(row[quantity] for quantity in ("memory_kb", "params_k", "mops")),
        ]
        for name, row in zip(STEM, SECTIONS["googlenet_stem"], strict=True)
    ]
    sums = [f"{total(stem(), name):,}" for name in ("activation_bytes", "params", "ops")]
    return table(*headings, rows=[*rows, ["sum", "", *sums]])


def _table_1_table() -> str:
    rows = [
        [kind, _by(row["output"]), row["params_k"], row["mops"]]
        for (kind, *_), row in zip(TABLE_1, SECTIONS["googlenet_table_1"]["rows"], strict=True)
    ]
    return table("type", "output", "weights (K of 1024)", "MACs (M)", rows=rows)


def _vgg_head_table() -> str:
    layers_ = zip(("fc6", "fc7", "fc8"), SECTIONS["vgg16_head"], strict=True)
    rows = [[name, row["params_k"], row["mops"]] for name, row in layers_]
    return table("layer", "weights (K)", "MACs (M)", rows=rows)


def _vgg_table() -> str:
    figures = SECTIONS["vgg_params_millions"].items()
    rows = [
        [f"{label}: `{VGG[label][0]}`", figure, f"{_profile(VGG[label][0]).macs:,}"]
        for label, figure in figures
    ]
    return table("network", "parameters (M)", "MACs", rows=rows)


def _low_rank_table() -> str:
    rows = []
    for name, inputs, units in (("fc6", 25_088, 4_096), ("fc7", 4_096, 4_096)):
        whole = total(stack((inputs,), (dense, units)), "params")
        for rank in (64, 256, 1024, break_even(inputs, units)):
            count = total(low_rank(inputs, units, rank), "params")
            rows.append([name, f"{whole:,}", f"{rank:,}", f"{count:,}", percent(count / whole)])
    return table("layer", "weights and MACs", "rank", "at that rank", "share", rows=rows)


def _squeezenet_table() -> str:
    params = SECTIONS["squeezenet_1_0_params_with_bias"]
    outputs = SECTIONS["squeezenet_1_0_outputs"]
    modules = [*params]
    for pool_, before in (("maxpool1", "fire2"), ("maxpool4", "fire5"), ("maxpool8", "fire9")):
        modules.insert(modules.index(before), pool_)
    rows = [
        [
            module,
            _by(outputs[module]) if module in outputs else "",
            params.get(module, 0),
            f"{total(_squeezenet(module), 'macs'):,}",
        ]
        for module in modules
    ]
    megabytes = SECTIONS["squeezenet_deep_compression"]["megabytes_fp32"]
    rows.append(["bytes of float32 (MB)", "", megabytes, ""])
    return table("module", "output", "parameters", "MACs", rows=rows)


def _resnet_table() -> str:
    rows = [
        [f"`resnet{depth}`", figure, f"{_profile(f'resnet{depth}').params:,}"]
        for depth, figure in SECTIONS["resnet_gmacs_224"].items()
    ]
    return table("network at 224x224", "MACs (G)", "parameters", rows=rows)


def _resnet_cifar_table() -> str:
    rows = [
        [f"`resnet{depth}`", figure, f"{_profile(f'resnet{depth}').macs:,}"]
        for depth, figure in SECTIONS["resnet_cifar_params_millions"].items()
    ]
    densenet = SECTIONS["densenet_bc_100_12_params_millions"]
    macs = f"{_profile('densenetbc_100_12').macs:,}"
    rows.append(["`densenetbc_100_12`", densenet, macs])
    return table("network at 32x32", "trainable parameters (M)", "MACs", rows=rows)


def _mobilenet_table() -> str:
    rows = [
        [label, row["mmacs"], row["mparams"]]
        for label, row in zip(MOBILENETS, SECTIONS["mobilenet"]["rows"], strict=True)
    ]
    return table("network", "MACs (M)", "trainable parameters (M)", rows=rows)


def _share_table() -> str:
    share = SECTIONS["mobilenet"]["share_in_1x1"]
    rows = [["multiply-adds", share["macs"]], ["trainable parameters", share["params"]]]
    return table("of MobileNet's", "in 1x1 convolutions", rows=rows)


TABLES: dict[str, Callable[[], str]] = {
    "single": _single_table,
    "factorised": _factorised_table,
    "inception": _inception_table,
    "stem": _stem_table,
    "googlenet": _table_1_table,
    "vgg-head": _vgg_head_table,
    "vgg": _vgg_table,
    "low-rank": _low_rank_table,
    "squeezenet": _squeezenet_table,
    "resnet": _resnet_table,
    "resnet-cifar": _resnet_cifar_table,
    "mobilenet": _mobilenet_table,
    "pointwise": _share_table,
}
