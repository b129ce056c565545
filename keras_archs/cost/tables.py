"""How the cost model's results are printed."""

import io
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from keras_archs.cost.profiling import Comparison, Profile

SHARED = ("params", "macs", "activation_bytes")  # quantities whose shares of the total are shown


def percent(part: int, total: int) -> float:
    return 100 * part / total if total else 0.0


def profile_table(profile: "Profile", layers: bool) -> Table:
    """The calls and, below those of a stage, its subtotals; or the subtotals alone."""
    table = Table(
        title=f"{profile.name}, batch size {profile.batch_size}",
        caption=f"trainable params {profile.trainable_params:,}\nFLOPs {profile.flops:,}\n"
        f"weights {profile.weight_bytes:,} bytes\n"
        f"peak of activations {profile.peak_activation_bytes:,} bytes",
        caption_justify="left",
        show_footer=True,
        box=box.SIMPLE,
    )
    table.add_column("layer" if layers else "stage", "total", no_wrap=True)
    table.add_column("type" if layers else "calls", no_wrap=True)
    table.add_column("output", no_wrap=True)
    for quantity in SHARED:
        total = f"{getattr(profile, quantity):,}"
        table.add_column(quantity.replace("_", " "), total, justify="right", no_wrap=True)
        table.add_column("%", justify="right", no_wrap=True)
    for stage in profile.stages:
        if layers:
            for row in profile.rows:
                if row.stage == stage.name:
                    counts = [text for name in SHARED for text in (f"{getattr(row, name):,}", "")]
                    table.add_row(row.name, row.type, shape_text(row.output_shape), *counts)
        counts = []
        for name in SHARED:
            part, total = getattr(stage, name), getattr(profile, name)
            counts += [f"{part:,}", f"{percent(part, total):.1f}"]
        number = str(stage.calls)
        if layers:
            number += " call" if stage.calls == 1 else " calls"
        cells = (stage.name, number, shape_text(stage.output_shape), *counts)
        table.add_row(*cells, style="bold" if layers else None, end_section=layers)
    return table


def comparison_table(comparison: "Comparison") -> Table:
    first, second = comparison.first, comparison.second
    table = Table(title=f"{first.name} and {second.name}", box=box.SIMPLE)
    table.add_column("stage", no_wrap=True)
    table.add_column("quantity", no_wrap=True)
    for heading in (first.name, second.name, "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    above = None
    for stage, quantity, one, other, _ in comparison.to_dataframe().itertuples(index=False):
        if stage != above and above is not None:
            table.add_section()
        ratio = f"{other / one:.2f}" if one else ""
        heading = stage if stage != above else ""
        table.add_row(heading, quantity.replace("_", " "), f"{one:,}", f"{other:,}", ratio)
        above = stage
    return table


def shape_text(shape: tuple) -> str:
    if any(isinstance(part, tuple) for part in shape):
        return ", ".join(shape_text(part) for part in shape)
    return " x ".join(map(str, shape))


def as_text(table: Table) -> str:
    # Wide enough for any table, which takes only what its columns need.
    console = Console(file=io.StringIO(), width=10_000, color_system=None)
    with console.capture() as text:
        console.print(table)
    return "\n".join(line.rstrip() for line in text.get().splitlines())
