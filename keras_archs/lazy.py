"""Packages whose names are imported when they are first used."""

import importlib
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any


def package(
    name: str, modules: Collection[str], exports: Mapping[str, str], own: Collection[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of the package `name`.

    Args:
        name: the package's `__name__`.
        modules: its submodules, reachable as its attributes. They are not in `__all__` unless
            `own` names them.
        exports: the module that defines each public name.
        own: other public names: those that the package defines itself and its public submodules.
    """

    def find(attribute: str):
        if attribute in exports:
            return getattr(importlib.import_module(exports[attribute]), attribute)
        if attribute in modules:
            return importlib.import_module(f"{name}.{attribute}")
        raise AttributeError(f"module {name!r} has no attribute {attribute!r}")

    public = [*own, *exports]
    return find, lambda: sorted({*vars(sys.modules[name]), *modules, *public}), public
