"""Search spaces, budgets and searches over the architectures of `keras_archs`.

>>> import keras_tuner, tuning
>>> hp = keras_tuner.HyperParameters()
>>> tuning.space(hp, input_shape=(32, 32, 3), classes=10, budget=tuning.Budget(params=300_000))
{'rows': ['15 3/1/1 bn relu drop0.2', ...]}

Importing this package imports neither Keras nor anything else that is heavy: a function's module
is imported when the function is first used.
"""

import importlib

_MODULE_OF = {
    "space": "tuning.spaces",
    "settings": "tuning.spaces",
    "arch_space": "tuning.spaces",
    "Budget": "tuning.budget",
    "lint": "tuning.principles",
    "search": "applications.searching.studies",  # trains, and so stands above this package
}

__all__ = ["principles", *_MODULE_OF]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name):
    if name == "principles":
        return importlib.import_module(f"{__name__}.principles")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__():
    return sorted({*globals(), *__all__})
