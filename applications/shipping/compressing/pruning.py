"""Pruning by magnitude: the smallest weights of kernels become 0, more of them step by step.

Han, Pool, Tran & Dally 2015, arXiv:1506.02626: the weights below a threshold go, the others are
trained on. Zhu & Gupta 2017, arXiv:1710.01878, equation 1: the share of those that are gone rises
with the cube of what is left. Departures: it starts at 0 and at the first step; kernels of
depthwise convolutions, which hold few weights and much of what a network can do, are not pruned
(section 4.2 there does the same).
"""

from collections.abc import Sequence

import numpy as np

_MOST = 0.99  # of a kernel's weights, whatever the smallest of all kernels are


def sparsity_at(step: int, last: int, final: float) -> float:
    """The share that is pruned after a step, which is `final` from the step `last` on."""
    left = max(0.0, 1 - step / max(1, last))
    return final * (1 - left**3)


def pruned(kernels: Sequence[np.ndarray], sparsity: float, per: str) -> list[np.ndarray]:
    """The kernels with this share of their weights, the smallest by magnitude, set to 0.

    Args:
        kernels: arrays of any shape.
        sparsity: in [0, 0.99]. Weights that are 0 already count.
        per: "layer": that share of each kernel; "global": of all together, of none more than 99 %.
    """
    counts = [round(sparsity * kernel.size) for kernel in kernels]
    if per == "global":
        sizes = np.concatenate([np.abs(kernel).ravel() for kernel in kernels])
        count = round(sparsity * sizes.size)
        limit = np.partition(sizes, count - 1)[count - 1] if count else -1.0
        counts = [
            min(int(np.count_nonzero(np.abs(kernel) <= limit)), int(_MOST * kernel.size))
            for kernel in kernels
        ]
    return [_without_smallest(kernel, n) for kernel, n in zip(kernels, counts, strict=True)]


def _without_smallest(kernel: np.ndarray, count: int) -> np.ndarray:
    flat = kernel.flatten()
    if count:
        flat[np.argsort(np.abs(flat), kind="stable")[:count]] = 0
    return flat.reshape(kernel.shape)
