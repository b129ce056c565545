"""What `evaluate` found, as tables: printed, and as CSV."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from applications.console import plain_console, short_count
from applications.data.sources import listed
from applications.evaluation.robustness import STRENGTHS
from applications.files import write_atomic

if TYPE_CHECKING:
    from rich.console import Console


def print_metrics(result: Mapping[str, Any]) -> None:
    """Prints what `evaluate` returned: a table of the classes, and what was asked for beside it."""
    console = plain_console()
    rows = [
        (name, f"{row['images']:,}", *_percents(row, "precision", "recall", "f1"))
        for name, row in result["per_class"].items()
    ]
    title = f"{result['data']}, {result['images']:,} test images"
    _print(console, title, ("class", "images", "precision %", "recall %", "F1 %"), rows)
    console.print(_line(result))
    if result["missing_classes"]:
        console.print(f"no images of {listed(result['missing_classes'])}")
    for name, show in _SECTIONS.items():
        if name in result:
            show(console, result)


def _line(result: Mapping[str, Any]) -> str:
    """The figures of the whole split."""
    said = [f"accuracy {_percent(result['test_accuracy'])} %"]
    for name, key in (("top-5", "top5_accuracy"), ("balanced accuracy", "balanced_accuracy")):
        if key in result:
            said.append(f"{name} {_percent(result[key])} %")
    said.append(f"macro F1 {_percent(result['macro_f1'])} %")
    said.append(f"loss {result['test_loss']:.4f}")
    if "calibration" in result:
        said.append(f"ECE {_percent(result['calibration']['ece'])} %")
    return ", ".join(said)


def _intervals(console: "Console", result: Mapping[str, Any]) -> None:
    found = result["intervals"]
    spans = (
        f"{name} {_percent(found[key][0])} to {_percent(found[key][1])} %"
        for name, key in (("accuracy", "test_accuracy"), ("macro F1", "macro_f1"))
    )
    console.print(
        f"{100 * found['level']:.0f} % intervals: {', '.join(spans)} "
        f"({found['resamples']:,} resamples of the test images)"
    )


def _against(console: "Console", result: Mapping[str, Any]) -> None:
    found = result["against"]
    console.print(
        f"against {found['run']}: {100 * found['difference']:+.2f} points of accuracy; "
        f"{found['only_first']} images are right here alone, {found['only_second']} there alone; "
        f"McNemar's p = {found['p_value']:.3g}",
        soft_wrap=True,
    )


def _temperature(console: "Console", result: Mapping[str, Any]) -> None:
    found = result["temperature"]
    rows = [
        (
            name,
            f"{found[name]['images']:,}",
            *(f"{found[name][f'loss_{when}']:.4f}" for when in ("before", "after")),
            *_percents(found[name], "ece_before", "ece_after"),
        )
        for name in ("validation", "test")
    ]
    heads = ("images of", "images", "loss before", "after", "ECE % before", "after")
    _print(console, f"temperature {found['temperature']:.4g}", heads, rows)


def _protocols(console: "Console", result: Mapping[str, Any]) -> None:
    has_top5 = "top5_accuracy" in result["protocols"][0]
    rows = [
        (
            row["protocol"],
            ", ".join(map(str, row["scales"])),
            f"{row['views']:,}",
            *(_percent(1 - row[key]) for key in ("test_accuracy", "top5_accuracy")[: 1 + has_top5]),
            f"{row['test_loss']:.4f}",
        )
        for row in result["protocols"]
    ]
    heads = ("protocol", "scales", "views", "top-1 error %", "top-5 error %", "loss")
    _print(console, "protocols", heads if has_top5 else (*heads[:4], heads[5]), rows)


def _ensemble(console: "Console", result: Mapping[str, Any]) -> None:
    found = result["ensemble"]
    rows = [
        (
            row.get("run", "ensemble"),
            *_percents(row, "test_accuracy", "macro_f1"),
            f"{row['test_loss']:.4f}",
            *("" if row[key] is None else short_count(row[key]) for key in ("params", "macs")),
            "" if row["latency_ms_p50"] is None else f"{row['latency_ms_p50']:.1f}",
        )
        for row in [*found["members"], found]
    ]
    heads = ("run", "accuracy %", "macro F1 %", "loss", "params", "MACs", "ms an image")
    _print(console, f"ensemble of {len(found['members'])}", heads, rows)
    console.print(f"the ensemble gains {100 * found['gain']:+.2f} points over its best member")


def _corruptions(console: "Console", result: Mapping[str, Any]) -> None:
    found = result["corruptions"]
    rows = [(kind, *map(_percent, values)) for kind, values in found["accuracy"].items()]
    heads = ("accuracy % at strength", *"12345")
    _print(console, "corruptions", heads, rows)
    console.print(f"mean accuracy under corruptions {_percent(found['mean_accuracy'])} %")


_SECTIONS = {
    "intervals": _intervals,
    "against": _against,
    "temperature": _temperature,
    "protocols": _protocols,
    "ensemble": _ensemble,
    "corruptions": _corruptions,
}


def _print(
    console: "Console", title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    from rich.table import Table

    table = Table(title=title)
    table.add_column(heads[0], overflow="fold")
    for head in heads[1:]:
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _percents(row: Mapping[str, Any], *names: str) -> list[str]:
    return [_percent(row[name]) for name in names]


def write_tables(result: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write the tables of what `evaluate` returned as `NAME-TABLE.csv`.

    Args:
        result: what `evaluate` returned.
        path: of the result, `NAME.json`, which the tables go beside.
    """
    tables: dict[str, list[dict[str, Any]]] = {
        "classes": [{"class": name, **row} for name, row in result["per_class"].items()],
        "calibration": result["calibration"]["bins"],
    }
    if "protocols" in result:
        tables["protocols"] = [
            {**row, "scales": " ".join(map(str, row["scales"]))} for row in result["protocols"]
        ]
    if "ensemble" in result:
        found = result["ensemble"]
        members = found["members"]
        whole = {name: found[name] for name in members[0] if name != "run"}
        tables["ensemble"] = [*members, {"run": "ensemble", **whole}]
    if "corruptions" in result:
        tables["corruptions"] = [
            {"corruption": kind, "strength": at + 1, "amount": amount, "accuracy": accuracy}
            for kind, values in result["corruptions"]["accuracy"].items()
            for at, (amount, accuracy) in enumerate(zip(STRENGTHS[kind], values, strict=True))
        ]
    for name, rows in tables.items():
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        path = Path(path)
        write_atomic(path.with_name(f"{path.stem}-{name}.csv"), text.getvalue())
