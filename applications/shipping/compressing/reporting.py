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
_NO_FILE = "There is no model.tflite, which TensorFlow and LiteRT make of these weights"
_COLUMNS = (
    *("network", "approach", "weights", "bytes", "smaller", "than AlexNet", "parameters", "MACs"),
    *("test accuracy", "macro F1", "test loss", "validation accuracy", "latency", "runtime"),
)


def section(parent: Path, asked: Compression, metrics: Mapping[str, Any]) -> str:
    """The figures of both runs, as SqueezeNet's paper has them (arXiv:1602.07360, table 2)."""
    rows = [_COLUMNS, ("---",) * len(_COLUMNS), *_rows(asked, metrics)]
    lines = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    int8 = ""
    if "int8" in metrics:
        int8 = (
            " model.tflite takes what `export` files take." if metrics["int8"] else f" {_NO_FILE}."
        )
    return (
        f"\n## Compression\n\nMade of {parent} (`parent`): {_ways(asked)}. "
        "`keras_archs.load_compressed` reads model.kac, whose weights are those of model.keras "
        f"bit for bit; compression.csv has a row for each array.{int8} AlexNet has 240 MB. "
        "Latency is the median of one image in turns, of each network in its fastest runtime, on "
        f"the machine of the training.\n\n{lines}\n"
    )


def _rows(asked: Compression, metrics: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The parent's network, this one, and both in int8 where that was asked for."""
    before, large, small = metrics["parent"], metrics["float32_bytes"], metrics["compressed_bytes"]
    bits = "32 bit" if metrics["bits"] is None else f"{metrics['bits']} bit"
    if asked.first_last_bits is not None:
        bits += f", first and last {asked.first_last_bits}"
    approach, timed, int8 = _approach(asked, metrics), metrics["fastest"], metrics.get("int8", {})
    rows = [
        _row("the parent", "none", "32 bit", large, large, before, timed["parent"]),
        _row("this", f"{approach}coded", bits, large, small, metrics, timed["this"]),
    ]
    for name, way, of in (("parent", "", before), ("this", approach, metrics)) if int8 else ():
        figures = {**{k: of[k] for k in ("params", "macs")}, **int8[name]}
        called, way = ("the parent" if name == "parent" else name), f"{way}LiteRT"
        time = timed[f"{name} in int8"]
        rows.append(_row(f"{called}, int8", way, "8 bit", large, figures["bytes"], figures, time))
    return rows


def _row(
    name: str,
    approach: str,
    bits: str,
    large: int,
    small: int,
    figures: Mapping[str, Any],
    time: Mapping[str, Any],
) -> tuple[str, ...]:
    size = f"{large:,} -> {small:,}" if small != large else f"{large:,}"
    texts = {
        "params": ",d",
        "macs": ",d",
        "test_accuracy": ".2%",
        "macro_f1": ".4f",
        "test_loss": ".4f",
        "validation_accuracy": ".2%",
    }
    shown = (format(figures[k], text) if k in figures else "" for k, text in texts.items())
    return (
        *(name, approach, bits, size, f"{large / small:.1f}x", f"{ALEXNET_BYTES / small:,.0f}x"),
        *(text.replace("%", " %") for text in shown),
        *(f"{time['ms']:.3g} ms", time["runtime"]),
    )


def _ways(asked: Compression) -> str:
    """Where it is described."""
    ways = {
        "channels of small norm removed, arXiv:1608.08710": asked.channels is not None,
        "Deep Compression, arXiv:1510.00149": asked.shares,
        "trained for int8, arXiv:1712.05877": asked.int8 == "aware",
    }
    return "; ".join(way for way, done in ways.items() if done)


def _approach(asked: Compression, metrics: Mapping[str, Any]) -> str:
    """What was done to the weights, with a comma behind each."""
    ways = []
    if asked.channels is not None:
        ways.append(f"{100 * asked.channels:g} % of the channels removed, ")
    if asked.shares:
        ways.append(f"pruned ({100 * metrics['sparsity']:.1f} % zeros), shared, ")
    if asked.int8 == "aware":
        ways.append("trained for int8, ")
    return "".join(ways)


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
    int8 = ""
    if figures := metrics.get("int8", {}).get("this"):
        int8 = f"; int8: {figures['bytes']:,} bytes, {100 * figures['test_accuracy']:.2f} %"
    elif "int8" in metrics:
        int8 = f". {_NO_FILE}"
    return (
        f"model.kac: {small:,} bytes for {large:,}, {large / small:.1f} times smaller ({said})"
        f"{narrower}; test accuracy {100 * before['test_accuracy']:.2f} -> "
        f"{100 * metrics['test_accuracy']:.2f} %{int8}"
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
