"""Weights in HDF5 files as Keras 2 wrote them: those of keras.applications, `model.save("m.h5")`
and `model.save_weights("w.h5")`. Of a saved model its weights are read and nothing else.

Layers are matched by name. Where hardly a name is known, as in networks whose layers Keras numbered
(`conv2d_17`), they are taken in order.
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from keras_archs.weights.catalog import Preprocessing, known_weights
from keras_archs.weights.fitting import Stored, UnfitWeights, is_within

_NAMES = "layer_names"
# What keras.applications calls its own files.
_PUBLISHED = re.compile(r"_(tf|weights_tf_dim_ordering_tf_kernels)(_no_?top)?\.h5$")


def is_legacy(file: h5py.File) -> bool:
    """Whether Keras 2, or Keras 3 in the format of Keras 2, wrote the file."""
    return _NAMES in _group(file).attrs or f"{_NAMES}0" in _group(file).attrs


def read(path: Path, model: keras.Model, arch: str) -> Stored:
    """The weights of every layer by the names of our layers.

    Args:
        path: of the file.
        model: the network that they are for.
        arch: its name in the registry.

    Raises:
        ValueError: the file is damaged, claims more than it holds, or Theano wrote it.
    """
    with h5py.File(path, "r") as file:
        group = _group(file)
        if group.attrs.get("backend") in ("theano", b"theano"):
            raise UnfitWeights(path, "its kernels are mirrored: Keras wrote it on Theano")
        values = _layers(file, group, path)
    ours = [layer.name for layer in model.layers if layer.weights]
    if len(values.keys() & set(ours)) < len(values) / 2:
        values = dict(zip(ours, values.values(), strict=False))
    return Stored(values, preprocessing=_preprocessing(path, arch))


def _group(file: h5py.File) -> Any:
    """Where the layers stand: a saved model has them in a group of its own."""
    return file["model_weights"] if "model_weights" in file else file


def _texts(attributes: Any, name: str) -> Iterator[str]:
    """A list of names, which is cut into pieces where it is long."""
    pieces = [name] if name in attributes else []
    numbered = (f"{name}{number}" for number in itertools.count())
    for piece in (*pieces, *itertools.takewhile(attributes.__contains__, numbered)):
        for text in np.ravel(attributes[piece]):
            yield text.decode() if isinstance(text, bytes) else str(text)


def _layers(file: h5py.File, group: Any, path: Path) -> dict[str, list[np.ndarray]]:
    """The arrays of each layer; those of a model inside the model by the names of its layers."""
    found: dict[str, list[np.ndarray]] = {}
    for layer in _texts(group.attrs, _NAMES):
        weights = list(_texts(group[layer].attrs, "weight_names"))
        owners = [weight.rpartition("/")[0].rpartition("/")[2] for weight in weights]
        is_model = len(set(owners)) > 1
        for weight, owner in zip(weights, owners, strict=True):
            array = group[layer][weight]
            if not is_within(array, file, path.stat().st_size):
                raise UnfitWeights(path, f"layer `{layer}` claims more than the file can hold")
            found.setdefault(owner if is_model else layer, []).append(np.asarray(array))
    return found


def _preprocessing(path: Path, arch: str) -> Preprocessing | None:
    """What keras.applications' own files expect of images."""
    if not _PUBLISHED.search(path.name):
        return None
    return next((k.preprocessing for k in known_weights(arch) if k.weights == "imagenet"), None)
