"""The memory that the activations of a network take, from what its steps read and write.

`live_bytes` is what must be there at once. `arena_bytes` is the block in which LiteRT's interpreter
lays all tensors out (`tensorflow/lite/arena_planner.cc` and `simple_memory_arena.cc` of TensorFlow
2.21): an input keeps its place to the end; a sum or product stands in the place of an operand of
its size that nothing else reads; what lives from first to last is placed first, then the largest,
each in the smallest gap of 64-byte steps that is free while it lives.
"""

import bisect
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

# What LiteRT stores: bytes of a value, and of each channel that a layer with a kernel writes: a
# bias, which is never int8, and in int8, for kernel and bias, a scale of 4 bytes and a zero point
# of 8 (`QuantizationParameters` in LiteRT's schema.fbs; dense layers have them by channel, too).
VALUE_BYTES = {"float32": 4, "int8": 1}
CHANNEL_BYTES = {"float32": 4, "int8": 4 + 2 * (4 + 8)}

_ALIGNMENT = 64  # bytes
_SMALLEST_SHARED = 8  # bytes: a tensor that is no larger gets a place of its own
_OPERANDS = 2  # in whose place a result may stand


class Step(NamedTuple):
    """One operation.

    Attributes:
        reads, writes: names of tensors.
        in_place: whether LiteRT may let its first output stand in the place of an operand.
    """

    reads: Sequence[Hashable]
    writes: Sequence[Hashable]
    in_place: bool = False


def live_bytes(
    sizes: Mapping[Any, int],
    inputs: Sequence[Hashable],
    steps: Sequence[Step],
    outputs: Sequence[Hashable],
) -> int:
    """The largest set of tensors that live at once: inputs and outputs of a step live together,
    nothing is computed in place, a tensor dies after its last use, `outputs` live to the end.

    Args:
        sizes: of the tensors in bytes, by name.
        inputs, outputs: of the network.
        steps: in the order in which they run.
    """
    until = {name: at for at, step in enumerate(steps) for name in (*step.writes, *step.reads)}
    until |= dict.fromkeys(outputs, len(steps))
    live = set(inputs)
    size = peak = sum(sizes[name] for name in live)
    for at, step in enumerate(steps):
        born = set(step.writes) - live
        live |= born
        size += sum(sizes[name] for name in born)
        peak = max(peak, size)
        dead = {name for name in (*step.reads, *step.writes) if until[name] <= at}
        live -= dead
        size -= sum(sizes[name] for name in dead)
    return peak


def arena_bytes(
    sizes: Mapping[Any, int],
    inputs: Sequence[Hashable],
    steps: Sequence[Step],
    outputs: Sequence[Hashable],
) -> int:
    """The size of LiteRT's arena. The arguments are those of `live_bytes`."""
    place = _places(sizes, inputs, steps, outputs)
    born: dict[Hashable, int] = dict.fromkeys(inputs, 0)
    dies: dict[Hashable, float] = {}
    for at, step in enumerate(steps):
        for name in step.writes:
            born.setdefault(place[name], at)
        for name in (*step.writes, *step.reads):
            dies[place[name]] = at
    dies |= {place[name]: math.inf for name in (*inputs, *outputs)}

    def order(name: Hashable) -> tuple:
        whole = born[name] == 0 and dies[name] == math.inf
        return (0, 0, 0) if whole else (1, -sizes[name], born[name])

    placed: list[tuple[int, int, int, float]] = []  # offset, end, first and last step
    for name in sorted(born, key=order):
        size, first, last = sizes[name], born[name], dies.get(name, born[name])
        offset = _offset(placed, size, first, last)
        bisect.insort(placed, (offset, offset + size, first, last))
    return max((end for _, end, _, _ in placed), default=0)


def _places(sizes, inputs, steps, outputs) -> dict[Hashable, Hashable]:
    """For each tensor the one in whose place it stands, mostly itself."""
    readers = Counter(name for step in steps for name in step.reads)
    readers.update(outputs)
    place = {name: name for name in inputs}
    for step in steps:
        place |= {name: name for name in step.writes}
        result = step.writes[0]
        if not step.in_place or result in outputs or sizes[result] <= _SMALLEST_SHARED:
            continue
        for name in step.reads[:_OPERANDS]:
            alone = readers[name] == 1 and name not in inputs
            if alone and sizes[name] == sizes[result]:
                place[result] = place[name]
                break
    return place


def _offset(placed, size: int, first: int, last: float) -> int:
    """That of the smallest gap that takes `size` bytes from the step `first` to `last`."""
    end, best, room = 0, None, math.inf
    for start, stop, born, dies in placed:
        if dies < first or born > last:
            continue
        aligned = -(-end // _ALIGNMENT) * _ALIGNMENT
        if aligned + size <= start and start - aligned < room:
            best, room = aligned, start - aligned
        end = max(end, stop)
    return -(-end // _ALIGNMENT) * _ALIGNMENT if best is None else best
