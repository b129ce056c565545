"""One family of architectures a file; `blocks`, `inception_blocks`, `chains`: what two share."""

import keras_archs
from keras_archs import lazy

__getattr__, __dir__, __all__ = lazy.package(__name__, keras_archs.MODULES, {})
