"""Rows of results, one at a time: a benchmark may be stopped, and several may add to one file."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd


def found(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The rows so far."""
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=list(columns))


def append(path: Path, columns: Sequence[str], row: Sequence[Any]) -> None:
    """In one call, so that several processes may add to a file."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([row] if path.exists() else [columns, row])
    with open(path, "a", encoding="utf-8") as file:
        file.write(lines.getvalue())
