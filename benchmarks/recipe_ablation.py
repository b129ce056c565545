"""Is the default recipe the best one, and what in it earns its place?

    python benchmarks/recipe_ablation.py [--data cifar10,mnist] [--seeds 0,1,2] [--variants ...]
        [--networks ...] [--images 10000] [--epochs 10]

Five networks of different kinds are trained on images of 16x16, each by the default recipe, by the
default recipe with one thing changed, and by the recipes that it is compared with: the paper's own,
plain Adam at 1e-3, and torchvision's reference (SGD 0.9, cosine, label smoothing). All have the
same number of epochs. The images are cut from the training files, class by class and the same for
all; half as many validate, and all 10,000 test images are used once, at the end of a training.

A variant is chosen by its validation accuracy, and reported with both. Each training is a row of
`benchmarks/results/recipe_ablation.csv`, which is passed over when the command is given again, so
that it may be stopped at any time; several may run side by side, on other networks. The table goes
to `recipe_ablation.md` beside it.
"""

import argparse
import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from rows import append, found
from search_quality import DATA, SIDE, prepared, spread

from applications.files import write_atomic
from applications.recipes import catalog
from applications.recipes.schema import Recipe
from applications.training.training import train

RESULTS = Path(__file__).parent / "results"
NETWORKS = {  # by kind, with about as many multiply-adds
    "plain": ("simpnet_300k", 0.5),
    "residual": ("resnet20", 0.5),
    "depthwise": ("mobilenet", 0.25),
    "dense": ("densenet40_12", 0.25),
    "fire": ("squeezenet", 0.5),
}
_TORCHVISION = Recipe(
    name="torchvision",
    source="pytorch/vision, references/classification/README.md; the rate times batch / 256",
    optimizer="SGD",
    optimizer_options={"momentum": 0.9},
    learning_rate=0.1 * 64 / 256,
    batch_size=64,
    epochs=10,
    schedule="cosine",
    warmup=0.05,
    weight_decay=1e-4,
    label_smoothing=0.1,
    shift=1 / 8,
    mirror=True,
)
_ADAM = Recipe(
    name="adam",
    source="what `compile('adam')` does",
    optimizer="Adam",
    learning_rate=1e-3,
    batch_size=64,
    epochs=10,
    schedule="constant",
)
OTHERS = {"paper": None, "adam": _ADAM, "torchvision": _TORCHVISION}
# What is changed in the default recipe.
CHANGES: dict[str, dict[str, Any]] = {
    "without warm-up": {"warmup": 0.0},
    "without clipping": {"clipnorm": None},
    "without decay": {"weight_decay": 0.0},
    "without He": {"initializer": None, "last_positive": False},
    "without shifts": {"shift": 0.0},
    "without mirrors": {"mirror": False},
    "Keras' momentum of statistics": {"norm_momentum": None},
    "a third of the rate": {"learning_rate": 1e-3},
    "twice the rate": {"learning_rate": 6e-3},
    "decay times 10": {"weight_decay": 1e-2},
    "linear": {"schedule": "linear"},
    "one cycle": {"schedule": "one_cycle"},
    "Nesterov": {"optimizer": "nesterov"},
    "Muon": {"optimizer": "muon"},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "averaging 0.99": {"averaging": 0.99},
    "MixUp 0.2": {"mixup": 0.2},
    "CutMix 1": {"cutmix": 1.0},
    "RandAugment 0.1": {"rand_augment": 0.1},
    "erasing 0.25": {"random_erasing": 0.25},
    "stochastic depth 0.1": {"stochastic_depth": 0.1},
}
VARIANTS = ("default", *OTHERS, *CHANGES)
KEYS = ["data", "images", "epochs", "network", "variant", "seed"]
FIGURES = ["validation_accuracy", "test_accuracy", "macro_f1"]
COLUMNS = KEYS + FIGURES


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    for name, known in (("data", DATA), ("networks", NETWORKS), ("variants", VARIANTS)):
        parser.add_argument(f"--{name}", default=",".join(known), help="default: %(default)s")
    parser.add_argument("--seeds", default="0,1,2", help="default: %(default)s")
    for name, default in (("--images", 10_000), ("--epochs", 10), ("--threads", 1)):
        parser.add_argument(name, type=int, default=default, help="default: %(default)s")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--work", type=Path, default=Path("runs", "benchmark-recipe-ablation"))
    options = parser.parse_args()
    for name in ("data", "networks", "variants", "seeds"):
        setattr(options, name, getattr(options, name).split(","))

    options.work.mkdir(parents=True, exist_ok=True)
    path = RESULTS / "recipe_ablation.csv"
    for seed in map(int, options.seeds):
        for variant in options.variants:
            for data in options.data:
                file = prepared(data, options)
                for network in options.networks:
                    key = data, options.images, options.epochs, network, variant, seed
                    rows = found(path, COLUMNS)[KEYS]
                    if key not in set(rows.itertuples(index=False, name=None)):
                        figures = trained(file, network, variant, seed, options)
                        if figures is not None:
                            append(path, COLUMNS, [*key, *figures])
                            print(*key, *figures, flush=True)
    text = summary(found(path, COLUMNS), options)
    write_atomic(RESULTS / "recipe_ablation.md", text)
    print(text)


def recipe_of(variant: str, arch: str) -> Recipe:
    default = catalog.recipe("default")
    if variant in OTHERS:
        return OTHERS[variant] or catalog.recipe(arch)
    changes = dict(CHANGES.get(variant, {}))
    if optimizer := changes.pop("optimizer", None):
        return default.with_optimizer(optimizer)
    return dataclasses.replace(default, **changes)


def trained(
    file: Path, network: str, variant: str, seed: int, options: argparse.Namespace
) -> list[float] | None:
    """Validation accuracy, test accuracy and macro F1; None where the variant does not apply."""
    arch, alpha = NETWORKS[network]
    recipe = recipe_of(variant, arch)
    if recipe.stochastic_depth and network != "residual":
        return None
    before = catalog._RECIPES["default"]
    catalog._RECIPES["default"] = dataclasses.replace(recipe, name="default")
    try:
        with tempfile.TemporaryDirectory() as folder:
            run = train(
                arch,
                **{"data": file, "alpha": alpha, "size": SIDE, "epochs": options.epochs},
                **{"seed": seed, "threads": options.threads, "verbose": 0},
                # A file does not say that its images may be mirrored: those of CIFAR-10 may.
                mirror=recipe.mirror and file.name.startswith("cifar10"),
                run_dir=Path(folder) / "run",
            )
    finally:
        catalog._RECIPES["default"] = before
    metrics = run.metrics
    return [round(metrics[name], 5) for name in FIGURES]


def summary(rows: pd.DataFrame, options: argparse.Namespace) -> str:
    """Markdown: by data, a row for each variant and how far it is from the default."""
    rows = rows.query("images == @options.images and epochs == @options.epochs")
    lines = [
        f"# The default recipe against others, {options.images:,} images of {SIDE}x{SIDE}, "
        f"{options.epochs} epochs",
        "",
        "`python benchmarks/recipe_ablation.py`. Accuracy in %: mean over seeds, and over networks "
        "the mean of what a variant gains over the default on the same network and seed, with its "
        "least and its most. `n`: trainings.",
        "",
        _not_run(rows),
    ]
    for data, of_data in rows.groupby("data"):
        names = [name for name in NETWORKS if name in set(of_data.network)]
        shown = " | ".join(f"{name} ({NETWORKS[name][0]})" for name in names)
        lines += [
            f"\n## {data}\n",
            f"| variant | n | {shown} | test, over the default | validation, over the default |",
            f"|---|---|{'---|' * len(names)}---|---|",
        ]
        base = of_data.query("variant == 'default'").set_index(["network", "seed"])
        table = []
        for variant in dict.fromkeys(v for v in VARIANTS if v in set(of_data.variant)):
            own = of_data.query("variant == @variant").set_index(["network", "seed"])
            both = own.index.intersection(base.index)
            gains = {name: own.loc[both, name] - base.loc[both, name] for name in FIGURES[:2]}
            means = own.groupby("network").test_accuracy.mean()
            cells = [f"{100 * means[name]:.2f}" if name in means else "-" for name in names]
            said = [spread(gains[name]) for name in ("test_accuracy", "validation_accuracy")]
            line = f"| {variant} | {len(own)} | {' | '.join(cells)} | {' | '.join(said)} |"
            table.append((gains["test_accuracy"].mean(), line))
        lines += [line for _, line in sorted(table, key=lambda entry: -entry[0])]
    return "\n".join(lines) + "\n"


def _not_run(rows: pd.DataFrame) -> str:
    """What of three seeds, all networks, variants and data has no row."""
    there = set(zip(rows.data, rows.variant, strict=True))
    missing = []
    for data in DATA:
        of_data = [variant for variant in VARIANTS if (data, variant) not in there]
        if len(of_data) == len(VARIANTS):
            missing.append(f"all of {data}")
        elif of_data:
            missing.append(f"on {data} {', '.join(of_data)}")
    every = 3 * len(DATA) * (len(NETWORKS) * len(VARIANTS) - 4)  # stochastic depth is of one
    return f"{len(rows)} trainings of {every} were run. Not run: {'; '.join(missing) or 'nothing'}."


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
