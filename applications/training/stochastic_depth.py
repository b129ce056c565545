"""Networks some of whose residual branches are left out at random while they are trained."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_archs.graph import Call, calls


def with_stochastic_depth(network: keras.Model, rate: float, seed: int) -> keras.Model:
    """The network's own layers, and dropout of whole residual branches, image by image.

    Huang et al. 2016, arXiv:1603.09382: the branch of the l-th of L sums is left out with the
    probability `rate * l / L` (equation 4). Departure, as everyone has it since: what is kept is
    divided by the share that is kept, in training, so that the trained network has nothing to
    scale. A branch is the input of a sum that more kernels lie before than before all others.

    Args:
        network: a functional model.
        rate: of the last branch, in (0, 1).
        seed: of what is drawn.

    Raises:
        ValueError: the network has no residual sum.
    """
    branches = residual_branches(network)
    if not branches:
        sums = any(isinstance(layer, keras.layers.Add) for layer in network.layers)
        why = ": the sums of a gated network are no residual branches" if sums else ""
        raise ValueError(
            f"`stochastic_depth` must be 0 for a network without residual sums{why}. "
            f"Received: {network.name}, stochastic_depth={rate}"
        )
    drops = {
        name: keras.layers.Dropout(
            rate * number / len(branches),
            noise_shape=(None, 1, 1, 1),
            seed=seed + number,
            name=f"{name}_stochastic_depth",
        )
        for number, name in enumerate(branches, start=1)
    }

    def call(layer, *args, **kwargs):
        if layer.name in branches:
            tensors = list(args[0])
            at = branches[layer.name]
            tensors[at] = drops[layer.name](tensors[at])
            args = (tensors,)
        return layer(*args, **kwargs)

    return keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=call)


def residual_branches(network: keras.Model) -> dict[str, int]:
    """By name of each residual sum, in order, which of its inputs is the branch.

    A Highway network's sum, x + T (H - x), is none: H takes the place of x as far as the gate T is
    open, and without its second input the sum would be a layer whose gate is shut.
    """
    kernels: dict[int, int] = {}
    made_by: dict[int, Call] = {}
    branches = {}
    for call in calls(network):
        operation, read, written, _ = call
        before = [kernels[id(tensor)] for tensor in read]
        if isinstance(operation, keras.layers.Add) and before.count(max(before)) == 1:
            branch = before.index(max(before))
            if not _replaces(read[branch], read, made_by):
                branches[operation.name] = branch
        has: Any = any(v.name.endswith("kernel") for v in getattr(operation, "weights", ()))
        kernels |= {id(tensor): max(before, default=0) + has for tensor in written}
        made_by |= {id(tensor): call for tensor in written}
    return branches


def _replaces(branch: Any, summed: list, made_by: Mapping[int, Call]) -> bool:
    """Whether a summand is a share of what another one is to be replaced by, less that one."""
    product = made_by[id(branch)]
    return isinstance(product.operation, keras.layers.Multiply) and any(
        isinstance(factor.operation, keras.layers.Subtract)
        and any(taken is other for taken in factor.inputs for other in summed)
        for factor in (made_by[id(tensor)] for tensor in product.inputs)
    )
