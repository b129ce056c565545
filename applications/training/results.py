"""What a training leaves behind: the model, its figures, its card."""

from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import keras
import numpy as np
import pandas as pd

import keras_archs
from applications import runs
from applications.console import markdown, short_count
from applications.data.sources import Dataset, Subset
from applications.evaluation.evaluating import latency, score
from applications.evaluation.metrics import metrics
from applications.files import write_atomic, write_json
from applications.recipes import catalog
from applications.training.progress import Progress, Row
from keras_archs.normalization import LocalResponseNormalization
from keras_archs.weights import LoadReport

EVALUATION_BATCH = 256


def write_results(
    network: keras.Model,
    config: Mapping[str, Any],
    dataset: Dataset,
    progress: Progress,
    best: Row,
    path: Path,
    *,
    images: int,
    test: bool,
    report: LoadReport | None,
    more: Mapping[str, Any],
    section: Callable[[Mapping[str, Any]], str] | None,
) -> dict[str, Any]:
    """Write every file of the run folder but metrics.json, which is returned.

    Args:
        network: as it is kept.
        config: what config.yaml holds.
        dataset: that it was trained on.
        progress: of the training.
        best: row of the epoch whose weights the network has.
        path: of the folder.
        images: training images of an epoch.
        test: whether the test images are used.
        report: on weights that the network started from.
        more: metrics that it has beside the usual ones.
        section: what the card says beside the usual, of all metrics.
    """
    profile = keras_archs.profile(network)
    p50, p95 = latency(network)
    history = progress.history
    seconds = [row["seconds"] for row in history]
    mirrored = config["test_mirrored"]
    metrics = {
        **(test_network(network, dataset, path, mirrored=mirrored) if test else {}),
        "validation_accuracy": best["val_accuracy"],
        "validation_macro_f1": _validation_macro_f1(network, dataset),
        "validation_loss": best["val_loss"],
        "params": profile.params,
        "trainable_params": profile.trainable_params,
        "macs": profile.macs,
        "peak_activation_bytes": profile.peak_activation_bytes,
        "weight_bytes": profile.weight_bytes,
        "input_shape": list(dataset.image_shape),
        "latency_ms_p50": p50,
        "latency_ms_p95": p95,
        "epochs": len(history),
        "kept_epoch": int(best["epoch"]),
        "ended": progress.ended,
        "steps": progress.steps,
        "train_seconds": round(sum(seconds), 3),
        "images_per_second": round(images / float(np.median(seconds)), 1),
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
        **({"weights": str(report).splitlines()} if report else {}),
        **more,
    }
    write_atomic(path / "model.keras", network.save)
    write_json(path / "labels.json", list(dataset.labels))
    write_json(path / "split.json", dataset.split)
    write_atomic(path / "history.csv", _csv(pd.DataFrame(history)))
    write_atomic(path / "profile.csv", _csv(profile.to_dataframe()))
    write_card(network, config, dataset, metrics, path, section(metrics) if section else "")
    return metrics


def test_network(
    network: keras.Model, dataset: Dataset, path: Path, *, mirrored: bool = False
) -> dict[str, Any]:
    """The metrics of the test images; keeps their predictions in the run folder.

    With `mirrored` also the accuracy of the mean of an image's probabilities and its mirror
    image's.
    """
    probabilities = score(network, dataset.test, _batch_size(dataset))
    write_atomic(
        path / "predictions.npz",
        lambda file: np.savez_compressed(
            file,
            ids=np.array(dataset.test.ids, dtype=np.str_),
            labels=dataset.test.labels,
            probabilities=probabilities,
        ),
    )
    labels = dataset.test.labels
    found = metrics(labels, probabilities, dataset.labels)
    if mirrored:
        reversed_: Any = _Mirrored(dataset.test)
        others = score(network, reversed_, _batch_size(dataset))
        both = np.argmax(probabilities + others, axis=1)
        found["mirrored_test_accuracy"] = float(np.mean(both == labels))
    return found


class _Mirrored:
    """The images of a split, mirrored left to right."""

    def __init__(self, subset: Subset):
        self.subset, self.labels = subset, subset.labels

    def __len__(self) -> int:
        return len(self.subset)

    def batch(self, rows: np.ndarray) -> np.ndarray:
        return self.subset.batch(rows)[:, :, ::-1]


def _validation_macro_f1(network: keras.Model, dataset: Dataset) -> float:
    subset = dataset.validation
    probabilities = score(network, subset, _batch_size(dataset))
    return metrics(subset.labels, probabilities, dataset.labels)["macro_f1"]


def _batch_size(dataset: Dataset) -> int:
    """Of both splits, so that the network is compiled for one."""
    return min(EVALUATION_BATCH, max(len(dataset.validation), len(dataset.test)))


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, lineterminator="\n")


def write_card(
    network: keras.Model,
    config: Mapping[str, Any],
    dataset: Dataset,
    metrics: Mapping[str, Any],
    path: Path,
    section: str = "",
) -> None:
    """Write card.md: what the model is, what it was trained on and how, how good, how to use.

    `section` is what stands between results and use, beside the usual.
    """
    info = keras_archs.info(config["arch"])
    recipe = catalog.recipe(config["recipe"])
    height, width, channels = dataset.image_shape
    classes = len(dataset.labels)
    shown = ", ".join(map(markdown, dataset.labels[:20])) + (", ..." if classes > 20 else "")
    p50, p95 = metrics["latency_ms_p50"], metrics["latency_ms_p95"]
    normalises = any(isinstance(x, LocalResponseNormalization) for x in network.layers)
    after = " after `from keras_archs import LocalResponseNormalization`" if normalises else ""
    tested = "test_accuracy" in metrics
    results = {
        "validation accuracy": f"{100 * metrics['validation_accuracy']:.2f} %",
        "latency p50": f"{p50:.2f} ms",
        "p95": f"{p95:.2f} ms",
    }
    if tested:
        results = {
            "test accuracy": f"{100 * metrics['test_accuracy']:.2f} %",
            "macro F1": f"{metrics['macro_f1']:.4f}",
            "test loss": f"{metrics['test_loss']:.4f}",
            **results,
        }
    if "mirrored_test_accuracy" in metrics:
        mirrored = f"{100 * metrics['mirrored_test_accuracy']:.2f} %"
        results["test accuracy with mirrored images"] = mirrored
    started = "".join(f"- {line}\n" for line in metrics.get("weights", ()))
    if started:
        started = f"\n## Weights it started from\n\n{started}"
    options = "\n".join(
        f"- {name}: {markdown(value)}"
        for name, value in config.items()
        if value not in (None, {}, False)
    )
    page = _template().substitute(
        arch=config["arch"],
        data=markdown(dataset.name),
        paper=info.paper,
        height=height,
        width=width,
        channels=f"{channels} channel{'s' * (channels > 1)}",
        classes=f"{classes} classes: {shown}",
        params=f"{metrics['params']:,}",
        trainable=f"{metrics['trainable_params']:,}",
        macs=f"{metrics['macs']:,}",
        train=f"{len(dataset.train):,}",
        validation=f"{len(dataset.validation):,}",
        test=f"{len(dataset.test):,}",
        tested="used once, after training" if tested else "not used: this is a trial of a search",
        recipe=recipe.name,
        source=recipe.source,
        epochs=metrics["epochs"],
        kept=_kept(config, metrics),
        seconds=f"{metrics['train_seconds']:.0f}",
        backend=metrics["backend"],
        keras=metrics["keras"],
        options=options,
        started=started,
        names=" | ".join(results),
        rule="---|" * len(results),
        figures=" | ".join(results.values()),
        remarks="".join(f"**Beware: {text}.**\n\n" for text in runs.remarks(metrics, classes)),
        section=section,
        path=repr(str(path)),
        after=after,
    )
    write_atomic(path / "card.md", page)


def _kept(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Which epoch's weights these are, and why there are no more epochs."""
    if config.get("specialists"):
        return "Each specialist has the weights of its own best epoch."
    epoch, planned, ended = metrics["kept_epoch"], config["epochs"], metrics["ended"]
    best = "the best on the validation images" if config["keep"] == "best" else "the last"
    said = f"The weights are those after epoch {epoch}, {best}."
    return f"{said} Of {planned} epochs the rest were left out: {ended}." if ended else said


def _template() -> Template:
    card = resources.files("applications.training") / "card.md"
    return Template(card.read_text(encoding="utf-8"))


def last_line(run: runs.Run, data_name: str) -> str:
    config, metrics = run.config, run.metrics
    multipliers = [f" {name} {config[name]:g}" for name in ("alpha", "rho") if config[name] != 1]
    said = f" ({'; '.join(run.remarks)})" if run.remarks else ""
    return (
        f"{config['arch']}{''.join(multipliers)} on {data_name}: "
        f"{100 * metrics['test_accuracy']:.1f} % test accuracy, macro F1 "
        f"{100 * metrics['macro_f1']:.1f} %{said}, {short_count(metrics['params'])} parameters, "
        f"{metrics['train_seconds']:.0f} s -> {run.path}"
    )
