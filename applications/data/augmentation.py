"""Images changed at random while a network is trained.

Each image of a batch is changed on its own. Every function takes and returns uint8 (N, H, W, C)
and draws from the generator that it is given alone, so that the same generator gives the same
images.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from PIL import Image

_PROPORTIONS = (3 / 4, 4 / 3)  # width by height: Szegedy et al. 2014, arXiv:1409.4842, section 6
_TRIES = 10  # for a window that lies within the image: fb.resnet.torch, datasets/transforms.lua
_LUMA = (0.299, 0.587, 0.114)  # of red, green, blue: ITU-R BT.601, as Pillow
_BILINEAR = Image.Resampling.BILINEAR


@dataclass(frozen=True)
class Augmentation:
    """What is changed at random, in this order.

    Attributes:
        size: height and width that images are resized to before anything else.
        area: smallest and largest area of a window that is enlarged to the whole image, as
            fractions of the image's, within (0, 1]; its proportions are between 3:4 and 4:3.
        scale: smallest and largest factor, >= 1, by which an image is enlarged before a window of
            the old size is cut out of it.
        affine: arguments of `distorted`.
        shift: largest shift as a fraction of the sides; border pixels are repeated.
        mirror: whether half of the images, drawn at random, are mirrored left to right.
        colour_jitter: arguments of `jittered`.
        lighting: (C, C): each image gets the sum of the columns, each times a random number of
            mean 0 and deviation 1, as `preprocessing.colour_components` makes them.
        rand_augment: strength in [0, 1] of `rand_augmented`; 0: none.
        random_erasing: share of the images that `erased` changes.
    """

    size: tuple[int, int] | None = None
    area: tuple[float, float] | None = None
    scale: tuple[float, float] | None = None
    affine: Mapping[str, float] | None = None
    shift: float = 0.0
    mirror: bool = False
    colour_jitter: Mapping[str, float] | None = None
    lighting: np.ndarray | None = None
    rand_augment: float = 0.0
    random_erasing: float = 0.0

    def __call__(self, images: np.ndarray, random: np.random.Generator) -> np.ndarray:
        if self.size is not None and self.size != images.shape[1:3]:
            images = resized(images, self.size)
        if self.area is not None:
            images = cut(images, windows_of_area(images.shape, random, self.area))
        if self.scale is not None:
            images = cut(images, windows_of_scale(images.shape, random, self.scale))
        if self.affine is not None:
            images = distorted(images, random, **self.affine)
        images = moved(images, random, shift=self.shift, mirror=self.mirror)
        if self.colour_jitter is not None:
            images = jittered(images, random, **self.colour_jitter)
        if self.lighting is not None:
            images = lit(images, random, self.lighting)
        if self.rand_augment:
            images = rand_augmented(images, random, self.rand_augment)
        if self.random_erasing:
            images = erased(images, random, self.random_erasing)
        return images


@dataclass(frozen=True)
class Mixing:
    """Images of a batch that are mixed with one another, and their labels with them.

    Where both kinds are given each batch is mixed in one of them, drawn evenly. A mixture is
    rounded to whole pixels.

    Attributes:
        mixup: both parameters of the beta distribution of the share of the first image; 0: none.
            Zhang et al. 2018, arXiv:1710.09412, by Keras' `MixUp`.
        cutmix: the same of the share that is not cut out, at most 1; 0: none. Yun et al. 2019,
            arXiv:1905.04899, by Keras' `CutMix`.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __call__(
        self, images: np.ndarray, shares: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The mixtures, and what each has of the classes.

        Args:
            images: uint8 (N, H, W, C).
            shares: float32 (N, classes), rows of sum 1.
            random: what is drawn from.
        """
        kinds = [name for name in ("mixup", "cutmix") if getattr(self, name)]
        if random.choice(kinds) == "mixup":
            layer: Any = keras.layers.MixUp(self.mixup, **_drawing(random))
        else:
            layer = keras.layers.CutMix(_exactly(self.cutmix), **_drawing(random))
        mixed = layer({"images": images.astype(np.float32), "labels": shares}, training=True)
        return _to_pixels(np.asarray(mixed["images"])), np.asarray(mixed["labels"])


# ------------------------------------------------------------------------------ windows and shapes


def moved(
    images: np.ndarray, random: np.random.Generator, *, shift: float, mirror: bool
) -> np.ndarray:
    """Images that are shifted and mirrored; as `Augmentation` has the arguments."""
    count, height, width, _ = images.shape
    down, right = (round(shift * side) for side in (height, width))
    if not (down or right or mirror):
        return images
    rows = np.arange(height) + random.integers(-down, down + 1, (count, 1))
    columns = np.arange(width) + random.integers(-right, right + 1, (count, 1))
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    if mirror:
        flipped = random.random((count, 1)) < 0.5
        columns = np.where(flipped, columns[:, ::-1], columns)
    return images[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def windows_of_area(
    shape: tuple[int, ...], random: np.random.Generator, area: tuple[float, float]
) -> np.ndarray:
    """Windows of GoogLeNet's training: left, top, right, bottom in whole pixels, (N, 4).

    Area and proportions are drawn evenly, up to ten times until the window lies within the image;
    then the window is the whole image.
    """
    count, height, width, _ = shape
    areas = random.uniform(*area, (count, _TRIES)) * height * width
    proportions = random.uniform(*_PROPORTIONS, (count, _TRIES))
    wide = np.rint(np.sqrt(areas * proportions)).clip(1)
    high = np.rint(np.sqrt(areas / proportions)).clip(1)
    fits = (wide <= width) & (high <= height)
    first = np.arange(count), fits.argmax(axis=1)
    found = fits.any(axis=1)
    wide = np.where(found, wide[first], width)
    high = np.where(found, high[first], height)
    left = np.floor(random.random(count) * (width - wide + 1))
    top = np.floor(random.random(count) * (height - high + 1))
    return np.stack([left, top, left + wide, top + high], axis=1)


def windows_of_scale(
    shape: tuple[int, ...], random: np.random.Generator, scale: tuple[float, float]
) -> np.ndarray:
    """Windows as large as the image, of the image enlarged by a factor that is drawn evenly.

    In pixels of the image as it is: left, top, right, bottom, (N, 4).
    """
    count, height, width, _ = shape
    factor = random.uniform(*scale, count)
    wide, high = width / factor, height / factor
    left, top = random.random(count) * (width - wide), random.random(count) * (height - high)
    return np.stack([left, top, left + wide, top + high], axis=1)


def resized(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Images of this height and width."""
    height, width = size
    return _each(images, lambda row, image: image.resize((width, height), _BILINEAR), size)


def cut(images: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Each image's window (left, top, right, bottom), resized to the image's size."""
    _, height, width, _ = images.shape
    return _each(
        images,
        lambda row, image: image.resize(
            (width, height), _BILINEAR, box=tuple(windows[row].tolist())
        ),
    )


def distorted(
    images: np.ndarray,
    random: np.random.Generator,
    *,
    translation: float,
    scale: float,
    squeeze: float,
    shear: float,
) -> np.ndarray:
    """Planar affine distortions. LeCun et al. 1998, section III.B.

    "Horizontal and vertical translations, scaling, squeezing (simultaneous horizontal compression
    and vertical elongation, or the reverse), and horizontal shearing", each drawn evenly. What
    comes from outside the image is 0.

    Args:
        images: (N, H, W, C).
        random: what is drawn from.
        translation: largest one, as a fraction of the sides.
        scale: largest part by which an image grows or shrinks.
        squeeze: largest part by which one side is compressed and the other elongated.
        shear: largest horizontal displacement of a pixel by its height above the middle.
    """
    count, height, width, _ = images.shape
    right, down = random.uniform(-translation, translation, (2, count)) * [[width], [height]]
    size = 1 + random.uniform(-scale, scale, count)
    squeezed = 1 + random.uniform(-squeeze, squeeze, count)
    slant = random.uniform(-shear, shear, count)
    # Pillow wants where in the old image a pixel of the new one comes from, about the middle.
    across, along = 1 / (size * squeezed), squeezed / size
    x, y = (width - 1) / 2, (height - 1) / 2
    columns = np.stack([across, slant, x - across * (x + right) - slant * (y + down)], axis=1)
    rows = np.stack([np.zeros(count), along, y - along * (y + down)], axis=1)
    # Pillow's coordinates are of corners, ours of the middles of pixels.
    columns[:, 2] += 0.5 * (1 - columns[:, 0] - columns[:, 1])
    rows[:, 2] += 0.5 * (1 - rows[:, 0] - rows[:, 1])
    data = np.concatenate([columns, rows], axis=1)
    return _each(
        images,
        lambda row, image: image.transform(
            (width, height), Image.Transform.AFFINE, tuple(data[row].tolist()), _BILINEAR
        ),
    )


def _each(
    images: np.ndarray,
    change: Callable[[int, Image.Image], Image.Image],
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """`change(row, image)` of each image, a Pillow image, which makes it of this size."""
    count, *sides, channels = images.shape
    out = np.empty((count, *(size or sides), channels), np.uint8)
    for row, pixels in enumerate(images):
        flat = pixels[..., 0] if channels == 1 else pixels
        out[row] = np.asarray(change(row, Image.fromarray(flat))).reshape(out.shape[1:])
    return out


# -------------------------------------------------------------------------------------- colours


def jittered(
    images: np.ndarray,
    random: np.random.Generator,
    *,
    brightness: float,
    contrast: float,
    saturation: float,
    offset: float,
) -> np.ndarray:
    """Images of other brightness, contrast and saturation, in an order drawn for each.

    Brightness blends an image with black, contrast with the mean of its luminance, saturation with
    its luminance: `factor * image + (1 - factor) * other`. Howard 2013, arXiv:1312.5402, section 2,
    and fb.resnet.torch, datasets/transforms.lua.

    Args:
        images: (N, H, W, C).
        random: what is drawn from.
        brightness, contrast, saturation: the factor is drawn evenly from 1 -+ this, each in [0, 1].
        offset: largest amount that is added to all pixels, as a fraction of 255.
    """
    count, channels = len(images), images.shape[-1]
    amounts = (brightness, contrast, saturation, offset)
    used = [place for place, amount in enumerate(amounts) if amount]
    drawn = random.uniform(-1, 1, (count, len(amounts))) * amounts
    order = random.permuted(np.tile(used, (count, 1)), axis=1)
    luma = np.array(_LUMA if channels == 3 else [1 / channels] * channels, np.float32)
    x = images.astype(np.float32)
    for turn in order.T:
        for place in used:
            rows = np.flatnonzero(turn == place)
            if len(rows) == 0:
                continue
            chosen = x[rows]
            by = drawn[rows, place].astype(np.float32)[:, None, None, None]
            if place == 3:
                x[rows] = chosen + 255 * by
                continue
            other = np.float32(0)
            if place:
                other = (chosen @ luma)[..., None]
            if place == 1:
                other = other.mean(axis=(1, 2, 3), keepdims=True)
            x[rows] = (1 + by) * chosen - by * other
    return _to_pixels(x)


def lit(images: np.ndarray, random: np.random.Generator, components: np.ndarray) -> np.ndarray:
    """Colour shifts along principal components. Krizhevsky et al. 2012, section 4.1.

    Args:
        images: (N, H, W, C).
        random: what is drawn from.
        components: (C, C), as `preprocessing.colour_components` makes them.
    """
    shift = random.standard_normal((len(images), components.shape[1])) @ components.T
    return _to_pixels(images + shift.astype(np.float32)[:, None, None, :])


# ---------------------------------------------------------------------------- by layers of Keras


def rand_augmented(images: np.ndarray, random: np.random.Generator, strength: float) -> np.ndarray:
    """Two operations, drawn for the batch, one after the other; each image has its own amounts.

    Cubuk et al. 2019, arXiv:1909.13719, by the operations of Keras' `RandAugment`. That computes
    all eleven, twice, and keeps two: here the two are computed. Departure, Keras' own: a batch has
    the same operations, and amounts are drawn up to the strength.

    Args:
        images: (N, H, W, C).
        random: what is drawn from.
        strength: largest amount of every operation, as a fraction of what Keras takes for 1: of
            the sides, of a full turn, of the range of pixels.
    """
    layer = keras.layers.RandAugment((0, 255), 2, strength, **_drawing(random))
    x: Any = images.astype(np.float32)
    for place in random.integers(len(layer._AUGMENT_LAYERS), size=layer.num_ops):
        operation = getattr(layer, layer._AUGMENT_LAYERS[place])
        drawn = operation.get_random_transformation(x, training=True, seed=layer.generator)
        x = operation.transform_images(x, drawn, training=True)
    return _to_pixels(np.asarray(x))


def erased(images: np.ndarray, random: np.random.Generator, probability: float) -> np.ndarray:
    """Noise in a rectangle of 2 to 33 % of the area of some images, by Keras' `RandomErasing`.

    Zhong et al. 2017, arXiv:1708.04896. Departures, Keras' own: the sides' shares are drawn one by
    one, so proportions have no bounds, and noise is normal.

    Args:
        images: (N, H, W, C).
        random: what is drawn from.
        probability: that an image is changed.
    """
    layer = keras.layers.RandomErasing(_exactly(probability), **_drawing(random))
    x: Any = layer(images.astype(np.float32), training=True)
    return _to_pixels(np.asarray(x))


def _exactly(factor: float) -> Any:
    """What Keras takes for a factor that it does not draw: bounds that are the same."""
    return factor, factor


def _drawing(random: np.random.Generator) -> dict[str, Any]:
    """Arguments of a layer that draws from this generator, once."""
    return {"seed": int(random.integers(2**31)), "dtype": "float32"}


def _to_pixels(x: np.ndarray) -> np.ndarray:
    return np.rint(x).clip(0, 255).astype(np.uint8)
