"""How good a network is, and why it says what it says."""

from keras_archs import lazy

# `explaining` and `networks` import Keras.
__getattr__, __dir__, __all__ = lazy.package(
    __name__,
    ("explaining", "networks"),
    {"print_metrics": "applications.evaluation.evaluating"},
)
