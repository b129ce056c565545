"""Convolutional architectures from LeNet-5 to SimpNet as plain functional Keras 3 models.

>>> import keras_archs
>>> model = keras_archs.MobileNet(alpha=0.5)

Importing this package does not import Keras: a builder's module is imported when it is first used.
"""

import importlib
from fnmatch import fnmatchcase

__version__ = "0.1.0"

# One line a module: its public names in the order of `list_archs`' documentation. `@architecture`
# refuses a builder that is not in its module's line.
MODULES = {
    "lenet": ("LeNet5",),
    "mobilenet": ("MobileNet", "MobileNetConv", "MobileNetShallow"),
    "resnet": (
        *("ResNet18", "ResNet34", "ResNet50", "ResNet101", "ResNet152", "PlainNet18", "PlainNet34"),
        *("ResNet20", "ResNet32", "ResNet44", "ResNet56", "ResNet110", "ResNet1202"),
        *("PlainNet20", "PlainNet56"),
    ),
    "simpnet": ("SimpNet", "SimpNet_9M", "SimpNet_1M", "SimpNet_600K", "SimpNet_300K"),
    "squeezenet": ("SqueezeNet", "SqueezeNet1_1"),
}
_MODULE_OF = {name: module for module, names in MODULES.items() for name in names}
_EXPORTS = {
    "ArchInfo": "_architecture",
    "build": "_architecture",
    "info": "_architecture",
    "profile": "cost",
    "Profile": "cost",
    "LayerCost": "cost",
}

__all__ = ["__version__", "list_archs", *_EXPORTS, *_MODULE_OF]  # pyright: ignore[reportUnsupportedDunderAll]


def list_archs(pattern: str = "*") -> list[str]:
    """Names that `build` and `info` take, sorted and in lower case.

    Args:
        pattern: a shell pattern such as `"resnet*"`; case does not matter.
    """
    names = (name.lower() for name in _MODULE_OF)
    return sorted(name for name in names if fnmatchcase(name, pattern.lower()))


def __getattr__(name):
    module = _EXPORTS.get(name) or _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def __dir__():
    return sorted({*globals(), *__all__})
