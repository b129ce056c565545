"""What a compression has come to: on the card, in compression.csv and in the last line."""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from applications.options import Compression
from keras_archs.weights.compressed import Compressed

ALEXNET_BYTES = 240e6  # Iandola et al. 2016, arXiv:1602.07360, table 2
_COLUMNS = (
    *("network", "approach", "weights", "bytes", "smaller", "than AlexNet", "parameters", "MACs"),
    *("test accuracy", "macro F1", "test loss", "validation accuracy"),
)


def section(parent: Path, asked: Compression, metrics: Mapping[str, Any]) -> str:
    """The figures of both runs, as SqueezeNet's paper has them (arXiv:1602.07360, table 2)."""
    before, large, small = metrics["parent"], metrics["float32_bytes"], metrics["compressed_bytes"]
    bits = "32 bit" if metrics["bits"] is None else f"{metrics['bits']} bit"
    if asked.first_last_bits is not None:
        bits += f", first and last {asked.first_last_bits}"
    rows = [
        ("the parent", "none", "32 bit", f"{large:,}", *_ratios(large, large), *_figures(before)),
        (
            *("this", _approach(asked, metrics), bits, f"{large:,} -> {small:,}"),
            *(*_ratios(large, small), *_figures(metrics)),
        ),
    ]
    table = [_COLUMNS, ("---",) * len(_COLUMNS), *rows]
    lines = "\n".join("| " + " | ".join(row) + " |" for row in table)
    return (
        f"\n## Compression\n\nMade of {parent} (`parent`): {_ways(asked)}. "
        "`keras_archs.load_compressed` reads model.kac, whose weights are those of model.keras "
        "bit for bit; compression.csv has a row for each array. AlexNet has 240 MB.\n\n"
        f"{lines}\n"
    )


def _ways(asked: Compression) -> str:
    """Where it is described."""
    channels = ["channels of small norm removed, arXiv:1608.08710"] * (asked.channels is not None)
    return "; ".join(channels + ["Deep Compression, arXiv:1510.00149"] * asked.shares)


def _approach(asked: Compression, metrics: Mapping[str, Any]) -> str:
    ways = []
    if asked.channels is not None:
        ways.append(f"{100 * asked.channels:g} % of the channels removed")
    if asked.shares:
        ways += [f"pruned ({100 * metrics['sparsity']:.1f} % zeros)", "shared"]
    return ", ".join([*ways, "coded"])


def _ratios(large: int, small: int) -> tuple[str, str]:
    return f"{large / small:.1f}x", f"{ALEXNET_BYTES / small:,.0f}x"


def _figures(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"{metrics['params']:,}",
        f"{metrics['macs']:,}",
        f"{100 * metrics['test_accuracy']:.2f} %",
        f"{metrics['macro_f1']:.4f}",
        f"{metrics['test_loss']:.4f}",
        f"{100 * metrics['validation_accuracy']:.2f} %",
    )


def summary(metrics: Mapping[str, Any]) -> str:
    """A line for the terminal."""
    before, small, large = metrics["parent"], metrics["compressed_bytes"], metrics["float32_bytes"]
    shared = "" if metrics["bits"] is None else f", {metrics['bits']} bits"
    said = f"{100 * metrics['sparsity']:.1f} % zeros{shared}"
    narrower = ""
    if metrics["params"] != before["params"]:
        narrower = "; " + "; ".join(
            f"{before[name]:,} -> {metrics[name]:,} {called}"
            for name, called in (("params", "parameters"), ("macs", "multiply-adds"))
        )
    return (
        f"model.kac: {small:,} bytes for {large:,}, {large / small:.1f} times smaller ({said})"
        f"{narrower}; test accuracy {100 * before['test_accuracy']:.2f} -> "
        f"{100 * metrics['test_accuracy']:.2f} %"
    )


def arrays_table(made: Compressed) -> str:
    """compression.csv: a row for each array."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(("name", "shape", "weights", "values", "distinct", "index", "bytes"))
    for array in made.arrays:
        shape = "x".join(map(str, array.shape))
        row = (math.prod(array.shape), array.values, array.distinct, array.layout, array.size)
        table.writerow((array.name, shape, *row))
    return file.getvalue()
