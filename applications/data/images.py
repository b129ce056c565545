"""Pictures as pixels: files and arrays of any size become uint8 arrays of one shape.

The first frame of a file is taken, EXIF orientation applied, transparency laid on black, 16-bit
greyscale scaled to 8 bits, colour turned to grey by Pillow's luma, sizes changed by Pillow's
bilinear filter (which averages when it reduces).
"""

import difflib
import io
import math
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from applications.console import one_line, stderr_closed
from applications.files import naming_file

RESIZES = ("stretch", "crop", "pad")
WANTED = "Image files must be ones that Pillow decodes"
NAMED = 10  # files that an error names
# Of pictures that strangers send: what cameras, phones and browsers make.
SENT = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_LIBTIFF = threading.Lock()  # file descriptor 2 belongs to all threads


def read_images(
    paths: Iterable[str | os.PathLike[str]], shape: tuple[int, int, int], resize: str = "stretch"
) -> np.ndarray:
    """Decode image files of any kind that Pillow reads.

    Args:
        paths: N files.
        shape: (H, W, C) of the result, C being 1 or 3.
        resize: as for `Source.at`.

    Returns:
        uint8 0..255, (N, H, W, C).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file cannot be decoded (it is named), or an option is out of range.
    """
    shape = checked_shape(shape, resize)
    return load_images(text_array([os.fspath(path) for path in paths]), shape, resize)


def read_image(
    content: bytes, shape: tuple[int, int, int], resize: str = "stretch", *, most_pixels: int
) -> np.ndarray:
    """Decode one image that a stranger sent, exactly as `read_images` decodes a file of it.

    Args:
        content: what the file would hold: JPEG, PNG, WebP, GIF or BMP.
        shape: (H, W, C) of the result, C being 1 or 3.
        resize: as for `Source.at`.
        most_pixels: that the image may have: a larger one is not decoded.

    Returns:
        uint8 0..255, (H, W, C).

    Raises:
        ValueError: it cannot be decoded, or has more pixels.
    """
    shape = checked_shape(shape, resize)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the limit is ours
            with Image.open(io.BytesIO(content), formats=SENT) as image:
                pixels = image.width * image.height
                if pixels > most_pixels:
                    raise ValueError(
                        f"{image.width} x {image.height} pixels, of {most_pixels:,} that it may "
                        "have"
                    )
                image.load()
                return _pixels(image, shape, resize)
    except UnidentifiedImageError:
        raise ValueError(f"none of the formats {', '.join(SENT)}") from None
    except Exception as error:  # damaged images make Pillow raise a dozen types
        raise ValueError(one_line(error) or type(error).__name__) from None


def resize_images(
    images: np.ndarray, shape: tuple[int, int, int], resize: str = "stretch"
) -> np.ndarray:
    """Bring images in memory to one shape, exactly as image files are.

    Args:
        images: uint8 0..255, (N, h, w) or (N, h, w, 1 or 3).
        shape: (H, W, C) of the result, C being 1 or 3.
        resize: as for `Source.at`.

    Returns:
        uint8 0..255, (N, H, W, C).

    Raises:
        ValueError: the images are not as described, or an option is out of range.
    """
    shape = checked_shape(shape, resize)
    return load_images(image_array("images", np.asarray(images)), shape, resize)


def image_array(name: str, x: np.ndarray) -> np.ndarray:
    """Images as uint8 (N, H, W, 1 or 3)."""
    shape = x.shape if x.ndim == 4 else (*x.shape, 1)
    if len(shape) != 4 or shape[3] not in (1, 3) or 0 in shape[1:]:
        raise ValueError(
            f"`{name}` must be images of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3). "
            f"Received: shape={x.shape}"
        )
    if len(x) == 0:
        raise ValueError(f"`{name}` must hold one image or more. Received: shape={x.shape}")
    if x.dtype.kind not in "iu" or x.min() < 0 or x.max() > 255:
        found = f"{x.min()}..{x.max()} as {x.dtype}" if x.dtype.kind in "iuf" else f"{x.dtype}"
        raise ValueError(f"`{name}` must hold integer pixels within 0..255. Received: {found}")
    return x.astype(np.uint8, copy=False).reshape(shape)


def load_images(images: np.ndarray, shape: tuple[int, int, int], resize: str) -> np.ndarray:
    """Arrays (N, h, w, c) or paths (N,) -> uint8 (N, H, W, C)."""
    if images.shape[1:] == shape:
        return images
    out = np.empty((len(images), *shape), np.uint8)

    def load(row: int) -> None:
        item = images[row]
        if isinstance(item, str):
            with opened_image(item) as image:
                decode_pixels(image)
                out[row] = _pixels(image, shape, resize)
        else:
            flat = item[..., 0] if item.shape[-1] == 1 else item
            out[row] = _pixels(Image.fromarray(flat), shape, resize)

    in_threads(load, len(images), "Decoding images")
    return out


def _pixels(image: Image.Image, shape: tuple[int, int, int], resize: str) -> np.ndarray:
    """One image as uint8 (H, W, C)."""
    height, width, channels = shape
    ImageOps.exif_transpose(image, in_place=True)
    image = _to_8_bits(image, "L" if channels == 1 else "RGB")
    if image.size != (width, height):
        size, bilinear = (width, height), Image.Resampling.BILINEAR
        if resize == "crop":
            image = ImageOps.fit(image, size, bilinear)
        elif resize == "pad":
            image = _pad(image, size, bilinear)
        else:
            image = image.resize(size, bilinear)
    return np.asarray(image).reshape(shape)


def _pad(image: Image.Image, size: tuple[int, int], filter: Image.Resampling) -> Image.Image:
    """The whole image in the middle of `size`. (ImageOps.pad loses images thinner than a pixel.)"""
    scale = min(size[0] / image.width, size[1] / image.height)
    inner = (max(1, half_up(image.width * scale)), max(1, half_up(image.height * scale)))
    canvas = Image.new(image.mode, size)
    canvas.paste(
        image.resize(inner, filter), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
    )
    return canvas


def _to_8_bits(image: Image.Image, mode: str) -> Image.Image:
    """Any image as `mode`, "L" or "RGB"."""
    if image.mode == "F":
        raise ValueError("its pixels are floating point numbers")
    if image.mode.startswith("I"):  # 16 bits, in a 32-bit integer for some formats
        deep = np.asarray(image).astype(np.int64)
        if deep.min() < 0 or deep.max() > 65535:
            raise ValueError("its pixels have more than 16 bits")
        image = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return image if image.mode == mode else image.convert(mode)


def is_grey(image: Image.Image) -> bool:
    """Whether the header says greyscale. An image with a palette counts as colour."""
    return image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")


@contextmanager
def opened_image(path: str) -> Iterator[Image.Image]:
    with naming_file(path, WANTED):
        try:
            image = Image.open(path)
        except UnidentifiedImageError:
            raise ValueError("unknown format") from None
        with image:
            if image.format == "EPS":
                raise ValueError("a program that draws, which is not run")
            yield image


def decode_pixels(image: Image.Image) -> None:
    """Decode the pixels of an open file. libtiff writes what it finds damaged to stderr itself."""
    if image.format == "TIFF":
        with _LIBTIFF, stderr_closed():
            image.load()
    else:
        image.load()


def in_threads(function: Callable[[int], None], count: int, description: str) -> None:
    """Call `function(row)` for each row of `range(count)`, with a bar if there are many.

    Raises:
        ValueError: the function raised one; with several, the first `NAMED` and how many there are.
    """
    workers = os.cpu_count() or 1
    step = max(1, min(256, count // (4 * workers)))  # few calls of the pool, even shares
    errors: dict[int, ValueError] = {}

    def run(start: int) -> int:
        rows = range(start, min(start + step, count))
        for row in rows:
            try:
                function(row)
            except ValueError as error:
                errors[row] = error
        return len(rows)

    with ThreadPoolExecutor(workers) as pool:
        done = pool.map(run, range(0, count, step))
        if count < 5000 or not sys.stderr.isatty():
            list(done)
        else:
            from rich.console import Console
            from rich.progress import Progress

            with Progress(console=Console(stderr=True), transient=True) as progress:
                task = progress.add_task(description, total=count)
                for rows in done:
                    progress.advance(task, rows)
    if len(errors) == 1:
        raise errors.popitem()[1]
    if errors:
        named = [str(errors[row]).partition("Received: ")[2] for row in sorted(errors)[:NAMED]]
        more = ", ..." if len(errors) > NAMED else ""
        raise ValueError(
            f"{WANTED}. Received: {len(errors)} that are not: {', '.join(named)}{more}"
        )


def checked_shape(shape: Sequence[int], resize: str) -> tuple[int, int, int]:
    if len(shape) != 3 or not all(isinstance(n, int | np.integer) and n > 0 for n in shape):
        raise ValueError(f"Image shapes must be (H, W, C), integers > 0. Received: {tuple(shape)}")
    if shape[2] not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3. Received: channels={shape[2]}")
    if resize not in RESIZES:
        near = difflib.get_close_matches(str(resize), RESIZES, n=1)
        raise ValueError(
            f"`resize` must be one of {', '.join(RESIZES)}. Received: resize={resize!r}"
            + (f". Did you mean {near[0]!r}?" if near else "")
        )
    height, width, channels = map(int, shape)
    return height, width, channels


def text_array(texts: list[str]) -> np.ndarray:
    """An array of texts that takes no more memory than the list."""
    array = np.empty(len(texts), object)
    array[:] = texts
    return array


def half_up(number: float) -> int:
    return math.floor(number + 0.5)
