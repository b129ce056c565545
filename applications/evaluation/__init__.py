"""How good a network is, and why it says what it says."""

import importlib


def __getattr__(name):
    """`explaining` imports Keras: it is imported when it is first used."""
    if name != "explaining":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.explaining")
