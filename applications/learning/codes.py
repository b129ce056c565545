"""Short codes of vectors, and the search for the nearest: by Euclidean distance or by bits.

An autoencoder compresses the vectors, as Krizhevsky, Sutskever & Hinton 2012, section 6.1, propose:
to a few real numbers ("compressed"), or to bits ("binary"). Those come from logistic units that are
rounded in the forward pass and not in the backward pass, as in Krizhevsky & Hinton 2011, "Using
very deep autoencoders for content-based image retrieval", section 2.2; here with one hidden layer
on each side and without pretraining.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from applications.files import naming_file
from applications.learning.vectors import WHOLE, Index
from applications.runs import load_network

CODES = ("raw", "compressed", "binary")
STEPS = 1000  # of the training of an autoencoder
_BATCH = 256
_RATE = 1e-3
_MOST_SAMPLES, _MOST_BYTES = 50_000, 2**28  # of the vectors that it learns from
_ROWS_BYTES = 2**26  # of vectors that are searched, or encoded, at a time
_WIDER = 4  # times the code: the hidden layers


def load_faiss() -> Any:
    """faiss.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import faiss
    except ModuleNotFoundError:
        raise ValueError(
            "`retrieve` needs a library that searches, for example by pip install "
            "'keras-archs[retrieve]'. Received: no faiss"
        ) from None
    return faiss


# ----------------------------------------------------------------------------------- autoencoders


def encoder_of(vectors: np.ndarray, bits: int, kind: str, seed: int) -> keras.Model:
    """A network that was trained to compress these vectors.

    Args:
        vectors: float32 (N, D), of which it sees at most 50,000, and 256 MiB.
        bits: numbers in a code.
        kind: "compressed", real numbers, or "binary", numbers in 0..1 that stand for bits.
        seed: of its weights, its sample and its batches.

    Returns:
        float32 (B, D) -> (B, bits).
    """
    random = np.random.default_rng(seed)
    count, width = vectors.shape
    most = min(count, _MOST_SAMPLES, max(1, _MOST_BYTES // (4 * width)))
    sample = vectors[np.sort(random.choice(count, most, replace=False))]
    mean = sample.mean(axis=0)
    scale = float(1 / max(np.sqrt(((sample - mean) ** 2).mean()), 1e-6))

    def dense(units: int, at: int, activation: str | None = None, name: str | None = None) -> Any:
        drawn: Any = keras.initializers.GlorotUniform(seed=seed + at)
        return layers.Dense(units, activation, kernel_initializer=drawn, name=name)

    inputs = keras.Input((width,))
    scaled = layers.Rescaling(scale, (-scale * mean).tolist(), name="scaled")(inputs)
    x = dense(_WIDER * bits, 0, "relu", "hidden")(scaled)
    code: Any = dense(bits, 1, "sigmoid" if kind == "binary" else None, "code")(x)
    encoder = keras.Model(inputs, code, name=f"encoder_{kind}")
    if kind == "binary":
        code = code + ops.stop_gradient(ops.round(code) - code)
    x = dense(_WIDER * bits, 2, "relu")(code)
    trained = keras.Model(inputs, ops.subtract(dense(width, 3)(x), scaled))
    rate: Any = keras.optimizers.schedules.CosineDecay(_RATE, STEPS)
    trained.compile(keras.optimizers.Adam(rate), loss=_mean_square)
    nothing = np.zeros((_BATCH, 1), np.float32)
    quiet: Any = 0

    def batches():
        while True:
            yield sample[random.integers(0, most, _BATCH)], nothing

    trained.fit(batches(), steps_per_epoch=STEPS, shuffle=False, verbose=quiet)
    return encoder


def _mean_square(_: Any, difference: Any) -> Any:
    return ops.mean(ops.square(difference), axis=-1)


def encoded(encoder: keras.Model, kind: str, vectors: np.ndarray) -> np.ndarray:
    """Codes: float32 (N, bits), or of kind "binary" uint8 (N, bits / 8)."""
    step = max(1, min(8192, _ROWS_BYTES // (4 * vectors.shape[1])))
    parts = []
    for start in range(0, len(vectors), step):
        rows = np.arange(start, start + step) % len(vectors)  # one shape is compiled
        parts.append(np.asarray(ops.convert_to_numpy(encoder.predict_on_batch(vectors[rows]))))
    codes = np.concatenate(parts)[: len(vectors)].astype(np.float32)
    return np.packbits(codes > 0.5, axis=1) if kind == "binary" else codes


def make_codes(index: Index, kind: str, bits: int, seed: int) -> None:
    """Give an index the codes of its vectors, unless it has them.

    An autoencoder that the index has is kept until there are twice as many images as it was
    trained on.
    """
    faiss, told = load_faiss(), index.codes.get(kind, {})
    same = (told.get("bits"), told.get("seed")) == (bits, seed)
    if same and told.get("token") == index.token:
        return
    if same and len(index) <= 2 * told["images"]:
        encoder = _encoder(index, kind)
    else:
        encoder = encoder_of(index.vectors, bits, kind, seed)
        name = f"encoder-{kind}-{bits}-{seed}-{index.token}.keras"
        index.add(name, encoder.save)
        told = {"bits": bits, "seed": seed, "images": len(index), "encoder": name}
    codes = encoded(encoder, kind, index.vectors)
    made = faiss.IndexBinaryFlat(bits) if kind == "binary" else faiss.IndexFlatL2(bits)
    made.add(codes)
    write = faiss.write_index_binary if kind == "binary" else faiss.write_index
    name = f"codes-{kind}-{bits}-{seed}-{index.token}.faiss"
    index.add(name, lambda partial: write(made, str(partial)))
    index.codes = {**index.codes, kind: {**told, "token": index.token, "file": name}}


def _encoder(index: Index, kind: str) -> keras.Model:
    told = index.codes[kind]
    path = index.path / told["encoder"]
    network = load_network(path)
    shapes = network.input_shape, network.output_shape
    with naming_file(path, WHOLE):
        if shapes != ((None, index.vectors.shape[1]), (None, told["bits"])):
            raise ValueError(f"it maps {shapes[0]} to {shapes[1]}")
    return network


# --------------------------------------------------------------------------------------- searching


def searcher(index: Index, kind: str) -> Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]:
    """The search among an index's images for the nearest.

    Returns:
        A function of vectors, float32 (Q, D), and how many images are wanted of each: distances,
        Euclidean, between codes if the kind is "compressed", or in bits if it is "binary", float64
        (Q, k), in order, and the images' rows (Q, k).
    """
    if kind == "raw":
        return lambda queries, k: nearest(queries, index.vectors, k)
    faiss, told = load_faiss(), index.codes[kind]
    path, encoder = index.path / told["file"], _encoder(index, kind)
    with naming_file(path, WHOLE):
        if kind == "binary":
            read = faiss.read_index_binary(str(path))
        else:
            read = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        kinds = {"binary": faiss.IndexBinaryFlat, "compressed": faiss.IndexFlatL2}
        if not isinstance(read, kinds[kind]) or (read.d, read.ntotal) != (told["bits"], len(index)):
            raise ValueError(f"it is {type(read).__name__} of {read.ntotal} x {read.d}")

    def search(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        found, rows = read.search(encoded(encoder, kind, queries), k)
        return _sorted(found if kind == "binary" else _root(found), rows)

    return search


def nearest(queries: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest vectors by Euclidean distance, read from memory or disk a block at a time.

    However many there are, no more than 64 MiB of them are looked at at a time, by faiss' exact
    search, and none is copied.

    Args:
        queries: float32 (Q, D).
        vectors: float32 (N, D), such as `Index.vectors`.
        k: how many, at most N.

    Returns:
        Distances float64 (Q, k) in order, and rows (Q, k).
    """
    step = max(1, _ROWS_BYTES // (4 * vectors.shape[1]))
    starts = range(0, len(vectors), step)
    return nearest_of(queries, ((at, vectors[at : at + step]) for at in starts), k)


def nearest_of(queries: np.ndarray, blocks: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
    """As `nearest`, of blocks `(row of the first, vectors)`."""
    faiss = load_faiss()
    queries = np.ascontiguousarray(queries, np.float32)
    best = np.empty((len(queries), 0))
    rows = np.empty((len(queries), 0), np.int64)
    for at, block in blocks:
        found, within = faiss.knn(queries, block, min(k, len(block)))
        best = np.concatenate([best, found], axis=1)
        rows = np.concatenate([rows, within + at], axis=1)
        best, rows = (each[:, :k] for each in _sorted(best, rows))
    return _root(best), rows


def _root(squares: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(squares, 0, dtype=np.float64))


def _sorted(distances: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest first; of equals the earlier row."""
    order = np.lexsort((rows, distances), axis=-1)
    return np.take_along_axis(distances, order, -1), np.take_along_axis(rows, order, -1)


def precision(rows: np.ndarray, own: np.ndarray, labels: np.ndarray, ks: tuple[int, ...]) -> dict:
    """The share of images of the same class among the nearest k, itself left out.

    Args:
        rows: of the nearest images of each query (Q, at least max(ks) + 1).
        own: rows of the queries themselves, (Q,).
        labels: of all images, (N,).
        ks: how many of the nearest count.

    Returns:
        The mean over the queries under each k, as text for JSON.
    """
    others = np.argsort(rows == own[:, None], axis=1, kind="stable")  # itself goes last
    others = np.take_along_axis(rows, others, 1)[:, : rows.shape[1] - 1]
    right = labels[others] == labels[own][:, None]
    return {str(k): float(right[:, :k].mean()) for k in ks}
