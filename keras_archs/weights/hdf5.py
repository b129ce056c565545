"""HDF5 files, opened where the library behind h5py will come back from them."""

import io
import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

_HEAP = re.compile(rb"GCOL\x01\0{3}")  # signature and version of a global heap
_HEADER = 16  # bytes before a heap's objects, and before the values of each


def opened(source: Path | io.BytesIO, mode: str = "r") -> h5py.File:
    """`h5py.File`, without the files that HDF5 would read for ever.

    The library walks a global heap, which holds texts of any length, by the sizes that the objects
    claim, and does not move on from one that claims none (HDF5 File Format Specification, III.E).

    Raises:
        OSError: it is no HDF5 file, or one whose heaps are damaged.
    """
    file = h5py.File(source, mode)
    try:
        if file.id.get_create_plist().get_sizes() != (8, 8):
            raise OSError("addresses or sizes are not of 8 bytes")
        with _content(source) as content:
            for heap in _HEAP.finditer(content):
                _check(content, heap.start())
    except OSError:
        file.close()
        raise
    return file


@contextmanager
def _content(source: Path | io.BytesIO) -> Iterator[memoryview | mmap.mmap]:
    if isinstance(source, io.BytesIO):
        with source.getbuffer() as content:
            yield content
    else:
        with (
            open(source, "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            yield content


def _check(content: memoryview | mmap.mmap, start: int) -> None:
    """Raise OSError unless the heap's objects follow one another to its end."""

    def number(at: int, size: int) -> int:
        return int.from_bytes(content[at : at + size], "little")

    end = start + number(start + 8, 8)
    at = start + _HEADER
    while at + _HEADER <= min(end, len(content)):
        index, size = number(at, 2), number(at + 8, 8)
        # The free space, of index 0, counts its own header and is not padded.
        at += size if index == 0 else _HEADER + -(-size // 8) * 8
        if at > end or (index == 0 and size < _HEADER):
            raise OSError("a heap of texts is damaged")
