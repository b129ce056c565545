"""Trains what is missing and puts runs side by side."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import applications
from applications import training
from applications.comparison.entries import Entry, parse_archs
from applications.comparison.reporting import REPORT, report_page, without_seed
from applications.console import plain_console
from applications.data.sources import Source, open_source
from applications.files import remove_partials, write_atomic
from applications.options import Comparison, Group, Options, Running, takes, without
from applications.runs import Run, load

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from pandas.api.typing import DataFrameGroupBy

_FIGURES = (  # of metrics.json
    *("params", "macs", "test_accuracy", "macro_f1", "latency_ms_p50", "latency_ms_p95"),
    "train_seconds",
)
COLUMNS = ("run", "arch", "alpha", "rho", "input", *_FIGURES, "remarks", "parent")
TABLE = "comparison.csv"


@takes(
    Group(Comparison),
    Group(Options, without("arch", "seed")),
    Group(Running, ("log", "profile_steps", "verbose")),
)
def compare(
    comparison: Comparison, shared: Mapping[str, Any], running: Mapping[str, Any]
) -> "pd.DataFrame":
    """Compare run folders and architectures, which are trained first where that is not done.

    An architecture's run is `RUN_DIR/ARCH[-aALPHA][-rRHO]-DATA-sSEED`. It is trained if it does
    not exist, resumed if it was interrupted, and read if it is finished. Prints the table, with
    several seeds as mean (lowest..highest) over them, and writes into `run_dir`
    `comparison.csv`, one row a run, and `report.html`, a page that shows them. Both are written
    anew after each training. `alpha` and `rho` count for architectures that state none.

    Args:

    Returns:
        One row a run, best test accuracy first. `run` is its folder, `input` is HxWxC, accuracy
        and F1 are fractions, latencies are of one image; `remarks` say what makes the figures mean
        less than they seem to.

    Raises:
        ValueError: there is nothing to compare, something is named twice, or a run that exists
            in `run_dir` was trained with other options.
        FileNotFoundError: one of `runs` is not the folder of a finished run.
    """
    # A pattern such as runs/* names the last comparison too.
    given = [run for run in comparison.runs or () if not str(run).endswith((TABLE, REPORT))]
    entries = parse_archs(comparison.archs) if comparison.archs is not None else []
    if not given and not entries:
        raise ValueError("`runs` or `archs` must name what to compare. Received: neither")
    trainings = _trainings(entries, comparison.seeds, shared)
    known = [load(run) if isinstance(run, str | os.PathLike) else run for run in given]
    for run in known:
        run.check_tested()
    folders = [run.path.resolve() for run in known]
    _check_distinct("runs", folders)

    run_dir = Path(comparison.run_dir or ("runs" if entries else _common_parent(known)))
    for name in (TABLE, REPORT):
        remove_partials(run_dir, name)
    source = _opened(trainings) if trainings else None
    for run in _trained(trainings, source.name, run_dir, running) if source else ():
        if run.path.resolve() not in folders:
            known.append(run)
        _write(known, run_dir)

    sources = sorted({str(run.config["data"]) for run in known})
    if len(sources) > 1:
        print(
            f"warning: the runs were trained on different data: {', '.join(sources)}",
            file=sys.stderr,
        )
    table = _write(known, run_dir)
    _print(table.groupby([without_seed(run) for run in known], sort=False))
    print(
        f"{run_dir / TABLE} has the table, {REPORT} beside it is for a browser. "
        f"Curves: keras-archs dashboard {run_dir}"
    )
    return table


def _write(known: list[Run], run_dir: Path) -> "pd.DataFrame":
    """The table of the runs, which are sorted, the best first; written with the page."""
    import pandas as pd

    known.sort(key=lambda run: -run.metrics["test_accuracy"])
    table = pd.DataFrame([_row(run) for run in known], columns=list(COLUMNS))
    page = report_page(known, score="test_accuracy")
    run_dir.mkdir(parents=True, exist_ok=True)
    write_atomic(run_dir / TABLE, table.to_csv(index=False))
    write_atomic(run_dir / REPORT, page)
    return table


def _common_parent(runs: "Sequence[Run]") -> str:
    """The folder that holds all runs; a relative path where all of theirs are."""
    parent = os.path.commonpath([run.path.absolute().parent for run in runs])
    return parent if any(run.path.is_absolute() for run in runs) else os.path.relpath(parent)


def _trainings(
    entries: Sequence[Entry], seeds: Sequence[int], shared: Mapping[str, Any]
) -> list[Options]:
    """The options of each architecture with each seed."""
    trainings = [
        Options(
            **{
                **shared,
                **{name: value for name, value in entry._asdict().items() if value is not None},
                "seed": seed,
            }
        )
        for entry in entries
        for seed in seeds
    ]
    _check_distinct("archs", [_label(each) for each in trainings[:: len(seeds)]])
    return trainings


def _label(options: Options) -> str:
    """`mobilenet-a0.5`: the architecture and those multipliers that are not 1."""
    alpha = "" if options.alpha == 1 else f"-a{options.alpha:g}"
    rho = "" if options.rho == 1 else f"-r{options.rho:g}"
    return f"{options.arch}{alpha}{rho}"


def _check_distinct(name: str, values: Sequence) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"`{name}` must be distinct. Received: {value} twice")


def _opened(trainings: Sequence[Options]) -> Source:
    """The data; all networks are checked before the first is trained."""
    source = open_source(str(trainings[0].data))
    for options in trainings:
        if options.seed == trainings[0].seed:
            training.memory.check_memory(options.planned(source), source)
    return source


def _trained(
    trainings: Sequence[Options], data_name: str, run_dir: Path, running: Mapping[str, Any]
) -> Iterator[Run]:
    """The runs, each trained as far as it is not yet."""
    import keras

    for number, options in enumerate(trainings, start=1):
        folder = run_dir / f"{_label(options)}-{data_name}-s{options.seed}"
        print(f"[{number}/{len(trainings)}] {folder}", flush=True)
        keras.backend.clear_session()  # the networks before this one need not stay in memory
        where = {"run_dir": folder, "resume": True}
        yield applications.train(**options.as_dict(), **running, **where)


def _row(run: Run) -> dict[str, Any]:
    config, metrics = run.config, run.metrics
    return {
        **{name: metrics[name] for name in _FIGURES},
        "run": str(run.path),
        "arch": config["arch"],
        "alpha": config["alpha"],
        "rho": config["rho"],
        "input": "x".join(map(str, metrics["input_shape"])),
        "remarks": "; ".join(run.remarks),
        "parent": config.get("parent", ""),
    }


def _print(networks: "DataFrameGroupBy") -> None:
    """Prints one line a network: its only run, or mean (lowest..highest) over its seeds."""
    from rich import box
    from rich.table import Table

    console = plain_console()
    console.width = max(console.width, 100) if console.is_terminal else 160
    groups = sorted((g for _, g in networks), key=lambda g: -g["test_accuracy"].mean())
    several = any(len(group) > 1 for group in groups)
    named = console.width >= 125  # there is room for the names of the runs
    output = Table(
        title="mean (lowest..highest) of the runs that differ by their seeds" if several else None,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for column in (*(["run"] if named else []), "arch", "alpha", "rho", "input"):
        output.add_column(column, overflow="fold")
    for column in (
        "params",
        "MACs",
        "test\nacc. %",
        "macro\nF1 %",
        "p50\nms",
        "p95\nms",
        "train\ns",
    ):
        output.add_column(column, justify="right")
    for group in groups:
        first = group.iloc[0]
        run = Path(first["run"]).name if len(group) == 1 else f"{len(group)} runs"
        output.add_row(
            *([run] if named else []),
            first["arch"],
            f"{first['alpha']:g}",
            f"{first['rho']:g}",
            first["input"],
            f"{first['params']:,}",
            f"{first['macs'] / 1e6:,.2f}M",
            _mean_and_range(100 * group["test_accuracy"].to_numpy()),
            f"{100 * group['macro_f1'].mean():.2f}",
            f"{group['latency_ms_p50'].mean():.1f}",
            f"{group['latency_ms_p95'].mean():.1f}",
            f"{group['train_seconds'].mean():.0f}",
        )
    console.print(output)
    for run in (run for group in groups for _, run in group.iterrows() if str(run["remarks"])):
        console.print(f"{run['run']}: {run['remarks']}", soft_wrap=True)


def _mean_and_range(percent: "np.ndarray") -> str:
    if len(percent) == 1:
        return f"{percent[0]:.2f}"
    return f"{percent.mean():.2f} ({percent.min():.2f}..{percent.max():.2f})"
