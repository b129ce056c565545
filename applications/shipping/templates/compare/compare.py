"""Compares architectures for {{name}} and chooses one within limits."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import yaml

import applications

HERE = Path(__file__).parent


def main(arguments: list[str] | None = None) -> pd.Series:
    """The row of the network to take."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=HERE / "config.yaml")
    parser.add_argument("--data", help="instead of the config's")
    parser.add_argument("--run-dir", type=Path, default=HERE / "runs")
    given = parser.parse_args(arguments)

    config = yaml.safe_load(given.config.read_text())
    options = config["options"] | ({"data": given.data} if given.data else {})
    table = applications.compare(
        archs=",".join(config["archs"]), seeds=config["seeds"], run_dir=given.run_dir, **options
    )
    test_images = len(applications.load(table["run"].iloc[0]).predictions["labels"])
    best = choice(table, config["limits"], test_images)
    print(
        f"take {best.arch} at alpha {best.alpha}: {100 * best.test_accuracy:.1f} % of test images, "
        f"{best.params:,.0f} parameters, {best.macs:,.0f} multiply-adds"
    )
    return best


def choice(table: pd.DataFrame, limits: Mapping[str, float], test_images: int) -> pd.Series:
    """The cheapest of those within the limits that are as accurate as the best, but for chance.

    Args:
        table: of `applications.compare`, one row a run.
        limits: the most of "params", "macs" or any other column.
        test_images: that the accuracies were measured on.

    Raises:
        ValueError: none is within the limits; the message has the smallest.
    """
    means = table.groupby(["arch", "alpha", "rho"], as_index=False).mean(numeric_only=True)
    within = means[
        [all(row[name] <= most for name, most in limits.items()) for _, row in means.iterrows()]
    ]
    if within.empty:
        least = ", ".join(f"{name} {means[name].min():,.0f}" for name in limits)
        raise ValueError(f"no network is within {dict(limits)}; the smallest figures are {least}")
    top = within.test_accuracy.max()
    chance = (top * (1 - top) / test_images) ** 0.5  # the standard error of that accuracy
    equals = within[within.test_accuracy >= top - chance]
    return equals.sort_values("macs").iloc[0]


if __name__ == "__main__":
    main()
