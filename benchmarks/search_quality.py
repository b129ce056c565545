"""Does our space find better networks than others? The best of a search, at one budget for all.

    python benchmarks/search_quality.py [--data cifar10,mnist] [--seeds 0,1,2] [--trials 8]

Random search over four spaces, each network with at most 60,000 parameters, trained by the default
recipe on 2,000 images of 16x16:

- "principled": `tuning.space`.
- "unprincipled": chains of the same layers with nothing held together: kernel and width by layer,
  depth, what reduces the map and where, dropout. What is over the budget is rejected and drawn
  again, as one does without a space that fits by construction: four of five draws.
- "resnet20": `tuning.arch_space("resnet20")`.
- "no-principles" (when asked for): `tuning.space(principles=())`, which fits by construction.

keras-tuner's Bayesian search would do the same: it draws its first three trials for each
hyperparameter at random. The first trial of our spaces is their default point.

The images are cut from the training files, class by class and the same for all seeds: those to
train on, and half as many for validation. The winner of each search, by validation, meets all of
the 10,000 test images.

Every search keeps its `trials.csv` in the work folder and resumes where it was when it is started
again; `results.csv` there has each trial of the finished ones, `summary.md` what is printed.
"""

import argparse
import io
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.model_selection import train_test_split

from applications.files import write_atomic
from applications.searching.studies import search
from tuning.budget import Budget, Cost, Skeleton

BUDGET = Budget(params=60_000)
SIDE = 16  # pixels
SETTINGS = ["data", "images", "epochs", "trials", "space", "seed"]
RECORDED = [
    *("trial", "status", "reason", "validation_accuracy", "test_accuracy"),
    *("params", "macs", "train_seconds"),
]


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    shared = Path(__file__).parents[2] / "shared"
    for name, default, wanted in (
        ("--data", "cifar10,mnist", f"any of {','.join(DATA)}"),
        ("--spaces", "principled,unprincipled,resnet20", f"any of {','.join(SPACES)}"),
        ("--seeds", "0,1,2", "comma-separated"),
    ):
        parser.add_argument(name, default=default, help=f"{wanted} (default: %(default)s)")
    for name, default in (("--trials", 8), ("--epochs", 6), ("--images", 2000)):
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
    for name, known in (("data", DATA), ("spaces", SPACES)):
        given = getattr(options, name).split(",")
        if unknown := [one for one in given if one not in known]:
            parser.error(f"`{name}` must be of {', '.join(known)}. Received: {unknown[0]}")
        setattr(options, name, given)
    options.seeds = [int(seed) for seed in options.seeds.split(",")]

    options.work.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for data in options.data:
            file = prepared(data, options)
            for space in options.spaces:
                searched(data, file, space, seed, options)
                text = summary(results(options), options)
                write_atomic(options.work / "summary.md", text)
    print(f"\n{text}")


# ------------------------------------------------------------------------------------------- spaces


class Unprincipled:
    """Chains of layers with everything free, drawn again until one is within the budget.

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
        return {"rows": next(rows for rows, cost in draws if budget.allows(cost))}

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
    """The trials of all finished searches."""
    path = options.work / "results.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=SETTINGS + RECORDED)


def searched(data: str, file: Path, space: str, seed: int, options: argparse.Namespace):
    """Search, or resume it, and add its trials to the results; nothing if they are there."""
    found = results(options)
    setting = data, options.images, options.epochs, options.trials, space, seed
    if setting in set(found[SETTINGS].itertuples(index=False, name=None)):
        return
    print(f"\n{data}, {space}, seed {seed}", flush=True)
    result = search(
        data=str(file),
        **SPACES[space](seed),
        algorithm="random",
        budget=BUDGET,
        trials=options.trials,
        epochs=options.epochs,
        seed=seed,
        run_dir=options.work / f"{file.stem}-epochs{options.epochs}" / f"{space}-s{seed}",
        resume=True,
    )
    new = result.trials[RECORDED].assign(**dict(zip(SETTINGS, setting, strict=True)))
    whole = pd.concat([found, new[SETTINGS + RECORDED]]) if len(found) else new[SETTINGS + RECORDED]
    write_atomic(options.work / "results.csv", whole.to_csv(index=False, lineterminator="\n"))


def summary(found: pd.DataFrame, options: argparse.Namespace) -> str:
    """Markdown: a row for each data set and space, and how far the first space is ahead."""
    found = found.query(
        "images == @options.images and epochs == @options.epochs and trials == @options.trials "
        "and seed in @options.seeds"
    )
    lines = [
        f"Best of {options.trials} trials of {options.epochs} epochs on {options.images:,} images "
        f"of {SIDE}x{SIDE}, at most {BUDGET.params:,} parameters; seeds "
        f"{', '.join(map(str, options.seeds))}. Mean (min to max) in %.",
        "",
        "| data | space | searches | best, test accuracy | all trials, validation accuracy "
        "| parameters, mean | MACs, mean | training, s a trial |",
        "|---|---|---|---|---|---|---|---|",
    ]
    verdicts = []
    for data in options.data:
        bests = {}
        for space in options.spaces:
            trials = found.query("data == @data and space == @space")
            if trials.empty:
                continue
            bests[space] = trials.test_accuracy.dropna()
            cells = (
                *(data, space, len(bests[space]), spread(bests[space])),
                *(spread(trials.validation_accuracy), f"{trials.params.mean():,.0f}"),
                *(f"{trials.macs.mean():,.0f}", f"{trials.train_seconds.mean():.0f}"),
            )
            lines.append(f"| {' | '.join(map(str, cells))} |")
        if bests and len(options.seeds) > 1:
            verdicts += compared(data, bests)
    if "cifar10" in options.data:
        verdicts += [
            "",
            "These CIFAR-10 images were compressed as JPEG of quality 75 and made smaller: no "
            "figure here compares with a published one.",
        ]
    return "\n".join([*lines, "", *verdicts, ""])


def compared(data: str, bests: dict[str, pd.Series]) -> list[str]:
    """How the first space's best networks stand to those of each other one."""
    (first, ours), *others = bests.items()
    lines = []
    for space, theirs in others:
        lead = 100 * (ours.mean() - theirs.mean())
        widest = 100 * max(ours.max() - ours.min(), theirs.max() - theirs.min())
        verdict = "more" if lead > widest else "no more"
        lines.append(
            f"- {data}: {first} minus {space} is {lead:+.1f} points, {verdict} than the wider of "
            f"their two spreads over the seeds, {widest:.1f}"
        )
    return lines


def spread(values: pd.Series) -> str:
    middle, low, high = (100 * value for value in (values.mean(), values.min(), values.max()))
    return f"{middle:.1f} ({low:.1f} to {high:.1f})"


if __name__ == "__main__":
    main()
