"""Does our space find better networks than others? The best of a search, at one budget for all.

    python benchmarks/search_quality.py [--data cifar10,mnist] [--budgets 60K,300K,60K-2M]
        [--spaces principled,...] [--seeds 0,1,2] [--trials 8] [--epochs 12] [--images 10000]

Random search over several spaces, each network within the budget, trained by the default recipe on
images of 16x16:

- "principled": `tuning.space`.
- "unprincipled": chains of the same layers with nothing held together: kernel and width by layer,
  depth, what reduces the map and where, dropout. What is over the budget, or takes less than four
  fifths of it, is drawn again: the chains cost as much as the networks of the other spaces.
- "resnet20", "mobilenet": `tuning.arch_space` of these.
- "no-principles" (when asked for): `tuning.space(principles=())`, which fits by construction.

The networks that keras-tuner brings are no entry: the smallest of its HyperXception has 203,768
parameters, its default 1.06 million, and they are none of our architectures. Its Bayesian search
would do as a random one: it draws its first three trials for each hyperparameter at random.
The first trial of our spaces is their default point.

The budgets are 60,000 parameters, 300,000, and 60,000 with at most 2.1 million multiply-adds, which
is what ResNet20 takes at 60,000 parameters.

The images are cut from the training files, class by class and the same for all seeds: those to
train on, and half as many for validation. The winner of each search, by validation, meets all of
the 10,000 test images.

Every trial of a search that has ended is a row of `benchmarks/results/search_quality.csv`. What
stands there is passed over when the command is given again, and a search that was stopped resumes
from the work folder, so that the table may be made over days. Several commands may run side by
side, on other seeds, spaces or data. The table goes to `summary.md` in the work folder.
"""

import argparse
import io
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.model_selection import train_test_split

from applications.files import write_atomic
from applications.searching.studies import search
from tuning.budget import Budget, Cost, Skeleton

RESULTS = Path(__file__).parent / "results" / "search_quality.csv"
BUDGETS = {
    "60K": Budget(params=60_000),
    "300K": Budget(params=300_000),
    "60K-2M": Budget(params=60_000, macs=2_100_000),
}
SIDE = 16  # pixels
SETTINGS = ["data", "images", "epochs", "trials", "budget", "space", "seed"]
RECORDED = [
    *("trial", "status", "reason", "validation_accuracy", "test_accuracy"),
    *("params", "macs", "train_seconds"),
]


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    shared = Path(__file__).parents[2] / "shared"
    for name, default, wanted in (
        ("--data", "cifar10,mnist", f"any of {','.join(DATA)}"),
        ("--budgets", ",".join(BUDGETS), "any of the default"),
        ("--spaces", "principled,unprincipled,resnet20,mobilenet", f"any of {','.join(SPACES)}"),
        ("--seeds", "0,1,2", "comma-separated"),
    ):
        parser.add_argument(name, default=default, help=f"{wanted} (default: %(default)s)")
    for name, default in (
        ("--trials", 8),
        ("--epochs", 12),
        ("--images", 10_000),
        ("--threads", 1),
    ):
        parser.add_argument(name, type=int, default=default, help="default: %(default)s")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("runs", "benchmark-search-quality"),
        help="default: %(default)s",
    )
    parser.add_argument(
        "--shared", type=Path, default=shared, help="holds data/ (default: %(default)s)"
    )
    options = parser.parse_args()
    for name, known in (("data", DATA), ("budgets", BUDGETS), ("spaces", SPACES)):
        given = getattr(options, name).split(",")
        if unknown := [one for one in given if one not in known]:
            parser.error(f"`{name}` must be of {', '.join(known)}. Received: {unknown[0]}")
        setattr(options, name, given)
    options.seeds = [int(seed) for seed in options.seeds.split(",")]

    options.work.mkdir(parents=True, exist_ok=True)
    for seed, budget, data, space in product(
        options.seeds, options.budgets, options.data, options.spaces
    ):
        searched(data, prepared(data, options), budget, space, seed, options)
    text = summary(results(options), options)
    write_atomic(options.work / "summary.md", text)
    print(f"\n{text}")


# ------------------------------------------------------------------------------------------- spaces


class Unprincipled:
    """Chains of layers with everything free, drawn again until one takes the budget.

    The one hyperparameter numbers the draws, so this is for random search alone. It goes by the
    seed, so that searches do not share their first trial.
    """

    arch = "simpnet"
    depths = (3, 20)
    widths = (4, 8, 12, 16, 24, 32, 48, 64, 96)
    kernels = (1, 3, 5, 7)
    most_reductions = 4  # to a map of one pixel
    reducers = ("max2/2/0", "avg2/2/0", "stride")
    placements = ("none", "after_reduction", "every_layer", "before_classifier")
    rates = (0.1, 0.2, 0.3, 0.4, 0.5)

    def __init__(self, seed: int):
        self._seed = seed

    def __call__(self, hp, *, input_shape, classes, budget) -> dict[str, list[str]]:
        draws = self.draws(hp.Int("draw", 0, 2**31 - 1), input_shape, classes)
        return {"rows": next(rows for rows, cost in draws if self.takes(budget, cost))}

    @staticmethod
    def takes(budget: Budget, cost: Cost) -> bool:
        """Whether a network is within the budget and takes most of one of its limits."""
        limits = (cost.params, budget.params), (cost.macs, budget.macs)
        share = max(used / limit for used, limit in limits if limit is not None)
        return budget.allows(cost) and share >= 0.8

    def draws(self, number, input_shape, classes) -> Iterator[tuple[list[str], Cost]]:
        """Rows of `SimpNet(rows=...)` and what they cost, without end."""
        random = Random(f"{self._seed} {number}")
        while True:
            depth = random.randint(*self.depths)
            kernels = random.choices(self.kernels, k=depth)
            widths = random.choices(self.widths, k=depth)
            count = random.randint(0, min(self.most_reductions, depth))
            reductions = random.sample(range(depth), count)
            reducer, placement = random.choice(self.reducers), random.choice(self.placements)
            drop = f" drop{random.choice(self.rates)}"
            height, width, channels = input_shape
            rows, areas = [], []
            for layer, (filters, kernel) in enumerate(zip(widths, kernels, strict=True)):
                reduces = layer in reductions
                strides = reduces and reducer == "stride"
                pools = reduces and reducer != "stride"
                halved = -(-height // 2), -(-width // 2)
                areas.append(halved[0] * halved[1] if strides else height * width)
                if reduces:
                    height, width = halved
                drops = placement == "every_layer" or (placement == "after_reduction" and reduces)
                rows.append(
                    f"{filters} {kernel}/{2 if strides else 1}/{kernel // 2} bn relu"
                    + f" {reducer}" * pools
                    + drop * drops
                )
            rows.append(f"gmp{drop if placement == 'before_classifier' else ''} dense")
            yield rows, Skeleton(kernels, areas, channels, classes).cost(widths)


SPACES = {  # what differs between their calls of `tuning.search`
    "principled": lambda seed: {"space": "simpnet"},
    "unprincipled": lambda seed: {"space": Unprincipled(seed)},
    "resnet20": lambda seed: {"space": "resnet20"},
    "mobilenet": lambda seed: {"space": "mobilenet"},
    "no-principles": lambda seed: {"space": "simpnet", "principles": ()},
}


# --------------------------------------------------------------------------------------------- data


def cifar10(folder: Path) -> dict[str, tuple[list[Image.Image], np.ndarray]]:
    """Images of 32x32x3, decoded when they are used, and labels of both splits."""
    splits = {}
    for split in ("train", "test"):
        with np.load(folder / f"cifar10_{split}.npz") as file:
            header, labels = file["header"].tobytes(), file["labels"]
            scans = np.split(file["scans"], np.cumsum(file["lengths"], dtype=np.int64)[:-1])
        files = (io.BytesIO(header + scan.tobytes() + b"\xff\xd9") for scan in scans)
        splits[split] = [Image.open(file, formats=("JPEG",)) for file in files], labels
    return splits


def mnist(folder: Path) -> dict[str, tuple[list[Image.Image], np.ndarray]]:
    """Images of 28x28 and labels of both splits."""
    with np.load(folder / "mnist.npz") as file:
        return {
            split: ([Image.fromarray(image) for image in file[f"x_{split}"]], file[f"y_{split}"])
            for split in ("train", "test")
        }


DATA = {"cifar10": cifar10, "mnist": mnist}


def prepared(data: str, options: argparse.Namespace) -> Path:
    """The .npz of the images that all searches share, written where it is missing."""
    path = options.work / f"{data}-{options.images}.npz"
    if path.exists():
        return path
    splits = DATA[data](options.shared / "data")
    labels = splits["train"][1]
    train, val = train_test_split(
        np.arange(len(labels)),
        train_size=options.images,
        test_size=options.images // 2,
        stratify=labels,
        random_state=0,
    )
    arrays = {}
    for name, split, chosen in (
        ("train", "train", train),
        ("val", "train", val),
        ("test", "test", np.arange(len(splits["test"][1]))),
    ):
        images, labels = splits[split]
        small = [images[at].resize((SIDE, SIDE), Image.Resampling.BILINEAR) for at in chosen]
        arrays |= {f"x_{name}": np.stack([np.asarray(image) for image in small])}
        arrays |= {f"y_{name}": labels[chosen]}
    write_atomic(path, lambda file: np.savez_compressed(file, **arrays))
    return path


# ------------------------------------------------------------------------------------------ results


def results(options: argparse.Namespace) -> pd.DataFrame:
    """The trials of all finished searches of these lengths."""
    if not RESULTS.exists():
        return pd.DataFrame(columns=SETTINGS + RECORDED)
    return pd.read_csv(RESULTS).query(
        "images == @options.images and epochs == @options.epochs and trials == @options.trials"
    )


def searched(
    data: str, file: Path, budget: str, space: str, seed: int, options: argparse.Namespace
):
    """Search, or resume it, and add its trials to the results; nothing if they are there."""
    setting = data, options.images, options.epochs, options.trials, budget, space, seed
    if setting in set(results(options)[SETTINGS].itertuples(index=False, name=None)):
        return
    print(f"\n{data}, {budget}, {space}, seed {seed}", flush=True)
    result = search(
        data=str(file),
        **SPACES[space](seed),
        algorithm="random",
        budget=BUDGETS[budget],
        trials=options.trials,
        epochs=options.epochs,
        threads=options.threads,
        seed=seed,
        run_dir=options.work / f"{file.stem}-epochs{options.epochs}" / f"{budget}-{space}-s{seed}",
        resume=True,
    )
    rows = result.trials[RECORDED].assign(**dict(zip(SETTINGS, setting, strict=True)))
    text = rows[SETTINGS + RECORDED].to_csv(
        index=False, header=not RESULTS.exists(), lineterminator="\n"
    )
    with open(RESULTS, "a", encoding="utf-8") as table:
        table.write(text)  # one call, so that several processes may add to the file


def summary(found: pd.DataFrame, options: argparse.Namespace) -> str:
    """Markdown: for each budget and data set how good the winners are, how soon they are found, and
    what is best at how many multiply-adds."""
    lines = [
        f"Random searches of {options.trials} trials, {options.epochs} epochs on "
        f"{options.images:,} images of {SIDE}x{SIDE}. Mean (min to max) in %; `n`: searches, one a "
        "seed.",
    ]
    for (budget, data), trials in found.groupby(["budget", "data"], sort=False):
        spaces = [space for space in SPACES if space in set(trials.space)]
        by_space = {space: trials.query("space == @space") for space in spaces}
        lines += [
            "",
            f"## {data}, {budget}",
            "",
            "| space | n | winner, test accuracy | all trials, validation accuracy "
            "| parameters, mean | MACs, mean |",
            "|---|---|---|---|---|---|",
        ]
        bests = {space: own.test_accuracy.dropna() for space, own in by_space.items()}
        for space, own in by_space.items():
            cells = space, len(bests[space]), spread(bests[space]), spread(own.validation_accuracy)
            means = f"{own.params.mean():,.0f}", f"{own.macs.mean():,.0f}"
            lines.append(f"| {' | '.join(map(str, (*cells, *means)))} |")
        lines += ["", *compared(bests), "", *soon(by_space, options.trials), ""]
        lines += cheap(by_space)
    if "cifar10" in set(found.data):
        lines += [
            "",
            "These CIFAR-10 images were compressed as JPEG of quality 75 and made smaller: no "
            "figure here compares with a published one.",
        ]
    return "\n".join([*lines, ""])


def compared(bests: dict[str, pd.Series]) -> list[str]:
    """How the first space's winners stand to those of each other one."""
    (first, ours), *others = bests.items()
    lines = []
    for space, theirs in others:
        lead = 100 * (ours.mean() - theirs.mean())
        if min(len(ours), len(theirs)) < 2:
            lines.append(f"- {first} minus {space} is {lead:+.1f} points; one seed says no spread")
            continue
        widest = 100 * max(ours.max() - ours.min(), theirs.max() - theirs.min())
        verdict = "more" if lead > widest else "no more"
        lines.append(
            f"- {first} minus {space} is {lead:+.1f} points, {verdict} than the wider of their two "
            f"spreads over the seeds, {widest:.1f}"
        )
    return lines


def soon(by_space: dict[str, pd.DataFrame], trials: int) -> list[str]:
    """The best validation accuracy of the first trials of a search, mean over the seeds."""
    counts = [count for count in (1, 2, 4, 8, 16, 32) if count <= trials]
    lines = [
        f"| best validation accuracy of | {' | '.join(f'{n} trials' for n in counts)} |",
        f"|---|{'---|' * len(counts)}",
    ]
    for space, own in by_space.items():
        best = [
            own.query("trial < @count").groupby("seed").validation_accuracy.max().mean()
            for count in counts
        ]
        lines.append(f"| {space} | {' | '.join(f'{100 * value:.1f}' for value in best)} |")
    return lines


def cheap(by_space: dict[str, pd.DataFrame]) -> list[str]:
    """The best validation accuracy of all trials up to so many multiply-adds."""
    most = max(own.macs.max() for own in by_space.values())
    limits = [most / 2**halvings for halvings in range(4, -1, -1)]
    lines = [
        f"| best trial up to | {' | '.join(f'{limit / 1e6:.1f} M MACs' for limit in limits)} |",
        f"|---|{'---|' * len(limits)}",
    ]
    for space, own in by_space.items():
        best = [own[own.macs <= limit].validation_accuracy.max() for limit in limits]
        cells = ("-" if pd.isna(value) else f"{100 * value:.1f}" for value in best)
        lines.append(f"| {space} | {' | '.join(cells)} |")
    return lines


def spread(values: pd.Series) -> str:
    middle, low, high = (100 * value for value in (values.mean(), values.min(), values.max()))
    return f"{middle:.1f} ({low:.1f} to {high:.1f})"


if __name__ == "__main__":
    main()
