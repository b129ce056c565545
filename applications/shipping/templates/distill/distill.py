"""Teaches the small network of {{name}} by a large one, and measures what that gains."""

import argparse
from pathlib import Path

import pandas as pd
import yaml

import applications

HERE = Path(__file__).parent


def main(arguments: list[str] | None = None) -> pd.DataFrame:
    """A row a seed: test accuracies of the teacher and of the student alone and taught."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=HERE / "config.yaml")
    parser.add_argument("--data", help="instead of the config's")
    parser.add_argument("--run-dir", type=Path, default=HERE / "runs")
    given = parser.parse_args(arguments)

    config, folder = yaml.safe_load(given.config.read_text()), given.run_dir
    both = config["both"] | ({"data": given.data} if given.data else {})
    rows = []
    for seed in config["seeds"]:
        shared = both | {"seed": seed, "resume": True}
        teacher = applications.train(
            **config["teacher"], **shared, run_dir=folder / f"teacher-s{seed}"
        )
        student = config["student"] | shared
        alone = applications.train(**student, run_dir=folder / f"alone-s{seed}")
        taught = applications.distill(
            teacher.path, **config["distill"], **student, run_dir=folder / f"taught-s{seed}"
        )
        runs = (teacher, alone, taught)
        rows.append((seed, *(run.metrics["test_accuracy"] for run in runs)))
    table = pd.DataFrame(rows, columns=["seed", "teacher", "alone", "taught"])
    applications.compare([path for path in folder.iterdir() if path.is_dir()], run_dir=folder)
    print(report(table))
    return table


def report(table: pd.DataFrame) -> str:
    """What teaching gained, in words."""
    gains = 100 * (table.taught - table.alone)
    text = (
        f"teacher {100 * table.teacher.mean():.1f} %, student alone "
        f"{100 * table.alone.mean():.1f} %, taught {100 * table.taught.mean():.1f} %: "
        f"{gains.mean():+.1f} points"
    )
    if len(gains) == 1:
        return f"{text}, with one seed, which may be chance"
    return f"{text}, from {gains.min():+.1f} to {gains.max():+.1f} over {len(gains)} seeds"


if __name__ == "__main__":
    main()
