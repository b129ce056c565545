"""Checks of arguments that need no Keras, so that the command line can make them at once."""

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real


def nearest(name: str, names: Iterable[str]) -> str:
    """`" Did you mean 'x'?"` with the one of `names` that is most like `name`, or `""`."""
    by_lower = {known.lower(): known for known in names}
    close = difflib.get_close_matches(str(name).lower(), by_lower, n=1)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""


def _is_finite(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def check_alpha(alpha: float):
    """Raise ValueError unless the width multiplier is a finite number > 0."""
    if not (_is_finite(alpha) and alpha > 0):
        raise ValueError(f"`alpha` must be > 0. Received: alpha={alpha!r}")


def check_rho(rho: float):
    """Raise ValueError unless the resolution multiplier is a number in (0, 1]."""
    if not (_is_finite(rho) and 0 < rho <= 1):
        raise ValueError(f"`rho` must be in (0, 1]. Received: rho={rho!r}")


def check_count(name: str, value, most: int | None = None):
    """Raise ValueError unless `value` is an integer >= 1 and at most `most`."""
    count = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else 0
    if count < 1 or (most is not None and count > most):
        wanted = "an integer >= 1" if most is None else f"an integer in [1, {most}]"
        raise ValueError(f"`{name}` must be {wanted}. Received: {name}={value!r}")
