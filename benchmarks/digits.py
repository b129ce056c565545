"""Test accuracy on scikit-learn's digits, mean and spread over seeds, with the default recipe.

    python benchmarks/digits.py [--seeds 0,1,2] [--run-dir runs/benchmark-digits]

Prints the README's table. Runs that exist are read, so an interrupted benchmark goes on.
"""

import argparse

import pandas as pd

import applications

# as `compare` takes them
NETWORKS = "lenet5,mobilenet:alpha=0.5,mobilenet,squeezenet,resnet20,simpnet_300k"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated (default: %(default)s)")
    parser.add_argument("--run-dir", default="runs/benchmark-digits", help="default: %(default)s")
    options = parser.parse_args()
    seeds = tuple(int(seed) for seed in options.seeds.split(","))
    runs = applications.compare(archs=NETWORKS, data="digits", seeds=seeds, run_dir=options.run_dir)
    print(table(runs))


def table(runs: pd.DataFrame) -> str:
    """A Markdown table with one row a network from `compare`'s one row a run."""
    lines = [
        "| network | input | parameters | MACs | test accuracy, mean (min to max) |",
        "|---|---|---|---|---|",
    ]
    for (arch, alpha), group in runs.groupby(["arch", "alpha"], sort=False):
        accuracy = 100 * group.test_accuracy
        first = group.iloc[0]
        name = arch if alpha == 1 else f"{arch}, alpha {alpha}"
        spread = f"{accuracy.mean():.1f} % ({accuracy.min():.1f} to {accuracy.max():.1f})"
        cells = name, first.input, f"{first.params:,}", f"{first.macs:,}", spread
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
