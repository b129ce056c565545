"""Trained networks that are files of this package: `weights="mnist"` and `"cifar10"`.

They are compressed networks (`.kac`) in the folder `trained/`, whose `table.json` has the facts of
each. Nothing is downloaded; what is read is compared with the table's SHA-256 first.

Their preprocessing is a layer of the network that the builder makes, `rescaling` behind the input,
so that images are given as they are, with pixels of 0 to 255. That differs from all other weights,
whose builders leave it to the caller, and from `load_weights`, which changes no graph.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import keras

from keras_archs.weights.catalog import CATALOG, TrainedWeights
from keras_archs.weights.compressed import load_compressed
from keras_archs.weights.fitting import Stored, UnfitWeights

_ALL = tuple(known for known in CATALOG if isinstance(known, TrainedWeights))
NAMES = tuple(sorted({known.weights for known in _ALL}))


def trained_for(arch: str, source: Any, alpha: float) -> TrainedWeights | None:
    """What the package has for an architecture: of this width, the next larger or the largest.

    Args:
        arch: the registry's name.
        source: as `weights`.
        alpha: width multiplier, > 0.

    Returns:
        None where `source` is none of the package's names.

    Raises:
        ValueError: it is one, and this architecture has none.
    """
    return _chosen(arch, source, alpha) if source in NAMES else None


def _chosen(arch: str, source: str, alpha: float) -> TrainedWeights:
    there = sorted(_of(arch, source), key=_alpha)
    if not there:
        archs = sorted({known.arch for known in _ALL if known.weights == source})
        raise ValueError(
            f"`weights` must not be {source!r} but for those that the package has: "
            f"{', '.join(archs)}. Received: weights={source!r}, arch={arch!r}"
        )
    return next((known for known in there if _alpha(known) >= alpha), there[-1])


def read(
    source: str, model: keras.Model, arch: str, built: Mapping[str, Any], adapt: bool
) -> Stored:
    """The weights by the names of our layers.

    Args:
        source: one of `NAMES`.
        model: the network that they are for.
        arch: its name in the registry.
        built: the arguments of the builder that differ from their defaults.
        adapt: whether weights for other channels, classes, sizes or widths are adapted.

    Raises:
        ValueError: there are none for this architecture, they are for other arguments or, adapted,
            for a narrower network, or the file is not the one that was packaged.
    """
    known = _chosen(arch, source, built.get("alpha", 1.0))
    _check_arguments(known, model.input_shape[1:], built, adapt)
    try:
        data = known.path.read_bytes()
    except OSError as error:
        raise UnfitWeights(source, f"the package's {known.file} cannot be read ({error})") from None
    if hashlib.sha256(data).hexdigest() != known.sha256:
        raise UnfitWeights(
            source,
            f"the package's {known.file} is damaged, its SHA-256 is not {known.sha256}: install "
            "the package again",
        )
    network = load_compressed(known.path)
    values = {layer.name: layer.get_weights() for layer in network.layers if layer.weights}
    return Stored(values, preprocessing=known.preprocessing, alpha=_alpha(known))


def _of(arch: str, source: str) -> list[TrainedWeights]:
    return [known for known in _ALL if (known.arch, known.weights) == (arch, source)]


def _alpha(known: TrainedWeights) -> float:
    return known.kwargs.get("alpha", 1.0)


def _check_arguments(
    known: TrainedWeights, shape: tuple, built: Mapping[str, Any], adapt: bool
) -> None:
    """Raise one ValueError that names all arguments that the weights are not made for."""
    alpha, classes = built.get("alpha", 1.0), built.get("classes", len(known.labels))
    top = built.get("include_top", True) and built.get("features") is None
    alphas = sorted(_alpha(each) for each in _of(known.arch, known.weights))
    narrower = alpha <= alphas[-1]
    wrong = [
        (wanted, received)
        for holds, wanted, received in (
            (
                alpha in alphas or (adapt and narrower),
                f"alpha={' or '.join(map(str, alphas))}",
                f"alpha={alpha!r}",
            ),
            (
                classes in (None, len(known.labels)) or not top or adapt,
                f"{len(known.labels)} classes",
                f"classes={classes!r}",
            ),
            (
                tuple(shape) == known.input_shape or adapt,
                f"images of {'x'.join(map(str, known.input_shape))}",
                f"input_shape={tuple(shape)}",
            ),
        )
        if not holds
    ]
    if wrong:
        wanted, received = (", ".join(column) for column in zip(*wrong, strict=True))
        way = "`adapt=True` adapts them" if narrower else "`keras_archs.grow` makes a network wider"
        raise ValueError(
            f"`weights` {known.weights!r} of {known.arch} are for {wanted}: {way}. "
            f"Received: {received}"
        )
