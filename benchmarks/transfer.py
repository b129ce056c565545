"""Does a trial gain by beginning with what an earlier one has learned? `search --transfer`.

    python benchmarks/transfer.py [--data cifar10] [--spaces resnet20,mobilenet] [--seeds 0,1,2]
        [--trials 8] [--epochs 6] [--images 10000]

A random search over the width and the dropout of an architecture with at most 150,000 parameters,
on images of 16x16, twice with the same seed: each trial begins anew, or grows from the best one
before it that is no wider. Both searches draw the same trials, which are compared one by one.

What a trial that has a parent gains is not free: the parent's epochs came before its own. So the
best of a search is compared as well, after as many epochs of training in all.

Each search that has ended adds its trials to `benchmarks/results/transfer.csv`, and is passed over
when the command is given again; one that was stopped is resumed. The table goes to `transfer.md`
beside it.
"""

import argparse
import os
from itertools import product
from pathlib import Path

import keras
import pandas as pd
from lineage import ranged
from rows import append, found
from search_quality import DATA, SIDE, prepared

import tuning
from applications.files import write_atomic
from applications.searching.studies import search
from tuning.budget import Budget

RESULTS = Path(__file__).parent / "results"
BUDGET = Budget(params=150_000)
LENGTHS = ["data", "images", "epochs", "trials"]
SETTINGS = [*LENGTHS, "space", "seed", "begins"]
FIGURES = ["trial", "parent", "validation_accuracy", "test_accuracy", "params"]
COLUMNS = [*SETTINGS, *FIGURES, "backend", "keras"]


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    for name, default in (
        ("--data", "cifar10"),
        ("--spaces", "resnet20,mobilenet"),
        ("--seeds", "0,1,2"),
        ("--trials", 8),
        ("--epochs", 6),
        ("--images", 10_000),
        ("--threads", 1),
    ):
        parser.add_argument(name, default=default, type=type(default), help="default: %(default)s")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--work", type=Path, default=Path("runs", "benchmark-transfer"))
    options = parser.parse_args()
    if options.data not in DATA:
        parser.error(f"--data must be one of {', '.join(DATA)}. Received: {options.data}")

    options.work.mkdir(parents=True, exist_ok=True)
    file = prepared(options.data, options)
    for seed, space, begins in product(
        map(int, options.seeds.split(",")), options.spaces.split(","), ("anew", "grown")
    ):
        searched(file, space, seed, begins, options)
    text = summary(found(RESULTS / "transfer.csv", COLUMNS))
    write_atomic(RESULTS / "transfer.md", text)
    print(text)


def searched(file: Path, space: str, seed: int, begins: str, options: argparse.Namespace) -> None:
    """Search, and add the trials to the results; nothing if they are there."""
    path = RESULTS / "transfer.csv"
    lengths = options.data, options.images, options.epochs, options.trials
    setting = *lengths, space, seed, begins
    if setting in set(found(path, COLUMNS)[SETTINGS].itertuples(index=False, name=None)):
        return
    print(f"{space}, seed {seed}, {begins}", flush=True)
    folder = f"{file.stem}-{options.epochs}-{options.trials}-{space}-s{seed}-{begins}"
    result = search(
        data=file,
        space=tuning.arch_space(space),
        algorithm="random",
        budget=BUDGET,
        transfer=begins == "grown",
        trials=options.trials,
        epochs=options.epochs,
        threads=options.threads,
        size=SIDE,
        seed=seed,
        run_dir=options.work / folder,
        resume=True,
    )
    versions = keras.backend.backend(), keras.__version__
    for row in result.trials.reindex(columns=FIGURES).itertuples(index=False):
        append(path, COLUMNS, [*setting, *row, *versions])


def summary(rows: pd.DataFrame) -> str:
    """Markdown: for each space what a trial gains that has a parent, and what a search gains."""
    lines = [
        "# Trials that begin with an earlier one's weights: `python benchmarks/transfer.py`",
        "",
        "Accuracy in %, gains in points: mean (least to most). Of validation, but for the last two "
        "columns: of the winner of each search on the test images.",
    ]
    for (data, images, epochs, trials), part in rows.groupby(LENGTHS):
        lines += [
            "",
            f"## {data}, {images:,} images, {trials} trials of {epochs} epochs",
            "",
            "| space | searches | trials with a parent | better than anew | what these gain "
            "| best of a search gains | winner, anew | winner, grown |",
            "|---|--:|--:|--:|--:|--:|--:|--:|",
        ]
        for space, own in part.groupby("space"):
            anew, grown = (own[own.begins == how] for how in ("anew", "grown"))
            both = grown.merge(anew, on=["seed", "trial"], suffixes=("", "_anew"))
            begun = both[both.parent.notna()]
            gains = 100 * (begun.validation_accuracy - begun.validation_accuracy_anew)
            bests = (
                100
                * both.groupby("seed")[["validation_accuracy", "validation_accuracy_anew"]].max()
            )
            best = bests.validation_accuracy - bests.validation_accuracy_anew
            shares = f"{len(begun)} of {len(both)}", f"{(gains > 0).sum()} of {len(begun)}"
            winners = (ranged(100 * each.test_accuracy.dropna()) for each in (anew, grown))
            cells = space, len(best), *shares, ranged(gains, "+"), ranged(best, "+"), *winners
            lines.append(f"| {' | '.join(map(str, cells))} |")
    versions = rows[["keras", "backend"]].drop_duplicates().itertuples(index=False, name=None)
    lines += ["", "; ".join(f"Keras {number} on {backend}" for number, backend in versions) + "."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
