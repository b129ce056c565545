"""Parameters and multiply-adds of every architecture at its default size, as exact integers.

A new architecture is one line here. `params` are all, as Keras counts them; `trainable` leave out
BatchNorm's statistics; `macs` are the multiply-adds of convolutions and dense layers.
"""

from typing import Any, NamedTuple

LECUN = "LeCun et al. 1998, section II.B with all maps connected, counted independently"
LECUN_1998 = "LeCun et al. 1998, section II.B: the paper's sums, and 850 of a dense output; by hand"
ALEXNET = "Krizhevsky et al. 2012, Figure 2 at 227x227, counted independently"
TORCHVISION = "torchvision 0.28.0"
NIN = "Caffe model zoo, nin_imagenet at 227x227, counted independently"
NIN_CIFAR = "authors' CIFAR-10 definition (192-160-96, 192x3, 192-192-10), counted independently"
TORCHVISION_BN = "torchvision's vgg*_bn (conv biases kept), and Table 1 counted independently"
VGG = "Simonyan & Zisserman 2014, Table 1, counted independently"
VGG_BN = "Simonyan & Zisserman 2014, Table 1, four more scalars a filter, counted independently"
GOOGLENET = "Szegedy et al. 2014, Table 1 and section 5, counted independently"
GOOGLENET_TORCH = "torchvision's googlenet; totals by arithmetic on Table 1 with 3x3 for 5x5"
BN_CAFFE = "lim0606/caffe-googlenet-bn, deploy.prototxt, shapes inferred"
BN_SLIM = "arithmetic on that definition: separable 7x7 convolution, no gamma (TF-slim)"
KERAS_V3 = "keras.applications 3.15.1, InceptionV3"
KERAS_V3_AUX = "keras.applications 3.15.1 and 3,325,800 learned of AUX (TF-slim: 27,143,152)"
TORCH_V3 = "torchvision 0.28.0, inception_v3 without aux: 23,834,568 learned"
TORCH_V3_AUX = "torchvision 0.28.0, inception_v3 with aux: 27,161,264 learned"
TIMM_V4 = "timm 1.0.31, inception_v4"
KERAS_IRV2 = "keras.applications 3.15.1, InceptionResNetV2"
TIMM_IRV2 = "timm, inception_resnet_v2: 55,843,464 learned; twice 30,272 BatchNorm channels more"
RESNET = "He et al. 2015, Table 1, counted independently"
RESNET_BIAS = "He et al. 2015, Table 1, every convolution with a bias, counted independently"
RESNET_V2 = "He et al. 2016, Figure 4(e), stages of He et al. 2015, Table 1, counted independently"
RESNET_V2_KERAS = "keras.applications 3.15.1, and the same structure counted independently"
CIFAR = "He et al. 2015, section 4.2, option A, counted independently"
CIFAR_POOLED = "with strides: its MACs and three times those of the two strided convolutions"
CIFAR_MORE = "ResNet20 and 97,216 learned parameters, 14,155,776 MACs for each 6 more layers"
CIFAR_V2 = "He et al. 2016, Figure 4(e), option A, counted independently"
WRN = "szagoruyko/wide-residual-networks, models/wide-resnet.lua, counted independently"
WRN_LUA = "szagoruyko/wide-residual-networks, models/wide-resnet.lua"
RESNEXT = "facebookresearch/ResNeXt, models/resnext.lua (resnext_C), counted independently"
DENSENET = "Huang et al. 2017, Table 1, counted independently"
DENSENET_CIFAR = "Huang et al. 2017, section 3, counted independently"
MOBILENET = "Howard et al. 2017, Table 1, counted independently"
MOBILENET_4 = "Howard et al. 2017, Table 4: each separable block one 3x3 convolution"
MOBILENET_5 = "Howard et al. 2017, Table 5: without the five 14x14x512 blocks"
APPLICATIONS = "keras.applications of keras 3.15.1"
SQUEEZE = "torchvision 0.28.0, squeezenet1_0 at 227x227"
SQUEEZE_2 = "Iandola et al. 2016, Table 1 and Figure 2, counted independently"
SQUEEZE_CAFFE = "forresti/SqueezeNet, deploy.prototxt, arithmetic by hand"
SQUEEZE_1 = "torchvision 0.28.0, squeezenet1_1"
SQUEEZE_3 = "forresti/SqueezeNet, v1.1 without rounding up, arithmetic by hand"
ALLCNN_LIKE = "Springenberg et al. 2015, Table 1, changed as Table 2 changes C, arithmetic by hand"
ALLCNN = "Springenberg et al. 2015, Tables 1 and 2, counted independently (last 3x3 unpadded)"
SIMPLENET = "Coderx7/SimpleNet, SimpNet_V1/Models, shapes inferred"
SIMPNET = "Coderx7/SimpNet, SimpNetV2/Architectures/CIFAR10, shapes inferred"
SIMPNET_CHAINS = (
    "Coderx7/SimpNet and Coderx7/SimpleNet, shapes inferred; statistics: 2 a map of BatchNorm"
)
SIMPNET_SLIM = "Coderx7/SimpNet, SimpNetV2/Experiments/Slim Test/CIFAR10, shapes inferred"
HIGHWAY = "flukeskywalker/highway-networks, cifar10-19layers, shapes inferred"
HIGHWAY_32 = "arithmetic for 3 stages of ten layers, 3x3 and 1x1 in turn, widths 32, 64, 96"
FITNET = "Romero et al. 2015, appendix, counted independently (last maxout layer of 2 pieces)"
MLP = "Hinton et al. 2015, section 3: 784 * n + n, n * n + n and 10 * n + 10, by hand"


class Expected(NamedTuple):
    title: str
    kwargs: dict[str, Any]
    params: int
    trainable: int
    macs: int
    source: str


_ROWS = (
    ("LeNet5", {}, 61_706, 61_706, 416_520, LECUN),
    ("LeNet5", {"variant": "1998"}, 60_850, 60_850, 328_096, LECUN_1998),
    ("AlexNet", {}, 60_965_224, 60_965_224, 724_406_816, ALEXNET),
    ("AlexNetOneTower", {}, 61_100_840, 61_100_840, 714_188_480, TORCHVISION),
    ("NiN", {}, 7_595_176, 7_595_176, 1_105_996_320, NIN),
    ("NiNCifar", {}, 966_986, 966_986, 222_486_528, NIN_CIFAR),
    ("VGG11", {}, 132_863_336, 132_863_336, 7_609_090_048, TORCHVISION),
    ("VGG11", {"batch_norm": True}, 132_874_344, 132_868_840, 7_609_090_048, TORCHVISION_BN),
    ("VGG11LRN", {}, 132_863_336, 132_863_336, 7_609_090_048, VGG),
    ("VGG11LRN", {"batch_norm": True}, 132_874_344, 132_868_840, 7_609_090_048, VGG_BN),
    ("VGG13", {}, 133_047_848, 133_047_848, 11_308_466_176, TORCHVISION),
    ("VGG13", {"batch_norm": True}, 133_059_624, 133_053_736, 11_308_466_176, TORCHVISION_BN),
    ("VGG16", {}, 138_357_544, 138_357_544, 15_470_264_320, TORCHVISION),
    ("VGG16", {"batch_norm": True}, 138_374_440, 138_365_992, 15_470_264_320, TORCHVISION_BN),
    ("VGG16C", {}, 133_638_952, 133_638_952, 11_770_888_192, VGG),
    ("VGG16C", {"batch_norm": True}, 133_655_848, 133_647_400, 11_770_888_192, VGG_BN),
    ("VGG19", {}, 143_667_240, 143_667_240, 19_632_062_464, TORCHVISION),
    ("VGG19", {"batch_norm": True}, 143_689_256, 143_678_248, 19_632_062_464, TORCHVISION_BN),
    ("GoogLeNet", {}, 6_998_552, 6_998_552, 1_582_671_872, GOOGLENET),
    ("GoogLeNet", {"aux": True}, 13_378_280, 13_378_280, 1_591_044_096, GOOGLENET),
    ("GoogLeNet", {"layout": "torch"}, 6_639_464, 6_624_904, 1_498_376_192, GOOGLENET_TORCH),
    (
        "GoogLeNet",
        {"layout": "torch", "aux": True},
        13_019_960,
        13_004_888,
        1_506_748_416,
        GOOGLENET_TORCH,
    ),
    ("BNInception", {}, 11_214_888, 11_194_984, 2_018_851_840, BN_CAFFE),
    ("BNInception", {"separable_stem": True}, 11_198_240, 11_178_336, 1_934_857_216, BN_SLIM),
    ("InceptionV3", {}, 23_851_784, 23_817_352, 5_713_216_096, KERAS_V3),
    ("InceptionV3", {"aux": True}, 27_179_376, 27_143_152, 5_718_899_296, KERAS_V3_AUX),
    ("InceptionV3", {"layout": "torch"}, 23_869_000, 23_834_568, 5_713_216_096, TORCH_V3),
    (
        "InceptionV3",
        {"layout": "torch", "aux": True},
        27_197_488,
        27_161_264,
        5_718_899_296,
        TORCH_V3_AUX,
    ),
    ("InceptionV4", {}, 42_742_984, 42_679_816, 12_253_974_624, TIMM_V4),
    ("InceptionResNetV2", {}, 55_873_736, 55_813_192, 13_155_794_016, KERAS_IRV2),
    ("InceptionResNetV2", {"layout": "torch"}, 55_904_008, 55_843_464, 13_155_794_016, TIMM_IRV2),
    ("ResNet18", {}, 11_699_112, 11_689_512, 1_814_073_344, TORCHVISION),
    ("ResNet18", {"layout": "torch"}, 11_699_112, 11_689_512, 1_814_073_344, RESNET),
    ("ResNet34", {}, 21_814_696, 21_797_672, 3_663_761_408, TORCHVISION),
    ("ResNet34", {"layout": "torch"}, 21_814_696, 21_797_672, 3_663_761_408, RESNET),
    ("ResNet50", {}, 25_636_712, 25_583_592, 3_857_973_248, RESNET_BIAS),
    ("ResNet50", {"layout": "torch"}, 25_610_152, 25_557_032, 4_089_184_256, TORCHVISION),
    ("ResNet101", {}, 44_707_176, 44_601_832, 7_570_194_432, RESNET_BIAS),
    ("ResNet101", {"layout": "torch"}, 44_654_504, 44_549_160, 7_801_405_440, RESNET),
    ("ResNet152", {}, 60_419_944, 60_268_520, 11_282_415_616, RESNET_BIAS),
    ("ResNet152", {"layout": "torch"}, 60_344_232, 60_192_808, 11_513_626_624, RESNET),
    ("PlainNet18", {}, 11_523_496, 11_515_688, 1_794_805_760, RESNET),
    ("PlainNet34", {}, 21_639_080, 21_623_848, 3_644_493_824, RESNET),
    ("ResNet18V2", {}, 11_695_528, 11_687_720, 1_814_073_344, RESNET_V2),
    ("ResNet18V2", {"layout": "torch"}, 11_695_528, 11_687_720, 1_814_073_344, RESNET_V2),
    ("ResNet34V2", {}, 21_811_112, 21_795_880, 3_663_761_408, RESNET_V2),
    ("ResNet34V2", {"layout": "torch"}, 21_811_112, 21_795_880, 3_663_761_408, RESNET_V2),
    ("ResNet50V2", {}, 25_613_800, 25_568_360, 3_482_255_360, RESNET_V2_KERAS),
    ("ResNet50V2", {"layout": "torch"}, 25_594_792, 25_549_352, 4_089_184_256, RESNET_V2),
    ("ResNet101V2", {}, 44_675_560, 44_577_896, 7_194_476_544, RESNET_V2_KERAS),
    ("ResNet101V2", {"layout": "torch"}, 44_639_144, 44_541_480, 7_801_405_440, RESNET_V2),
    ("ResNet152V2", {}, 60_380_648, 60_236_904, 10_906_697_728, RESNET_V2_KERAS),
    ("ResNet152V2", {"layout": "torch"}, 60_328_872, 60_185_128, 11_513_626_624, RESNET_V2),
    ("ResNet200V2", {}, 64_834_472, 64_666_152, 15_007_481_856, RESNET_V2),
    ("ResNet200V2", {"layout": "torch"}, 64_834_472, 64_666_152, 15_007_481_856, RESNET_V2),
    ("ResNet20", {}, 271_098, 269_722, 40_551_040, CIFAR),
    ("ResNet20", {"downsample": "maxpool"}, 271_098, 269_722, 47_628_928, CIFAR_POOLED),
    ("ResNet32", {}, 466_426, 464_154, 68_862_592, CIFAR),
    ("ResNet44", {}, 661_754, 658_586, 97_174_144, CIFAR_MORE),
    ("ResNet56", {}, 857_082, 853_018, 125_485_696, CIFAR),
    ("ResNet110", {}, 1_736_058, 1_727_962, 252_887_680, CIFAR),
    ("ResNet1202", {}, 19_510_906, 19_421_274, 2_829_238_912, CIFAR_MORE),
    ("ResNet20V2", {}, 271_098, 269_722, 40_551_040, CIFAR_V2),
    ("ResNet20V2", {"downsample": "maxpool"}, 271_098, 269_722, 47_628_928, CIFAR_POOLED),
    ("ResNet32V2", {}, 466_426, 464_154, 68_862_592, CIFAR_V2),
    ("ResNet44V2", {}, 661_754, 658_586, 97_174_144, CIFAR_V2),
    ("ResNet56V2", {}, 857_082, 853_018, 125_485_696, CIFAR_V2),
    ("ResNet110V2", {}, 1_736_058, 1_727_962, 252_887_680, CIFAR_V2),
    ("ResNet1202V2", {}, 19_510_906, 19_421_274, 2_829_238_912, CIFAR_V2),
    ("PlainNet20", {}, 271_098, 269_722, 40_551_040, CIFAR),
    ("PlainNet20", {"downsample": "maxpool"}, 271_098, 269_722, 47_628_928, CIFAR_POOLED),
    ("PlainNet56", {}, 857_082, 853_018, 125_485_696, CIFAR),
    ("WideResNet", {}, 36_497_146, 36_479_194, 5_243_328_768, WRN),
    ("WideResNet", {"depth": 16, "k": 1}, 175_994, 175_066, 26_657_408, WRN),
    ("WideResNet", {"depth": 40, "k": 2}, 2_248_954, 2_243_546, 327_599_360, WRN),
    ("WRN_16_4", {}, 2_752_506, 2_748_890, 392_612_352, WRN_LUA),
    ("WRN_16_8", {}, 10_968_570, 10_961_370, 1_548_145_664, WRN_LUA),
    ("WRN_28_10", {}, 36_497_146, 36_479_194, 5_243_328_768, WRN_LUA),
    ("WRN_40_4", {}, 8_959_994, 8_949_210, 1_298_582_016, WRN_LUA),
    ("WideResNet50_2", {}, 68_951_464, 68_883_240, 11_398_021_120, TORCHVISION),
    ("WideResNet101_2", {}, 127_024_552, 126_886_696, 22_753_050_624, TORCHVISION),
    ("ResNeXt50_32x4d", {}, 25_097_128, 25_028_904, 4_230_479_872, TORCHVISION),
    ("ResNeXt101_32x8d", {}, 88_994_216, 88_791_336, 16_414_015_488, TORCHVISION),
    ("ResNeXt29_8x64d", {}, 34_484_170, 34_426_698, 5_387_266_048, RESNEXT),
    ("DenseNet121", {}, 8_062_504, 7_978_856, 2_834_161_664, TORCHVISION),
    ("DenseNet121", {"layout": "torch"}, 8_062_504, 7_978_856, 2_834_161_664, TORCHVISION),
    ("DenseNet161", {}, 28_900_936, 28_681_000, 7_727_907_072, TORCHVISION),
    ("DenseNet169", {}, 14_307_880, 14_149_480, 3_359_843_328, TORCHVISION),
    ("DenseNet201", {}, 20_242_984, 20_013_928, 4_291_365_888, TORCHVISION),
    ("DenseNet264", {}, 33_736_232, 33_337_704, 5_751_653_376, DENSENET),
    ("DenseNet40_12", {}, 1_037_818, 1_019_722, 264_812_928, DENSENET_CIFAR),
    ("DenseNetBC_100_12", {}, 793_150, 769_162, 287_929_692, DENSENET_CIFAR),
    ("DenseNetBC_250_24", {}, 15_582_382, 15_324_406, 5_418_785_724, DENSENET_CIFAR),
    ("DenseNetBC_190_40", {}, 25_881_390, 25_624_430, 9_301_945_740, DENSENET_CIFAR),
    ("MobileNet", {}, 4_253_864, 4_231_976, 568_740_352, MOBILENET),
    ("MobileNet", {"rho": 192 / 224}, 4_253_864, 4_231_976, 418_121_728, MOBILENET),
    ("MobileNet", {"rho": 160 / 224}, 4_253_864, 4_231_976, 290_675_200, MOBILENET),
    ("MobileNet", {"rho": 128 / 224}, 4_253_864, 4_231_976, 186_400_768, MOBILENET),
    ("MobileNet", {"alpha": 0.75}, 2_601_976, 2_585_560, 325_400_448, MOBILENET),
    ("MobileNet", {"alpha": 0.5}, 1_342_536, 1_331_592, 149_497_088, MOBILENET),
    ("MobileNet", {"alpha": 0.25}, 475_544, 470_072, 41_030_272, MOBILENET),
    ("MobileNetConv", {}, 29_306_056, 29_294_088, 4_867_293_184, MOBILENET_4),
    ("MobileNetShallow", {}, 2_899_624, 2_887_976, 307_323_392, MOBILENET_5),
    ("MobileNetV2", {}, 3_538_984, 3_504_872, 300_774_272, APPLICATIONS),
    ("MobileNetV2", {"alpha": 0.35}, 1_691_208, 1_677_128, 59_285_808, APPLICATIONS),
    ("MobileNetV2", {"alpha": 0.5}, 1_987_224, 1_968_680, 97_131_840, APPLICATIONS),
    ("MobileNetV2", {"alpha": 0.75}, 2_663_064, 2_636_424, 209_069_792, APPLICATIONS),
    ("MobileNetV2", {"alpha": 1.3}, 5_431_048, 5_386_792, 509_374_560, APPLICATIONS),
    ("MobileNetV2", {"alpha": 1.4}, 6_156_712, 6_108_776, 582_195_824, APPLICATIONS),
    ("SqueezeNet", {}, 1_248_424, 1_248_424, 832_667_936, SQUEEZE),
    ("SqueezeNet", {"downsample": "saf"}, 1_248_424, 1_248_424, 832_667_936, SQUEEZE),
    ("SqueezeNet", {"bypass": "simple"}, 1_248_424, 1_248_424, 832_667_936, SQUEEZE_2),
    ("SqueezeNet", {"bypass": "complex"}, 1_589_672, 1_589_672, 1_183_953_184, SQUEEZE_2),
    ("SqueezeNet", {"layout": "caffe"}, 1_248_424, 1_248_424, 861_339_936, SQUEEZE_CAFFE),
    ("SqueezeNet1_1", {"input_shape": (224, 224, 3)}, 1_235_496, 1_235_496, 349_151_936, SQUEEZE_1),
    ("SqueezeNet1_1", {}, 1_235_496, 1_235_496, 352_540_352, SQUEEZE_3),
    ("SqueezeNet1_1", {"layout": "caffe"}, 1_235_496, 1_235_496, 387_747_520, SQUEEZE_CAFFE),
    (
        "SqueezeNet1_1",
        {"layout": "caffe", "input_shape": (224, 224, 3)},
        1_235_496,
        1_235_496,
        349_151_936,
        SQUEEZE_CAFFE,
    ),
    ("AllCNN_A", {"variant": "base"}, 839_242, 839_242, 138_677_760, ALLCNN_LIKE),
    ("AllCNN_A", {"variant": "strided"}, 839_242, 839_242, 44_674_560, ALLCNN_LIKE),
    ("AllCNN_A", {"variant": "convpool"}, 1_254_250, 1_254_250, 308_547_072, ALLCNN_LIKE),
    ("AllCNN_A", {"variant": "all"}, 1_254_250, 1_254_250, 181_145_088, ALLCNN),
    ("AllCNN_B", {"variant": "base"}, 885_610, 885_610, 157_552_128, ALLCNN_LIKE),
    ("AllCNN_B", {"variant": "strided"}, 885_610, 885_610, 143_396_352, ALLCNN_LIKE),
    ("AllCNN_B", {"variant": "convpool"}, 1_300_618, 1_300_618, 327_421_440, ALLCNN_LIKE),
    ("AllCNN_B", {"variant": "all"}, 1_300_618, 1_300_618, 200_019_456, ALLCNN_LIKE),
    ("AllCNN_C", {"variant": "base"}, 954_730, 954_730, 228_331_008, ALLCNN),
    ("AllCNN_C", {"variant": "strided"}, 954_730, 954_730, 100_929_024, ALLCNN),
    ("AllCNN_C", {"variant": "convpool"}, 1_369_738, 1_369_738, 398_200_320, ALLCNN),
    ("AllCNN_C", {"variant": "all"}, 1_369_738, 1_369_738, 270_798_336, ALLCNN),
    ("SimpleNet", {}, 5_497_226, 5_493_258, 652_151_296, SIMPLENET),
    ("SimpleNet_310K", {}, 312_682, 311_594, 55_788_160, SIMPLENET),
    ("SimpleNet_460K", {}, 457_014, 455_862, 75_241_960, SIMPLENET),
    ("SimpNet", {}, 5_483_769, 5_478_223, 1_270_310_112, SIMPNET),
    ("SimpNet", {"experiment": 0}, 1_004_860, 1_002_426, 347_097_600, SIMPNET_CHAINS),
    ("SimpNet", {"experiment": 2}, 310_506, 309_154, 97_447_464, SIMPNET_CHAINS),
    ("SimpNet", {"experiment": 36}, 363_822, 362_254, 105_145_128, SIMPNET_CHAINS),
    ("SimpNet", {"experiment": 48}, 129_686, 128_782, 33_920_444, SIMPNET_CHAINS),
    ("SimpNet", {"experiment": 54}, 129_632, 128_694, 37_843_560, SIMPNET_CHAINS),
    ("SimpNet", {"experiment": 71}, 5_494_538, 5_490_570, 493_874_688, SIMPNET_CHAINS),
    ("SimpNet", {"experiment": 88}, 19_969_764, 19_959_140, 919_281_664, SIMPNET_CHAINS),
    ("SimpNet", {"experiment": 98}, 384_712, 383_624, 353_401_024, SIMPNET_CHAINS),
    ("SimpNet_9M", {}, 8_909_727, 8_902_729, 1_996_079_856, SIMPNET),
    ("SimpNet_1M", {}, 1_003_770, 1_001_296, 346_926_300, SIMPNET_SLIM),
    ("SimpNet_600K", {}, 602_939, 601_021, 206_968_368, SIMPNET_SLIM),
    ("SimpNet_300K", {}, 302_316, 300_964, 97_439_364, SIMPNET_SLIM),
    ("Highway19", {}, 2_256_838, 2_256_838, 330_826_728, HIGHWAY),
    ("Highway32", {}, 1_264_502, 1_264_502, 230_089_704, HIGHWAY_32),
    ("FitNet19", {}, 2_548_602, 2_548_602, 381_749_128, FITNET),
    ("MLP", {}, 2_395_210, 2_395_210, 2_392_800, MLP),
    ("MLP", {"hidden": (800, 800)}, 1_276_810, 1_276_810, 1_275_200, MLP),
)
EXPECTED = [Expected(*row) for row in _ROWS]
