"""Searches the best network for {{name}} within a budget, and trains it to the end."""

import argparse
from pathlib import Path
from typing import Any

import yaml

import applications
import tuning

HERE = Path(__file__).parent


def space(hp: Any, **known: Any) -> dict[str, Any]:
    """Arguments of `keras_archs.SimpNet` for one trial: yours to change.

    Args:
        hp: hyperparameters, as `keras_tuner.HyperParameters`.
        known: `input_shape`, `classes` and `budget`.
    """
    return tuning.space(hp, **known)


space.arch = "simpnet"  # which builder takes them


def main(arguments: list[str] | None = None) -> applications.Run:
    """The winner, trained to the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=HERE / "local.yaml")
    parser.add_argument("--final-epochs", type=int, default=24)
    parser.add_argument("--run-dir", type=Path, default=HERE / "runs")
    given = parser.parse_args(arguments)

    options = yaml.safe_load(given.config.read_text())
    limits = {name: options.pop(f"budget_{name}") for name in ("params", "macs")}
    budget = tuning.Budget(**limits)
    folder = given.run_dir / "search"
    found = tuning.search(space, budget=budget, run_dir=folder, resume=True, **options)

    runs = {}
    for name, file in (("winner", "best.yaml"), ("default", "trial-0000/config.yaml")):
        options = yaml.safe_load((found.path / file).read_text())
        options["epochs"] = given.final_epochs
        runs[name] = applications.train(**options, run_dir=given.run_dir / name, resume=True)
    applications.compare(list(runs.values()), run_dir=given.run_dir)
    return runs["winner"]


if __name__ == "__main__":
    main()
