"""The command line: `app` is `keras-archs`."""

from keras_archs import lazy

__getattr__, __dir__, __all__ = lazy.package(
    __name__, ("commands",), {"app": "applications.cli.commands"}
)
