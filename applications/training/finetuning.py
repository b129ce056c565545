"""Fine-tuning: what stands behind a stage learns first, then all at a lower rate."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import keras

from keras_archs.graph import Call, calls, feature_tensors
from keras_archs.kinds import GLOBAL_POOLS
from keras_archs.weights.fitting import replaceable

_WANTED = "`freeze_until` must be"
_ENDS = (keras.layers.Flatten, *GLOBAL_POOLS)
FIRST_PART = 0.25  # of the epochs, at least one: only what stands behind the stage learns
LATER_RATE = 0.5  # of the learning rate, in the rest of the epochs, when all layers learn


class Phase(NamedTuple):
    """A part of a training that has an optimizer and a schedule of its own.

    Attributes:
        start, stop: its first epoch, counted from 0, and the one after its last.
        frozen: names of the layers that do not learn.
        rate: what the learning rate is multiplied by.
        hints: whether it is learned from a teacher's hints alone.
    """

    start: int
    stop: int
    frozen: frozenset[str] = frozenset()
    rate: float = 1.0
    hints: bool = False


def phases(network: keras.Model, freeze_until: str | None, epochs: int) -> list[Phase]:
    """The parts of a training of n epochs, in order.

    Raises:
        ValueError: as `frozen_layers`.
    """
    if freeze_until is None:
        return [Phase(0, epochs)]
    head = max(1, round(FIRST_PART * epochs))
    frozen = frozen_layers(network, freeze_until)
    parts = [Phase(0, head, frozen), Phase(head, epochs, rate=LATER_RATE)]
    return [part for part in parts if part.start < part.stop]


def frozen_layers(network: keras.Model, stage: str) -> frozenset[str]:
    """The layers up to a stage: the one where it ends, and all that it is computed from.

    Args:
        network: a functional model.
        stage: `P{k}`, the last tensor at total stride 2^k that every path crosses, or how names of
            layers begin, the last of which is meant: "conv4" or "conv4_block2".

    Raises:
        ValueError: there is no such stage, or nothing with weights is left behind it.
    """
    order = calls(network)
    if stage[:1] == "P" and stage[1:].isdecimal():
        try:
            end = feature_tensors(network.inputs, _end_of_body(network, order), [stage])[stage]
        except ValueError:
            raise ValueError(
                f"{_WANTED} a total stride that the network has. Received: freeze_until={stage!r}"
            ) from None
        needed = {id(end)}
    else:
        named = [call for call in order if stage and call.operation.name.startswith(stage)]
        if not named:
            raise ValueError(
                f"{_WANTED} P1, P2, ..., or the beginning of a layer's name in {network.name}. "
                f"Received: freeze_until={stage!r}"
            )
        needed = {id(tensor) for tensor in named[-1].outputs}
    frozen = set()
    for call in reversed(order):
        if any(id(tensor) in needed for tensor in call.outputs):
            frozen.add(call.operation.name)
            needed |= {id(tensor) for tensor in call.inputs}
    if all(layer.name in frozen for layer in network.layers if layer.trainable_weights):
        raise ValueError(
            "`freeze_until` must leave layers that learn. "
            f"Received: freeze_until={stage!r} of {network.name}"
        )
    return frozenset(frozen)


def _end_of_body(network: keras.Model, order: list[Call]):
    """The map that the classifier starts from."""
    head, made_by = replaceable(network), {id(t): call for call in order for t in call.outputs}
    output = network.output
    tensor = end = output["predictions"] if isinstance(output, dict) else output
    while (call := made_by[id(tensor)]).inputs:
        tensor = call.inputs[0]
        if call.operation.name in head or isinstance(call.operation, _ENDS):
            end = tensor
    return end


@contextmanager
def frozen(network: keras.Model, names: Collection[str]) -> Iterator[None]:
    """These layers do not learn in here. A frozen BatchNorm keeps its statistics."""
    kept = [layer for layer in network.layers if layer.name in names and layer.trainable]
    for layer in kept:
        layer.trainable = False
    try:
        yield
    finally:
        for layer in kept:
            layer.trainable = True


def parts_left(parts: list[Phase], done: int) -> list[Phase]:
    """The part in which the last of the finished epochs was trained, and those after it."""
    return [part for part in parts if part.stop >= done]
