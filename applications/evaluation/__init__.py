"""How good a network is, and why it says what it says."""

from keras_archs import lazy

# `explaining` and `networks` import Keras, `pictures` imports Pillow.
__getattr__, __dir__, __all__ = lazy.package(
    __name__,
    ("explaining", "networks", "pictures"),
    {"print_metrics": "applications.evaluation.tables"},
)
