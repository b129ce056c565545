"""What a trained network is worth to the next: taught, grown, and helped by specialists.

    python benchmarks/lineage.py [--data cifar10] [--seeds 0,1,2] [--networks plain,taught,...]
        [--images 10000] [--epochs 20]

SimpNet_300K on images of 16x16 by the default recipe:

- "plain": a quarter of its width; "taught": the same network with `distill`, as many epochs, by
  "teacher", the network at its own width, trained as long.
- "fresh": half of its width, and "fresh, short": 0.7 of the epochs; "grown": `plain` made as wide
  by `grow`, which then has 0.7 of the epochs, and "grown, half": 0.5 of them; "copies": grown as
  Net2Net has it, 0.7 of the epochs with copies and a tenth of the learning rate.
- "middle": half of the parameters of `fresh`, where `plain` has 0.27 of them; "grown from middle":
  0.7 of the epochs.
- "specialists": `plain` and specialists for three sets of classes, of which an image asks one at
  most; "pair": `plain` and that of the next seed as an ensemble, which costs as much.

The images are cut from the training files, class by class and the same for all; half as many
validate, and all 10,000 test images are used once, at the end. Each network is a row of
`benchmarks/results/lineage.csv`, which is passed over when the command is given again; a training
that was stopped goes on from its last epoch. The table goes to `lineage.md` beside it.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pandas as pd
from rows import append, found
from search_quality import DATA, SIDE, prepared

import applications
from applications.files import write_atomic

RESULTS = Path(__file__).parent / "results"
ARCH = "simpnet_300k"
NETWORKS = (
    *("teacher", "plain", "taught", "fresh", "fresh, short", "grown", "grown, half", "copies"),
    *("middle", "grown from middle", "specialists", "pair"),
)
# What is compared, on the same seed, and the name of the difference.
COMPARED = {
    "taught": "plain",
    "fresh, short": "fresh",
    "grown": "fresh",
    "grown, half": "fresh",
    "copies": "fresh",
    "grown from middle": "fresh",
    "specialists": "plain",
    "pair": "plain",
}
KEYS = ["data", "images", "epochs", "network", "seed"]
FIGURES = ["own_epochs", "validation_accuracy", "test_accuracy", "params", "macs"]
COLUMNS = [*KEYS, *FIGURES, "backend", "keras"]


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    for name, default in (
        ("--data", "cifar10"),
        ("--networks", ";".join(NETWORKS)),
        ("--seeds", "0,1,2"),
        ("--images", 10_000),
        ("--epochs", 20),
        ("--threads", 1),
    ):
        parser.add_argument(name, default=default, type=type(default), help="default: %(default)s")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--work", type=Path, default=Path("runs", "benchmark-lineage"))
    options = parser.parse_args()
    if options.data not in DATA:
        parser.error(f"--data must be one of {', '.join(DATA)}. Received: {options.data}")

    options.work.mkdir(parents=True, exist_ok=True)
    path, file = RESULTS / "lineage.csv", prepared(options.data, options)
    for seed in map(int, options.seeds.split(",")):
        for network in options.networks.split(";"):
            key = options.data, options.images, options.epochs, network, seed
            rows = found(path, COLUMNS)[KEYS].itertuples(index=False, name=None)
            if key in set(rows) or (network == "teacher" and seed):
                continue
            figures = MADE[network](Lineage(file, options), seed)
            versions = keras.backend.backend(), keras.__version__
            append(path, COLUMNS, [*key, *figures, *versions])
            print(*key, *figures, flush=True)
    text = summary(found(path, COLUMNS))
    write_atomic(RESULTS / "lineage.md", text)
    print(text)


class Lineage:
    """The runs of a folder, each made when it is first asked for."""

    def __init__(self, file: Path, options: argparse.Namespace):
        self.file, self.options = file, options

    def _running(self, network: str, seed: int) -> dict[str, Any]:
        slug = network.replace(",", "").replace(" ", "-")
        folder = f"{self.file.stem}-{self.options.epochs}-{slug}-s{seed}"
        running = {"run_dir": self.options.work / folder, "resume": True, "verbose": 0}
        return {**running, "threads": self.options.threads}

    def _epochs(self, share: float) -> int:
        return round(share * self.options.epochs)

    def trained(
        self, network: str, seed: int, alpha: float, share: float = 1.0, **taught: Any
    ) -> applications.Run:
        options = {
            **{"arch": ARCH, "alpha": alpha, "data": self.file, "size": SIDE, "seed": seed},
            **{"epochs": self._epochs(share), "mirror": self.options.data == "cifar10"},
            **self._running(network, seed),
        }
        if taught:
            return applications.distill(**taught, **options)
        return applications.train(**options)

    def teacher(self, seed: int) -> applications.Run:
        return self.trained("teacher", 0, 1.0)

    def plain(self, seed: int) -> applications.Run:
        return self.trained("plain", seed, 0.25)

    def taught(self, seed: int) -> applications.Run:
        return self.trained("taught", seed, 0.25, run=self.teacher(seed))

    def middle(self, seed: int) -> applications.Run:
        return self.trained("middle", seed, 0.35)

    def fresh(self, seed: int, network: str, share: float) -> applications.Run:
        return self.trained(network, seed, 0.5, share)

    def grown(self, seed: int, network: str, share: float) -> applications.Run:
        running, how = self._running(network, seed), {}
        parent = self.middle(seed) if network == "grown from middle" else self.plain(seed)
        if network == "copies":
            rate = parent.config["learning_rate"] / 10
            how = {"new_channels": "copies", "learning_rate": rate}
        epochs = self._epochs(share)
        return applications.grow(parent, alpha=0.5, epochs=epochs, **how, **running)

    def specialists(self, seed: int) -> applications.Run:
        return applications.specialists(self.plain(seed), **self._running("specialists", seed))

    def pair(self, seed: int) -> list[Any]:
        """Figures of two networks whose probabilities are averaged."""
        both = applications.evaluate(self.plain(seed), ensemble=[self.plain((seed + 1) % 3)])
        mean = both["ensemble"]
        accuracy = round(mean["test_accuracy"], 5)
        return [self.options.epochs, "", accuracy, mean["params"], mean["macs"]]


def of_run(run: applications.Run) -> list[Any]:
    """Its epochs, accuracies and costs; multiply-adds are those of an image."""
    metrics = run.metrics
    accuracies = (round(metrics[f"{split}_accuracy"], 5) for split in ("validation", "test"))
    macs = metrics.get("active_macs", metrics["macs"])
    return [len(run.history), *accuracies, metrics["params"], macs]


MADE: dict[str, Callable[[Lineage, int], list[Any]]] = {
    "teacher": lambda runs, seed: of_run(runs.teacher(seed)),
    "plain": lambda runs, seed: of_run(runs.plain(seed)),
    "taught": lambda runs, seed: of_run(runs.taught(seed)),
    "fresh": lambda runs, seed: of_run(runs.fresh(seed, "fresh", 1.0)),
    "fresh, short": lambda runs, seed: of_run(runs.fresh(seed, "fresh, short", 0.7)),
    "grown": lambda runs, seed: of_run(runs.grown(seed, "grown", 0.7)),
    "grown, half": lambda runs, seed: of_run(runs.grown(seed, "grown, half", 0.5)),
    "copies": lambda runs, seed: of_run(runs.grown(seed, "copies", 0.7)),
    "middle": lambda runs, seed: of_run(runs.middle(seed)),
    "grown from middle": lambda runs, seed: of_run(runs.grown(seed, "grown from middle", 0.7)),
    "specialists": lambda runs, seed: of_run(runs.specialists(seed)),
    "pair": lambda runs, seed: runs.pair(seed),
}


def summary(rows: pd.DataFrame) -> str:
    """Markdown: a row a network, mean over seeds, and what it gains on the same seed."""
    lines = [
        f"# What a trained network is worth to the next: {ARCH} on images of {SIDE}x{SIDE}",
        "",
        "`python benchmarks/lineage.py`. Test accuracy in %: mean over seeds (least to most). The "
        "gain is over the network that is named, of the same seed.",
    ]
    for (data, images, epochs), part in rows.groupby(KEYS[:3]):
        lines += [
            "",
            f"## {data}, {images:,} images, {epochs} epochs",
            "",
            "| network | seeds | epochs | parameters | MACs an image | test accuracy | gain |",
            "|---|--:|--:|--:|--:|--:|--:|",
        ]
        accuracy = part.set_index(["network", "seed"]).test_accuracy * 100
        for network in (name for name in NETWORKS if name in set(part.network)):
            own = part[part.network == network]
            gain = ""
            if (other := COMPARED.get(network)) in set(part.network):
                difference = (accuracy[network] - accuracy[other]).dropna()
                gain = f"{ranged(difference, '+')} over {other}" if len(difference) else ""
            counts = [f"{round(own[name].mean()):,}" for name in ("own_epochs", "params", "macs")]
            cells = [network, str(len(own)), *counts, ranged(accuracy[network]), gain]
            lines.append(f"| {' | '.join(cells)} |")
    versions = rows[["keras", "backend"]].drop_duplicates().itertuples(index=False, name=None)
    lines += ["", "; ".join(f"Keras {number} on {backend}" for number, backend in versions) + "."]
    return "\n".join(lines) + "\n"


def ranged(values: pd.Series, sign: str = "") -> str:
    return f"{values.mean():{sign}.2f} ({values.min():{sign}.2f} to {values.max():{sign}.2f})"


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
