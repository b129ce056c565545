"""`report.html`: finished runs side by side, in one file that opens from disk without a network.

Python gathers what the page shows; `report/` holds the page itself, its style and its script, and
plotly.js is put inside. The page may not ask anybody for anything: its content security policy
forbids every request.
"""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from importlib import resources
from string import Template
from typing import Any

import numpy as np

import keras_archs
from applications.comparison.lineage import lineage
from applications.data.sources import open_source
from applications.evaluation.metrics import worst_mistakes
from applications.evaluation.pictures import data_uri
from applications.files import naming_file, write_atomic
from applications.runs import Run

REPORT = "report.html"
MISTAKES = 12  # of each run
_MATRIX = 50  # classes of a confusion matrix; of more, those with the most mistakes
_METRICS = (
    *("test_accuracy", "macro_f1", "test_loss", "validation_accuracy", "validation_macro_f1"),
    *("params", "macs"),
    *("latency_ms_p50", "latency_ms_p95", "peak_activation_bytes", "train_seconds"),
    *("images_per_second", "epochs", "backend", "keras"),
)
_CURVES = ("loss", "val_loss", "accuracy", "val_accuracy", "learning_rate", "seconds")
_COSTS = ("params", "macs", "activation_bytes")
_LAYER = {"name": str, "type": str, **dict.fromkeys(_COSTS, int)}  # what is read of a layer
# Layers, as profile.csv names them, whose kernels are 8-bit numbers in an int8 file; what
# normalises is folded into them.
_FOLDED = ("BatchNormalization", "Normalization", "Rescaling")


def write_report(
    path: str | os.PathLike[str],
    runs: Sequence[Run],
    *,
    title: str | None = None,
    score: str = "test_accuracy",
) -> None:
    """Write a page that compares runs.

    Worst mistakes are shown as pictures where the run's own data can still be read; where they
    cannot, or have changed since, the page says so.

    Args:
        path: the file, which is replaced.
        runs: finished runs, the best first.
        title: what the page is about. None: how many runs, on which data.
        score: the metric that ranks them: "test_accuracy", or "validation_accuracy" for a search,
            whose trials have not met the test images.
    """
    write_atomic(path, report_page(runs, title=title, score=score))


def report_page(runs: Sequence[Run], *, title: str | None = None, score: str) -> str:
    """The page. Arguments as of `write_report`.

    Raises:
        ValueError: a file of a run is damaged.
    """
    content = _content(runs, score)
    data = ", ".join(sorted({run["data"] for run in content["runs"]}))
    content["title"] = title or f"{_counted(len(runs), 'run')} on {data}"
    return Template(_part("page.html")).substitute(
        title=escape(content["title"]),
        made=datetime.now().strftime("%Y-%m-%d %H:%M"),
        style=_part("style.css"),
        script=_part("script.js"),
        plotly=_plotly(),
        data=_json(content),
    )


def without_seed(run: Run) -> str:
    """What runs that differ by nothing but their seeds have in common."""
    return repr(sorted((key, value) for key, value in run.config.items() if key != "seed"))


def int8_bytes(profile: Iterable[Mapping[str, Any]]) -> int:
    """Bytes of a network's weights after quantisation to 8 bits, by arithmetic.

    One byte a kernel weight, eight an output channel (a 32-bit bias and a scale), four each for
    what is left in 32 bits; normalisation is folded into the layer before.

    Args:
        profile: rows of `profile.csv`, or of `Profile.to_dataframe()`.
    """
    quantised = {kind.__name__ for kind in keras_archs.kinds.WITH_KERNEL}
    total = 0
    for row in profile:
        kind, params = row["type"], int(row["params"])
        if kind in quantised:
            total += params + 8 * _channels(row["output_shape"])
        elif kind not in _FOLDED:
            total += 4 * params
    return total


def _channels(shape: Any) -> int:
    """Last number of a shape, which a CSV file has as text: "(None, 8, 8, 16)" -> 16."""
    return int(str(shape).strip("()[], ").split(",")[-1])


# ---------------------------------------------------------------------------------------- the page


def _part(name: str) -> str:
    return (resources.files("applications.comparison") / "report" / name).read_text(
        encoding="utf-8"
    )


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def _json(value: Any) -> str:
    """JSON that may stand inside a script element: no text in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


# ------------------------------------------------------------------------------------- its content


def _content(runs: Sequence[Run], score: str) -> dict[str, Any]:
    """All that the script of the page draws, ready for JSON."""
    groups: dict[str, int] = {}
    profiles, images, label_lists = _Distinct(), _Distinct(), _Distinct()
    tests = _TestImages()
    rows = []
    for name, run in zip(_names(runs), runs, strict=True):
        profile, int8 = _profile(run)
        predictions = _predictions(run)
        file = run.path / "model.keras"
        rows.append(
            {
                "name": name,
                "path": str(run.path),
                "group": groups.setdefault(without_seed(run), len(groups)),
                "arch": run.config["arch"],
                "data": str(run.config["data"]),
                "config": run.config,
                "input": "x".join(map(str, run.metrics["input_shape"])),
                **{key: _finite(run.metrics.get(key)) for key in _METRICS},
                "remarks": run.remarks,
                "file_bytes": file.stat().st_size if file.is_file() else None,
                "fp32_bytes": 4 * run.metrics["params"],
                "int8_bytes": int8,
                "history": _history(run),
                "profile": profiles.index(_columns(profile)) if profile else None,
                "labels": label_lists.index(list(run.labels)),
                "confusion": _confusion(run),
                **(_mistakes(run, predictions, tests, images) if predictions else {}),
            }
        )
    return {
        "score": score,
        "runs": rows,
        "lineage": lineage([row["name"] for row in rows], runs),
        "labels": label_lists.values,
        "profiles": profiles.values,
        "images": images.values,
        "architectures": _architectures({row["arch"] for row in rows}),
    }


class _Distinct:
    """Values that several runs share, each kept once."""

    def __init__(self):
        self.values: list[Any] = []
        self._places: dict[str, int] = {}

    def index(self, value: Any) -> int:
        key = json.dumps(value)
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]


def _names(runs: Sequence[Run]) -> list[str]:
    """The folders' own names; with the folders above them where two have the same."""
    names = [run.path.resolve().name for run in runs]
    return [
        name if names.count(name) == 1 else str(run.path)
        for name, run in zip(names, runs, strict=True)
    ]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _short(values: Iterable[float]) -> list[float | None]:
    """Five digits are more than a picture shows."""
    return [_finite(float(f"{value:.5g}")) for value in values]


def _profile(run: Run) -> tuple[list[dict[str, Any]], int | None]:
    """The rows of profile.csv, and what `int8_bytes` makes of them."""
    import pandas as pd

    file = run.path / "profile.csv"
    if not file.exists():
        return [], None
    with naming_file(file, "A profile must be a table of layers"):
        table = pd.read_csv(file).astype(_LAYER)
        rows: Any = table.to_dict("records")
        return rows, int8_bytes(rows) if rows else None


def _columns(profile: list[dict[str, Any]]) -> dict[str, list]:
    """The layers that cost something, column by column."""
    costly = [row for row in profile if any(row[name] for name in _COSTS)]
    return {
        **{name: [row[name] for row in costly] for name in ("name", "type")},
        **{name: [int(row[name]) for row in costly] for name in _COSTS},
    }


def _history(run: Run) -> dict[str, list]:
    if not (run.path / "history.csv").exists():
        return {}
    return {name: _short(run.history[name]) for name in _CURVES if name in run.history}


def _confusion(run: Run) -> dict[str, list] | None:
    """The matrix and the classes, by number, that it is of."""
    matrix = run.metrics.get("confusion_matrix")
    if matrix is None:
        return None
    classes = list(range(len(matrix)))
    if len(classes) > _MATRIX:
        columns = [sum(column) for column in zip(*matrix, strict=True)]
        wrong = [sum(matrix[k]) + columns[k] - 2 * matrix[k][k] for k in classes]
        classes = sorted(sorted(classes, key=lambda k: -wrong[k])[:_MATRIX])
        matrix = [[matrix[row][column] for column in classes] for row in classes]
    return {"classes": classes, "matrix": matrix}


# ------------------------------------------------------------------------------- the worst mistakes


def _predictions(run: Run) -> dict[str, np.ndarray] | None:
    return run.predictions if (run.path / "predictions.npz").exists() else None


def _mistakes(
    run: Run, predictions: dict[str, np.ndarray], tests: "_TestImages", images: _Distinct
) -> dict[str, Any]:
    """The mistakes that the run was surest of, and why there are no pictures where none are."""
    rows = worst_mistakes(predictions["labels"], predictions["probabilities"], MISTAKES)
    probabilities = predictions["probabilities"][rows]
    note, pictures = None, [None] * len(rows)
    try:
        pictures = [
            images.index(data_uri(image)) for image in tests.of(run, predictions["ids"], rows)
        ]
    except (ValueError, OSError) as error:
        note = " ".join(str(error).split())
    mistakes = [
        {
            "id": str(predictions["ids"][row]),
            "truth": int(predictions["labels"][row]),
            "predicted": int(chances.argmax()),
            "confidence": round(float(chances.max()), 4),
            "image": picture,
        }
        for row, chances, picture in zip(rows, probabilities, pictures, strict=True)
    ]
    return {"mistakes": mistakes, "unreadable": note, "tested": len(predictions["ids"])}


class _TestImages:
    """Test images of runs; data that several runs have in common are opened once."""

    def __init__(self):
        self._sources: dict[tuple[str, int], Any] = {}

    def of(self, run: Run, ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Images uint8 (len(rows), H, W, C) as the network saw them.

        Raises:
            ValueError, OSError: they cannot be read, or are not those that were tested.
        """
        key = run.config["data"], run.config["seed"]
        if key not in self._sources:
            try:
                self._sources[key] = open_source(key[0], seed=key[1])
            except (ValueError, OSError) as error:
                self._sources[key] = error
        source = self._sources[key]
        if isinstance(source, Exception):
            raise source
        *size, channels = run.metrics["input_shape"]
        test = source.at(tuple(size), channels, run.config["resize"] or "stretch", keep=()).test
        if list(test.ids) != ids.tolist():
            raise ValueError(f"the data have changed since the run was tested: {key[0]}")
        return test.batch(rows)


# ---------------------------------------------------------------------------- what papers published


def _architectures(names: Iterable[str]) -> dict[str, Any]:
    """Paper and published figures, each with its source, by architecture."""
    found = {}
    for name in sorted(names):
        info = keras_archs.info(name)
        found[name] = {
            "paper": info.paper,
            "year": info.year,
            "input": "x".join(map(str, info.input_shape)),
            "classes": info.classes,
            "published": {key: tuple(figure) for key, figure in info.published.items()},
        }
    return found
