"""The tables of this folder, read."""

import csv
from pathlib import Path
from typing import NamedTuple


class Accuracy(NamedTuple):
    """`setting` says what was measured where the network is not one of ours as it stands."""

    network: str
    setting: str
    data: str
    top1: float  # percent
    source: str


class Chain(NamedTuple):
    """A published SimpNet network."""

    experiment: int
    input: tuple[int, int, int]
    trainable: int
    macs: int


def _rows(name):
    with open(Path(__file__).with_name(name), newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


ACCURACIES = [Accuracy(**{**row, "top1": float(row["top1"])}) for row in _rows("accuracies.csv")]
CHAINS = [
    Chain(
        int(row["experiment"]),
        tuple(map(int, row["input"].split("x"))),
        int(row["trainable"]),
        int(row["macs"]),
    )
    for row in _rows("simpnet_chains.csv")
]
