"""What an architecture costs before it is trained, and which principles a network breaks."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras_archs
from keras_archs import Profile
from keras_archs._checks import nearest

if TYPE_CHECKING:
    import keras

    from tuning.principles import Finding


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


def lint(
    model: str | os.PathLike,
    *,
    alpha: float = 1.0,
    args: Mapping[str, Any] | None = None,
) -> "list[Finding]":
    """Which of SimpNet's principles a network breaks, and where.

    Args:
        model: name of an architecture, a run folder, or a `.keras` file, which is loaded in safe
            mode.
        alpha: width multiplier of an architecture, > 0.
        args: the architecture's own arguments, by name.

    Raises:
        ValueError, TypeError: there is no such network, it is no chain of layers (the layer where
            paths meet is named), or an argument is wrong.
    """
    from tuning.principles import lint

    return lint(_network(model, alpha, args))


def _network(
    model: str | os.PathLike, alpha: float, args: Mapping[str, Any] | None
) -> "keras.Model":
    path, names = Path(model), keras_archs.list_archs()
    if str(model).lower() in names:
        return keras_archs.build(str(model), alpha=alpha, **(args or {}))
    if alpha != 1 or args:
        raise ValueError(
            "`alpha` and `args` are for architectures: a trained network has its own. "
            f"Received: model={str(model)!r}"
        )
    if path.is_dir():
        from applications.runs import load

        return load(path).model
    if path.suffix == ".keras" and path.is_file():
        from applications.runs import load_network

        return load_network(path)
    raise ValueError(
        "`model` must be an architecture, a run folder or a .keras file."
        f"{nearest(str(model), names)} Received: model={str(model)!r}"
    )
