"""What the layers of a graph compute, for the functions that change one."""

from typing import Literal

from keras import layers

from keras_archs.graph import Graph

ONLY_IN_TRAINING = (
    *(layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D),
    *(layers.AlphaDropout, layers.GaussianDropout, layers.GaussianNoise),
    *(layers.ActivityRegularization, layers.Identity),
)
CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
WITH_KERNEL = (*CONVOLUTIONS, *DEPTHWISE, *SEPARABLE, *TRANSPOSED, layers.Dense)
ACTIVATIONS = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Softmax)
MERGES = (
    *(layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Concatenate),
    *(layers.Maximum, layers.Minimum),
)
GLOBAL_POOLS = {
    layers.GlobalAveragePooling2D: layers.AveragePooling2D,
    layers.GlobalMaxPooling2D: layers.MaxPooling2D,
}
POOLS = (layers.MaxPooling2D, layers.AveragePooling2D)


def globally_pooled(x, kind: Literal["avg", "max"], name=None, **options):
    """(B, H, W, C) -> (B, C), by a layer that is called `avg_pool` or `max_pool` by default."""
    pool = layers.GlobalAveragePooling2D if kind == "avg" else layers.GlobalMaxPooling2D
    return pool(name=name or f"{kind}_pool", **options)(x)


def is_a(operation, *kinds: type) -> bool:
    """Whether it computes what one of `kinds` computes: a subclass with its own `call` does not."""
    return any(isinstance(operation, kind) and type(operation).call is kind.call for kind in kinds)


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
