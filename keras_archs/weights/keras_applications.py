"""ImageNet weights of keras.applications, for the networks that have a twin there.

The twin is built with `weights="imagenet"`: Keras downloads the file, checks its hash where it has
one and keeps it in its cache (`KERAS_HOME`). The weights are then copied layer by layer: by name,
or in order where keras.applications numbers layers anew in each network.

A twin has three channels; `include_top`, `alpha` and the size are passed on where there are files
of their own for them.
"""

from collections.abc import Mapping
from typing import Any

import keras

import keras_archs
from keras_archs.registry import check_arch
from keras_archs.weights.catalog import known_weights
from keras_archs.weights.fitting import Stored

_ALPHAS = {  # of which there are files
    "mobilenet": (0.25, 0.5, 0.75, 1.0),
    "mobilenetv2": (0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
}
_SIDES = {"mobilenet": (128, 160, 192, 224), "mobilenetv2": (96, 128, 160, 192, 224)}
_CLASSES = 1000
_NUMBERED = ("inceptionv3", "inceptionresnetv2")  # whose layers are copied in order


def _known(arch: str):
    return next((known for known in known_weights(arch) if known.weights == "imagenet"), None)


def read(arch: str, input_shape: tuple, built: Mapping[str, Any], adapt: bool = False) -> Stored:
    """The twin's weights by the names of our layers.

    Args:
        arch: the registry's name.
        input_shape: (height, width, channels) of the network they are for.
        built: the arguments of the builder that differ from their defaults.
        adapt: whether weights for other channels, classes or widths are adapted.

    Raises:
        ValueError: there is no twin, it has another layout, or weights of another shape.
        ConnectionError: Keras could not get the file, neither from its cache nor from the network.
    """
    known = _known(arch)
    if known is None:
        twins = [n for n in keras_archs.list_archs() if _known(n)]
        raise ValueError(
            "`weights` must not be 'imagenet' but for those that keras.applications has: "
            f"{', '.join(twins)}. Received: weights='imagenet', arch={arch!r}"
        )
    if built.get("layout", "keras") != "keras":
        raise ValueError(
            f"`layout` must be 'keras' for weights='imagenet'. Received: layout={built['layout']!r}"
        )
    top = bool(built.get("include_top", True)) and built.get("features") is None
    if not adapt:
        _check_shapes(arch, input_shape, top, built)
    twin = _twin(arch, input_shape, top, built.get("alpha", 1.0))
    theirs = [layer for layer in twin.layers if layer.weights]
    names = [layer.name for layer in theirs]
    if arch in _NUMBERED:
        ours = keras_archs.build(arch, include_top=top)
        names = [layer.name for layer in ours.layers if layer.weights]
    values = {n: layer.get_weights() for n, layer in zip(names, theirs, strict=True)}
    return Stored(values, preprocessing=known.preprocessing)


def _check_shapes(arch: str, input_shape: tuple, top: bool, built: Mapping[str, Any]) -> None:
    """Raise ValueError for what the files are not made for, before one is downloaded."""
    classes, alpha = built.get("classes"), built.get("alpha", 1.0)
    alphas = _ALPHAS.get(arch, (1.0,))
    for wrong, wanted, received in (
        (top and classes not in (None, _CLASSES), f"{_CLASSES} classes", f"classes={classes}"),
        (input_shape[-1] != 3, "3 channels", f"input_shape={input_shape}"),
        (alpha not in alphas, f"alpha in {', '.join(map(str, alphas))}", f"alpha={alpha}"),
    ):
        if wrong:
            raise ValueError(
                f"`weights` 'imagenet' are for {wanted}: `adapt=True` adapts them. "
                f"Received: {received}, arch={arch!r}"
            )


def _twin(arch: str, input_shape: tuple, top: bool, alpha: float) -> keras.Model:
    """keras.applications' network with its weights."""
    options: dict[str, Any] = {"include_top": top, "weights": "imagenet"}
    if arch in _ALPHAS:
        options["alpha"] = min((a for a in _ALPHAS[arch] if a >= alpha), default=_ALPHAS[arch][-1])
        side = input_shape[0] if input_shape[0] == input_shape[1] else None
        side = side if side in _SIDES[arch] else _SIDES[arch][-1]
        options["input_shape"] = (side, side, 3)
    try:
        return getattr(keras.applications, check_arch(arch))(**options)
    except Exception as error:  # Keras raises a plain one where the download fails
        first_line = str(error).strip().partition("\n")[0]
        raise ConnectionError(
            "`weights` 'imagenet' must be in Keras' cache, or be downloaded, which failed: "
            f"{first_line}. Received: weights='imagenet', arch={arch!r}"
        ) from error
