"""Trained networks made wider, deeper or narrower.

Chen et al. 2015, "Net2Net", https://arxiv.org/abs/1511.05641: a wider layer has copies of its
channels, whose consumers share the weights out among the copies; a deeper network has new layers
that start as the identity. Wei et al. 2016, "Network Morphism", https://arxiv.org/abs/1603.01670: a
wider layer has new channels, which at first nothing reads that was there before. All of these keep
the outputs. `channels.py` says which weights take part.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from numbers import Real
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import layers

import keras_archs
from keras_archs.checks import check_alpha, check_weights_fit, choice, is_count, nearest
from keras_archs.graph import Call, calls
from keras_archs.graph import without_values as without_values
from keras_archs.kinds import CONVOLUTIONS, DEPTHWISE
from keras_archs.registry import builder
from keras_archs.surgery.channels import Carrier, ChannelGraph
from keras_archs.surgery.rewiring import changed, graphs, rebuilt, rewired
from keras_archs.surgery.thinning import norms_of

SAME_AT_ANY_ALPHA = "kernel_size", "groups", "depth_multiplier"  # of a layer at any alpha
NewChannels = Literal["copies", "random"]
Choice = Callable[[np.ndarray, int], np.ndarray | None]  # of labels, how many channels


def widen(
    model: keras.Model,
    layer: str,
    units: int,
    *,
    new_channels: NewChannels = "copies",
    noise: float = 0.0,
    seed: int | None = None,
) -> keras.Model:
    """A copy of `model` with more channels in one layer and the same outputs (Net2WiderNet).

    The new channels are spread evenly over the layer's. Layers whose channels must be those of this
    one, such as all that are added to it, are widened with it.

    Args:
        model: a functional model. It is left as it is.
        layer: name of a convolution or dense layer, `outer/inner` in a nested model.
        units: its filters or units afterwards, at least those it has. A multiple of the groups
            where a grouped convolution makes or reads them.
        new_channels: "copies" of those that are there, which share the weights of the layers that
            read them; or "random", made by weights that are drawn (He et al. 2015,
            arXiv:1502.01852) and at first read with the weight 0 by all channels that were there.
        noise: how unequally the copies share the weights of the layers that read them: the standard
            deviation of a share, as a fraction of an equal one. The shares still sum to the whole,
            so the outputs stay the same at any `noise`. With 0 copies are equal, and stay equal in
            training unless dropout tells them apart.
        seed: of the noise, or of what is drawn.

    Raises:
        ValueError: an argument is outside the range given above, the layer's channels are the
            model's outputs, or a layer stands in the way, which is named: one that normalises
            across channels, or of a kind that is not known.
    """
    _check_new(new_channels, noise)
    graph = ChannelGraph(model)
    carrier = _summing(graph, layer)
    if not is_count(units) or units < carrier.width:
        raise ValueError(
            f"`units` must be an integer >= {carrier.width}, the width of layer `{layer}`. "
            f"Received: units={units!r}"
        )
    check_weights_fit(4 * units, units=units)
    copies = np.ones_like(graph.roots)
    labels = graph.roots[carrier.makes]
    copies[labels] = _spread(len(labels), int(units))
    copies = copies[graph.roots]
    if (copies[graph.outputs] != 1).any():
        raise ValueError(
            "`layer` must have channels that are not the outputs of the model. "
            f"Received: layer={layer!r}"
        )
    _check_fits(graph, copies, units=units)
    return _widened(graph, copies, new_channels, noise, seed)


def deepen(model: keras.Model, after: str) -> keras.Model:
    """A copy of `model` with one more layer and the same outputs (Net2DeeperNet).

    The new layer is of the same kind and kernel size, and starts as the identity. Where
    BatchNormalization and ReLU follow the old one they follow the new one too; its statistics start
    as those of an identity. The new layers stand behind the first ReLU after the old one and are
    named after it: `conv1_deeper1`, `conv1_deeper1_bn`, `conv1_deeper1_relu`.

    Args:
        model: a functional model. It is left as it is.
        after: name of a convolution (not a transposed or separable one) or dense layer. Its output
            goes to one ReLU (or ReLU6), with at most BatchNormalization, additions, pooling and
            dropout between.

    Raises:
        ValueError: there is no such layer, or no such ReLU behind it.
    """
    for prefix, graph in graphs(model):
        order = calls(graph)
        for call in order:
            if f"{prefix}{call.operation.name}" == after:
                names = {f"{prefix}{other.operation.name}" for other in order}
                found = _unit(call, order)
                if found is None:
                    raise ValueError(
                        "`after` must be a convolution or dense layer that one ReLU follows. "
                        f"Received: after={after!r}"
                    )
                numbers = (n for n in range(1, len(names) + 2) if f"{after}_deeper{n}" not in names)
                new = _identity(*found, name=f"{call.operation.name}_deeper{next(numbers)}")
                last = found[-1].operation
                return rewired(model, {f"{prefix}{last.name}": [last, *new]})
    known = [f"{prefix}{op.name}" for prefix, graph in graphs(model) for op in graph.operations]
    raise ValueError(
        f"`after` must be a layer of the model.{nearest(after, known)} Received: after={after!r}"
    )


def grow(
    model: keras.Model,
    alpha: float,
    *,
    arch: str | None = None,
    extra_depth: int = 0,
    new_channels: NewChannels = "copies",
    noise: float = 0.0,
    seed: int | None = None,
    **own: Any,
) -> keras.Model:
    """A copy of a network of this package as wide as at `alpha`, with the same outputs.

    Every layer gets the width that the builder gives it at `alpha`; input, classes, dropout,
    preprocessing layers and names stay those of the model. Without the classifier each output
    channel is followed by those that are new. The copy is not compiled.

    Args:
        model: what a builder of this package made, trained or not, saved and loaded or not. It is
            left as it is.
        alpha: width multiplier of the builder, at which no layer is narrower than it is.
        arch: name of the architecture. Defaults to the model's name.
        extra_depth: number of identity layers that `deepen` puts in, spread evenly over the
            network, at most one for each layer that it can follow.
        new_channels: as in `widen`.
        noise: as in `widen`.
        seed: as in `widen`.
        **own: the family's own arguments that the model was built with, such as `rows` or `depth`.

    Raises:
        ValueError: an argument is outside the range given above, the layers are not those of the
            architecture, or a layer stands in the way, which is named: one that normalises across
            channels, or two that are added and have different widths at `alpha`.
    """
    _check_new(new_channels, noise)
    if not is_count(extra_depth, least=0):
        raise ValueError(
            f"`extra_depth` must be an integer >= 0. Received: extra_depth={extra_depth!r}"
        )
    graph = ChannelGraph(model)

    def copied(labels: np.ndarray, count: int) -> np.ndarray | None:
        return _spread(len(labels), count) if count >= len(labels) else None

    widths = _widths(graph, alpha, arch, own)
    copies = _copies(graph, alpha, widths, "at least", copied)
    _check_fits(graph, copies, alpha=alpha)
    grown = _widened(graph, copies, new_channels, noise, seed)
    for path in _evenly(grown, int(extra_depth)):
        grown = deepen(grown, path)
    return grown


def shrink(model: keras.Model, alpha: float, *, arch: str | None = None, **own: Any) -> keras.Model:
    """A copy of a network of this package as narrow as at `alpha`, of its strongest channels.

    Those channels stay, in their order, whose filters have the largest L2 norms, summed over the
    layers that make them. The outputs are not kept: train on, or at least measure. The copy is not
    compiled.

    Args:
        model: as in `grow`.
        alpha: width multiplier of the builder, at which no layer is wider than it is.
        arch: as in `grow`.
        **own: as in `grow`.

    Raises:
        ValueError: as in `grow`; normalisation across channels is no obstacle.
    """
    graph = ChannelGraph(model)
    widths = _widths(graph, alpha, arch, own)
    norms, parts = norms_of(graph), _parts(graph)

    def strongest(labels: np.ndarray, count: int) -> np.ndarray | None:
        if count > len(labels):
            return None
        quota, kept = _spread(len(labels), count), np.zeros(len(labels), int)
        for part in np.unique(parts[labels]):
            places = np.flatnonzero(parts[labels] == part)
            by_norm = places[np.argsort(-norms[labels[places]], kind="stable")]
            kept[by_norm[: quota[places].sum()]] = 1
        return kept

    return graph.resized(_copies(graph, alpha, widths, "at most", strongest))


# ------------------------------------------------------------------------------------------ widths


def _spread(channels: int, total: int) -> np.ndarray:
    """`total` copies dealt out evenly: each half, third, ... has its part, rounded down."""
    ends = np.arange(channels + 1) * total // max(channels, 1)
    return np.diff(ends)


def _check_new(new_channels, noise):
    choice("new_channels", new_channels, get_args(NewChannels))
    number = isinstance(noise, Real) and not isinstance(noise, bool)
    if not number or not math.isfinite(noise) or noise < 0:
        raise ValueError(f"`noise` must be a number >= 0. Received: noise={noise!r}")
    if noise and new_channels != "copies":
        raise ValueError(
            f"`noise` must be 0 unless new_channels is 'copies'. Received: noise={noise!r}"
        )


def _summing(graph: ChannelGraph, path: str) -> Carrier:
    known = {carrier.path: carrier for carrier in graph.summing}
    if path not in known:
        raise ValueError(
            "`layer` must be a convolution or dense layer of the model."
            f"{nearest(path, known)} Received: layer={path!r}"
        )
    return known[path]


def _check_fits(graph: ChannelGraph, copies: np.ndarray, **received: Any) -> None:
    """Raise ValueError, naming what was received, where the resized kernels do not fit."""
    size = 0.0
    for carrier in graph.carriers.values():
        if carrier.sums:
            read, made = (copies[labels].mean() for labels in (carrier.reads.labels, carrier.makes))
            largest = max(math.prod(weight.shape) for weight in carrier.layer.weights)
            size += 4 * largest * read * made
    check_weights_fit(int(size), **received)


def _widened(
    graph: ChannelGraph, copies: np.ndarray, new_channels: NewChannels, noise: float, seed
) -> keras.Model:
    """The resized model, unless its outputs would change."""
    for labels, path in graph.mixed:
        if (copies[labels] != 1).any():
            raise graph.unfit("that treat channels one by one, to be widened", path)
    return graph.resized(copies, noise, seed, drawn=new_channels == "random")


def _copies(
    graph: ChannelGraph, alpha: float, widths: dict[str, int], bound: str, choose: Choice
) -> np.ndarray:
    """How often each label occurs so that all layers have these widths, which they have at `alpha`.

    `choose` deals out what a layer gets to its channels that no layer before it has settled; None
    says that `alpha` must be `bound`, "at least" or "at most", that of the model.
    """
    copies = np.full(len(graph.roots), -1)
    for carrier in graph.summing:
        if carrier.path not in widths:  # of a head of the user's own
            continue
        wanted, labels = widths[carrier.path], graph.roots[carrier.makes]
        open_, settled = labels[copies[labels] < 0], labels[copies[labels] >= 0]
        rest = wanted - int(copies[settled].sum())
        if rest < 0 or (rest and not len(open_)):
            raise ValueError(
                f"`alpha` must give layer `{carrier.path}` the width of the layers it is added to, "
                f"{wanted - rest}, not {wanted}. Received: alpha={alpha!r}"
            )
        chosen = choose(open_, rest)
        if chosen is None:
            raise ValueError(
                f"`alpha` must be {bound} that of the model: layer `{carrier.path}` has "
                f"{carrier.width} channels, and {wanted} at this one. Received: alpha={alpha!r}"
            )
        copies[open_] = chosen
    copies[copies < 0] = 1
    return copies[graph.roots]


def _widths(graph: ChannelGraph, alpha: float, arch: str | None, own) -> dict[str, int]:
    """The width of each layer of the architecture at `alpha` that the model has, too."""
    check_alpha(alpha)
    model = graph.model
    if arch is None and model.name.lower() not in keras_archs.list_archs():
        raise ValueError(
            f"`arch` must name the model's architecture, for its name {model.name!r} is none. "
            "Received: arch=None"
        )
    build = builder(arch or model.name)
    classes = keras.tree.flatten(model.output)[0].shape[-1]
    with without_values():
        reference = ChannelGraph(build(alpha=alpha, **{"classes": classes, **own}))
    ours, theirs = ({c.path: c for c in g.summing} for g in (graph, reference))
    for path in _alone(list(ours), list(theirs)):
        owner = "the model" if path in ours else build.__name__
        raise _another(model, build, f"only {owner} has `{path}`")
    if added := [path for path in reference.added if path not in graph.added]:
        raise _another(model, build, f"at alpha={alpha!r} only {build.__name__} has `{added[0]}`")
    for path, name in itertools.product(set(ours) & set(theirs), SAME_AT_ANY_ALPHA):
        own_value, value = (getattr(g[path].layer, name, None) for g in (ours, theirs))
        if own_value != value:
            raise _another(model, build, f"`{path}` has {name}={own_value!r}, not {value!r}")
    return {path: carrier.width for path, carrier in theirs.items() if path in ours}


def _alone(ours: list[str], theirs: list[str]) -> list[str]:
    """What one has and the other has not, up to the last that both have; behind it are heads."""
    both = set(ours) & set(theirs)
    alone = []
    for names in (ours, theirs):
        ends = [at for at, name in enumerate(names, start=1) if name in both]
        alone += [name for name in names[: max(ends, default=len(names))] if name not in both]
    return alone


def _another(model: keras.Model, build: Callable, difference: str) -> ValueError:
    return ValueError(
        f"`model` must be what {build.__name__} builds, but for its widths: {difference}; `arch` "
        f"and the family's own arguments say how it was built. Received: model={model.name!r}"
    )


# ---------------------------------------------------------------------------------- what is kept


def _parts(graph: ChannelGraph) -> np.ndarray:
    """For each label a number, the same within a group of a grouped convolution."""
    part_of = np.zeros(len(graph.roots), int)
    for number, part in enumerate((part for parts in graph.parts for part in parts), start=1):
        part_of[graph.roots[part]] = number
    return part_of


# ------------------------------------------------------------------------------------------- depth

BETWEEN = (
    *(layers.BatchNormalization, layers.Add, layers.Dropout, layers.SpatialDropout2D),
    *(layers.MaxPooling2D, layers.AveragePooling2D, layers.ZeroPadding2D),
)


def _is_relu(operation) -> bool:
    """Whether it is a ReLU, maybe cut off above: it leaves its own outputs as they are."""
    if isinstance(operation, layers.ReLU):
        return not operation.negative_slope and not operation.threshold
    name = getattr(getattr(operation, "activation", None), "__name__", "")
    return name in ("relu", "relu6")


def _unit(call: Call, order: list[Call]) -> tuple[Call, Any, Call] | None:
    """A layer's call, the BatchNormalization behind it or None, and the call that ends in ReLU."""
    layer, norm, last = call.operation, None, call
    if not isinstance(layer, (*CONVOLUTIONS, *DEPTHWISE, layers.Dense)):
        return None
    if getattr(layer, "depth_multiplier", 1) != 1:
        return None
    while not _is_relu(last.operation):
        readers = [other for other in order for t in other.inputs if t is last.outputs[0]]
        if len(readers) != 1:
            return None
        (last,) = readers
        if isinstance(last.operation, layers.BatchNormalization):
            norm = last.operation
        elif not isinstance(last.operation, BETWEEN) and not _is_relu(last.operation):
            return None
    return call, norm, last


def _identity(call: Call, norm, last: Call, name: str) -> list[keras.Layer]:
    """New layers like these that leave the output of the last as it is."""
    layer: Any = call.operation
    shape = last.outputs[0].shape
    kernel, changes = _identity_kernel(layer, shape[-1])
    bias = [np.zeros(shape[-1])] if layer.use_bias else []
    new = [rebuilt(layer, shape, [kernel, *bias], **changes, name=name)]
    if norm is not None and last is not call:
        norm = rebuilt(norm, shape, name=f"{name}_bn")
        start = {"gamma": 1, "beta": 0, "moving_mean": 0, "moving_variance": 1 - norm.epsilon}
        for weight in norm.weights:
            weight.assign(np.full(weight.shape, start[weight.name]))
        new.append(norm)
    return new if last is call else [*new, changed(last.operation, name=f"{name}_relu")]


def _identity_kernel(layer, channels: int) -> tuple[np.ndarray, dict[str, Any]]:
    """The kernel with which a layer hands its input on, and what else it needs for that."""
    if isinstance(layer, layers.Dense):
        return np.eye(channels), {"units": channels}
    changes: dict[str, Any] = {"strides": 1, "padding": "same", "dilation_rate": 1}
    centre = tuple((side - 1) // 2 for side in layer.kernel_size)
    if isinstance(layer, DEPTHWISE):
        kernel = np.zeros((*layer.kernel_size, channels, 1))
        kernel[centre] = 1
        return kernel, changes
    kernel = np.zeros((*layer.kernel_size, channels, channels))
    kernel[centre] = np.eye(channels)
    return kernel, {**changes, "filters": channels, "groups": 1}


def _evenly(model: keras.Model, count: int) -> Iterator[str]:
    """`count` layers that `deepen` can follow, spread over the network."""
    (_, graph), *_ = graphs(model)
    order = calls(graph)
    found = [call.operation.name for call in order if _unit(call, order) is not None]
    if count > len(found):
        raise ValueError(
            f"`extra_depth` must be at most {len(found)}, the layers that another can follow. "
            f"Received: extra_depth={count}"
        )
    return (found[(2 * at + 1) * len(found) // (2 * count)] for at in range(count))
