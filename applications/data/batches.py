"""Images on their way into training: their order and their weights."""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import keras
import numpy as np

from applications.data.augmentation import Augmentation, Mixing
from applications.data.sources import Subset

# Keras' own workers wait for a tenth of a second at the end of each epoch.
_WORKERS = min(4, os.cpu_count() or 1)
_POOL = ThreadPoolExecutor(_WORKERS, "batches")
_AHEAD = 2 * _WORKERS  # batches that are made before they are asked for

Batch = tuple[np.ndarray, ...]


class TrainingBatches(keras.utils.PyDataset):
    """The batches of an epoch, made in threads ahead of the step; `begin` turns to another epoch.

    The order of an epoch follows from `(seed, epoch)` alone, what is random in a step from
    `(seed, epoch, step)`. Every batch is full: what is left over of an epoch's images is dropped.
    No iterator, of which Keras would take the first batch away to see what it is like.

    A batch is images uint8 (batch_size, H, W, C), labels int64 (batch_size,) or targets
    (batch_size, classes) and, with class weights, each image's weight.

    Args:
        subset: the training images, `batch_size` or more.
        batch_size: images a batch.
        seed: an integer >= 0.
        epoch: the first one, counted from 0.
        done: steps of that epoch that are left out at its beginning.
        augmentation: how images are changed at random.
        mixing: how the images of a batch are mixed at random. Needs `targets`.
        targets: (classes, classes) float32: each label's row takes its place, of mixed images the
            mixture of theirs.
        soft_targets: (len(subset), columns) float32: they stand behind the targets, which are
            needed, and are mixed as these are.
        class_weights: (classes,) float32: of each label, or of mixed ones the mean.
    """

    def __init__(
        self,
        subset: Subset,
        *,
        batch_size: int,
        seed: int,
        epoch: int = 0,
        done: int = 0,
        augmentation: Augmentation | None = None,
        mixing: Mixing | None = None,
        targets: np.ndarray | None = None,
        soft_targets: np.ndarray | None = None,
        class_weights: np.ndarray | None = None,
    ):
        super().__init__()
        self.subset, self.batch_size, self.seed = subset, batch_size, seed
        self.augmentation, self.mixing = augmentation, mixing
        self.targets, self.soft_targets = targets, soft_targets
        self.class_weights = class_weights
        self._begin(epoch, done)

    def begin(self, epoch: int) -> None:
        """The batches are those of this epoch from now on.

        To be told by a callback: Keras calls `on_epoch_end` also after a look at the first ones.
        """
        if epoch != self._epoch:
            self._begin(epoch, 0)

    def _begin(self, epoch: int, done: int) -> None:
        self._epoch, self._done = epoch, done
        self._order = np.random.default_rng((self.seed, epoch)).permutation(len(self.subset))
        self._made: dict[int, Future[Batch]] = {}

    def __len__(self) -> int:
        return len(self._order) // self.batch_size - self._done

    def __getitem__(self, index: int) -> Batch:
        for coming in range(index, min(index + _AHEAD, len(self))):
            if coming not in self._made:
                step = self._done + coming
                rows = self._order[step * self.batch_size : (step + 1) * self.batch_size]
                self._made[coming] = _POOL.submit(self._batch, rows, self._epoch, step)
        return self._made.pop(index).result()

    def _batch(self, rows: np.ndarray, epoch: int, step: int) -> Batch:
        # NumPy takes (seed, epoch, 0) for (seed, epoch), which the order is drawn from.
        random = np.random.default_rng((self.seed, epoch, step + 1))
        images, labels = self.subset.batch(rows), self.subset.labels[rows]
        weights = self.class_weights
        if self.augmentation is not None:
            images = self.augmentation(images, random)
        if self.targets is None:
            return (images, labels) if weights is None else (images, labels, weights[labels])
        classes = len(self.targets)
        rows_of = np.eye(classes, dtype=np.float32)[labels]
        if self.soft_targets is not None:
            rows_of = np.concatenate([rows_of, self.soft_targets[rows]], axis=1)
        if self.mixing is not None:
            images, rows_of = self.mixing(images, rows_of, random)
        shares, soft = rows_of[:, :classes], rows_of[:, classes:]
        targets = np.concatenate([shares @ self.targets, soft], axis=1)
        return (images, targets) if weights is None else (images, targets, shares @ weights)


@contextmanager
def lent(*given: keras.utils.PyDataset) -> Iterator[None]:
    """What `fit` is given in here lets go of its images at the end, and can be used no more.

    TensorFlow keeps every data set that is made of Python's objects for as long as the process
    lives.
    """
    try:
        yield
    finally:
        for each in given:
            vars(each).clear()


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
