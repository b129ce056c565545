"""Writes `.caffemodel` files, byte for byte as Caffe's protobuf messages are, in both formats."""

import struct
from typing import NamedTuple

import numpy as np


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    """A field of a message: an int, a float, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def blob(array, legacy=False):
    array = np.asarray(array, "<f4")
    if legacy:
        shape = (1,) * (4 - array.ndim) + array.shape
        sizes = b"".join(field(at, size) for at, size in enumerate(shape, start=1))
    else:
        sizes = field(7, field(1, b"".join(varint(size) for size in array.shape)))
    return sizes + field(5, array.tobytes())


class Unit(NamedTuple):
    """A layer of the file."""

    name: str
    type: str
    blobs: tuple = ()
    options: bytes = b""


V1_TYPES = {"Convolution": 4, "InnerProduct": 14, "ReLU": 18, "Data": 5}


def v2(unit):
    blobs = b"".join(field(7, blob(array)) for array in unit.blobs)
    return field(
        100, field(1, unit.name.encode()) + field(2, unit.type.encode()) + blobs + unit.options
    )


def v1(unit):
    blobs = b"".join(field(6, blob(array, legacy=True)) for array in unit.blobs)
    return field(2, field(4, unit.name.encode()) + field(5, V1_TYPES[unit.type]) + blobs)


def written(path, units, write=v2):
    path.write_bytes(field(1, b"a network") + b"".join(write(unit) for unit in units))
    return path
