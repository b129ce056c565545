"""Copying a functional model with some of its layers replaced, dropped or followed by new ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

from keras_archs.graph import Graph, calls, deep_graphs, graph_of

Replacements = Mapping[str, Sequence[keras.Operation]]


def changed(layer: keras.Operation, **changes) -> Any:
    """A new layer of the same configuration but for `changes`, without the weights."""
    return type(layer).from_config({**layer.get_config(), **changes})


def rebuilt(layer: keras.Layer, input_shape, weights: Sequence | None = None, **changes) -> Any:
    """A new layer of the same configuration but for `changes`, built for inputs of this shape.

    Args:
        input_shape: with the batch.
        weights: its arrays in the order of `get_weights`. None: those that its initializers draw.
    """
    copy = changed(layer, **changes)
    copy.build(input_shape)
    if weights is not None:
        copy.set_weights(weights)
    return copy


def graphs(model: keras.Model) -> Iterator[tuple[str, Graph]]:
    """The graph that a call of `model` runs through, and those of the models nested in it.

    Each comes once, with what stands before the names of its layers: `""`, `"outer/"`, ...

    Raises:
        ValueError: `model` is no functional model and no built Sequential, or a layer such as
            TimeDistributed wraps a model, in which no layer can be replaced.
    """
    graph = graph_of(model)
    if graph is None:
        raise ValueError(
            "`model` must be a functional keras.Model or a built Sequential. "
            f"Received: model={model!r}"
        )
    yield "", graph
    for operation in graph.operations:
        if isinstance(operation, keras.layers.Wrapper) and graph_of(operation.layer) is not None:
            raise ValueError(
                f"`model` must not wrap a model in a {type(operation).__name__}: change the model "
                f"itself and wrap the result. Received: layer `{operation.name}`"
            )
        if graph_of(operation) is not None:
            for prefix, nested in graphs(operation):
                yield f"{operation.name}/{prefix}", nested


def rewired(
    model: keras.Model, replace: Replacements, input_shape: Sequence[int | None] | None = None
) -> keras.Model:
    """A copy of `model` in which other layers stand at some places.

    The model is left as it is and shares nothing with the copy: every other layer is made again
    from its configuration, with its name, dtype policy and `trainable`, and gets a copy of its
    weights. A shared layer stays shared. A built Sequential is copied as a functional model.

    Args:
        model: a functional model or a built Sequential; models may be nested in it.
        replace: for the name of a layer (`"outer/inner"` in a nested model) the layers that take
            its place, each called on the output of the one before. They come with their weights,
            and the layer itself stands for its copy: `[]` drops it, `[layer, new]` puts one
            behind it. The arguments of the call go to the first.
        input_shape: of the copy, without the batch, for a model with one input. Defaults to the
            model's.

    Raises:
        ValueError: `model` is not functional, has no layer of such a name, or a layer that is kept
            has weights of another shape in the copy.
    """
    known = {f"{prefix}{op.name}" for prefix, graph in graphs(model) for op in graph.operations}
    if unknown := set(replace) - known:
        raise ValueError(
            f"`replace` must name layers of the model. Received: {', '.join(sorted(unknown))}"
        )
    tensors = graph_of(model).inputs
    if input_shape is not None:
        tensors = [keras.KerasTensor((None, *input_shape), tensors[0].dtype)]
    with deep_graphs():
        return _copied(model, replace, tensors, "")


def _copied(model, replace: Replacements, tensors: Sequence, prefix: str) -> keras.Model:
    """A copy for inputs such as `tensors`."""
    graph = graph_of(model)
    copies: list[tuple[keras.Layer, keras.Layer]] = []
    chains: dict[int, list] = {}

    def again(operation, args):
        if graph_of(operation) is not None:
            name = f"{prefix}{operation.name}/"
            return _copied(operation, replace, keras.tree.flatten(args), name)
        copy = changed(operation)
        if isinstance(operation, keras.Layer):
            copies.append((operation, copy))
        return copy

    def call(operation, *args, **kwargs):
        if id(operation) not in chains:
            places = replace.get(f"{prefix}{operation.name}", [operation])
            chains[id(operation)] = [again(p, args) if p is operation else p for p in places]
        output = args[0] if args else None
        for layer in chains[id(operation)]:
            output = layer(*args, **kwargs)
            args, kwargs = (output,), {}
        return output

    inputs = [
        keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=own._keras_history[0].name)
        for tensor, own in zip(tensors, graph.inputs, strict=True)
    ]
    copy = keras.models.clone_model(
        graph,
        keras.tree.pack_sequence_as(graph.input, inputs),
        clone_function=lambda operation: operation,
        call_function=call,
    )
    for old, new in copies:
        new.set_weights(old.get_weights())
    copy.name = model.name
    if not model.trainable:
        copy.trainable = False
    return copy


def flattened(model: keras.Model) -> keras.Model:
    """A copy without models inside: their layers are called in their place.

    It takes its input alone, not in a list, where it has one.

    Layers keep their names where these are free, else they are called as in `graphs`, `outer/inner`
    with "_" for the stroke.

    Raises:
        ValueError: as `graphs`.
    """
    copy = rewired(model, {})
    graph = graph_of(copy)
    taken: set[str] = set()

    def inlined(graph: Graph, prefix: str, tensors: Sequence) -> list:
        values = dict(zip(map(id, graph.inputs), tensors, strict=True))
        for call in calls(graph):
            if not call.inputs:
                continue
            args, kwargs = call.arguments.fill_in(values)
            operation: Any = call.operation
            nested = graph_of(operation)
            if nested is not None:
                outputs = inlined(nested, f"{prefix}{operation.name}_", keras.tree.flatten(args))
            else:
                if operation.name in taken:
                    operation.name = f"{prefix}{operation.name}"
                taken.add(operation.name)
                outputs = keras.tree.flatten(operation(*args, **kwargs))
            values |= zip(map(id, call.outputs), outputs, strict=True)
        return [values[id(tensor)] for tensor in graph.outputs]

    with deep_graphs():
        outputs = inlined(graph, "", graph.inputs)
        structured = keras.tree.pack_sequence_as(graph.output, outputs)
        alone = len(graph.inputs) == 1
        return keras.Model(graph.inputs[0] if alone else graph.input, structured, name=model.name)
