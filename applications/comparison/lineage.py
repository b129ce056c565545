"""Which run was made of which: distilled, grown, shrunk, compressed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from applications.runs import DERIVED, Run

_MADE = {"compress": "compressed", "distill": "distilled", "grow": "grown", "shrink": "shrunk"}


def lineage(names: Sequence[str], runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The steps from network to network, each behind what it was made of.

    A parent that is not among the runs is a step of its own, with the figures that the run made of
    it keeps. Runs that nothing was made of and that were made of nothing are left out.

    Args:
        names: of the runs, for readers.
        runs: finished ones.

    Returns:
        For each step `name`, `path`, `way` (how it was made, "" where it was not), `parent` (which
        of the steps it was made of, None where it was not), `depth` (steps above it), `compared`
        (whether it is among the runs), `params`, `bytes`, `accuracy`, ready for JSON.
    """
    known = {_place(run.path): _step(name, run) for name, run in zip(names, runs, strict=True)}
    above: dict[Path, Path] = {}
    for run in runs:
        if "parent" in run.config:
            place = above[_place(run.path)] = _place(run.config["parent"])
            known.setdefault(place, _of_elsewhere(run))
    below: dict[Path, list[Path]] = {}
    for place, parent in above.items():
        below.setdefault(parent, []).append(place)
    found: list[dict[str, Any]] = []
    seen: set[Path] = set()

    def follow(place: Path, parent: int | None, depth: int) -> None:
        if place in seen:  # a run that is its own ancestor: a config that was written by hand
            return
        seen.add(place)
        found.append({**known[place], "parent": parent, "depth": depth})
        at = len(found) - 1
        for child in below.get(place, ()):
            follow(child, at, depth + 1)

    for place in sorted({**below, **above}, key=lambda place: place in above):
        follow(place, None, 0)
    return found


def _place(path: Any) -> Path:
    return Path(path).resolve()


def _step(name: str, run: Run) -> dict[str, Any]:
    figures = _figures(run.metrics)
    return {"name": name, "path": str(run.path), "way": _way(run), "compared": True, **figures}


def _way(run: Run) -> str:
    """How it was made of its parent."""
    for key in DERIVED:
        told = run.config.get(key)
        if key != "parent" and told is not None:
            others = len(told.get("ensemble") or ())
            return _MADE.get(key, key) + (f", {others + 1} teachers" if others else "")
    return ""


def _of_elsewhere(run: Run) -> dict[str, Any]:
    """The step of a run's parent, as far as the run knows it."""
    path = run.config["parent"]
    kept = run.metrics.get("parent")
    figures = _figures(kept if isinstance(kept, dict) else {})
    name = Path(path).name or path
    return {"name": name, "path": path, "way": "", "compared": False, **figures}


def _figures(metrics: Any) -> dict[str, Any]:
    params = _number(metrics.get("params"))
    small = _number(metrics.get("compressed_bytes"))
    size = small if small is not None else None if params is None else 4 * params
    accuracy = metrics.get("test_accuracy", metrics.get("validation_accuracy"))
    return {"params": params, "bytes": size, "accuracy": _number(accuracy)}


def _number(value: Any) -> Any:
    """The value where it is a number that JSON and a page can have."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and abs(value) < 1e18 else None
