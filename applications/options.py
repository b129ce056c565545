"""Every option of training, comparing and searching, declared once.

A field of the dataclasses below is one option: its name, type and default; its `option(...)` says
how it is checked, what it is for, and how it is typed. From that come the Python signature and the
documentation of `train`, `compare` and `search` (`takes`), the command line's options
(`applications.cli`), the keys of config.yaml, and the checks. An instance is valid: it is checked
and brought into its usual form when it is made, and does not change.

`Options.planned` settles what an `Options` leaves open: a `Plan`.
"""

import copy
import dataclasses
import functools
import inspect
import math
import os
import re
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import yaml

import applications
import keras_archs
from applications import recipes
from applications.files import check_file
from applications.recipes import catalog
from applications.recipes.schema import OPTIMIZERS
from keras_archs.checks import check_alpha, check_rho, choice, count, is_count, nearest, number
from keras_archs.registry import check_arch
from tuning.budget import Budget

if TYPE_CHECKING:
    from applications.data.sources import Source

_OF_RECIPES = (  # in the place of a recipe's own
    *("schedule", "weight_decay", "shift", "rand_augment", "random_erasing", "mixup", "cutmix"),
    *("label_smoothing", "stochastic_depth", "averaging", "progressive"),
)
# What `search --tune` can vary beside a recipe's rate and decay: the values of each option.
TUNED: dict[str, tuple[Any, ...]] = {
    "optimizer": ("adamw", "muon", "nesterov"),
    "schedule": ("cosine", "one_cycle", "linear"),
    "rand_augment": (0.0, 0.1, 0.2, 0.3, 0.5),
    "random_erasing": (0.0, 0.1, 0.25, 0.5),
    "mixup": (0.0, 0.1, 0.2, 0.4),
    "cutmix": (0.0, 0.25, 0.5, 1.0),
    "label_smoothing": (0.0, 0.05, 0.1, 0.2),
    "stochastic_depth": (0.0, 0.05, 0.1, 0.2),
    "averaging": (0.0, 0.9, 0.99, 0.999),
    "progressive": (1.0, 0.75, 0.5),
}
_TUNABLE = ("learning_rate", "weight_decay", "augmentation", "recipe", *TUNED)
LOGS = ("histograms", "gradients", "dead_relus")  # what a training logs when it is asked to
# What a network is exported as, and in which precisions; the first is the default.
FORMATS: dict[str, tuple[str, ...]] = {
    "keras": ("fp32",),
    "saved_model": ("fp32",),
    "onnx": ("fp32", "fp16", "int8"),
    "litert": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "fp16", "int8"),
    "c": ("int8",),
}
TOLERANCES = {"fp32": 1e-4, "fp16": 0.02, "int8": 0.02}
SMALL_UP_TO = 64  # side in pixels up to which a family that has stems gets the small one
_LARGEST_DEFAULT = 224
_DIGITS_SIDE = 16
_R = TypeVar("_R")
Size = int | tuple[int, int]


# ------------------------------------------------------------------------------- what an option is


class Declared(NamedTuple):
    """What is known of an option beside its name, type and default.

    Attributes:
        help: a line for the command line.
        doc: for the documentation of the Python function; None: the help.
        check: called with the name and the value; returns the value in its usual form or raises
            ValueError.
        parse: the value that a text on the command line stands for; None: the type's own reading.
        metavar: what `--help` calls the value.
        shown: what `--help` shows as the default; None: the default itself.
        flag: its name on the command line where that is not its own.
        least, most: bounds of a number that `--help` shows.
        positional: whether Python takes it by position too.
        python_only: whether the command line lacks it.
        argument: whether the command line takes it, several times, without a name.
        panel: heading of the group in which `--help` shows it; None: Typer's own.
    """

    help: str
    doc: str | None = None
    check: Callable[[str, Any], Any] = lambda name, value: value
    parse: Callable[[str], Any] | None = None
    metavar: str | None = None
    shown: str | None = None
    flag: str | None = None
    least: float | None = None
    most: float | None = None
    positional: bool = False
    python_only: bool = False
    argument: bool = False
    panel: str | None = None


def option(default: Any = MISSING, **declared: Any) -> Any:
    """A field that is an option; `declared` are the attributes of `Declared`."""
    return field(default=default, metadata={"option": Declared(**declared)})


def declared(kind: Any, name: str) -> Declared:
    """What was declared of an option of this dataclass."""
    return kind.__dataclass_fields__[name].metadata["option"]


class _Checked:
    """A dataclass whose values are checked in the order of its fields."""

    def __post_init__(self):
        for each in fields(self):  # pyright: ignore[reportArgumentType]
            check = each.metadata["option"].check
            value = check(each.name, getattr(self, each.name))
            object.__setattr__(self, each.name, value)


def _optional(check: Callable[..., Any], **bounds: Any) -> Callable[[str, Any], Any]:
    """The check, which None passes."""
    return lambda name, value: None if value is None else check(name, value, **bounds)


def _up_to(most: float, **bounds: float) -> Callable[[str, Any], Any]:
    """A number or None; beyond `most` it is of no use, and far beyond no float32."""

    def check(name: str, value: Any) -> float | None:
        if value is None:
            return None
        return number(name, number(name, value, **bounds), **bounds, most=most)

    return check


def _one_of(*choices: Any) -> Callable[[str, Any], Any]:
    return lambda name, value: choice(name, value, choices)


def _some_of(*choices: str) -> Callable[[str, Any], Any]:
    """A tuple of distinct choices."""

    def check(name: str, values: Any) -> tuple[str, ...]:
        values = (values,) if isinstance(values, str) else tuple(values or ())
        for value in values:
            if value not in choices:
                raise ValueError(
                    f"`{name}` must hold some of {', '.join(choices)}.{nearest(value, choices)} "
                    f"Received: {value!r}"
                )
        if len(set(values)) < len(values):
            raise ValueError(f"`{name}` must name each once. Received: {','.join(values)}")
        return values

    return check


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` must be a bool. Received: {name}={value!r}")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        raise ValueError(f"`{name}` must be a text or a path. Received: {name}={value!r}")
    text = os.fspath(value)
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"`{name}` must be a name in UTF-8. Received: {name}={text!r}")
    return text


def _data(name: str, value: Any) -> str:
    """Data that exist, as far as that is seen without reading them; arrays are kept in a file."""
    if not isinstance(value, str | os.PathLike):
        return applications.data.kept_arrays(value)
    data = _text(name, value)
    if not data:
        raise ValueError("`data` must be a name or a path. Received: data=''")
    if data not in applications.data.NAMES and not os.path.exists(os.path.expanduser(data)):
        applications.data.open_source(data)  # says what it wanted
    return data


def _size(name: str, size: Any) -> int | list[int] | None:
    sides = size if isinstance(size, tuple | list) and len(size) == 2 else (size,)
    if size is None:
        return None
    try:
        found = [count(name, side) for side in sides]
    except ValueError:
        raise ValueError(
            f"`size` must be a side in pixels or (height, width), >= 1. Received: size={size!r}"
        ) from None
    return found if len(found) == 2 else found[0]


def _recipe(name: str, value: Any) -> str:
    return catalog.recipe(value).name


def _args(name: str, args: Any) -> dict[str, Any]:
    if args is not None and not isinstance(args, Mapping):
        raise ValueError(f"`args` must be a mapping of names to values. Received: args={args!r}")
    return plain({"args": dict(args or {})})["args"]


def _devices(name: str, value: Any) -> int | str | None:
    if isinstance(value, str) or value is None:
        return choice(name, value, (None, "all"))
    return count(name, value)


def _profile_steps(name: str, steps: Any) -> tuple[int, int] | None:
    if steps is None:
        return None
    pair = isinstance(steps, tuple | list) and len(steps) == 2 and all(map(is_count, steps))
    if not pair or steps[0] > steps[1]:
        raise ValueError(
            "`profile_steps` must be a first step >= 1 and a last one not before it. "
            f"Received: profile_steps={steps!r}"
        )
    return int(steps[0]), int(steps[1])


def _budget(name: str, value: Any) -> Budget | None:
    if not isinstance(value, Budget | None):
        raise ValueError(f"`{name}` must be None or a tuning.Budget. Received: {name}={value!r}")
    return value


def _address(name: str, value: Any) -> str | None:
    if value is None:
        return None
    text = _text(name, value)
    if text != "auto" and not re.fullmatch(r"[^\s/:]+:\d+|\[[0-9a-fA-F:.]+\]:\d+", text, re.ASCII):
        raise ValueError(f"`{name}` must be auto or HOST:PORT. Received: {name}={text!r}")
    return text


def _gpus(name: str, value: Any) -> float:
    found = number(name, value, least=0, most=1024)
    if found > 1 and found % 1:
        raise ValueError(f"`{name}` must be below 1 or a whole number. Received: {name}={value!r}")
    return found


def _seeds(name: str, seeds: Any) -> tuple[int, ...]:
    found = tuple(count(name, seed, least=0, most=2**32 - 1) for seed in seeds)
    if not found:
        raise ValueError("`seeds` must hold at least one. Received: seeds=()")
    for index, seed in enumerate(found):
        if seed in found[:index]:
            raise ValueError(f"`seeds` must be distinct. Received: {seed} twice")
    return found


def _names_once(of: str) -> Callable[[str, Any], list[str]]:
    """A list of names of such things, each once."""

    def check(name: str, values: Any) -> list[str]:
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise ValueError(f"`{name}` must be a list of {of}. Received: {name}={values!r}")
        found = [str(value) for value in values]
        if len(set(found)) < len(found):
            raise ValueError(f"`{name}` must name each once. Received: {','.join(found)}")
        return found

    return check


def parse_names(text: str) -> tuple[str, ...]:
    """Names that are separated by commas."""
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _counts(name: str, example: str, least: int) -> Callable[[str], tuple[int, ...]]:
    """A reader of integers that are separated by commas."""

    def parse(text: str) -> tuple[int, ...]:
        if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", text, re.ASCII):
            raise ValueError(
                f"`{name}` must be integers >= {least} such as {example}. Received: {name}={text!r}"
            )
        return tuple(int(number) for number in text.split(","))

    return parse


def parse_counts(name: str, text: str) -> tuple[int, ...]:
    """Integers >= 1 that are separated by commas."""
    return _counts(name, "1,8", least=1)(text)


def _parse_steps(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", text, re.ASCII)
    if not match:
        raise ValueError(
            f"`profile_steps` must be STEP or FIRST-LAST. Received: profile_steps={text!r}"
        )
    return int(match[1]), int(match[2] or match[1])


def parse_size(text: str) -> Size:
    """`SIDE` or `HEIGHTxWIDTH` in pixels."""
    match = re.fullmatch(r"0*([1-9]\d*)(?:[x,]0*([1-9]\d*))?", text.replace(" ", ""), re.ASCII)
    if not match:
        raise ValueError(
            f"`size` must be SIDE or HEIGHTxWIDTH in pixels, >= 1. Received: size={text!r}"
        )
    height, width = match.groups()
    return int(height) if width is None else (int(height), int(width))


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they are read back from a config file: tuples have become lists.

    Raises:
        TypeError: one is no plain value (None, bool, number, text, list, dict).
    """
    for name, value in options.items():
        try:
            yaml.safe_dump(value)
        except yaml.representer.RepresenterError:
            raise TypeError(
                f"`{name}` must be made of numbers, texts, lists and dicts. "
                f"Received: {name}={value!r}"
            ) from None
    return yaml.safe_load(yaml.safe_dump(dict(options), sort_keys=False))


# ------------------------------------------------------------------------- options of one training


@dataclass(frozen=True, kw_only=True)
class Options(_Checked):
    """A training: what config.yaml holds, in its order.

    Raises:
        ValueError, TypeError: an option is out of its range or contradicts another.
    """

    arch: str = option(
        help="An architecture of `list`.",
        doc="its name, as `keras_archs.list_archs` has it.",
        check=lambda name, value: check_arch(value).lower(),
        metavar="NAME",
        positional=True,
        panel="Network",
    )
    data: str | os.PathLike[str] | tuple[Any, Any] | Mapping[str, Any] = option(
        "digits",
        help="digits, mnist, fashion_mnist, cifar10, cifar100, an .npz file or a folder "
        "train/CLASS/*, with val/ and test/ where there are such splits.",
        doc='"digits", a data set of Keras, a folder of images or an `.npz` file, as '
        "`applications.data.open_source` has it; or arrays: (images, labels), or a dict of such "
        "pairs by split, which are kept in `runs/data-HASH.npz`.",
        check=_data,
        metavar="NAME|PATH",
        panel="Data",
    )
    alpha: float = option(
        1.0,
        help="Width multiplier, > 0.",
        check=lambda name, value: check_alpha(value),
        panel="Network",
    )
    rho: float = option(
        1.0,
        help="Resolution multiplier in (0, 1].",
        doc="resolution multiplier in (0, 1]; images are resized to what is left of the size.",
        check=lambda name, value: check_rho(value),
        panel="Network",
    )
    size: int | tuple[int, int] | None = option(
        None,
        help="Size of the input in pixels.",
        doc="side of the images in pixels, or (height, width). None: 16 for the digits, else the "
        "data's median side up to 224; more where the recipe or the network needs it.",
        check=_size,
        parse=parse_size,
        metavar="SIDE|HxW",
        shown="the data's or the recipe's",
        panel="Network",
    )
    epochs: int | None = option(
        None,
        help="Passes over the training images.",
        doc="passes over the training images, 1..1,000,000. None: the recipe's.",
        check=_optional(count, most=1_000_000),
        shown="the recipe's",
        least=1,
        most=1_000_000,
        panel="Training",
    )
    optimizer: Literal["adam", "adamw", "muon", "nesterov", "sgd"] | None = option(
        None,
        help="Optimizer.",
        doc='"adam", "adamw", "muon", "nesterov" or "sgd" (both with a momentum of 0.9), with a '
        "learning rate and a weight decay of its own unless these are given. None: the recipe's.",
        check=_one_of(None, *OPTIMIZERS),
        shown="the recipe's",
        panel="Training",
    )
    schedule: Literal["cosine", "linear", "one_cycle", "constant"] | None = option(
        None,
        help="How the learning rate goes.",
        doc='"cosine" and "linear" fall to 0, "one_cycle" rises for the first 30 % of the steps, '
        '"constant" stays. None: the recipe\'s.',
        check=_one_of(None, "cosine", "linear", "one_cycle", "constant"),
        shown="the recipe's",
        panel="Training",
    )
    batch_size: int | None = option(
        None,
        help="Images in a step.",
        doc="images a step, >= 1. None: the recipe's. Never more than there are images.",
        check=_optional(count),
        shown="the recipe's",
        least=1,
        panel="Training",
    )
    learning_rate: float | None = option(
        None,
        help="Highest learning rate, > 0.",
        doc="base rate, in (0, 1e6]. None: the recipe's.",
        check=_up_to(1e6, above=0),
        shown="the recipe's",
        panel="Training",
    )
    weight_decay: float | None = option(
        None,
        help="How strongly kernels decay, >= 0.",
        doc="how strongly kernels decay, in [0, 1e6], as the recipe's optimizer understands it. "
        "None: the recipe's.",
        check=_up_to(1e6, least=0),
        shown="the recipe's",
        least=0,
        panel="Augmentation and regularisation",
    )
    shift: float | None = option(
        None,
        help="Largest random shift of a training image, as a fraction of its sides in [0, 1).",
        doc="largest random shift of a training image, as a fraction of its sides, in [0, 1). "
        "None: the recipe's.",
        check=_optional(number, least=0, below=1),
        shown="the recipe's",
        least=0,
        panel="Augmentation and regularisation",
    )
    mirror: bool | None = option(
        None,
        help="Mirror training images at random, or never.",
        doc="whether training images are mirrored at random. None: where the recipe does and the "
        "data are known to keep their classes, as cifar10 is and a folder or a file is not.",
        check=_optional(_boolean),
        shown="as recipe and data allow",
        panel="Augmentation and regularisation",
    )
    rand_augment: float | None = option(
        None,
        help="RandAugment: two random operations on a batch, of at most this strength in [0, 1].",
        doc="largest amount of RandAugment's two random operations on the images of a batch, in "
        "[0, 1]; 0 for none. None: the recipe's.",
        check=_optional(number, least=0, most=1),
        shown="the recipe's",
        least=0,
        most=1,
        panel="Augmentation and regularisation",
    )
    random_erasing: float | None = option(
        None,
        help="Share of the images of which a rectangle is erased, in [0, 1].",
        doc="share of the images of which a random rectangle becomes noise, in [0, 1]. None: the "
        "recipe's.",
        check=_optional(number, least=0, most=1),
        shown="the recipe's",
        least=0,
        most=1,
        panel="Augmentation and regularisation",
    )
    mixup: float | None = option(
        None,
        help="Mix pairs of images by shares drawn from Beta(x, x), x in [0, 1000]; 0: not.",
        doc="parameter of the beta distribution of the shares by which pairs of images are mixed, "
        "in [0, 1000]; 0 for none. With `cutmix` each batch is mixed in one of both ways. None: "
        "the recipe's.",
        check=_up_to(1000, least=0),
        shown="the recipe's",
        least=0,
        most=1000,
        panel="Augmentation and regularisation",
    )
    cutmix: float | None = option(
        None,
        help="Paste a rectangle of another image, of a share drawn from Beta(x, x), x in [0, 1]; "
        "0: not.",
        doc="the same of the shares of rectangles that come from another image, in [0, 1]. None: "
        "the recipe's.",
        check=_optional(number, least=0, most=1),
        shown="the recipe's",
        least=0,
        most=1,
        panel="Augmentation and regularisation",
    )
    label_smoothing: float | None = option(
        None,
        help="Share of a label that is spread over all classes, in [0, 1).",
        doc="share of a label that is spread evenly over all classes, in [0, 1). None: the "
        "recipe's.",
        check=_optional(number, least=0, below=1),
        shown="the recipe's",
        least=0,
        panel="Augmentation and regularisation",
    )
    stochastic_depth: float | None = option(
        None,
        help="How often the last residual branch is left out in training, in [0, 1).",
        doc="how often the last residual branch is left out in training, in [0, 1); earlier ones "
        "less often, as far as they are from it. The architecture must have some. None: the "
        "recipe's.",
        check=_optional(number, least=0, below=1),
        shown="the recipe's",
        least=0,
        panel="Augmentation and regularisation",
    )
    progressive: float | None = option(
        None,
        help="Share of the sides that training begins at; it grows to 1 in the last quarter of the "
        "epochs.",
        doc="share of the sides at which the first quarter of the epochs is trained, in (0, 1]; it "
        "grows to 1 in three equal steps. The architecture must end in global pooling. None: the "
        "recipe's.",
        check=_optional(number, above=0, most=1),
        shown="the recipe's",
        panel="Augmentation and regularisation",
    )
    averaging: float | None = option(
        None,
        help="Validate and keep a moving average of the weights with this decay a step, in [0, 1).",
        doc="decay by step of a moving average of the weights, which is what validates and is "
        "kept, in [0, 1); 0 keeps the weights themselves. A short training remembers a tenth of "
        "its steps at most. None: the recipe's.",
        check=_optional(number, least=0, below=1),
        shown="the recipe's",
        least=0,
        panel="Training",
    )
    weights: str | os.PathLike[str] | None = option(
        None,
        help="Start from a .keras, .h5, .safetensors or .caffemodel file, imagenet, mnist or "
        "cifar10 (in the package), or hf://timm/NAME.",
        doc='None for random weights, or what the builder takes: a file, "imagenet", "mnist", '
        '"cifar10" or "hf://timm/NAME". Images then get the preprocessing that these weights were '
        "trained with, where it is known. With a recipe that starts from layers of another "
        "network: that network's `.keras` file, of which nothing else is read.",
        check=_optional(_text),
        metavar="FILE|NAME",
        panel="Network",
    )
    adapt: bool = option(
        False,
        help="Adapt weights for other classes or channels, a larger alpha, another size.",
        doc="whether weights for other classes or channels, a larger `alpha` or another size are "
        "adapted, as the builder does it.",
        check=_boolean,
        panel="Network",
    )
    freeze_until: str | None = option(
        None,
        help="Fine-tune: freeze the layers up to P1, P2, ... or up to the last one whose name "
        "starts with STAGE for a quarter of the epochs, then train all at half the rate.",
        doc="None, or a stage of the network: `P{k}`, or how the names of its layers start. For "
        "the first quarter of the epochs the layers up to its end are frozen; in the rest all "
        "learn, at half the rate. Each part has the whole schedule of the recipe.",
        check=_optional(_text),
        metavar="STAGE",
        panel="Network",
    )
    seed: int = option(
        0,
        help="Seed of the splits, the weights and the order of images.",
        doc="of the weights, the order, the augmentation and the splits that the data lack.",
        check=lambda name, value: count(name, value, least=0, most=2**32 - 1),
        least=0,
        most=2**32 - 1,
        panel="Training",
    )
    recipe: str = option(
        "default",
        help="How to train.",
        doc='"default", or an architecture whose paper\'s recipe is to be used.',
        check=_recipe,
        metavar="NAME",
        panel="Training",
    )
    teacher: str | os.PathLike[str] | None = option(
        None,
        help="Run folder or .keras file of the network that the recipe's training learns from.",
        doc="None, or the run folder or `.keras` file of a trained network of the same classes, "
        "with a recipe that learns from one.",
        check=_optional(_text),
        metavar="RUN|FILE",
        panel="Network",
    )
    patience: int | None = option(
        None,
        help="End when so many epochs in a row are no better on the validation images.",
        doc="None, or the number of epochs, >= 1, after which the training ends if none of them "
        "was better on the validation images than the best one before. The schedule is that of all "
        "epochs; parts of a training before its last one are done in full.",
        check=_optional(count),
        metavar="EPOCHS",
        least=1,
        panel="End of the training",
    )
    time_limit: float | None = option(
        None,
        help="End after so many minutes.",
        doc="None, or the minutes, > 0, after which the training ends, also within an epoch; it is "
        "then validated and tested as any other. Interruptions are not counted.",
        check=_optional(number, above=0),
        metavar="MINUTES",
        panel="End of the training",
    )
    keep: Literal["best", "last"] = option(
        "best",
        help="Whose weights are kept: the best epoch's on the validation images, or the last's.",
        doc='"best": the weights are those of the epoch with the highest validation accuracy, of '
        'several of these the one with the lowest loss; or "last".',
        check=_one_of("best", "last"),
        panel="End of the training",
    )
    test_mirrored: bool = option(
        False,
        help="Report the test accuracy with mirrored images, too.",
        doc="whether the test images are also classified by the mean of the probabilities of each "
        "and of its mirror image: `mirrored_test_accuracy` of metrics.json.",
        check=_boolean,
        panel="End of the training",
    )
    resize: Literal["stretch", "crop", "pad"] = option(
        "stretch",
        help="How images get the input's proportions.",
        doc='"stretch", "crop" or "pad": how images of other proportions get the input\'s.',
        check=_one_of("stretch", "crop", "pad"),
        panel="Data",
    )
    class_weight: Literal["balanced"] | None = option(
        None,
        help="Weigh rare classes as much as frequent ones.",
        doc='None, or "balanced": rare classes count as much as frequent ones.',
        check=_one_of(None, "balanced"),
        panel="Data",
    )
    devices: int | Literal["all"] | None = option(
        None,
        help="Devices that share every batch: a number, or all.",
        doc='devices, >= 1, that share every batch, or "all"; they must divide it. On TensorFlow '
        "and JAX, whose first GPUs are taken, or where there are none processors. None: one.",
        check=_devices,
        parse=lambda text: int(text) if text.isdecimal() else text,
        metavar="N|all",
        shown="1",
        panel="Machine",
    )
    cache: Literal["memory", "disk", "none"] | None = option(
        None,
        help="Where decoded images are kept. Those on disk stay there for the next training.",
        doc='where decoded images are kept: "memory", "disk" (of a folder\'s images, in '
        'keras_archs/ of Keras\' own folder, where they stay for the next training) or "none". '
        "None: in memory up to 2 GiB, else nowhere.",
        check=_one_of(None, "memory", "disk", "none"),
        shown="memory up to 2 GiB, else none",
        panel="Machine",
    )
    threads: int | None = option(
        None,
        help="CPU threads.",
        doc="CPU threads of TensorFlow, 1..1024. None leaves it to TensorFlow.",
        check=_optional(count, most=1024),
        shown="all processors",
        least=1,
        most=1024,
        panel="Machine",
    )
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] | None = option(
        None,
        help="Precision of the computation.",
        doc='"float32", "mixed_float16" or "mixed_bfloat16". None: "float32".',
        check=lambda name, value: choice(
            name, value or "float32", ("float32", "mixed_float16", "mixed_bfloat16")
        ),
        shown="float32",
        panel="Machine",
    )
    args: Mapping[str, Any] | None = option(
        None,
        help="An argument of the family's own, such as stem=small; the value is YAML. Repeatable. "
        "In a config: a mapping `args:`.",
        doc="the architecture's own arguments and `dropout`, by name. A family with stems gets "
        'stem="small" for sides up to 64 unless this says otherwise.',
        check=_args,
        metavar="NAME=VALUE",
        flag="--set",
        panel="Network",
    )

    def __post_init__(self):
        super().__post_init__()
        for name, off in (("adapt", False), ("freeze_until", None)):
            if getattr(self, name) != off and self.weights is None:
                raise ValueError(
                    f"`{name}` must be {off} without `weights`. "
                    f"Received: {name}={getattr(self, name)!r}"
                )
        recipe = catalog.recipe(self.recipe)
        catalog.check_weights(recipe, self.weights is not None)
        catalog.check_teacher(recipe, self.teacher is not None)

    @classmethod
    def made_of(cls, config: Mapping[str, Any]) -> "Options":
        """The options by name; what is missing has its default, also what a later version added."""
        check_known("train", config, OPTIONS)
        return cls(**config)

    def as_dict(self) -> dict[str, Any]:
        """Every option by name, in the order of config.yaml."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def planned(self, source: "Source") -> "Plan":
        """The training with nothing left open.

        Args:
            source: the data that the options name, opened.

        Raises:
            ValueError, TypeError: the options name no network that can be built.
        """
        recipe = catalog.recipe(self.recipe)
        if self.optimizer is not None:
            recipe = recipe.with_optimizer(self.optimizer)
        given = {name: getattr(self, name) for name in _OF_RECIPES}
        recipe = dataclasses.replace(recipe, **{k: v for k, v in given.items() if v is not None})
        size, args = self._input(source, recipe)
        images = source.count("train")
        batch_size = min(self.batch_size or recipe.batch_size, images)
        epochs = self.epochs or recipe.epochs_for(images, batch_size)
        build = {
            "input_shape": (*height_width(size), source.channels),
            "classes": len(source.labels),
            "alpha": self.alpha,
            "rho": self.rho,
            **args,
        }
        profile = keras_archs.profile(self.arch, **build)
        rate = self.learning_rate
        if rate is None:
            normalises = any(row.type == "BatchNormalization" for row in profile.rows)
            rate = (not normalises and recipe.plain_learning_rate) or recipe.learning_rate
        settled = {"size": size, "args": args, "batch_size": batch_size, "epochs": epochs}
        return Plan(
            options=dataclasses.replace(self, **settled, learning_rate=rate),
            recipe=recipe,
            build_arguments=build,
            data_name=source.name,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=rate,
            cost=profile,
        )

    def _input(self, source: "Source", recipe: recipes.Recipe) -> tuple[Any, dict[str, Any]]:
        """The size before `rho` and the family's own arguments, with the stem that suits them."""
        info = keras_archs.info(self.arch)
        args = dict(self.args or {})
        scaled_side = keras_archs.architecture.scaled_side
        if self.size is None:
            native = _DIGITS_SIDE if self.data == "digits" else min(source.side, _LARGEST_DEFAULT)
            side = max(native, recipe.size or catalog.wanted_size(self.arch) or 0)
        else:
            side = min(height_width(self.size))
        small = scaled_side(side, self.rho) <= SMALL_UP_TO
        if small and "small" in info.stems and "stem" not in args:
            args["stem"] = "small"
        # Of the arguments that all families share only the dropout has no option of `train`. What
        # is not the family's own is an error here.
        smallest = info.min_size_for(**{k: v for k, v in args.items() if k != "dropout"})
        if self.size is not None:
            return self.size, args
        if scaled_side(side, self.rho) < smallest:
            side = math.floor((smallest - 0.5) / self.rho)
            while scaled_side(side, self.rho) < smallest:
                side += 1
        return side, args


OPTIONS = tuple(each.name for each in fields(Options))


@dataclass(frozen=True)
class Plan:
    """A training with nothing left open but the values of the weights.

    Attributes:
        options: with size, own arguments, batch size, epochs and learning rate filled in: what
            config.yaml holds.
        recipe: with what the options have in the place of its own.
        build_arguments: the builder's arguments but for the weights.
        data_name: short name of the data.
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: base rate.
        cost: of the network, for a batch of one image.
    """

    options: Options
    recipe: recipes.Recipe
    build_arguments: Mapping[str, Any]
    data_name: str
    epochs: int
    batch_size: int
    learning_rate: float
    cost: "keras_archs.Profile"

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        height, width = height_width(self.options.size)
        rho, scaled_side = self.options.rho, keras_archs.architecture.scaled_side
        return scaled_side(height, rho), scaled_side(width, rho)

    @property
    def config(self) -> dict[str, Any]:
        """What config.yaml holds."""
        return self.options.as_dict()


def height_width(size: Any) -> tuple[int, int]:
    """Both sides of a size that may be given as one."""
    height, width = size if isinstance(size, tuple | list) else (size, size)
    return height, width


@dataclass(frozen=True, kw_only=True)
class Running(_Checked):
    """Where a training's run goes, and what else is written and printed."""

    run_dir: str | os.PathLike[str] | None = option(
        None,
        help="A new folder for the run.",
        doc="the run's own folder. None: `runs/ARCH-DATA-sSEED`, with -2, ... where taken.",
        check=_optional(_text),
        metavar="FOLDER",
        shown="runs/ARCH-DATA-sSEED",
        panel="Run folder",
    )
    resume: bool = option(
        False,
        help="Resume the run in --run-dir, or start it.",
        doc="resume the run in that folder after its last finished epoch: the result is that of an "
        "uninterrupted run. Starts one where there is none; a finished run is left alone.",
        check=_boolean,
        panel="Run folder",
    )
    checkpoint_minutes: float = option(
        5.0,
        help="Minutes between checkpoints within an epoch; 0: only after epochs.",
        doc="minutes between checkpoints within an epoch, >= 0; 0: there are none but after "
        "epochs.",
        check=lambda name, value: number(name, value, least=0),
        least=0,
        panel="Run folder",
    )
    log: Collection[str] | None = option(
        None,
        help="Log these to TensorBoard as well: histograms, gradients, dead_relus.",
        doc='what else TensorBoard is to show: any of "histograms", "gradients", "dead_relus", as '
        "`TensorBoardLogger` says. Costs time after each epoch and changes nothing else.",
        check=_some_of(*LOGS),
        parse=parse_names,
        metavar="A,B",
        panel="Run folder",
    )
    profile_steps: tuple[int, int] | None = option(
        None,
        help="Trace these training steps with the backend's profiler.",
        doc="first and last training step of a trace by the backend's own profiler, counted from 1 "
        "at the start or where the run is resumed.",
        check=_profile_steps,
        parse=_parse_steps,
        metavar="FIRST-LAST",
        panel="Run folder",
    )
    verbose: int = option(
        1,
        help="",
        doc="0 prints nothing; 1 a line an epoch, a progress bar and the result.",
        python_only=True,
    )


# ---------------------------------------------------------------------- comparisons and searches


@dataclass(frozen=True, kw_only=True)
class Comparison(_Checked):
    """What is compared, and where the result goes."""

    runs: "Sequence[str | os.PathLike[str] | applications.Run] | None" = option(
        (),
        help="Run folders.",
        doc="folders of finished runs. What an earlier comparison wrote is passed over.",
        metavar="RUN",
        positional=True,
        argument=True,
    )
    archs: str | Sequence[str] | None = option(
        None,
        help="Architectures to train where that is not done, each as NAME or "
        "NAME:alpha=0.5:rho=0.75.",
        doc="architectures to train, each with every seed: names separated by commas or a list, an "
        'entry with multipliers of its own as in `"mobilenet:alpha=0.5:rho=0.75"`.',
        metavar="A,B,...",
    )
    seeds: Sequence[int] = option(
        (0,),
        help="Train once with each of these.",
        doc="distinct seeds of the trainings.",
        check=_seeds,
        parse=_counts("seeds", "0,1,2", least=0),
        metavar="0,1,...",
        shown="0",
    )
    run_dir: str | os.PathLike[str] | None = option(
        None,
        help="Where comparison.csv, report.html and the new runs go.",
        doc="parent folder of what is trained. None: `runs`, or without `archs` the folder that "
        "holds the runs.",
        check=_optional(_text),
        metavar="FOLDER",
    )


@dataclass(frozen=True, kw_only=True)
class Search(_Checked):
    """What is searched, how, and where the result goes."""

    space: str | Callable[..., dict[str, Any]] = option(
        "simpnet",
        help="simpnet: the space of SimpNet's principles. Another architecture: its width, "
        "resolution and dropout.",
        doc='"simpnet", which stands for `tuning.space`; another architecture, whose `arch_space` '
        "with `rho` is searched; or a function `(hp, *, input_shape, classes, budget) -> arguments "
        "of the builder` with an attribute `arch` that names the builder.",
        metavar="NAME",
        flag="--arch",
        positional=True,
    )
    trials: int = option(
        20,
        help="Networks to train.",
        doc="configurations to train, 1..1,000,000. A search that is resumed may be given more, "
        'but for the algorithms "hyperband" and "asha" and the engine "optuna".',
        check=lambda name, value: count(name, value, most=1_000_000),
        least=1,
        most=1_000_000,
    )
    budget: Budget | None = option(
        None,
        help="",
        doc="what a network may cost; None sets no limit.",
        check=_budget,
        python_only=True,
    )
    algorithm: Literal["random", "bayesian", "hyperband", "asha", "grid"] = option(
        "bayesian",
        help="Search algorithm.",
        doc='"random", "bayesian", "hyperband", "asha" (asynchronous successive halving: the best '
        "third of what was trained so far is trained three times as long; on Ray by Ray's "
        'scheduler) or "grid"; the first '
        'proposal is the space\'s default. With the engine "optuna" all but "grid", and the '
        "first proposal is drawn as well.",
        check=_one_of("random", "bayesian", "hyperband", "asha", "grid"),
    )
    principles: str | Sequence[str] = option(
        "all",
        help="The principles that bind the space, or all.",
        doc='"all", or those of SimpNet\'s principles that bind the space.',
        check=lambda name, value: value if isinstance(value, str) else tuple(value),
        parse=lambda text: text if text == "all" else parse_names(text),
        metavar="A,B,...",
    )
    isolate: str | None = option(
        None,
        help="Compare the settings of one principle; nothing else varies.",
        doc="a principle of `tuning.space`: its settings are compared, all others hold, and "
        "nothing else varies.",
        metavar="PRINCIPLE",
    )
    seeds: Sequence[int] = option(
        (0, 1, 2),
        help="With --isolate: train each setting once with each of these.",
        doc="of isolation: each setting is trained once with each.",
        check=_seeds,
        parse=_counts("seeds", "0,1,2", least=0),
        metavar="0,1,...",
        shown="0,1,2",
    )
    tune: Sequence[str] = option(
        (),
        help=f"Search these as well: {', '.join(_TUNABLE)}.",
        doc='what else is searched: any of "learning_rate", "weight_decay", "augmentation" (the '
        "shift of images), \"recipe\" (the default one or the architecture's paper's) and the "
        f"options {', '.join(TUNED)}.",
        check=_some_of(*_TUNABLE),
        parse=parse_names,
        metavar="A,B,...",
    )
    transfer: bool = option(
        False,
        help="Begin a trial with the weights of the best one before that grows into its network.",
        doc="whether a trial begins with the weights of the best finished trial whose network is "
        "its own, or becomes it when it is made wider (arXiv:1511.05641). `best.yaml` trains the "
        "winner anew.",
        check=_boolean,
    )
    workers: int = option(
        1,
        help="Trials trained side by side.",
        doc="trials trained side by side, 1..1024: one to a GPU where there are GPUs, else they "
        "share the processors.",
        check=lambda name, value: count(name, value, most=1024),
        least=1,
        most=1024,
    )
    keep: int = option(
        1,
        help="Best trials that keep their model.",
        doc="how many of the best trials keep their model, >= 1.",
        check=count,
        least=1,
    )
    retries: int = option(
        1,
        help="How often a trial that failed is tried again.",
        doc="how often a trial that failed is tried again.",
        check=lambda name, value: count(name, value, least=0),
        least=0,
    )
    engine: Literal["local", "optuna", "ray"] = option(
        "local",
        help="optuna: machines share the trials through --storage. ray: those of --address.",
        doc='"local"; "optuna": any number of machines that are given the same command share the '
        'trials through a database, and `run_dir` must be given and may exist; or "ray": Ray Tune '
        "trains them on the machines of `address`, as many side by side as these have room for. "
        "`run_dir` must lie where all machines see it.",
        check=_one_of("local", "optuna", "ray"),
    )
    address: str | None = option(
        None,
        help="Ray cluster, auto or HOST:PORT.",
        doc='of engine "ray": "auto" or HOST:PORT of the cluster. None: Ray is started on this '
        "machine and ended with the search.",
        check=_address,
        metavar="HOST:PORT",
        shown="this machine",
    )
    cpus_per_trial: int | None = option(
        None,
        help="With ray: processors of a trial.",
        doc='of engine "ray": processors of a trial, 1..1024. None: 1.',
        check=_optional(count, most=1024),
        least=1,
        most=1024,
        shown="1",
    )
    gpus_per_trial: float | None = option(
        None,
        help="With ray: GPUs of a trial, such as 0.5.",
        doc='of engine "ray": GPUs of a trial, 0..1024: a whole number, or below 1 a part, whose '
        "other parts are for other trials. None: 0, and trials are trained on processors.",
        check=_optional(_gpus),
        least=0,
        most=1024,
        shown="0",
    )
    storage: str | None = option(
        None,
        help="Database such as postgresql://user@host/name. Its password comes from PGPASSFILE or "
        "PGPASSWORD.",
        doc='of engine "optuna": URL of the database, without a password.',
        metavar="URL",
    )
    study: str | None = option(
        None,
        help="Name in the database.",
        doc='of engine "optuna": name in the database. None: the folder\'s name.',
        shown="the name of --run-dir",
    )
    heartbeat: int = option(
        60,
        help="Seconds between signs of life of a worker on --storage.",
        doc='of engine "optuna": seconds between a worker\'s signs of life, >= 1; after twice as '
        "long without one its trials are given to others.",
        check=count,
        least=1,
    )
    objectives: Sequence[str] = option(
        ("accuracy",),
        help="accuracy, or with optuna accuracy,macs: the front.",
        doc='("accuracy",), or of engine "optuna" ("accuracy", "macs"): the front.',
        check=_some_of("accuracy", "macs"),
        parse=parse_names,
        metavar="A,B",
        shown="accuracy",
    )
    run_dir: str | os.PathLike[str] | None = option(
        None,
        help="A new folder for the search.",
        doc="the search's folder. None: `runs/search-ARCH-DATA-sSEED`, with -2, ... where taken.",
        check=_optional(_text),
        metavar="FOLDER",
        shown="runs/search-ARCH-DATA-sSEED",
    )
    resume: bool = option(
        False,
        help="Resume the search in --run-dir, or start it.",
        doc="resume the search in that folder, or start it.",
        check=_boolean,
    )
    verbose: int = option(1, help="", doc="0 prints nothing.", python_only=True)

    def __post_init__(self):
        super().__post_init__()
        optuna, ray = self.engine == "optuna", self.engine == "ray"
        if optuna != (self.storage is not None):
            raise ValueError(
                "`storage` must be given with the engine 'optuna' and with no other. "
                f"Received: engine={self.engine!r}, " + ("no storage" if optuna else "a storage")
            )
        for name in ("address", "cpus_per_trial", "gpus_per_trial"):
            if not ray and getattr(self, name) is not None:
                raise ValueError(
                    f"`{name}` must be given with the engine 'ray' alone. "
                    f"Received: engine={self.engine!r}, {name}={getattr(self, name)!r}"
                )
        if ray and self.workers > 1:
            raise ValueError(
                "`workers` must not be given with the engine 'ray', which trains as many trials "
                "side by side as there is room for: `cpus_per_trial` and `gpus_per_trial` say how "
                f"much one has. Received: workers={self.workers}"
            )
        if not optuna and self.objectives != ("accuracy",):
            raise ValueError(
                "`objectives` must be accuracy with the engines 'local' and 'ray'. "
                f"Received: objectives={','.join(self.objectives)}"
            )
        if self.isolate is not None and optuna:
            raise ValueError(
                "`isolate` needs the engine 'local' or 'ray'. Received: engine='optuna'"
            )
        if optuna and self.run_dir is None:
            raise ValueError(
                "`run_dir` must be given with the engine 'optuna'. Received: run_dir=None"
            )


# -------------------------------------------------------------------------------------- evaluation


CROPS = ("center", "ten", "grid")
_OF_RUNS = ("metrics.json", "labels.json", "split.json", "model.keras")


def _file(suffix: str) -> Callable[[str, Any], Any]:
    """A check of a file to write; None passes."""

    def check(name: str, path: Any) -> Any:
        if path is not None:
            check_file(name, _text(name, path), suffix)
        return path

    return check


def _new_folder(name: str, path: Any) -> Any:
    """A path at which there is nothing."""
    if os.path.lexists(_text(name, path)):
        raise FileExistsError(f"`{name}` must not exist. Received: {name}={os.fspath(path)}")
    return path


def _crops(name: str, value: Any) -> str | int | None:
    if value is None or value in CROPS:
        return value
    if isinstance(value, str):
        raise ValueError(
            f"`{name}` must be {', '.join(CROPS)} or the crops along a side, 2..32."
            f"{nearest(value, CROPS)} Received: {name}={value!r}"
        )
    return count(name, value, least=2, most=32)


def _scales(name: str, scales: Any) -> tuple[int, ...]:
    found = tuple(count(name, scale, most=4096) for scale in scales or ())
    if len(set(found)) < len(found):
        raise ValueError(f"`{name}` must be distinct. Received: {','.join(map(str, found))}")
    return found


def _run_folder(run: Any) -> str:
    """Where a run lies, for comparing: given by its folder or loaded."""
    return os.path.realpath(_text("run", getattr(run, "path", run)))


def _runs(name: str, runs: Any) -> tuple[Any, ...]:
    found = (runs,) if isinstance(runs, str | os.PathLike) else tuple(runs or ())
    if len(set(map(_run_folder, found))) < len(found):
        raise ValueError(
            f"`{name}` must name each run once. Received: {', '.join(map(_run_folder, found))}"
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Evaluation(_Checked):
    """What a trained network is asked, and where the answers go."""

    run: "applications.Run | str | os.PathLike[str]" = option(
        help="",
        doc="a run folder, or what `applications.load` returned.",
        positional=True,
        python_only=True,
    )
    data: str | os.PathLike[str] | None = option(
        None,
        help="Data with the same classes.",
        doc="as for `train`; its test split is used, cut with the run's seed where it has none. A "
        "folder may also hold test/ alone, or classes alone, all of whose images are then tested. "
        "It may lack classes of the run. None takes the run's own data.",
        check=_optional(lambda name, value: _data(name, _text(name, value))),
        metavar="NAME|PATH",
        shown="the run's",
    )
    batch_size: int = option(
        256,
        help="Images in a step.",
        doc="images a step, >= 1; fewer where each is seen several times or larger.",
        check=count,
        least=1,
    )
    seed: int = option(
        0,
        help="Of resamples and corruptions.",
        doc="of resamples and corruptions, 0..2**32 - 1.",
        check=lambda name, value: count(name, value, least=0, most=2**32 - 1),
        least=0,
        most=2**32 - 1,
    )
    out: str | os.PathLike[str] | None = option(
        None,
        help="Write the result into this file, and its tables beside it as CSV.",
        doc="a `.json` file for the result; its tables go beside it as `NAME-TABLE.csv`.",
        check=_file(".json"),
        metavar="OUT.json",
    )
    intervals: bool = option(
        False,
        help="95 % confidence intervals of accuracy and macro F1.",
        doc="whether 95 % confidence intervals are found, as `metrics.intervals` says.",
        check=_boolean,
        panel="Certainty",
    )
    against: "applications.Run | str | os.PathLike[str] | None" = option(
        None,
        help="Another run with the same test images: McNemar's test of the difference.",
        doc="another run with the same test images, for McNemar's exact test.",
        parse=str,
        metavar="RUN",
        panel="Certainty",
    )
    calibrate: bool = option(
        False,
        help="Fit a temperature on the validation images.",
        doc="whether a temperature is fitted on the run's validation images, as "
        "`metrics.fit_temperature` says.",
        check=_boolean,
        panel="Calibration",
    )
    reliability: str | os.PathLike[str] | None = option(
        None,
        help="Draw a reliability diagram.",
        doc="a `.png` file for a reliability diagram.",
        check=_file(".png"),
        metavar="OUT.png",
        panel="Calibration",
    )
    save_calibrated: str | os.PathLike[str] | None = option(
        None,
        help="Save the network with the fitted temperature.",
        doc="a `.keras` file for the network with its temperature, which is then fitted.",
        check=_file(".keras"),
        metavar="OUT.keras",
        panel="Calibration",
    )
    scales: Sequence[int] | None = option(
        None,
        help="Scale the smaller side of the images to each of these and average.",
        doc="smaller sides in pixels that the images are scaled to, the network's own or more.",
        check=_scales,
        parse=_counts("scales", "32,36,40", least=1),
        metavar="A,B,...",
        shown="8/7 of the network's, where it is cropped or dense",
        panel="Protocols",
    )
    crops: str | int | None = option(
        None,
        help="Average over crops of the network's size: center, ten, grid or the crops along a "
        "side.",
        doc='crops of the network\'s size that are averaged: "center"; "ten", the corners, the '
        'centre and their mirror images; "grid", 5 x 5 and their mirror images; or the crops '
        "along a side of such a grid, 2..32.",
        check=_crops,
        parse=lambda text: int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else text,
        metavar="center|ten|grid|N",
        panel="Protocols",
    )
    dense: bool = option(
        False,
        help="Average over every place of the whole image.",
        doc="whether the network is applied to whole images as `to_fully_convolutional` has it, "
        "and its map of predictions averaged; with crops, the mean of both.",
        check=_boolean,
        panel="Protocols",
    )
    mirrored: bool = option(
        False,
        help="Average with the mirror image.",
        doc="whether the mean with the mirror image's probabilities is taken, as `test_mirrored` "
        "of `train` has it.",
        check=_boolean,
        panel="Protocols",
    )
    ensemble: "Sequence[str | os.PathLike[str] | applications.Run] | None" = option(
        None,
        help="Average with other runs of the same classes and test images.",
        doc="other runs of the same classes and test images, whose probabilities are averaged "
        "with the run's.",
        check=_runs,
        parse=parse_names,
        metavar="RUN,RUN",
        panel="Ensemble",
    )
    corruptions: bool = option(
        False,
        help="Accuracy under noise, blur, contrast, compression and rotation.",
        doc="whether accuracy under corruptions is measured, as `robustness` says.",
        check=_boolean,
        panel="Robustness",
    )
    robustness: str | os.PathLike[str] | None = option(
        None,
        help="Draw the accuracy under corruptions.",
        doc="a `.png` file for a picture of the accuracy under corruptions, which is then "
        "measured.",
        check=_file(".png"),
        metavar="OUT.png",
        panel="Robustness",
    )

    def __post_init__(self):
        super().__post_init__()
        one, other = self.reliability, self.robustness
        if one and other and os.path.realpath(one) == os.path.realpath(other):
            raise ValueError(
                "`reliability` and `robustness` must be two files. "
                f"Received: {os.fspath(one)} for both"
            )
        for name, file in (("out", self.out), ("save_calibrated", self.save_calibrated)):
            folder, base = os.path.split(os.path.realpath(file or ""))
            if file and base in _OF_RUNS and folder == _run_folder(self.run):
                raise ValueError(
                    f"`{name}` must be no file of the run's own. "
                    f"Received: {name}={os.fspath(file)!r}"
                )
        for name, runs in (("against", (self.against,)), ("ensemble", self.ensemble or ())):
            for run in runs:
                if run is not None and _run_folder(run) == _run_folder(self.run):
                    raise ValueError(
                        f"`{name}` must name another run than the one that is evaluated. "
                        f"Received: {name}={str(getattr(run, 'path', run))!r}"
                    )

    @property
    def calibrates(self) -> bool:
        """Whether a temperature is fitted."""
        return self.calibrate or self.save_calibrated is not None

    @property
    def corrupts(self) -> bool:
        """Whether the images are corrupted."""
        return self.corruptions or self.robustness is not None


_SHARING = ("sparsity", "bits", "first_last_bits", "target_bytes")  # of `Compression`
_LATER = ("channels", "int8")  # of it: runs that were compressed before have none


@dataclass(frozen=True, kw_only=True)
class Compression(_Checked):
    """How a run's network is made smaller; but for the run what config.yaml has as `compress`."""

    run: "applications.Run | str | os.PathLike[str]" = option(
        help="",
        doc="folder of the finished run whose network is compressed, or the run.",
        positional=True,
        python_only=True,
    )
    channels: float | None = option(
        None,
        help="Share of the channels that go for good, in (0, 0.9]: a narrower, faster network. "
        "Alone: nothing else is done.",
        doc="share of the channels of convolutions and dense layers that go for good, in (0, 0.9]: "
        "the weakest, as `keras_archs.prune_channels` finds them, before the training. Alone, no "
        "weights are pruned or shared; with another of these options they are, too. None: all "
        "channels stay.",
        check=_optional(number, above=0, most=0.9),
        panel="Compression",
    )
    sparsity: float | None = option(
        None,
        help="Share of the kernels' weights that become 0, in [0, 0.99].",
        doc="share of the kernels' weights that become 0, in [0, 0.99]; kernels of depthwise "
        "convolutions keep theirs. None: 0.67, or what `target_bytes` needs, or 0 with `channels` "
        "alone.",
        check=_optional(number, least=0, most=0.99),
        shown="0.67, or what --target-bytes needs",
        least=0,
        most=0.99,
        panel="Compression",
    )
    per: Literal["layer", "global"] = option(
        "global",
        help="Whether each layer loses those shares, or the smallest of all layers go.",
        doc='"global": the smallest weights of all kernels go, of none more than 99 %, and the '
        'weakest channels of all layers; "layer": each loses that share of its own.',
        check=_one_of("layer", "global"),
        panel="Compression",
    )
    bits: int | None = option(
        None,
        help="Bits of a shared weight's code: a kernel has at most 2^BITS values.",
        doc="bits of a shared weight's code, 2..8: a kernel has at most 2^bits values beside 0. "
        "With `target_bytes` fewer where that needs it. None: 6, or nothing shared with `channels` "
        "alone.",
        check=_optional(count, least=2, most=8),
        shown="6",
        least=2,
        most=8,
        panel="Compression",
    )
    first_last_bits: int | None = option(
        None,
        help="The same of the first and the last kernel.",
        doc="the same of the first and the last kernel. None: as all.",
        check=_optional(count, least=2, most=8),
        shown="as --bits",
        least=2,
        most=8,
        panel="Compression",
    )
    target_bytes: int | None = option(
        None,
        help="Find the sparsity, and bits up to --bits, with which model.kac has so many bytes.",
        doc="bytes that model.kac may have, >= 1: the sparsity that needs is found, and where 95 % "
        "are not enough the bits. None: whatever it has.",
        check=_optional(count),
        metavar="BYTES",
        least=1,
        panel="Compression",
    )

    int8: Literal["after", "aware"] | None = option(
        None,
        help="Write model.tflite too, in int8: converted after the training, or trained for it.",
        doc='"after": model.tflite is the network in int8, whose ranges training images set, with '
        'figures of its own; "aware": it is trained with weights and activations rounded as int8 '
        "rounds them, and no weights are pruned or shared. None: there is no such file.",
        check=_optional(choice, choices=("after", "aware")),
        panel="Compression",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.target_bytes is not None and self.sparsity is not None:
            raise ValueError(
                "`sparsity` must be None with `target_bytes`, which finds it. "
                f"Received: sparsity={self.sparsity:g}, target_bytes={self.target_bytes}"
            )
        alone = [name for name in _SHARING if getattr(self, name) is not None]
        if self.int8 == "aware" and alone:
            raise ValueError(
                "`int8` must be None or 'after' where weights are pruned and shared: int8's grid "
                f"takes their few values. Received: int8='aware' with {alone[0]}"
            )
        if self.bits is None and self.shares:
            object.__setattr__(self, "bits", 6)

    @property
    def shares(self) -> bool:
        """Whether weights are pruned and shared, as Deep Compression does it."""
        others = self.channels is not None or self.int8 == "aware"
        return not others or any(getattr(self, name) is not None for name in _SHARING)

    @property
    def recorded(self) -> dict[str, Any]:
        """The options by name, but for the run; those that earlier versions lack if asked for."""
        values = {each.name: getattr(self, each.name) for each in fields(self)[1:]}
        return {k: v for k, v in values.items() if k not in _LATER or v is not None}


def _bits(name: str, value: Any) -> int:
    if not is_count(value) or value % 8 or value > 1024:
        raise ValueError(f"`{name}` must be 8, 16, 24, ... 1024. Received: {name}={value!r}")
    return int(value)


@dataclass(frozen=True, kw_only=True)
class Retrieval(_Checked):
    """What a run's network searches, for what, and where the index goes."""

    run: "applications.Run | str | os.PathLike[str]" = option(
        help="",
        doc="folder of the finished run whose network compares images, or the run.",
        positional=True,
        python_only=True,
    )
    data: str | os.PathLike[str] = option(
        help="",
        doc="the images to search: a folder of images, of classes or of splits, or what `train` "
        "takes as `data`; of data with splits all of them.",
        check=lambda name, value: _data(name, _text(name, value)),
        positional=True,
        python_only=True,
    )
    query: Sequence[str | os.PathLike[str]] | str | os.PathLike[str] | None = option(
        None,
        help="",
        doc="image files, to each of which the nearest are found. None: the page shows those of "
        "five images of the data themselves.",
        check=lambda name, value: (
            (value,) if isinstance(value, str | os.PathLike) else tuple(value or ())
        ),
        positional=True,
        python_only=True,
    )
    top: int = option(
        6,
        help="Images to find for each.",
        doc="images to find for each, at most as many as there are.",
        check=count,
        least=1,
    )
    code: Literal["raw", "compressed", "binary"] = option(
        "raw",
        help="What is compared: the last hidden layer, or the numbers or bits that an autoencoder "
        "makes of it.",
        doc='what is compared: "raw", the last hidden layer; "compressed", the real numbers that '
        'an autoencoder makes of it; "binary", its bits.',
        check=_one_of("raw", "compressed", "binary"),
    )
    bits: int = option(
        64,
        help="Numbers or bits in a code, a multiple of 8 up to 1024.",
        doc="numbers or bits in a code, a multiple of 8 up to 1024.",
        check=_bits,
    )
    run_dir: str | os.PathLike[str] | None = option(
        None,
        help="The index, new or made before: of what it has, only what is new or changed is "
        "embedded.",
        doc="folder of the index, which may be there: only images that are new or have changed are "
        "embedded. None: `runs/index-RUN-DATA`.",
        check=_optional(_text),
        metavar="FOLDER",
        shown="runs/index-RUN-DATA",
    )
    batch_size: int = option(
        256,
        help="Images in a step.",
        doc="images a step, >= 1.",
        check=count,
        least=1,
    )
    seed: int = option(
        0,
        help="Of the autoencoders and of what is drawn.",
        doc="of the autoencoders and of the images that are drawn, 0..2**32 - 1.",
        check=lambda name, value: count(name, value, least=0, most=2**32 - 1),
        least=0,
        most=2**32 - 1,
    )
    verbose: int = option(1, help="", doc="0 prints nothing.", python_only=True)


@dataclass(frozen=True, kw_only=True)
class Distillation(_Checked):
    """How a network learns from those of runs; but for the run what config.yaml has of it."""

    run: "applications.Run | str | os.PathLike[str]" = option(
        help="",
        doc="folder of the finished run whose network teaches, or the run.",
        positional=True,
        python_only=True,
    )
    ensemble: "Sequence[applications.Run | str | os.PathLike[str]] | None" = option(
        None,
        help="Other runs that teach with it, separated by commas.",
        doc="other runs of the same classes: the teacher is the mean of all.",
        check=_runs,
        parse=parse_names,
        metavar="RUN,...",
        shown="none",
        panel="Distillation",
    )
    average: Literal["geometric", "arithmetic"] = option(
        "geometric",
        help="The mean of several teachers: of their logits, or of their probabilities.",
        doc='of several teachers: "geometric", the mean of their logits, or "arithmetic", that of '
        "their softened probabilities.",
        check=_one_of("geometric", "arithmetic"),
        panel="Distillation",
    )
    temperature: float = option(
        4.0,
        help="What logits are divided by, > 0: the higher, the softer are the teacher's answers.",
        doc="what the logits of teacher and student are divided by, > 0.",
        check=lambda name, value: number(name, value, above=0),
        panel="Distillation",
    )
    hard_weight: float = option(
        0.1,
        help="Weight of the labels in [0, 1]; the teacher's answers have the rest.",
        doc="weight of the cross-entropy with the labels, in [0, 1]; the teacher's has the rest.",
        check=lambda name, value: number(name, value, least=0, most=1),
        least=0,
        most=1,
        panel="Distillation",
    )
    soft_targets: Literal["once", "always"] = option(
        "once",
        help="Ask the teacher once about each image, or in every step about what the student sees.",
        doc='"once": the teacher sees each training image once, as it is, at its own size, and an '
        'epoch costs the student alone; "always": it sees what the student sees in each step, '
        "augmentation included.",
        check=_one_of("once", "always"),
        panel="Distillation",
    )
    transfer_classes: Sequence[str] | None = option(
        None,
        help="Classes whose images the student sees, separated by commas; it predicts all.",
        doc="names of the classes whose training and validation images the student sees; it "
        "predicts all classes, and is tested on all. None: all.",
        check=_optional(_names_once("classes")),
        parse=parse_names,
        metavar="CLASS,...",
        shown="all",
        panel="Distillation",
    )

    features: Sequence[str] | None = option(
        None,
        help="Maps that the student learns as well, such as P2,P3; with --soft-targets always.",
        doc='names of feature maps, as builders have them, such as `["P2", "P3"]`: those of the '
        "student are to be those of the teacher, through a 1x1 convolution that is trained and not "
        'kept. Only with `soft_targets="always"` and one teacher. None: no maps.',
        check=_optional(_names_once("feature maps")),
        parse=parse_names,
        metavar="P2,...",
        shown="none",
        panel="Distillation",
    )
    feature_weight: float = option(
        1.0,
        help="Weight of the maps' mean squared difference, > 0; with --features.",
        doc="what the mean squared difference of each pair of maps is multiplied by, > 0.",
        check=lambda name, value: number(name, value, above=0),
        panel="Distillation",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.features is None:
            return
        if self.soft_targets != "always":
            raise ValueError(
                "`soft_targets` must be 'always' with `features`: the teacher shows its maps of "
                f"what the student sees. Received: soft_targets={self.soft_targets!r}"
            )
        if self.ensemble:
            raise ValueError(
                "`ensemble` must be None with `features`: maps are learned from one teacher. "
                f"Received: {len(self.ensemble)} more"
            )

    @property
    def recorded(self) -> dict[str, Any]:
        """The options by name, but for the run."""
        found = {each.name: getattr(self, each.name) for each in fields(self)[1:]}
        if self.transfer_classes is None:
            del found["transfer_classes"]  # which runs of before have not, nor what follows
        if self.features is None:
            del found["features"], found["feature_weight"]
        paths = [str(getattr(each, "path", each)) for each in self.ensemble or ()]
        return {**found, "ensemble": paths}


@dataclass(frozen=True, kw_only=True)
class Growing(_Checked):
    """How a run's network is made larger; but for the run what config.yaml has as `grow`."""

    run: "applications.Run | str | os.PathLike[str]" = option(
        help="",
        doc="folder of the finished run whose network grows, or the run.",
        positional=True,
        python_only=True,
    )
    alpha: float | None = option(
        None,
        help="Width multiplier afterwards, at least the run's.",
        doc="width multiplier afterwards, at least the run's. None: the run's.",
        check=_optional(lambda name, value: check_alpha(value)),
        shown="the run's",
        panel="Network",
    )
    extra_depth: int = option(
        0,
        help="Layers to put in, spread evenly, which begin as the identity.",
        doc="layers to put in, >= 0, spread evenly over the network: they begin as the identity.",
        check=lambda name, value: count(name, value, least=0),
        least=0,
        panel="Network",
    )
    new_channels: Literal["copies", "random"] = option(
        "random",
        help="What new channels are: copies of the others, or drawn and at first not read.",
        doc='what the new channels are, as `keras_archs.grow` has it: "copies" of those that are '
        'there, or "random", which at first nothing reads. Predictions stay in both cases.',
        panel="Network",
    )
    noise: float = option(
        0.0,
        help="How unequally copies of a channel share the weights that read them, >= 0.",
        doc='with new_channels="copies": how unequally they share the weights of the layers that '
        "read them, >= 0, as `keras_archs.grow` has it.",
        check=lambda name, value: number(name, value, least=0),
        least=0,
        panel="Network",
    )

    @property
    def recorded(self) -> dict[str, Any]:
        """The options by name, but for the run."""
        return {each.name: getattr(self, each.name) for each in fields(self)[1:]}


@dataclass(frozen=True, kw_only=True)
class Shrinking(_Checked):
    """How a run's network is made narrower; but for the run what config.yaml has as `shrink`."""

    run: "applications.Run | str | os.PathLike[str]" = option(
        help="",
        doc="folder of the finished run whose network is made narrower, or the run.",
        positional=True,
        python_only=True,
    )
    alpha: float = option(
        help="Width multiplier afterwards, at most the run's.",
        check=lambda name, value: check_alpha(value),
        panel="Network",
    )
    temperature: float | None = option(
        None,
        help="Learn from what the run's network predicts, softened by this, as `distill` does.",
        doc="the network also learns from what the run's predicts, softened by this, > 0, as "
        "`distill` does it. None: from labels alone.",
        check=_optional(number, above=0),
        panel="Distillation",
    )

    @property
    def recorded(self) -> dict[str, Any]:
        """The options by name, but for the run."""
        return {each.name: getattr(self, each.name) for each in fields(self)[1:]}


@dataclass(frozen=True, kw_only=True)
class Specialising(_Checked):
    """How a run gets specialists; but for the run what config.yaml has as `specialists`."""

    run: "applications.Run | str | os.PathLike[str]" = option(
        help="",
        doc="folder of the finished run whose network is the generalist, or the run.",
        positional=True,
        python_only=True,
    )
    sets: int = option(
        3,
        help="Sets of classes that are confused, 2 to half of the classes; each of two classes or "
        "more gets a specialist.",
        doc="sets that the classes fall into by what the network confuses, from 2 to half of their "
        "number; each of two classes or more gets a specialist.",
        check=lambda name, value: count(name, value, least=2),
        least=2,
        panel="Specialists",
    )

    @property
    def recorded(self) -> dict[str, Any]:
        """The options by name, but for the run."""
        return {each.name: getattr(self, each.name) for each in fields(self)[1:]}


@dataclass(frozen=True, kw_only=True)
class Serving(_Checked):
    """What is served, where, and within which limits.

    `runs` becomes pairs of a name and a run, a folder or a file.
    """

    runs: "applications.Run | str | os.PathLike[str] | Sequence[Any] | Mapping[str, Any]" = option(
        help="",
        doc="runs, their folders, `.keras` or `.kac` files: one, several, or a mapping of names to "
        "them. A text may be `\"NAME=PATH\"`; without a name it is the folder's or the file's.",
        check=lambda name, value: named_runs(value),
        positional=True,
        python_only=True,
    )
    host: str = option(
        "127.0.0.1",
        help="Address to listen at; one that others reach needs a token.",
        doc="address to listen at. Any but this machine's own (127.0.0.1, ::1, localhost) needs a "
        "token.",
        check=_text,
        panel="Server",
    )
    port: int = option(
        8000,
        help="Port; 0 is any free one.",
        doc="port, 0..65535; 0 is any free one.",
        check=lambda name, value: count(name, value, least=0, most=65535),
        least=0,
        most=65535,
        panel="Server",
    )
    token_file: str | os.PathLike[str] | None = option(
        None,
        help="File with the token that requests must bring; else KERAS_ARCHS_TOKEN may hold it.",
        doc="file with the token that requests must bring as `Authorization: Bearer TOKEN`. None: "
        "that of the environment variable KERAS_ARCHS_TOKEN, if it is set.",
        check=_optional(_text),
        metavar="FILE",
        panel="Server",
    )
    runtime: Literal["auto", "litert", "onnxruntime", "openvino", "tensorflow", "jax"] = option(
        "auto",
        help="What computes; auto measures which is fastest.",
        doc='a runtime of `keras_archs.runtime`, or "auto": the one that is measured fastest at '
        "start-up, and the backend itself where none has the network's layers.",
        check=_one_of("auto", "litert", "onnxruntime", "openvino", "tensorflow", "jax"),
        panel="Computation",
    )
    threads: int | None = option(
        None,
        help="CPU threads of the runtime.",
        doc="CPU threads of the runtime, 1..1,024. None: one for each processor.",
        check=_optional(count, most=1024),
        shown="all",
        least=1,
        most=1024,
        panel="Computation",
    )
    max_batch: int = option(
        32,
        help="Images that are computed at a time, and most of one request.",
        doc="images that are computed at a time and that one request may bring, 1..1,024.",
        check=lambda name, value: count(name, value, most=1024),
        least=1,
        most=1024,
        panel="Computation",
    )
    max_wait_ms: float = option(
        2.0,
        help="Milliseconds that a request waits for others to be computed with.",
        doc="milliseconds, 0..1,000, that a request waits for others to be computed with, where "
        "there are others on their way.",
        check=lambda name, value: number(name, value, least=0, most=1000),
        least=0,
        most=1000,
        panel="Computation",
    )
    max_queue: int = option(
        256,
        help="Requests in progress; a further one is told to come again (429).",
        doc="requests in progress, 1..100,000; a further one is told to come again (429).",
        check=lambda name, value: count(name, value, most=100_000),
        least=1,
        most=100_000,
        panel="Limits",
    )
    max_bytes: int = option(
        16 * 2**20,
        help="Bytes of a request (413).",
        doc="bytes of a request's body, 1..2^31; a larger one is refused before it is read (413).",
        check=lambda name, value: count(name, value, most=2**31),
        least=1,
        most=2**31,
        panel="Limits",
    )
    max_pixels: int = option(
        25_000_000,
        help="Pixels of an image (400).",
        doc="pixels of an image, 1..10^9; a larger one is refused before it is decoded (400).",
        check=lambda name, value: count(name, value, most=10**9),
        least=1,
        most=10**9,
        panel="Limits",
    )
    timeout: float = option(
        10.0,
        help="Seconds that a request's upload may take (408), and its answer (503).",
        doc="seconds, in (0, 3600], that a request's upload may take (408), and its answer (503).",
        check=lambda name, value: number(name, value, above=0, most=3600),
        metavar="SECONDS",
        panel="Limits",
    )


def named_runs(runs: Any) -> tuple[tuple[str, Any], ...]:
    """Pairs of a name and a run, each name once.

    Raises:
        ValueError: there is none, two have one name, or a name cannot stand in an address.
    """
    if isinstance(runs, Mapping):
        pairs = list(runs.items())
    else:
        several = isinstance(runs, Sequence) and not isinstance(runs, str)
        pairs = [_named(run) for run in (runs if several else (runs,))]
    if not pairs:
        raise ValueError("`runs` must name at least one run folder. Received: runs=()")
    names = [str(name) for name, _ in pairs]
    for index, name in enumerate(names):
        if not 1 <= len(name) <= 200 or name in (".", "..") or not name.isprintable():
            raise ValueError(
                "`runs` must have printable names of 1 to 200 characters. NAME=RUN gives one. "
                f"Received: {name!r}"
            )
        if "/" in name:
            raise ValueError(f"`runs` must have names without a slash. Received: {name!r}")
        if name in names[:index]:
            raise ValueError(
                f"`runs` must have different names. NAME=RUN gives one. Received: {name!r} twice"
            )
    return tuple((name, run) for name, (_, run) in zip(names, pairs, strict=True))


def _named(run: Any) -> tuple[str, Any]:
    if not isinstance(run, str | os.PathLike):
        return os.path.basename(os.path.realpath(run.path)), run
    text = _text("runs", run)
    name, equals, path = text.partition("=")
    if equals and not os.path.exists(text):
        return name, path
    base, suffix = os.path.splitext(os.path.basename(os.path.realpath(text)))
    return base if suffix in (".keras", ".kac") else base + suffix, text


def _batch(name: str, value: Any) -> int | str | None:
    if value is None or value == "dynamic":
        return value
    if isinstance(value, str):
        wanted = f"`{name}` must be dynamic or images at a time, 1..{_MOST_AT_A_TIME}."
        raise ValueError(f"{wanted} Received: {name}={value!r}")
    return count(name, value, most=_MOST_AT_A_TIME)


_MOST_AT_A_TIME = 4096


@dataclass(frozen=True, kw_only=True)
class Exporting(_Checked):
    """What a run's network becomes, and how far it may be from it."""

    run: "applications.Run | str | os.PathLike[str]" = option(
        help="",
        doc="folder of the finished run whose network is exported, or the run.",
        positional=True,
        python_only=True,
    )
    format: Literal["keras", "saved_model", "onnx", "litert", "openvino", "c"] = option(
        help="What to make; c is the int8 LiteRT model as C source for microcontrollers.",
        doc='"keras", "saved_model" (TensorFlow), "onnx", "litert" (TensorFlow Lite), "openvino", '
        'or "c": the int8 LiteRT model as C source for TensorFlow Lite Micro.',
        check=_one_of(*FORMATS),
        panel="Export",
    )
    precision: Literal["fp32", "fp16", "int8"] | None = option(
        None,
        help="Of the weights, for int8 of all arithmetic; keras and saved_model have fp32 alone.",
        doc='"fp32"; "fp16", of the weights; or "int8", weights and activations, whose ranges '
        "training images set: the last two for onnx, litert and openvino. c has int8 alone. None: "
        "fp32, for c int8.",
        check=_optional(_one_of(*TOLERANCES)),
        shown="fp32; int8 for c",
        panel="Export",
    )
    batch: int | Literal["dynamic"] | None = option(
        None,
        help="Images at a time: a number, or dynamic for any number.",
        doc='images at a time, 1..4096, or "dynamic": any number. c takes 1 alone. None: dynamic, '
        "for litert and c 1, as devices' runtimes allocate once.",
        check=_batch,
        parse=lambda text: int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else text,
        metavar="N|dynamic",
        shown="dynamic; 1 for litert and c",
        panel="Export",
    )
    out: str | os.PathLike[str] | None = option(
        None,
        help="The new folder.",
        doc="the new folder, which must not exist. None: `export/FORMAT-PRECISION` in the run's.",
        check=_optional(_new_folder),
        metavar="FOLDER",
        shown="RUN/export/FORMAT-PRECISION",
        panel="Export",
    )
    tolerance: float | None = option(
        None,
        help="Largest difference of a probability on the test images, for int8 share of them "
        "whose class changes, beyond which the export fails.",
        doc="what the export may differ by on the run's test images, in [0, 1]: the largest "
        "difference of a probability, for int8 the share of images whose class changes. None: "
        "1e-4 for fp32, 0.02 for fp16 and int8.",
        check=_optional(number, least=0, most=1),
        shown="0.0001 for fp32, 0.02 for fp16 and int8",
        least=0,
        most=1,
        panel="Export",
    )

    def __post_init__(self):
        super().__post_init__()
        known = FORMATS[self.format]
        if self.precision is not None and self.precision not in known:
            others = [name for name, has in FORMATS.items() if self.precision in has]
            raise ValueError(
                f"`precision` must be {' or '.join(known)} for {self.format} ({self.precision} is "
                f"for {', '.join(others)}). Received: precision={self.precision!r}"
            )
        if self.format == "c" and self.batch not in (None, 1):
            raise ValueError(f"`batch` must be 1 for c. Received: batch={self.batch!r}")
        if self.out is None and os.path.lexists(self.folder):
            raise FileExistsError(
                "`out` must name a new folder where its default is taken. "
                f"Received: out=None, and {self.folder} exists"
            )

    @property
    def folder(self) -> str:
        """Where the export goes."""
        if self.out is not None:
            return os.fspath(self.out)
        run: Any = getattr(self.run, "path", self.run)
        precision = self.precision or FORMATS[self.format][0]
        return os.path.join(os.fspath(run), "export", f"{self.format}-{precision}")

    @property
    def settled(self) -> "Exporting":
        """With nothing left open but `out`."""
        precision = self.precision or FORMATS[self.format][0]
        one = self.format in ("litert", "c")
        return dataclasses.replace(
            self,
            precision=precision,
            batch=self.batch or (1 if one else "dynamic"),
            tolerance=TOLERANCES[precision] if self.tolerance is None else self.tolerance,
        )


def check_recorded(name: str, value: Any) -> None:
    """Raise ValueError or TypeError where a recorded value of a training's option is none.

    Where data lay may be another place by now. None stands for the default, as in any config.
    """
    if value is None and name != "arch":
        return
    check = _text if name == "data" else declared(Options, name).check
    check(name, value)


def default_of(name: str) -> Any:
    """What an option is where a run or a search was recorded before it was added; None if unknown.

    As JSON and YAML have it.
    """
    for kind in (Options, Search):
        for each in fields(kind):
            if each.name == name and each.default is not MISSING:
                value = each.metadata["option"].check(name, each.default)
                return list(value) if isinstance(value, tuple) else value
    return None


# ----------------------------------------------------------------- functions that take the options


class Group(NamedTuple):
    """Options of one dataclass that a function takes.

    Attributes:
        kind: the dataclass.
        names: of those that are taken; None: all. The function gets an instance of the dataclass
            with all of them, else a dict of those that are taken.
        changes: attributes of `Declared` that differ here, by name of the option.
        open: options that may be left open here, as None, whatever their own default is.
    """

    kind: Any
    names: Sequence[str] | None = None
    changes: Mapping[str, Mapping[str, Any]] = {}
    open: Collection[str] = ()

    def options(self) -> list[tuple[dataclasses.Field, Declared]]:
        """The options, with what is declared of them here."""
        return [
            (
                _left_open(each) if each.name in self.open else each,
                each.metadata["option"]._replace(**self.changes.get(each.name, {})),
            )
            for each in fields(self.kind)
            if self.names is None or each.name in self.names
        ]


def _left_open(each: dataclasses.Field) -> dataclasses.Field:
    opened = copy.copy(each)
    kind: Any = each.type
    opened.default, opened.type = None, kind | None
    return opened


def without(*left_out: str) -> tuple[str, ...]:
    """The options of a training but these."""
    return tuple(name for name in OPTIONS if name not in left_out)


# The options that all trials of a search have in common.
SEARCHED = Group(
    Options,
    without("arch", "alpha", "rho", "weights", "adapt", "freeze_until", "teacher", "keep"),
    changes={
        "epochs": {
            "doc": "passes over the training images, >= 1. None: half the recipe's, rounded up.",
            "shown": "half the recipe's",
        },
        "seed": {"doc": "of the proposals and of every training."},
        "data": {"positional": True},
    },
)


# What a distillation takes of a training: a recipe's own teacher is another matter.
STUDENT = Group(
    Options,
    without("teacher", "freeze_until"),
    changes={
        "data": {
            "doc": "as for `train`; None: the teacher's. Its test images must be the teacher's: "
            "where they are cut with the seed, that must be the teacher's too.",
            "shown": "the teacher's",
        },
    },
    open=("data",),
)


def retrained(way: str, rate: str = "the run's") -> tuple[Group, Group]:
    """What is taken of a training that goes on with a run's network: the rest is the run's.

    Args:
        way: what the network is then, which the new folder's name ends in.
        rate: the learning rate where none is given.
    """
    return (
        Group(
            Options,
            ("epochs", "batch_size", "learning_rate", "threads"),
            changes={
                "epochs": {
                    "doc": "passes over the training images, 1..1,000,000. None: as many as the "
                    "run's.",
                    "shown": "the run's",
                },
                "batch_size": {
                    "doc": "images a step, >= 1. None: the run's.",
                    "shown": "the run's",
                },
                "learning_rate": {"doc": f"base rate, > 0. None: {rate}.", "shown": rate},
            },
        ),
        Group(
            Running,
            changes={
                "run_dir": {
                    "doc": f"the new run's own folder. None: `runs/NAME-{way}` of the run's name, "
                    "with -2, ... where taken.",
                    "shown": f"runs/RUN-{way}",
                }
            },
        ),
    )


def specialised() -> tuple[Group, Group]:
    """What is taken of the training of specialists: as `retrained`, and when it ends early."""
    options, running = retrained("specialists", "a tenth of the run's")
    return options._replace(names=(*(options.names or ()), "patience")), running


def takes(*groups: Group) -> Callable[[Callable[..., _R]], Callable[..., _R]]:
    """Give a function of one argument a group the signature of their options.

    The public function checks the options and hands each group on, an instance or a dict. Its
    documentation gets a section of the options where the function's has a line `Args:`.
    """
    options = [each for group in groups for each in group.options()]

    def decorate(function: Callable[..., _R]) -> Callable[..., _R]:
        parameters = [
            inspect.Parameter(
                each.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD
                if told.positional
                else inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if each.default is MISSING else each.default,
                annotation=each.type,
            )
            for each, told in options
        ]
        parameters.sort(key=lambda parameter: parameter.kind)
        returns = inspect.signature(function).return_annotation
        signature = inspect.Signature(parameters, return_annotation=returns)

        @functools.wraps(function)
        def public(*args: Any, **kwargs: Any) -> _R:
            check_known(function.__name__, kwargs, signature.parameters)
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            parts = []
            for group in groups:
                given = {each.name: bound.arguments[each.name] for each, _ in group.options()}
                parts.append(group.kind(**given) if group.names is None else given)
            return function(*parts)

        doc = inspect.getdoc(function) or ""
        vars(public)["__signature__"] = signature
        public.__doc__ = _documented(doc, parameters, dict(_docs(options)))
        del public.__wrapped__  # whose signature is another
        return public

    return decorate


def check_known(title: str, given: Collection[str], known: Collection[str]) -> None:
    """Raise TypeError, naming the nearest, where a keyword is not known."""
    for name in given:
        if name not in known:
            raise TypeError(
                f"{title}() got an unexpected keyword argument {name!r}.{nearest(name, known)}"
            )


def _docs(options: Sequence[tuple[dataclasses.Field, Declared]]):
    for each, told in options:
        text = told.doc or told.help[0].lower() + told.help[1:]
        yield each.name, text


def _documented(doc: str, parameters: Sequence[inspect.Parameter], docs: dict[str, str]) -> str:
    lines = [
        textwrap.fill(
            f"{parameter.name}: {docs[parameter.name]}",
            width=96,
            initial_indent=" " * 4,
            subsequent_indent=" " * 8,
        )
        for parameter in parameters
    ]
    return doc.replace("Args:\n", "Args:\n" + "\n".join(lines) + "\n", 1)
