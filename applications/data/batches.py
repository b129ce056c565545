"""Images on their way into training: their order and their weights."""

import itertools
from collections.abc import Iterator

import numpy as np

from applications.data.augmentation import Augmentation
from applications.data.sources import Subset


def training_batches(
    subset: Subset,
    *,
    batch_size: int,
    seed: int,
    first_epoch: int = 0,
    first_step: int = 0,
    augmentation: Augmentation | None = None,
    targets: np.ndarray | None = None,
    class_weights: np.ndarray | None = None,
) -> Iterator[tuple[np.ndarray, ...]]:
    """Batches of epoch after epoch, without end.

    The order and the augmentation of an epoch follow from `(seed, epoch)` alone. Every batch is
    full: what is left over of an epoch's images is dropped.

    Args:
        subset: the training images, `batch_size` or more.
        batch_size: images a batch.
        seed: an integer >= 0.
        first_epoch, first_step: where to begin, counted from 0. What is random in the steps of the
            epoch before that one is drawn all the same.
        augmentation: how images are changed at random.
        targets: (classes, classes) float32: yields each label's row in its place.
        class_weights: (classes,) float32; yields each image's weight as a third array.

    Yields:
        images uint8 (batch_size, H, W, C), labels int64 (batch_size,) or targets
        (batch_size, classes), and the weights if asked.
    """
    for epoch in itertools.count(first_epoch):
        random = np.random.default_rng((seed, epoch))
        order = random.permutation(len(subset))
        for step in range(len(order) // batch_size):
            rows = order[step * batch_size : (step + 1) * batch_size]
            images, labels = subset.batch(rows), subset.labels[rows]
            if augmentation is not None:
                images = augmentation(images, random)
            if step < first_step:
                continue
            wanted = labels if targets is None else targets[labels]
            if class_weights is None:
                yield images, wanted
            else:
                yield images, wanted, class_weights[labels]
        first_step = 0


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
