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
    "alexnet": ("AlexNet", "AlexNetOneTower"),
    "nin": ("NiN", "NiNCifar"),
    "vgg": ("VGG11", "VGG11LRN", "VGG13", "VGG16", "VGG16C", "VGG19"),
    "googlenet": ("GoogLeNet", "BNInception"),
    "inception_v3": ("InceptionV3",),
    "inception_v4": ("InceptionV4", "InceptionResNetV2"),
    "resnet": (
        *("ResNet18", "ResNet34", "ResNet50", "ResNet101", "ResNet152"),
        *("PlainNet18", "PlainNet34"),
    ),
    "resnet_v2": (
        *("ResNet18V2", "ResNet34V2", "ResNet50V2", "ResNet101V2", "ResNet152V2", "ResNet200V2"),
    ),
    "resnet_cifar": (
        *("ResNet20", "ResNet32", "ResNet44", "ResNet56", "ResNet110", "ResNet1202"),
        *("ResNet20V2", "ResNet32V2", "ResNet44V2", "ResNet56V2", "ResNet110V2", "ResNet1202V2"),
        *("PlainNet20", "PlainNet56"),
    ),
    "wide_resnet": (
        *("WideResNet", "WRN_16_4", "WRN_16_8", "WRN_28_10", "WRN_40_4"),
        *("WideResNet50_2", "WideResNet101_2"),
    ),
    "resnext": ("ResNeXt50_32x4d", "ResNeXt101_32x8d", "ResNeXt29_8x64d"),
    "densenet": (
        *("DenseNet121", "DenseNet161", "DenseNet169", "DenseNet201", "DenseNet264"),
        *("DenseNet40_12", "DenseNetBC_100_12", "DenseNetBC_250_24", "DenseNetBC_190_40"),
    ),
    "mobilenet": ("MobileNet", "MobileNetConv", "MobileNetShallow"),
    "mobilenet_v2": ("MobileNetV2",),
    "squeezenet": ("SqueezeNet", "SqueezeNet1_1"),
    "allcnn": ("AllCNN_A", "AllCNN_B", "AllCNN_C"),
    "simplenet": ("SimpleNet", "SimpleNet_310K", "SimpleNet_460K"),
    "simpnet": ("SimpNet", "SimpNet_9M", "SimpNet_1M", "SimpNet_600K", "SimpNet_300K"),
    "highway": ("Highway19", "Highway32"),
    "fitnet": ("FitNet19",),
}
_MODULE_OF = {name: f"families.{module}" for module, names in MODULES.items() for name in names}
_EXPORTS = {
    "ArchInfo": "architecture",
    "build": "registry",
    "info": "registry",
    "profile": "cost",
    "Profile": "cost",
    "LayerCost": "cost",
    "StageCost": "cost",
    "Comparison": "cost",
    "LocalResponseNormalization": "normalization",
    "runtime": "runtimes",
    "Predictor": "runtimes",
    "fold_batch_norm": "surgery",
    "to_fully_convolutional": "surgery",
    "low_rank": "surgery",
    "with_classes": "surgery",
    "with_channels": "surgery",
    "widen": "surgery",
    "deepen": "surgery",
    "grow": "surgery",
    "shrink": "surgery",
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
