"""Reading a functional model's graph: its calls in order, and the tensors at each total stride."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras.src.models.functional import Functional  # Keras has no public name for it

Graph = Functional


class Call(NamedTuple):
    """One application of a layer or operation. A shared layer has several."""

    operation: keras.Operation
    inputs: list
    outputs: list
    arguments: Any  # Keras' record of the whole call; `fill_in` puts other tensors for the inputs


def calls(model: keras.Model) -> list[Call]:
    """The calls of a functional model in the (topological) order in which Keras runs them."""
    by_depth = model._nodes_by_depth  # Keras offers no public list of nodes
    nodes = (node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth])
    return [Call(n.operation, n.input_tensors, n.outputs, n.arguments) for n in nodes]


def graph_of(operation) -> Any:
    """The graph that a call runs through; None where only the operation's `call` knows."""
    if type(operation).call not in (Functional.call, keras.Sequential.call):
        return None
    graph = getattr(operation, "_functional", operation)  # a Sequential's own, None until built
    return graph if isinstance(graph, Functional) else None


def last_uses(order: Sequence) -> dict[int, int]:
    """For each tensor's `id` the position in `order` of the last call that reads it."""
    return {id(tensor): at for at, call in enumerate(order) for tensor in call.inputs}


def _stride(operation) -> int:
    strides = getattr(operation, "strides", 1)
    return strides if isinstance(strides, int) else strides[0]


def feature_tensors(inputs, outputs, names: list[str]) -> dict:
    """The tensors `P{k}`: the last at total stride 2^k that every path to the output crosses.

    A padding layer belongs to the strided layer that follows it, so its output is no feature.

    Raises:
        ValueError: `names` is no list of names, or a name is absent; the message lists those
            present.
    """
    order = calls(keras.Model(inputs, outputs))
    uses, stride_of, present, open_until = last_uses(order), {}, {}, 0
    for at, (operation, read, written, _) in enumerate(order):
        reached = max((stride_of[id(tensor)] for tensor in read), default=1)
        stride = reached * _stride(operation)
        stride_of |= {id(tensor): stride for tensor in written}
        on_every_path = open_until <= at
        open_until = max([open_until, *(uses.get(id(tensor), 0) for tensor in written)])
        power_of_two = stride > 1 and stride & (stride - 1) == 0
        if on_every_path and power_of_two and not isinstance(operation, keras.layers.ZeroPadding2D):
            present[f"P{stride.bit_length() - 1}"] = written[0]
    if not isinstance(names, (list, tuple)) or not names or any(n not in present for n in names):
        wanted = ", ".join(present)
        raise ValueError(f"`features` must be a list of {wanted}. Received: features={names!r}")
    return {name: present[name] for name in names}
