"""Images on their way into training: their order and their weights."""

import itertools
from collections.abc import Iterator

import numpy as np

from applications.data.augmentation import augment
from applications.data.sources import Subset


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


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Weight of each class such that all have the same sum over `labels`: float32 (classes,)."""
    counts = np.bincount(labels, minlength=classes)
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return weights.astype(np.float32)
