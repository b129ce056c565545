"""What two or more families share in their bodies."""

from collections.abc import Callable
from typing import Literal

Stem = Literal["imagenet", "small"]


def reducer(stem: Stem) -> Callable[[int], int]:
    """A function that the strides of a body pass through, in the network's order.

    Under `stem="small"` it turns the first two that reduce into 1: the map of a 32x32 image then
    ends at about 4x4 instead of 1x1. A pooling layer that stands alone is left out where it says 1.
    """
    to_skip = 2 if stem == "small" else 0

    def stride(paper_stride: int) -> int:
        nonlocal to_skip
        if paper_stride > 1 and to_skip:
            to_skip -= 1
            return 1
        return paper_stride

    return stride
