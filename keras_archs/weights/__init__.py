"""Weights for a built model, from files."""

import os
import zipfile
from collections.abc import Collection
from pathlib import Path

import h5py
import keras
import numpy as np

SUFFIXES = (".keras", ".weights.h5")


def load_weights(
    model: keras.Model, source: str | os.PathLike, layers: Collection[str] | None = None
):
    """Set the weights of `model` from a file.

    A `.keras` file is matched by layer name: it may hold more layers than the model (a classifier
    where the model has none, preprocessing in front), which are left alone. A `.weights.h5` file
    must be of a model with the same layers in the same order: Keras matches it by position.

    Args:
        model: a built model.
        source: path of a `.keras` or `.weights.h5` file.
        layers: names of the layers whose weights are set, from a `.keras` file. None: all of them.

    Raises:
        ValueError: another kind of source, a damaged file, or one whose layers or shapes differ.
        FileNotFoundError: there is no such file.
    """
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    suffixes = SUFFIXES if layers is None else SUFFIXES[:1]
    if path is None or not path.name.endswith(suffixes):
        raise ValueError(
            f"`weights` must be None or the path of a {' or '.join(suffixes)} file. "
            f"Received: weights={source!r}"
        )
    if not path.is_file():
        raise FileNotFoundError(
            f"`weights` must be the path of a file that exists. Received: weights={str(source)!r}"
        )
    if path.suffix == ".keras":
        _copy_by_name(model, path, layers)
    else:
        _load_by_position(model, path)


def _unfit(path: Path, why: str) -> ValueError:
    return ValueError(f"`weights` must fit the network: {why}. Received: weights={str(path)!r}")


def _copy_by_name(model: keras.Model, path: Path, layers: Collection[str] | None):
    if not zipfile.is_zipfile(path):
        raise _unfit(path, "the file is not a .keras archive")
    try:
        saved = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever a damaged or foreign file makes Keras raise
        first_line = str(error).strip().partition("\n")[0]
        raise _unfit(path, f"Keras cannot load the file ({first_line})") from error
    if not isinstance(saved, keras.Model):
        raise _unfit(path, f"the file holds a {type(saved).__name__}, not a model")
    sources = {layer.name: layer for layer in saved.layers}
    values = []
    for layer in model.layers if layers is None else map(model.get_layer, layers):
        if not layer.weights:
            continue
        if layer.name not in sources:
            raise _unfit(path, f"it has no layer `{layer.name}`")
        wanted = [tuple(w.shape) for w in layer.weights]
        found = [tuple(w.shape) for w in sources[layer.name].weights]
        if wanted != found:
            raise _unfit(path, f"layer `{layer.name}` has weights {found} there and {wanted} here")
        values.append((layer, sources[layer.name].get_weights()))
    for layer, weights in values:
        layer.set_weights(weights)


def _load_by_position(model: keras.Model, path: Path):
    stored: list[h5py.Dataset] = []
    try:
        with h5py.File(path, "r") as file:
            file.visititems(lambda _, item: stored.append(item.size) if _is_weight(item) else None)
        if len(stored) != len(model.weights):
            raise _unfit(path, f"it holds {len(stored)} weights, the network {len(model.weights)}")
        model.load_weights(path)
    except OSError as error:
        raise _unfit(path, "the file is not a readable HDF5 file") from error
    except ValueError as error:
        if str(error).startswith("`weights` must"):
            raise
        first_line = str(error).strip().partition("\n")[0]
        raise _unfit(path, first_line) from error


def _is_weight(item) -> bool:
    """Whether an HDF5 item is a weight rather than a seed generator's state."""
    return isinstance(item, h5py.Dataset) and np.issubdtype(item.dtype, np.floating)
