"""How many multiply-adds a call of a layer takes: one rule a layer type.

A rule maps the layer, the shapes of its inputs and the shapes of its outputs to `(macs, ops)` of
one sample. Augmentation and dropout count as in inference, where they do nothing.
"""

import math
from collections.abc import Callable

import keras
from keras import layers

# Keras has no public names for these.
from keras.src.applications.convnext import LayerScale, StochasticDepth
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer
from keras.src.ops import core, nn
from keras.src.ops import numpy as operations

from keras_archs.kinds import (
    ACTIVATIONS,
    ADAPTIVE_POOLS,
    CONVOLUTIONS,
    CROPPINGS,
    DEPTHWISE,
    GLOBAL_POOLS,
    MERGES,
    ONLY_IN_TRAINING,
    PADDINGS,
    POOLS,
    SEPARABLE,
    TRANSPOSED,
    UPSAMPLINGS,
)
from keras_archs.normalization import LocalResponseNormalization

Shape = tuple[int, ...]
Rule = Callable[[keras.Operation, list[Shape], list[Shape]], tuple[int, int]]

RULES: dict[type, Rule] = {}


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
        RULES.update(dict.fromkeys(types, rule))
        return rule

    return decorate


def count(
    name: str, operation: keras.Operation, inputs: list[Shape], outputs: list[Shape]
) -> tuple[int, int]:
    """`(macs, ops)` of one call for one sample.

    Raises:
        ValueError: there is no rule for it; the message says `name` and the type.
    """
    kind = type(operation)
    known = next((parent for parent in kind.__mro__ if parent in RULES), None)
    # A subclass that computes something else would inherit a rule that is wrong for it.
    if known is None or kind.call is not known.call:
        raise ValueError(
            "`model` must have layers with a rule for their cost: write one and decorate it with "
            f"@keras_archs.cost.register({kind.__name__}). "
            f"Received: layer {name!r} of type {kind.__name__}"
        )
    return RULES[known](operation, inputs, outputs)


def _channels(layer, shape: Shape) -> int:
    return shape[0] if layer.data_format == "channels_first" else shape[-1]


@register(*CONVOLUTIONS)
def _convolution(layer, inputs, outputs):
    taps = math.prod(layer.kernel_size) * _channels(layer, inputs[0]) // layer.groups
    macs = taps * math.prod(outputs[0])
    return macs, macs


@register(*DEPTHWISE)
def _depthwise(layer, inputs, outputs):
    macs = math.prod(layer.kernel_size) * math.prod(outputs[0])
    return macs, macs


@register(*SEPARABLE)
def _separable(layer, inputs, outputs):
    positions = math.prod(outputs[0]) // layer.filters
    hidden = _channels(layer, inputs[0]) * layer.depth_multiplier
    macs = positions * hidden * (math.prod(layer.kernel_size) + layer.filters)
    return macs, macs


@register(*TRANSPOSED)
def _transposed(layer, inputs, outputs):
    macs = math.prod(inputs[0]) * math.prod(layer.kernel_size) * layer.filters
    return macs, macs


@register(layers.Dense)
def _dense(layer, inputs, outputs):
    macs = inputs[0][-1] * math.prod(outputs[0])
    return macs, macs


@register(layers.EinsumDense)
def _einsum_dense(layer, inputs, outputs):
    """An output value sums over the sides of the input whose letters the result lacks."""
    left, right = layer.equation.split("->")
    letters, sides = left.partition(",")[0], (1, *inputs[0])
    if letters.startswith("..."):
        letters, sides = letters[:2:-1], sides[::-1]
    pairs = zip(letters.removesuffix("..."), sides, strict=False)  # the dots stand for the rest
    macs = math.prod(side for letter, side in pairs if letter not in right) * math.prod(outputs[0])
    return macs, macs


@register(layers.MultiHeadAttention)
def _multi_head_attention(layer, inputs, outputs):
    attended = math.prod(inputs[1][axis - 1] for axis in layer._attention_axes)
    sizes = layer.num_heads * (layer.key_dim + layer.value_dim)
    return _projected_attention(layer, inputs, attended * sizes)


@register(layers.GroupQueryAttention)
def _grouped_query_attention(layer, inputs, outputs):
    sizes = layer.num_query_heads * 2 * layer.head_dim
    return _projected_attention(layer, inputs, inputs[1][0] * sizes)


def _projected_attention(layer, inputs, a_query):
    """`a_query`: what scores and weighted values take for one position of the query."""
    queries, keys = (math.prod(shape[:-1]) for shape in inputs[:2])
    per_query = (layer._query_dense, getattr(layer, "_gate_dense", None), layer._output_dense)
    per_key = (layer._key_dense, layer._value_dense)
    macs = queries * (_kernel_sizes(per_query) + a_query) + keys * _kernel_sizes(per_key)
    return macs, macs


def _kernel_sizes(denses) -> int:
    return sum(math.prod(dense.kernel.shape) for dense in denses if dense is not None)


@register(layers.Attention)
def _attention(layer, inputs, outputs):
    query, value, key = *inputs[:2], inputs[-1]
    scores = query[0] * key[0] * (query[1] if layer.score_mode == "dot" else 0)
    macs = scores + query[0] * math.prod(value)
    return macs, macs


@register(layers.AdditiveAttention)
def _additive_attention(layer, inputs, outputs):
    """The scores are sums of activations: the weighted values are the one matrix product."""
    macs = inputs[0][0] * math.prod(inputs[1])
    return macs, macs


@register(layers.Dot)
def _dot(layer, inputs, outputs):
    axis = layer.axes if isinstance(layer.axes, int) else layer.axes[0]
    macs = math.prod(outputs[0]) * (1, *inputs[0])[axis]
    return macs, macs


@register(operations.Matmul)
def _matrix_product(operation, inputs, outputs):
    if len(inputs) != 2:
        raise ValueError(
            "`model` must multiply two tensors, or use a dense layer: the cost of a product with "
            f"an array is not known. Received: operation {operation.name!r}"
        )
    macs = inputs[0][-1] * math.prod(outputs[0])
    return macs, macs


@register(layers.SimpleRNN, layers.GRU, layers.LSTM)
def _recurrent(layer, inputs, outputs):
    kernels = layer.cell.kernel, layer.cell.recurrent_kernel
    macs = inputs[0][0] * sum(math.prod(kernel.shape) for kernel in kernels)
    return macs, macs


@register(layers.Bidirectional)
def _bidirectional(layer, inputs, outputs):
    both = (layer.forward_layer, layer.backward_layer)
    counts = [count(one.name, one, inputs, outputs) for one in both]
    return sum(macs for macs, _ in counts), sum(ops for _, ops in counts)


@register(layers.TimeDistributed)
def _time_distributed(layer, inputs, outputs):
    steps = inputs[0][0]
    macs, ops = count(layer.layer.name, layer.layer, [inputs[0][1:]], [outputs[0][1:]])
    return steps * macs, steps * ops


@register(layers.SpectralNormalization)
def _normalised_kernel(layer, inputs, outputs):
    return count(layer.layer.name, layer.layer, inputs, outputs)


@register(*POOLS)
def _pooling(layer, inputs, outputs):
    return 0, math.prod(layer.pool_size) * math.prod(outputs[0])


@register(*ADAPTIVE_POOLS)
def _adaptive_pooling(layer, inputs, outputs):
    """Windows from floor(i * side / new) to ceil((i + 1) * side / new), which may overlap."""
    sides = zip(inputs[0], outputs[0], strict=True)
    return 0, math.prod(
        sum(-(-(at + 1) * side // new) - at * side // new for at in range(new))
        for side, new in sides
    )


@register(*GLOBAL_POOLS, operations.Mean, operations.Sum, operations.Max, operations.Min)
@register(operations.Argmax, operations.Argmin)
def _global_pooling(layer, inputs, outputs):
    return 0, math.prod(inputs[0])


@register(
    *(layers.InputLayer, *ONLY_IN_TRAINING, *ACTIVATIONS, layers.PReLU, *MERGES),
    *(*PADDINGS, *CROPPINGS, *UPSAMPLINGS),
    *(layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization),
    *(layers.RMSNormalization, layers.UnitNormalization),
    *(layers.Flatten, layers.Reshape, layers.Permute, layers.RepeatVector),
    *(LocalResponseNormalization, LayerScale, StochasticDepth, CustomScaleLayer),
    *(layers.Embedding, layers.Masking),
    *(layers.Rescaling, layers.Normalization, layers.Resizing, layers.CenterCrop),
    *(layers.CategoryEncoding, layers.Discretization, layers.Hashing, layers.HashedCrossing),
    *(layers.IntegerLookup, layers.Equalization, layers.AutoContrast, layers.Solarization),
    *(layers.RandomFlip, layers.RandomCrop, layers.RandomTranslation, layers.RandomRotation),
    *(layers.RandomZoom, layers.RandomShear, layers.RandomPerspective, layers.RandomErasing),
    *(layers.RandomElasticTransform, layers.RandomGaussianBlur, layers.RandomSharpness),
    *(layers.RandomContrast, layers.RandomBrightness, layers.RandomHue, layers.RandomSaturation),
    *(layers.RandomColorJitter, layers.RandomColorDegeneration, layers.RandomGrayscale),
    *(layers.RandomInvert, layers.RandomPosterization),
    *(layers.RandAugment, layers.AugMix, layers.MixUp, layers.CutMix),
    # what `a + b`, `2 * a` and keras.ops make of tensors
    *(operations.Add, operations.Subtract, operations.Multiply, operations.Divide),
    *(operations.TrueDivide, operations.Maximum, operations.Minimum, operations.Power),
    *(operations.Negative, operations.Absolute, operations.Square, operations.Sqrt),
    *(operations.Exp, operations.Log, operations.Tanh, operations.Clip),
    *(operations.Concatenate, operations.Stack, operations.Split, operations.Reshape),
    *(operations.Transpose, operations.Squeeze, operations.ExpandDims, operations.Pad),
    *(operations.GetItem, operations.Repeat, operations.Tile, operations.Flip, core.Cast),
    *(nn.Relu, nn.Relu6, nn.LeakyRelu, nn.Elu, nn.Selu, nn.Gelu, nn.Silu, nn.Softplus),
    *(nn.Sigmoid, nn.HardSigmoid, nn.HardSilu, nn.Softmax, nn.LogSoftmax, nn.OneHot),
)
def _nothing(layer, inputs, outputs):
    return 0, 0
