"""Weights in Caffe's `.caffemodel` files, read with NumPy alone.

The file is a protobuf message of the network that was trained, each layer with its blobs: both
formats of Caffe 1 (`layers` with numbers for types, `layer` with names), both kinds of shapes. The
reader trusts nothing: lengths end where the file ends, blobs are views of what is there, and what
it looks at is counted.

What Caffe does in another way, and how it is translated:

- Convolutions: (filters, channels, height, width) -> (height, width, channels, filters). Groups,
  which AlexNet has, are its two towers.
- Dense layers: (units, inputs), where the inputs of a flattened map run over channels, then rows,
  then columns; in Keras over rows, columns, channels.
- BatchNorm's blobs are sums: mean and variance are divided by the third one, the scale factor. The
  layer has no gamma and beta: a Scale layer behind it has; without one they are 1 and 0. Another
  epsilon than our layer's goes into the variance.
- A bias in front of BatchNorm where our convolution has none goes into the mean.
- Pooling rounds sides up and local response normalisation divides alpha by the size: that is
  `layout="caffe"` of the network.
- Images have blue first and less the training set's mean: that is the weights' preprocessing.

SqueezeNet, GoogLeNet, ResNet and AlexNet are matched by layer name. The others are chains, whose
files' names differ: their layers are matched in order.
"""

import math
import mmap
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_archs
from keras_archs.graph import calls
from keras_archs.weights import catalog
from keras_archs.weights.fitting import Stored, UnfitWeights

_MOST_FIELDS = 200_000  # that are looked at, of all messages together
_MOST_DIMENSIONS = 8
_LEARNABLE = ("Convolution", "InnerProduct", "BatchNorm", "Scale")
_V1_TYPES = {
    **{4: "Convolution", 14: "InnerProduct", 39: "Deconvolution"},
    **{15: "LRN", 17: "Pooling"},
}


@dataclass(frozen=True)
class Layer:
    """A layer of a file.

    Attributes:
        name: in the file.
        type: "Convolution", "InnerProduct", "BatchNorm", "Scale" or another of Caffe's.
        blobs: float32 arrays of the shapes in the file.
        epsilon: of BatchNorm.
    """

    name: str
    type: str
    blobs: tuple[np.ndarray, ...]
    epsilon: float = 1e-5


# ---------------------------------------------------------------------------- reading the file


class _Wire:
    """Fields of protobuf messages, at most `_MOST_FIELDS` of them."""

    def __init__(self, path: Path):
        self._path, self._left = path, _MOST_FIELDS

    def damaged(self, why: str) -> UnfitWeights:
        return UnfitWeights(self._path, f"the file is no readable .caffemodel: {why}")

    def varint(self, data: memoryview, at: int) -> tuple[int, int]:
        """The number that begins at `at`, and where the next field begins."""
        number = 0
        for shift in range(0, 70, 7):
            if at >= len(data):
                raise self.damaged("it is truncated")
            byte = data[at]
            number |= (byte & 0x7F) << shift
            at += 1
            if byte < 0x80:
                return number, at
        raise self.damaged("a number has more than ten bytes")

    def fields(self, data: memoryview) -> Iterator[tuple[int, Any]]:
        """Number and value of each field: an int, or bytes where it is no varint."""
        at = 0
        while at < len(data):
            self._left -= 1
            if self._left < 0:
                raise self.damaged(f"it has more than {_MOST_FIELDS:,} fields")
            key, at = self.varint(data, at)
            if key & 7 == 0:
                value, at = self.varint(data, at)
                yield key >> 3, value
                continue
            if key & 7 == 2:
                length, at = self.varint(data, at)
            elif key & 7 in (1, 5):
                length = {1: 8, 5: 4}[key & 7]
            else:
                raise self.damaged(f"a field has the wire type {key & 7}")
            if length > len(data) - at:
                raise self.damaged(f"it is truncated, or a field claims {length:,} bytes")
            yield key >> 3, data[at : at + length]
            at += length


def layers(path: Path) -> list[Layer]:
    """The layers of a file, in its order, those without blobs too.

    Raises:
        ValueError: the file is damaged, truncated, of another kind, of Caffe before 2014, or has no
            layer with blobs.
    """
    wire = _Wire(path)
    with open(path, "rb") as file:
        try:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except ValueError:
            raise wire.damaged("it is empty") from None
    found = []
    for number, value in wire.fields(data):
        if number in (2, 100):  # layers, layer
            if not isinstance(value, memoryview):
                raise wire.damaged("a layer is a number")
            found.append(_layer(wire, value, v1=number == 2))
    if not any(layer.blobs for layer in found):
        raise wire.damaged("it has no layer with weights")
    return found


def _layer(wire: _Wire, data: memoryview, v1: bool) -> Layer:
    at_name, at_type, at_blobs = (4, 5, 6) if v1 else (1, 2, 7)
    name = kind = ""
    blobs, epsilon = [], 1e-5
    for number, value in wire.fields(data):
        if v1 and number == 1:
            raise wire.damaged("its layers are those of Caffe before 2014, which Caffe can upgrade")
        if number == at_type and v1:
            kind = _V1_TYPES.get(value, f"type {value}") if isinstance(value, int) else ""
        elif isinstance(value, memoryview):
            if number == at_name:
                name = bytes(value[:200]).decode(errors="replace")
            elif number == at_type:
                kind = bytes(value[:200]).decode(errors="replace")
            elif number == at_blobs:
                blobs.append(value)
            elif number == 139 and not v1:
                options = dict(wire.fields(value))
                epsilon = _float(options.get(3), epsilon)
    return Layer(name, kind, tuple(_blob(wire, blob, name) for blob in blobs), epsilon)


def _float(value: Any, default: float) -> float:
    if not isinstance(value, memoryview) or len(value) != 4:
        return default
    return float(np.frombuffer(value, "<f4")[0])


def _blob(wire: _Wire, data: memoryview, layer: str) -> np.ndarray:
    dimensions, legacy, parts = None, {}, []
    for number, value in wire.fields(data):
        if number in (5, 8):
            size = {5: 4, 8: 8}[number]
            if not isinstance(value, memoryview) or len(value) % size:
                raise wire.damaged(f"the values of layer `{layer}` are no numbers")
            parts.append(np.frombuffer(value, f"<f{size}"))
        elif number == 7 and isinstance(value, memoryview):
            dimensions = _dimensions(wire, value)
        elif number in (1, 2, 3, 4) and isinstance(value, int):
            legacy[number] = value
    shape = tuple(legacy.get(n, 1) for n in (1, 2, 3, 4)) if dimensions is None else dimensions
    values = parts[0] if len(parts) == 1 else np.concatenate(parts or [np.empty(0)])
    if math.prod(shape) != values.size:
        raise wire.damaged(f"a blob of layer `{layer}` claims {shape}, but holds {values.size:,}")
    if 0 in shape:
        raise wire.damaged(f"a blob of layer `{layer}` is empty: {shape}")
    return values.astype(np.float32, copy=False).reshape(shape)


def _dimensions(wire: _Wire, data: memoryview) -> tuple[int, ...]:
    found = []
    for number, value in wire.fields(data):
        if number == 1 and isinstance(value, memoryview):
            at = 0
            while at < len(value) and len(found) <= _MOST_DIMENSIONS:
                size, at = wire.varint(value, at)
                found.append(size)
        elif number == 1:
            found.append(value)
    if len(found) > _MOST_DIMENSIONS:
        raise wire.damaged(f"a blob has more than {_MOST_DIMENSIONS} dimensions")
    return tuple(found)


# ------------------------------------------------------------------- from its layers to our layers


@dataclass
class _Unit:
    """A convolution or dense layer (kernel, bias), or BatchNorm with its Scale, of the file."""

    name: str
    arrays: list[np.ndarray]  # kernel as in the file and bias; or gamma, beta, mean, variance
    epsilon: float | None = None  # of BatchNorm

    @property
    def is_norm(self) -> bool:
        return self.epsilon is not None


def _units(found: list[Layer], path: Path) -> list[_Unit]:
    units: list[_Unit] = []
    before = None
    for layer in found:
        if layer.type not in _LEARNABLE:
            raise UnfitWeights(path, f"its layer `{layer.name}` is a {layer.type}")
        vectors = [np.ravel(blob) for blob in layer.blobs]
        if layer.type == "Scale":
            if before != "BatchNorm":
                raise UnfitWeights(path, f"its Scale layer `{layer.name}` follows no BatchNorm")
            gamma, *beta = vectors
            units[-1].arrays[:2] = [gamma, beta[0] if beta else np.zeros_like(gamma)]
        elif layer.type == "BatchNorm":
            if len(vectors) != 3 or vectors[2].size != 1:
                raise UnfitWeights(
                    path, f"its layer `{layer.name}` must have mean, variance, scale"
                )
            mean, variance, factor = vectors
            factor = 1 / factor[0] if factor[0] else 0.0  # Caffe's own rule for a scale of 0
            ones = np.ones_like(mean)
            arrays = [ones, 0 * ones, mean * factor, variance * factor]
            units.append(_Unit(layer.name, arrays, layer.epsilon))
        else:
            kernel, *bias = layer.blobs
            if layer.type == "InnerProduct":
                kernel = kernel.reshape(-1, kernel.shape[-1])
            bias = vectors[1] if bias else np.zeros(kernel.shape[0], np.float32)
            units.append(_Unit(layer.name, [kernel, bias]))
        before = layer.type
    return units


def _squeezenet(name: str) -> str:
    return name.replace("/", "_")


def _googlenet(name: str) -> str:
    renamed = re.sub(r"^(conv1|conv2)/\dx\d_?(s2|reduce)?$", r"\1_\2", name).replace("_s2", "")
    renamed = renamed.replace("loss3/classifier", "logits").replace("/", "_").rstrip("_")
    auxiliary = re.fullmatch(r"loss([12])_(conv|fc|classifier)", renamed)
    if auxiliary:
        ours = {"conv": "1x1_conv", "fc": "fc", "classifier": "logits"}[auxiliary[2]]
        return f"aux{auxiliary[1]}_{ours}"
    return renamed if renamed == "logits" else f"{renamed}_conv"


def _resnet(name: str) -> str:
    """res2a_branch2b -> conv2_block1_2_conv, bn3b7_branch1 -> conv3_block8_0_bn."""
    if name in ("conv1", "bn_conv1", "fc1000"):
        return {"conv1": "conv1_conv", "bn_conv1": "conv1_bn", "fc1000": "predictions"}[name]
    match = re.fullmatch(r"(res|bn)(\d)([a-z])(\d*)_branch(1|2[abc])", name)
    if not match:
        return name
    kind, stage, letter, number, branch = match.groups()
    block = int(number) + 1 if number else ord(letter) - ord("a") + 1
    op = {"1": 0, "2a": 1, "2b": 2, "2c": 3}[branch]
    return f"conv{stage}_block{block}_{op}_{'bn' if kind == 'bn' else 'conv'}"


def _alexnet(name: str) -> str:
    return "logits" if name == "fc8" else name


_NAMES: dict[str, Callable[[str], str]] = {
    "squeezenet": _squeezenet,
    "googlenet": _googlenet,
    "resnet": _resnet,
    "alexnet": _alexnet,
}
_TOWERS = re.compile(r"(conv\d)_([12])")  # AlexNet's convolutions with two groups


def read(path: Path, model: keras.Model, arch: str) -> Stored:
    """The weights of a file by the names of our layers.

    Args:
        path: of the file.
        model: the network that they are for: it says how a map is flattened, which layers
            have biases, and in which order the layers of a chain stand.
        arch: its name in the registry.

    Raises:
        ValueError: the file cannot be read, or its layers are of other kinds.
    """
    try:
        return _stored(path, model, arch)
    except UnfitWeights:
        raise
    except (ValueError, IndexError, OverflowError) as error:  # NumPy's, of shapes that are none
        why = f"the shapes of its blobs do not go together ({error})"
        raise UnfitWeights(path, why) from error


def _stored(path: Path, model: keras.Model, arch: str) -> Stored:
    found, family = layers(path), keras_archs.info(arch).family
    units = _units([layer for layer in found if layer.blobs], path)
    if family == "alexnet":
        kinds = [layer.type for layer in found if layer.type in ("LRN", "Pooling")]
        if kinds[:1] == ["Pooling"] and "LRN" in kinds:
            raise UnfitWeights(path, "it pools before it normalises, as CaffeNet does")
        units = _in_towers(units, model)
    operations = [call.operation for call in calls(model) if getattr(call.operation, "weights", ())]
    ours: dict[str, Any] = {operation.name: operation for operation in operations}
    if family in _NAMES:
        pairs = [(_NAMES[family](unit.name), unit) for unit in units]
    else:
        pairs = _in_order(units, list(ours.values()), path)
    maps = _flattened(model)
    values: dict[str, list[np.ndarray]] = {}
    for at, (name, unit) in enumerate(pairs):
        if name in ours:
            values[name] = _arrays(unit, ours[name], maps.get(name))
            behind = pairs[at + 1 : at + 2]
            if len(ours[name].weights) == 1 and behind and behind[0][1].is_norm:
                behind[0][1].arrays[2] = behind[0][1].arrays[2] - unit.arrays[1]
    unused = [unit.name for name, unit in pairs if name not in values]
    unused += [unit.name for unit in units[len(pairs) :]]
    return Stored(values, unused, catalog.preprocessing_of(path, arch))


def _in_order(units: list[_Unit], ours: list, path: Path) -> list[tuple[str, _Unit]]:
    """The layers of a chain beside those of the file, of the same kinds in the same order."""
    for layer, unit in zip(ours, units, strict=False):
        if isinstance(layer, keras.layers.BatchNormalization) != unit.is_norm:
            kind = "BatchNorm" if unit.is_norm else "a kernel"
            raise UnfitWeights(path, f"its `{unit.name}` has {kind}, where layer `{layer.name}` is")
    return [(layer.name, unit) for layer, unit in zip(ours, units, strict=False)]


def _in_towers(units: list[_Unit], model: keras.Model) -> list[_Unit]:
    """Convolutions with groups as one for each tower."""
    split: list[_Unit] = []
    towers = {match[1] for layer in model.layers if (match := _TOWERS.fullmatch(layer.name))}
    for unit in units:
        if unit.name not in towers:
            split.append(unit)
            continue
        halves = zip(*(np.array_split(array, 2) for array in unit.arrays), strict=True)
        split += [_Unit(f"{unit.name}_{i}", list(half)) for i, half in enumerate(halves, start=1)]
    return split


def _flattened(model: keras.Model) -> dict[str, tuple[int, ...]]:
    """(height, width, channels) of the map that each dense layer behind a flattening reads."""
    maps: dict[str, tuple[int, ...]] = {}
    behind: dict[int, tuple[int, ...]] = {}
    for call in calls(model):
        if isinstance(call.operation, keras.layers.Flatten):
            tensor: Any = call.inputs[0]
            found = tuple(tensor.shape[1:])
        else:
            found = next((behind[id(t)] for t in call.inputs if id(t) in behind), None)
        if found and isinstance(call.operation, keras.layers.Dense):
            maps[call.operation.name] = found
        elif found:
            behind |= {id(tensor): found for tensor in call.outputs}
    return maps


def _arrays(unit: _Unit, layer: keras.Layer, flattened: tuple[int, ...] | None):
    """The unit's arrays as this layer of ours has them."""
    if unit.epsilon is not None:
        gamma, beta, mean, variance = unit.arrays
        epsilon = getattr(layer, "epsilon", unit.epsilon)
        return [gamma, beta, mean, variance + (unit.epsilon - epsilon)]
    kernel, bias = unit.arrays
    if isinstance(layer, keras.layers.Dense):
        kernel = kernel.reshape(len(kernel), -1)
        channels = flattened[-1] if flattened else 1
        pixels, rest = divmod(kernel.shape[1], channels)
        if not rest:
            kernel = kernel.reshape(-1, channels, pixels).swapaxes(1, 2).reshape(len(kernel), -1)
        kernel = kernel.T
    elif kernel.ndim == 4:
        kernel = kernel.transpose(2, 3, 1, 0)
    return [kernel, bias][: len(layer.weights)]
