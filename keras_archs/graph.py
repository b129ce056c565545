"""Reading a functional model's graph: its calls in order, and the tensors at each total stride."""

import contextlib
import copy
import random
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

# Keras has no public names for these.
from keras.src.backend.common import global_state
from keras.src.backend.common.stateless_scope import in_stateless_scope
from keras.src.models.functional import Functional

Graph = Functional
_DEEPEST_GRAPH = 20_000  # Keras walks a graph recursively: ResNet1202 needs about 10,000 frames


class Call(NamedTuple):
    """One application of a layer or operation. A shared layer has several."""

    operation: keras.Operation
    inputs: list
    outputs: list
    arguments: Any  # Keras' record of the whole call; `fill_in` puts other tensors for the inputs


def calls(model: keras.Model) -> list[Call]:
    """The calls of a functional model in the (topological) order in which Keras runs them.

    Raises:
        ValueError: it has no graph: its layers are called by a method of its own.
    """
    graph: Any = graph_of(model) or model
    if not isinstance(graph, Functional):
        raise ValueError(
            "`model` must be a functional or Sequential model that is built. "
            f"Received: {model.name!r}, a {type(model).__name__}"
        )
    by_depth = graph._nodes_by_depth  # Keras offers no public list of nodes
    nodes = (node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth])
    return [Call(n.operation, n.input_tensors, n.outputs, n.arguments) for n in nodes]


def graph_of(operation) -> Any:
    """The graph that a call runs through; None where only the operation's `call` knows."""
    if getattr(type(operation), "call", None) not in (Functional.call, keras.Sequential.call):
        return None
    graph = getattr(operation, "_functional", operation)  # a Sequential's own, None until built
    return graph if isinstance(graph, Functional) else None


def outputs_of(model: keras.Model) -> dict[str, Any]:
    """By name of each layer what it puts out in this model; it may be part of others, too.

    Empty where only the model's `call` knows.
    """
    graph = graph_of(model)
    return {call.operation.name: call.outputs[0] for call in calls(graph)} if graph else {}


def at_size(model: keras.Model, height: int | None, width: int | None) -> keras.Model:
    """The model's own layers, called on images of another size; None: of any.

    Args:
        model: a functional model with one input, (B, H, W, C).

    Raises:
        ValueError: a layer needs the size that it was built for; it is Keras that says so.
    """
    own = model.inputs[0]
    images = keras.Input((height, width, own.shape[-1]), dtype=own.dtype, name=own.name)
    with deep_graphs():
        return keras.models.clone_model(
            keras.Model(own, model.output, name=model.name),  # which is not compiled
            input_tensors=images,
            clone_function=lambda layer: layer,
            call_function=lambda layer, *args, **kwargs: layer(*args, **kwargs),
        )


def exportable(model: keras.Model) -> keras.Model:
    """The model, ready for `export(format="onnx")` without a call before.

    Keras refuses a model that was never called, even where its graph says what it takes.
    """
    model._called = True  # Keras offers no public way
    return model


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
        is_map = len(written[0].shape) == 4 and not isinstance(
            operation, keras.layers.ZeroPadding2D
        )
        if on_every_path and is_map and stride > 1 and stride & (stride - 1) == 0:
            present[f"P{stride.bit_length() - 1}"] = written[0]
    if not isinstance(names, (list, tuple)) or not names or any(n not in present for n in names):
        wanted = f"a list of {', '.join(present)}" if present else "None for a network without maps"
        raise ValueError(f"`features` must be {wanted}. Received: features={names!r}")
    return {name: present[name] for name in names}


@contextlib.contextmanager
def deep_graphs():
    """Let Keras walk graphs that are deeper than Python's recursion limit."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEEPEST_GRAPH))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def has_values() -> bool:
    """Whether the variables that are made here get values: not within `without_values`."""
    return not in_stateless_scope()


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Build models without values, and leave Keras and the random state as they were.

    A `StatelessScope` defers the values of variables, but keeps the variables in a list that the
    next scope to close initialises.
    """
    names = ("uninitialized_variables", "object_name_uids", "global_seed_generator")
    before = {name: global_state.get_global_attribute(name) for name in names}
    before |= {k: copy.copy(v) for k, v in before.items() if isinstance(v, (list, dict))}
    python_random, numpy_random = random.getstate(), np.random.get_state()
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        for name, value in before.items():
            global_state.set_global_attribute(name, value)
        random.setstate(python_random)
        np.random.set_state(numpy_random)
