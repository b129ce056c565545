"""Architectures to compare, as they are typed."""

from collections.abc import Iterable
from typing import NamedTuple

from keras_archs.checks import check_alpha, check_rho, nearest
from keras_archs.registry import check_arch

CHECKS = {"alpha": check_alpha, "rho": check_rho}


class Entry(NamedTuple):
    """An architecture to train: its registered name, and multipliers or None for the default."""

    arch: str
    alpha: float | None = None
    rho: float | None = None


def parse_archs(archs: str | Iterable[str]) -> list[Entry]:
    """Reads `NAME[:OPTION=VALUE]...`, several separated by commas; OPTION is alpha or rho.

    >>> parse_archs("lenet5,mobilenet:alpha=0.5:rho=0.75")
    [Entry(arch='lenet5', alpha=None, rho=None), Entry(arch='mobilenet', alpha=0.5, rho=0.75)]

    Raises:
        ValueError: a name, an option or a value is not known or in range.
    """
    texts = archs.split(",") if isinstance(archs, str) else archs
    return [_parse_arch(text.strip()) for text in texts]


def _parse_arch(text: str) -> Entry:
    name, *settings = text.split(":")
    options = {}
    for setting in settings:
        option, equals, value = setting.partition("=")
        if option not in CHECKS or not equals or option in options:
            raise ValueError(
                "`archs` must be NAME[:OPTION=VALUE]..., OPTION one of alpha, rho, each once."
                f"{nearest(option, CHECKS) if option not in CHECKS else ''} Received: {text!r}"
            )
        try:
            options[option] = float(value)
        except ValueError:
            raise ValueError(f"`{option}` must be a number. Received: {text!r}") from None
        CHECKS[option](options[option])
    return Entry(check_arch(name).lower(), **options)
