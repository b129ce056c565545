"""How good and how fast a trained network is, and what it says about single images."""

import csv
import functools
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from os.path import expanduser
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import numpy as np

from applications import evaluation
from applications.console import plain_console
from applications.data.images import NAMED, WANTED, read_images
from applications.data.sources import Subset, listed, open_source, open_test
from applications.evaluation.metrics import check_finite, metrics
from applications.files import check_file, write_atomic
from applications.runs import Run, load
from keras_archs import runtimes

if TYPE_CHECKING:
    import keras

    from keras_archs.runtimes import Predictor


# Multiply-adds of all images from which on a runtime's speed repays the seconds of its conversion.
_REPAID = 10**12
_CHUNK = 256  # image files that are in memory at a time


def score(model: "keras.Model | Predictor", subset: Subset, batch_size: int = 256) -> np.ndarray:
    """Class probabilities of all images of a subset: float32 (len(subset), classes).

    Args:
        model: takes uint8 images (B, H, W, C) in 0..255 and gives probabilities (B, classes); or
            what `keras_archs.runtime` made of it.
        subset: a split of `applications.data`; one batch of it is in memory at a time.
        batch_size: images per step.
    """
    count = len(subset)
    # What a batch lacks is filled up with the first images: one shape is compiled, not two.
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
        if list(test.ids) != run.predictions["ids"].tolist():
            raise ValueError(
                "`data` must be given, because the run's own data have changed since: "
                f"their test split is another one. Received: data={run.config['data']!r}"
            )
    network = _fastest(run.model, run.metrics["macs"] * len(test))
    result = metrics(test.labels, score(network, test, min(batch_size, len(test))), run.labels)
    missing = [label for label in run.labels if label not in source.labels]
    return {"data": source.name, "images": len(test), "missing_classes": missing, **result}


def _is_same(data: str | os.PathLike[str], own: str) -> bool:
    """Whether both are the same folder, file or name."""
    return data == own or os.path.realpath(expanduser(data)) == os.path.realpath(expanduser(own))


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


class Answer(NamedTuple):
    """What a network says of an image file: `(class name, probability in 0..1)`, the surest first.

    Where the file cannot be read there is the reason in place of the classes.
    """

    path: str
    classes: list[tuple[str, float]]
    error: str | None = None


def answers(
    network: "Run | keras.Model | str | os.PathLike[str]",
    images: Iterable[str | os.PathLike[str]],
    top: int = 3,
) -> Iterator[Answer]:
    """Classes of image files, some hundreds at a time: any number of them takes no more memory.

    Args:
        network: as for `predict`.
        images: paths of image files; each is turned and resized as the run's own images were.
        top: classes an image, at most all.

    Yields:
        An answer for each file, in their order; those that cannot be read have an error.

    Raises:
        ValueError: `top` is below 1, the network is not one, or its probabilities are no numbers.
    """
    opened = _opened(network)
    paths = iter(images)
    while chunk := [os.fspath(path) for path in itertools.islice(paths, _CHUNK)]:
        errors: dict[str, str] = {}
        try:
            probabilities = iter(opened.predict(chunk))
        except (ValueError, OSError):
            errors = dict(filter(None, map(_unreadable, chunk)))
            if not errors:
                raise
            good = [path for path in chunk if path not in errors]
            probabilities = iter(opened.predict(good) if good else ())
        for path in chunk:
            if path in errors:
                yield Answer(path, [], errors[path])
                continue
            row = next(probabilities)
            check_finite(row[None])
            best = np.argsort(-row, kind="stable")[:top]
            yield Answer(path, [(opened.labels[k], float(row[k])) for k in best])


def _opened(network: "Run | keras.Model | str | os.PathLike[str]") -> Any:
    is_folder = isinstance(network, str | os.PathLike) and Path(network).suffix != ".keras"
    found = load(network) if is_folder else evaluation.networks.opened(network)
    _ = found.model  # a run without one is an error before any image is read
    return found


def _unreadable(path: str) -> tuple[str, str] | None:
    """The path and why the file cannot be read; None if it can."""
    try:
        read_images([path], (1, 1, 1))
    except FileNotFoundError:
        return path, "no such file"
    except (ValueError, OSError) as error:
        return path, str(error).rpartition(f"{path} (")[2].removesuffix(")") or str(error)
    return None


def check_read(unreadable: Sequence[Answer], images: int) -> None:
    """Raise ValueError, naming the first ten, if files could not be read."""
    if unreadable:
        named = ", ".join(f"{answer.path} ({answer.error})" for answer in unreadable[:NAMED])
        more = ", ..." if len(unreadable) > NAMED else ""
        raise ValueError(
            f"{WANTED}. Received: {len(unreadable)} of {images} that are not: {named}{more}"
        )


def predict(
    run: "Run | keras.Model | str | os.PathLike[str]",
    images: Sequence[str | os.PathLike[str]],
    top: int = 3,
    *,
    out: str | os.PathLike[str] | None = None,
    explain: str | os.PathLike[str] | None = None,
    method: str | None = None,
    filters: str | os.PathLike[str] | None = None,
    verbose: int = 0,
) -> list[tuple[str, list[tuple[str, float]]]]:
    """Classes of image files, most probable first.

    Args:
        run: a run folder, what `applications.load` returned, a functional or sequential
            `keras.Model` that classifies images, or the `.keras` file of one.
        images: paths of image files; each is turned and resized as the run's own images were.
        top: classes per image, at most all.
        out: a `.csv` file for the answers: `image`, `rank` from 1, `class`, `probability`.
        explain: a `.png` file for a picture of where each image's most probable class was found.
        method: how it is explained: "cam", "gradcam" or "guided", as `applications.explain` has it.
        filters: a `.png` file for a picture of the first layer's kernels.
        verbose: 1 prints each answer as soon as it is there.

    Returns:
        One `(path, [(class name, probability in 0..1), ...])` per image, in the given order.

    Raises:
        ValueError: no image was given, `top` is below 1, or the network cannot be explained by this
            method; or files are no images that can be read: they are named when all others have
            been answered, and `out` and the pictures written.
    """
    if not images:
        raise ValueError("`images` must name at least one image file. Received: images=[]")
    if top < 1:
        raise ValueError(f"`top` must be >= 1. Received: top={top}")
    if method is not None and explain is None:
        raise ValueError(f"`method` must be given with `explain`. Received: method={method!r}")
    for name, path in (("explain", explain), ("filters", filters)):
        if path is not None:
            check_file(name, path)
    if out is not None:
        check_file("out", out, ".csv")
    network = _opened(run)
    found: list[Answer] = []
    show = _table(images, network.labels) if verbose else None

    def collect(file: TextIO | None) -> None:
        writer = file and csv.writer(file, lineterminator="\n")
        if writer:
            writer.writerow(("image", "rank", "class", "probability"))
        for answer in answers(network, images, top):
            found.append(answer)
            if show:
                show(answer)
            if writer:
                for rank, (label, probability) in enumerate(answer.classes, start=1):
                    writer.writerow((answer.path, rank, label, f"{probability:.6f}"))

    def write(path: Path) -> None:
        # As the names of files may be anything, so may what stands for them.
        with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            collect(file)

    write_atomic(out, write) if out is not None else collect(None)
    good = [answer for answer in found if answer.error is None]
    if explain is not None and good:
        evaluation.explaining.save_explanations(
            evaluation.explaining.explain_all(network, [a.path for a in good], method=method),
            explain,
        )
    if filters is not None:
        evaluation.explaining.save_filters(network.model, filters)
    check_read([answer for answer in found if answer.error is not None], len(found))
    return [(answer.path, answer.classes) for answer in good]


def _table(
    images: Sequence[str | os.PathLike[str]], labels: Sequence[str]
) -> Callable[[Answer], None]:
    """Prints the head of a table of answers; what it returns prints the lines of one."""
    from rich.cells import cell_len

    console = plain_console()
    widths = [
        max(map(cell_len, (head, *map(str, texts))))
        for head, texts in (("image", images), ("class", labels))
    ]

    def line(*cells: str) -> None:
        padded = [text + " " * (n - cell_len(text)) for text, n in zip(cells, widths, strict=False)]
        console.print(*padded, cells[-1], sep="  ", soft_wrap=True)

    def show(answer: Answer) -> None:
        for rank, (label, probability) in enumerate(answer.classes):
            line("" if rank else answer.path, label, f"{100 * probability:.1f} %")

    line("image", "class", "probability")
    return show
