"""Images on their way into training: their order and their weights."""

import itertools
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from applications.data.augmentation import Augmentation, Mixing
from applications.data.sources import Subset

# Keras' PyDataset has workers, too, and waits a tenth of a second at the end of each epoch.
_WORKERS = min(4, os.cpu_count() or 1)
_POOL = ThreadPoolExecutor(_WORKERS, "batches")
_AHEAD = 2 * _WORKERS  # batches that are made before they are asked for

Batch = tuple[np.ndarray, ...]


def training_batches(
    subset: Subset,
    *,
    batch_size: int,
    seed: int,
    first_epoch: int = 0,
    first_step: int = 0,
    augmentation: Augmentation | None = None,
    mixing: Mixing | None = None,
    targets: np.ndarray | None = None,
    class_weights: np.ndarray | None = None,
) -> Iterator[Batch]:
    """Batches of epoch after epoch, without end, made in threads ahead of the step.

    The order of an epoch follows from `(seed, epoch)` alone, what is random in a step from
    `(seed, epoch, step)`. Every batch is full: what is left over of an epoch's images is dropped.

    Args:
        subset: the training images, `batch_size` or more.
        batch_size: images a batch.
        seed: an integer >= 0.
        first_epoch, first_step: where to begin, counted from 0.
        augmentation: how images are changed at random.
        mixing: how the images of a batch are mixed at random. Needs `targets`.
        targets: (classes, classes) float32: yields each label's row in its place, of mixed images
            the mixture of theirs.
        class_weights: (classes,) float32; yields each image's weight as a third array.

    Yields:
        images uint8 (batch_size, H, W, C), labels int64 (batch_size,) or targets
        (batch_size, classes), and the weights if asked.
    """

    def batch(rows: np.ndarray, epoch: int, step: int) -> Batch:
        # NumPy takes (seed, epoch, 0) for (seed, epoch), which the order is drawn from.
        random = np.random.default_rng((seed, epoch, step + 1))
        images, labels = subset.batch(rows), subset.labels[rows]
        if augmentation is not None:
            images = augmentation(images, random)
        if targets is None:
            weights = None if class_weights is None else class_weights[labels]
            return (images, labels) if weights is None else (images, labels, weights)
        shares = np.eye(len(targets), dtype=np.float32)[labels]
        if mixing is not None:
            images, shares = mixing(images, shares, random)
        if class_weights is None:
            return images, shares @ targets
        return images, shares @ targets, shares @ class_weights

    def ahead() -> Iterator[Future[Batch]]:
        for epoch in itertools.count(first_epoch):
            order = np.random.default_rng((seed, epoch)).permutation(len(subset))
            first = first_step if epoch == first_epoch else 0
            for step in range(first, len(order) // batch_size):
                rows = order[step * batch_size : (step + 1) * batch_size]
                yield _POOL.submit(batch, rows, epoch, step)

    coming = ahead()
    made = deque(itertools.islice(coming, _AHEAD))
    while True:
        yield made.popleft().result()
        made.append(next(coming))


def smoothed_targets(classes: int, smoothing: float) -> np.ndarray:
    """What each class is to be predicted as: float32 (classes, classes), rows of sum 1.

    Szegedy et al. 2015, arXiv:1512.00567, section 7: `smoothing` of a label is spread evenly over
    all classes.
    """
    rows = (1 - smoothing) * np.eye(classes) + smoothing / classes
    return rows.astype(np.float32)


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Weight of each class such that all have the same sum over `labels`: float32 (classes,)."""
    counts = np.bincount(labels, minlength=classes)
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return weights.astype(np.float32)
