"""Which channels of a network matter least, and the network without them.

Li et al. 2017, "Pruning Filters for Efficient ConvNets", https://arxiv.org/abs/1608.08710: filters
of small norm go for good, with all that is computed from them, so that the network is narrower, not
sparse. Departures: the L2 norm, not the L1; where layers are added, a channel's norms are summed
over all that make it, while section 3.3 goes by the shortcut's.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import keras
import numpy as np

from keras_archs.checks import choice, number
from keras_archs.kinds import mixes_channels
from keras_archs.surgery.channels import Carrier, ChannelGraph
from keras_archs.surgery.rewiring import graphs

MOST = 0.9  # of the channels of a network, and of those of a layer


def prune_channels(
    model: keras.Model, fraction: float, *, per: Literal["layer", "global"] = "global"
) -> keras.Model:
    """A copy of `model` without its weakest channels: a plain, narrower network.

    Those go whose filters have the smallest L2 norms, summed over the layers that make them.
    Channels that are added, multiplied or filtered one by one go together, and every group of a
    grouped convolution loses as many. The inputs, the outputs, and what layers make that do not
    learn keep all of theirs. The network's outputs change: train on, or at least measure. The copy
    is not compiled.

    Args:
        model: any functional model or built Sequential. It is left as it is.
        fraction: of the channels that can go, in [0, 0.9].
        per: "layer": every layer loses that share of its own, and keeps one at least. "global": all
            layers together lose it, and none more than nine tenths; norms are divided by their root
            mean square within the layer (Molchanov et al. 2017,
            https://arxiv.org/abs/1611.06440, section 2.2, but that the width does not count).

    Raises:
        ValueError: an argument is outside the range given above, or a layer stands in the way,
            which is named: one of a kind that is not known.
    """
    fraction = number("fraction", fraction, least=0, most=MOST)
    choice("per", per, ("layer", "global"))
    graph = ChannelGraph(model)
    layers = _layers(graph)
    counts = _of_each(layers, fraction) if per == "layer" else _of_all(layers, fraction)
    copies = np.ones(len(graph.roots), int)
    for layer, count in zip(layers, counts, strict=True):
        copies[layer.roots[:count]] = 0
    return graph.resized(copies[graph.roots])


def norms_of(graph: ChannelGraph) -> np.ndarray:
    """For each label the L2 norms of the filters that make it, summed over the layers."""
    norms = np.zeros(len(graph.roots))
    for carrier in graph.summing:
        kernel = _kernel(carrier)
        filters = np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), axis=0)
        norms += np.bincount(graph.roots[carrier.makes], filters, len(norms))
    return norms


def _kernel(carrier: Carrier) -> np.ndarray:
    """The weights of each channel, which stands on the last axis."""
    if "kernel" in carrier.uses:
        axis = carrier.uses["kernel"].writes.axis
        return np.moveaxis(carrier.layer.kernel.numpy(), axis, -1)
    depthwise = carrier.layer.depthwise_kernel.numpy()  # of a separable convolution
    depthwise = depthwise.reshape(-1, math.prod(depthwise.shape[-2:]))
    pointwise = carrier.layer.pointwise_kernel.numpy()
    return depthwise[:, :, None] * pointwise.reshape(1, *pointwise.shape[-2:])


# -------------------------------------------------------------------------------- what can go


class _Layer(NamedTuple):
    """Channels that the same layers make, the weakest first.

    Attributes:
        roots: (N, G): N that go one after the other, each with its like of the other groups of a
            grouped convolution.
        norms: (N,), their means over the groups.
    """

    roots: np.ndarray
    norms: np.ndarray


def _layers(graph: ChannelGraph) -> list[_Layer]:
    """All channels that can go.

    Raises:
        ValueError: a layer of a kind that is not known reads channels that could.
    """
    makers: dict[int, list[str]] = {}
    stay = set(graph.roots[graph.outputs].tolist())
    for labels, _ in graph.fixed[: len(graph.model.inputs)]:
        stay.update(graph.roots[labels].tolist())
    for carrier in graph.summing:
        made = np.unique(graph.roots[carrier.makes]).tolist()
        if not carrier.layer.trainable_variables:
            stay.update(made)
        for root in made:
            makers.setdefault(root, []).append(carrier.path)
    places, norms = _places(graph), norms_of(graph)
    found: dict[tuple, dict[tuple, list[int]]] = {}
    fixed = _fixed(graph, makers.keys() - stay)
    for root in sorted(makers.keys() - stay - fixed):
        sides = places.get(root, {})
        parts = found.setdefault((*makers[root], *sides), {})
        parts.setdefault(tuple(sides.values()), []).append(root)
    layers = []
    for parts in found.values():
        least = min(map(len, parts.values()))
        ordered = (sorted(roots, key=lambda root: norms[root])[:least] for roots in parts.values())
        roots = np.stack(list(ordered), axis=1)
        layers.append(_Layer(roots, norms[roots].mean(axis=1)))
    return layers


def _fixed(graph: ChannelGraph, could: set[int]) -> set[int]:
    """Those that what computes a channel from all of them reads, as a softmax does."""
    operations = {
        f"{prefix}{operation.name}": operation
        for prefix, nested in graphs(graph.model)
        for operation in nested.operations
    }
    fixed: set[int] = set()
    for labels, path in graph.fixed:
        roots = could & set(graph.roots[labels].tolist())
        if len(roots) > 1 and not mixes_channels(operations[path]):
            raise graph.unfit("whose channels can go", path)
        fixed |= roots
    return fixed


def _places(graph: ChannelGraph) -> dict[int, dict[str, int]]:
    """For channels of grouped convolutions their group, by the side on which they stand there."""
    places: dict[int, dict[str, int]] = {}
    for carrier in graph.summing:
        use = carrier.uses.get("kernel")
        if use is None or use.reads is None or use.groups == 1:
            continue
        for side, channels in (("writes", use.writes), ("reads", use.reads)):
            for group, part in enumerate(np.split(graph.roots[channels.labels], use.groups)):
                for root in part.tolist():
                    places.setdefault(root, {})[f"{carrier.path} {side}"] = group
    return places


# -------------------------------------------------------------------------------- what goes


def _of_each(layers: list[_Layer], fraction: float) -> list[int]:
    return [min(round(fraction * len(norms)), len(norms) - 1) for _, norms in layers]


def _of_all(layers: list[_Layer], fraction: float) -> list[int]:
    """How many of each layer are among the weakest of all."""
    counts = [0] * len(layers)
    most = [min(int(MOST * len(norms)), len(norms) - 1) for _, norms in layers]
    left = round(fraction * sum(roots.size for roots, _ in layers))
    for _, at in sorted(_relative(layers)):
        groups = layers[at].roots.shape[1]
        if counts[at] < most[at] and groups <= left:
            counts[at] += 1
            left -= groups
    return counts


def _relative(layers: list[_Layer]) -> Iterator[tuple[float, int]]:
    """Each channel's share of the root mean square of its layer, and which layer that is."""
    for at, (_, norms) in enumerate(layers):
        scale = math.sqrt(np.square(norms).mean()) or 1.0
        yield from zip((norms / scale).tolist(), itertools.repeat(at))
