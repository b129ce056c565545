# Made by `python docs/stubs.py`: change the code that it describes.

import os
from collections.abc import Callable, Sequence
from typing import Generic, Literal, ParamSpec

import keras

from keras_archs import architecture as architecture
from keras_archs import checks as checks
from keras_archs import cost as cost
from keras_archs import families as families
from keras_archs import graph as graph
from keras_archs import heads as heads
from keras_archs import kinds as kinds
from keras_archs import lazy as lazy
from keras_archs import memory as memory
from keras_archs import normalization as normalization
from keras_archs import registry as registry
from keras_archs import runtimes as runtimes
from keras_archs import surgery as surgery
from keras_archs import weights as weights
from keras_archs.architecture import ArchInfo as ArchInfo
from keras_archs.cost import Comparison as Comparison
from keras_archs.cost import Deployment as Deployment
from keras_archs.cost import LayerCost as LayerCost
from keras_archs.cost import Profile as Profile
from keras_archs.cost import StageCost as StageCost
from keras_archs.cost import deployment as deployment
from keras_archs.cost import profile as profile
from keras_archs.normalization import LocalResponseNormalization as LocalResponseNormalization
from keras_archs.registry import build as build
from keras_archs.registry import info as info
from keras_archs.runtimes import Predictor as Predictor
from keras_archs.runtimes import runtime as runtime
from keras_archs.surgery import deepen as deepen
from keras_archs.surgery import fold_batch_norm as fold_batch_norm
from keras_archs.surgery import grow as grow
from keras_archs.surgery import low_rank as low_rank
from keras_archs.surgery import prune_channels as prune_channels
from keras_archs.surgery import shrink as shrink
from keras_archs.surgery import to_fully_convolutional as to_fully_convolutional
from keras_archs.surgery import widen as widen
from keras_archs.surgery import with_channels as with_channels
from keras_archs.surgery import with_classes as with_classes
from keras_archs.weights.compressed import load_compressed as load_compressed
from keras_archs.weights.compressed import save_compressed as save_compressed

__all__ = [
    "__version__",
    "list_archs",
    "cost",
    "surgery",
    "runtimes",
    "weights",
    "build",
    "info",
    "ArchInfo",
    "profile",
    "Profile",
    "LayerCost",
    "StageCost",
    "Comparison",
    "deployment",
    "Deployment",
    "LocalResponseNormalization",
    "runtime",
    "Predictor",
    "fold_batch_norm",
    "to_fully_convolutional",
    "low_rank",
    "with_classes",
    "with_channels",
    "widen",
    "deepen",
    "grow",
    "shrink",
    "prune_channels",
    "load_compressed",
    "save_compressed",
    "LeNet5",
    "AlexNet",
    "AlexNetOneTower",
    "NiN",
    "NiNCifar",
    "VGG11",
    "VGG11LRN",
    "VGG13",
    "VGG16",
    "VGG16C",
    "VGG19",
    "GoogLeNet",
    "BNInception",
    "InceptionV3",
    "InceptionV4",
    "InceptionResNetV2",
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "PlainNet18",
    "PlainNet34",
    "ResNet18V2",
    "ResNet34V2",
    "ResNet50V2",
    "ResNet101V2",
    "ResNet152V2",
    "ResNet200V2",
    "ResNet20",
    "ResNet32",
    "ResNet44",
    "ResNet56",
    "ResNet110",
    "ResNet1202",
    "ResNet20V2",
    "ResNet32V2",
    "ResNet44V2",
    "ResNet56V2",
    "ResNet110V2",
    "ResNet1202V2",
    "PlainNet20",
    "PlainNet56",
    "WideResNet",
    "WRN_16_4",
    "WRN_16_8",
    "WRN_28_10",
    "WRN_40_4",
    "WideResNet50_2",
    "WideResNet101_2",
    "ResNeXt50_32x4d",
    "ResNeXt101_32x8d",
    "ResNeXt29_8x64d",
    "DenseNet121",
    "DenseNet161",
    "DenseNet169",
    "DenseNet201",
    "DenseNet264",
    "DenseNet40_12",
    "DenseNetBC_100_12",
    "DenseNetBC_250_24",
    "DenseNetBC_190_40",
    "MobileNet",
    "MobileNetConv",
    "MobileNetShallow",
    "MobileNetV2",
    "SqueezeNet",
    "SqueezeNet1_1",
    "AllCNN_A",
    "AllCNN_B",
    "AllCNN_C",
    "SimpleNet",
    "SimpleNet_310K",
    "SimpleNet_460K",
    "SimpNet",
    "SimpNet_9M",
    "SimpNet_1M",
    "SimpNet_600K",
    "SimpNet_300K",
    "Highway19",
    "Highway32",
    "FitNet19",
    "MLP",
]
__version__: str
MODULES: dict[str, tuple[str, ...]]

_Arguments = ParamSpec("_Arguments")

class _Builder(Generic[_Arguments]):
    """What `@architecture` makes of a body."""

    info: ArchInfo
    __name__: str
    def __call__(self, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> keras.Model: ...

def _builder(body: Callable[_Arguments, keras.Model]) -> _Builder[_Arguments]: ...
def list_archs(pattern: str = "*") -> list[str]:
    """Names that `build` and `info` take, sorted and in lower case.

    Args:
        pattern: a shell pattern such as `"resnet*"`; case does not matter.

    Raises:
        TypeError: the pattern is no text.
    """

@_builder
def LeNet5(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    variant: Literal["common", "1998"] = "common",
) -> keras.Model:
    """Two 5x5 convolutions with average pooling, then three dense layers.

    LeCun et al. 1998, Proc. IEEE 86(11), section II.B, Figure 2. By default for images of
    32x32x1 and 10 classes; sides of at least 16 pixels.
    """

@_builder
def AlexNet(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["paper", "caffe"] = "paper",
) -> keras.Model:
    """Five convolutions, three of them in two towers, then three dense layers.

    Krizhevsky et al. 2012, NIPS 25, section 3.5, Figure 2. By default for images of 227x227x3
    and 1000 classes; sides of at least 67 pixels.
    """

@_builder
def AlexNetOneTower(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
) -> keras.Model:
    """Five convolutions and three dense layers in one tower.

    Krizhevsky 2014, arXiv:1404.5997, as in Torchvision. By default for images of 224x224x3 and
    1000 classes; sides of at least 63 pixels.
    """

@_builder
def NiN(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
) -> keras.Model:
    """Four blocks for ImageNet.

    Lin et al. 2013, arXiv:1312.4400, Figure 2; widths of the authors' Caffe files. By default
    for images of 227x227x3 and 1000 classes; sides of at least 39 pixels.
    """

@_builder
def NiNCifar(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Three blocks for CIFAR-10.

    Lin et al. 2013, arXiv:1312.4400, Figure 2; widths of the authors' Caffe files. By default
    for images of 32x32x3 and 10 classes; sides of at least 4 pixels.
    """

@_builder
def VGG11(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    batch_norm: bool = False,
) -> keras.Model:
    """Eight 3x3 convolutions and three dense layers: column A.

    Simonyan & Zisserman 2014, arXiv:1409.1556, Table 1. By default for images of 224x224x3 and
    1000 classes; sides of at least 32 pixels.
    """

@_builder
def VGG11LRN(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    batch_norm: bool = False,
) -> keras.Model:
    """VGG11 with local response normalisation after the first convolution: column A-LRN.

    Simonyan & Zisserman 2014, arXiv:1409.1556, Table 1. By default for images of 224x224x3 and
    1000 classes; sides of at least 32 pixels.
    """

@_builder
def VGG13(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    batch_norm: bool = False,
) -> keras.Model:
    """Ten 3x3 convolutions and three dense layers: column B.

    Simonyan & Zisserman 2014, arXiv:1409.1556, Table 1. By default for images of 224x224x3 and
    1000 classes; sides of at least 32 pixels.
    """

@_builder
def VGG16(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    batch_norm: bool = False,
) -> keras.Model:
    """Thirteen 3x3 convolutions and three dense layers: column D.

    Simonyan & Zisserman 2014, arXiv:1409.1556, Table 1. By default for images of 224x224x3 and
    1000 classes; sides of at least 32 pixels.
    """

@_builder
def VGG16C(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    batch_norm: bool = False,
) -> keras.Model:
    """Ten 3x3 and three 1x1 convolutions and three dense layers: column C.

    Simonyan & Zisserman 2014, arXiv:1409.1556, Table 1. By default for images of 224x224x3 and
    1000 classes; sides of at least 32 pixels.
    """

@_builder
def VGG19(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    batch_norm: bool = False,
) -> keras.Model:
    """Sixteen 3x3 convolutions and three dense layers: column E.

    Simonyan & Zisserman 2014, arXiv:1409.1556, Table 1. By default for images of 224x224x3 and
    1000 classes; sides of at least 32 pixels.
    """

@_builder
def GoogLeNet(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["caffe", "torch"] = "caffe",
    aux: bool = False,
) -> keras.Model:
    """Three convolutions, then nine inception modules (Inception v1).

    Szegedy et al. 2014, arXiv:1409.4842, Table 1. By default for images of 224x224x3 and 1000
    classes; sides of at least 31 pixels.
    """

@_builder
def BNInception(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    separable_stem: bool = False,
) -> keras.Model:
    """Three convolutions, then ten inception modules with BatchNorm (Inception v2).

    Ioffe and Szegedy 2015, arXiv:1502.03167, Figure 5. By default for images of 224x224x3 and
    1000 classes; sides of at least 23 pixels.
    """

@_builder
def InceptionV3(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
    aux: bool = False,
) -> keras.Model:
    """Five convolutions, then eleven Inception modules at 35x35, 17x17 and 8x8.

    Szegedy et al. 2015, arXiv:1512.00567, Table 1. By default for images of 299x299x3 and 1000
    classes; sides of at least 75 pixels.
    """

@_builder
def InceptionV4(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
) -> keras.Model:
    """A stem that branches, then 4, 7 and 3 Inception modules at 35x35, 17x17 and 8x8.

    Szegedy et al. 2016, arXiv:1602.07261, Figure 9. By default for images of 299x299x3 and 1000
    classes; sides of at least 75 pixels.
    """

@_builder
def InceptionResNetV2(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
) -> keras.Model:
    """The stem of Inception v3, then 10, 20 and 10 residual blocks at 35x35, 17x17 and 8x8.

    Szegedy et al. 2016, arXiv:1602.07261, Figures 15 to 19. By default for images of 299x299x3
    and 1000 classes; sides of at least 75 pixels.
    """

@_builder
def ResNet18(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch", "caffe"] = "keras",
) -> keras.Model:
    """18 layers: residual blocks of two 3x3 convolutions.

    He et al. 2015, arXiv:1512.03385, Table 1. By default for images of 224x224x3 and 1000
    classes; sides of at least 17 pixels.
    """

@_builder
def ResNet34(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch", "caffe"] = "keras",
) -> keras.Model:
    """34 layers: residual blocks of two 3x3 convolutions.

    He et al. 2015, arXiv:1512.03385, Table 1. By default for images of 224x224x3 and 1000
    classes; sides of at least 17 pixels.
    """

@_builder
def ResNet50(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch", "caffe"] = "keras",
) -> keras.Model:
    """50 layers: residual bottlenecks of 1x1, 3x3 and 1x1 convolutions.

    He et al. 2015, arXiv:1512.03385, Table 1. By default for images of 224x224x3 and 1000
    classes; sides of at least 17 pixels.
    """

@_builder
def ResNet101(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch", "caffe"] = "keras",
) -> keras.Model:
    """101 layers: residual bottlenecks of 1x1, 3x3 and 1x1 convolutions.

    He et al. 2015, arXiv:1512.03385, Table 1. By default for images of 224x224x3 and 1000
    classes; sides of at least 17 pixels.
    """

@_builder
def ResNet152(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch", "caffe"] = "keras",
) -> keras.Model:
    """152 layers: residual bottlenecks of 1x1, 3x3 and 1x1 convolutions.

    He et al. 2015, arXiv:1512.03385, Table 1. By default for images of 224x224x3 and 1000
    classes; sides of at least 17 pixels.
    """

@_builder
def PlainNet18(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch", "caffe"] = "keras",
) -> keras.Model:
    """ResNet18 without its shortcuts.

    He et al. 2015, arXiv:1512.03385, Table 1. By default for images of 224x224x3 and 1000
    classes; sides of at least 17 pixels.
    """

@_builder
def PlainNet34(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch", "caffe"] = "keras",
) -> keras.Model:
    """ResNet34 without its shortcuts.

    He et al. 2015, arXiv:1512.03385, Table 1. By default for images of 224x224x3 and 1000
    classes; sides of at least 17 pixels.
    """

@_builder
def ResNet18V2(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
) -> keras.Model:
    """18 layers: pre-activation units of two 3x3 convolutions.

    He et al. 2016, arXiv:1603.05027, Figure 4(e). By default for images of 224x224x3 and 1000
    classes; sides of at least 17 pixels.
    """

@_builder
def ResNet34V2(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
) -> keras.Model:
    """34 layers: pre-activation units of two 3x3 convolutions.

    He et al. 2016, arXiv:1603.05027, Figure 4(e). By default for images of 224x224x3 and 1000
    classes; sides of at least 17 pixels.
    """

@_builder
def ResNet50V2(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
) -> keras.Model:
    """50 layers: pre-activation units of 1x1, 3x3 and 1x1 convolutions.

    He et al. 2016, arXiv:1603.05027, Figure 4(e). By default for images of 224x224x3 and 1000
    classes; sides of at least 17 pixels.
    """

@_builder
def ResNet101V2(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
) -> keras.Model:
    """101 layers: pre-activation units of 1x1, 3x3 and 1x1 convolutions.

    He et al. 2016, arXiv:1603.05027, Figure 4(e). By default for images of 224x224x3 and 1000
    classes; sides of at least 17 pixels.
    """

@_builder
def ResNet152V2(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
) -> keras.Model:
    """152 layers: pre-activation units of 1x1, 3x3 and 1x1 convolutions.

    He et al. 2016, arXiv:1603.05027, Figure 4(e). By default for images of 224x224x3 and 1000
    classes; sides of at least 17 pixels.
    """

@_builder
def ResNet200V2(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
) -> keras.Model:
    """200 layers: pre-activation units of 1x1, 3x3 and 1x1 convolutions.

    He et al. 2016, arXiv:1603.05027, Figure 4(e). By default for images of 224x224x3 and 1000
    classes; sides of at least 17 pixels.
    """

@_builder
def ResNet20(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    downsample: Literal["stride", "maxpool"] = "stride",
) -> keras.Model:
    """20 layers for small images: residual blocks of two 3x3 convolutions.

    He et al. 2015, arXiv:1512.03385, section 4.2. By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def ResNet32(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    downsample: Literal["stride", "maxpool"] = "stride",
) -> keras.Model:
    """32 layers for small images: residual blocks of two 3x3 convolutions.

    He et al. 2015, arXiv:1512.03385, section 4.2. By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def ResNet44(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    downsample: Literal["stride", "maxpool"] = "stride",
) -> keras.Model:
    """44 layers for small images: residual blocks of two 3x3 convolutions.

    He et al. 2015, arXiv:1512.03385, section 4.2. By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def ResNet56(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    downsample: Literal["stride", "maxpool"] = "stride",
) -> keras.Model:
    """56 layers for small images: residual blocks of two 3x3 convolutions.

    He et al. 2015, arXiv:1512.03385, section 4.2. By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def ResNet110(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    downsample: Literal["stride", "maxpool"] = "stride",
) -> keras.Model:
    """110 layers for small images: residual blocks of two 3x3 convolutions.

    He et al. 2015, arXiv:1512.03385, section 4.2. By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def ResNet1202(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    downsample: Literal["stride", "maxpool"] = "stride",
) -> keras.Model:
    """1202 layers for small images: residual blocks of two 3x3 convolutions.

    He et al. 2015, arXiv:1512.03385, section 4.2. By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def ResNet20V2(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    downsample: Literal["stride", "maxpool"] = "stride",
) -> keras.Model:
    """20 layers for small images: pre-activation units of two 3x3 convolutions.

    He et al. 2016, arXiv:1603.05027, Figure 4(e). By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def ResNet32V2(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    downsample: Literal["stride", "maxpool"] = "stride",
) -> keras.Model:
    """32 layers for small images: pre-activation units of two 3x3 convolutions.

    He et al. 2016, arXiv:1603.05027, Figure 4(e). By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def ResNet44V2(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    downsample: Literal["stride", "maxpool"] = "stride",
) -> keras.Model:
    """44 layers for small images: pre-activation units of two 3x3 convolutions.

    He et al. 2016, arXiv:1603.05027, Figure 4(e). By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def ResNet56V2(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    downsample: Literal["stride", "maxpool"] = "stride",
) -> keras.Model:
    """56 layers for small images: pre-activation units of two 3x3 convolutions.

    He et al. 2016, arXiv:1603.05027, Figure 4(e). By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def ResNet110V2(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    downsample: Literal["stride", "maxpool"] = "stride",
) -> keras.Model:
    """110 layers for small images: pre-activation units of two 3x3 convolutions.

    He et al. 2016, arXiv:1603.05027, Figure 4(e). By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def ResNet1202V2(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    downsample: Literal["stride", "maxpool"] = "stride",
) -> keras.Model:
    """1202 layers for small images: pre-activation units of two 3x3 convolutions.

    He et al. 2016, arXiv:1603.05027, Figure 4(e). By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def PlainNet20(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    downsample: Literal["stride", "maxpool"] = "stride",
) -> keras.Model:
    """ResNet20 without its shortcuts.

    He et al. 2015, arXiv:1512.03385, section 4.2. By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def PlainNet56(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    downsample: Literal["stride", "maxpool"] = "stride",
) -> keras.Model:
    """ResNet56 without its shortcuts.

    He et al. 2015, arXiv:1512.03385, section 4.2. By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def WideResNet(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    depth: int = 28,
    k: int = 10,
) -> keras.Model:
    """Wide residual network of any depth and width.

    Zagoruyko and Komodakis 2016, arXiv:1605.07146, Table 1. By default for images of 32x32x3
    and 10 classes; sides of at least 3 pixels.
    """

@_builder
def WRN_16_4(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """16 layers for small images, 4 times as wide as ResNet's.

    Zagoruyko and Komodakis 2016, arXiv:1605.07146, Table 1. By default for images of 32x32x3
    and 10 classes; sides of at least 3 pixels.
    """

@_builder
def WRN_16_8(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """16 layers for small images, 8 times as wide as ResNet's.

    Zagoruyko and Komodakis 2016, arXiv:1605.07146, Table 1. By default for images of 32x32x3
    and 10 classes; sides of at least 3 pixels.
    """

@_builder
def WRN_28_10(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """28 layers for small images, 10 times as wide as ResNet's.

    Zagoruyko and Komodakis 2016, arXiv:1605.07146, Table 1. By default for images of 32x32x3
    and 10 classes; sides of at least 3 pixels.
    """

@_builder
def WRN_40_4(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """40 layers for small images, 4 times as wide as ResNet's.

    Zagoruyko and Komodakis 2016, arXiv:1605.07146, Table 1. By default for images of 32x32x3
    and 10 classes; sides of at least 3 pixels.
    """

@_builder
def WideResNet50_2(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
) -> keras.Model:
    """ResNet50 with bottlenecks twice as wide inside.

    Zagoruyko and Komodakis 2016, arXiv:1605.07146, Table 8. By default for images of 224x224x3
    and 1000 classes; sides of at least 17 pixels.
    """

@_builder
def WideResNet101_2(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
) -> keras.Model:
    """ResNet101 with bottlenecks twice as wide inside.

    Zagoruyko and Komodakis 2016, arXiv:1605.07146; torchvision's wide_resnet101_2. By default
    for images of 224x224x3 and 1000 classes; sides of at least 17 pixels.
    """

@_builder
def ResNeXt50_32x4d(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
) -> keras.Model:
    """50 layers: residual bottlenecks of 32 groups, of 4 channels each in the first stage.

    Xie et al. 2016, arXiv:1611.05431, Table 1. By default for images of 224x224x3 and 1000
    classes; sides of at least 17 pixels.
    """

@_builder
def ResNeXt101_32x8d(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
) -> keras.Model:
    """101 layers: residual bottlenecks of 32 groups, of 8 channels each in the first stage.

    Xie et al. 2016, arXiv:1611.05431; torchvision's resnext101_32x8d. By default for images of
    224x224x3 and 1000 classes; sides of at least 17 pixels.
    """

@_builder
def ResNeXt29_8x64d(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """29 layers for small images: bottlenecks of 8 groups, of 64 channels each at first.

    Xie et al. 2016, arXiv:1611.05431, section 5.3. By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def DenseNet121(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
) -> keras.Model:
    """Blocks of 6, 12, 24 and 16 layers that add 32 channels each.

    Huang et al. 2017, arXiv:1608.06993, Table 1. By default for images of 224x224x3 and 1000
    classes; sides of at least 29 pixels.
    """

@_builder
def DenseNet161(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
) -> keras.Model:
    """Blocks of 6, 12, 36 and 24 layers that add 48 channels each.

    Huang et al. 2017, arXiv:1608.06993, Table 1. By default for images of 224x224x3 and 1000
    classes; sides of at least 29 pixels.
    """

@_builder
def DenseNet169(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
) -> keras.Model:
    """Blocks of 6, 12, 32 and 32 layers that add 32 channels each.

    Huang et al. 2017, arXiv:1608.06993, Table 1. By default for images of 224x224x3 and 1000
    classes; sides of at least 29 pixels.
    """

@_builder
def DenseNet201(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
) -> keras.Model:
    """Blocks of 6, 12, 48 and 32 layers that add 32 channels each.

    Huang et al. 2017, arXiv:1608.06993, Table 1. By default for images of 224x224x3 and 1000
    classes; sides of at least 29 pixels.
    """

@_builder
def DenseNet264(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
) -> keras.Model:
    """Blocks of 6, 12, 64 and 48 layers that add 32 channels each.

    Huang et al. 2017, arXiv:1608.06993, Table 1. By default for images of 224x224x3 and 1000
    classes; sides of at least 29 pixels.
    """

@_builder
def DenseNet40_12(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """40 layers for small images, without bottlenecks and compression, growing by 12.

    Huang et al. 2017, arXiv:1608.06993, section 3 and Table 2. By default for images of 32x32x3
    and 10 classes; sides of at least 4 pixels.
    """

@_builder
def DenseNetBC_100_12(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """100 layers for small images, with bottlenecks and compression, growing by 12.

    Huang et al. 2017, arXiv:1608.06993, section 3 and Table 2. By default for images of 32x32x3
    and 10 classes; sides of at least 4 pixels.
    """

@_builder
def DenseNetBC_250_24(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """250 layers for small images, with bottlenecks and compression, growing by 24.

    Huang et al. 2017, arXiv:1608.06993, section 3 and Table 2. By default for images of 32x32x3
    and 10 classes; sides of at least 4 pixels.
    """

@_builder
def DenseNetBC_190_40(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """190 layers for small images, with bottlenecks and compression, growing by 40.

    Huang et al. 2017, arXiv:1608.06993, section 3 and Table 2. By default for images of 32x32x3
    and 10 classes; sides of at least 4 pixels.
    """

@_builder
def MobileNet(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
) -> keras.Model:
    """One 3x3 convolution, then 13 depthwise separable blocks.

    Howard et al. 2017, arXiv:1704.04861, Table 1. By default for images of 224x224x3 and 1000
    classes; sides of at least 31 pixels.
    """

@_builder
def MobileNetConv(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
) -> keras.Model:
    """MobileNet with one full 3x3 convolution for every depthwise separable block (Table 4).

    Howard et al. 2017, arXiv:1704.04861, Table 4. By default for images of 224x224x3 and 1000
    classes; sides of at least 31 pixels.
    """

@_builder
def MobileNetShallow(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
) -> keras.Model:
    """MobileNet without the five blocks of 512 filters at 14x14 (Table 5).

    Howard et al. 2017, arXiv:1704.04861, Table 5. By default for images of 224x224x3 and 1000
    classes; sides of at least 31 pixels.
    """

@_builder
def MobileNetV2(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["keras", "torch"] = "keras",
) -> keras.Model:
    """One 3x3 convolution, 17 inverted residual blocks, one 1x1 convolution.

    Sandler et al. 2018, arXiv:1801.04381, Table 2. By default for images of 224x224x3 and 1000
    classes; sides of at least 17 pixels.
    """

@_builder
def SqueezeNet(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["paper", "caffe", "torch"] = "paper",
    bypass: Literal[None, "simple", "complex"] = None,
    downsample: Literal["maxpool", "saf"] = "maxpool",
) -> keras.Model:
    """One 7x7 convolution, then eight fire modules (version 1.0).

    Iandola et al. 2016, arXiv:1602.07360, Table 1. By default for images of 227x227x3 and 1000
    classes; sides of at least 35 pixels.
    """

@_builder
def SqueezeNet1_1(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    stem: Literal["imagenet", "small"] = "imagenet",
    layout: Literal["paper", "caffe", "torch"] = "paper",
    downsample: Literal["maxpool", "saf"] = "maxpool",
) -> keras.Model:
    """One 3x3 convolution, then eight fire modules, pooled earlier (version 1.1).

    Iandola et al. 2016, github.com/forresti/SqueezeNet, SqueezeNet_v1.1. By default for images
    of 227x227x3 and 1000 classes; sides of at least 31 pixels.
    """

@_builder
def AllCNN_A(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    variant: Literal["all", "strided", "convpool", "base"] = "all",
) -> keras.Model:
    """One 5x5 convolution before each reduction.

    Springenberg et al. 2015, arXiv:1412.6806, Tables 1 and 2. By default for images of 32x32x3
    and 10 classes; sides of at least 9 pixels.
    """

@_builder
def AllCNN_B(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    variant: Literal["all", "strided", "convpool", "base"] = "all",
) -> keras.Model:
    """One 5x5 and one 1x1 convolution before each reduction.

    Springenberg et al. 2015, arXiv:1412.6806, Tables 1 and 2. By default for images of 32x32x3
    and 10 classes; sides of at least 9 pixels.
    """

@_builder
def AllCNN_C(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    variant: Literal["all", "strided", "convpool", "base"] = "all",
) -> keras.Model:
    """Two 3x3 convolutions before each reduction.

    Springenberg et al. 2015, arXiv:1412.6806, Tables 1 and 2. By default for images of 32x32x3
    and 10 classes; sides of at least 9 pixels.
    """

@_builder
def SimpleNet(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """13 convolutions, 5.5 million parameters.

    Hasanpour et al. 2016, arXiv:1608.06037, released Caffe definitions. By default for images
    of 32x32x3 and 10 classes; sides of at least 17 pixels.
    """

@_builder
def SimpleNet_310K(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """SimpleNet with 310 thousand parameters, without dropout.

    Hasanpour et al. 2016, arXiv:1608.06037, released Caffe definitions. By default for images
    of 32x32x3 and 10 classes; sides of at least 17 pixels.
    """

@_builder
def SimpleNet_460K(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """SimpleNet with 460 thousand parameters, without dropout.

    Hasanpour et al. 2016, arXiv:1608.06037, released Caffe definitions. By default for images
    of 32x32x3 and 10 classes; sides of at least 17 pixels.
    """

@_builder
def SimpNet(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    experiment: int | None = None,
    rows: list[str] | None = None,
) -> keras.Model:
    """13 convolutions of 3x3, 5.5 million parameters: the paper's main network.

    Hasanpour et al. 2018, arXiv:1802.06205, section 5. By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def SimpNet_9M(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """SimpNet with 8.9 million parameters.

    Hasanpour et al. 2018, arXiv:1802.06205, section 5. By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def SimpNet_1M(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """SimpNet with one million parameters; dropout after the poolings only.

    Hasanpour et al. 2018, arXiv:1802.06205, section 5. By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def SimpNet_600K(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """SimpNet with 600 thousand parameters.

    Hasanpour et al. 2018, arXiv:1802.06205, section 5. By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def SimpNet_300K(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """SimpNet with 300 thousand parameters, without dropout.

    Hasanpour et al. 2018, arXiv:1802.06205, section 5. By default for images of 32x32x3 and 10
    classes; sides of at least 3 pixels.
    """

@_builder
def Highway19(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """18 convolutions, 14 of them gated, and a dense layer: 2.3 million parameters.

    Srivastava et al. 2015, arXiv:1505.00387, Table 1, and the authors' Caffe file. By default
    for images of 32x32x3 and 10 classes; sides of at least 3 pixels.
    """

@_builder
def Highway32(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """31 convolutions, 27 of them gated, 3x3 and 1x1 in turn, and a dense layer (reconstructed).

    Srivastava et al. 2015, arXiv:1507.06228, section 3.3.1: a reconstruction. By default for
    images of 32x32x3 and 10 classes; sides of at least 3 pixels.
    """

@_builder
def FitNet19(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
) -> keras.Model:
    """17 maxout convolutions of 3x3, thin and deep.

    Romero et al. 2015, arXiv:1412.6550, FitNet-4. By default for images of 32x32x3 and 10
    classes; sides of at least 4 pixels.
    """

@_builder
def MLP(
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int | None = None,
    *,
    alpha: float = 1.0,
    rho: float = 1.0,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    features: list[str] | tuple[str, ...] | None = None,
    dropout: float | None = None,
    classifier_activation: str | None = "softmax",
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    name: str | None = None,
    hidden: Sequence[int] = (1200, 1200),
) -> keras.Model:
    """Dense layers alone, two hidden ones of 1,200 units; `dropout` is the input's too.

    Hinton et al. 2015, arXiv:1503.02531, section 3. By default for images of 28x28x1 and 10
    classes; sides of at least 1 pixels.
    """
