"""Weight sharing: the weights of a kernel take few values, its codebook.

Han, Mao & Dally 2016, arXiv:1510.00149, section 3: k-means over the weights that pruning has left,
its centroids first evenly between the smallest and the largest weight, which keeps large weights
best. Each centroid is then trained with the gradients of its weights. Departure: after a step of
the optimizer a centroid becomes the mean of its weights, where the paper adds their gradients up:
the same direction, at a rate that does not grow with the number of weights that share it.
"""

from typing import Any

import numpy as np

_FITTED = 2**18  # weights from which the centroids of a larger kernel are found
# Of an array's largest value: float16 has steps of 2^-24 near 0, and ends at 65,504.
_LEAST, _MOST = 2.0**-13, 65504.0


def shared(kernel: np.ndarray, bits: int) -> np.ndarray:
    """The kernel with at most 2^bits values beside 0; what is 0 stays 0."""
    values = kernel[kernel != 0]
    clusters = 2**bits
    if len(np.unique(values)) <= clusters:
        return kernel
    centres = _centres(values, clusters)
    codes = np.searchsorted((centres[1:] + centres[:-1]) / 2, values)
    sums = np.bincount(codes, values.astype(np.float64), clusters)
    counts = np.bincount(codes, minlength=clusters)
    out = kernel.copy()
    out[kernel != 0] = (sums / np.maximum(counts, 1))[codes]
    return out


def _centres(values: np.ndarray, clusters: int) -> np.ndarray:
    """Centroids of the weights, ascending, float64."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    ordered = np.sort(values).astype(np.float64)
    if len(ordered) > _FITTED:
        ordered = ordered[np.linspace(0, len(ordered) - 1, _FITTED).astype(np.int64)]
    start = np.linspace(ordered[0], ordered[-1], clusters)[:, None]
    one: Any = 1  # of one start; scikit-learn's annotation knows "auto" alone
    with threadpool_limits(1):  # several threads add up in an order of their own
        found = KMeans(clusters, init=start, n_init=one, max_iter=100).fit(ordered[:, None])
    return np.sort(found.cluster_centers_[:, 0])


def rounded(values: np.ndarray) -> np.ndarray:
    """The same in float16, if the error is below 2^-11 of the largest: else as they are.

    Zeros lose their sign, which would make them numbers of their own.
    """
    largest = np.abs(values).max(initial=0)
    fits = largest == 0 or _LEAST <= largest <= _MOST
    return (values.astype(np.float16) if fits else values).astype(values.dtype) + np.float32(0)
