"""Recipes by name: the default one, or that of an architecture's paper.

>>> import applications
>>> applications.recipe("resnet50").learning_rate
0.1
>>> applications.recipe("default").epochs_for(images=1293, batch_size=64)
24
"""

import keras_archs
from applications.recipes.default import DEFAULT
from applications.recipes.papers import PAPERS
from applications.recipes.schema import Recipe
from keras_archs.checks import nearest

_RECIPES = {recipe.name: recipe for recipe in (DEFAULT, *PAPERS)}
# Module of keras_archs -> the recipe of its architectures, and those that have another.
_OF_FAMILY = {
    "lenet": "lenet5",
    "alexnet": "alexnet",
    "nin": "nin",
    "vgg": "vgg16",
    "googlenet": "googlenet",
    "inception_v3": "inceptionv3",
    "inception_v4": "inceptionv4",
    "resnet": "resnet50",
    "resnet_v2": "resnet50v2",
    "resnet_cifar": "resnet20",
    "wide_resnet": "wrn_28_10",
    "resnext": "resnext50_32x4d",
    "densenet": "densenet121",
    "mobilenet": "mobilenet",
    "mobilenet_v2": "mobilenetv2",
    "squeezenet": "squeezenet",
    "allcnn": "allcnn_c",
    "simplenet": "simplenet",
    "simpnet": "simpnet",
    "highway": "highway19",
    "fitnet": "fitnet19",
    "mlp": "mlp",
}
_OF_ARCH = {
    "alexnetonetower": "alexnetonetower",
    "nincifar": "nincifar",
    **dict.fromkeys(("vgg11", "vgg11lrn"), "vgg11"),
    "bninception": "bninception",
    **dict.fromkeys(("resnet110", "resnet1202"), "resnet110"),  # "trained as described above"
    **{f"resnet{depth}v2": "resnet110v2" for depth in (20, 32, 44, 56, 110, 1202)},
    **dict.fromkeys(("wideresnet50_2", "wideresnet101_2"), "wideresnet50_2"),
    "resnext29_8x64d": "resnext29_8x64d",
    **dict.fromkeys(
        ("densenet40_12", "densenetbc_100_12", "densenetbc_250_24", "densenetbc_190_40"),
        "densenet40_12",
    ),
}


def _architectures() -> dict[str, str]:
    """Architecture -> the name of its paper's recipe."""
    return {
        title.lower(): _OF_FAMILY[module]
        for module, titles in keras_archs.MODULES.items()
        for title in titles
    } | _OF_ARCH


def recipe(name: str) -> Recipe:
    """The recipe `"default"`, or that of the paper of an architecture such as `"resnet50"`.

    Raises:
        ValueError: there is none of this name; the message names the nearest.
    """
    key = str(name).lower()
    known = {**_architectures(), **{own: own for own in _RECIPES}}
    if key not in known:
        raise ValueError(
            "`recipe` must be 'default' or an architecture, whose paper's recipe it then is."
            f"{nearest(name, known)} Received: recipe={name!r}"
        )
    return _RECIPES[known[key]]


def list_recipes() -> list[str]:
    """Names of the recipes; `recipe` also takes the name of any architecture."""
    return list(_RECIPES)


def check_teacher(recipe: Recipe, given: bool) -> None:
    """Raise ValueError where the recipe learns from a teacher and has none, or the reverse."""
    if recipe.teaching and not given:
        raise ValueError(
            "`teacher` must be the run folder or the .keras file of a trained network: the recipe "
            f"{recipe.name!r} learns from its hints and predictions. Received: teacher=None"
        )
    if given and not recipe.teaching:
        taught = ", ".join(name for name, each in _RECIPES.items() if each.teaching)
        raise ValueError(
            f"`teacher` must be None unless the recipe learns from one, as {taught} does. "
            f"Received: recipe={recipe.name!r}"
        )


def check_weights(recipe: Recipe, given: bool) -> None:
    """Raise ValueError where the recipe starts from another network's layers and has no file."""
    if recipe.pretrained_from and not given:
        other = recipe.pretrained_from
        raise ValueError(
            f"`weights` must be the file of a trained {other}, such as runs/{other}/model.keras: "
            f"the recipe {recipe.name!r} starts from its layers "
            f"{', '.join(recipe.pretrained_layers)}. Received: weights=None"
        )


def wanted_size(arch: str) -> int | None:
    """Side in pixels that the recipe of the architecture's paper asks for, if it does."""
    own = _architectures().get(arch.lower())
    return _RECIPES[own].size if own else None
