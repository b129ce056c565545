"""What a model's preprocessing layers need to know of its training images."""

import numpy as np

from applications.data.sources import Subset

_CHUNK = 512  # images read at once
_MOST = 50_000  # images; of a larger set, this many at even distances


def channel_statistics(subset: Subset) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, pixels 0..255, read a chunk at a time."""
    count = min(len(subset), _MOST)
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
    return 255 * mean, 255 * np.sqrt(variance)
