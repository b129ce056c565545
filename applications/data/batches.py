"""Images on their way into training: their order, augmentation and statistics."""

import itertools
from collections.abc import Iterator

import numpy as np

from applications.data.sources import Subset

_CHUNK = 512  # images read at once for the statistics
_STATISTICS_FROM = 50_000  # images; of more, so many are taken at even distances


def training_batches(
    subset: Subset,
    *,
    batch_size: int,
    seed: int,
    first_epoch: int = 0,
    shift: float = 0.0,
    mirror: bool = False,
    class_weights: np.ndarray | None = None,
) -> Iterator[tuple[np.ndarray, ...]]:
    """Batches of epoch after epoch, without end.

    The order and the augmentation of an epoch follow from `(seed, epoch)` alone. Every batch is
    full: what is left over of an epoch's images is dropped.

    Args:
        subset: the training images, `batch_size` or more.
        batch_size: images a batch.
        seed: an integer >= 0.
        first_epoch: where to begin, counted from 0.
        shift: largest random shift, as a fraction of the sides.
        mirror: whether images are mirrored at random.
        class_weights: (classes,) float32; yields each image's weight as a third array.

    Yields:
        images uint8 (batch_size, H, W, C), labels int64 (batch_size,), and the weights if asked.
    """
    for epoch in itertools.count(first_epoch):
        random = np.random.default_rng((seed, epoch))
        order = random.permutation(len(subset))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            rows = order[start : start + batch_size]
            images = augment(subset.batch(rows), random, shift=shift, mirror=mirror)
            labels = subset.labels[rows]
            if class_weights is None:
                yield images, labels
            else:
                yield images, labels, class_weights[labels]


def augment(
    images: np.ndarray, random: np.random.Generator, *, shift: float, mirror: bool
) -> np.ndarray:
    """Images that are shifted and mirrored at random, each on its own.

    Args:
        images: (N, H, W, C).
        random: what the shifts and mirrors are drawn from.
        shift: largest shift as a fraction of the sides; border pixels are repeated.
        mirror: whether half of the images, drawn at random, are mirrored left to right.
    """
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


def channel_statistics(subset: Subset) -> tuple[list[float], list[float]]:
    """Mean and variance of each channel, pixels scaled to 0..1, read a chunk at a time."""
    count = min(len(subset), _STATISTICS_FROM)
    rows = np.linspace(0, len(subset) - 1, count).astype(np.int64)
    total = squares = np.zeros(subset.batch(rows[:1]).shape[-1])
    pixels = 0
    for start in range(0, count, _CHUNK):
        images = subset.batch(rows[start : start + _CHUNK])
        flat = images.reshape(-1, images.shape[-1]) / 255
        total = total + flat.sum(axis=0)
        squares = squares + (flat**2).sum(axis=0)
        pixels += len(flat)
    mean = total / pixels
    # At least one grey level squared: a channel without contrast would be blown up.
    variance = np.maximum(squares / pixels - mean**2, 1 / 255**2)
    return mean.tolist(), variance.tolist()


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Weight of each class such that all have the same sum over `labels`: float32 (classes,)."""
    counts = np.bincount(labels, minlength=classes)
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return weights.astype(np.float32)
