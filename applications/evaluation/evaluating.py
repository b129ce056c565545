"""How good and how fast a trained network is, and what it says about single images."""

import functools
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from applications import evaluation
from applications.console import plain_console
from applications.data.sources import Subset, listed, open_source, open_test
from applications.evaluation.metrics import metrics
from applications.files import check_picture
from applications.runs import Run, load
from keras_archs import runtimes

if TYPE_CHECKING:
    import keras

    from keras_archs.runtimes import Predictor


# Multiply-adds of all images from which on a runtime's speed repays the seconds of its conversion.
_REPAID = 10**12


def score(model: "keras.Model | Predictor", subset: Subset, batch_size: int = 256) -> np.ndarray:
    """Class probabilities of all images of a subset: float32 (len(subset), classes).

    Args:
        model: takes uint8 images (B, H, W, C) in 0..255 and gives probabilities (B, classes); or
            what `keras_archs.runtime` made of it.
        subset: a split of `applications.data`; one batch of it is in memory at a time.
        batch_size: images per step.
    """
    count = len(subset)
    batch_size = min(batch_size, count)
    # The last batch starts over with the first images: one shape is compiled, not two.
    forward = model if isinstance(model, runtimes.Predictor) else model.predict_on_batch
    batches = [
        forward(subset.batch(np.arange(start, start + batch_size) % count))
        for start in range(0, count, batch_size)
    ]
    return np.concatenate(batches)[:count].astype(np.float32)


def latency(
    model: "keras.Model", batch_size: int = 1, *, repeats: int = 50, seconds: float = 5.0
) -> tuple[float, float]:
    """Median and 95th percentile of the time of one forward pass, in milliseconds.

    The network is compiled once for this batch and warmed up before the clock runs. The figures
    are noisy: they are good for orders of magnitude, and on a busy machine not even that.

    Args:
        model: a network with fixed sides, on the device that it is to be timed on.
        batch_size: images per pass.
        repeats: passes timed, at least 3.
        seconds: no further pass is begun after this time.
    """
    import keras

    images = np.zeros((batch_size, *model.input_shape[1:]), model.inputs[0].dtype)
    call = functools.partial(runtimes.compiled(model), keras.ops.convert_to_tensor(images))
    for _ in range(3):
        call()
    times = []
    start = time.perf_counter()
    while len(times) < 3 or (len(times) < repeats and time.perf_counter() - start < seconds):
        begin = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - begin))
    p50, p95 = np.percentile(times, (50, 95))
    return float(p50), float(p95)


def evaluate(
    run: Run | str | os.PathLike[str], *, data: str | None = None, batch_size: int = 256
) -> dict[str, Any]:
    """Metrics of a finished run on its own test split, or on that of other data.

    Args:
        run: a run folder, or what `applications.load` returned.
        data: as for `train`; its test split is used, cut with the run's seed where it has none.
            A folder may also hold test/ alone, or classes alone, all of whose images are then
            tested. It may lack classes of the run. None takes the run's own data.
        batch_size: images per step.

    Returns:
        What `metrics` returns, with `data`, its name, `images`, how many were tested, and
        `missing_classes`, those of the run that the data lack.

    Raises:
        ValueError: the data have a class that the run does not know, the run's own data have
            changed, so that their test split may hold images that the network was trained on, or
            the run is a trial of a search that did not win, whose test images nobody has looked at.
    """
    run = load(run) if isinstance(run, str | os.PathLike) else run
    own, seed = run.config["data"], run.config["seed"]
    if data is None:
        run.check_tested()
    if data is None or _is_same(data, own):
        source = open_source(own, seed=seed)
        if tuple(source.labels) != tuple(run.labels):
            raise ValueError(
                f"`data` must have the run's classes {listed(run.labels)}. "
                f"Received: {listed(source.labels)}"
            )
    else:
        source = open_test(data, run.labels, seed=seed)
    *size, channels = run.model.input_shape[1:]
    test = source.test_at(tuple(size), channels, run.config["resize"])
    if data is None:
        with np.load(run.path / "predictions.npz") as predictions:
            if list(test.ids) != predictions["ids"].tolist():
                raise ValueError(
                    "`data` must be given, because the run's own data have changed since: "
                    f"their test split is another one. Received: data={run.config['data']!r}"
                )
    network = _fastest(run.model, run.metrics["macs"] * len(test))
    result = metrics(test.labels, score(network, test, batch_size), run.labels)
    missing = [label for label in run.labels if label not in source.labels]
    return {"data": source.name, "images": len(test), "missing_classes": missing, **result}


def _is_same(data: str | os.PathLike[str], own: str) -> bool:
    """Whether both are the same folder, file or name."""
    return data == own or Path(data).expanduser().resolve() == Path(own).expanduser().resolve()


def _fastest(model: "keras.Model", macs: int) -> "keras.Model | Predictor":
    """The model, or the fastest runtime where the multiply-adds repay its conversion."""
    if macs < _REPAID:
        return model
    try:
        return runtimes.runtime(model, batch_size=32)
    except ValueError:  # no runtime has its layers, or it computes in half precision
        return model


def print_metrics(result: dict[str, Any]) -> None:
    """Prints what `evaluate` returned as a table."""
    from rich.table import Table

    table = Table("class", title=f"{result['data']}, {result['images']:,} test images")
    for column in ("images", "precision %", "recall %", "F1 %"):
        table.add_column(column, justify="right")
    for name, row in result["per_class"].items():
        shares = (f"{100 * row[column]:.2f}" for column in ("precision", "recall", "f1"))
        table.add_row(name, f"{row['images']:,}", *shares)
    console = plain_console()
    console.print(table)
    console.print(
        f"accuracy {100 * result['test_accuracy']:.2f} %, macro F1 {100 * result['macro_f1']:.2f}"
        f" %, loss {result['test_loss']:.4f}"
    )
    if result["missing_classes"]:
        console.print(f"no images of {listed(result['missing_classes'])}")


def predict(
    run: "Run | keras.Model | str | os.PathLike[str]",
    images: Sequence[str | os.PathLike[str]],
    top: int = 3,
    *,
    explain: str | os.PathLike[str] | None = None,
    method: str | None = None,
    filters: str | os.PathLike[str] | None = None,
) -> list[tuple[str, list[tuple[str, float]]]]:
    """Classes of image files, most probable first.

    Args:
        run: a run folder, what `applications.load` returned, a functional or sequential
            `keras.Model` that classifies images, or the `.keras` file of one.
        images: paths of image files; each is turned and resized as the run's own images were.
        top: classes per image, at most all.
        explain: a `.png` file for a picture of where each image's most probable class was found.
        method: how it is explained: "cam", "gradcam" or "guided", as `applications.explain` has it.
        filters: a `.png` file for a picture of the first layer's kernels.

    Returns:
        One `(path, [(class name, probability in 0..1), ...])` per image, in the given order.

    Raises:
        ValueError: no image was given, `top` is below 1, a file is not a readable image, or the
            network cannot be explained by this method.
    """
    if not images:
        raise ValueError("`images` must name at least one image file. Received: images=[]")
    if top < 1:
        raise ValueError(f"`top` must be >= 1. Received: top={top}")
    if method is not None and explain is None:
        raise ValueError(f"`method` must be given with `explain`. Received: method={method!r}")
    for name, path in (("explain", explain), ("filters", filters)):
        if path is not None:
            check_picture(name, path)
    is_folder = isinstance(run, str | os.PathLike) and Path(run).suffix != ".keras"
    network = load(run) if is_folder else evaluation.networks.opened(run)
    probabilities = network.predict([os.fspath(path) for path in images])
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    if explain is not None:
        evaluation.explaining.save_explanations(
            evaluation.explaining.explain_all(network, images, method=method), explain
        )
    if filters is not None:
        evaluation.explaining.save_filters(network.model, filters)
    return [
        (os.fspath(path), [(network.labels[k], float(row[k])) for k in order])
        for path, row, order in zip(images, probabilities, best, strict=True)
    ]
