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

import applications
import keras_archs
from applications.console import plain_console
from applications.data.images import NAMED, WANTED, read_images
from applications.data.sources import Source, Subset, listed, open_source, open_test
from applications.evaluation import protocols
from applications.evaluation.metrics import (
    calibration,
    check_finite,
    cross_entropy,
    fit_temperature,
    headline,
    intervals,
    mcnemar,
    metrics,
    softmax,
)
from applications.evaluation.protocols import Views
from applications.evaluation.robustness import STRENGTHS, Corrupted
from applications.evaluation.tables import write_tables
from applications.files import check_file, read_json, write_atomic
from applications.options import Evaluation, Group, takes
from applications.runs import Run, load, write_json
from keras_archs import runtimes

if TYPE_CHECKING:
    import keras

    from keras_archs.runtimes import Predictor


# Multiply-adds of all images from which on a runtime's speed repays the seconds of its conversion.
_REPAID = 10**12
_CHUNK = 256  # image files that are in memory at a time


def score(
    model: "keras.Model | Predictor",
    subset: "Subset | Corrupted",
    batch_size: int = 256,
    views: Views | None = None,
) -> np.ndarray:
    """Class probabilities of all images of a subset: float32 (len(subset), classes).

    Args:
        model: takes uint8 images (B, H, W, C) in 0..255 and gives probabilities (B, classes); or
            what `keras_archs.runtime` made of it.
        subset: a split of `applications.data`; one batch of it is in memory at a time.
        batch_size: images per step.
        views: parts of each image whose probabilities are averaged. None: the whole image.
    """
    count = len(subset)
    # What a batch lacks is filled up with the first images: one shape is compiled, not two.
    forward = model if isinstance(model, runtimes.Predictor) else model.predict_on_batch

    def averaged(images: np.ndarray) -> np.ndarray:
        if views is None:
            return forward(images)
        found = np.asarray(forward(views.of(images)))
        return found.reshape(len(images), views.count, -1).mean(axis=1)

    batches = [
        averaged(subset.batch(np.arange(start, start + batch_size) % count))
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


@takes(Group(Evaluation))
def evaluate(options: Evaluation) -> dict[str, Any]:
    """Metrics of a finished run on its own test split, or on that of other data.

    Args:

    Returns:
        What `metrics` returns, with `run`, its folder; `data`, the data's name; `images`, how many
        were tested; `missing_classes`, those of the run that the data lack; and `calibration`, as
        `metrics.calibration` has it. What was asked for beside it: `intervals` and `against`, as
        `metrics.intervals` and `metrics.mcnemar` have them; `temperature`, with its value and loss
        and ECE of the `validation` and `test` images before and after; `protocols`, a row for each
        pass and mean, the plain one first, with what `headline` returns; `ensemble`, a row for each
        member, the figures and costs of the mean of their probabilities, and its `gain` over the
        best member; `corruptions`, for each kind the accuracy at strengths 1 to 5, and the mean.
        All of it is of the plain protocol but `protocols`, and is fit for JSON.

    Raises:
        ValueError: the data have a class that the run does not know, the run's own data have
            changed, so that their test split may hold images that the network was trained on, or
            the run is a trial of a search that did not win, whose test images nobody has looked at.
            A scale is smaller than the network; another run is not finished, has other classes or
            other test images; a network cannot be applied densely; a temperature cannot be fitted.
    """
    run, others = _loaded(options.run), [_loaded(each) for each in options.ensemble or ()]
    rival = None if options.against is None else _loaded(options.against)
    for name, each in (("against", rival), *(("ensemble", other) for other in others)):
        if each is not None:
            _check_classes(name, each, run)
    source, test = tested(run, options.data, keep=options.corrupts)
    views = {name: getattr(options, name) for name in ("scales", "crops", "dense", "mirrored")}
    passes = protocols.steps(_size(run), **views) if any(views.values()) else []
    dense = {
        step.size: applications.evaluation.networks.dense_network(run.model, step.size)
        for step in passes
        if step.dense
    }
    validation = _validation(run) if options.calibrates else None
    judge = functools.partial(_others_probabilities, run=run, options=options)
    members = [judge("ensemble", other, source=source, test=test) for other in others]
    rivals = None if rival is None else judge("against", rival, source=source, test=test)

    seen = 1 + sum(step.views.count for step in passes if not step.dense)
    seen += len(_CORRUPTED) if options.corrupts else 0
    network = fastest(run.model, run.metrics["macs"] * len(test) * seen)
    batch_size = min(options.batch_size, len(test))
    probabilities = score(network, test, batch_size)
    result = {
        "run": str(run.path),
        "data": source.name,
        "images": len(test),
        "missing_classes": [label for label in run.labels if label not in source.labels],
        **metrics(test.labels, probabilities, run.labels),
        "calibration": calibration(test.labels, probabilities),
    }
    if options.intervals:
        result["intervals"] = intervals(result["confusion_matrix"], options.seed)
    if rival is not None and rivals is not None:
        right = (each.argmax(axis=1) == test.labels for each in (probabilities, rivals))
        result["against"] = {"run": str(rival.path), **mcnemar(*right)}
    if validation is not None:
        result["temperature"] = _temperature(run, validation, test, batch_size)
    if passes:
        plain = protocols.Row("plain", (min(_size(run)),), 1, probabilities)
        found = (
            _seen(run, dense[step.size] if step.dense else network, step, source, options)
            for step in passes
        )
        rows = itertools.chain([plain], protocols.rows(passes, found))
        result["protocols"] = [_line(row, test.labels) for row in rows]
    if members:
        result["ensemble"] = _ensemble([run, *others], [probabilities, *members], test.labels)
    if options.corrupts:
        result["corruptions"] = _corruptions(network, test, options.seed, batch_size)
    _write(options, run, result)
    return result


def _loaded(run: Run | str | os.PathLike[str]) -> Run:
    return load(run) if isinstance(run, str | os.PathLike) else run


def _size(run: Run) -> tuple[int, int]:
    """Height and width of the network's input."""
    height, width = run.model.input_shape[1:3]
    return height, width


def tested(run: Run, data: str | os.PathLike[str] | None, *, keep: bool) -> tuple[Source, Subset]:
    """The data that the run is tested on, its own where none are given, and their test split.

    With `keep` it is decoded once, as it is gone through often.
    """
    if data is None:
        run.check_tested()
    if data is None or is_same_data(data, run.config["data"]):
        source = _own_source(run)
    else:
        source = open_test(data, run.labels, seed=run.config["seed"])
    channels, resize = run.model.input_shape[3], run.config["resize"]
    test = source.split_at("test", _size(run), channels, resize, keep=keep)
    if data is None and list(test.ids) != run.predictions["ids"].tolist():
        raise ValueError(
            "`data` must be given, because the run's own data have changed since: "
            f"their test split is another one. Received: data={run.config['data']!r}"
        )
    return source, test


def _own_source(run: Run) -> Source:
    source = open_source(run.config["data"], seed=run.config["seed"])
    if tuple(source.labels) != tuple(run.labels):
        raise ValueError(
            f"`data` must have the run's classes {listed(run.labels)}. "
            f"Received: {listed(source.labels)}"
        )
    return source


def _check_classes(name: str, other: Run, run: Run) -> None:
    """Raise ValueError unless another run has the classes of this one."""
    if other.labels != run.labels:
        raise ValueError(
            f"`{name}` must have the run's classes {listed(run.labels)}. "
            f"Received: {other.path} with {listed(other.labels)}"
        )


def _others_probabilities(
    name: str, other: Run, *, run: Run, options: Evaluation, source: Source, test: Subset
) -> np.ndarray:
    """What another run says of the same test images: as it recorded, or scored on other data.

    Of its own data there is its record alone, which says what it was not trained on.
    """
    data = options.data
    if data is not None and not is_same_data(data, other.config["data"]):
        shape = other.model.input_shape[3]
        subset = source.test_at(_size(other), shape, other.config["resize"])
        network = fastest(other.model, other.metrics["macs"] * len(subset))
        return score(network, subset, min(options.batch_size, len(subset)))
    other.check_tested()
    recorded = other.predictions
    ids = recorded["ids"].tolist()
    if ids != list(test.ids) or not np.array_equal(recorded["labels"], test.labels):
        shared = len(set(ids) & set(test.ids))
        raise ValueError(
            f"`{name}` must have been tested on the images of {run.path}, {len(test)} of "
            f"{run.config['data']!r} cut with seed {run.config['seed']}. Received: {other.path}, "
            f"tested on {len(ids)} of {other.config['data']!r} cut with seed "
            f"{other.config['seed']}, {shared} of the same names"
        )
    return recorded["probabilities"]


def _validation(run: Run) -> Subset:
    """The run's validation images.

    Raises:
        ValueError: they are no longer those that split.json records.
    """
    subset = _own_source(run).split_at(
        "validation", _size(run), run.model.input_shape[3], run.config["resize"]
    )
    split = read_json(run.path / "split.json", dict)
    try:
        of, count, rows = (split["validation"][key] for key in ("of", "count", "rows"))
    except (KeyError, TypeError):
        raise ValueError(
            f"split.json must record the validation images. Received: {run.path}"
        ) from None
    if rows == "all":
        changed = len(subset) != count
    else:
        ids = [row if isinstance(row, str) else f"{of}/{row}" for row in rows]
        changed = ids != list(subset.ids)
    if changed:
        raise ValueError(
            "`calibrate` must have the validation images of the training, and the run's data have "
            f"changed since. Received: data={run.config['data']!r}"
        )
    return subset


def _temperature(run: Run, validation: Subset, test: Subset, batch_size: int) -> dict[str, Any]:
    """The temperature that suits the validation images, and what it does to both splits."""
    model = applications.evaluation.networks.logits_network(run.model)
    network = fastest(model, run.metrics["macs"] * (len(validation) + len(test)))
    logits = {
        name: score(network, subset, batch_size)
        for name, subset in (("validation", validation), ("test", test))
    }
    best = fit_temperature(validation.labels, logits["validation"])
    found: dict[str, Any] = {"temperature": best}
    for name, subset in (("validation", validation), ("test", test)):
        found[name] = {"images": len(subset)}
        for when, value in (("before", 1.0), ("after", best)):
            calibrated = calibration(subset.labels, softmax(logits[name], value))
            found[name][f"loss_{when}"] = cross_entropy(subset.labels, logits[name], value)
            found[name][f"ece_{when}"] = calibrated["ece"]
            found[name][f"bins_{when}"] = calibrated["bins"]
    return found


def _seen(
    run: Run,
    network: "keras.Model | Predictor",
    step: protocols.Step,
    source: Source,
    options: Evaluation,
) -> np.ndarray:
    """Probabilities of the test images in one pass of a protocol."""
    subset = source.test_at(step.size, run.model.input_shape[3], run.config["resize"])
    if step.dense and not isinstance(network, runtimes.Predictor):
        macs = keras_archs.profile(network).macs * step.views.count
        network = fastest(network, macs * len(subset))
    images = protocols.images_a_step(step, _size(run), options.batch_size)
    return score(network, subset, min(images, len(subset)), step.views)


def _line(row: protocols.Row, labels: np.ndarray) -> dict[str, Any]:
    """A line of the table, without the probabilities."""
    return {
        "protocol": row.method,
        "scales": list(row.scales),
        "views": row.views,
        **headline(labels, row.probabilities),
    }


def _ensemble(
    runs: Sequence[Run], probabilities: Sequence[np.ndarray], labels: np.ndarray
) -> dict[str, Any]:
    """Members, the mean of their probabilities, and what all of it costs."""
    rows = [
        {
            "run": str(run.path),
            **headline(labels, found),
            **{name: run.metrics.get(name) for name in _COSTS},
        }
        for run, found in zip(runs, probabilities, strict=True)
    ]
    costs = {name: [row[name] for row in rows] for name in _COSTS}
    total = {name: None if None in each else sum(each) for name, each in costs.items()}
    mean = headline(labels, np.stack(probabilities).mean(axis=0))
    best = max(row["test_accuracy"] for row in rows)
    return {"members": rows, **mean, **total, "gain": mean["test_accuracy"] - best}


_COSTS = ("params", "macs", "latency_ms_p50")


_CORRUPTED = [(kind, at + 1) for kind, amounts in STRENGTHS.items() for at in range(len(amounts))]


def _corruptions(
    network: "keras.Model | Predictor", test: Subset, seed: int, batch_size: int
) -> dict[str, Any]:
    """The accuracy under each corruption at each strength."""
    accuracy: dict[str, list[float]] = {kind: [] for kind in STRENGTHS}
    for kind, strength in _CORRUPTED:
        found = score(network, Corrupted(test, kind, strength, seed), batch_size)
        accuracy[kind].append(float((found.argmax(axis=1) == test.labels).mean()))
    mean = float(np.mean(list(accuracy.values())))
    return {"accuracy": accuracy, "mean_accuracy": mean, "seed": seed}


def _write(options: Evaluation, run: Run, result: dict[str, Any]) -> None:
    """The files that were asked for."""
    if options.reliability is not None:
        applications.evaluation.pictures.save_reliability(result, options.reliability)
    if options.robustness is not None:
        accuracy, clean = result["corruptions"]["accuracy"], result["test_accuracy"]
        applications.evaluation.pictures.save_robustness(accuracy, clean, options.robustness)
    if options.save_calibrated is not None:
        temperature = result["temperature"]["temperature"]
        network = applications.evaluation.networks.calibrated(run.model, temperature)
        write_atomic(options.save_calibrated, network.save)
    if options.out is not None:
        write_tables(result, options.out)
        write_json(options.out, result)


def is_same_data(data: str | os.PathLike[str], own: str) -> bool:
    """Whether both are the same folder, file or name."""
    return os.fspath(data) == own or os.path.realpath(expanduser(data)) == os.path.realpath(
        expanduser(own)
    )


def fastest(model: "keras.Model", macs: int) -> "keras.Model | Predictor":
    """The model, or the fastest runtime where the multiply-adds repay its conversion."""
    if macs < _REPAID:
        return model
    try:
        return runtimes.runtime(model, batch_size=32)
    except ValueError:  # no runtime has its layers, or it computes in half precision
        return model


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
    found = load(network) if is_folder else applications.evaluation.networks.opened(network)
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
        applications.evaluation.explaining.save_explanations(
            applications.evaluation.explaining.explain_all(
                network, [a.path for a in good], method=method
            ),
            explain,
        )
    if filters is not None:
        applications.evaluation.explaining.save_filters(network.model, filters)
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
