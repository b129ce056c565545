"""Images that a trained network takes for alike: those whose last hidden layers are near.

Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional neural
networks", section 6.1: "If two images produce feature activation vectors with a small Euclidean
separation, we can say that the higher levels of the neural network consider them to be similar."
`codes` has the short codes that the section proposes, `vectors` the folder that keeps all of it.

>>> found = applications.retrieve("runs/mine", "images", query=["one.png"])
>>> found.answers[0].images  # names, the nearest first
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import applications
from applications.data.images import read_images
from applications.data.libraries import NO_CLASS, Library, open_library
from applications.data.sources import MEMORY_LIMIT
from applications.evaluation.evaluating import fastest, is_same_data, score
from applications.evaluation.networks import hidden_network
from applications.files import write_atomic
from applications.learning import codes, showing, vectors
from applications.learning.vectors import Index
from applications.options import Group, Retrieval, takes

PAGE = "retrieval.html"
KS = (1, 5, 10)  # of the precisions
_QUERIES = 1000  # images, at most, over which a precision is the mean
_SHOWN = 5  # images of the data that are queries where none is given
_PIXELS_AT_ONCE = 2**26  # bytes of images, as numbers, that are compared at a time


class Answer(NamedTuple):
    """What is nearest to an image.

    Attributes:
        query: its path, or its name among the images of the data.
        images: names of the nearest, in order; of files their paths relative to the folder.
        classes: theirs; "" where an image has none.
        distances: theirs: Euclidean, or in bits.
    """

    query: str
    images: list[str]
    classes: list[str]
    distances: list[float]


class Retrieved(NamedTuple):
    """What `retrieve` found.

    Attributes:
        path: the folder of the index.
        page: the file that shows it.
        answers: one a query, in their order.
        precision: the mean share of images of the same class among the nearest 1, 5 and 10, by
            what is compared: "pixels", "raw", "compressed", "binary". Empty where the images have
            fewer than two classes; pixels are left out where all have more than 2 GiB.
        embedded: images that went through the network.
        kept: images whose vectors the index had.
        gone: images that the index had and the data no longer have.
    """

    path: Path
    page: Path
    answers: list[Answer]
    precision: dict[str, dict[int, float]]
    embedded: int
    kept: int
    gone: int


@takes(Group(Retrieval))
def retrieve(retrieval: Retrieval) -> Retrieved:
    """Find the images that a finished run's network takes for the nearest to others.

    The last hidden layer, what enters the classifier, is computed of every image of the data and
    kept in a folder; when it is called again, of what is new or has changed, and what is gone is
    left out. Where the images have classes, the precision of pixels, vectors and codes is measured,
    over at most 1,000 test images (the run's where the data are its own; all images where the data
    have none), each compared with all others. A page shows what was found.

    Args:

    Returns:
        What was found.

    Raises:
        ValueError, TypeError: an argument is wrong, the run is not finished or damaged, a query is
            no image, there are fewer images than are to be found, the index is damaged, or faiss is
            not installed.
        FileExistsError: `run_dir` is something else than an index.
        OSError: a file cannot be read or written.
    """
    codes.load_faiss()
    run = retrieval.run
    run = run if isinstance(run, applications.Run) else applications.load(run)
    library = open_library(retrieval.data, seed=run.config["seed"])
    if retrieval.top > len(library):
        raise ValueError(
            f"`top` must be at most {len(library)}, the images there are. "
            f"Received: top={retrieval.top}"
        )
    name = f"index-{run.path.resolve().name}-{library.name}"
    path = Path(retrieval.run_dir or Path("runs", name))
    vectors.check_folder(path)
    before = vectors.opened(path)
    images = _Images(run, library)
    held_out = _held_out(run, library, retrieval.data)
    queries = _queries(images, retrieval, held_out)
    digest = _digest(run)
    kept = int((vectors.kept_rows(before, library, digest) >= 0).sum())
    embedder = _Embedder(run, images, retrieval.batch_size, len(library) - kept)
    with _progress(retrieval.verbose) as progress:
        index = vectors.updated(path, before, library, digest, embedder.of_rows, progress)
    _complete(index, images, held_out, retrieval)
    found = _find(index, queries, embedder, retrieval)
    page = showing.page(run, images, index, found, retrieval)
    write_atomic(path / PAGE, page)
    result = Retrieved(
        path=path,
        page=path / PAGE,
        answers=[_answer(each, library) for each in found],
        precision=showing.precision_of(index),
        embedded=len(library) - kept,
        kept=kept,
        gone=(len(before) if before else 0) - kept,
    )
    if retrieval.verbose:
        showing.tell(result, index, images, retrieval)
    return result


class _Images:
    """The images of a library as a run's network takes them."""

    def __init__(self, run: applications.Run, library: Library):
        self.library = library
        self.shape: tuple[int, int, int] = run.model.input_shape[1:]
        self.resize: str = run.config["resize"]

    def subset(self, rows: Any) -> Any:
        return self.library.at(self.shape, self.resize, np.asarray(rows, np.int64))

    def pixels(self, rows: Any) -> np.ndarray:
        """uint8 0..255, (M, H, W, C)."""
        subset = self.subset(rows)
        return subset.batch(np.arange(len(subset)))

    def flat(self, rows: Any) -> np.ndarray:
        """As vectors, float32 (M, H * W * C)."""
        return self.pixels(rows).reshape(len(rows), -1).astype(np.float32)

    def class_of(self, row: int) -> str:
        label = self.library.labels[row]
        return "" if label == NO_CLASS else self.library.classes[label]


class _Queries(NamedTuple):
    """Images whose nearest are wanted: their names, pixels, and rows if the library has them."""

    names: list[str]
    pixels: np.ndarray
    rows: list[int] | None


def _queries(images: _Images, asked: Retrieval, held_out: np.ndarray) -> _Queries:
    files: Any = asked.query
    if files:
        paths = [os.fspath(path) for path in files]
        return _Queries(paths, read_images(paths, images.shape, images.resize), None)
    rows = _drawn(held_out, _SHOWN, asked.seed).tolist()
    return _Queries([images.library.ids[row] for row in rows], images.pixels(rows), rows)


def _drawn(among: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Some rows of those that are marked, in order."""
    rows = np.flatnonzero(among)
    random = np.random.default_rng(seed)
    return np.sort(random.choice(rows, min(most, len(rows)), replace=False))


def _held_out(run: applications.Run, library: Library, data: str | os.PathLike[str]) -> np.ndarray:
    """Which images the network was not trained on, as far as that is known; else all, bool (N,)."""
    own = is_same_data(data, run.config["data"])
    if own and (run.path / "predictions.npz").exists():
        tested = set(run.predictions["ids"].tolist())
        found = np.array([name in tested for name in library.ids])
        if found.any():
            return found
    return library.tested if library.tested.any() else np.ones(len(library), bool)


def _digest(run: applications.Run) -> str:
    """What a vector depends on beside its image."""
    with open(run.path / "model.keras", "rb") as file:
        found = hashlib.file_digest(file, "sha256")
    found.update(run.config["resize"].encode())
    return found.hexdigest()


class _Embedder:
    """The last hidden layer of a run's network, in the runtime that is fastest for so many images.

    Args:
        count: of the images that are to be embedded.
    """

    def __init__(self, run: applications.Run, images: _Images, batch_size: int, count: int):
        self._hidden, self._images = hidden_network(run.model), images
        self._network = fastest(self._hidden, run.metrics["macs"] * count)
        self._batch_size = batch_size

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """float32 (M, D)."""
        return score(self._network, self._images.subset(rows), min(self._batch_size, len(rows)))

    def of_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """float32 (M, D) of uint8 (M, H, W, C)."""
        return np.asarray(self._hidden.predict_on_batch(pixels), np.float32)


@contextmanager
def _progress(verbose: int) -> Iterator[Callable[[int, int], None]]:
    """A bar for what takes long; what it yields is called with what is done, and of how much."""
    if not verbose or not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Embedding images")
        yield lambda done, of: bar.update(task, completed=done, total=of)


# -------------------------------------------------------------------------- codes and precisions


def _complete(index: Index, images: _Images, held_out: np.ndarray, asked: Retrieval) -> None:
    """Give the index the codes and precisions that it lacks, and write it if it lacked any."""
    labels = images.library.labels
    labelled = len(set(labels.tolist())) > 1 and NO_CLASS not in labels
    before = index.codes, index.precision, list(index.files)
    for kind in codes.CODES[1:]:
        if labelled or kind == asked.code:
            codes.make_codes(index, kind, asked.bits, asked.seed)
    index.codes = {
        kind: told for kind, told in index.codes.items() if told.get("token") == index.token
    }
    of = {"token": index.token, "bits": asked.bits, "seed": asked.seed}
    if not labelled:
        index.precision = {}
    elif {name: index.precision.get(name) for name in of} != of:
        index.precision = {**of, **_measured(index, images, held_out, asked.seed)}
    is_new = not (index.path / vectors.INDEX).exists()
    if is_new or before != (index.codes, index.precision, list(index.files)):
        index.publish()


def _measured(index: Index, images: _Images, held_out: np.ndarray, seed: int) -> dict[str, Any]:
    own = _drawn(held_out, _QUERIES, seed)
    ks = tuple(k for k in KS if k < len(index))
    most = max(ks) + 1
    found = {}
    if len(index) * np.prod(images.shape) <= MEMORY_LIMIT:
        found["pixels"] = codes.nearest_of(images.flat(own), _flat_blocks(images), most)[1]
    for kind in codes.CODES:
        found[kind] = codes.searcher(index, kind)(index.vectors[own], most)[1]
    labels = images.library.labels
    shares = {kind: codes.precision(rows, own, labels, ks) for kind, rows in found.items()}
    return {"queries": len(own), "shares": shares}


def _flat_blocks(images: _Images) -> Iterator[tuple[int, np.ndarray]]:
    step = int(max(1, _PIXELS_AT_ONCE // (4 * np.prod(images.shape))))
    for start in range(0, len(images.library), step):
        yield start, images.flat(np.arange(start, min(start + step, len(images.library))))


# ------------------------------------------------------------------------------------ what is found


class Found(NamedTuple):
    """A query and the rows of what is nearest, itself left out.

    Attributes:
        name: of the query.
        pixels: its, uint8 (H, W, C).
        own: its row where the library has it.
        rows: of the nearest, in order.
        distances: theirs.
    """

    name: str
    pixels: np.ndarray
    own: int | None
    rows: list[int]
    distances: list[float]


def _find(index: Index, queries: _Queries, embedder: _Embedder, asked: Retrieval) -> list[Found]:
    search = codes.searcher(index, asked.code)
    if queries.rows is None:
        hidden, most = embedder.of_pixels(queries.pixels), asked.top
    else:
        hidden, most = index.vectors[queries.rows], min(asked.top + 1, len(index))
    distances, rows = search(hidden, most)
    found = []
    for at, (name, pixels) in enumerate(zip(queries.names, queries.pixels, strict=True)):
        own = None if queries.rows is None else queries.rows[at]
        others = rows[at] != own if own is not None else np.ones(most, bool)
        kept, far = rows[at][others][: asked.top], distances[at][others][: asked.top]
        found.append(Found(name, pixels, own, kept.tolist(), far.tolist()))
    return found


def _answer(found: Found, library: Library) -> Answer:
    labels = [library.labels[row] for row in found.rows]
    return Answer(
        query=found.name,
        images=[library.ids[row] for row in found.rows],
        classes=["" if label == NO_CLASS else library.classes[label] for label in labels],
        distances=[float(each) for each in found.distances],
    )
