"""Weights for a built network: the package's own, from files, from keras.applications, from timm.

An importer is a module with a function `read`, which returns a `Stored`: arrays in Keras' layout by
the names of our layers. `fitting.fit` compares them with the network, adapts them if asked and
sets them: all that fits, or nothing.

    .keras, .weights.h5    keras_files
    .h5 of Keras 2         legacy_files
    .caffemodel            caffe
    .safetensors, hf://    timm
    "imagenet"             keras_applications
    "mnist", "cifar10"     packaged
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from keras_archs.registry import builder
from keras_archs.surgery.growth import shrink
from keras_archs.weights import caffe, keras_applications, keras_files, packaged, timm
from keras_archs.weights.catalog import (
    KnownWeights,
    Preprocessing,
    TrainedWeights,
    known_weights,
)
from keras_archs.weights.fitting import (
    LoadReport,
    Stored,
    UnfitWeights,
    fit,
    replaceable,
    reverse_colours,
)
from keras_archs.weights.packaged import trained_for
from keras_archs.weights.timm import HUB, RECIPE
from keras_archs.weights.timm import save as save_safetensors

__all__ = [
    "KnownWeights",
    "LoadReport",
    "Preprocessing",
    "TrainedWeights",
    "known_weights",
    "layout_of",
    "load_weights",
    "reverse_colours",
    "save_safetensors",
    "trained_for",
]

SUFFIXES = (".keras", ".h5", ".safetensors", ".caffemodel")
_PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".pkl")


def layout_of(source: Any) -> str | None:
    """The layout that the weights of this source want, where they want one."""
    if source == "imagenet":
        return "keras"
    name = str(source)
    if name.endswith(".caffemodel"):
        return "caffe"
    return "torch" if name.startswith(HUB) or name.endswith(".safetensors") else None


def load_weights(
    model: keras.Model,
    source: str | os.PathLike[str],
    layers: Collection[str] | None = None,
    *,
    adapt: bool = False,
    arch: str | None = None,
    built: Mapping[str, Any] | None = None,
) -> LoadReport:
    """Set the weights of `model` from a file or a published source, or raise and leave them.

    What is stored is matched by our layers' names. There may be more of it than the network has
    layers (a classifier where the model has none, preprocessing in front): that is reported.

    Args:
        model: a built model.
        source: path of a `.keras`, `.weights.h5`, `.h5` (of Keras 2), `.safetensors` (timm's or
            torchvision's names) or `.caffemodel` file, `"imagenet"` (those of keras.applications,
            through its own download and hash check), `"mnist"` or `"cifar10"` (the
            package's own) or `"hf://timm/NAME"`.
        layers: names of the layers whose weights are set. None: all of them.
        adapt: whether weights for another number of channels or classes, a larger `alpha` or
            another size of the image are adapted.
        arch: the network's name in the registry. None: the model's name.
        built: the arguments of the builder that differ from their defaults. None: all are these.

    Returns:
        What was loaded, adapted and left out.

    Raises:
        ValueError: another kind of source, a damaged file, one that does not fit, or values that
            are not finite.
        FileNotFoundError: there is no such file.
        ConnectionError: the source must be downloaded and cannot be.
    """
    arch, built = arch or model.name, dict(built or {})
    stored = _read(model, source, arch, built, adapt)
    try:
        return fit(model, stored, source, adapt=adapt, layers=layers)
    except UnfitWeights:
        alpha = _wider_alpha(model, stored, built) if adapt and layers is None else None
        if alpha is None:
            raise
    return _shrunk_to_fit(model, stored, source, arch, built, alpha)


def _read(
    model: keras.Model, source: Any, arch: str, built: Mapping[str, Any], adapt: bool
) -> Stored:
    check_source(source)
    if source == "imagenet":
        return keras_applications.read(arch, model.input_shape[1:], built, adapt)
    if source in packaged.NAMES:
        return packaged.read(str(source), model, arch, built, adapt)
    if str(source).startswith(HUB):
        return timm.read(source, model)
    path = Path(source)
    if path.suffix == ".safetensors":
        return timm.read(path, model)
    if path.suffix == ".caffemodel":
        return caffe.read(path, model, arch)
    return keras_files.read(path, model, arch)


def check_source(source: Any) -> None:
    """Raise unless `weights` is something that an importer reads: before a network is built.

    Raises:
        ValueError: another kind of source, or a file that does not open as what its name says.
        FileNotFoundError: there is no such file.
    """
    if str(source).endswith(_PICKLED):
        raise ValueError(
            f"`weights` must not be pickled. Where Torch is: {RECIPE}. Received: weights={source!r}"
        )
    names = ("imagenet", *packaged.NAMES)
    named = isinstance(source, str) and (source in names or source.startswith(HUB))
    path = isinstance(source, str | os.PathLike) and str(source).endswith(SUFFIXES)
    if not named and not path:
        raise ValueError(
            f"`weights` must be None, {', '.join(map(repr, names))}, '{HUB}NAME' or the path of a "
            f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file. Received: weights={source!r}"
        )
    if not named:
        _check_file(source)


def _check_file(source: str | os.PathLike[str]) -> None:
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(
            "`weights` must be the path of a file that exists. "
            f"Received: weights={os.fspath(source)!r}"
        )
    if path.suffix == ".safetensors":
        timm.check(path)
    elif path.suffix == ".caffemodel":
        caffe.layers(path)
    else:
        keras_files.check(path)


def _wider_alpha(model: keras.Model, stored: Stored, built: Mapping[str, Any]) -> float | None:
    """The width multiplier of the stored network, if it is larger than the model's.

    Where it is not known: the ratio of all widths, to a hundredth or a sixteenth, which is right if
    all shapes then fit.
    """
    pairs = [
        (layer.weights[0].shape, stored.values[layer.name][0].shape)
        for layer in model.layers
        if layer.weights and layer.name in stored.values and layer.name not in replaceable(model)
    ]
    widths = [(o[-1], t[-1]) for o, t in pairs if len(o) == len(t) == 4 and o[:2] == t[:2]]
    ours, theirs = (sum(column) for column in zip(*widths, strict=True)) if widths else (1, 1)
    ratio = built.get("alpha", 1.0) * theirs / ours
    rounded = (round(n * ratio) / n for n in (100, 16))
    alpha = stored.alpha or min(rounded, key=lambda value: abs(value - ratio))
    return alpha if theirs > ours else None


def _shrunk_to_fit(
    model: keras.Model, stored: Stored, source: Any, arch: str, built: Mapping, alpha: float
) -> LoadReport:
    """The stored weights in a network of their own width, shrunk to the model's."""
    wide = builder(arch)(**{**built, "alpha": alpha})
    report = fit(wide, stored, source, adapt=True)
    own = {name: value for name, value in built.items() if name in builder(arch).spec.own}
    narrow = shrink(wide, built.get("alpha", 1.0), arch=arch, **own)
    values = {layer.name: layer.get_weights() for layer in narrow.layers if layer.weights}
    fit(model, Stored(values), source)
    shrunk = f"alpha={alpha:g} shrunk to alpha={built.get('alpha', 1.0):g}"
    return replace(report, adapted=(*report.adapted, shrunk))
