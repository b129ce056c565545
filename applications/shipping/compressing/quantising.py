"""Training with weights and activations rounded as int8 will round them.

Jacob et al. 2018, arXiv:1712.05877, section 3: what a layer reads and its kernel are rounded on the
way forward, while gradients pass as if they were not; ranges of activations are moving averages of
what batches have. Departures: a kernel has a grid for each output channel, symmetric about 0, as
LiteRT's and ONNX Runtime's converters have it today; activations are rounded from the first step
on, as the network is trained already; and BatchNormalization is not folded first (section 3.2). It
multiplies a channel of the kernel by a number, and so that channel's grid: what is rounded before
is on the grid afterwards.
"""

from typing import Any

import keras
from keras import layers, ops

from keras_archs.graph import Call, calls
from keras_archs.kinds import (
    ADDITIONS,
    DEPTHWISE,
    ELEMENTWISE_ACTIVATIONS,
    GLOBAL_AVERAGE_POOLS,
    MERGES,
    TRANSPOSED,
    WITH_KERNEL,
    mixes_channels,
    relu_bound,
)

_LARGEST = 127  # the code of a channel's largest weight
_STEPS = 255  # between the least and the largest activation
_FORGOTTEN = 0.01  # of the ranges, a batch
# Whose outputs are numbers of a range of their own; all others hand on what they read.
_MAKES = (
    *(*WITH_KERNEL, layers.BatchNormalization, *MERGES, *ADDITIONS, *ELEMENTWISE_ACTIVATIONS),
    *(*GLOBAL_AVERAGE_POOLS, layers.Rescaling, layers.Normalization),
)


def quantised_learner(network: keras.Model) -> keras.Model:
    """A model of the network's own layers that computes with rounded kernels and activations.

    Rounded are the kernels, and activations where int8 has them: behind the BatchNormalization and
    the ReLU that are computed with a convolution. The images are whole numbers already, and the
    network's outputs stay as they are.

    Args:
        network: a functional model.
    """
    observed = _observed(network)
    kernels: dict[str, Any] = {
        layer.name: RoundedKernel(layer)
        for layer in network.layers
        if isinstance(layer, WITH_KERNEL)
    }
    activations = {name: RoundedActivations(name=f"{name}_int8") for name in observed}

    def call(operation, *args, **kwargs):
        outputs = kernels.get(operation.name, operation)(*args, **kwargs)
        follows = activations.get(operation.name)
        return outputs if follows is None else follows(outputs)

    return keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=call)


def put_on_grid(network: keras.Model) -> None:
    """Round the kernels for good, to what training computed with."""
    for layer in network.layers:
        for variable in layer.weights if isinstance(layer, WITH_KERNEL) else ():
            if _is_kernel(variable):
                variable.assign(on_grid(variable.value, _axes(layer, variable)))


def on_grid(kernel: Any, axes: tuple[int, ...]) -> Any:
    """The nearest of 255 evenly spaced weights, 0 in their middle, for each output channel.

    Args:
        kernel: a tensor.
        axes: all but those of the output channels.
    """
    largest: Any = ops.max(ops.abs(kernel), axis=axes, keepdims=True)
    step: Any = ops.where(largest > 0, largest / _LARGEST, 1.0)
    codes: Any = ops.round(kernel / step)
    return codes * step


class RoundedKernel(layers.Wrapper):
    """A layer that computes with its kernels on the grid and learns as if they were not."""

    def __init__(self, layer: Any):
        # In float32: what is rounded are the variables, not what half precision makes of them.
        super().__init__(layer, name=f"{layer.name}_on_grid", dtype="float32")

    def call(self, inputs, **options):
        layer: Any = self.layer
        groups = layer.trainable_variables, layer.non_trainable_variables
        values = ([self._value(variable) for variable in group] for group in groups)
        outputs, _ = layer.stateless_call(*values, inputs, **options)
        return outputs

    def _value(self, variable: Any) -> Any:
        value = variable.value
        if not _is_kernel(variable):
            return value
        return value + ops.stop_gradient(on_grid(value, _axes(self.layer, variable)) - value)


class RoundedActivations(layers.Layer):
    """Rounds to 256 evenly spaced numbers, one of them 0, of the range that batches had."""

    def __init__(self, **options: Any):
        super().__init__(dtype="float32", **options)

    def build(self, input_shape):
        self.low, self.high, self.batches = (
            self.add_weight(name=name, shape=(), initializer="zeros", trainable=False)
            for name in ("low", "high", "batches")
        )

    def call(self, inputs, training=False):
        if training:
            self._observe(ops.stop_gradient(inputs))
        low: Any = ops.minimum(self.low, 0.0)
        span: Any = ops.maximum(self.high, 0.0) - low
        step: Any = ops.where(span > 0, span / _STEPS, 1.0)
        zero: Any = ops.round(-low / step)
        held: Any = ops.clip(inputs, -zero * step, (_STEPS - zero) * step)
        codes: Any = ops.round(held / step)
        return held + ops.stop_gradient(codes * step - held)

    def _observe(self, batch):
        batches: Any = self.batches + 1.0
        rate: Any = ops.maximum(_FORGOTTEN, 1.0 / batches)  # the first batch is all that is known
        bounds: Any = (self.low, ops.min(batch)), (self.high, ops.max(batch))
        for bound, found in bounds:
            bound.assign(bound + rate * (found - bound))
        self.batches.assign(batches)


def _is_kernel(variable: Any) -> bool:
    return variable.name.endswith("kernel")


def _axes(layer: Any, variable: Any) -> tuple[int, ...]:
    """The axes of a kernel but for those of the channels that it makes."""
    rank = len(variable.shape)
    if isinstance(layer, DEPTHWISE) or variable.name == "depthwise_kernel":
        made = {rank - 2, rank - 1}
    else:
        made = {rank - 2 if isinstance(layer, TRANSPOSED) else rank - 1}
    return tuple(axis for axis in range(rank) if axis not in made)


def _observed(network: keras.Model) -> set[str]:
    """Names of the operations whose outputs int8 rounds."""
    order = calls(network)
    outputs = {id(tensor) for tensor in keras.tree.flatten(network.output)}
    found = set()
    for call in order:
        if not isinstance(call.operation, _MAKES) or mixes_channels(call.operation):
            continue
        (made,) = call.outputs
        readers = [other for other in order if any(made is tensor for tensor in other.inputs)]
        joined = len(readers) == 1 and _joins(call, readers[0])
        if id(made) not in outputs and not joined:
            found.add(call.operation.name)
    return found


def _joins(call: Call, reader: Call) -> bool:
    """Whether int8 computes both as one."""
    operation: Any = call.operation
    if isinstance(reader.operation, layers.BatchNormalization):
        linear = getattr(operation, "activation", None) in (None, keras.activations.linear)
        return isinstance(operation, WITH_KERNEL) and linear
    is_activation = isinstance(reader.operation, ELEMENTWISE_ACTIVATIONS)
    return is_activation and relu_bound(reader.operation) is not None
