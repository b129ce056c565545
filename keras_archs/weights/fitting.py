"""From what an importer read to the weights of a network: all of it fits, or nothing is set."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import h5py
import keras
import numpy as np

from keras_archs.graph import calls
from keras_archs.surgery.adapting import channels_adapted
from keras_archs.weights.catalog import Preprocessing

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stored:
    """What an importer hands on.

    Attributes:
        values: the arrays of each layer, as `layer.get_weights()` has them, by the layer's name in
            our network. They may have other shapes, and there may be more layers.
        unused: what else the source holds, by its own names.
        preprocessing: what the weights expect of images, where it is known.
        alpha: the stored network's width multiplier, where it is known.
    """

    values: Mapping[str, Sequence[np.ndarray]]
    unused: Sequence[str] = ()
    preprocessing: Preprocessing | None = None
    alpha: float | None = None


def is_within(array: Any, file: h5py.File, size: int) -> bool:
    """Whether the values lie in the file itself: no link, no virtual or external storage."""
    return (
        isinstance(array, h5py.Dataset)
        and array.file.id == file.id
        and not array.is_virtual
        and not array.external
        and array.size * array.dtype.itemsize <= size
    )


@dataclass(frozen=True)
class LoadReport:
    """What became of the weights of a source.

    Attributes:
        source: as it was given.
        loaded: names of the layers that have their weights from it.
        fresh: layers that keep the weights that they had: the source has none that fit.
        unused: what the source holds and the network has no layer for.
        adapted: what was changed on the way, in words.
        preprocessing: what the weights expect of images, where it is known.
        inside: whether the network itself does that: it takes pixels of 0 to 255.
    """

    source: str
    loaded: tuple[str, ...]
    fresh: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    adapted: tuple[str, ...] = field(default=())
    preprocessing: Preprocessing | None = None
    inside: bool = False

    def __str__(self) -> str:
        lines = [f"{self.source}: {len(self.loaded)} layers have their weights from it"]
        lines += self.adapted
        if self.fresh:
            lines.append(f"not from it, as they were: {_shortened(self.fresh)}")
        if self.unused:
            lines.append(f"not used of it: {_shortened(self.unused)}")
        if self.preprocessing:
            lines.append(f"{'inside:' if self.inside else 'expects'} {self.preprocessing}")
        return "\n".join(lines)


def _shortened(names: Sequence[str], most: int = 8) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


class UnfitWeights(ValueError):
    """The error of every importer: why the weights of a source cannot be used."""

    def __init__(self, source, why: str):
        super().__init__(
            f"`weights` must fit the network: {' '.join(why.split())}. "
            f"Received: weights={str(source)!r}"
        )


def fit(
    model: keras.Model,
    stored: Stored,
    source,
    *,
    adapt: bool = False,
    layers: Collection[str] | None = None,
) -> LoadReport:
    """Set the weights of `model`, or raise and leave them as they are.

    With `adapt` the first convolution takes another number of channels, and classifiers and what
    stands behind a flattened map may stay as they are.

    Args:
        model: a built model.
        stored: what an importer read.
        source: what errors and the report name.
        adapt: whether weights of other shapes are adapted.
        layers: names of the layers to set. None: all.

    Raises:
        ValueError: a layer is missing or has other shapes, or a value is not finite.
    """
    chosen = [x for x in model.layers if x.weights and (layers is None or x.name in layers)]
    entries, allowed = _entries(model), replaceable(model)
    values, fresh, adapted = {}, set(), []
    for layer in chosen:
        wanted = [tuple(weight.shape) for weight in layer.weights]
        found = stored.values.get(layer.name, [])
        there = [tuple(array.shape) for array in found]
        if there == wanted:
            values[layer.name] = found
            continue
        why = f"it has no layer `{layer.name}`"
        if found:
            why = f"layer `{layer.name}` has weights {there} there and {wanted} here"
        channels_alone = layer.name in entries and _other_channels(there, wanted)
        if not channels_alone and layer.name not in allowed:
            raise UnfitWeights(source, why)
        if not adapt:
            raise UnfitWeights(source, f"{why}; adapt=True adapts classes, channels and size")
        if channels_alone:
            values[layer.name] = _with_channels(found, wanted[0][-2])
            change = f"from {there[0][-2]} to {wanted[0][-2]} input channels"
            adapted.append(f"`{layer.name}` {change}")
        else:
            fresh |= allowed[layer.name]
    fresh &= {layer.name for layer in chosen}
    values = {name: found for name, found in values.items() if name not in fresh}
    if not values:
        raise UnfitWeights(source, "no layer of it fits")
    for name, found in values.items():
        if not all(_is_finite(array) for array in found):
            raise UnfitWeights(source, f"layer `{name}` has values that are not finite")
    for name, found in values.items():
        model.get_layer(name).set_weights(found)
    known = {layer.name for layer in model.layers}
    preprocessing = stored.preprocessing
    report = LoadReport(
        source=str(source),
        loaded=tuple(values),
        fresh=tuple(layer.name for layer in chosen if layer.name in fresh),
        unused=(*(name for name in stored.values if name not in known), *stored.unused),
        adapted=tuple(adapted),
        preprocessing=preprocessing and preprocessing.for_channels(model.input_shape[-1]),
    )
    logger.info("%s", report)
    return report


def _is_finite(array: np.ndarray) -> bool:
    """Whether all values are finite numbers: a file may hold texts and records, too."""
    try:
        return bool(np.isfinite(array).all())
    except TypeError:
        return False


def _other_channels(there: list[tuple], wanted: list[tuple]) -> bool:
    """Whether the shapes differ in the input channels of a convolution's kernel alone."""
    kernels = [there[0], wanted[0]] if there else []
    return (
        len(kernels) == 2
        and there[1:] == wanted[1:]
        and all(len(kernel) == 4 for kernel in kernels)
        and kernels[0][:2] == kernels[1][:2]
        and kernels[0][3] == kernels[1][3]
    )


def _with_channels(found: Sequence[np.ndarray], channels: int) -> Sequence[np.ndarray]:
    return [channels_adapted(found[0], channels), *found[1:]]


def reverse_colours(model: keras.Model) -> None:
    """Make a network that reads blue first one that reads red first, or the other way round."""
    for name in _entries(model):
        layer = model.get_layer(name)
        kernel, *rest = layer.get_weights()
        layer.set_weights([kernel[..., ::-1, :], *rest])


# ------------------------------------------------------------------------- where in the graph it is


def _has_kernel(operation) -> bool:
    return any(len(weight.shape) > 1 for weight in getattr(operation, "weights", ()))


def _entries(model: keras.Model) -> set[str]:
    """Layers with kernels that read the images, with none before them."""
    entries, before = set(), {id(tensor) for tensor in model.inputs}
    for call in calls(model):
        if all(id(tensor) in before for tensor in call.inputs):
            if _has_kernel(call.operation):
                entries.add(call.operation.name)
            else:
                before |= {id(tensor) for tensor in call.outputs}
    return entries


def replaceable(model: keras.Model) -> dict[str, set[str]]:
    """The layers that may stay fresh, each with all that stands behind it.

    They are what follows a flattened map, and each last layer with a kernel and what follows it.
    """
    behind: dict[int, set[str]] = {}  # by the id of a tensor: names of all layers that it reaches
    last, flattened = {}, set()
    for call in reversed(calls(model)):
        reached = set().union(*(behind.get(id(tensor), set()) for tensor in call.outputs))
        name = call.operation.name
        if isinstance(call.operation, keras.layers.Flatten):
            flattened |= reached
        if _has_kernel(call.operation) and not any(
            _has_kernel(model.get_layer(n)) for n in reached
        ):
            flattened |= {name, *reached}
        reached = {name, *reached} if isinstance(call.operation, keras.Layer) else reached
        last[name] = reached
        for tensor in call.inputs:
            behind[id(tensor)] = behind.get(id(tensor), set()) | reached
    return {name: last[name] for name in flattened}
