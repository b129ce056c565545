"""Convolutional architectures from LeNet-5 to SimpNet as plain functional Keras 3 models.

>>> import keras_archs
>>> model = keras_archs.MobileNet(alpha=0.5)

Importing this package does not import Keras: a builder's module is imported when it is first used.
"""

from fnmatch import fnmatchcase

from keras_archs import lazy

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
    "mlp": ("MLP",),
}
_SUBMODULES = (
    *("checks", "memory", "registry", "graph", "kinds", "normalization", "cost", "surgery"),
    *("runtimes", "weights", "architecture", "heads", "families"),
)
_EXPORTS = {
    "build": "registry",
    "info": "registry",
    "ArchInfo": "architecture",
    "profile": "cost",
    "Profile": "cost",
    "LayerCost": "cost",
    "StageCost": "cost",
    "Comparison": "cost",
    "deployment": "cost",
    "Deployment": "cost",
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
    "prune_channels": "surgery",
    "load_compressed": "weights.compressed",
    "save_compressed": "weights.compressed",
    **{name: f"families.{module}" for module, names in MODULES.items() for name in names},
}


def list_archs(pattern: str = "*") -> list[str]:
    """Names that `build` and `info` take, sorted and in lower case.

    Args:
        pattern: a shell pattern such as `"resnet*"`; case does not matter.

    Raises:
        TypeError: the pattern is no text.
    """
    if not isinstance(pattern, str):
        raise TypeError(f"`pattern` must be a text. Received: pattern={pattern!r}")
    names = (name.lower() for names in MODULES.values() for name in names)
    return sorted(name for name in names if fnmatchcase(name, pattern.lower()))


__getattr__, __dir__, __all__ = lazy.package(
    __name__,
    _SUBMODULES,
    {name: f"keras_archs.{module}" for name, module in _EXPORTS.items()},
    own=("__version__", "list_archs", "cost", "surgery", "runtimes", "weights"),
)
