"""What a model's preprocessing layers, and a training, need to know of the training images."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from applications.data.sources import Subset

CONTRAST = 55.0  # norm of an image after global contrast normalisation
_WHITENING_BIAS = 0.1  # added to the variance along each principal component
_CHUNK = 512  # images read at once
_MOST = 50_000  # images; of a larger set, this many at even distances


def _chunks(subset: Subset) -> Iterator[np.ndarray]:
    """Images at even distances, some at a time: uint8 (n, H, W, C)."""
    rows = np.linspace(0, len(subset) - 1, min(len(subset), _MOST)).astype(np.int64)
    for start in range(0, len(rows), _CHUNK):
        yield subset.batch(rows[start : start + _CHUNK])


def _deviation(mean_of_squares: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """At least one grey level: what has no contrast would be blown up."""
    return np.sqrt(np.maximum(mean_of_squares - mean**2, 1))


def channel_statistics(subset: Subset) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, (C,), pixels 0..255."""
    levels = np.arange(256)
    counts: Any = 0  # (256, C): to count takes a tenth of the time of adding up
    for images in _chunks(subset):
        channels = np.moveaxis(images, -1, 0)
        counts = counts + np.stack([np.bincount(x.ravel(), minlength=256) for x in channels], 1)
    total = counts.sum(axis=0)
    mean = levels @ counts / total
    return mean, _deviation(levels**2 @ counts / total, mean)


def pixel_statistics(subset: Subset) -> tuple[np.ndarray, np.ndarray]:
    """The mean image and each pixel's standard deviation, (H, W, C), pixels 0..255."""
    total: Any = 0
    squares: Any = 0
    count = 0
    for images in _chunks(subset):
        x = images.astype(np.int64)
        total = total + x.sum(axis=0)
        squares = squares + (x**2).sum(axis=0)
        count += len(x)
    mean = total / count
    return mean, _deviation(squares / count, mean)


def colour_components(subset: Subset, deviation: float) -> np.ndarray:
    """Principal components of the colours of all pixels. Krizhevsky et al. 2012, section 4.1.

    Args:
        subset: the training images.
        deviation: of the random number that each component is multiplied by.

    Returns:
        (C, C): the columns are eigenvectors of the covariance of the channels, pixels in 0..1,
        each times its eigenvalue, times `deviation`, times 255.
    """
    channels = subset.batch(np.arange(1)).shape[-1]
    total, products, count = np.zeros(channels), np.zeros((channels, channels)), 0
    for images in _chunks(subset):
        x = images.reshape(-1, channels) / 255
        total += x.sum(axis=0)
        products += x.T @ x
        count += len(x)
    mean = total / count
    values, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    return 255 * deviation * vectors * values


def contrast_normalised(images: np.ndarray) -> np.ndarray:
    """Global contrast normalisation: each image with mean 0 and norm 55, or 0 if it is even.

    Goodfellow et al. 2013, arXiv:1302.4389, section 5.2, with the settings of the authors' code,
    pylearn2's make_cifar10_gcn_whitened.py.

    Args:
        images: (N, H, W, C) of any scale.

    Returns:
        float32 (N, H * W * C).
    """
    x = images.reshape(len(images), -1).astype(np.float32)
    x -= x.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return x * (CONTRAST / np.where(norms > 0, norms, 1))


def whitening(subset: Subset) -> tuple[np.ndarray, np.ndarray]:
    """ZCA whitening of images after global contrast normalisation, as `contrast_normalised`.

    `x @ matrix + offset` is uncorrelated but for the bias of 0.1 on each component's variance.

    Returns:
        the matrix (n, n) and the offset (n,), float32, n = H * W * C.
    """
    size = subset.batch(np.arange(1)).size
    total, products, count = np.zeros(size), np.zeros((size, size)), 0
    for images in _chunks(subset):
        x = contrast_normalised(images)
        total += x.sum(axis=0, dtype=np.float64)
        products += x.T @ x
        count += len(x)
    mean = total / count
    products /= count
    products -= np.outer(mean, mean)
    products.flat[:: size + 1] += _WHITENING_BIAS
    values, vectors = np.linalg.eigh(products)
    matrix = (vectors / np.sqrt(values)) @ vectors.T
    return matrix.astype(np.float32), (-mean @ matrix).astype(np.float32)
