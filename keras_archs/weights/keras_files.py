"""Weights in files that Keras wrote: `.keras` and `.h5`. No model is built from them."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from keras_archs.weights import hdf5, legacy_files
from keras_archs.weights.catalog import Preprocessing
from keras_archs.weights.fitting import Stored, UnfitWeights, is_within

_WEIGHTS, _CONFIG = "model.weights.h5", "config.json"
_EXPANSION = 20  # how many times as large as its compressed form a member may be


def read(path: Path, model: keras.Model, arch: str) -> Stored:
    """The weights of every layer with a name, wherever it stands in the file's network.

    Args:
        path: of the file.
        model: the network that they are for.
        arch: its name in the registry.

    Raises:
        ValueError: the file is damaged, or claims more than it holds.
    """
    if path.suffix == ".h5":
        with _opened(path, hdf5.opened) as file:
            if legacy_files.is_legacy(file):
                return legacy_files.read(path, model, arch)
            return Stored(_layers(file, path))
    with _opened(path, zipfile.ZipFile) as archive:
        config = json.loads(_member(archive, _CONFIG, path))
        with hdf5.opened(io.BytesIO(_member(archive, _WEIGHTS, path))) as file:
            return Stored(_layers(file, path), preprocessing=_preprocessing(config))


def check(path: Path) -> None:
    """Raise ValueError unless the file opens as what its name says."""
    with _opened(path, hdf5.opened if path.suffix == ".h5" else zipfile.ZipFile):
        pass


@contextmanager
def _opened(path: Path, reader: Callable[..., Any]) -> Iterator[Any]:
    """What `reader` makes of the file; an error in here is the file's."""
    try:
        with reader(path, "r") as file:
            yield file
    except UnfitWeights:
        raise
    except Exception as error:  # whatever a damaged or foreign file makes zipfile and h5py raise
        first_line = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UnfitWeights(path, f"the file is not readable, or damaged ({first_line})") from error


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise UnfitWeights(path, f"the archive has no {name}") from None
    if info.file_size > _EXPANSION * path.stat().st_size:
        raise UnfitWeights(
            path, f"{name} claims {info.file_size:,} bytes, more than the file can hold"
        )
    return archive.read(info)


def _layers(file: h5py.File, path: Path) -> dict[str, list[np.ndarray]]:
    """The arrays of the layers, which Keras numbers by kind; their names are beside them."""
    layers: dict[str, list[np.ndarray]] = {}
    size = path.stat().st_size * (_EXPANSION if path.suffix == ".keras" else 1)
    if "layers" not in file:
        raise UnfitWeights(path, "it holds no weights that Keras has written")
    groups: Any = file["layers"]
    for group in groups.values():
        arrays = group["vars"]
        name = arrays.attrs.get("name")
        if not isinstance(name, str):
            raise UnfitWeights(path, "it does not name its layers: an older Keras wrote it")
        if name in layers:
            raise UnfitWeights(path, f"it holds two layers `{name}`")
        for at in range(len(arrays)):
            if not is_within(arrays[str(at)], file, size):
                raise UnfitWeights(path, f"layer `{name}` claims more than the file can hold")
        layers[name] = [np.asarray(arrays[str(at)]) for at in range(len(arrays))]
    return {name: arrays for name, arrays in layers.items() if arrays}


def _preprocessing(config: Any) -> Preprocessing | None:
    """What a run's network does to its images first.

    Rescaling by channel or, in runs of version 0.1, rescaling by a number and Normalization.
    """
    options = {
        layer["name"]: layer["config"]
        for layer in config.get("config", {}).get("layers", ())
        if layer.get("name") in ("rescaling", "normalization")
    }
    try:
        scale, offset = (np.asarray(options["rescaling"][k], float) for k in ("scale", "offset"))
        mean, std = -offset / scale, 1 / scale
        if "normalization" in options:
            own = options["normalization"]
            mean = mean + np.ravel(own["mean"]).astype(float) * std
            std = np.sqrt(np.ravel(own["variance"]).astype(float)) * std
    except (KeyError, TypeError, ValueError):
        return None
    if mean.ndim != 1 or mean.shape != std.shape or not np.isfinite([mean, std]).all():
        return None
    return Preprocessing(tuple(mean.tolist()), tuple(std.tolist()))
