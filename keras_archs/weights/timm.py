"""Checkpoints of timm and torchvision: safetensors in, safetensors out, Torch not needed.

A tensor there is called after the module that holds it, here it belongs to a named layer;
`torch_names` says which is which. What a model is need not be said: the names that fit all of its
layers, and most of a file, are taken. Layouts, theirs and ours:

    convolution           (O, I, H, W)    (H, W, I, O)
    depthwise             (C, 1, H, W)    (H, W, C, 1)
    dense                 (O, I)          (I, O)
    dense after flatten   (O, C*H*W)      (H*W*C, O)

timm keeps the dense layers of VGG as convolutions, and MobileNet's classifier, here a 1x1
convolution, is dense there. BatchNorm's count of batches is not used, and written as 0.
"""

import contextlib
import json
import math
import os
import re
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_archs.weights.catalog import Preprocessing
from keras_archs.weights.fitting import Stored, UnfitWeights
from keras_archs.weights.torch_names import NAMES, module_of

HUB = "hf://timm/"
SUFFIX = ".safetensors"
RECIPE = (
    "state = torch.load('FILE', map_location='cpu', weights_only=True); "
    "state = {name: tensor.contiguous() for name, tensor in state.items()}; "
    "safetensors.torch.save_file(state, 'FILE.safetensors')"
)
_PICKLES = (b"PK\x03\x04", b"\x80")  # how torch.save's files begin
_FLOATS = {"F16", "BF16", "F32", "F64"}
_PARAMETERS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_PATIENCE = 4.0  # seconds until a hub that does not answer is called unreachable
_COUNT = "num_batches_tracked"
_CONVOLUTIONS_THERE = {"pre_logits.fc1", "pre_logits.fc2"}  # dense here
_DENSE_THERE = {"classifier"}  # where it is a convolution here
_AUXILIARY = {"aux1", "aux2", "AuxLogits"}
_HEADS = {"fc", "classifier", "classif", "last_linear", "head", "pre_logits", *_AUXILIARY}
_OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)")  # of torchvision's first DenseNets
_MOST_BYTES = 1 << 30  # of a file, or 16 times the network's in float32


# ------------------------------------------------------------------------------------------- names


def _modules(model: keras.Model) -> Iterator[tuple[str, dict[str, str]]]:
    """For each of the names that fit the model: whose they are, and its modules by layer."""
    weighted = [layer.name for layer in model.layers if layer.weights]
    for library, rules in NAMES:
        rules = rules(model) if callable(rules) else rules
        modules = {name: module_of(name, rules) for name in weighted}
        if None not in modules.values():
            yield library, {name: str(module) for name, module in modules.items()}


def _tensors(layer: keras.Layer, module: str) -> dict[str, Any]:
    """The variables of a layer by their names there, in the order of `layer.weights`."""
    return {f"{module}.{_PARAMETERS[w.name]}": w for w in layer.weights}


def _first(name: str) -> str:
    return name.partition(".")[0]


def _stage(name: str) -> str:
    """`layer1`, `features.3`, `blocks.2`: what a network cut short has whole or not at all."""
    found = re.match(r"(?:features|blocks)\.[^.]+|[^.]+", name)
    return found[0] if found else name


# ----------------------------------------------------------------------------------------- layouts


def _input(layer: Any) -> tuple[Any, tuple[int, ...]]:
    """The layer that a layer reads, and the shape of what it reads."""
    return layer.input._keras_history.operation, tuple(layer.input.shape[1:])


def _as_convolution(layer: keras.Layer, kernel) -> tuple[int, ...]:
    """The shape of a kernel; a dense layer's as if it were a convolution over the whole map."""
    if not isinstance(layer, layers.Dense):
        return tuple(kernel.shape)
    before, shape = _input(layer)
    while isinstance(before, layers.Dropout):
        before, shape = _input(before)
    read = _input(before)[1] if isinstance(before, layers.Flatten) else (1, 1, *shape)
    return (*read, layer.units)


def _axes(layer: keras.Layer) -> tuple[int, ...]:
    """From a kernel's axes here to those there."""
    return (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (3, 2, 0, 1)


def _shape_there(layer: keras.Layer, module: str, weight) -> tuple[int, ...]:
    if weight.name != "kernel":
        return tuple(weight.shape)
    here = _as_convolution(layer, weight)
    shape = tuple(here[axis] for axis in _axes(layer))
    dense = isinstance(layer, layers.Dense) and module not in _CONVOLUTIONS_THERE
    return (shape[0], math.prod(shape[1:])) if dense or module in _DENSE_THERE else shape


def _to_there(layer: keras.Layer, module: str, weight) -> np.ndarray:
    value = np.asarray(keras.ops.convert_to_numpy(weight))
    if weight.name == "kernel":
        value = value.reshape(_as_convolution(layer, weight)).transpose(_axes(layer))
        value = value.reshape(_shape_there(layer, module, weight))
    return np.ascontiguousarray(value)


def _to_here(layer: keras.Layer, weight, value: np.ndarray) -> np.ndarray:
    """The array in our layout. Its outputs and inputs may be others than the layer's."""
    if weight.name != "kernel":
        return value
    if value.ndim == 2:  # a dense layer there
        outputs, inputs = value.shape
        sides = _as_convolution(layer, weight)[:2]
        sides = (1, 1) if inputs % math.prod(sides) else sides  # behind a map of another size
        value = value.reshape(outputs, -1, *sides)
    value = value.transpose(np.argsort(_axes(layer)))
    if isinstance(layer, layers.Dense):
        value = value.reshape(-1, value.shape[-1])
    return np.ascontiguousarray(value)


# ----------------------------------------------------------------------------------------- reading


def read(source: str | os.PathLike[str], model: keras.Model) -> Stored:
    """The weights that a checkpoint has for the layers of `model`.

    Auxiliary classifiers, and what stands behind the end of the model, may be left over. The
    classifier's shape may differ; that it fits is checked by who takes it.

    Args:
        source: path of a `.safetensors` file with timm's or torchvision's names, or
            "hf://timm/NAME", which is downloaded once through huggingface_hub.
        model: a network of ours, built with the "torch" conventions of its family.

    Raises:
        ValueError: the file is damaged, pickled or of another network.
        ConnectionError: it cannot be downloaded.
    """
    candidates = [modules for _, modules in _modules(model)]
    if not candidates:
        raise UnfitWeights(source, f"timm and torchvision have no network like {model.name}")
    if str(source).startswith(HUB):
        path, preprocessing = _downloaded(str(source))
    else:
        path, preprocessing = Path(source), None
    size, most = path.stat().st_size, max(_MOST_BYTES, 64 * model.count_params())
    if size > most:
        raise UnfitWeights(source, f"the file has {size:,} bytes, such a network at most {most:,}")
    with _opened(path, source) as file:
        return _matched(model, candidates, file, source, preprocessing)


def check(path: Path) -> None:
    """Raise ValueError unless the file opens and holds what its header says."""
    with _opened(path, path):
        pass


def _matched(
    model: keras.Model,
    candidates: list[dict[str, str]],
    file,
    source,
    preprocessing: Preprocessing | None,
) -> Stored:
    originals = {_OLD_NAME.sub(r"\1\2", name): name for name in file.keys()}
    found = set(originals)

    def missing(modules: dict[str, str]) -> list[str]:
        tensors = (_tensors(model.get_layer(layer), there) for layer, there in modules.items())
        return [name for names in tensors for name in names if name not in found]

    modules = min(candidates, key=lambda modules: len(missing(modules)))
    lacking = [name for name in missing(modules) if _first(name) not in _HEADS]
    if lacking:
        raise UnfitWeights(source, f"it lacks {_listed(lacking, found)}")
    values, used = {}, set()
    for layer, module in ((model.get_layer(name), module) for name, module in modules.items()):
        tensors = _tensors(layer, module)
        if tensors.keys() <= found:
            used |= tensors.keys()
            values[layer.name] = [
                _value(file, originals[name], layer, module, weight, source)
                for name, weight in tensors.items()
            ]
    unused = sorted(name for name in found - used if not name.endswith(_COUNT))
    foreign = _foreign(unused, used)
    if foreign:
        raise UnfitWeights(source, f"the network does not have its {_listed(foreign, used)}")
    return Stored(values, [originals[name] for name in unused], preprocessing)


def _foreign(unused: list[str], used: set[str]) -> list[str]:
    """Tensors that a file for this network has not: all but heads and whole stages at the end."""
    complete = {_first(name) for name in used} & (_HEADS - _AUXILIARY)
    stages = {_stage(name) for name in used}
    body = (name for name in unused if _first(name) not in _HEADS)
    return [name for name in body if complete or _stage(name) in stages]


def _value(file, name: str, layer: keras.Layer, module: str, weight, source) -> np.ndarray:
    stored = file.get_slice(name)
    shape, wanted = tuple(stored.get_shape()), _shape_there(layer, module, weight)
    if len(shape) != len(wanted):
        raise UnfitWeights(source, f"tensor {name} has shape {shape} there and {wanted} here")
    if stored.get_dtype() not in _FLOATS:
        raise UnfitWeights(
            source, f"tensor {name} is of {stored.get_dtype()}; convert it to float32 with Torch"
        )
    return _to_here(layer, weight, file.get_tensor(name).astype("float32", copy=False))


def _listed(names: list[str], known: set[str]) -> str:
    """Some of the names of one side, and why the other may know none but their modules."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    modules = {name.rpartition(".")[0] for name in known}
    same = all(name.rpartition(".")[0] in modules for name in names)
    hint = ', and the network was not built with layout="torch"' if same else ""
    return ", ".join(names[:3]) + more + hint


@contextlib.contextmanager
def _opened(path: Path, source) -> Iterator[Any]:
    """A safetensors file, whose header the library checks against its length."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            yield file
    except (SafetensorError, OSError) as error:
        with open(path, "rb") as file:
            pickled = file.read(4).startswith(_PICKLES)
        why = f"it is pickled. Where Torch is: {RECIPE}" if pickled else f"it is damaged ({error})"
        raise UnfitWeights(source, f"the file is not readable as safetensors: {why}") from error


def _downloaded(source: str) -> tuple[Path, Preprocessing | None]:
    """Where huggingface_hub keeps the file, and what its configuration says of the images."""
    import huggingface_hub

    name = source.removeprefix(HUB)
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(f"`weights` must be {HUB}NAME. Received: weights={source!r}")
    try:
        path = _cached(f"timm/{name}", "model.safetensors")
    except Exception as error:  # of the hub, of its library for HTTP, of files
        why = str(error).strip().partition("\n")[0].rstrip(".")
        raise ConnectionError(
            f"`weights` must be a checkpoint that huggingface_hub has or can download: {why}. "
            f"Received: weights={source!r}"
        ) from error
    with contextlib.suppress(huggingface_hub.errors.EntryNotFoundError):
        config = _cached(f"timm/{name}", "config.json")
        return Path(path), _preprocessing(Path(config))
    return Path(path), None


def _cached(repository: str, file: str) -> str:
    """The file in the hub's cache, downloaded if it is missing there."""
    import huggingface_hub
    from huggingface_hub import constants, errors

    try:
        return huggingface_hub.hf_hub_download(repository, file, local_files_only=True)
    except errors.LocalEntryNotFoundError:
        if constants.HF_HUB_OFFLINE:
            raise
    if not urllib.request.getproxies():  # the hub's own retries take half a minute
        address = urllib.parse.urlsplit(constants.ENDPOINT)
        port = address.port or {"http": 80}.get(address.scheme, 443)
        socket.create_connection((address.hostname, port), timeout=_PATIENCE).close()
    return huggingface_hub.hf_hub_download(repository, file)


def _preprocessing(config: Path) -> Preprocessing | None:
    """timm's mean and deviation, for pixels of 0 to 1, as those for pixels of 0 to 255."""
    try:
        images = json.loads(config.read_text())["pretrained_cfg"]
        mean, std = (tuple(255 * float(value) for value in images[key]) for key in ("mean", "std"))
    except (KeyError, TypeError, ValueError):
        return None
    return Preprocessing(mean, std)


# ----------------------------------------------------------------------------------------- writing


def shapes(model: keras.Model, names: str = "timm") -> dict[str, tuple[int, ...]]:
    """The names and shapes of the tensors that `save` writes."""
    return {
        name: () if weight is None else _shape_there(layer, module, weight)
        for name, layer, module, weight in _entries(model, names)
    }


def save(model: keras.Model, path: str | os.PathLike[str], names: str = "timm") -> None:
    """Write the weights of `model` as a checkpoint that timm or torchvision loads.

    Its conventions are theirs where the network was built with `layout="torch"`, in the families
    that have that argument.

    Args:
        model: a built network of ours.
        path: of the `.safetensors` file, written whole or not at all.
        names: "timm" or "torchvision": whose names are written where they differ (VGG,
            MobileNetV2). Where one library alone has the network they are that one's.

    Raises:
        ValueError: another suffix or value of `names`, or neither library has such a network.
    """
    from safetensors.numpy import save_file

    path = Path(path)
    if path.suffix != SUFFIX:
        raise ValueError(f"`path` must end in {SUFFIX}. Received: path={str(path)!r}")
    tensors = {
        name: np.zeros((), np.int64) if weight is None else _to_there(layer, module, weight)
        for name, layer, module, weight in _entries(model, names)
    }
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        save_file(tensors, partial, metadata={"format": "pt"})
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _entries(model: keras.Model, names: str) -> Iterator[tuple[str, keras.Layer, str, Any]]:
    """Name there, layer, module, variable; None for BatchNorm's count of batches."""
    if names not in ("timm", "torchvision"):
        raise ValueError(f"`names` must be 'timm' or 'torchvision'. Received: names={names!r}")
    candidates = list(_modules(model))
    if not candidates:
        raise ValueError(
            "`model` must be a network that timm or torchvision has, with all layers under our "
            f"names. Received: model={model.name!r}"
        )
    _, modules = next((c for c in candidates if c[0] == names), candidates[0])
    for layer, module in ((model.get_layer(name), module) for name, module in modules.items()):
        for name, weight in _tensors(layer, module).items():
            yield name, layer, module, weight
        if isinstance(layer, layers.BatchNormalization):
            yield f"{module}.{_COUNT}", layer, module, None
