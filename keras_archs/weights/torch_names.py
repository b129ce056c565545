"""What timm and torchvision call the modules that are named layers here: for each family the rules.

In a rule `here` is a pattern of our names, which leads to `there` as a format of its groups.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import keras
from keras import layers


class Rule(NamedTuple):
    """Layers here and their modules there."""

    here: str  # a regular expression
    there: str  # a format of its groups; {0:-1} is the first one less 1
    table: Mapping[str, Any] | None = None  # what the first group becomes; others do not match


class _Number(int):
    """A number that a format such as {0:-1} counts from another start."""

    def __format__(self, shift: str) -> str:
        return str(self + int(shift or 0))


def module_of(layer: str, rules: Iterable[Rule]) -> str | None:
    """What the layer of this name is called there; None where no rule is for it."""
    for here, there, table in rules:
        match = re.fullmatch(here, layer)
        groups = list(match.groups()) if match else []
        if match and (table is None or groups[0] in table):
            groups[:1] = [table[groups[0]]] if table else groups[:1]
            return there.format(*(_Number(g) if str(g).isdecimal() else g for g in groups))
    return None


def _counted(names: str, start: int) -> dict[str, int]:
    """{"3a": 3, "4a": 4, ...}: names in order, counted from a number."""
    return {name: start + index for index, name in enumerate(names.split())}


def _staged(repeats: Collection[int], start: int) -> dict[str, str]:
    """{"1": "0.0", "2": "1.0", "3": "1.1", ...}: blocks from `start` on as STAGE.BLOCK."""
    places = [f"{stage}.{block}" for stage, n in enumerate(repeats) for block in range(n)]
    return {str(start + index): place for index, place in enumerate(places)}


ALEXNET = (
    Rule(r"conv(\d)", "features.{}", {"1": 0, "2": 3, "3": 6, "4": 8, "5": 10}),
    Rule(r"fc([67])", "classifier.{}", {"6": 1, "7": 4}),
    Rule("logits", "classifier.6"),
)


def _vgg(fc1: str, fc2: str, predictions: str) -> Callable[[keras.Model], tuple[Rule, ...]]:
    """The modules of the features are numbered through, those of ReLU and pooling too."""

    def rules(model: keras.Model) -> tuple[Rule, ...]:
        names = [layer.name for layer in model.layers]
        each = 3 if "block1_conv1_bn" in names else 2  # convolution, BatchNorm, ReLU
        convs = [match for name in names if (match := re.fullmatch(r"block(\d)_conv\d", name))]
        table = {m[0]: index * each + int(m[1]) - 1 for index, m in enumerate(convs)}
        return (
            Rule(r"(block\d_conv\d)", "features.{}", table),
            Rule(r"(block\d_conv\d)_bn", "features.{}", {k: at + 1 for k, at in table.items()}),
            Rule("fc1", fc1),
            Rule("fc2", fc2),
            Rule("predictions", predictions),
        )

    return rules


GOOGLENET = (
    Rule(r"conv1_(conv|bn)", "conv1.{}"),
    Rule(r"conv2_reduce_(conv|bn)", "conv2.{}"),
    Rule(r"conv2_(conv|bn)", "conv3.{}"),
    Rule(r"inception_(\w\w)_1x1_(conv|bn)", "inception{}.branch1.{}"),
    Rule(r"inception_(\w\w)_3x3_reduce_(conv|bn)", "inception{}.branch2.0.{}"),
    Rule(r"inception_(\w\w)_3x3_(conv|bn)", "inception{}.branch2.1.{}"),
    Rule(r"inception_(\w\w)_5x5_reduce_(conv|bn)", "inception{}.branch3.0.{}"),
    Rule(r"inception_(\w\w)_5x5_(conv|bn)", "inception{}.branch3.1.{}"),
    Rule(r"inception_(\w\w)_pool_proj_(conv|bn)", "inception{}.branch4.1.{}"),
    Rule(r"aux([12])_1x1_(conv|bn)", "aux{}.conv.{}"),
    Rule(r"aux([12])_fc", "aux{}.fc1"),
    Rule(r"aux([12])_logits", "aux{}.fc2"),
    Rule("logits", "fc"),
)


def _with_norm(*rules: Rule) -> tuple[Rule, ...]:
    """Rules of convolutions `x` with BatchNorm `x_bn`, which are y.conv and y.bn there."""
    norms = (Rule(f"{rule.here}_bn", f"{rule.there}.bn", rule.table) for rule in rules)
    return (*(rule._replace(there=f"{rule.there}.conv") for rule in rules), *norms)


V3_STEM = {"1": "1a_3x3", "2": "2a_3x3", "3": "2b_3x3", "5": "3b_1x1", "6": "4a_3x3"}
V3 = dict(zip(map(str, range(11)), "5b 5c 5d 6a 6b 6c 6d 6e 7a 7b 7c".split(), strict=True))
INCEPTION_V3 = (
    *_with_norm(
        Rule(r"stem_(\d)_conv", "Conv2d_{}", V3_STEM),
        Rule(r"mixed(\d+)_1x1_1_conv", "Mixed_{}.branch1x1", V3),
        Rule(r"mixed(\d+)_pool_2_conv", "Mixed_{}.branch_pool", V3),
        Rule(r"mixed(3)_3x3_1_conv", "Mixed_{}.branch3x3", V3),
        Rule(r"mixed(\d+)_(\w+)_(\d)_conv", "Mixed_{}.branch{}_{}", V3),
        Rule(r"mixed(\d+)_(\w+)_(\d)_conv1x3", "Mixed_{}.branch{}_{}a", V3),
        Rule(r"mixed(\d+)_(\w+)_(\d)_conv3x1", "Mixed_{}.branch{}_{}b", V3),
        Rule(r"aux1_(\d)_conv", "AuxLogits.conv{0:-1}"),
    ),
    Rule("aux1", "AuxLogits.fc"),
    Rule("predictions", "fc"),
)
V4 = _counted("3a 4a 5a 5b 5c 5d 5e 6a 6b 6c 6d 6e 6f 6g 6h 7a 7b 7c 7d", start=3)
INCEPTION_V4 = (
    *_with_norm(
        Rule(r"stem_(\d)_conv", "features.{0:-1}"),
        Rule(r"mixed_(3a|5a)_3x3_1_conv", "features.{}.conv", V4),
        Rule(r"mixed_(\w\w)_1x1_1_conv", "features.{}.branch0", V4),
        Rule(r"mixed_(\w\w)_pool_2_conv", "features.{}.branch3.1", V4),
        Rule(r"mixed_(6a)_3x3_1_conv", "features.{}.branch0", V4),
        Rule(r"mixed_(6a)_3x3dbl_(\d)_conv", "features.{0}.branch1.{1:-1}", V4),
        Rule(r"mixed_(4a|7a)_3x3_(\d)_conv", "features.{0}.branch0.{1:-1}", V4),
        Rule(r"mixed_(7[b-d])_3x3_(\d)_conv", "features.{0}.branch1_{1:-1}", V4),
        Rule(r"mixed_(7[b-d])_3x3_2_conv1x3", "features.{}.branch1_1a", V4),
        Rule(r"mixed_(7[b-d])_3x3_2_conv3x1", "features.{}.branch1_1b", V4),
        Rule(r"mixed_(7[b-d])_3x3dbl_(\d)_conv", "features.{0}.branch2_{1:-1}", V4),
        Rule(r"mixed_(7[b-d])_3x3dbl_4_conv1x3", "features.{}.branch2_3a", V4),
        Rule(r"mixed_(7[b-d])_3x3dbl_4_conv3x1", "features.{}.branch2_3b", V4),
        Rule(r"mixed_(\w\w)_(?:3x3|7x7|7x7x3)_(\d)_conv", "features.{0}.branch1.{1:-1}", V4),
        Rule(r"mixed_(\w\w)_(?:3x3dbl|7x7dbl)_(\d)_conv", "features.{0}.branch2.{1:-1}", V4),
    ),
    Rule("predictions", "last_linear"),
)
RESNET_V2_STEM = {number: name.split("_")[0] for number, name in V3_STEM.items()}
RESNET_V2 = {
    **{f"block35_{index}": f"repeat.{index - 1}" for index in range(1, 11)},
    **{f"block17_{index}": f"repeat_1.{index - 1}" for index in range(1, 21)},
    **{f"block8_{index}": f"repeat_2.{index - 1}" for index in range(1, 10)},
    "block8_10": "block8",
    **{name: name for name in ("mixed_5b", "mixed_6a", "mixed_7a")},
}
INCEPTION_RESNET_V2 = (
    *_with_norm(
        Rule(r"stem_(\d)_conv", "conv2d_{}", RESNET_V2_STEM),
        Rule(r"(mixed_6a)_3x3_1_conv", "{}.branch0"),
        Rule(r"(mixed_6a)_3x3dbl_(\d)_conv", "{0}.branch1.{1:-1}"),
        Rule(r"(mixed_7a)_3x3a_(\d)_conv", "{0}.branch0.{1:-1}"),
        Rule(r"(\w+)_1x1_1_conv", "{}.branch0", RESNET_V2),
        Rule(r"(\w+)_(?:3x3|3x3b|5x5|7x7)_(\d)_conv", "{0}.branch1.{1:-1}", RESNET_V2),
        Rule(r"(\w+)_3x3dbl_(\d)_conv", "{0}.branch2.{1:-1}", RESNET_V2),
        Rule(r"(\w+)_pool_2_conv", "{}.branch3.1", RESNET_V2),
        Rule("conv_7b", "conv2d_7b"),
    ),
    Rule(r"(block\d+_\d+)_conv", "{}.conv2d", RESNET_V2),
    Rule("predictions", "classif"),
)
RESNET = (
    Rule("conv1_conv", "conv1"),
    Rule("conv1_bn", "bn1"),
    Rule(r"conv(\d)_block(\d+)_0_conv", "layer{0:-1}.{1:-1}.downsample.0"),
    Rule(r"conv(\d)_block(\d+)_0_bn", "layer{0:-1}.{1:-1}.downsample.1"),
    Rule(r"conv(\d)_block(\d+)_(\d)_(conv|bn)", "layer{0:-1}.{1:-1}.{3}{2}"),
    Rule("predictions", "fc"),
)
DENSENET = (
    Rule("conv1_conv", "features.conv0"),
    Rule("conv1_bn", "features.norm0"),
    Rule(r"conv(\d)_block(\d+)_0_bn", "features.denseblock{0:-1}.denselayer{1}.norm1"),
    Rule(r"conv(\d)_block(\d+)_1_conv", "features.denseblock{0:-1}.denselayer{1}.conv1"),
    Rule(r"conv(\d)_block(\d+)_1_bn", "features.denseblock{0:-1}.denselayer{1}.norm2"),
    Rule(r"conv(\d)_block(\d+)_2_conv", "features.denseblock{0:-1}.denselayer{1}.conv2"),
    Rule(r"pool(\d)_bn", "features.transition{0:-1}.norm"),
    Rule(r"pool(\d)_conv", "features.transition{0:-1}.conv"),
    Rule("bn", "features.norm5"),
    Rule("predictions", "classifier"),
)
V1_BLOCKS = _staged((1, 2, 2, 6, 2), start=1)
MOBILENET = (
    Rule("conv1", "conv_stem"),
    Rule("conv1_bn", "bn1"),
    Rule(r"conv_dw_(\d+)", "blocks.{}.conv_dw", V1_BLOCKS),
    Rule(r"conv_dw_(\d+)_bn", "blocks.{}.bn1", V1_BLOCKS),
    Rule(r"conv_pw_(\d+)", "blocks.{}.conv_pw", V1_BLOCKS),
    Rule(r"conv_pw_(\d+)_bn", "blocks.{}.bn2", V1_BLOCKS),
    Rule("conv_preds", "classifier"),
)
V2_BLOCKS = _staged((1, 2, 3, 4, 3, 3, 1), start=0)
MOBILENET_V2_OF_TIMM = (
    Rule("Conv1", "conv_stem"),
    Rule("bn_Conv1", "bn1"),
    Rule("expanded_conv_depthwise", "blocks.0.0.conv_dw"),
    Rule("expanded_conv_depthwise_BN", "blocks.0.0.bn1"),
    Rule("expanded_conv_project", "blocks.0.0.conv_pw"),
    Rule("expanded_conv_project_BN", "blocks.0.0.bn2"),
    Rule(r"block_(\d+)_expand", "blocks.{}.conv_pw", V2_BLOCKS),
    Rule(r"block_(\d+)_expand_BN", "blocks.{}.bn1", V2_BLOCKS),
    Rule(r"block_(\d+)_depthwise", "blocks.{}.conv_dw", V2_BLOCKS),
    Rule(r"block_(\d+)_depthwise_BN", "blocks.{}.bn2", V2_BLOCKS),
    Rule(r"block_(\d+)_project", "blocks.{}.conv_pwl", V2_BLOCKS),
    Rule(r"block_(\d+)_project_BN", "blocks.{}.bn3", V2_BLOCKS),
    Rule("Conv_1", "conv_head"),
    Rule("Conv_1_bn", "bn2"),
    Rule("predictions", "classifier"),
)
MOBILENET_V2_OF_TORCHVISION = (
    Rule("Conv1", "features.0.0"),
    Rule("bn_Conv1", "features.0.1"),
    Rule("expanded_conv_depthwise", "features.1.conv.0.0"),
    Rule("expanded_conv_depthwise_BN", "features.1.conv.0.1"),
    Rule("expanded_conv_project", "features.1.conv.1"),
    Rule("expanded_conv_project_BN", "features.1.conv.2"),
    Rule(r"block_(\d+)_expand", "features.{0:+1}.conv.0.0"),
    Rule(r"block_(\d+)_expand_BN", "features.{0:+1}.conv.0.1"),
    Rule(r"block_(\d+)_depthwise", "features.{0:+1}.conv.1.0"),
    Rule(r"block_(\d+)_depthwise_BN", "features.{0:+1}.conv.1.1"),
    Rule(r"block_(\d+)_project", "features.{0:+1}.conv.2"),
    Rule(r"block_(\d+)_project_BN", "features.{0:+1}.conv.3"),
    Rule("Conv_1", "features.18.0"),
    Rule("Conv_1_bn", "features.18.1"),
    Rule("predictions", "classifier.1"),
)


FIRES_V1_0 = (3, 4, 5, 7, 8, 9, 10, 12)  # fire2 to fire9, pooling counted
FIRES_V1_1 = (3, 4, 6, 7, 9, 10, 11, 12)


def _squeezenet(model: keras.Model) -> tuple[Rule, ...]:
    """Version 1.0, whose first convolution is 7x7, pools behind other modules than 1.1 does."""
    kernels = {x.name: x.kernel_size for x in model.layers if isinstance(x, layers.Conv2D)}
    places = FIRES_V1_0 if kernels.get("conv1") == (7, 7) else FIRES_V1_1
    fires = {str(index): place for index, place in enumerate(places, start=2)}
    return (
        Rule("conv1", "features.0"),
        Rule(r"fire(\d)_(squeeze1x1)", "features.{}.squeeze", fires),
        Rule(r"fire(\d)_(expand1x1|expand3x3)", "features.{}.{}", fires),
        Rule("conv10", "classifier.1"),
    )


Rules = tuple[Rule, ...] | Callable[[keras.Model], tuple[Rule, ...]]
NAMES: tuple[tuple[str, Rules], ...] = (
    # whose names they are: timm's stand first where the libraries differ
    ("torchvision", ALEXNET),
    ("timm", _vgg("pre_logits.fc1", "pre_logits.fc2", "head.fc")),
    ("torchvision", _vgg("classifier.0", "classifier.3", "classifier.6")),
    ("torchvision", GOOGLENET),
    ("timm", INCEPTION_V3),
    ("timm", INCEPTION_V4),
    ("timm", INCEPTION_RESNET_V2),
    ("timm", RESNET),
    ("timm", DENSENET),
    ("timm", MOBILENET),
    ("timm", MOBILENET_V2_OF_TIMM),
    ("torchvision", MOBILENET_V2_OF_TORCHVISION),
    ("torchvision", _squeezenet),
)
