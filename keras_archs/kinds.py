"""What the layers of a graph compute, for the functions that change one."""

import math
from typing import Literal

import keras
from keras import layers
from keras.src.ops import numpy as operations  # Keras has no public name for what `a + b` calls

from keras_archs.graph import Graph

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
WITH_KERNEL = (*CONVOLUTIONS, *DEPTHWISE, *SEPARABLE, *TRANSPOSED, layers.Dense)

AVERAGE_POOLS = (layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D)
MAX_POOLS = (layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D)
POOLS = (*AVERAGE_POOLS, *MAX_POOLS)
ADAPTIVE_POOLS = (layers.AdaptiveAveragePooling2D, layers.AdaptiveMaxPooling2D)
GLOBAL_AVERAGE_POOLS = (
    *(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D),
)
GLOBAL_POOLS = (
    *GLOBAL_AVERAGE_POOLS,
    *(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D),
)
PADDINGS = (layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)
CROPPINGS = (layers.Cropping1D, layers.Cropping2D, layers.Cropping3D)
UPSAMPLINGS = (layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D)

ELEMENTWISE_MERGES = (
    *(layers.Add, layers.Subtract, layers.Multiply, layers.Average),
    *(layers.Maximum, layers.Minimum),
)
ADDITIONS = (layers.Add, operations.Add)
MERGES = (*ELEMENTWISE_MERGES, layers.Concatenate)

ELEMENTWISE_ACTIVATIONS = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU)
ACTIVATIONS = (*ELEMENTWISE_ACTIVATIONS, layers.Softmax)
_ACROSS_CHANNELS = ("softmax", "log_softmax", "sparsemax", "glu")  # activations by name

DROPOUTS = (  # each has a `rate`
    *(layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D),
    *(layers.AlphaDropout, layers.GaussianDropout),
)
NOISES = (*DROPOUTS, layers.GaussianNoise)
ONLY_IN_TRAINING = (*NOISES, layers.ActivityRegularization, layers.Identity)


def globally_pooled(x, kind: Literal["avg", "max"], name=None, **options):
    """(B, H, W, C) -> (B, C), by a layer that is called `avg_pool` or `max_pool` by default."""
    pool = layers.GlobalAveragePooling2D if kind == "avg" else layers.GlobalMaxPooling2D
    return pool(name=name or f"{kind}_pool", **options)(x)


def is_a(operation, *kinds: type) -> bool:
    """Whether it computes what one of `kinds` computes: a subclass with its own `call` does not."""
    return any(isinstance(operation, kind) and type(operation).call is kind.call for kind in kinds)


def relu_bound(operation) -> float | None:
    """Where the ReLU of a layer is cut off, infinity if nowhere; None if it applies none."""
    if isinstance(operation, layers.ReLU):
        return math.inf if operation.max_value is None else operation.max_value
    bounds = {keras.activations.relu: math.inf, keras.activations.relu6: 6.0}
    return bounds.get(getattr(operation, "activation", None))


def mixes_channels(operation) -> bool:
    """Whether its activation computes a channel from all of them, as a softmax does."""
    activation = getattr(getattr(operation, "activation", None), "__name__", "")
    return is_a(operation, layers.Softmax) or activation in _ACROSS_CHANNELS


def unfit(wanted: str, path: str, operation) -> ValueError:
    """The error that names the layer in the way of what the model must be."""
    kind = type(operation).__name__
    return ValueError(f"`model` must {wanted}. Received: layer `{path}` of type {kind}")


def is_plain(layer) -> bool:
    """Whether its kernel is one array of numbers, neither quantised nor adapted by LoRA."""
    return not (getattr(layer, "quantization_mode", None) or getattr(layer, "lora_enabled", False))


def image_channels(graph: Graph) -> int:
    """Of the one input, images with their channels last."""
    shapes = [tensor.shape for tensor in graph.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(
            "`model` must have one input of shape (batch, height, width, channels). "
            f"Received: model {graph.name!r} with inputs {shapes}"
        )
    return shapes[0][-1]
