"""Training a network and writing its run folder."""

from keras_archs import lazy

# It imports Keras.
__getattr__, __dir__, __all__ = lazy.package(
    __name__, ("memory", "optimizing", "training", "transferring"), {}
)
