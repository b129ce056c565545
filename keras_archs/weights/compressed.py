"""A network in a small file: `.kac`, lossless, entropy-coded. docs/kac.md has it byte for byte.

The file keeps every weight bit for bit. It is small where weights are: zeros are left out, by a bit
mask or by the relative index of Han, Mao & Dally 2016 (Deep Compression, arXiv:1510.00149, section
2), values that many weights share are codes of a codebook (section 3), and what remains is coded
by bytes. Each array takes the smallest of these. Departures from the paper: where it codes with
Huffman's code (section 4), this is the range variant of asymmetric numeral systems of the
library `constriction`, which comes within bytes of the entropy; an index that is too far codes a
step without a weight, not a weight of 0.

Who prunes and shares the weights is another matter: `applications.compress`.
"""

import hashlib
import itertools
import json
import math
import os
import secrets
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_archs.checks import gib, machine_memory
from keras_archs.cost.rules import RULES
from keras_archs.graph import deep_graphs, exportable, without_values
from keras_archs.normalization import LocalResponseNormalization

MAGIC = b"\x89KAC\r\n\x1a\n"  # as PNG's: it shows where a transfer changed line ends or bit 7
VERSION = 1
MAX_HEADER = 2**25  # bytes of the network's configuration, before it is compressed
MAX_VALUES = 2**31  # weights of a network
# A small file may stand for so many weights and for so many more a byte, and no more.
FREE_VALUES, VALUES_PER_BYTE = 2**24, 4096
MAX_RANK = 8

_HEAD = struct.Struct("<8sHHIIQ32s")  # magic, version, 0, header, header before, payload, SHA-256
_DTYPES = (
    *("float32", "float16", "bfloat16", "float64", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64", "bool"),
)
_LAYOUTS = ("dense", "mask", "relative")
_SHARED, _NARROWED = 4, 8  # bits of an array's coding, beside its layout
_GAPS = range(4, 9)  # bits of a relative index: 4 to 8, section 2 has 5 and 8
_MOST_SHARED = 4096  # distinct values of a codebook
_RAW, _ANS = 0, 1  # how a stream of symbols is stored
# 256 times 2 ** (i / 8): frequencies are kept in a byte, to a twelfth of a power of two.
_OCTAVE = (256, 279, 304, 332, 362, 395, 431, 470)
_OWN = {"keras_archs>LocalResponseNormalization": LocalResponseNormalization}


class StoredArray(NamedTuple):
    """How one array of weights is stored.

    Attributes:
        name: the variable's path.
        shape: of the array.
        values: how many are not 0 where zeros are left out, else all.
        distinct: values of its codebook; 0 without one.
        layout: "dense", "mask" or "relative".
        size: bytes in the file.
    """

    name: str
    shape: tuple[int, ...]
    values: int
    distinct: int
    layout: str
    size: int


class Compressed(NamedTuple):
    """A network as the bytes of a `.kac` file, and how its arrays are stored in them."""

    data: bytes
    arrays: tuple[StoredArray, ...]


def packed(model: keras.Model) -> Compressed:
    """The bytes of a `.kac` file with this model: its layers and every weight, bit for bit.

    The state of seed generators, the optimizer and what `compile` was told are left out.

    Args:
        model: a built model of Keras' own layers that `keras_archs.profile` can cost.

    Raises:
        TypeError: it is no model.
        ValueError: a layer is of another kind or has weights of an unknown type, or constriction
            is not installed.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: model={model!r}")
    with deep_graphs():
        config: Any = keras.saving.serialize_keras_object(model)
        config.pop("compile_config", None)
        _check_classes(config)
    text = json.dumps({"keras": keras.__version__, "model": config}, separators=(",", ":")).encode()
    header = zlib.compress(text, 9)
    blocks, arrays = [], []
    for variable in model.weights:
        if variable.dtype not in _DTYPES:
            raise ValueError(
                f"`model` must have weights of type {', '.join(_DTYPES)}. "
                f"Received: {variable.path} of type {variable.dtype}"
            )
        values: Any = keras.ops.convert_to_numpy(variable)
        values = values.astype(_numpy_type(variable.dtype), copy=False)
        block, layout, count, distinct = _array_bytes(values, variable.dtype)
        blocks.append(block)
        shape = tuple(values.shape)
        arrays.append(StoredArray(variable.path, shape, count, distinct, layout, len(block)))
    payload = b"".join(blocks)
    sizes = VERSION, 0, len(header), len(text), len(payload)
    start = _HEAD.pack(MAGIC, *sizes, bytes(32))[:-32]
    digest = hashlib.sha256(start + header + payload).digest()
    data = start + digest + header + payload
    _check_values(sum(math.prod(a.shape) for a in arrays), len(data))
    return Compressed(data, tuple(arrays))


def save_compressed(model: keras.Model, path: str | os.PathLike[str]) -> Compressed:
    """Write the model into a `.kac` file, whole or not at all.

    Args:
        model: as `packed` takes it.
        path: of the file, whose name must end in `.kac`.

    Returns:
        What was written.

    Raises:
        TypeError, ValueError: the name is another, or as `packed`.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".kac":
        raise ValueError(f"`path` must end in .kac. Received: path={str(path)!r}")
    made = packed(model)
    partial = path.with_name(f".partial-{secrets.token_hex(4)}-{path.name}")
    try:
        partial.write_bytes(made.data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return made


def load_compressed(path: str | os.PathLike[str]) -> keras.Model:
    """The model in a `.kac` file, not compiled, with the weights that were written, bit for bit.

    Nothing of the file is run: the layers are Keras' own, made in safe mode. What the file declares
    is compared with its size, with the layers and with fixed limits before memory is taken for it.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no `.kac` file, cut, changed, or of a later version; or constriction is
            not installed.
    """
    data = Path(path).read_bytes()
    coder()
    try:
        with deep_graphs():
            return exportable(_model(data))
    except Exception as error:  # whatever a hostile configuration makes Keras raise
        why = " ".join(str(error).split()) or type(error).__name__
        why = why if len(why) <= 200 else f"{why[:200]}..."
        raise ValueError(
            f"a .kac file must be whole and unchanged: {why}. Received: {os.fspath(path)}"
        ) from error


# ----------------------------------------------------------------------------------- the whole file


def _model(data: bytes) -> keras.Model:
    header, payload = _parts(data)
    _check_classes(json.loads(header))
    with without_values():
        wanted = [(tuple(v.shape), v.dtype) for v in _built(header).weights]
    _check_values(sum(math.prod(shape) for shape, _ in wanted), len(data))
    needed = sum(8 * math.prod(shape) for shape, _ in wanted)
    if needed > machine_memory():
        raise ValueError(f"its weights need {gib(needed)}, and there are {gib(machine_memory())}")
    reader = _Reader(payload)
    values = [_read_array(reader, shape, dtype) for shape, dtype in wanted]
    if not reader.at_end():
        raise ValueError("bytes are left behind its last array")
    model = _built(header)
    for variable, value in zip(model.weights, values, strict=True):
        variable.assign(value)
    return model


def _parts(data: bytes) -> tuple[bytes, memoryview]:
    """The header's text and the payload of a whole file of this version."""
    if data[: len(MAGIC)] != MAGIC:
        raise ValueError("it does not begin as one")
    if len(data) < _HEAD.size:
        raise ValueError("it is cut")
    _, version, zero, packed, size, payload, digest = _HEAD.unpack_from(data)
    if (version, zero) != (VERSION, 0):
        raise ValueError(f"it has version {version}, and this is for version {VERSION}")
    if len(data) != _HEAD.size + packed + payload:
        raise ValueError(f"it declares {_HEAD.size + packed + payload:,} bytes, not {len(data):,}")
    rest = memoryview(data)[_HEAD.size :]
    if hashlib.sha256(data[: _HEAD.size - 32] + rest).digest() != digest:
        raise ValueError("its SHA-256 is another")
    if size > MAX_HEADER:
        raise ValueError(f"its header declares {size:,} bytes, more than {MAX_HEADER:,}")
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(rest[:packed], size + 1)
    if len(text) != size or not unpacker.eof or unpacker.unused_data:
        raise ValueError("its header has another size than it declares")
    return text, rest[packed:]


def _built(header: bytes) -> keras.Model:
    config = json.loads(header)["model"]  # Keras takes apart what it is given
    model = keras.saving.deserialize_keras_object(config, custom_objects=_OWN, safe_mode=True)
    if not isinstance(model, keras.Model):
        raise ValueError("it holds no model")
    return model


def _check_classes(config: Any) -> None:
    """Raise ValueError unless all layers are known ones: some of Keras' read files when made."""
    known = {kind.__name__ for kind in RULES} | {"InputLayer"}
    for name in _classes(config):
        if hasattr(keras.layers, name) and name not in known:
            raise ValueError(
                "`model` must have layers that `keras_archs.profile` can cost. "
                f"Received: a layer of type {name}"
            )


def _classes(config: Any) -> Iterator[str]:
    """The names of classes anywhere in a configuration."""
    left = [config]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            if isinstance(name := each.get("class_name"), str):
                yield name
            left += each.values()
        elif isinstance(each, list | tuple):
            left += each


def _check_values(count: int, size: int) -> None:
    most = min(MAX_VALUES, FREE_VALUES + VALUES_PER_BYTE * size)
    if count > most:
        raise ValueError(f"{count:,} weights are more than {most:,}, the most for {size:,} bytes")


# ----------------------------------------------------------------------------------------- an array


def _array_bytes(values: np.ndarray, dtype: str) -> tuple[bytes, str, int, int]:
    """The smallest block for an array; its layout, values and distinct shared values."""
    narrow = _narrowed(values) if dtype == "float32" else None
    bits = _bits(values if narrow is None else narrow)
    start = bytes([_DTYPES.index(dtype)]), bytes([values.ndim, *_varints(*values.shape)])
    flags = 0 if narrow is None else _NARROWED
    at = np.flatnonzero(bits)
    layouts = [(0, b"", bits)]
    if len(at) < len(bits):
        there = bits[at]
        layouts.append((1, _stream_bytes((bits != 0).astype(np.int32), 2), there))
        layouts += [(2, _relative_bytes(at, width), there) for width in _GAPS]
    smallest: dict[int, tuple[int, bytes, np.ndarray]] = {}  # of the layouts with the same values
    for layout in layouts:
        place = len(layout[2])
        if place not in smallest or len(layout[1]) < len(smallest[place][1]):
            smallest[place] = layout
    blocks = []
    for layout, index, kept in smallest.values():
        for shared, distinct, coded in _value_bytes(kept):
            coding = bytes([layout | shared | flags])
            block = b"".join((start[0], coding, start[1], index, coded))
            blocks.append((len(block), block, _LAYOUTS[layout], len(kept), distinct))
    return min(blocks)[1:]


def _read_array(reader: "_Reader", shape: tuple[int, ...], dtype: str) -> np.ndarray:
    code, coding, rank = reader.byte(), reader.byte(), reader.byte()
    if code >= len(_DTYPES) or rank > MAX_RANK or coding >= 16 or coding & 3 > 2:
        raise ValueError("an array's head is damaged")
    found = tuple(reader.varint() for _ in range(rank)), _DTYPES[code]
    if found != (shape, dtype) or (coding & _NARROWED and dtype != "float32"):
        raise ValueError(f"it holds an array of {found}, and its layers want {(shape, dtype)}")
    stored = np.dtype("float16" if coding & _NARROWED else _numpy_type(dtype))
    count, at = math.prod(shape), None
    if _LAYOUTS[coding & 3] == "mask":
        at = np.flatnonzero(_read_stream(reader, count, 2))
    elif _LAYOUTS[coding & 3] == "relative":
        at = _read_relative(reader, count)
    kept = _read_values(
        reader, count if at is None else len(at), stored.itemsize, bool(coding & _SHARED)
    )
    if at is not None:
        bits = np.zeros(count, kept.dtype)
        bits[at] = kept
        kept = bits
    return kept.view(stored).astype(_numpy_type(dtype)).reshape(shape)


def _numpy_type(dtype: str) -> np.dtype:
    if dtype == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(dtype)


def _bits(values: np.ndarray) -> np.ndarray:
    """The values, one after the other, as the unsigned integers of their bits."""
    flat = np.ascontiguousarray(values).reshape(-1)
    return flat.view(f"u{flat.dtype.itemsize}")


def _narrowed(values: np.ndarray) -> np.ndarray | None:
    """The same values in float16, if all of them are numbers of that type."""
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = values.astype(np.float16)
    same = np.array_equal(_bits(narrow.astype(np.float32)), _bits(values))
    return narrow if same else None


def _relative_bytes(at: np.ndarray, width: int) -> bytes:
    """Where the values are, each by the zeros since the one before, in so many bits.

    The highest symbol stands for as many zeros and no value.
    """
    far = 2**width - 1
    steps, rest = np.divmod(np.diff(at, prepend=-1) - 1, far)
    symbols = np.full(int(steps.sum()) + len(at), far, np.int32)
    symbols[np.cumsum(steps + 1) - 1] = rest
    return bytes([width, *_varints(len(symbols))]) + _stream_bytes(symbols, 2**width)


def _read_relative(reader: "_Reader", count: int) -> np.ndarray:
    width, length = reader.byte(), reader.varint()
    if width not in _GAPS or length > count:
        raise ValueError("an index is damaged")
    symbols = _read_stream(reader, length, 2**width).astype(np.int64)
    values = symbols != 2**width - 1
    at = np.cumsum(symbols + values)[values] - 1
    if len(at) and at[-1] >= count:
        raise ValueError("an index leads out of its array")
    return at


def _value_bytes(bits: np.ndarray) -> Iterator[tuple[int, int, bytes]]:
    """`(flag, distinct values, bytes)` of each way to store these values."""
    planes = bits.view(np.uint8).reshape(-1, bits.dtype.itemsize).T
    yield 0, 0, b"".join(_stream_bytes(plane.astype(np.int32), 256) for plane in planes)
    shared, codes = np.unique(bits, return_inverse=True)
    if 0 < len(shared) <= _MOST_SHARED:
        steps = np.diff(shared, prepend=shared.dtype.type(0)).tolist()
        book = _varints(len(shared), *steps)
        coded = _stream_bytes(codes.astype(np.int32), len(shared))
        yield _SHARED, len(shared), book + coded


def _read_values(reader: "_Reader", count: int, width: int, shared: bool) -> np.ndarray:
    if not shared:
        planes = [_read_stream(reader, count, 256).astype(np.uint8) for _ in range(width)]
        return np.ascontiguousarray(np.stack(planes, axis=1)).reshape(-1).view(f"u{width}")
    length = reader.varint()
    if not 0 < length <= _MOST_SHARED:
        raise ValueError(f"a codebook declares {length:,} values, not 1 to {_MOST_SHARED:,}")
    book = list(itertools.accumulate(reader.varint() for _ in range(length)))
    if book[-1] >= 2 ** (8 * width):
        raise ValueError(f"a codebook's values have more than {width} bytes")
    return np.array(book, f"u{width}")[_read_stream(reader, count, length)]


# ------------------------------------------------------------------------------ a stream of symbols


def coder() -> Any:
    """constriction's coders of streams.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import constriction
    except ModuleNotFoundError:
        raise ValueError(
            "a .kac file needs an entropy coder, for example by pip install constriction. "
            "Received: no constriction"
        ) from None
    library: Any = constriction  # whose stubs leave its modules out
    return library.stream


def _stream_bytes(symbols: np.ndarray, alphabet: int) -> bytes:
    """Symbols below `alphabet`, int32, in the shorter of two ways. Both are empty where one is."""
    if len(symbols) == 0 or alphabet == 1:
        return b""
    width = (alphabet - 1).bit_length()
    size = 1 + -(-len(symbols) * width // 8)
    counts = np.bincount(symbols, minlength=alphabet)
    coded = _ans_bytes(symbols, counts) if alphabet < size else b""
    if coded and len(coded) < size:
        return coded
    places = symbols[:, None] >> np.arange(width) & 1
    return bytes([_RAW]) + np.packbits(places.astype(np.uint8), bitorder="little").tobytes()


def _ans_bytes(symbols: np.ndarray, counts: np.ndarray) -> bytes:
    logs = np.log2(np.maximum(counts, 1))
    frequencies = np.where(counts > 0, 1 + np.rint(8 * logs), 0).astype(np.uint8)
    present, model = _distribution(frequencies)
    words = b""
    if model is not None:
        stack = coder().stack.AnsCoder()
        ranks = np.zeros(len(counts), np.int32)
        ranks[present] = np.arange(len(present))
        stack.encode_reverse(ranks[symbols], model)
        words = stack.get_compressed().astype("<u4").tobytes()
    return bytes([_ANS]) + frequencies.tobytes() + _varints(len(words) // 4) + words


def _distribution(frequencies: np.ndarray) -> tuple[np.ndarray, Any]:
    """The symbols that occur, and constriction's model of them; None where it is only one."""
    present = np.flatnonzero(frequencies)
    if len(present) < 2:
        return present, None
    octaves, eighths = np.divmod(frequencies[present].astype(np.int64) - 1, 8)
    weights = (np.array(_OCTAVE)[eighths] << octaves).astype(np.float32)  # exact: nine bits
    return present, coder().model.Categorical(weights, perfect=False)


def _read_stream(reader: "_Reader", count: int, alphabet: int) -> np.ndarray:
    """So many symbols below `alphabet`."""
    if count == 0 or alphabet == 1:
        return np.zeros(count, np.int32)
    method = reader.byte()
    if method == _RAW:
        width = (alphabet - 1).bit_length()
        packed = np.frombuffer(reader.take(-(-count * width // 8)), np.uint8)
        places = np.unpackbits(packed, count=count * width, bitorder="little")
        symbols = places.reshape(count, width) @ (1 << np.arange(width, dtype=np.int32))
        if symbols.max() >= alphabet:
            raise ValueError("a code is none of its codebook")
        return symbols
    if method != _ANS:
        raise ValueError(f"a stream is stored in an unknown way, {method}")
    present, model = _distribution(np.frombuffer(reader.take(alphabet), np.uint8))
    words = np.frombuffer(reader.take(4 * reader.varint()), "<u4").astype(np.uint32)
    if model is None:
        if len(present) == 0 or len(words):
            raise ValueError("a stream is damaged")
        return np.full(count, present[0], np.int32)
    stack = coder().stack.AnsCoder(words)
    symbols = present[stack.decode(model, count)]
    if not stack.is_empty():
        raise ValueError("a stream is damaged")
    return symbols


def _varints(*numbers: int) -> bytes:
    """Each number in groups of seven bits, the lowest first; the last one has no bit 7 (LEB128)."""
    out = bytearray()
    for number in numbers:
        while number > 127:
            out.append(number & 127 | 128)
            number >>= 7
        out.append(number)
    return bytes(out)


class _Reader:
    """Bytes that are read one after the other, and never past their end."""

    def __init__(self, data: memoryview):
        self._data, self._at = data, 0

    def at_end(self) -> bool:
        return self._at == len(self._data)

    def take(self, count: int) -> memoryview:
        if count > len(self._data) - self._at:
            raise ValueError("an array is cut")
        self._at += count
        return self._data[self._at - count : self._at]

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        number = 0
        for place in range(0, 70, 7):
            byte = self.byte()
            number |= (byte & 127) << place
            if byte < 128:
                return number
        raise ValueError("a number is too long")
