"""Local response normalisation, the one layer that Keras does not have, and that of pixels."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops


def rescaled(images: Any, mean: Any, std: Any) -> Any:
    """`(images - mean) / std` as a layer `rescaling`, in float32 whatever the network's precision.

    Args:
        images: symbolic, (B, H, W, C).
        mean: of each channel, or of each pixel, (H, W, C).
        std: likewise, or one number.
    """
    mean, std = np.asarray(mean), np.asarray(std)
    return layers.Rescaling(
        (1 / std).tolist(), (-mean / std).tolist(), dtype="float32", name="rescaling"
    )(images)


@keras.saving.register_keras_serializable("keras_archs")
class LocalResponseNormalization(layers.Layer):
    """Normalisation across neighbouring channels. Krizhevsky et al. 2012, section 3.3.

        b[i] = a[i] / (k + alpha * sum(a[j]^2)) ^ beta,    |j - i| <= size // 2

    Caffe and Torch write alpha / size for this alpha. Squares and sums in float32, where float16
    would overflow.

    Args:
        size: number of channels in the sum, odd.
        alpha: of the equation.
        beta: of the equation.
        k: of the equation.
    """

    def __init__(
        self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0, **kwargs
    ):
        super().__init__(**kwargs)
        if not (isinstance(size, int) and size >= 1 and size % 2):
            raise ValueError(f"`size` must be an odd integer >= 1. Received: size={size!r}")
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def call(self, inputs):
        channels, reach = inputs.shape[-1], self.size // 2
        squares: Any = ops.square(ops.cast(inputs, "float32"))
        squares = ops.pad(squares, [(0, 0)] * (len(inputs.shape) - 1) + [(reach, reach)])
        total = sum(squares[..., at : at + channels] for at in range(self.size))
        scale: Any = ops.power(self.k + self.alpha * total, -self.beta)
        return ops.cast(ops.cast(inputs, "float32") * scale, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        own = {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
        return {**super().get_config(), **own}
