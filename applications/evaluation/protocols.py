"""Test protocols: a network's size, scales, crops, dense evaluation, mirror images.

Simonyan & Zisserman 2014, arXiv:1409.1556, section 4: images at one scale or several, at each of
which the network is applied densely, or to several crops, and its class posteriors averaged.

- "center": the centre of the image.
- "ten": the four corners and the centre, and their mirror images. Krizhevsky et al. 2012, section
  4.1.
- "grid": 5 x 5 places and their mirror images, 50 crops a scale. Section 4.3.
- dense: the network as a convolution over the whole image. Section 3.2.

Departures: an image is scaled as the run's own images were (`resize`) and in the proportions of the
network's input, so that all images of a scale have one shape. The mean over the places of a dense
evaluation is one of posteriors, as all others; the paper leaves open whether the softmax comes
before it. Where no scale is given it is 8/7 of the network's size, as 256 is of 224.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from applications.data.images import half_up

_LARGER = 8 / 7  # the scale where none is given: 256 pixels for a network of 224
_GRID = 5
Size = tuple[int, int]


class Views(NamedTuple):
    """Parts of an image that a network sees.

    Attributes:
        size: height and width of each part.
        corners: its top and left edge.
        mirrored: whether each is also seen mirrored left to right.
    """

    size: Size
    corners: Sequence[tuple[int, int]]
    mirrored: bool

    @property
    def count(self) -> int:
        return len(self.corners) * (1 + self.mirrored)

    def of(self, images: np.ndarray) -> np.ndarray:
        """(B, H, W, C) -> (B * count, *size, C), the parts of an image one after the other."""
        height, width = self.size
        parts = [images[:, y : y + height, x : x + width] for y, x in self.corners]
        if self.mirrored:
            parts += [part[:, :, ::-1] for part in parts]
        return np.stack(parts, axis=1).reshape(-1, height, width, images.shape[-1])


@dataclass(frozen=True)
class Step:
    """One pass over the test images.

    Attributes:
        method: what it is called in tables.
        scale: smaller side of the images in pixels.
        size: their height and width.
        views: what is seen of each.
        dense: whether the network is applied densely.
    """

    method: str
    scale: int
    size: Size
    views: Views
    dense: bool


def steps(
    size: Size,
    *,
    scales: Sequence[int] = (),
    crops: str | int | None = None,
    dense: bool = False,
    mirrored: bool = False,
) -> list[Step]:
    """The passes that a protocol takes, those of one method one after the other.

    Args:
        size: height and width of the network's input.
        scales, crops, dense, mirrored: as for `applications.evaluate`.

    Raises:
        ValueError: a scale is smaller than the network's input.
    """
    least = min(size)
    if small := [scale for scale in scales if scale < least]:
        raise ValueError(
            f"`scales` must be at least the network's {least} pixels. Received: {small[0]}"
        )
    if not (scales or crops or dense):
        whole = Views(size, [(0, 0)], mirrored)
        return [Step("with mirror image", least, size, whole, dense=False)]
    scales = scales or (half_up(_LARGER * least),)
    found = []
    for name in ([crops or "center"] if crops or not dense else []) + (["dense"] if dense else []):
        for scale in scales:
            scaled = half_up(size[0] * scale / least), half_up(size[1] * scale / least)
            if name == "dense":
                views = Views(scaled, [(0, 0)], mirrored)
            else:
                views = Views(size, corners(scaled, size, name), mirrored or name != "center")
            method = {"center": "center crop", "dense": "dense"}.get(str(name))
            method = method or f"{views.count} crops"
            found.append(Step(method, scale, scaled, views, name == "dense"))
    return found


def corners(size: Size, crop: Size, crops: str | int) -> list[tuple[int, int]]:
    """Top and left edges of the crops of an image, without their mirror images.

    Args:
        size: height and width of the image.
        crop: of a crop, at most those of the image.
        crops: "center", "ten", "grid" or the crops along a side, >= 2.
    """
    down, right = size[0] - crop[0], size[1] - crop[1]
    center = (down // 2, right // 2)
    if crops == "center":
        return [center]
    if crops == "ten":
        return [(0, 0), (0, right), (down, 0), (down, right), center]
    number = _GRID if crops == "grid" else int(crops)
    tops, lefts = ([half_up(d * k / (number - 1)) for k in range(number)] for d in (down, right))
    return list(itertools.product(tops, lefts))


def images_a_step(step: Step, size: Size, batch_size: int) -> int:
    """Images that have, whole or in their views, the pixels of a batch of the network's size.

    At least one: a batch has all the views of an image.

    Args:
        step: the pass.
        size: height and width of the network's input.
        batch_size: images a step of that size.
    """
    pixels = max(step.views.count * math.prod(step.views.size), math.prod(step.size))
    return max(1, batch_size * math.prod(size) // pixels)


class Row(NamedTuple):
    """A line of the table: passes and the mean of their probabilities."""

    method: str
    scales: tuple[int, ...]
    views: int
    probabilities: np.ndarray


def rows(passes: Sequence[Step], probabilities: Iterator[np.ndarray]) -> Iterator[Row]:
    """Each pass; where there are several scales each method over them; the mean of the methods.

    Args:
        passes: what `steps` returned.
        probabilities: of each pass, (N, classes); one is taken at a time.
    """
    means = []
    for method, group in itertools.groupby(passes, lambda step: step.method):
        scales, views, total = (), 0, np.zeros(())
        for step in group:
            found = next(probabilities)
            yield Row(method, (step.scale,), step.views.count, found)
            scales, views, total = (*scales, step.scale), views + step.views.count, total + found
        means.append(Row(method, scales, views, _mean(total, len(scales))))
        if len(scales) > 1:
            yield means[-1]
    if len(means) > 1:
        yield Row(
            " and ".join(mean.method for mean in means),
            means[0].scales,
            sum(mean.views for mean in means),
            _mean(sum(mean.probabilities for mean in means), len(means)),
        )


def _mean(total: Any, count: int) -> np.ndarray:
    """Probabilities in the precision that networks have."""
    return (total / count).astype(np.float32)
