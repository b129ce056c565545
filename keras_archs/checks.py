"""Checks of arguments that need no Keras, so that the command line can make them at once."""

import difflib
import math
import os
import sys
from collections.abc import Iterable
from numbers import Real
from pathlib import Path
from typing import Any

_LARGEST_ALPHA = 10_000
_MEMORY_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def nearest(name: str, names: Iterable[str]) -> str:
    """`" Did you mean 'x'?"` with the one of `names` that is most like `name`, or `""`."""
    by_lower = {known.lower(): known for known in names}
    close = difflib.get_close_matches(str(name).lower(), by_lower, n=1)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""


def is_count(value, least: int = 1) -> bool:
    """Whether it is an integer, of whatever library, from `least` on."""
    return hasattr(value, "__index__") and not isinstance(value, bool) and int(value) >= least


def count(name: str, value, least: int = 1, most: int | None = None) -> int:
    """The value as an `int`.

    Raises:
        ValueError: it is no integer from `least` to `most`.
    """
    if is_count(value, least) and (most is None or int(value) <= most):
        return int(value)
    wanted = f"an integer >= {least}" if most is None else f"an integer in [{least}, {most}]"
    raise ValueError(f"`{name}` must be {wanted}. Received: {name}={value!r}")


def number(
    name: str,
    value,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
) -> float:
    """The value as a `float`.

    Args:
        above, least: lower bound, which the value may not or may be.
        below, most: upper bound, which the value may not or may be.

    Raises:
        ValueError: it is no finite number within the bounds.
    """
    try:
        found = float(value) if isinstance(value, Real) and not isinstance(value, bool) else None
    except OverflowError:
        found = None
    within = (
        found is not None
        and math.isfinite(found)
        and (above is None or found > above)
        and (least is None or found >= least)
        and (below is None or found < below)
        and (most is None or found <= most)
    )
    if found is not None and within:
        return found
    if below is None and most is None:
        wanted = f"> {above}" if least is None else f">= {least}"
    else:
        opening = f"({above}" if least is None else f"[{least}"
        wanted = f"in {opening}, " + (f"{below})" if most is None else f"{most}]")
    raise ValueError(f"`{name}` must be {wanted}. Received: {name}={value!r}")


def choice(name: str, value, choices: Iterable[Any]) -> Any:
    """The value.

    Raises:
        ValueError: it is none of the choices; the message names the nearest.
    """
    choices = tuple(choices)
    if any(type(value) is type(known) and value == known for known in choices):
        return value
    hint = nearest(value, filter(_is_text, choices)) if _is_text(value) else ""
    raise ValueError(
        f"`{name}` must be one of {', '.join(map(repr, choices))}.{hint} Received: {name}={value!r}"
    )


def _is_text(value) -> bool:
    return isinstance(value, str)


def check_alpha(alpha: float) -> float:
    """The width multiplier as a `float`, a number in (0, 10000], else ValueError."""
    found = number("alpha", alpha, above=0)
    return number("alpha", found, above=0, most=_LARGEST_ALPHA)


def check_rho(rho: float) -> float:
    """The resolution multiplier as a `float`, a number in (0, 1], else ValueError."""
    return number("rho", rho, above=0, most=1)


def machine_memory() -> int:
    """Bytes that this process may have: the machine's, or fewer where its container has fewer."""
    found = sys.maxsize  # Windows does not say
    if hasattr(os, "sysconf"):
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in map(Path, _MEMORY_LIMITS):
        if file.is_file() and (text := file.read_text().strip()).isdecimal():
            found = min(found, int(text))
    return found


def gib(size: float) -> str:
    """Bytes as text: "1.5 GiB"; no float holds all that an integer can say."""
    return f"{size / 2**30:,.1f} GiB" if size < 2**80 else "more than 1 YiB"


def check_weights_fit(size: int, **received: Any) -> None:
    """Raise ValueError, naming what was received, where weights of so many bytes do not fit."""
    there = machine_memory()
    if size > there:
        named = " and ".join(f"`{name}`" for name in received)
        values = ", ".join(f"{name}={value!r}" for name, value in received.items())
        raise ValueError(
            f"{named} must make a network that fits into this machine's {gib(there)}. "
            f"Received: {values}, whose weights have {gib(size)}"
        )
