"""Search spaces, budgets and searches over the architectures of `keras_archs`.

>>> import keras_tuner, tuning
>>> hp = keras_tuner.HyperParameters()
>>> tuning.space(hp, input_shape=(32, 32, 3), classes=10, budget=tuning.Budget(params=300_000))
{'rows': ['15 3/1/1 bn relu drop0.2', ...]}

Importing this package imports neither Keras nor anything else that is heavy: a function's module
is imported when the function is first used.
"""

from keras_archs import lazy

__getattr__, __dir__, __all__ = lazy.package(
    __name__,
    modules=("principles", "linting", "budget", "spaces", "hypermodels"),
    exports={
        "space": "tuning.spaces",
        "settings": "tuning.spaces",
        "arch_space": "tuning.spaces",
        "HyperSimpNet": "tuning.hypermodels",
        "HyperArch": "tuning.hypermodels",
        "Budget": "tuning.budget",
        "lint": "tuning.linting",
        "search": "applications.searching.studies",  # trains, and so stands above this package
    },
    own=("principles",),
)
