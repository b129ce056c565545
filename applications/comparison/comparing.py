"""Trains what is missing and puts runs side by side."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from applications.comparison.reporting import REPORT, without_seed, write_report
from keras_archs.checks import check_alpha, check_rho, nearest
from keras_archs.registry import check_arch

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from pandas.api.typing import DataFrameGroupBy

    from applications.runs import Run

COLUMNS = (
    *("run", "arch", "alpha", "rho", "input", "params", "macs"),
    *("test_accuracy", "macro_f1", "latency_ms_p50", "latency_ms_p95", "train_seconds"),
)
TABLE = "comparison.csv"
CHECKS = {"alpha": check_alpha, "rho": check_rho}


class Entry(NamedTuple):
    """An architecture to train: its registered name, and multipliers or None for the default."""

    arch: str
    alpha: float | None = None
    rho: float | None = None


def parse_archs(archs: str | Iterable[str]) -> list[Entry]:
    """Reads `NAME[:OPTION=VALUE]...`, several separated by commas; OPTION is alpha or rho.

    >>> parse_archs("lenet5,mobilenet:alpha=0.5:rho=0.75")
    [Entry(arch='lenet5', alpha=None, rho=None), Entry(arch='mobilenet', alpha=0.5, rho=0.75)]

    Raises:
        ValueError: a name, an option or a value is not known or in range.
    """
    texts = archs.split(",") if isinstance(archs, str) else archs
    return [_parse_arch(text.strip()) for text in texts]


def _parse_arch(text: str) -> Entry:
    name, *settings = text.split(":")
    options = {}
    for setting in settings:
        option, equals, value = setting.partition("=")
        if option not in CHECKS or not equals or option in options:
            raise ValueError(
                "`archs` must be NAME[:OPTION=VALUE]..., OPTION one of alpha, rho, each once."
                f"{nearest(option, CHECKS) if option not in CHECKS else ''} Received: {text!r}"
            )
        try:
            options[option] = float(value)
        except ValueError:
            raise ValueError(f"`{option}` must be a number. Received: {text!r}") from None
        CHECKS[option](options[option])
    return Entry(check_arch(name).lower(), **options)


def compare(
    runs: Sequence["str | os.PathLike | Run"] | None = (),
    *,
    archs: str | Iterable[str] | None = None,
    data: str = "digits",
    run_dir: str | os.PathLike | None = None,
    seeds: Sequence[int] = (0,),
    **options: Any,
) -> "pd.DataFrame":
    """Compares run folders and architectures, which are trained first where that is not done.

    An architecture's run is `RUN_DIR/ARCH[-aALPHA][-rRHO]-DATA-sSEED`. It is trained if it does
    not exist, resumed if it was interrupted, and read if it is finished. Prints the table, with
    several seeds as mean (lowest..highest) over them, and writes into `run_dir`
    `comparison.csv`, one row a run, and `report.html`, a page that shows them.

    Args:
        runs: folders of finished runs. What an earlier comparison wrote is passed over.
        archs: architectures to train, each with every seed: names separated by commas or a list,
            an entry with multipliers of its own as in `"mobilenet:alpha=0.5:rho=0.75"`.
        data: as for `train`; what `archs` are trained on.
        run_dir: parent folder of what is trained. None: `runs`, or without `archs` the folder
            that holds the runs.
        seeds: distinct seeds of the trainings.
        **options: other options of `train`, such as `epochs`, the same for all trainings; `alpha`
            and `rho` count for entries that state none.

    Returns:
        One row a run, best test accuracy first. `run` is its folder, `input` is HxWxC, accuracy
        and F1 are fractions, latencies are of one image.

    Raises:
        ValueError: there is nothing to compare, something is named twice, or a run that exists
            in `run_dir` was trained with other options.
        FileNotFoundError: one of `runs` is not the folder of a finished run.
    """
    import pandas as pd

    from applications.files import write_atomic
    from applications.runs import load

    # A pattern such as runs/* names the last comparison too.
    runs = [run for run in runs or () if not str(run).endswith((TABLE, REPORT))]
    entries = parse_archs(archs) if archs is not None else []
    entries = [_with_defaults(entry, options) for entry in entries]
    if not runs and not entries:
        raise ValueError("`runs` or `archs` must name what to compare. Received: neither")
    _check_distinct("archs", entries, str_of=_label)
    _check_distinct("seeds", seeds)
    if not seeds:
        raise ValueError("`seeds` must hold at least one. Received: seeds=()")
    known = [load(run) if isinstance(run, str | os.PathLike) else run for run in runs]
    for run in known:
        run.check_tested()
    folders = [run.path.resolve() for run in known]
    _check_distinct("runs", folders)

    run_dir = Path(run_dir or ("runs" if entries else _common_parent(known)))
    if entries:
        trained = _train(entries, data, run_dir, seeds, options)
        known += [run for run in trained if run.path.resolve() not in folders]

    sources = sorted({str(run.config["data"]) for run in known})
    if len(sources) > 1:
        print(
            f"warning: the runs were trained on different data: {', '.join(sources)}",
            file=sys.stderr,
        )
    known.sort(key=lambda run: -run.metrics["test_accuracy"])
    table = pd.DataFrame([_row(run) for run in known], columns=list(COLUMNS))
    _print(table.groupby([without_seed(run) for run in known], sort=False))
    run_dir.mkdir(parents=True, exist_ok=True)
    write_atomic(run_dir / TABLE, table.to_csv(index=False))
    write_report(run_dir / REPORT, known)
    print(
        f"{run_dir / TABLE} has the table, {REPORT} beside it is for a browser. "
        f"Curves: keras-archs dashboard {run_dir}"
    )
    return table


def _common_parent(runs: "Sequence[Run]") -> str:
    """The folder that holds all runs; a relative path where all of theirs are."""
    parent = os.path.commonpath([run.path.absolute().parent for run in runs])
    return parent if any(run.path.is_absolute() for run in runs) else os.path.relpath(parent)


def _with_defaults(entry: Entry, options: dict[str, Any]) -> Entry:
    """The entry with the multipliers that count for all entries where it states none."""
    alpha = options.get("alpha", 1.0) if entry.alpha is None else entry.alpha
    rho = options.get("rho", 1.0) if entry.rho is None else entry.rho
    check_alpha(alpha)
    check_rho(rho)
    return Entry(entry.arch, float(alpha), float(rho))


def _label(entry: Entry) -> str:
    """`mobilenet-a0.5`: the architecture and those multipliers that are not 1."""
    alpha = "" if entry.alpha == 1 else f"-a{entry.alpha:g}"
    rho = "" if entry.rho == 1 else f"-r{entry.rho:g}"
    return f"{entry.arch}{alpha}{rho}"


def _check_distinct(name: str, values: Sequence, str_of: Callable[[Any], str] = str) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"`{name}` must be distinct. Received: {str_of(value)} twice")


def _train(entries, data, run_dir, seeds, options) -> "list[Run]":
    """The runs of all entries with all seeds, each trained as far as it is not yet."""
    import keras

    from applications.data.sources import open_source
    from applications.training.training import check_network, train

    source = open_source(data)
    network = {key: options[key] for key in ("size", "recipe", "args") if key in options}
    for entry in entries:  # all of them before the first is trained
        check_network(source=source, data=data, **entry._asdict(), **network)
    options = {key: value for key, value in options.items() if key not in ("alpha", "rho")}
    runs = []
    for number, (entry, seed) in enumerate(((e, s) for e in entries for s in seeds), start=1):
        folder = run_dir / f"{_label(entry)}-{source.name}-s{seed}"
        print(f"[{number}/{len(entries) * len(seeds)}] {folder}", flush=True)
        keras.backend.clear_session()  # the networks before this one need not stay in memory
        trained = train(
            data=data, seed=seed, run_dir=folder, resume=True, **entry._asdict(), **options
        )
        runs.append(trained)
    return runs


def _row(run: "Run") -> dict[str, Any]:
    config, metrics = run.config, run.metrics
    return {
        **metrics,
        "run": str(run.path),
        "arch": config["arch"],
        "alpha": config["alpha"],
        "rho": config["rho"],
        "input": "x".join(map(str, metrics["input_shape"])),
    }


def _print(networks: "DataFrameGroupBy") -> None:
    """Prints one line a network: its only run, or mean (lowest..highest) over its seeds."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    # A file has no edge to fold lines at, and a narrow terminal folds better than cells do.
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


def _mean_and_range(percent: "np.ndarray") -> str:
    if len(percent) == 1:
        return f"{percent[0]:.2f}"
    return f"{percent.mean():.2f} ({percent.min():.2f}..{percent.max():.2f})"
