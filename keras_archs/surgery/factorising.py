"""A layer as the product of two smaller ones."""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from keras_archs.checks import count, nearest
from keras_archs.kinds import CONVOLUTIONS, is_a, is_plain
from keras_archs.surgery.rewiring import graphs, rebuilt, rewired


class LowRank(NamedTuple):
    """A model with a factorised layer.

    Attributes:
        model: the new model.
        error: what the product of the two kernels lacks of the layer's, as a share of it, in
            [0, 1]: the ratio of the Frobenius norms.
        params_saved: parameters that the new model has less; negative where the two layers have
            more than the one.
    """

    model: keras.Model
    error: float
    params_saved: int


def low_rank(model: keras.Model, layer: str, rank: int) -> LowRank:
    """Two layers instead of a dense layer or a 1x1 convolution: `rank` units, then all of them.

    The kernel's truncated singular value decomposition, the best of this rank in the Frobenius norm
    (Denton et al. 2014, arXiv:1404.0736, section 3.2). The first layer, `LAYER_1`, has no bias and
    the stride; the second, `LAYER_2`, the bias and the activation. Not function-preserving.

    Args:
        model: a functional model or a built Sequential.
        layer: its name; `"outer/inner"` in a nested model.
        rank: units or filters of the first layer, at least 1 and at most the smaller side of the
            kernel, where the error is 0.

    Raises:
        ValueError: the model has no such layer, it is of another kind, or `rank` is out of range.
    """
    old: Any = _layer(model, layer)
    dense = is_a(old, layers.Dense)
    convolution = is_a(old, *CONVOLUTIONS) and set(old.kernel_size) == {1} and old.groups == 1
    if not (dense or convolution) or not is_plain(old):
        raise ValueError(
            "`layer` must be a dense layer or a 1x1 convolution. "
            f"Received: layer {layer!r} of type {type(old).__name__}"
        )
    kernel, *bias = old.get_weights()
    *taps, inputs, outputs = kernel.shape
    count("rank", rank, most=min(inputs, outputs))
    left, values, right = np.linalg.svd(kernel.reshape(inputs, outputs), full_matrices=False)
    roots = np.sqrt(values[:rank])
    units = "units" if dense else "filters"
    shape = (None,) * (len(taps) + 1)  # of the inputs, without their channels
    first = rebuilt(
        old,
        (*shape, inputs),
        [(left[:, :rank] * roots).reshape(*taps, inputs, rank)],
        **{"name": f"{old.name}_1", units: rank, "use_bias": False, "activation": "linear"},
    )
    second = rebuilt(
        old,
        (*shape, rank),
        [(roots[:, np.newaxis] * right[:rank]).reshape(*taps, rank, outputs), *bias],
        **{"name": f"{old.name}_2", **({} if dense else {"strides": 1})},
    )
    error = np.linalg.norm(values[rank:]) / np.linalg.norm(values) if values.any() else 0.0
    saved = inputs * outputs - rank * (inputs + outputs)
    return LowRank(rewired(model, {layer: [first, second]}), float(error), saved)


def _layer(model: keras.Model, path: str) -> keras.Operation:
    found = {f"{prefix}{op.name}": op for prefix, graph in graphs(model) for op in graph.operations}
    if path not in found:
        hint = nearest(path, found)
        raise ValueError(f"`layer` must name a layer of the model.{hint} Received: layer={path!r}")
    return found[path]
