"""Parameters and multiply-adds of every architecture at its default size, as exact integers.

A new architecture is one line here. `params` are all, as Keras counts them; `trainable` leave out
BatchNorm's statistics; `macs` are the multiply-adds of convolutions and dense layers.
"""

from typing import Any, NamedTuple

LECUN = "LeCun et al. 1998, section II.B with all maps connected, counted independently"
MOBILENET = "Howard et al. 2017, Table 1, counted independently"
MOBILENET_4 = "Howard et al. 2017, Table 4: each separable block one 3x3 convolution"
MOBILENET_5 = "Howard et al. 2017, Table 5: without the five 14x14x512 blocks"
SQUEEZE = "torchvision 0.28.0, squeezenet1_0 at 227x227"
SQUEEZE_1 = "torchvision 0.28.0, squeezenet1_1"
SQUEEZE_2 = "Iandola et al. 2016, Table 1 and Figure 2, counted independently"
RESNET = "He et al. 2015, Table 1, counted independently"
RESNET_BIAS = "He et al. 2015, Table 1, every convolution with a bias, counted independently"
TORCHVISION = "torchvision 0.28.0"
CIFAR = "He et al. 2015, section 4.2, option A, counted independently"
CIFAR_MORE = "ResNet20 and 97,216 learned parameters, 14,155,776 MACs for each 6 more layers"
SIMPNET = "Coderx7/SimpNet, SimpNetV2/Architectures/CIFAR10, shapes inferred"
SIMPNET_SLIM = "Coderx7/SimpNet, SimpNetV2/Experiments/Slim Test/CIFAR10, shapes inferred"


class Expected(NamedTuple):
    title: str
    kwargs: dict[str, Any]
    params: int
    trainable: int
    macs: int
    source: str


_ROWS = (
    ("LeNet5", {}, 61_706, 61_706, 416_520, LECUN),
    ("MobileNet", {}, 4_253_864, 4_231_976, 568_740_352, MOBILENET),
    ("MobileNet", {"rho": 192 / 224}, 4_253_864, 4_231_976, 418_121_728, MOBILENET),
    ("MobileNet", {"rho": 160 / 224}, 4_253_864, 4_231_976, 290_675_200, MOBILENET),
    ("MobileNet", {"rho": 128 / 224}, 4_253_864, 4_231_976, 186_400_768, MOBILENET),
    ("MobileNet", {"alpha": 0.75}, 2_601_976, 2_585_560, 325_400_448, MOBILENET),
    ("MobileNet", {"alpha": 0.5}, 1_342_536, 1_331_592, 149_497_088, MOBILENET),
    ("MobileNet", {"alpha": 0.25}, 475_544, 470_072, 41_030_272, MOBILENET),
    ("MobileNetConv", {}, 29_306_056, 29_294_088, 4_867_293_184, MOBILENET_4),
    ("MobileNetShallow", {}, 2_899_624, 2_887_976, 307_323_392, MOBILENET_5),
    ("SqueezeNet", {}, 1_248_424, 1_248_424, 832_667_936, SQUEEZE),
    ("SqueezeNet", {"bypass": "simple"}, 1_248_424, 1_248_424, 832_667_936, SQUEEZE_2),
    ("SqueezeNet", {"bypass": "complex"}, 1_589_672, 1_589_672, 1_183_953_184, SQUEEZE_2),
    ("SqueezeNet1_1", {"input_shape": (224, 224, 3)}, 1_235_496, 1_235_496, 349_151_936, SQUEEZE_1),
    ("ResNet18", {}, 11_699_112, 11_689_512, 1_814_073_344, TORCHVISION),
    ("ResNet34", {}, 21_814_696, 21_797_672, 3_663_761_408, TORCHVISION),
    ("ResNet50", {}, 25_636_712, 25_583_592, 3_857_973_248, RESNET_BIAS),
    ("ResNet50", {"layout": "torch"}, 25_610_152, 25_557_032, 4_089_184_256, TORCHVISION),
    ("ResNet101", {}, 44_707_176, 44_601_832, 7_570_194_432, RESNET_BIAS),
    ("ResNet152", {}, 60_419_944, 60_268_520, 11_282_415_616, RESNET_BIAS),
    ("PlainNet18", {}, 11_523_496, 11_515_688, 1_794_805_760, RESNET),
    ("PlainNet34", {}, 21_639_080, 21_623_848, 3_644_493_824, RESNET),
    ("ResNet20", {}, 271_098, 269_722, 40_551_040, CIFAR),
    ("ResNet32", {}, 466_426, 464_154, 68_862_592, CIFAR),
    ("ResNet44", {}, 661_754, 658_586, 97_174_144, CIFAR_MORE),
    ("ResNet56", {}, 857_082, 853_018, 125_485_696, CIFAR),
    ("ResNet110", {}, 1_736_058, 1_727_962, 252_887_680, CIFAR),
    ("ResNet1202", {}, 19_510_906, 19_421_274, 2_829_238_912, CIFAR_MORE),
    ("PlainNet20", {}, 271_098, 269_722, 40_551_040, CIFAR),
    ("PlainNet56", {}, 857_082, 853_018, 125_485_696, CIFAR),
    ("SimpNet", {}, 5_483_769, 5_478_223, 1_270_310_112, SIMPNET),
    ("SimpNet_9M", {}, 8_909_727, 8_902_729, 1_996_079_856, SIMPNET),
    ("SimpNet_1M", {}, 1_003_770, 1_001_296, 346_926_300, SIMPNET_SLIM),
    ("SimpNet_600K", {}, 602_939, 601_021, 206_968_368, SIMPNET_SLIM),
    ("SimpNet_300K", {}, 302_316, 300_964, 97_439_364, SIMPNET_SLIM),
)
EXPECTED = [Expected(*row) for row in _ROWS]
