"""The plumbing that every builder shares: signature, checks, heads, weights, features, registry.

An architecture file holds a table that mirrors its paper's, a block and a body

    @architecture(paper=..., year=..., input_shape=(224, 224, 3), min_size=31, head=gap_dense)
    def MobileNet(x, *, alpha, table=TABLE):

and `architecture` turns the body into the public builder `MobileNet(input_shape=None, classes=None,
*, alpha=1.0, rho=1.0, ...)`. This is the one place where the function that you read is not the
function that you call.

A body maps the input tensor to the last feature tensor. It takes `alpha`, those of the common
arguments that it names, and its own arguments, which become the builder's. A head maps the features
to predictions under the same rule. An own argument that is annotated `Literal[...]`, `bool` or
`int` is checked against that annotation.

A body with auxiliary classifiers returns `(features, taps)`: `taps` are the tensors that they start
from, and its head, which names `taps`, returns a dict of outputs where `aux=True` asks for them.
"""

import functools
import inspect
import math
import os
import re
import textwrap
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any, Literal, NamedTuple

import keras

import keras_archs
from keras_archs.checks import check_alpha, check_rho, check_weights_fit, count, is_count, nearest
from keras_archs.graph import (
    deep_graphs,
    exportable,
    feature_tensors,
    has_values,
    without_values,
)
from keras_archs.kinds import globally_pooled
from keras_archs.normalization import rescaled
from keras_archs.weights import (
    KnownWeights,
    Preprocessing,
    check_source,
    known_weights,
    layout_of,
    load_weights,
    trained_for,
)

_REGISTRY: dict[str, Callable] = {}


class Figure(NamedTuple):
    """A published figure and where it stands."""

    value: float
    source: str


@dataclass(frozen=True)
class ArchInfo:
    """What is known of an architecture without building it.

    Attributes:
        name: the registry's name, as `build` takes it.
        family: the module that holds it.
        paper: authors, year, identifier and table.
        year: of first publication.
        input_shape: the paper's `(height, width, channels)`.
        classes: the paper's number of classes.
        min_size: smallest side in pixels of an input at the default arguments: the smallest at
            which every strided layer still shrinks its map and the last map is not empty.
        layout: whose conventions the default network follows: "paper", "keras", "torch", "caffe".
        stems: values that `stem` takes; empty where the family has no such argument.
        dropout: the fraction that the paper drops before the classifier; None where that depends on
            other arguments.
        published: figures of the paper by quantity ("params", "macs", "imagenet_top1", ...; counts
            in units, accuracies in %).
    """

    name: str
    family: str
    paper: str
    year: int
    input_shape: tuple[int, int, int]
    classes: int
    min_size: int
    layout: str = "paper"
    stems: tuple[str, ...] = ()
    dropout: float | None = None
    published: Mapping[str, Figure] = field(default_factory=dict)

    def min_size_for(self, **own: Any) -> int:
        """Smallest side in pixels with these arguments of the family, e.g. `stem="small"`.

        Raises:
            TypeError: the builder has no such argument of its family's.
            ValueError: the builder does not take a value.
        """
        return self._spec_for(own).smallest(own)

    def input_shape_for(self, **own: Any) -> tuple[int, int, int]:
        """The paper's `(height, width, channels)` with these arguments of the family.

        Raises:
            TypeError, ValueError: as for `min_size_for`.
        """
        return self._spec_for(own).usual_input(own)[0]

    def _spec_for(self, own: Mapping[str, Any]) -> "_Spec":
        builder = _REGISTRY[self.name]
        _check_keywords(builder.__name__, own, builder.spec.own)
        _check_own(own, builder.spec.own)
        return builder.spec

    @property
    def weights(self) -> list[KnownWeights]:
        """Known weights with their source, licence, preprocessing and accuracy."""
        return known_weights(self.name)


def width(filters: int, alpha: float) -> int:
    """`filters` scaled by `alpha`, rounded to the nearest integer (halves up), never below 1."""
    return max(1, math.floor(filters * alpha + 0.5))


def scaled_side(side: int, rho: float) -> int:
    """`side` in pixels scaled by `rho`, rounded to the nearest integer (halves up)."""
    return math.floor(side * rho + 0.5)


# ---------------------------------------------------------------------------------- the signature

_COMMON_DOCS = {
    "input_shape": "`(height, width, channels)` of the images in pixels, without the batch. "
    "Defaults to {input_shape}. Sides of at least {min_size}, or None where the head pools "
    "globally; any number of channels from 1.",
    "classes": "number of classes, at least 1. Defaults to {classes}.",
    "alpha": "width multiplier, > 0: scales the number of filters of the layers.",
    "rho": "resolution multiplier in (0, 1]: scales the sides of `input_shape`, rounded to the "
    "nearest pixel.",
    "include_top": "whether the classifier is built. Without it the output is the last feature "
    "map.",
    "pooling": 'None, "avg" or "max": with `include_top=False`, how the last feature map is pooled '
    "to a vector.",
    "features": 'list such as `["P2", "P4"]`: the model returns a dict of these feature maps and '
    "has no classifier. `P{{k}}` is the last tensor at total stride 2^k that every path through "
    "the network crosses.",
    "dropout": "fraction dropped, in [0, 1). Defaults to the paper's{dropout}.",
    "classifier_activation": "name of the classifier's activation, None for logits.",
    "weights": "None for random weights; the path of a `.keras`, `.h5`, `.safetensors` "
    "(timm's or torchvision's names) or `.caffemodel` file; \"imagenet\" for those of "
    'keras.applications; "hf://timm/NAME"; or "mnist" or "cifar10" for those that are in this '
    "package: then `input_shape` and `classes` default to theirs, and the network rescales pixels "
    "of 0 to 255 itself. `model.load_report` says what was loaded.",
    "adapt": "whether weights for another number of classes or channels, a larger alpha or another "
    "image size are adapted: kernels of the first layer are summed or repeated, the channels of "
    "largest norm kept; a classifier for other classes keeps its random weights.",
    "name": "name of the model. Defaults to {name!r}.",
    # own arguments that several families have
    "stem": '"imagenet", or "small" for images such as 32x32: the first two reductions get stride '
    "1; one that is nothing but a pooling layer is left out.",
    "layout": "whose conventions are followed where they differ: {layouts}; the module says how.",
    "batch_norm": "whether BatchNorm follows each convolution.",
    "aux": "whether the auxiliary classifiers are built: the output is then a dict of {aux}.",
}

_RETURNS = """
Returns:
    A functional `keras.Model` that maps images (batch, height, width, channels) to predictions
    (batch, classes).

Raises:
    ValueError: an argument is outside the range given above, or the weights do not fit.
    TypeError: an unknown keyword.
"""


def _common_signature(
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
):
    """The one place where the common arguments, their types and their defaults stand."""


_COMMON = inspect.signature(_common_signature).parameters


def _own_parameters(function: Callable) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    hints = typing.get_type_hints(function)
    return {
        name: parameter.replace(annotation=hints.get(name, inspect.Parameter.empty))
        for name, parameter in parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in {*_COMMON, "taps"}
    }


def _documentation(spec: "_Spec", info: ArchInfo) -> str:
    text, _, own_docs = inspect.cleandoc(spec.doc).partition("\nArgs:\n")
    facts = {
        "name": info.name,
        "input_shape": info.input_shape,
        "classes": info.classes,
        "dropout": "" if spec.dropout is None else f" ({spec.dropout})",
        "min_size": info.min_size,
    }
    if "small" in info.stems:
        small = spec.smallest({"stem": "small"})
        facts["min_size"] = f'{info.min_size} ({small} with stem="small")'
    if "layout" in spec.own:
        layouts = typing.get_args(spec.own["layout"].annotation)
        facts["layouts"] = ", ".join(f'"{layout}"' for layout in layouts)
    facts["aux"] = "predictions and the auxiliary ones, all after the activation"
    arguments = [
        textwrap.fill(
            f"{name}: {_COMMON_DOCS[name].format(**facts)}",
            width=96,
            initial_indent=" " * 4,
            subsequent_indent=" " * 8,
        )
        for name in (*_COMMON, *spec.own)
        if name in _COMMON_DOCS
    ]
    for own in re.split(r"\n(?=\S)", textwrap.dedent(own_docs).strip()):
        if own.partition(":")[0] in spec.own:
            arguments.append(textwrap.indent(own, " " * 4))
    joined = "\n".join(arguments)
    return f"{text.strip()}\n\nPaper: {info.paper}\n\nArgs:\n{joined}\n{_RETURNS}"


# --------------------------------------------------------------------------------------- checking


_LARGEST_SIDE = 2**20  # in pixels


def _check_input_shape(shape, title: str, paper_shape, rho: float, smallest: int):
    """The (height, width, channels) to build, `rho` applied."""
    wanted = "(height, width, channels) of positive integers, None allowed for the sides"
    given = paper_shape if shape is None else shape
    if (
        not isinstance(given, (tuple, list))
        or len(given) != 3
        or not all(side is None or is_count(side) for side in given[:2])
        or not is_count(given[2])
    ):
        raise ValueError(f"`input_shape` must be {wanted}. Received: input_shape={shape!r}")
    if rho != 1 and None in given:
        raise ValueError(
            f"`rho` must be 1 where a side of `input_shape` is None. Received: rho={rho!r}, "
            f"input_shape={shape!r}"
        )
    sides = [None if side is None else scaled_side(int(side), rho) for side in given[:2]]
    if any(side is not None and side > _LARGEST_SIDE for side in sides):
        raise ValueError(
            f"`input_shape` must have sides of at most {_LARGEST_SIDE}. "
            f"Received: input_shape={tuple(given)}"
        )
    if any(side is not None and side < smallest for side in sides):
        scaled = f" (with rho={rho!r}: {sides[0]}x{sides[1]})" if rho != 1 else ""
        first = ", channels last," if given[0] in (1, 3) and given[2] not in (1, 3) else ""
        raise ValueError(
            f"`input_shape` must be at least {smallest}x{smallest}{first} for {title}. "
            f"Received: input_shape={tuple(given)}{scaled}"
        )
    return (*sides, int(given[2]))


def _is_rate(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < 1


def _is_activation(value) -> bool:
    try:
        return callable(keras.activations.get(value))
    except (ValueError, TypeError):
        return False


_COMMON_CHECKS = {
    "classes": ("an integer >= 1", lambda v: v is None or is_count(v)),
    "include_top": ("a bool", lambda v: isinstance(v, bool)),
    "pooling": ("None, 'avg' or 'max'", lambda v: v in (None, "avg", "max")),
    "dropout": ("None or in [0, 1)", lambda v: v is None or _is_rate(v)),
    "classifier_activation": ("None or the name of a Keras activation", _is_activation),
    "adapt": ("a bool", lambda v: isinstance(v, bool)),
    "name": ("a string", lambda v: v is None or isinstance(v, str)),
}


def _check_common(common: Mapping[str, Any]):
    check_alpha(common["alpha"])
    check_rho(common["rho"])
    for name, (wanted, holds) in _COMMON_CHECKS.items():
        if not holds(common[name]):
            raise ValueError(f"`{name}` must be {wanted}. Received: {name}={common[name]!r}")
    if common["pooling"] and (common["include_top"] or common["features"] is not None):
        raise ValueError(
            "`pooling` must be None unless include_top=False and features=None. "
            f"Received: pooling={common['pooling']!r}"
        )
    if common["weights"] is not None:
        check_source(common["weights"])
    elif common["adapt"]:
        raise ValueError("`adapt` must be False: there are no weights. Received: adapt=True")
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "`keras.config.image_data_format()` must be 'channels_last'. "
            f"Received: {keras.config.image_data_format()!r}"
        )


# Arguments of keras.applications that builders lack, and what stands for them here.
ELSEWHERE = {
    "input_tensor": "`model(tensor)` applies a network to a tensor",
    "depth_multiplier": "`alpha` is the width multiplier",
    "data_format": "channels are last in `input_shape`",
    "minimalistic": "it is of MobileNetV3, which is not here",
    "include_preprocessing": "`known_weights(name)` has the `preprocessing` that weights expect",
}


def _check_keywords(title: str, given: Iterable[str], known: Collection[str]):
    for keyword in given:
        if keyword not in known:
            way = f" {ELSEWHERE[keyword]}." if keyword in ELSEWHERE else nearest(keyword, known)
            raise TypeError(f"{title}() got an unexpected keyword argument {keyword!r}.{way}")


# What a network that somebody uses does not exceed. Of one that does, the size is computed before
# memory is asked for.
_USUAL = {"alpha": 8, "classes": 100_000}
_USUAL_SIDE = 4096  # and number of channels
_USUAL_COUNT = 64  # of an own argument, such as WideResNet's `k`
_MOST_OWN = 4096  # of an own argument, such as a depth; entries of a list, such as `rows`


def _check_fits(assemble: Callable[[], keras.Model], common: Mapping[str, Any], own) -> None:
    """Raise ValueError where unusual arguments make weights that the machine cannot hold."""
    shape = common["input_shape"]
    given = {name: common[name] for name in ("alpha", "classes") if common[name] is not None}
    unusual = {name: value for name, value in given.items() if value > _USUAL[name]}
    sides = shape if isinstance(shape, (tuple, list)) else ()
    if any(is_count(side) and side > _USUAL_SIDE for side in sides):
        unusual["input_shape"] = shape
    unusual |= {n: v for n, v in own.items() if is_count(v) and v > _USUAL_COUNT}
    lists = {n: v for n, v in own.items() if isinstance(v, (tuple, list))}
    unusual |= {n: v for n, v in lists.items() if any(is_count(x) and x > _MOST_OWN for x in v)}
    if unusual and has_values():
        with without_values():
            weights = assemble().weights
        check_weights_fit(sum(4 * math.prod(weight.shape) for weight in weights), **unusual)


def _check_own(own: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]):
    for name, value in own.items():
        hint = parameters[name].annotation
        choices = (True, False) if hint is bool else typing.get_args(hint)
        literal = hint is bool or typing.get_origin(hint) is typing.Literal
        if literal and not any(type(value) is type(c) and value == c for c in choices):
            wanted = ", ".join(repr(c) for c in choices)
            raise ValueError(f"`{name}` must be one of {wanted}. Received: {name}={value!r}")
        if hint is int:
            count(name, value, most=_MOST_OWN)
        if isinstance(value, (tuple, list)) and len(value) > _MOST_OWN:
            raise ValueError(
                f"`{name}` must have at most {_MOST_OWN} entries. Received: {len(value):,}"
            )


# --------------------------------------------------------------------------------------- building


def _call(function: Callable, available: Mapping[str, Any], *tensors):
    """Call with those of the `available` arguments that the function names."""
    named = inspect.signature(function).parameters
    return function(*tensors, **{name: available[name] for name in available if name in named})


@dataclass(frozen=True)
class _Spec:
    """All that `architecture` was told of one network."""

    body: Callable
    head: Callable
    dropout: float | None
    min_size: int | Mapping[str, int] | Callable[..., int]
    facts: Mapping[str, Any]  # fields of ArchInfo
    fixed: Mapping[str, Any]  # own arguments that a variant fixes
    doc: str
    paper_input: Callable[..., tuple[tuple[int, int, int], int]] | None = None

    @property
    def own(self) -> dict[str, inspect.Parameter]:
        """The arguments that are the family's own and still open.

        One that the head shares with the body is declared by the body.
        """
        body, head = _own_parameters(self.body), _own_parameters(self.head)
        parameters = body | {name: p for name, p in head.items() if name not in body}
        return {name: p for name, p in parameters.items() if name not in self.fixed}

    def with_own(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All arguments of the family's own: those given, those fixed and the defaults."""
        return {**{name: p.default for name, p in self.own.items()}, **self.fixed, **given}

    def smallest(self, given: Mapping[str, Any]) -> int:
        """The smallest side in pixels that the network takes with these own arguments."""
        arguments = self.with_own(given)
        if callable(self.min_size):
            return _call(self.min_size, arguments)
        if isinstance(self.min_size, Mapping):
            return self.min_size[arguments["stem"]]
        return self.min_size

    def usual_input(self, given: Mapping[str, Any]) -> tuple[tuple[int, int, int], int]:
        """The paper's input shape and number of classes with these own arguments."""
        if self.paper_input:
            return _call(self.paper_input, self.with_own(given))
        return self.facts["input_shape"], self.facts["classes"]

    def info(self, title: str) -> ArchInfo:
        arguments = self.with_own({})
        layout = {"layout": arguments["layout"]} if "layout" in arguments else {}
        return ArchInfo(
            name=title.lower(),
            family=self.body.__module__.rpartition(".")[2],
            min_size=self.smallest({}),
            stems=typing.get_args(self.own["stem"].annotation) if "stem" in self.own else (),
            dropout=self.dropout,
            **layout,
            **self.facts,
        )


def _assemble(
    title: str,
    spec: _Spec,
    info: ArchInfo,
    common: Mapping[str, Any],
    own: Mapping[str, Any],
    preprocessing: Preprocessing | None,
) -> keras.Model:
    smallest = spec.smallest(own)
    paper_shape, paper_classes = spec.usual_input(own)
    shape = _check_input_shape(common["input_shape"], title, paper_shape, common["rho"], smallest)
    dropout = common["dropout"]
    available = {**common, **spec.fixed, **own}
    inputs = keras.Input(shape, name="input")
    x = inputs
    if preprocessing:
        at_hand = preprocessing.for_channels(shape[-1])
        x = rescaled(inputs, at_hand.mean, at_hand.std)
    x = _call(spec.body, available, x)
    if isinstance(x, tuple):
        x, available["taps"] = x
    if common["features"] is not None:
        outputs = feature_tensors(inputs, x, common["features"])
    elif common["include_top"]:
        classes = paper_classes if common["classes"] is None else common["classes"]
        available["classes"] = int(classes)
        available["dropout"] = spec.dropout if dropout is None else dropout
        outputs = _call(spec.head, available, x)
    elif common["pooling"]:
        outputs = globally_pooled(x, common["pooling"])
    else:
        outputs = x
    return exportable(keras.Model(inputs, outputs, name=common["name"] or info.name))


def _builder(title: str, spec: _Spec) -> Callable:
    """The public function: binds, checks, assembles."""
    info, own_parameters = spec.info(title), spec.own
    signature = inspect.Signature(
        [*_COMMON.values(), *own_parameters.values()], return_annotation=keras.Model
    )

    def build(*args, **kwargs):
        _check_keywords(title, kwargs, signature.parameters)
        bound = signature.bind(*args, **kwargs)
        given = dict(bound.arguments)
        weights, adapt = given.pop("weights", None), given.pop("adapt", False)
        if "layout" in own_parameters and weights is not None:
            layout = layout_of(weights)
            if layout in typing.get_args(own_parameters["layout"].annotation):
                bound.arguments["layout"] = given.setdefault("layout", layout)
        bound.apply_defaults()
        common = {name: value for name, value in bound.arguments.items() if name in _COMMON}
        own = {name: value for name, value in bound.arguments.items() if name not in _COMMON}
        _check_common(common)
        _check_own(own, own_parameters)
        if own.get("aux") and (not common["include_top"] or common["features"] is not None):
            raise ValueError("`aux` must be False without the classifier. Received: aux=True")
        trained = trained_for(info.name, weights, common["alpha"])
        if trained:
            usual = {"input_shape": trained.input_shape, "classes": len(trained.labels)}
            missing = {name: value for name, value in usual.items() if common[name] is None}
            common |= missing
            given |= missing
        inside = trained.preprocessing if trained else None
        assemble = functools.partial(_assemble, title, spec, info, common, own, inside)
        with deep_graphs():
            _check_fits(assemble, common, own)
            model = assemble()
            if weights is not None:
                options = {"adapt": adapt, "arch": info.name, "built": given}
                report = load_weights(model, weights, **options)
                model.load_report = replace(report, inside=trained is not None)
        return model

    build.__name__ = build.__qualname__ = title
    build.__module__ = spec.body.__module__
    build.__doc__ = _documentation(spec, info)
    build.__signature__ = signature
    build.info, build.spec = info, spec
    return build


def _register(title: str, spec: _Spec) -> Callable:
    builder = _builder(title, spec)
    if title not in keras_archs.MODULES.get(builder.info.family, ()):
        raise ValueError(f"`{title}` must stand in the line of its module in keras_archs.MODULES")
    if builder.info.name in _REGISTRY:
        raise ValueError(f"`{title}` must be defined once. Received: a second definition")
    _REGISTRY[builder.info.name] = builder
    return builder


_PARTS = ("head", "dropout", "min_size")
_FACTS = ("paper", "year", "input_shape", "classes", "layout")


class Family:
    """A body whose networks are all variants of it, such as the ResNets."""

    def __init__(self, spec: _Spec):
        self._spec = spec

    def variant(
        self,
        title: str,
        doc: str,
        *,
        published: Mapping[str, Figure] | None = None,
        **changes,
    ) -> Callable:
        """A public builder of this family.

        Args:
            title: its name.
            doc: first line of its docstring.
            published: its own figures; the family's are not its own.
            **changes: own arguments of body and head, which the variant fixes and no longer takes;
                then the facts `paper`, `year`, `input_shape`, `classes` and, where it is no
                argument, `layout`; and the parts `head`, `dropout` and `min_size`, where they
                differ from the family's.
        """
        spec = self._spec
        parts = {name: changes.pop(name) for name in _PARTS if name in changes}
        spec = replace(spec, **parts)
        fixed = {name: changes.pop(name) for name in spec.own if name in changes}
        facts = {name: changes.pop(name) for name in _FACTS if name in changes}
        if changes:
            raise TypeError(f"`{title}` must fix own arguments of its family. Received: {changes}")
        rest = inspect.cleandoc(spec.doc).partition("\n")[2]
        spec = replace(
            spec,
            facts={**spec.facts, **facts, "published": published or {}},
            fixed={**spec.fixed, **fixed},
            doc=f"{doc}\n{rest}",
        )
        return _register(title, spec)


def architecture(
    *,
    head: Callable,
    min_size: int | Mapping[str, int] | Callable[..., int],
    dropout: float | None = 0.0,
    paper_input: Callable[..., tuple[tuple[int, int, int], int]] | None = None,
    **facts,
) -> Callable:
    """Turn a body into a public builder, or into a `Family` where its name starts with `_`.

    Args:
        head: the classifier: `gap_dense` or the family's own.
        min_size: smallest side in pixels, one a stem as a mapping, or a function of own arguments.
            Tests find the true value by trying.
        dropout: the paper's rate before the classifier; None where the head knows its own.
        paper_input: where they depend on own arguments, a function of these: the input shape and
            the number of classes that are built by default.
        **facts: the fields of `ArchInfo` that are known by reading: `paper`, `year`, `input_shape`,
            `classes`, `published`, and `layout` where the body has no such argument: that
            argument's default says it.
    """

    def decorate(body: Callable):
        spec = _Spec(
            body=body,
            head=head,
            dropout=dropout,
            min_size=min_size,
            facts=facts,
            fixed={},
            doc=body.__doc__ or "",
            paper_input=paper_input,
        )
        return Family(spec) if body.__name__.startswith("_") else _register(body.__name__, spec)

    return decorate
