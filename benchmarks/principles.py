"""Do SimpNet's principles help other networks, as its paper shows?

    python benchmarks/principles.py [--seeds 0,1,2] [--images 10000] [--epochs 12]

Two comparisons of the paper (arXiv:1802.06205): SqueezeNet 1.1 with max pooling and with SAF
pooling, which is max pooling and a dropout of 0.2 (Table XI: 87.74 and 88.05 % on CIFAR-10), and
ResNet-32 with strides and with max pooling (Table VI). Both networks are at half their width here,
on CIFAR-10 images of 16x16 cut from the training files as in `search_quality.py`, and trained by
the default recipe. All 10,000 test images are used once, at the end of a training.

Each training is a row of `benchmarks/results/principles.csv`, which is passed over when the command
is given again. The table goes to `principles.md` beside it.
"""

import argparse
import os
import tempfile
from pathlib import Path

import pandas as pd
from rows import append, found
from search_quality import SIDE, prepared, spread

import keras_archs
from applications.files import write_atomic
from applications.training.training import train

RESULTS = Path(__file__).parent / "results"
ALPHA = 0.5
COMPARED = {  # architecture: its `downsample`, first the one that the principle is against
    "squeezenet1_1": ("maxpool", "saf"),
    "resnet32": ("stride", "maxpool"),
}
KEYS = ["images", "epochs", "arch", "downsample", "seed"]
FIGURES = ["validation_accuracy", "test_accuracy"]
COLUMNS = KEYS + FIGURES


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--archs", default=",".join(COMPARED), help="default: %(default)s")
    parser.add_argument("--seeds", default="0,1,2", help="default: %(default)s")
    for name, default in (("--images", 10_000), ("--epochs", 12), ("--threads", 1)):
        parser.add_argument(name, type=int, default=default, help="default: %(default)s")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--work", type=Path, default=Path("runs", "benchmark-principles"))
    options = parser.parse_args()

    options.work.mkdir(parents=True, exist_ok=True)
    path, file = RESULTS / "principles.csv", prepared("cifar10", options)
    for seed in map(int, options.seeds.split(",")):
        for arch in options.archs.split(","):
            for downsample in COMPARED[arch]:
                key = options.images, options.epochs, arch, downsample, seed
                if key not in set(found(path, COLUMNS)[KEYS].itertuples(index=False, name=None)):
                    figures = trained(file, arch, downsample, seed, options)
                    append(path, COLUMNS, [*key, *figures])
                    print(*key, *figures, flush=True)
    text = summary(found(path, COLUMNS).query("images == @options.images"), options.epochs)
    write_atomic(RESULTS / "principles.md", text)
    print(text)


def trained(
    file: Path, arch: str, downsample: str, seed: int, options: argparse.Namespace
) -> list[float]:
    """Validation and test accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            arch,
            **{"data": file, "alpha": ALPHA, "size": SIDE, "epochs": options.epochs},
            **{"seed": seed, "threads": options.threads, "verbose": 0, "mirror": True},
            args={"downsample": downsample},
            run_dir=Path(folder) / "run",
        )
    return [round(run.metrics[name], 5) for name in FIGURES]


def summary(rows: pd.DataFrame, epochs: int) -> str:
    """Markdown: a row for each network and way to reduce the map."""
    rows = rows[rows.epochs == epochs]
    lines = [
        f"# SimpNet's principles on other networks, images of {SIDE}x{SIDE}, {epochs} epochs",
        "",
        "`python benchmarks/principles.py`. Accuracy in %: mean over seeds, with the least and the "
        "most; the gain is that of a seed over the same seed's other network. `n`: trainings.",
        "",
        "| network | reduces by | parameters | MACs | n | validation | test | gain on the test |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for arch, kinds in COMPARED.items():
        of_arch = rows[rows.arch == arch].set_index("seed")
        base = of_arch[of_arch.downsample == kinds[0]]
        for downsample in kinds:
            own = of_arch[of_arch.downsample == downsample]
            if own.empty:
                continue
            stem = {"stem": "small"} if "small" in keras_archs.info(arch).stems else {}
            cost = keras_archs.profile(
                arch,
                **{"input_shape": (SIDE, SIDE, 3), "classes": 10, "alpha": ALPHA, **stem},
                downsample=downsample,
            )
            gain = (own.test_accuracy - base.test_accuracy).dropna()
            said = spread(gain) if downsample != kinds[0] and len(gain) else "-"
            lines.append(
                f"| {keras_archs.info(arch).name} {ALPHA} | {downsample} | {cost.params:,} | "
                f"{cost.macs:,} | {len(own)} | {spread(own.validation_accuracy)} | "
                f"{spread(own.test_accuracy)} | {said} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
