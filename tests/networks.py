"""Which networks stand for all, the smallest of each kind, and what their builders take."""

import inspect
import typing

from expected import EXPECTED

import keras_archs

COMMON = """input_shape classes alpha rho include_top pooling features dropout
    classifier_activation weights adapt name""".split()
_VGG_OF_3X3 = {"A", "B", "D", "E"}  # columns whose layers differ in number alone


def title(name: str) -> str:
    return next(t for titles in keras_archs.MODULES.values() for t in titles if t.lower() == name)


def kind(name: str) -> tuple:
    """What networks share that differ in their numbers of layers and filters alone."""
    spec = getattr(keras_archs, title(name)).spec
    parts = {k: v for k, v in spec.fixed.items() if callable(v) or isinstance(v, (str, bool))}
    if parts.get("column") in _VGG_OF_3X3:
        del parts["column"]
    return spec.body, spec.head, *spec.own, *sorted(map(str, parts.items()))


def _smallest_of_each_kind() -> list[str]:
    counts = {row.title.lower(): row.macs for row in reversed(EXPECTED)}
    smallest = {}
    for name in sorted(keras_archs.list_archs(), key=counts.__getitem__):
        smallest.setdefault(kind(name), name)
    return sorted(smallest.values())


KINDS = _smallest_of_each_kind()
DEEP = "resnet1202"  # for what recursion or a thousand names could break
LONG_TO_BUILD = {  # seconds each
    *("inceptionv3", "inceptionv4", "inceptionresnetv2", "bninception", "resnet50v2"),
    *("densenet121", "densenetbc_100_12", "resnext50_32x4d", "wideresnet50_2", "resnet200v2"),
    DEEP,
}
ONE_A_FAMILY = [
    *("lenet5", "alexnetonetower", "nincifar", "vgg11", "googlenet", "inceptionv3", "inceptionv4"),
    *("resnet18", "resnet18v2", "resnet20", "wrn_16_4", "resnext29_8x64d", "densenet40_12"),
    *("mobilenet", "mobilenetv2", "squeezenet", "allcnn_c", "simplenet_310k", "simpnet_300k"),
    *("highway19", "fitnet19", "mlp"),
]


def own_arguments(name) -> dict[str, tuple]:
    """The values that each argument of the family's own takes; of a number its default alone."""

    def values(parameter):
        if parameter.annotation is bool:
            return True, False
        if typing.get_origin(parameter.annotation) is typing.Literal:
            return typing.get_args(parameter.annotation)
        return (parameter.default,)

    parameters = inspect.signature(getattr(keras_archs, title(name))).parameters.values()
    return {p.name: values(p) for p in parameters if p.name not in COMMON}
