"""Muon for convolutional networks."""

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops


class Muon(keras.optimizers.Muon):
    """Keras' Muon, which takes the kernels of convolutions as matrices, too.

    Jordan et al. 2024, https://kellerjordan.github.io/posts/muon: the momentum of a matrix is made
    orthogonal; a kernel (H, W, C, F) is a matrix (H * W * C, F). All that is no matrix, depthwise
    kernels and those that are left out, such as the classifier's, are AdamW's, as Keras has it.

    Args:
        learning_rate: as of AdamW, whose size of steps the updates get (arXiv:2502.16982).
        weight_decay: decoupled, for both kinds.
        exclude: kernels that are AdamW's.
        options: as of Keras' Muon.
    """

    def __init__(
        self,
        learning_rate: Any,
        *,
        weight_decay: float = 0.0,
        exclude: Iterable[keras.Variable] = (),
        **options: Any,
    ):
        super().__init__(
            learning_rate, weight_decay=weight_decay, adam_weight_decay=weight_decay, **options
        )
        self._adamws = {variable.path for variable in exclude}

    def _should_use_adamw(self, variable):
        return len(variable.shape) not in (2, 4) or variable.path in self._adamws

    def _muon_update_step(self, gradient, variable, lr, m):
        self.assign_add(m, gradient + m * (self.momentum - 1))
        step: Any = gradient + self.momentum * m if self.nesterov else m
        matrix = ops.reshape(step, (-1, variable.shape[-1]))
        update: Any = self.zeropower_via_newtonschulz5(matrix, self.ns_steps)
        self.assign_sub(variable, ops.reshape(self.lr_adjust(lr * update), variable.shape))
