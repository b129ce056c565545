"""Images that are corrupted, more or less: noise, blur, contrast, compression, rotation.

Hendrycks & Dietterich 2019, arXiv:1903.12261: common corruptions at five strengths. Noise, blur,
contrast and compression have the strengths of the authors' CIFAR-10-C, whatever the size; the
blur's grow with larger images. Rotation is not among theirs: its angles are our own.

| corruption | strengths 1 to 5 |
|---|---|
| noise | deviation of Gaussian noise, of the range of pixels: 0.04, 0.06, 0.08, 0.09, 0.10 |
| blur | deviation of a Gaussian in pixels, times side / 32 above 32: 0.4, 0.6, 0.7, 0.8, 1 |
| contrast | what is left of each distance from a channel's mean: 0.75, 0.5, 0.4, 0.3, 0.15 |
| jpeg | quality: 80, 65, 58, 50, 40 |
| rotation | degrees, to the left or the right: 5, 10, 15, 20, 30 |

The same seed corrupts an image in the same way, whichever batch it is in.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from applications.data.sources import Subset

STRENGTHS: dict[str, tuple[float, ...]] = {
    "noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    "blur": (0.4, 0.6, 0.7, 0.8, 1.0),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "jpeg": (80, 65, 58, 50, 40),
    "rotation": (5, 10, 15, 20, 30),
}
_SIDE = 32  # of CIFAR's images, for which the strengths of the blur are


class Corrupted:
    """The images of a split with one corruption at one strength.

    Args:
        subset: the split.
        kind: a key of `STRENGTHS`.
        strength: 1..5.
        seed: of what is random.
    """

    def __init__(self, subset: Subset, kind: str, strength: int, seed: int):
        self.labels = subset.labels
        self._subset, self._kind = subset, kind
        self._amount = STRENGTHS[kind][strength - 1]
        self._seed = (seed, list(STRENGTHS).index(kind), strength)

    def __len__(self) -> int:
        return len(self._subset)

    def batch(self, rows: np.ndarray) -> np.ndarray:
        """Images of the given rows: uint8 0..255, (len(rows), H, W, C)."""
        images = self._subset.batch(rows)
        corrupt = _CORRUPTIONS[self._kind]
        out = np.empty_like(images)
        for at, row in enumerate(np.asarray(rows).tolist()):
            random = np.random.default_rng((*self._seed, row))
            out[at] = corrupt(images[at], self._amount, random)
        return out


def _rounded(pixels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _noise(image: np.ndarray, deviation: float, random: np.random.Generator) -> np.ndarray:
    return _rounded(image + 255 * deviation * random.standard_normal(image.shape))


def _blur(image: np.ndarray, deviation: float, random: np.random.Generator) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    scaled = deviation * max(1, min(image.shape[:2]) / _SIDE)
    return _rounded(gaussian_filter(image.astype(float), (scaled, scaled, 0), mode="nearest"))


def _contrast(image: np.ndarray, left: float, random: np.random.Generator) -> np.ndarray:
    mean = image.mean(axis=(0, 1))
    return _rounded(mean + left * (image - mean))


def _jpeg(image: np.ndarray, quality: float, random: np.random.Generator) -> np.ndarray:
    file = io.BytesIO()
    _picture(image).save(file, "JPEG", quality=int(quality))
    with Image.open(file) as decoded:
        return np.asarray(decoded).reshape(image.shape)


def _rotation(image: np.ndarray, degrees: float, random: np.random.Generator) -> np.ndarray:
    """What comes in at the corners is what lies at the edge, as it would be in a photograph."""
    height, width, _ = image.shape
    edge = max(height, width) // 2
    padded = np.pad(image, ((edge, edge), (edge, edge), (0, 0)), mode="edge")
    angle = degrees if random.random() < 0.5 else -degrees
    turned = np.asarray(_picture(padded).rotate(angle, Image.Resampling.BILINEAR))
    return turned[edge : edge + height, edge : edge + width].reshape(image.shape)


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


_CORRUPTIONS: dict[str, Callable[[np.ndarray, float, Any], np.ndarray]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "jpeg": _jpeg,
    "rotation": _rotation,
}
