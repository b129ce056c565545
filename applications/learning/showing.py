"""What `retrieve` found, on the console and as a page that opens without a network."""

import sys
from collections.abc import Sequence
from html import escape
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

import applications
from applications.console import one_line, plain_console
from applications.evaluation.pictures import data_uri
from applications.learning.vectors import Index
from applications.options import Retrieval

if TYPE_CHECKING:
    from applications.learning.retrieving import Found, Retrieved

_TEMPLATE = "retrieval.html"


def precision_of(index: Index) -> dict[str, dict[int, float]]:
    """What an index has of precisions, by what is compared and how many of the nearest count."""
    shares = index.precision.get("shares", {})
    return {kind: {int(k): share for k, share in row.items()} for kind, row in shares.items()}


def page(
    run: "applications.Run",
    images: Any,
    index: Index,
    found: "Sequence[Found]",
    asked: Retrieval,
) -> str:
    """The page, as text. It asks nobody for anything, and has no script.

    Args:
        run: whose network compares.
        images: the library as the network takes it.
        index: of its images.
        found: the queries and their nearest.
        asked: what was asked for.
    """
    template = resources.files("applications.learning").joinpath(_TEMPLATE)
    return Template(template.read_text(encoding="utf-8")).substitute(
        title=escape(f"The nearest of {len(index):,} images"),
        told=escape(one_line(_compared(run, index, asked))),
        rows="\n".join(_row(each, images, asked) for each in found),
        precision=_precision(index, images.shape),
    )


def _compared(run: "applications.Run", index: Index, asked: Retrieval) -> str:
    width = f"{index.vectors.shape[1]:,} numbers of the last hidden layer"
    of = {
        "raw": f"the {width}",
        "compressed": f"the {asked.bits} numbers that an autoencoder makes of the {width}",
        "binary": f"the {asked.bits} bits that an autoencoder makes of the {width}",
    }[asked.code]
    name, arch = run.path.resolve().name, run.config["arch"]
    return f"{name} ({arch}), images of {asked.data}. Compared are {of}."


def _row(found: "Found", images: Any, asked: Retrieval) -> str:
    own = "" if found.own is None else images.class_of(found.own)
    figures = [_figure(found.pixels, found.name, own or "asked for", "query")]
    pixels = images.pixels(found.rows)
    for picture, row, distance in zip(pixels, found.rows, found.distances, strict=True):
        label = images.class_of(row)
        kind = "" if not own else "right" if label == own else "wrong"
        told = " · ".join(filter(None, (label, distance_of(distance, asked.code))))
        figures.append(_figure(picture, images.library.ids[row], told, kind))
    return f'<div class="row">{"".join(figures)}</div>'


def distance_of(value: float, code: str) -> str:
    """A distance as text."""
    return f"{value:.0f} bits" if code == "binary" else f"{value:.4g}"


def _figure(picture: np.ndarray, name: str, told: str, kind: str) -> str:
    name, told = escape(one_line(name)), escape(one_line(told))
    return (
        f'<figure class="{kind}" title="{name}"><img src="{data_uri(picture)}" alt="{name}">'
        f"<figcaption><b>{told}</b>{name}</figcaption></figure>"
    )


def _precision(index: Index, shape: tuple[int, int, int]) -> str:
    if not index.precision:
        return ""
    header, *rows = _table(index, shape)
    cells = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    lines = [
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in others)
        + "</tr>"
        for first, *others in rows
    ]
    return (
        "<section><h2>How many of the nearest are of the same class</h2>"
        f"<p>{escape(_over(index))}</p><div><table><thead><tr>{cells}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div></section>"
    )


def _over(index: Index) -> str:
    return f"Mean over {index.precision['queries']:,} images, each compared with all others."


def _table(index: Index, shape: tuple[int, int, int]) -> list[list[str]]:
    """The precisions, a row for what is compared, below a header."""
    precision = precision_of(index)
    ks = list(precision["raw"])
    raw = precision["raw"][ks[-1]]
    rows = [["compared", "bytes an image", *(f"precision at {k}" for k in ks), "share of raw's"]]
    for kind, row in precision.items():
        shares = [f"{100 * row[k]:.1f} %" for k in ks]
        rows.append([kind, f"{_bytes(kind, index, shape):,}", *shares, f"{_of(row[ks[-1]], raw)}"])
    return rows


def _of(share: float, raw: float) -> str:
    return f"{share / raw:.3f}" if raw else "–"


def _bytes(kind: str, index: Index, shape: tuple[int, int, int]) -> int:
    """That an image takes."""
    if kind in index.codes:
        bits = index.codes[kind]["bits"]
        return bits // 8 if kind == "binary" else 4 * bits
    return int(np.prod(shape)) if kind == "pixels" else 4 * index.vectors.shape[1]


def tell(result: "Retrieved", index: Index, images: Any, asked: Retrieval) -> None:
    """Print what was done and found."""
    from rich import box
    from rich.table import Table

    console = plain_console()
    library = images.library
    if library.not_read:
        more = f" and {len(library.not_read) - 1} more" if len(library.not_read) > 1 else ""
        print(f"not read: {one_line(library.not_read[0])}{more}", file=sys.stderr)
    console.print(
        f"{len(library):,} images: {result.embedded:,} embedded, {result.kept:,} kept, "
        f"{result.gone:,} gone",
        soft_wrap=True,
    )

    def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], title: str | None):
        table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in header:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*row)
        console.print(table)

    if index.precision:
        header, *rows = _table(index, images.shape)
        print_table(header, rows, _over(index))
    lines = []
    for answer in result.answers if asked.query else ():
        of = zip(answer.images, answer.classes, answer.distances, strict=True)
        for rank, (name, label, distance) in enumerate(of, start=1):
            far = distance_of(distance, asked.code)
            lines.append(
                ("" if rank > 1 else one_line(answer.query), one_line(name), one_line(label), far)
            )
    if lines:
        print_table(("image", "nearest", "class", "distance"), lines, None)
    console.print(f"{result.page} shows them", soft_wrap=True)
