"""The recipes of the papers.

A recipe's schedule speaks of fractions of the training, and papers' iterations are given as passes
over their data, so that a recipe also means something on other data and with other epochs. Every
figure has its source beside it: a section of the paper, or "solver", "file", "code" for what its
authors released. What they leave open is marked as ours.

Departures that all of the papers' recipes share: weight decay acts on kernels alone, not on biases
or BatchNorm; biases learn at the rate of kernels, where Caffe's files often double it; random crops
of a fixed size are shifts, which repeat the border's pixels where the papers pad with zeros or crop
a larger image; windows of other sizes are cut out of images of the network's own size, where the
papers cut them out of larger ones; the last batch of a pass is dropped when it is not full. Colours
are changed where images have three channels or one, and shifts of colour along principal components
are those of this data.
"""

import math
from dataclasses import replace

from applications.recipes.schema import (
    HE,
    XAVIER,
    Affine,
    ColourJitter,
    Initializer,
    Recipe,
    Teaching,
)


def _steps(factor: float, at: tuple[float, ...], of: float) -> tuple[tuple[float, float], ...]:
    """Times `factor` at each of these points of a training of length `of`."""
    return tuple((point / of, factor**k) for k, point in enumerate(at, start=1))


def _stairs(factor: float, every: float, of: float) -> tuple[tuple[float, float], ...]:
    """Times `factor` after every `every` passes of a training of `of` passes."""
    return _steps(factor, tuple(every * k for k in range(1, math.ceil(of / every))), of)


_MOMENTUM = {"momentum": 0.9}
_NESTEROV = {"momentum": 0.9, "nesterov": True}

_LIGHTING = 0.1  # deviation of the shifts of colour: Krizhevsky et al. 2012, section 4.1
_INCEPTION_AREA = (0.08, 1.0)  # Szegedy et al. 2014, section 6
_SLIM_AREA = (0.05, 1.0)  # TF-slim
# Howard 2013, arXiv:1312.5402, section 2, which GoogLeNet's paper names.
_PHOTOMETRIC = ColourJitter(brightness=0.5, contrast=0.5, saturation=0.5)
# fb.resnet.torch, datasets/imagenet.lua.
_TORCH_JITTER = ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4)
# TF-slim's distortions in its default, fast mode. It scales the saturation of HSV, here the
# distance from the luminance.
_SLIM_JITTER = ColourJitter(saturation=0.5, offset=32 / 255)

_LENET5 = Recipe(
    name="lenet5",
    source="LeCun et al. 1998, Proc. IEEE 86(11), section III.B and appendices A and C",
    optimizer="SGD",
    # The paper divides a global rate (0.0005 at first) by mu + h, with mu = 0.02 and h a running
    # estimate of each weight's second derivative (stochastic diagonal Levenberg-Marquardt).
    # Departure: h = 0, plain gradient descent at 0.0005 / 0.02.
    learning_rate=0.0005 / 0.02,
    batch_size=1,  # III.B: on-line
    epochs=20,
    # Appendix C: 0.0005 for two passes, 0.0002 for three, 0.0001 for three, 0.00005 for four, then
    # 0.00001.
    schedule=((2 / 20, 0.4), (5 / 20, 0.2), (8 / 20, 0.1), (12 / 20, 0.02)),
    initializer=Initializer("uniform", 2.4, 1.0),  # appendix A
    size=32,  # II.B: larger than the characters, for its convolutions do not pad
    # III.B: planar affine distortions, with which the error fell from 0.95 to 0.8 %. The paper
    # adds nine distorted copies of each image, here every pass distorts anew. How much is ours.
    affine=Affine(translation=2 / 32, scale=0.1, squeeze=0.1, shear=0.2),
)

_ALEXNET = Recipe(
    name="alexnet",
    source="Krizhevsky et al. 2012, NIPS, sections 4.1 and 5",
    optimizer="SGD",
    optimizer_options=_MOMENTUM,
    learning_rate=0.01,
    batch_size=128,
    epochs=90,  # "roughly 90 cycles"
    # "Divided by 10", "three times prior to termination", by hand. When is Caffe's bvlc_alexnet:
    # every 100,000 steps of 256 images.
    schedule=_steps(0.1, (20, 40, 60), of=90),
    weight_decay=5e-4,
    initializer=Initializer("normal", 0.01),
    preprocessing="mean_image",  # section 2: "the mean activity over the training set"
    lighting=_LIGHTING,
    shift=16 / 224,  # crops of 224x224 from 256x256
    mirror=True,
)
_ALEXNET_ONE_TOWER = replace(
    _ALEXNET,
    name="alexnetonetower",
    source="Krizhevsky 2014, arXiv:1404.5997, section 5; the rest as Krizhevsky et al. 2012",
    schedule=_steps(250 ** (-1 / 3), (25, 50, 75), of=100),
)

_NIN = Recipe(
    name="nin",
    source="the author's Caffe files, linked from Caffe's model zoo: the paper has no ImageNet",
    optimizer="SGD",
    optimizer_options=_MOMENTUM,
    learning_rate=0.01,
    batch_size=64,
    epochs=22,  # 450,000 steps
    schedule=_steps(0.1, (200_000, 400_000), of=450_000),
    weight_decay=5e-4,
    initializer=Initializer("normal", 0.05),  # ours: that of his file for CIFAR-10
    shift=16 / 224,  # crops of 224x224 from 256x256
    mirror=True,
)
_NIN_CIFAR = Recipe(
    name="nincifar",
    source="Lin et al. 2013, arXiv:1312.4400, sections 4.1 and 4.2, and the author's Caffe files",
    optimizer="SGD",
    optimizer_options=_MOMENTUM,  # file
    learning_rate=0.1,  # file
    batch_size=128,  # section 4.1
    epochs=307,  # file: 120,000 steps
    # Section 4.1: divided by 10 twice, when the training accuracy stops improving. The first after
    # 100,000 steps (file), the second is ours.
    schedule=_steps(0.1, (100_000, 110_000), of=120_000),
    weight_decay=1e-4,  # file
    initializer=Initializer("normal", 0.05),  # the author's cuda-convnet, NIN/cifar-10_def
    preprocessing="gcn_zca",  # section 4.2
    # No shifts and mirrors: those of its second result, 8.81 %, have no size in the paper.
)

_VGG11 = Recipe(
    name="vgg11",
    source="Simonyan and Zisserman 2014, arXiv:1409.1556, section 3.1",
    optimizer="SGD",
    optimizer_options=_MOMENTUM,
    learning_rate=0.01,
    batch_size=256,
    epochs=74,
    # Divided by 10 three times, when the validation accuracy stops improving: when is ours.
    schedule=_steps(0.1, (25, 50, 75), of=100),
    weight_decay=5e-4,
    # "10^-2 variance" is read as the deviation, AlexNet's: with one of 0.1 the logits explode.
    initializer=Initializer("normal", 0.01),
    lighting=_LIGHTING,
    shift=16 / 224,  # crops of 224x224 from images whose smaller side is 256
    mirror=True,
)
_VGG16 = replace(
    _VGG11,
    name="vgg16",
    # "The first four convolutional layers and the last three fully-connected layers" of net A. They
    # are 3 -> 64, 64 -> 128, 128 -> 256 and 256 -> 256 wide, and so stand here where the deeper
    # nets have these widths, in the same stages. The others are random. BatchNorm is not in it.
    pretrained_from="vgg11",
    pretrained_layers=(
        *("block1_conv1", "block2_conv1", "block3_conv1", "block3_conv2"),
        *("fc1", "fc2", "predictions"),
    ),
    scale=(256 / 224, 512 / 224),  # section 3.1: S drawn from [256; 512]
    shift=0.0,  # part of the scale jitter
)

_GOOGLENET = Recipe(
    name="googlenet",
    source="Szegedy et al. 2014, arXiv:1409.4842, section 6; what it leaves open is Caffe's "
    "bvlc_googlenet, solver.prototxt and train_val.prototxt",
    optimizer="SGD",  # section 6: asynchronous
    optimizer_options=_MOMENTUM,
    learning_rate=0.01,  # Caffe
    batch_size=32,  # Caffe
    epochs=250,  # Caffe: 10,000,000 steps
    schedule=_stairs(0.96, every=8, of=250),  # section 6: 4 % less every 8 epochs
    weight_decay=2e-4,  # Caffe
    initializer=XAVIER,  # Caffe
    area=_INCEPTION_AREA,
    colour_jitter=_PHOTOMETRIC,
    averaging=0.9999,  # Polyak averaging "to create the final model"; the decay is TF-slim's
    mirror=True,  # Caffe
)
_BN_INCEPTION = replace(
    _GOOGLENET,
    name="bninception",
    source="Ioffe and Szegedy 2015, arXiv:1502.03167, sections 4.2.1 and 4.2.2, BN-x30; what it "
    "leaves open as GoogLeNet",
    learning_rate=0.045,
    epochs=150,  # 6,000,000 steps
    schedule=_stairs(0.96, every=8 / 6, of=150),  # "6 times faster" than GoogLeNet's
    weight_decay=2e-4 / 5,  # "reduced by a factor of 5"
    colour_jitter=ColourJitter(0.25, 0.25, 0.25),  # "reduced": by half is ours
    averaging=None,
)

_INCEPTION_V3 = Recipe(
    name="inceptionv3",
    source="Szegedy et al. 2015, arXiv:1512.00567, sections 7 and 8; what it leaves open is "
    "TF-slim's inception_utils.py and inception_preprocessing.py",
    optimizer="RMSprop",
    # Clipping at 2.0 is that of Pascanu et al., of the whole gradient's norm.
    optimizer_options={"rho": 0.9, "epsilon": 1.0, "global_clipnorm": 2.0},
    learning_rate=0.045,
    batch_size=32,  # on each of 50 replicas
    epochs=100,
    schedule=_stairs(0.94, every=2, of=100),
    weight_decay=4e-5,  # TF-slim
    norm_momentum=0.9997,  # TF-slim
    initializer=HE,  # TF-slim, truncated there
    label_smoothing=0.1,  # section 7
    averaging=0.9999,  # section 8: "a running average of the parameters"; TF-slim's decay
    area=_SLIM_AREA,
    colour_jitter=_SLIM_JITTER,
    mirror=True,
)
_INCEPTION_V4 = replace(
    _INCEPTION_V3,
    name="inceptionv4",
    source="Szegedy et al. 2016, arXiv:1602.07261, section 4; what it leaves open as Inception v3",
    optimizer_options={"rho": 0.9, "epsilon": 1.0},
    epochs=160,  # ours
    schedule=_stairs(0.94, every=2, of=160),
)

_RESNET = Recipe(
    name="resnet50",
    source="He et al. 2015, arXiv:1512.03385, section 3.4",
    optimizer="SGD",
    optimizer_options=_MOMENTUM,
    learning_rate=0.1,
    # Divided by 10 when the error plateaus: Figure 4 shows that after 150,000 and 300,000 of the
    # up to 600,000 iterations.
    schedule=_steps(0.1, (150_000, 300_000), of=600_000),
    batch_size=256,
    epochs=120,  # 600,000 iterations over ImageNet
    weight_decay=1e-4,
    initializer=HE,
    scale=(256 / 224, 480 / 224),  # section 3.4: the shorter side is drawn from [256, 480]
    lighting=_LIGHTING,
    preprocessing="mean_image",  # section 3.4: "with the per-pixel mean subtracted"
    mirror=True,
)
_RESNET_V2 = replace(
    _RESNET,
    name="resnet50v2",
    source="He et al. 2016, arXiv:1603.05027, appendix; epochs as fb.resnet.torch",
    schedule=_steps(0.1, (30, 60), of=90),
    epochs=90,  # fb.resnet.torch
)

_RESNET_CIFAR = Recipe(
    name="resnet20",
    source="He et al. 2015, arXiv:1512.03385, section 4.2",
    optimizer="SGD",
    optimizer_options=_MOMENTUM,
    learning_rate=0.1,
    schedule=_steps(0.1, (32_000, 48_000), of=64_000),
    batch_size=128,
    epochs=182,  # 64,000 iterations over 45,000 images
    weight_decay=1e-4,
    initializer=HE,
    preprocessing="mean_image",  # section 4.2: "with the per-pixel mean subtracted"
    shift=4 / 32,  # padded by 4 pixels on each side, 32x32 cropped at random
    mirror=True,
)
_RESNET110 = replace(
    _RESNET_CIFAR,
    name="resnet110",
    # Section 4.2: at 0.01 until the training error is below 80 %, "about 400 iterations".
    schedule=((0.0, 0.1), (400 / 64_000, 1.0), *_RESNET_CIFAR.schedule),
)
_RESNET_V2_CIFAR = replace(
    _RESNET110,
    name="resnet110v2",
    source="He et al. 2016, arXiv:1603.05027, appendix: as 2015, all with 400 steps of warm-up",
)

_WRN = Recipe(
    name="wrn_28_10",
    source="Zagoruyko and Komodakis 2016, arXiv:1605.07146, section 3, and the authors' code",
    optimizer="SGD",
    optimizer_options=_NESTEROV,
    learning_rate=0.1,
    batch_size=128,
    epochs=200,
    schedule=_steps(0.2, (60, 120, 160), of=200),
    weight_decay=5e-4,
    norm_momentum=0.9,  # Torch's default
    initializer=HE,  # code
    shift=4 / 32,  # padded by 4 pixels on each side (by reflection), 32x32 cropped at random
    mirror=True,
)
# The training of fb.resnet.torch, which the papers after ResNet took over for ImageNet.
_TORCH_IMAGENET = Recipe(
    name="wideresnet50_2",
    source="Zagoruyko and Komodakis 2016, arXiv:1605.07146, section 3: that of fb.resnet.torch",
    optimizer="SGD",
    optimizer_options=_NESTEROV,
    learning_rate=0.1,
    batch_size=256,
    epochs=90,
    schedule=_steps(0.1, (30, 60), of=90),
    weight_decay=1e-4,
    norm_momentum=0.9,  # Torch's default
    initializer=HE,
    area=_INCEPTION_AREA,
    colour_jitter=_TORCH_JITTER,
    lighting=_LIGHTING,
    mirror=True,
)

_RESNEXT = replace(
    _TORCH_IMAGENET,
    name="resnext50_32x4d",
    source="Xie et al. 2016, arXiv:1611.05431, section 4, and the authors' code",
    epochs=100,  # code
    schedule=_steps(0.1, (30, 60, 90), of=100),  # section 4: three times; code: every 30 epochs
)
_RESNEXT_CIFAR = replace(
    _RESNEXT,
    name="resnext29_8x64d",
    source="Xie et al. 2016, arXiv:1611.05431, section 5.3, and the authors' code",
    batch_size=128,
    epochs=300,
    schedule=_steps(0.1, (150, 225), of=300),
    weight_decay=5e-4,
    area=None,
    colour_jitter=None,
    lighting=0.0,
    shift=4 / 32,
)

_DENSENET = replace(
    _TORCH_IMAGENET,
    name="densenet121",
    source="Huang et al. 2016, arXiv:1608.06993, section 4.2, and the authors' code",
)
_DENSENET_CIFAR = replace(
    _DENSENET,
    name="densenet40_12",
    source="Huang et al. 2016, arXiv:1608.06993, sections 4.1 and 4.2: CIFAR+",
    batch_size=64,
    epochs=300,
    schedule=_steps(0.1, (150, 225), of=300),
    area=None,
    colour_jitter=None,
    lighting=0.0,
    shift=4 / 32,
)

_MOBILENET = Recipe(
    name="mobilenet",
    source="Howard et al. 2017, arXiv:1704.04861, section 3.2; what it leaves open is TF-slim's "
    "mobilenet_v1_train.py and mobilenet_v1.py, RMSprop's constants train_image_classifier.py's",
    optimizer="RMSprop",  # section 3.2
    optimizer_options={"rho": 0.9, "momentum": 0.9, "epsilon": 1.0},  # TF-slim
    learning_rate=0.045,  # TF-slim
    batch_size=64,  # TF-slim
    epochs=200,  # ours: neither the paper nor TF-slim says when to stop
    schedule=_stairs(0.94, every=2.5, of=200),  # TF-slim
    weight_decay=4e-5,  # TF-slim
    decay_depthwise=False,  # section 3.2: "very little or no weight decay" on them
    norm_momentum=0.9997,  # TF-slim
    initializer=Initializer("truncated", 0.09),  # TF-slim
    # Section 3.2: less distortion, and small crops are limited, for small networks overfit less.
    # By how much is ours: half of TF-slim's distortions, and windows of a quarter and more.
    area=(0.25, 1.0),
    colour_jitter=ColourJitter(saturation=0.25, offset=16 / 255),
    mirror=True,
)
_MOBILENET_V2 = replace(
    _MOBILENET,
    name="mobilenetv2",
    source="Sandler et al. 2018, arXiv:1801.04381, section 6.1; what it leaves open is TF-slim's "
    "mobilenet/mobilenet.py and mobilenet/README.md",
    batch_size=96,  # on each of 16 asynchronous workers
    epochs=412,  # README: 5,500,000 steps
    schedule=_stairs(0.98, every=1, of=412),
    norm_momentum=0.997,  # TF-slim
    label_smoothing=0.1,  # README
    averaging=0.9999,  # README
    area=_SLIM_AREA,
    colour_jitter=_SLIM_JITTER,
)

_SQUEEZENET = Recipe(
    name="squeezenet",
    source="Iandola et al. 2016, arXiv:1602.07360, section 3.3, and the authors' solver.prototxt "
    "and train_val.prototxt",
    optimizer="SGD",
    optimizer_options=_MOMENTUM,  # solver
    learning_rate=0.04,  # section 3.3
    schedule="linear",  # section 3.3
    batch_size=512,  # solver: 32 x 16 accumulated
    epochs=68,  # solver: 170,000 iterations over ImageNet's 1,281,167 images
    weight_decay=2e-4,  # solver
    initializer=XAVIER,  # file
    last_initializer=Initializer("normal", 0.01),  # file
    shift=14.5 / 227,  # file: crops of 227x227 from 256x256; no mirrors
)

_ALLCNN = Recipe(
    name="allcnn_c",
    source="Springenberg et al. 2014, arXiv:1412.6806, sections 3.1 and 3.2",
    optimizer="SGD",
    optimizer_options=_MOMENTUM,
    learning_rate=0.05,  # ours among the 0.25, 0.1, 0.05 and 0.01 that the paper tries
    batch_size=128,  # ours
    epochs=350,
    schedule=_steps(0.1, (200, 250, 300), of=350),
    weight_decay=1e-3,
    initializer=HE,  # ours
    preprocessing="gcn_zca",  # section 3.1
    shift=5 / 32,  # section 3.2: with augmentation
    mirror=True,
)

_SIMPLENET = Recipe(
    name="simplenet",
    source="Hasanpour et al. 2016, arXiv:1608.06037, and the authors' solver and file for CIFAR-10",
    optimizer="Adadelta",
    optimizer_options={"rho": 0.9, "epsilon": 1e-3},  # Caffe's momentum and delta
    learning_rate=0.1,
    schedule=_steps(0.1, (50_000, 95_000, 253_000, 295_000, 320_000, 370_000), of=400_000),
    batch_size=100,
    epochs=800,  # 400,000 iterations over 50,000 images
    weight_decay=5e-3,
    norm_momentum=0.95,
    initializer=XAVIER,  # the file's three layers of normal(0.01) included
    shift=4 / 32,  # padded by 4 pixels on each side, 32x32 cropped at random
    mirror=True,
)
_SIMPNET = replace(
    _SIMPLENET,
    name="simpnet",
    source="Hasanpour et al. 2018, arXiv:1802.06205, and the authors' solver and file for CIFAR-10",
    schedule=_steps(0.1, (50_000, 95_000, 153_000, 198_000, 223_000, 270_000), of=400_000),
)

_HIGHWAY = Recipe(
    name="highway19",
    source="Srivastava et al. 2015, arXiv:1507.06228, section 3, and the authors' solver and file "
    "for CIFAR-10",
    optimizer="SGD",
    optimizer_options=_NESTEROV,  # solver
    learning_rate=0.025,  # solver
    batch_size=100,  # file
    epochs=400,  # solver: 200,000 iterations over 50,000 images
    schedule=_steps(0.1, (100_000, 150_000, 175_000), of=200_000),
    weight_decay=1e-3,  # solver; ten times that on the classifier, which is left out
    # File. Its first layer asks for a Gaussian but sets the wrong key: Xavier here.
    initializer=XAVIER,
    last_initializer=Initializer("normal", 0.05),
    preprocessing="gcn",  # file
    shift=4 / 32,  # ours: the file crops padded images that were not released
    mirror=True,
)

_FITNET = Recipe(
    name="fitnet19",
    source="Romero et al. 2015, arXiv:1412.6550, and the authors' yaml/cifar10_fitnet19_all.yaml, "
    "whose second stage this is",
    optimizer="RMSprop",
    optimizer_options={"rho": 0.9},
    learning_rate=0.005,
    batch_size=128,
    epochs=288,
    schedule=((0.0, 1.0),),  # constant
    initializer=Initializer("uniform", 0.005),
    preprocessing="gcn_zca",  # file
    max_norm={"conv": 0.9, "fc1": 1.9, "predictions": 1.9365},  # file
    layer_rates={"conv": 0.05},  # file
    # Section 3.1 and the file: hints for the 11th layer first, then a weight that falls from 4 to
    # 1. The passes with hints end when the validation error stops falling; a third is ours.
    teaching=Teaching(
        temperature=3.0, weight=4.0, last_weight=1.0, guided="conv11", hint_epochs=1 / 3
    ),
    shift=8 / 32,  # padded by 8 pixels, 32x32 cropped at random
    mirror=True,
)

_MLP = Recipe(
    name="mlp",
    source="Hinton et al. 2015, arXiv:1503.02531, section 3; the rest as Hinton et al. 2012, "
    "arXiv:1207.0580, appendix A.1",
    optimizer="SGD",
    # A.1: the momentum rises from 0.5 to 0.99 in the first 500 passes, and the rate, 10 at first,
    # is multiplied by 1 less the momentum. Departure: both are those of after the rise.
    optimizer_options={"momentum": 0.99},
    learning_rate=10 * (1 - 0.99),
    batch_size=100,
    epochs=3000,
    # A.1: times 0.998 after each pass. Departure: 50 of these at once.
    schedule=_stairs(0.998**50, every=50, of=3000),
    initializer=Initializer("normal", 0.01),
    preprocessing="unit",
    max_norm={"fc": math.sqrt(15)},  # A.1: squared, of a hidden unit's incoming weights
    shift=2 / 28,  # "jittered by up to two pixels in any direction"
)

PAPERS = (
    *(_LENET5, _ALEXNET, _ALEXNET_ONE_TOWER, _NIN, _NIN_CIFAR, _VGG11, _VGG16),
    *(_GOOGLENET, _BN_INCEPTION, _INCEPTION_V3, _INCEPTION_V4),
    *(_RESNET, _RESNET_V2, _RESNET_CIFAR, _RESNET110, _RESNET_V2_CIFAR),
    *(_WRN, _TORCH_IMAGENET, _RESNEXT, _RESNEXT_CIFAR, _DENSENET, _DENSENET_CIFAR),
    *(_MOBILENET, _MOBILENET_V2, _SQUEEZENET),
    *(_ALLCNN, _SIMPLENET, _SIMPNET, _HIGHWAY, _FITNET, _MLP),
)
