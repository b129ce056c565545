"""What is done with the architectures: train, evaluate, predict and compare them.

Every command of the command line is a function of the same name and arguments here; `list` is
`keras_archs.list_archs`.

>>> import applications
>>> run = applications.train("mobilenet", alpha=0.5, data="digits")

Importing this package imports neither Keras nor anything else that is heavy: a function's module
is imported when the function is first used.
"""

from keras_archs import lazy

_SUBMODULES = (
    *("data", "recipes", "files", "console", "children", "options", "runs", "evaluation", "logs"),
    *("training", "learning", "comparison", "searching", "shipping", "cli"),
)
_EXPORTS = {
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
    "distill": "learning.distilling",
    "grow": "learning.growing",
    "shrink": "learning.growing",
    "retrieve": "learning.retrieving",
    "specialists": "learning.specialists",
    "compress": "shipping.compressing.compressing",
    "new": "shipping.projects",
    "serve": "shipping.serving.serving",
    "export": "shipping.exporting.exporting",
    "dashboard": "logs.dashboards",
    "recipe": "recipes.catalog",
    "list_recipes": "recipes.catalog",
}

__getattr__, __dir__, __all__ = lazy.package(
    __name__,
    _SUBMODULES,
    {name: f"applications.{module}" for name, module in _EXPORTS.items()},
)
