"""Which small network? Test accuracy against parameters, from 10,000 to 300,000.

    python benchmarks/ladder.py [--data mnist,cifar10] [--budgets 10000,30000,100000,300000]
        [--networks ...] [--seeds 0,1,2] [--epochs 20] [--images N] [--trials 8]

At each budget every network is as wide as fits, and trained by the default recipe for the same
number of epochs, on the images as they are (28x28 and 32x32), less the tenth that validates:

- "search": what wins a random search of the space of SimpNet's principles, `--trials` trials of as
  many epochs each, by validation. One search a budget, whatever the seed.
- "space": the first trial of that search, the space's default point.
- all others: the architecture with the largest `alpha` up to 2 that fits.

A training is a row of `benchmarks/results/ladder.csv`: the test accuracy, what the network costs,
and the time for one image in its fastest runtime on the machine that trained it (a busy machine is
a slow one: the column tells networks of one machine apart, nothing else). Rows that are there are
passed over, and a training or search that was stopped resumes from the work folder, so that the
table may be made over days and on several machines. The page goes to `ladder.md` beside it, the
figure to `docs/ladder.png`.
"""

import argparse
import functools
import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import pandas as pd
import yaml
from rows import append, found
from search_quality import DATA, spread
from sklearn.model_selection import train_test_split

import keras_archs
from applications.files import write_atomic
from applications.logs.diagnostics import device_name
from applications.searching.studies import search
from applications.training.training import train
from tuning.budget import Budget
from tuning.spaces import arch_space, space

RESULTS = Path(__file__).parent / "results"
FIGURE = Path(__file__).parents[1] / "docs" / "ladder.png"
SHAPES = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
ARCHS = {
    "simpnet": "simpnet_300k",
    "resnet20": "resnet20",
    "mobilenet": "mobilenet",
    "mobilenetv2": "mobilenetv2",
    "squeezenet": "squeezenet",
    "densenetbc": "densenetbc_100_12",
    "allcnn": "allcnn_c",
    "lenet5": "lenet5",
}
NETWORKS = ("search", "space", *ARCHS)
KEYS = ["data", "images", "epochs", "budget", "network", "seed"]
MEASURED = ["test_accuracy", "validation_accuracy", "macro_f1", "latency_ms_p50", "train_seconds"]
COLUMNS = [*KEYS, *MEASURED, "params", "macs", "int8_bytes", "sram_bytes", "device", "versions"]


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    for name, default in (
        ("data", ",".join(SHAPES)),
        ("budgets", "10000,30000,100000,300000"),
        ("networks", ",".join(NETWORKS)),
        ("seeds", "0,1,2"),
    ):
        parser.add_argument(f"--{name}", default=default, help="default: %(default)s")
    for name, default in (("--epochs", 20), ("--trials", 8), ("--threads", 1)):
        parser.add_argument(name, type=int, default=default, help="default: %(default)s")
    parser.add_argument("--images", type=int, help="to train and validate on (default: all)")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--work", type=Path, default=Path("runs", "benchmark-ladder"))
    options = parser.parse_args()
    for name, known in (("data", SHAPES), ("networks", NETWORKS)):
        given = getattr(options, name).split(",")
        if unknown := [one for one in given if one not in known]:
            parser.error(f"`--{name}` must be of {', '.join(known)}. Received: {unknown[0]}")
        setattr(options, name, given)
    for name in ("budgets", "seeds"):
        setattr(options, name, [int(each) for each in getattr(options, name).split(",")])

    options.work.mkdir(parents=True, exist_ok=True)
    path = RESULTS / "ladder.csv"
    for seed, budget, data, network in product(
        options.seeds, options.budgets, options.data, options.networks
    ):
        file, images = prepared(data, options)
        key = data, images, options.epochs, budget, network, seed
        if key in set(found(path, COLUMNS)[KEYS].itertuples(index=False, name=None)):
            continue
        try:
            arch, arguments = chosen(data, file, budget, network, options)
        except ValueError as error:  # none is so small
            print(f"{network} at {budget:,}: {error}", flush=True)
            continue
        row = trained(file, arch, arguments, SHAPES[data], key, options)
        append(path, COLUMNS, [*key, *row])
        print(*key, *row, flush=True)
    rows = found(path, COLUMNS)
    write_atomic(RESULTS / "ladder.md", page(rows))
    write_atomic(FIGURE, functools.partial(draw, rows))


def prepared(data: str, options: argparse.Namespace) -> tuple[Path, int]:
    """The .npz of the images as they are, written where it is missing, and how many train."""
    path = options.work / f"{data}-{options.images or 'all'}.npz"
    if not path.exists():
        splits = DATA[data](options.shared / "data")
        chosen = np.arange(len(splits["train"][1]))
        if options.images is not None:
            labels = splits["train"][1]
            chosen, _ = train_test_split(
                chosen, train_size=options.images, stratify=labels, random_state=0
            )
        arrays = {}
        for split, kept in (("train", chosen), ("test", np.arange(len(splits["test"][1])))):
            images, labels = splits[split]
            arrays[f"x_{split}"] = np.stack([np.asarray(images[at]) for at in kept])
            arrays[f"y_{split}"] = labels[kept]
        write_atomic(path, lambda file: np.savez_compressed(file, **arrays))
    with np.load(path) as file:
        return path, len(file["y_train"])


# ------------------------------------------------------------------------------------- the networks


def chosen(
    data: str, file: Path, budget: int, network: str, options: argparse.Namespace
) -> tuple[str, dict[str, Any]]:
    """The architecture and the builder's arguments.

    Raises:
        ValueError: no network of that kind is within the budget.
    """
    shape, limit = SHAPES[data], Budget(params=budget)
    if network == "search":
        return "simpnet", searched(file, budget, options)
    point = keras_tuner.HyperParameters()
    if network == "space":
        return "simpnet", space(point, input_shape=shape, classes=10, budget=limit)
    arch = ARCHS[network]
    point.Fixed("alpha", 2.0)  # it is capped
    stem = {"stem": "small"} if keras_archs.info(arch).stems else {}
    return arch, arch_space(arch, **stem)(point, input_shape=shape, classes=10, budget=limit)


def searched(file: Path, budget: int, options: argparse.Namespace) -> dict[str, Any]:
    folder = options.work / f"{file.stem}-epochs{options.epochs}" / f"{budget}-search"
    search(
        data=str(file),
        space="simpnet",
        algorithm="random",
        budget=Budget(params=budget),
        trials=options.trials,
        epochs=options.epochs,
        threads=options.threads,
        seed=0,
        run_dir=folder,
        resume=True,
    )
    return yaml.safe_load((folder / "best.yaml").read_text(encoding="utf-8"))["args"]


def trained(
    file: Path,
    arch: str,
    arguments: dict[str, Any],
    shape: tuple[int, int, int],
    key: tuple,
    options: argparse.Namespace,
) -> list[Any]:
    """What a row has behind its key."""
    data, _, epochs, budget, network, seed = key
    multipliers = {name: arguments[name] for name in ("alpha", "rho") if name in arguments}
    own = {name: value for name, value in arguments.items() if name not in multipliers}
    run = train(
        arch,
        **{**multipliers, "args": own, "data": file, "size": shape[0], "epochs": epochs},
        **{"seed": seed, "threads": options.threads, "verbose": 0, "resume": True},
        mirror=data == "cifar10",  # a file does not say that its images may be mirrored
        run_dir=options.work / f"{file.stem}-epochs{epochs}" / f"{budget}-{network}-s{seed}",
    )
    metrics = run.metrics
    memory = keras_archs.deployment(arch, input_shape=shape, classes=10, **arguments)
    return [
        *(round(metrics[name], 5) for name in MEASURED),
        *(metrics["params"], metrics["macs"], memory.weight_bytes, memory.peak_activation_bytes),
        device_name() or f"CPU ({options.threads} threads)",
        f"keras {metrics['keras']} {metrics['backend']}",
    ]


# ---------------------------------------------------------------------------------------- the page


def rungs(rows: pd.DataFrame) -> Iterator[tuple[tuple, pd.DataFrame]]:
    """The rows that can be compared: of one data set, number of images and epochs, and budget."""
    yield from rows.groupby(["data", "images", "epochs", "budget"], sort=False)


def page(rows: pd.DataFrame) -> str:
    """Markdown: what to take for which budget and how sure that is, then every network."""
    lines = [
        "# Which small network?",
        "",
        "`python benchmarks/ladder.py`. Each network is as wide as its budget of parameters allows "
        "and trained by the default recipe for as many epochs as the others. Accuracy on all test "
        "images in %, mean over seeds (least to most). CIFAR-10 here is of JPEGs of quality 75: no "
        "figure compares with a published one. Latency is that of a busy machine. A network that "
        "is not in a table was not trained there yet, or is not so small.",
        "",
        "Of the images a tenth validates. Equal parameters are not equal multiply-adds, which the "
        "tables have beside them. These trainings are short: longer ones may order the networks "
        "otherwise. `search` is what won a search of eight trials by its validation images, "
        "`space` that search's first trial, `simpnet` the slim profile of SimpNet_300K.",
        "",
        "![Accuracy against parameters](../../docs/ladder.png)",
        "",
        "| data | images | epochs | parameters | take | test accuracy | ahead of the next by |",
        "|---|---|---|---|---|---|---|",
    ]
    details = []
    for (data, images, epochs, budget), rung in rungs(rows):
        by_network = {name: own for name, own in rung.groupby("network")}
        ranked = sorted(by_network, key=lambda name: -by_network[name].test_accuracy.mean())
        best = by_network[ranked[0]].test_accuracy
        cells = data, f"{images:,}", epochs, f"{budget:,}", ranked[0], spread(best)
        lines.append(f"| {' | '.join(map(str, cells))} | {lead(by_network, ranked)} |")
        details += [
            "",
            f"## {data}, {budget:,} parameters: {images:,} images, {epochs} epochs",
            "",
            "| network | seeds | test accuracy | parameters | MACs | int8, bytes | SRAM, bytes "
            "| latency, ms |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for name in ranked:
            own = by_network[name]
            first = own.iloc[0]
            counts = (first[column] for column in ("params", "macs", "int8_bytes", "sram_bytes"))
            cells = name, len(own), spread(own.test_accuracy), *(f"{each:,}" for each in counts)
            details.append(f"| {' | '.join(map(str, cells))} | {own.latency_ms_p50.median():.3g} |")
    return "\n".join([*lines, *details, ""])


def lead(by_network: dict[str, pd.DataFrame], ranked: list[str]) -> str:
    """How far the first is ahead, and whether that is more than seeds make."""
    if len(ranked) < 2:
        return "nothing else was trained"
    first, second = (by_network[name].test_accuracy for name in ranked[:2])
    points = 100 * (first.mean() - second.mean())
    widest = 100 * max(first.max() - first.min(), second.max() - second.min())
    if min(len(first), len(second)) < 2:
        return f"{points:.2f} ({ranked[1]}); one seed"
    said = "more" if points > widest else "no more"
    return f"{points:.2f} ({ranked[1]}), {said} than the spread of the seeds, {widest:.2f}"


def draw(rows: pd.DataFrame, file: Any) -> None:
    from matplotlib.figure import Figure

    groups = list(rows.groupby(["data", "images", "epochs"], sort=False))
    figure = Figure(figsize=(6.5 * len(groups), 4.2), layout="constrained")
    panels = figure.subplots(1, len(groups), squeeze=False)[0]
    for panel, ((data, images, epochs), own) in zip(panels, groups, strict=True):
        for name in (each for each in NETWORKS if each in set(own.network)):
            by_budget = own.query("network == @name").groupby("budget")
            middle = 100 * by_budget.test_accuracy.mean()
            below = middle - 100 * by_budget.test_accuracy.min()
            above = 100 * by_budget.test_accuracy.max() - middle
            panel.errorbar(
                by_budget.params.first(), middle, (below, above), label=name, marker="o", capsize=3
            )
        panel.set(
            title=f"{data}, {images:,} images, {epochs} epochs",
            xlabel="parameters",
            ylabel="test accuracy, %",
            xscale="log",
        )
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, ncols=2)
    figure.savefig(file, format="png", dpi=130)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
