"""What is done with the architectures: train, evaluate, predict and compare them.

Every command of the command line is a function of the same name and arguments here; `list` is
`keras_archs.list_archs`.

>>> import applications
>>> run = applications.train("mobilenet", alpha=0.5, data="digits")

Importing this package imports neither Keras nor anything else that is heavy: a function's module
is imported when the function is first used.
"""

import importlib

_MODULE_OF = {
    "Run": "runs",
    "load": "runs",
    "summary": "comparison.inspecting",
    "lint": "comparison.inspecting",
    "bench": "comparison.benching",
    "train": "training.training",
    "evaluate": "evaluation.evaluating",
    "predict": "evaluation.evaluating",
    "explain": "evaluation.explaining",
    "plot_architecture": "comparison.drawing",
    "compare": "comparison.comparing",
    "search": "searching.studies",
    "dashboard": "logs.dashboards",
    "recipe": "recipes.catalog",
    "list_recipes": "recipes.catalog",
}

__all__ = list(_MODULE_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__():
    return sorted({*globals(), *__all__})
