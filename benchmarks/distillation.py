"""MNIST of "Distilling the Knowledge in a Neural Network", arXiv:1503.02531, section 3, again.

    KERAS_BACKEND=jax python benchmarks/distillation.py [--seeds 0] [--networks ...]
        [--epochs NETWORK=N ...] [--mnist FILE]

A large net with dropout and jittered images teaches small ones without either: one that sees all
images, one that never saw a 3 and one that saw 7s and 8s alone. How much of what lies between the
large net and a small one without a teacher is won back, and what is known of classes that were
never seen, once the biases of the classes are put right?

All 60,000 training images train, as in the paper; the last epoch's weights are kept, so that the
1,000 of them that validate decide nothing. The 10,000 test images are used once, at the end of a
training. Each network is a row of `benchmarks/results/distillation.csv`, which is passed over when
the command is given again; a training that was stopped goes on from its last epoch. The table goes
to `distillation.md` beside it.
"""

import argparse
import os
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd

import applications
from applications.files import write_atomic

RESULTS = Path(__file__).parent / "results"
BATCH = 250
# Departures from the paper's recipe: Adam along a cosine, for 60 epochs in the place of 3,000.
LARGE = {"recipe": "mlp", "optimizer": "adam", "learning_rate": 1.5e-3, "schedule": "cosine"}
SMALL = {"args": {"hidden": [800, 800], "dropout": 0.0}, "shift": 0.0, "weight_decay": 0.0}
ALL = tuple("0123456789")
TEMPERATURE = 20.0
GRID = np.arange(0, 25.01, 0.1)  # what is added to biases, or taken off


class Network(NamedTuple):
    """One row.

    Attributes:
        told: what it is.
        epochs: passes over its training images.
        options: of `train`, or of `distill`.
        taught: whether the large net teaches it.
        classes: what it sees.
        bias: what the paper adds to the biases of `moved`.
        moved: classes whose biases are put right, by one number.
        paper: its test errors, and those with that bias.
    """

    told: str
    epochs: int
    options: dict[str, Any]
    taught: bool = False
    classes: tuple[str, ...] = ALL
    bias: float = 0.0
    moved: tuple[str, ...] = ()
    paper: tuple[str, str] = ("", "")


# The student that never saw a class has no labels: they would only tell it that there is none.
SOFT = {**SMALL, "temperature": TEMPERATURE, "hard_weight": 0.0}
NETWORKS = {
    "large": Network("2 x 1,200 units, dropout, jitter", 60, LARGE, paper=("67", "")),
    "small": Network("2 x 800 units, alone", 20, SMALL, paper=("146", "")),
    "distilled": Network(
        "2 x 800 units, taught", 12, {**SOFT, "hard_weight": 0.1}, True, paper=("74", "")
    ),
    "without_3": Network(
        "2 x 800 units, taught, never saw a 3",
        *(12, SOFT, True, tuple("012456789"), 3.5, ("3",)),
        paper=("206, of them 133 threes", "109, of them 14 threes"),
    ),
    "7_and_8": Network(
        "2 x 800 units, taught, saw 7s and 8s alone",
        *(24, SOFT, True, ("7", "8"), -7.6, ("7", "8")),
        paper=("4,730", "1,320"),
    ),
}
KEYS = ["network", "epochs", "seed"]
FIGURES = [
    *("params", "errors", "unseen_errors"),  # as it was trained; of classes that it never saw
    *("paper_bias", "paper_bias_errors", "paper_bias_unseen_errors"),
    *("test_bias", "test_bias_errors", "test_bias_unseen_errors"),  # best on the test images
    *("train_bias", "train_bias_errors", "train_bias_unseen_errors"),  # best on training images
    *("minutes", "backend", "keras"),
]


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--networks", default=",".join(NETWORKS), help="default: %(default)s")
    parser.add_argument("--seeds", default="0", help="default: %(default)s")
    parser.add_argument("--epochs", nargs="*", default=[], metavar="NETWORK=N")
    shared = Path(__file__).parents[2] / "shared" / "data" / "mnist.npz"
    parser.add_argument(
        "--mnist",
        type=Path,
        default=shared if shared.exists() else None,
        help="MNIST as Keras' file has it; default: Keras' own download",
    )
    parser.add_argument("--work", type=Path, default=Path("runs", "benchmark-distillation"))
    options = parser.parse_args()
    asked = dict(each.split("=") for each in options.epochs)
    epochs = {name: int(asked.get(name, each.epochs)) for name, each in NETWORKS.items()}

    options.work.mkdir(parents=True, exist_ok=True)
    data = prepared(options)
    path = RESULTS / "distillation.csv"
    for seed in map(int, options.seeds.split(",")):
        for name in options.networks.split(","):
            key = name, epochs[name], seed
            if key in set(found(path)[KEYS].itertuples(index=False, name=None)):
                continue
            run = trained(name, data, epochs, seed, options.work)
            minutes = round(run.metrics["train_seconds"] / 60, 1)
            figures = [*figures_of(NETWORKS[name], run, data), minutes]
            append(path, [*key, *figures, keras.backend.backend(), keras.__version__])
            print(*key, *figures, flush=True)
    text = summary(found(path))
    write_atomic(RESULTS / "distillation.md", text)
    print(text)


def prepared(options: argparse.Namespace) -> Path:
    """The .npz of all trainings, written where it is missing."""
    path = options.work / "mnist.npz"
    if not path.exists():
        if options.mnist:
            with np.load(options.mnist) as file:
                (x, y), test = ((file[f"x_{s}"], file[f"y_{s}"]) for s in ("train", "test"))
        else:
            (x, y), test = keras.datasets.mnist.load_data()
        splits = {"train": (x, y), "val": (x[:1000], y[:1000]), "test": test}
        arrays = {
            f"{a}_{s}": of for s, pair in splits.items() for a, of in zip("xy", pair, strict=True)
        }
        write_atomic(path, lambda file: np.savez(file, **arrays))
    return path


def trained(
    name: str, data: Path, epochs: dict[str, int], seed: int, work: Path
) -> applications.Run:
    """The network's run: finished already, or trained on from its last epoch."""
    network, folder = NETWORKS[name], work / f"{name}-{epochs[name]}-s{seed}"
    common: dict[str, Any] = {
        **{"arch": "mlp", "data": data, "batch_size": BATCH, "epochs": epochs[name], "seed": seed},
        **{"keep": "last", "verbose": 0, "run_dir": folder, "resume": True, "mirror": False},
        **network.options,
    }
    if not network.taught:
        return applications.train(**common)
    teacher = trained("large", data, epochs, seed, work)
    seen = None if network.classes == ALL else network.classes
    return applications.distill(teacher, **common, transfer_classes=seen)


def figures_of(network: Network, run: applications.Run, data: Path) -> list[Any]:
    """Parameters, errors, and errors with biases that are put right in three ways."""
    tested = run.predictions
    test = logits_of(tested["probabilities"]), tested["labels"]
    figures = [run.metrics["params"], *errors(network, *test, 0.0)]
    if not network.moved:
        return figures + [""] * 9
    with np.load(data) as file:
        images, labels = file["x_train"], file["y_train"]
    predicted = [run.predict(part[..., None]) for part in np.array_split(images, 60)]
    train = logits_of(np.concatenate(predicted)), labels
    for bias in (network.bias, best_bias(network, *test), best_bias(network, *train)):
        figures += [round(float(bias), 1), *errors(network, *test, bias)]
    return figures


def logits_of(probabilities: np.ndarray) -> np.ndarray:
    """Logits but for a constant, which no answer depends on. (N, classes)."""
    return np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))


def errors(network: Network, logits: np.ndarray, labels: np.ndarray, bias: float) -> list[int]:
    """Wrong answers, and those on classes that the network never saw, with this added to biases."""
    moved = logits + bias * np.isin(ALL, network.moved)
    wrong = moved.argmax(axis=1) != labels
    unseen = ~np.isin(np.array(ALL)[labels], network.classes)
    return [int(wrong.sum()), int((wrong & unseen).sum())]


def best_bias(network: Network, logits: np.ndarray, labels: np.ndarray) -> float:
    """Of the grid, with the paper's sign, that of fewest errors."""
    return min(
        np.sign(network.bias) * GRID, key=lambda bias: errors(network, logits, labels, bias)[0]
    )


def found(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=KEYS + FIGURES)


def append(path: Path, row: list[Any]) -> None:
    """One line, in one call, so that several processes may add to a file."""
    line = ",".join(map(str, row)) + "\n"
    if not path.exists():
        line = ",".join(KEYS + FIGURES) + "\n" + line
    with open(path, "a", encoding="utf-8") as file:
        file.write(line)


def summary(rows: pd.DataFrame) -> str:
    """Markdown: a row a network, ours beside the paper's."""
    lines = [
        "# Distillation on MNIST, against arXiv:1503.02531, section 3",
        "",
        "`KERAS_BACKEND=jax python benchmarks/distillation.py`: errors on the 10,000 test images. "
        "The paper chooses the bias on the test images; beside it stands what the bias makes that "
        "has fewest errors on the training images. In brackets: errors on classes that the network "
        "never saw.",
        "",
        "| network | epochs | seed | parameters | errors | the paper's | bias | errors then | "
        "the paper's | bias of the training images | errors then |",
        "|" + "---|" * 11,
    ]
    records: list[dict[str, Any]] = rows.to_dict("records")
    for row in sorted(records, key=lambda row: (row["seed"], list(NETWORKS).index(row["network"]))):
        network = NETWORKS[row["network"]]
        cells = [network.told, row["epochs"], row["seed"], f"{row['params']:,}"]
        cells += [counted(network, row, ""), network.paper[0]]
        if network.moved:
            cells += [f"{row['test_bias']:+g} (paper {network.bias:+g})"]
            cells += [counted(network, row, "test_bias_"), network.paper[1]]
            cells += [f"{row['train_bias']:+g}", counted(network, row, "train_bias_")]
        else:
            cells += [""] * 5
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join([*lines, "", *conclusions(rows)]) + "\n"


def counted(network: Network, row: dict[str, Any], of: str) -> str:
    unseen = f" ({int(row[f'{of}unseen_errors']):,})" if network.classes != ALL else ""
    return f"{int(row[f'{of}errors']):,}{unseen}"


def conclusions(rows: pd.DataFrame) -> list[str]:
    """What the figures say, for each seed that has them."""
    said = []
    for seed, of_seed in rows.groupby("seed"):
        by: dict[str, dict[str, Any]] = {r["network"]: r for r in of_seed.to_dict("records")}
        if {"large", "small", "distilled"} <= by.keys():
            large, small, taught = (by[n]["errors"] for n in ("large", "small", "distilled"))
            said.append(
                f"- Seed {seed}: the taught network makes {small - taught} errors fewer than the "
                f"one alone, of {small - large} that lie between that and its teacher (the paper: "
                "72 of 79)."
            )
        if row := by.get("without_3"):
            right = [100 * (1 - row[f"{of}_bias_unseen_errors"] / 1010) for of in ("test", "train")]
            said.append(
                f"- Seed {seed}: of the 1,010 test threes {right[0]:.1f} % are right for the one "
                "that never saw any, with the bias of the test images, and "
                f"{right[1]:.1f} % with that of the training images (the paper: 98.6 %)."
            )
        if row := by.get("7_and_8"):
            right = [100 - row[f"{of}_bias_errors"] / 100 for of in ("test", "train")]
            said.append(
                f"- Seed {seed}: of all test images {right[0]:.1f} % are right for the one that "
                "saw 7s and 8s alone, with the biases of the test images, and "
                f"{right[1]:.1f} % with those of the training images (the paper: 86.8 %)."
            )
    versions = rows[["keras", "backend"]].drop_duplicates().itertuples(index=False, name=None)
    shown = ", ".join(f"Keras {keras} on {backend}" for keras, backend in versions)
    return [*said, "", f"Batches of {BATCH}, {shown}, CPU."]


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
