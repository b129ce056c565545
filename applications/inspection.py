"""What an architecture costs before it is trained."""

from collections.abc import Mapping
from typing import Any

import keras_archs
from keras_archs import Profile


def summary(
    arch: str,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    size: int | tuple[int, int] | None = None,
    classes: int | None = None,
    channels: int | None = None,
    args: Mapping[str, Any] | None = None,
) -> Profile:
    """The cost of an architecture, layer by layer; nothing is allocated.

    Args:
        arch: its name, as `keras_archs.list_archs` has it.
        alpha: width multiplier, > 0.
        rho: resolution multiplier in (0, 1].
        size: side of the input in pixels, or (height, width). None: the paper's.
        classes: number of classes. None: the paper's.
        channels: channels of the input. None: the paper's.
        args: the architecture's own arguments, by name.

    Raises:
        ValueError, TypeError: an argument is wrong.
    """
    height, width, depth = keras_archs.info(arch).input_shape
    if size is not None:
        height, width = (size, size) if isinstance(size, int) else size
    return keras_archs.profile(
        arch,
        input_shape=(height, width, channels or depth),
        classes=classes,
        alpha=alpha,
        rho=rho,
        **(args or {}),
    )
