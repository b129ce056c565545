"""What an architecture costs before it is trained, and which principles a network breaks."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import keras_archs
import tuning
from applications.comparison.comparing import Entry, parse_archs
from applications.comparison.drawing import plot_architecture
from applications.files import write_atomic
from applications.runs import load, load_network
from keras_archs import Profile
from keras_archs.checks import nearest
from keras_archs.cost.profiling import Comparison

if TYPE_CHECKING:
    import keras

    from tuning.principles import Finding


@overload
def summary(
    arch: str,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    size: int | tuple[int, int] | None = None,
    classes: int | None = None,
    channels: int | None = None,
    args: Mapping[str, Any] | None = None,
    compare: None = None,
    stages: bool = False,
    csv: str | os.PathLike[str] | None = None,
    svg: str | os.PathLike[str] | None = None,
) -> Profile: ...


@overload
def summary(
    arch: str,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    size: int | tuple[int, int] | None = None,
    classes: int | None = None,
    channels: int | None = None,
    args: Mapping[str, Any] | None = None,
    compare: str,
    stages: bool = False,
    csv: str | os.PathLike[str] | None = None,
    svg: str | os.PathLike[str] | None = None,
) -> Comparison: ...


def summary(
    arch: str,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    size: int | tuple[int, int] | None = None,
    classes: int | None = None,
    channels: int | None = None,
    args: Mapping[str, Any] | None = None,
    compare: str | None = None,
    stages: bool = False,
    csv: str | os.PathLike[str] | None = None,
    svg: str | os.PathLike[str] | None = None,
) -> Profile | Comparison:
    """The cost of an architecture, layer by layer, or of two side by side; nothing is allocated.

    Args:
        arch: its name, as `keras_archs.list_archs` has it.
        alpha: width multiplier, > 0.
        rho: resolution multiplier in (0, 1].
        size: side of the input in pixels, or (height, width). None: the paper's.
        classes: number of classes. None: the paper's.
        channels: channels of the input. None: the paper's.
        args: the architecture's own arguments, by name.
        compare: another architecture, `NAME[:alpha=A][:rho=R]`, whose cost is given beside the
            first one's. All arguments but `args` are for both; its own `alpha` and `rho` win.
        stages: write the subtotals of the stages to `csv` in place of the layers.
        csv: a file for the table: `Profile.to_dataframe()`, or `Comparison.to_dataframe()`. One
            that exists is replaced.
        svg: an `.svg` file for a drawing of the first architecture, `plot_architecture`.

    Raises:
        ValueError, TypeError: an argument is wrong.
    """

    def arguments(entry: Entry, args: Mapping[str, Any] | None) -> dict[str, Any]:
        height, width, depth = keras_archs.info(entry.arch).input_shape
        if size is not None:
            height, width = (size, size) if isinstance(size, int) else size
        return {
            "input_shape": (height, width, channels or depth),
            "classes": classes,
            "alpha": alpha if entry.alpha is None else entry.alpha,
            "rho": rho if entry.rho is None else entry.rho,
            **(args or {}),
        }

    def priced(entry: Entry, args: Mapping[str, Any] | None) -> Profile:
        return keras_archs.profile(entry.arch, **arguments(entry, args))

    if svg is not None:
        plot_architecture(arch, svg, **arguments(Entry(arch), args))

    cost = priced(Entry(arch), args)
    if compare is None:
        table = cost.to_dataframe(stages)
    else:
        (entry,) = parse_archs([compare])
        cost = cost.compare(dataclasses.replace(priced(entry, None), name=compare))
        table = cost.to_dataframe()
    if csv is not None:
        write_atomic(csv, table.to_csv(index=False, lineterminator="\n"))
    return cost


def lint(
    model: str | os.PathLike[str],
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
    return tuning.lint(_network(model, alpha, args))


def _network(
    model: str | os.PathLike[str], alpha: float, args: Mapping[str, Any] | None
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
        return load(path).model
    if path.suffix == ".keras" and path.is_file():
        return load_network(path)
    raise ValueError(
        "`model` must be an architecture, a run folder or a .keras file."
        f"{nearest(str(model), names)} Received: model={str(model)!r}"
    )
