"""Tensors of the Open Inference Protocol, version 2, in JSON and in its binary extension.

https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md. The
binary extension is Triton's (extension_binary_data.md): after the JSON, whose length is a header,
come the tensors' bytes, little-endian and in the order of the inputs.
"""

import json
import math
from typing import Any, NamedTuple

import numpy as np

INPUT, OUTPUT = "image", "probabilities"
VERSION = "1"  # of every model
JSON_LENGTH = "Inference-Header-Content-Length"
_TYPES = {
    **{f"{kind}{bits}": f"<{kind[0].lower()}{bits // 8}" for kind in ("UINT", "INT")
       for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}  # fmt: skip


class Bad(ValueError):
    """A request that cannot be answered, and why; what the client is told."""


class Asked(NamedTuple):
    """A request.

    Attributes:
        images: uint8 or float32 (N, H, W, C).
        id: what the answer is to bear.
        binary: whether the answer is to be.
    """

    images: np.ndarray
    id: str | None
    binary: bool


def metadata(name: str, runtime: str, shape: tuple[int, ...], classes: int) -> dict[str, Any]:
    """Of a model."""
    return {
        "name": name,
        "versions": [VERSION],
        "platform": f"keras_{runtime}",
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, *shape]}],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, classes]}],
    }


def parsed(text: bytes) -> dict[str, Any]:
    """An object in JSON.

    Raises:
        Bad: it is none, or has a number that is none of JSON's.
    """

    def refused(constant: str):
        raise ValueError(f"{constant} is no number of JSON")

    try:
        found = json.loads(text, parse_constant=refused)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise Bad(f"the body must be JSON. Received: {reason}") from None
    if not isinstance(found, dict):
        raise Bad(f"the body must be an object in JSON. Received: {type(found).__name__}")
    return found


def read(
    body: bytes, length: str | None, shape: tuple[int, ...], most: int, *, in_range: bool
) -> Asked:
    """What a request asks.

    Args:
        body: of the request.
        length: of its JSON, the header's text; None where all of it is JSON.
        shape: (H, W, C) of an image.
        most: images of a request.
        in_range: whether pixels must lie in 0..255.

    Raises:
        Bad: it is not as the protocol has it, or not for this model.
    """
    end = len(body)
    if length is not None:
        is_count = length.isascii() and length.isdecimal() and len(length) <= 12
        if not is_count or int(length) > len(body):
            raise Bad(f"{JSON_LENGTH} must be the length of the JSON. Received: {length[:40]!r}")
        end = int(length)
    head = parsed(body[:end])
    tensor = _only(head, "inputs", INPUT)
    dims, kind = tensor.get("shape"), tensor.get("datatype")
    if not (isinstance(dims, list) and all(type(n) is int for n in dims)):
        raise Bad("`shape` must be a list of integers")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise Bad(f"`datatype` must be one of {', '.join(_TYPES)}. Received: {str(kind)[:40]!r}")
    if tuple(dims[1:]) != shape or not 1 <= dims[0] <= most:
        wanted = ", ".join(map(str, shape))
        raise Bad(f"`shape` must be [N, {wanted}], N in 1..{most}. Received: {str(dims)[:100]}")
    size = _parameters(tensor).get("binary_data_size")
    if size is not None:
        images = _from_bytes(body[end:], size, dims, kind)
    elif end < len(body):
        raise Bad("`binary_data_size` must be given where bytes follow the JSON")
    else:
        images = _from_lists(tensor.get("data"), dims, kind)
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise Bad("`data` must be finite. Received: NaN or infinity")
    if in_range and images.dtype != np.uint8 and (images.min() < 0 or images.max() > 255):
        raise Bad(f"`data` must lie in 0..255. Received: {images.min()}..{images.max()}")
    identity = head.get("id")
    if not isinstance(identity, str | None):
        raise Bad("`id` must be a text")
    images = images if images.dtype == np.uint8 else images.astype(np.float32)
    return Asked(images, identity, _binary(head))


def _from_bytes(content: bytes, size: Any, dims: list[int], kind: str) -> np.ndarray:
    wanted = math.prod(dims) * np.dtype(_TYPES[kind]).itemsize
    if size != wanted or len(content) != wanted:
        raise Bad(
            f"`binary_data_size` must be {wanted} for {dims} of {kind}, and so many bytes follow. "
            f"Received: {str(size)[:40]}, followed by {len(content)}"
        )
    return np.frombuffer(content, _TYPES[kind]).reshape(dims)


def _from_lists(data: Any, dims: list[int], kind: str) -> np.ndarray:
    """An array of numbers, flat or nested as `dims`."""
    dtype = np.dtype(_TYPES[kind])
    wanted = f"`data` must be {math.prod(dims)} numbers of {kind}, flat or as `shape`"
    try:
        found = np.asarray(data)
    except ValueError:
        raise Bad(f"{wanted}. Received: lists of different lengths") from None
    if found.shape not in ((math.prod(dims),), tuple(dims)):
        raise Bad(f"{wanted}. Received: shape {list(found.shape)}")
    if found.dtype.kind not in ("iu" if dtype.kind in "iu" else "iuf"):
        raise Bad(f"{wanted}. Received: others")
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        if int(found.min()) < bounds.min or int(found.max()) > bounds.max:
            raise Bad(f"{wanted}. Received: {found.min()}..{found.max()}")
    with np.errstate(over="ignore"):  # what overflows is infinite, and refused as such
        return found.astype(dtype).reshape(dims)


def _only(head: dict[str, Any], key: str, name: str) -> dict[str, Any]:
    """The one tensor of a list, which has this name."""
    tensors = head.get(key)
    if not (isinstance(tensors, list) and len(tensors) == 1 and isinstance(tensors[0], dict)):
        raise Bad(f"`{key}` must hold one tensor, {name!r}")
    if tensors[0].get("name") != name:
        raise Bad(f"`{key}` must hold {name!r}. Received: {str(tensors[0].get('name'))[:100]!r}")
    return tensors[0]


def _parameters(holder: dict[str, Any]) -> dict[str, Any]:
    found = holder.get("parameters", {})
    if not isinstance(found, dict):
        raise Bad("`parameters` must be an object")
    return found


def _binary(head: dict[str, Any]) -> bool:
    """Whether the output is wanted in bytes."""
    wanted = _parameters(head).get("binary_data_output", False)
    if head.get("outputs"):
        own = _parameters(_only(head, "outputs", OUTPUT))
        if "classification" in own:
            raise Bad("`classification` is no extension of this server; /predict names classes")
        wanted = own.get("binary_data", wanted)
    if not isinstance(wanted, bool):
        raise Bad("`binary_data` must be true or false")
    return wanted


def written(name: str, asked: Asked, found: np.ndarray) -> tuple[bytes, int | None]:
    """The answer's body, and the length of its JSON where bytes follow it."""
    tensor: dict[str, Any] = {"name": OUTPUT, "datatype": "FP32", "shape": list(found.shape)}
    head: dict[str, Any] = {"model_name": name, "model_version": VERSION, "outputs": [tensor]}
    if asked.id is not None:
        head["id"] = asked.id
    if not asked.binary:
        tensor["data"] = found.ravel().tolist()
        return json.dumps(head).encode(), None
    content = found.astype("<f4").tobytes()
    tensor["parameters"] = {"binary_data_size": len(content)}
    text = json.dumps(head).encode()
    return text + content, len(text)
