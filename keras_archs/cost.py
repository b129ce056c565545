"""What a network costs: parameters, multiply-adds and memory, by arithmetic over its graph.

>>> keras_archs.profile("mobilenet", alpha=0.5).macs
149497088

MACs are the multiply-adds of convolutions and dense layers, padding taps included; biases,
normalisation and activations are not counted. Every layer type has a rule; one without a rule is an
error, never a silent 0. `register` adds rules:

    @keras_archs.cost.register(MyLayer)
    def my_layer(layer, inputs, outputs):
        macs = inputs[0][-1] * math.prod(outputs[0])
        return macs, macs
"""

import contextlib
import copy
import io
import math
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from numbers import Integral
from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np
from keras import layers

# Keras has no public name for these four.
from keras.src.backend.common import global_state
from keras.src.models.functional import Functional
from keras.src.ops import numpy as operations
from rich import box
from rich.console import Console
from rich.table import Table

from keras_archs._architecture import builder as registered_builder
from keras_archs._graph import Call, calls, last_uses
from keras_archs._layers import LocalResponseNormalization

if TYPE_CHECKING:
    import pandas

Shape = tuple[int, ...]
Rule = Callable[[keras.Operation, list[Shape], list[Shape]], tuple[int, int]]

_RULES: dict[type, Rule] = {}


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
    """

    name: str
    type: str
    output_shape: tuple
    params: int
    macs: int
    ops: int
    activation_bytes: int


@dataclass(frozen=True)
class Profile:
    """The cost of a network: totals, and one row a call in the order in which Keras runs them.

    `str()` is a table, `to_dataframe()` has the rows.

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

    def to_dataframe(self) -> "pandas.DataFrame":
        """The rows as a pandas table whose columns are the fields of `LayerCost`."""
        import pandas

        columns = [field.name for field in fields(LayerCost)]
        return pandas.DataFrame([asdict(row) for row in self.rows], columns=columns)

    def __rich__(self) -> Table:
        table = Table(
            title=f"{self.name}, batch size {self.batch_size}",
            caption=f"trainable params {self.trainable_params:,}\nFLOPs {self.flops:,}\n"
            f"weights {self.weight_bytes:,} bytes\n"
            f"peak of activations {self.peak_activation_bytes:,} bytes",
            caption_justify="left",
            show_footer=True,
            box=box.SIMPLE,
        )
        table.add_column("layer", "total", no_wrap=True)
        table.add_column("type", no_wrap=True)
        table.add_column("output", no_wrap=True)
        for heading in ("params", "macs", "activation_bytes"):
            total = f"{getattr(self, heading):,}"
            table.add_column(heading.replace("_", " "), total, justify="right", no_wrap=True)
        for row in self.rows:
            counts = (f"{n:,}" for n in (row.params, row.macs, row.activation_bytes))
            table.add_row(row.name, row.type, _shape_text(row.output_shape), *counts)
        return table

    def __str__(self) -> str:
        # Wide enough for any table, which takes only what its columns need.
        console = Console(file=io.StringIO(), width=10_000, color_system=None)
        with console.capture() as text:
            console.print(self)
        return "\n".join(line.rstrip() for line in text.get().splitlines())


def _shape_text(shape: tuple) -> str:
    if any(isinstance(part, tuple) for part in shape):
        return ", ".join(_shape_text(part) for part in shape)
    return " x ".join(map(str, shape))


def profile(
    model: "keras.Model | str | Callable[..., keras.Model]", batch_size: int = 1, **kwargs
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
    if not isinstance(batch_size, Integral) or isinstance(batch_size, bool) or batch_size < 1:
        raise ValueError(
            f"`batch_size` must be an integer >= 1. Received: batch_size={batch_size!r}"
        )
    with _traceless():
        if isinstance(model, keras.Model):
            if unknown := set(kwargs) - {"input_shape"}:
                raise TypeError(
                    "profile() of a model takes `batch_size` and `input_shape`. "
                    f"Received: {', '.join(sorted(unknown))}"
                )
            return _profile(model, int(batch_size), kwargs.get("input_shape"))
        return _profile(_built(model, kwargs), int(batch_size), None)


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


@contextlib.contextmanager
def _traceless() -> Iterator[None]:
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
    a nested model has the same graph in each of its calls."""

    name: str
    operation: keras.Operation
    inputs: list[_Tensor]
    outputs: list[_Tensor]


def _profile(model: keras.Model, batch_size: int, input_shape) -> Profile:
    graph = _graph(model)
    if graph is None:
        raise ValueError(
            "`model` must be a functional keras.Model or a built Sequential. "
            f"Received: {type(model).__name__} {model.name!r}"
        )
    inputs = _inputs(graph, input_shape)
    runs, outputs = _runs(graph, inputs)
    counted: set[int] = set()
    rows = tuple(_row(run, batch_size, counted) for run in runs)
    weights = model.weights
    return Profile(
        name=model.name,
        batch_size=batch_size,
        rows=rows,
        params=_size(weights),
        trainable_params=_size(model.trainable_weights),
        macs=sum(row.macs for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
        peak_activation_bytes=batch_size * _peak(runs, inputs, outputs),
        weight_bytes=sum(_size([w]) * _item_bytes(w.dtype) for w in weights),
    )


def _graph(model) -> Functional | None:
    """The graph that a call of `model` runs through; None where only its `call` knows."""
    if type(model).call not in (Functional.call, keras.Sequential.call):
        return None
    graph = getattr(model, "_functional", model)  # a Sequential's own, None until it is built
    return graph if isinstance(graph, Functional) else None


def _inputs(graph: Functional, input_shape) -> list[_Tensor]:
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
        isinstance(side, Integral) and int(side) >= 1 and known in (None, side)
        for side, known in zip(shape, own, strict=True)
    )


def _runs(
    graph: Functional, inputs: list[_Tensor], prefix: str = ""
) -> tuple[list[_Run], list[_Tensor]]:
    """All calls that `graph` makes for these inputs, those of nested models in place, and its
    outputs."""
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
        nested = _graph(call.operation) if isinstance(call.operation, keras.Model) else None
        if nested is None:
            written = _outputs(name, call, read)
            runs.append(_Run(name, call.operation, read, written))
        else:
            inner, written = _runs(nested, read, f"{name}/")
            runs += inner
        tensors |= zip(map(id, call.outputs), written, strict=True)
    return runs, [tensors[id(tensor)] for tensor in graph.outputs]


def _outputs(name: str, call: Call, read: list[_Tensor]) -> list[_Tensor]:
    """What the call writes for these inputs: as recorded, else inferred without values."""
    as_recorded = all(
        tensor.shape == recorded.shape[1:]
        for tensor, recorded in zip(read, call.inputs, strict=True)
    )
    written = call.outputs
    if not as_recorded:
        symbols = [keras.KerasTensor((None, *tensor.shape), tensor.dtype) for tensor in read]
        by_id = dict(zip(map(id, call.inputs), symbols, strict=True))
        args, kwargs = call.arguments.fill_in(by_id)
        written = keras.tree.flatten(call.operation.compute_output_spec(*args, **kwargs))
    if unknown := [tensor.shape for tensor in written if None in tensor.shape[1:]]:
        raise ValueError(
            f"`model` must have outputs of known size: layer `{name}` has none. "
            f"Received: {unknown[0]}"
        )
    return [_Tensor(tensor.shape[1:], tensor.dtype) for tensor in written]


def _row(run: _Run, batch_size: int, counted: set[int]) -> LayerCost:
    """`counted` holds the ids of the weights that earlier rows have, and is added to."""
    operation = run.operation
    shapes = tuple(tensor.shape for tensor in run.outputs)
    macs, ops = _rule(run)(operation, [tensor.shape for tensor in run.inputs], list(shapes))
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
    )


def _peak(runs: list[_Run], inputs: list[_Tensor], outputs: list[_Tensor]) -> int:
    """Bytes of the largest set of activations that live at once, for one sample."""
    until = last_uses(runs) | {id(tensor): len(runs) for tensor in outputs}
    live = set(inputs)
    size = peak = sum(tensor.bytes for tensor in live)
    for at, run in enumerate(runs):
        born = set(run.outputs) - live
        live |= born
        size += sum(tensor.bytes for tensor in born)
        peak = max(peak, size)
        dead = {t for t in (*run.inputs, *run.outputs) if until.get(id(t), at) <= at}
        live -= dead
        size -= sum(tensor.bytes for tensor in dead)
    return peak


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


# ------------------------------------------------------------------------------------------- rules


def register(*types: type) -> Callable[[Rule], Rule]:
    """Decorate a rule for layers (or operations) of these classes.

    A rule maps the layer, the shapes of its inputs and the shapes of its outputs to `(macs, ops)`
    of one sample; the shapes leave out the batch. It holds for subclasses that keep the `call` of
    the class as well. A later rule for a class replaces an earlier one.
    """
    for kind in types:
        if not (isinstance(kind, type) and issubclass(kind, keras.Operation)):
            raise TypeError(f"`types` must be classes of layers. Received: {kind!r}")

    def decorate(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(types, rule))
        return rule

    return decorate


def _rule(run: _Run) -> Rule:
    kind = type(run.operation)
    known = next((parent for parent in kind.__mro__ if parent in _RULES), None)
    # A subclass that computes something else would inherit a rule that is wrong for it.
    if known is None or kind.call is not known.call:
        raise ValueError(
            "`model` must have layers with a rule for their cost: write one and decorate it with "
            f"@keras_archs.cost.register({kind.__name__}). "
            f"Received: layer {run.name!r} of type {kind.__name__}"
        )
    return _RULES[known]


def _channels(layer, shape: Shape) -> int:
    return shape[0] if layer.data_format == "channels_first" else shape[-1]


@register(layers.Conv1D, layers.Conv2D, layers.Conv3D)
def _convolution(layer, inputs, outputs):
    taps = math.prod(layer.kernel_size) * _channels(layer, inputs[0]) // layer.groups
    macs = taps * math.prod(outputs[0])
    return macs, macs


@register(layers.DepthwiseConv1D, layers.DepthwiseConv2D)
def _depthwise(layer, inputs, outputs):
    macs = math.prod(layer.kernel_size) * math.prod(outputs[0])
    return macs, macs


@register(layers.SeparableConv1D, layers.SeparableConv2D)
def _separable(layer, inputs, outputs):
    positions = math.prod(outputs[0]) // layer.filters
    hidden = _channels(layer, inputs[0]) * layer.depth_multiplier
    macs = positions * hidden * (math.prod(layer.kernel_size) + layer.filters)
    return macs, macs


@register(layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
def _transposed(layer, inputs, outputs):
    macs = math.prod(inputs[0]) * math.prod(layer.kernel_size) * layer.filters
    return macs, macs


@register(layers.Dense)
def _dense(layer, inputs, outputs):
    macs = inputs[0][-1] * math.prod(outputs[0])
    return macs, macs


@register(
    *(layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D),
    *(layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D),
)
def _pooling(layer, inputs, outputs):
    return 0, math.prod(layer.pool_size) * math.prod(outputs[0])


@register(layers.AdaptiveAveragePooling2D, layers.AdaptiveMaxPooling2D)
def _adaptive_pooling(layer, inputs, outputs):
    """Windows from floor(i * side / new) to ceil((i + 1) * side / new), which may overlap."""
    sides = zip(inputs[0], outputs[0], strict=True)
    return 0, math.prod(
        sum(-(-(at + 1) * side // new) - at * side // new for at in range(new))
        for side, new in sides
    )


@register(
    *(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D),
    *(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D),
)
def _global_pooling(layer, inputs, outputs):
    return 0, math.prod(inputs[0])


@register(
    *(layers.InputLayer, layers.Identity, layers.ActivityRegularization),
    *(layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Softmax),
    *(layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization),
    *(layers.RMSNormalization, layers.UnitNormalization),
    *(layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D),
    *(layers.AlphaDropout, layers.GaussianDropout, layers.GaussianNoise),
    *(layers.Flatten, layers.Reshape, layers.Permute, layers.RepeatVector),
    *(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D),
    *(layers.Cropping1D, layers.Cropping2D, layers.Cropping3D),
    *(layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D),
    *(layers.Concatenate, layers.Add, layers.Subtract, layers.Multiply, layers.Average),
    *(layers.Maximum, layers.Minimum),
    LocalResponseNormalization,
    *(layers.Rescaling, layers.Normalization, layers.Resizing, layers.CenterCrop),
    *(layers.RandomFlip, layers.RandomCrop, layers.RandomTranslation, layers.RandomRotation),
    *(layers.RandomZoom, layers.RandomContrast, layers.RandomBrightness),
    # what `a + b`, `2 * a` and keras.ops make of tensors
    *(operations.Add, operations.Subtract, operations.Multiply, operations.Divide),
    *(operations.TrueDivide, operations.Maximum, operations.Minimum),
)
def _nothing(layer, inputs, outputs):
    return 0, 0
