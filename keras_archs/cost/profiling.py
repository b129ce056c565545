"""What a network costs: parameters, multiply-adds and memory, by arithmetic over its graph.

>>> keras_archs.profile("mobilenet", alpha=0.5).macs
149497088

MACs are the multiply-adds of convolutions and dense layers, padding taps included, and of the
matrix products of attention and recurrent layers; biases, normalisation and activations are not
counted. Every layer type has a rule; one without a rule is an error, never a silent 0. `register`
adds rules:

    @keras_archs.cost.register(MyLayer)
    def my_layer(layer, inputs, outputs):
        macs = inputs[0][-1] * math.prod(outputs[0])
        return macs, macs
"""

import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import keras

from keras_archs.checks import count as count_of
from keras_archs.checks import is_count
from keras_archs.cost import tables
from keras_archs.cost.rules import Shape, count, register
from keras_archs.graph import Call, Graph, calls, graph_of, without_values
from keras_archs.kinds import GLOBAL_POOLS, PADDINGS, TRANSPOSED, UPSAMPLINGS
from keras_archs.memory import Step, live_bytes
from keras_archs.registry import builder as registered_builder

if TYPE_CHECKING:
    import pandas
    from rich.table import Table

__all__ = ["Comparison", "LayerCost", "Profile", "StageCost", "profile", "register"]

HEAD = "head"


@dataclass(frozen=True)
class LayerCost:
    """One call of a layer or operation.

    Attributes:
        name: of the layer; `outer/inner` inside a nested model.
        type: of the layer: the name of its class.
        output_shape: of one sample, without the batch: `(height, width, channels)`; a tuple of such
            shapes where the layer has several outputs.
        params: scalars in the layer's weights, BatchNormalization's statistics included and states
            of random generators not. 0 in the second and later calls of a shared layer.
        macs: multiply-adds of this call, for the whole batch.
        ops: the MACs, or the comparisons or additions of a pooling layer, for the whole batch.
        activation_bytes: size of the outputs in the dtype in which they are computed, for the whole
            batch.
        stage: `"stride 4"`: the total stride of the map that is written, along its height; a branch
            that weighs the channels of a map belongs to that map's stage. `"head"`: what comes
            after the last map, from the global pooling or flattening on.
    """

    name: str
    type: str
    output_shape: tuple[Any, ...]
    params: int
    macs: int
    ops: int
    activation_bytes: int
    stage: str


@dataclass(frozen=True)
class StageCost:
    """All calls of one stage.

    Attributes:
        name: as `LayerCost.stage` has it.
        output_shape: of the stage's last call that is no padding for the next stage.
        calls: how many there are.
        params, macs, ops, activation_bytes: sums over them.
    """

    name: str
    output_shape: tuple[Any, ...]
    calls: int
    params: int
    macs: int
    ops: int
    activation_bytes: int


@dataclass(frozen=True)
class Profile:
    """The cost of a network: totals, and one row a call in the order in which Keras runs them.

    `str()` is a table with subtotals, `to_dataframe()` has the rows, `stages` the subtotals.

    Attributes:
        name: of the model.
        batch_size: images in the batch that MACs, ops and activations are counted for.
        rows: one `LayerCost` a call; the input is a row too.
        params: scalars in all weights, as `model.count_params()`.
        trainable_params: those that training changes.
        macs: sum over the rows.
        activation_bytes: sum over the rows.
        peak_activation_bytes: the largest set of activations that live at once. A call's inputs and
            outputs live together, nothing is computed in place, an activation dies after its last
            use, and the model's outputs live to the end.
        weight_bytes: size of the weights in the dtype in which they are stored.
    """

    name: str
    batch_size: int
    rows: tuple[LayerCost, ...]
    params: int
    trainable_params: int
    macs: int
    activation_bytes: int
    peak_activation_bytes: int
    weight_bytes: int

    @property
    def flops(self) -> int:
        """Floating-point operations: two a MAC."""
        return 2 * self.macs

    @property
    def ops(self) -> int:
        """The MACs, and the comparisons and additions of pooling layers."""
        return sum(row.ops for row in self.rows)

    @property
    def stages(self) -> tuple[StageCost, ...]:
        """Subtotals, in the order in which the stages begin; the head is the last."""
        members: dict[str, list[LayerCost]] = {}
        for row in self.rows:
            members.setdefault(row.stage, []).append(row)
        return tuple(_subtotals(name, members[name]) for name in sorted(members, key=HEAD.__eq__))

    def to_dataframe(self, stages: bool = False) -> "pandas.DataFrame":
        """The rows as a pandas table whose columns are the fields of `LayerCost`.

        Args:
            stages: the subtotals instead: the fields of `StageCost` and, for params, MACs and
                activation bytes, their share of the total in per cent.
        """
        import pandas

        kind, rows = (StageCost, self.stages) if stages else (LayerCost, self.rows)
        columns = [field.name for field in fields(kind)]
        frame = pandas.DataFrame([asdict(row) for row in rows], columns=columns)
        if stages:
            for quantity in tables.SHARED:
                total = getattr(self, quantity)
                shares = [tables.percent(part, total) for part in frame[quantity]]
                frame[f"{quantity}_percent"] = shares
        return frame

    def compare(self, other: "Profile") -> "Comparison":
        """This network's cost beside another's."""
        return Comparison(self, other)

    def as_text(self, layers: bool = True) -> str:
        """The table that `str()` is; without `layers`, of the stages alone."""
        return tables.as_text(tables.profile_table(self, layers))

    def __rich__(self) -> "Table":
        return tables.profile_table(self, layers=True)

    def __str__(self) -> str:
        return self.as_text()


@dataclass(frozen=True)
class Comparison:
    """What two networks cost, in total and stage by stage.

    `str()` is a table, `to_dataframe()` has its rows.
    """

    first: Profile
    second: Profile

    def to_dataframe(self) -> "pandas.DataFrame":
        """One row a stage and quantity: `stage, quantity, first, second, ratio`.

        The stage of the totals is `"total"`. `ratio` is second to first, NaN where the first is 0.
        """
        import pandas

        both = self.first, self.second
        rows = [("total", name, *(getattr(p, name) for p in both)) for name in _TOTALS]
        parts = [{stage.name: stage for stage in p.stages} for p in both]
        for stage in sorted(parts[0] | parts[1], key=_in_order):
            for name in _SUBTOTALS:
                counts = (getattr(part.get(stage), name, 0) for part in parts)
                rows.append((stage, name, *counts))
        frame = pandas.DataFrame(rows, columns=["stage", "quantity", "first", "second"])
        frame["ratio"] = [b / a if a else math.nan for _, _, a, b in rows]
        return frame

    def __rich__(self) -> "Table":
        return tables.comparison_table(self)

    def __str__(self) -> str:
        return tables.as_text(self.__rich__())


_PADDINGS = {kind.__name__ for kind in PADDINGS}
_SUBTOTALS = ("params", "macs", "ops", "activation_bytes")
_TOTALS = (
    *("params", "trainable_params", "macs", "ops"),
    *("activation_bytes", "peak_activation_bytes", "weight_bytes"),
)


def _subtotals(name: str, rows: list[LayerCost]) -> StageCost:
    unpadded = [row for row in rows if row.type not in _PADDINGS]
    sums = {quantity: sum(getattr(row, quantity) for row in rows) for quantity in _SUBTOTALS}
    return StageCost(name, (unpadded or rows)[-1].output_shape, len(rows), **sums)


def _in_order(stage: str) -> float:
    return math.inf if stage == HEAD else float(stage.removeprefix("stride "))


def profile(
    model: "keras.Model | str | Callable[..., keras.Model]", batch_size: int = 1, **kwargs: Any
) -> Profile:
    """Count what a model, or the model that a builder would make, costs.

    A builder's model is never given values: nothing is allocated, now or later, and the random
    state and Keras' automatic names are as if it had not been built.

    Args:
        model: a functional or built sequential `keras.Model`, a name of `list_archs()`, or a
            function that builds a model.
        batch_size: images in a batch, >= 1. Multiplies MACs, ops and activations.
        **kwargs: of the builder. `weights` must be None. For a model, `input_shape` alone:
            `(height, width, channels)` without the batch, a list of those where the model has
            several inputs. It fills in sides that are None.

    Raises:
        ValueError: a layer's type has no rule; a side of the input is None or contradicts
            `input_shape`; the model is not functional; an argument is out of its range.
        TypeError: `model` is none of the three, or an unknown keyword.
    """
    batch_size = count_of("batch_size", batch_size)
    with without_values():
        network, input_shape = network_of(model, kwargs)
        return _profile(network, input_shape, batch_size)


def network_of(
    model: "keras.Model | str | Callable[..., keras.Model]", kwargs: dict
) -> tuple[keras.Model, Any]:
    """The model, or that of a builder, and the input shape that it is to be counted at.

    Args:
        model, kwargs: as of `profile`, whose errors it raises.
    """
    if not isinstance(model, keras.Model):
        return _built(model, kwargs), None
    if unknown := set(kwargs) - {"input_shape"}:
        raise TypeError(
            "the cost of a model takes no keyword of a builder but `input_shape`. "
            f"Received: {', '.join(sorted(unknown))}"
        )
    return model, kwargs.get("input_shape")


def _built(builder, kwargs) -> keras.Model:
    build = registered_builder(builder) if isinstance(builder, str) else builder
    if not callable(build) or isinstance(build, keras.Operation):
        raise TypeError(
            "`model` must be a keras.Model, the name of an architecture or a builder. "
            f"Received: model={builder!r}"
        )
    if kwargs.get("weights") is not None:
        raise ValueError(
            "`weights` must be None for a profile: it builds a network without values. "
            f"Received: weights={kwargs['weights']!r}"
        )
    model = build(**kwargs)
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must build a keras.Model. Received: it built {model!r}")
    return model


# -------------------------------------------------------------------------------- counting a graph


@dataclass(eq=False)
class _Tensor:
    """An activation of one sample."""

    shape: Shape
    dtype: str

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * _item_bytes(self.dtype)


class _Run(NamedTuple):
    """One call with what it reads and writes. Unlike a `Call`'s, no tensor stands for two values:
    a nested model has the same graph in each of its calls. `lead` are the first axes of these
    tensors that the operation does not see: the steps of a TimeDistributed around it."""

    name: str
    operation: keras.Operation
    inputs: list[_Tensor]
    outputs: list[_Tensor]
    lead: Shape = ()

    def seen(self, tensor: _Tensor) -> Shape:
        """The shape of one of its tensors as the operation sees it."""
        return tensor.shape[len(self.lead) :]


class Trace(NamedTuple):
    """The calls of a network in the order in which Keras runs them, those of nested models in
    place, and what goes in and comes out."""

    inputs: list[_Tensor]
    runs: list[_Run]
    outputs: list[_Tensor]


def trace(model: keras.Model, input_shape) -> Trace:
    """What a model runs for one sample.

    Args:
        input_shape: as `profile` takes it.

    Raises:
        ValueError: the model is not functional, or `input_shape` does not fit it.
    """
    graph = graph_of(model)
    if graph is None:
        raise ValueError(
            "`model` must be a functional keras.Model or a built Sequential. "
            f"Received: {type(model).__name__} {model.name!r}"
        )
    inputs = _inputs(graph, input_shape)
    return Trace(inputs, *_runs(graph, inputs))


def _profile(model: keras.Model, input_shape, batch_size: int) -> Profile:
    inputs, runs, outputs = trace(model, input_shape)
    counted: set[int] = set()
    rows = tuple(
        _row(run, stage, batch_size, counted)
        for run, stage in zip(runs, _stages(runs), strict=True)
    )
    weights = model.weights
    return Profile(
        name=model.name,
        batch_size=batch_size,
        rows=rows,
        params=_size(weights),
        trainable_params=_size(model.trainable_weights),
        macs=sum(row.macs for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
        peak_activation_bytes=batch_size * _peak(inputs, runs, outputs),
        weight_bytes=sum(_size([w]) * _item_bytes(w.dtype) for w in weights),
    )


def runs_of(graph: Graph, input_shape) -> list[_Run]:
    """The calls of a graph in the order in which Keras runs them, those of nested models in place.

    Args:
        input_shape: as `profile` takes it.
    """
    with without_values():
        runs, _ = _runs(graph, _inputs(graph, input_shape))
    return runs


def _inputs(graph: Graph, input_shape) -> list[_Tensor]:
    own = [tensor.shape[1:] for tensor in graph.inputs]
    if input_shape is None:
        shapes = own
    else:
        shapes = [input_shape] if len(own) == 1 else input_shape
    try:
        shapes = [tuple(shape) for shape in shapes]
    except TypeError:
        shapes = []
    if len(shapes) != len(own) or not all(map(_fits, shapes, own)):
        text = str(own[0] if len(own) == 1 else own)
        raise ValueError(
            f"`input_shape` must give all sides of the model's input {text}. "
            f"Received: input_shape={input_shape!r}"
        )
    return [
        _Tensor(tuple(map(int, shape)), tensor.dtype)
        for shape, tensor in zip(shapes, graph.inputs, strict=True)
    ]


def _fits(shape: tuple, own: tuple) -> bool:
    return len(shape) == len(own) and all(
        is_count(side) and known in (None, side) for side, known in zip(shape, own, strict=True)
    )


def _runs(
    graph: Graph, inputs: list[_Tensor], prefix: str = "", lead: Shape = ()
) -> tuple[list[_Run], list[_Tensor]]:
    """All calls that `graph` makes for these inputs, those of nested models in place, and its
    outputs. `lead` as of `_Run`."""
    runs = []
    tensors = dict(zip(map(id, graph.inputs), inputs, strict=True))
    for call in calls(graph):
        name = f"{prefix}{call.operation.name}"
        read = [tensors[id(tensor)] for tensor in call.inputs]
        if not read:  # an input; a nested model's is a tensor of the outer one
            if not prefix:
                written = [tensors[id(tensor)] for tensor in call.outputs]
                runs.append(_Run(name, call.operation, read, written))
            continue
        nested, steps = graph_of(call.operation), ()
        if isinstance(call.operation, keras.layers.TimeDistributed):
            nested = graph_of(call.operation.layer)
            steps = read[0].shape[len(lead) : len(lead) + 1]
        if nested is None:
            written = _outputs(name, call, read, lead)
            runs.append(_Run(name, call.operation, read, written, lead))
        else:
            inner, written = _runs(nested, read, f"{name}/", (*lead, *steps))
            runs += inner
        tensors |= zip(map(id, call.outputs), written, strict=True)
    return runs, [tensors[id(tensor)] for tensor in graph.outputs]


def _outputs(name: str, call: Call, read: list[_Tensor], lead: Shape) -> list[_Tensor]:
    """What the call writes for these inputs: as recorded, else inferred without values."""
    seen = [tensor.shape[len(lead) :] for tensor in read]
    as_recorded = all(
        shape == recorded.shape[1:] for shape, recorded in zip(seen, call.inputs, strict=True)
    )
    written = call.outputs
    if not as_recorded:
        symbols = [
            keras.KerasTensor((None, *shape), tensor.dtype)
            for shape, tensor in zip(seen, read, strict=True)
        ]
        by_id = dict(zip(map(id, call.inputs), symbols, strict=True))
        args, kwargs = call.arguments.fill_in(by_id)
        written = keras.tree.flatten(call.operation.compute_output_spec(*args, **kwargs))
    if unknown := [tensor.shape for tensor in written if None in tensor.shape[1:]]:
        raise ValueError(
            f"`model` must have outputs of known size: layer `{name}` has none. "
            f"Received: {unknown[0]}"
        )
    return [_Tensor((*lead, *tensor.shape[1:]), tensor.dtype) for tensor in written]


def _stages(runs: list[_Run]) -> list[str]:
    """The stage of each call."""
    strides: dict[int, float] = {}
    pooled: set[int] = set()  # tensors without a map of their own
    for run in runs:
        stride = max((strides[id(tensor)] for tensor in run.inputs), default=1) * _stride(run)
        strides |= {id(tensor): stride for tensor in run.outputs}
        if _pools(run) or (run.inputs and pooled.issuperset(map(id, run.inputs))):
            pooled |= {id(tensor) for tensor in run.outputs if _is_one_place(run.seen(tensor))}
    of_maps: set[int] = set()  # tensors that a map is made from
    stages = []
    for run in reversed(runs):
        written = {id(tensor) for tensor in run.outputs}
        if written <= pooled - of_maps:
            stages.append(HEAD)
        else:
            of_maps.update(map(id, run.inputs))
            stages.append(f"stride {strides[id(run.outputs[0])]:g}")
    return stages[::-1]


def _stride(run: _Run) -> float:
    """By how much the call divides the height of a map."""
    operation = run.operation
    sides = getattr(operation, "size" if isinstance(operation, UPSAMPLINGS) else "strides", 1)
    first = sides if isinstance(sides, int) else sides[0]
    return 1 / first if isinstance(operation, (*UPSAMPLINGS, *TRANSPOSED)) else first


def _pools(run: _Run) -> bool:
    """Whether the call puts a vector in the place of a map."""
    flat = all(len(run.seen(tensor)) < 2 for tensor in run.outputs)
    return flat or isinstance(run.operation, GLOBAL_POOLS)


def _is_one_place(shape: Shape) -> bool:
    return math.prod(shape) == max(shape, default=1)


def _row(run: _Run, stage: str, batch_size: int, counted: set[int]) -> LayerCost:
    """`counted` holds the ids of the weights that earlier rows have, and is added to."""
    operation = run.operation
    shapes = tuple(tensor.shape for tensor in run.outputs)
    seen = [[run.seen(tensor) for tensor in tensors] for tensors in (run.inputs, run.outputs)]
    macs, ops = (math.prod(run.lead) * n for n in count(run.name, operation, *seen))
    weights = [w for w in getattr(operation, "weights", ()) if id(w) not in counted]
    counted.update(map(id, weights))
    return LayerCost(
        name=run.name,
        type=type(operation).__name__,
        output_shape=shapes[0] if len(shapes) == 1 else shapes,
        params=_size(weights),
        macs=batch_size * macs,
        ops=batch_size * ops,
        activation_bytes=batch_size * sum(tensor.bytes for tensor in run.outputs),
        stage=stage,
    )


def _peak(inputs: list[_Tensor], runs: list[_Run], outputs: list[_Tensor]) -> int:
    """Bytes of the largest set of activations that live at once, for one sample."""
    tensors = (*inputs, *(tensor for run in runs for tensor in run.outputs))
    sizes = {id(tensor): tensor.bytes for tensor in tensors}
    names = [[id(tensor) for tensor in ends] for ends in (inputs, outputs)]
    steps = [Step([id(t) for t in run.inputs], [id(t) for t in run.outputs]) for run in runs]
    return live_bytes(sizes, names[0], steps, names[1])


def _size(weights) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def _item_bytes(dtype: str) -> int:
    """Of a Keras dtype, which names its bits: `float32`, `bfloat16`, `float8_e4m3fn`; or `bool`."""
    if dtype == "bool":
        return 1
    bits = re.match(r"[a-z]+(\d+)", dtype)
    if bits is None:
        raise ValueError(f"`dtype` must be a numeric type. Received: dtype={dtype!r}")
    return math.ceil(int(bits[1]) / 8)
