"""Images that grow in the course of a training."""

import keras_archs
from applications.options import Plan

_STEPS = 4  # sizes, each for a quarter of the epochs


class Growth:
    """The size of the training images by epoch: progressive resizing.

    As fast.ai trains (DAWNBench 2018), in equal steps of the side; images of the first epochs are
    small and cheap. Validation and test images have their full size throughout.

    Args:
        plan: of the training.

    Raises:
        ValueError: the first size is below the smallest that the architecture takes.
    """

    def __init__(self, plan: Plan):
        self.size, self.epochs, self.first = plan.image_size, plan.epochs, plan.recipe.progressive
        if self.first == 1:
            return
        info, args = keras_archs.info(plan.options.arch), plan.options.args or {}
        smallest = info.min_size_for(**{k: v for k, v in args.items() if k != "dropout"})
        height, width = self._scaled(self.first)
        if min(height, width) < smallest:
            raise ValueError(
                f"`progressive` must leave images of {smallest}x{smallest} or more for "
                f"{plan.options.arch}. Received: progressive={self.first:g}, which makes "
                f"{height}x{width} of {self.size[0]}x{self.size[1]}"
            )

    def at(self, epoch: int) -> tuple[tuple[int, int], int]:
        """Height and width in this epoch, counted from 0, and the next one that may have others."""
        if self.first == 1:
            return self.size, self.epochs
        step = _STEPS * epoch // self.epochs
        return self._of(step), -(-(step + 1) * self.epochs // _STEPS)

    @property
    def smaller(self) -> list[tuple[int, int]]:
        """The sizes before the full one."""
        return [] if self.first == 1 else [self._of(step) for step in range(_STEPS - 1)]

    def _of(self, step: int) -> tuple[int, int]:
        return self._scaled(self.first + (1 - self.first) * step / (_STEPS - 1))

    def _scaled(self, share: float) -> tuple[int, int]:
        height, width = (max(1, round(share * side)) for side in self.size)
        return height, width
