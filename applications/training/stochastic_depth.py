"""Networks some of whose residual branches are left out at random while they are trained."""

from typing import Any

import keras

from keras_archs.graph import calls


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
        raise ValueError(
            "`stochastic_depth` must be 0 for a network without residual sums. "
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
    """By name of each residual sum, in order, which of its inputs is the branch."""
    kernels: dict[int, int] = {}
    branches = {}
    for operation, read, written, _ in calls(network):
        before = [kernels[id(tensor)] for tensor in read]
        if isinstance(operation, keras.layers.Add) and before.count(max(before)) == 1:
            branches[operation.name] = before.index(max(before))
        has: Any = any(v.name.endswith("kernel") for v in getattr(operation, "weights", ()))
        kernels |= {id(tensor): max(before, default=0) + has for tensor in written}
    return branches
