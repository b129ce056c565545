"""Drawings of networks, stage by stage.

>>> applications.plot_architecture("resnet152", "resnet152.svg")
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import keras
from keras import layers

import keras_archs
from applications.console import short_count
from applications.files import check_file, write_atomic
from keras_archs import kinds
from keras_archs.cost import LayerCost, Profile
from keras_archs.graph import Call, calls, graph_of, last_uses
from keras_archs.registry import builder

# Sizes in points.
FONT, LINE = 8, 11
MARGIN, GAP, PADDING = 14, 18, 8
LABELS, BOXES, COST = 74, 480, 96  # widths of the columns
# Readable on white and on black; what stands in boxes has their light ground.
GREY, DARK = "#767676", "#1f2328"
GROUNDS = {
    "input": "#e6e6e6",
    "convolution": "#cfe3f7",
    "depthwise": "#c9ece6",
    "pooling": "#dcedc4",
    "dense": "#f9dfc2",
    "block": "#dfd6f3",
    "model": "#f6d5de",
    "other": "#e6e6e6",
}


def plot_architecture(
    network: keras.Model | str | Callable[..., keras.Model],
    path: str | os.PathLike[str],
    **kwargs: Any,
) -> Profile:
    """Draw a network: one row a resolution, with its layers and its share of the cost.

    Layers and blocks that repeat are drawn once, with their number. A box is the wider the more
    channels it writes and the higher the larger their map is, on logarithmic scales; a block with a
    shortcut shows its longest path. Normalisation, activations, dropout and padding are not drawn.

    Args:
        network: a name of `keras_archs.list_archs()`, a function that builds a model, or a
            functional or built sequential model. The first two are not given weights.
        path: an `.svg` file. One that exists is replaced. Its text is text, its ground transparent,
            and the same network gives the same bytes.
        **kwargs: as for `keras_archs.profile`: of the builder, or `input_shape` of a model whose
            sides are None.

    Returns:
        The costs that are drawn.

    Raises:
        ValueError, TypeError: as `keras_archs.profile`, or the file's name has another suffix.
        FileNotFoundError: the file's folder is missing.
    """
    import matplotlib

    check_file("path", path, ".svg")
    model, profile = _with_profile(network, kwargs)
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "keras-archs"}  # text stays text
    settings |= {"figure.constrained_layout.use": False, "figure.autolayout": False}
    no_date: dict[str, Any] = {"Date": None, "Creator": None}
    with matplotlib.rc_context(settings):
        figure = _figure(profile, units(model, profile))
        write_atomic(
            path,
            lambda file: figure.savefig(file, format="svg", transparent=True, metadata=no_date),
        )
    return profile


def _with_profile(network, kwargs) -> tuple[keras.Model, Profile]:
    """The model, which has no values where it was built here, and its cost."""
    if isinstance(network, keras.Model):
        return network, keras_archs.profile(network, **kwargs)
    build = builder(network) if isinstance(network, str) else network
    built = []

    def remembering(**kwargs):
        built.append(build(**kwargs))
        return built[0]

    profile = keras_archs.profile(remembering, **kwargs)
    return built[0], profile


# ------------------------------------------------------------------------------------ what is drawn


@dataclass(frozen=True)
class Unit:
    """A layer, a block, or several equal ones in a row.

    Attributes:
        lines: what it consists of, such as `("3×3 conv 64",)`.
        kind: a key of `GROUNDS`.
        stage: name of the stage that its output is of.
        channels: of its output; of several equal ones, of the first's and the last's.
        repeats: how many equal ones follow each other.
    """

    lines: tuple[str, ...]
    kind: str
    stage: str
    channels: tuple[int, int]
    repeats: int = 1

    @property
    def text(self) -> list[str]:
        """The lines of its box."""
        first, last = self.channels
        lines = list(self.lines)
        if not any(line.endswith(f" {last}") for line in lines):
            lines.append(f"{last} channels" if first == last else f"{first} → {last} channels")
        if self.repeats > 1:
            lines.append(f"× {self.repeats}")
        return lines


class _Step(NamedTuple):
    """A call and what it costs: of a nested model, its last layer's."""

    call: Call
    row: LayerCost


def units(model: keras.Model, profile: Profile) -> list[Unit]:
    """The units of a network in the order in which they run, equal neighbours counted as one."""
    found: list[Unit] = []
    main, auxiliary = _parted(_steps(model, profile), model)
    units_of_main = [_unit(segment) for segment in _segments(main)]
    units_of_auxiliary = [_unit([step], "auxiliary:") for step in auxiliary]
    for unit in filter(None, units_of_main + units_of_auxiliary):
        above = found[-1] if found else unit
        if above.kind == "depthwise" and unit.lines[0].startswith("1×1 conv"):
            lines = above.lines + unit.lines
            found[-1] = replace(unit, lines=lines, kind="depthwise")
            unit = found.pop()
            above = found[-1] if found else unit
        if found and (above.lines, above.stage) == (unit.lines, unit.stage):
            channels = above.channels[0], unit.channels[1]
            found[-1] = replace(above, channels=channels, repeats=above.repeats + 1)
        else:
            found.append(unit)
    return found


def _steps(model, profile: Profile) -> list[_Step]:
    rows, steps = iter(profile.rows), []
    row = next(rows)
    for call in calls(graph_of(model)):
        here = row
        if graph_of(call.operation) is None:
            row = next(rows, row)
        else:
            inside = f"{call.operation.name}/"
            while row.name.startswith(inside):
                here, row = row, next(rows, None) or replace(row, name="")
        steps.append(_Step(call, here))
    return steps


def _parted(steps: list[_Step], model) -> tuple[list[_Step], list[_Step]]:
    """The calls that lead to the network's own output, and those to auxiliary ones alone."""
    outputs = model.output
    main = outputs["predictions"] if isinstance(outputs, dict) else model.outputs[-1]
    needed = {id(main)}
    for step in reversed(steps):
        if any(id(tensor) in needed for tensor in step.call.outputs):
            needed |= {id(tensor) for tensor in step.call.inputs}
    parts = [], []
    for step in steps:
        parts[not any(id(tensor) in needed for tensor in step.call.outputs)].append(step)
    return parts


def _segments(steps: list[_Step]) -> Iterator[list[_Step]]:
    """The calls between tensors that every path to the output crosses."""
    uses, open_until, segment = last_uses([step.call for step in steps]), 0, []
    for at, step in enumerate(steps):
        segment.append(step)
        crossed = open_until <= at
        open_until = max([open_until, *(uses.get(id(t), 0) for t in step.call.outputs)])
        if crossed:
            yield segment
            segment = []


def _unit(segment: list[_Step], *heading: str) -> Unit | None:
    """What a segment is drawn as, below a heading; None where there is nothing to draw."""
    row = segment[-1].row
    inside = {id(t) for step in segment for t in step.call.outputs}
    longest: dict[int, tuple[str, ...]] = {}
    for step in segment:
        paths = [longest.get(id(tensor), ()) for tensor in step.call.inputs]
        path = max(paths, key=len, default=()) + _line(step)
        longest |= {id(tensor): path for tensor in step.call.outputs}
    lines = longest[id(segment[-1].call.outputs[0])]
    merge = next((s.call for s in reversed(segment) if len(s.call.inputs) > 1), None)
    if not lines:
        return None
    kind = _kind(next(step for step in segment if _line(step)))
    if merge is not None:
        kind, name = "block", type(merge.operation).__name__
        keeps_input = any(id(tensor) not in inside for tensor in merge.inputs)
        if name == "Add":
            lines += ("+ shortcut",)
        elif name == "Concatenate" and keeps_input:
            lines += ("+ input, concatenated",)
        elif name == "Concatenate":
            lines = (f"{len(merge.inputs)} branches:", *_sorts(segment))
    channels = _channels(row.output_shape)
    return Unit((*heading, *lines), kind, row.stage, (channels, channels))


def _sorts(segment: list[_Step]) -> list[str]:
    """What occurs in a segment, the widths left out, two in a line."""
    lines = (line.rstrip("0123456789 ") for step in segment for line in _line(step))
    sorts = list(dict.fromkeys(lines))
    return [", ".join(sorts[at : at + 2]) for at in range(0, len(sorts), 2)]


def _line(step: _Step) -> tuple[str, ...]:
    """What the call is called, in one line; nothing where it is not drawn."""
    layer: Any = step.call.operation
    if isinstance(layer, layers.InputLayer):
        return ("input",)
    if graph_of(layer) is not None:
        return (" ".join(layer.name.split()),)
    width = _channels(step.row.output_shape)
    if isinstance(layer, layers.Dense):
        return (f"dense {width}",)
    if isinstance(layer, kinds.GLOBAL_POOLS):
        average = isinstance(layer, kinds.GLOBAL_AVERAGE_POOLS)
        return (f"global {'average' if average else 'max'} pooling",)
    if isinstance(layer, kinds.POOLS):
        average = isinstance(layer, kinds.AVERAGE_POOLS)
        return (f"{_sides(layer.pool_size)} {'average' if average else 'max'} pooling",)
    if not isinstance(layer, kinds.WITH_KERNEL):
        return ()
    sides = _sides(layer.kernel_size)
    if isinstance(layer, kinds.DEPTHWISE):
        return (f"{sides} depthwise",)
    sort = "separable" if isinstance(layer, kinds.SEPARABLE) else "conv"
    sort = f"transposed {sort}" if isinstance(layer, kinds.TRANSPOSED) else sort
    groups = getattr(layer, "groups", 1)
    return (
        f"{sides} {sort} {width}" if groups == 1 else f"{groups} groups, {sides} {sort} {width}",
    )


def _kind(step: _Step) -> str:
    layer: Any = step.call.operation
    if graph_of(layer) is not None:
        return "model"
    if isinstance(layer, layers.InputLayer):
        return "input"
    if isinstance(layer, kinds.DEPTHWISE):
        return "depthwise"
    if isinstance(layer, layers.Dense):
        return "dense"
    return "convolution" if isinstance(layer, kinds.WITH_KERNEL) else "pooling"


def _sides(sides: int | Iterable[int]) -> str:
    return "×".join(map(str, (sides, sides) if isinstance(sides, int) else sides))


def _channels(shape: tuple) -> int:
    last = shape[-1] if shape else 1
    return last if isinstance(last, int) else _channels(last)


# ------------------------------------------------------------------------------------- the picture


class _Box(NamedTuple):
    unit: Unit
    text: list[str]
    width: float
    height: float

    @property
    def behind(self) -> int:
        """How many boxes show behind it."""
        return min(self.unit.repeats - 1, 2)


def _figure(profile: Profile, drawn: list[Unit]):
    from matplotlib.figure import Figure

    width = 2 * MARGIN + LABELS + BOXES + 2 * COST
    stages = [
        (stage, _rows([u for u in drawn if u.stage == stage.name], _side(stage.output_shape)))
        for stage in profile.stages
    ]
    heights = [sum(_height(row) + GAP for row in rows) + 4 for _, rows in stages]
    height = 2 * MARGIN + 54 + sum(heights)
    figure = Figure((width / 72, height / 72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    ink = _Ink(axes)
    columns = MARGIN + LABELS + BOXES, MARGIN + LABELS + BOXES + COST
    ink.text(MARGIN, MARGIN + 8, profile.name, size=13, weight="bold")
    totals = f"{profile.params:,} parameters, {profile.macs:,} multiply-adds"
    if profile.batch_size > 1:
        totals += f" for {profile.batch_size} images"
    ink.text(MARGIN, MARGIN + 26, totals)
    for at, heading in zip(columns, ("parameters", "multiply-adds"), strict=True):
        ink.text(at, MARGIN + 42, heading)
    top = MARGIN + 54.0
    for (stage, rows), tall in zip(stages, heights, strict=True):
        ink.line(MARGIN, top, width - MARGIN, top, alpha=0.35)
        middle = top + tall / 2
        sides = stage.output_shape[:-1]
        if stage.name != "head" and sides:
            ink.text(MARGIN, middle - 6, " × ".join(map(str, sides)), size=10, weight="bold")
            ink.text(MARGIN, middle + 8, stage.name)
        else:
            ink.text(MARGIN, middle, stage.name, size=10, weight="bold")
        for at, quantity in zip(columns, ("params", "macs"), strict=True):
            part, total = getattr(stage, quantity), getattr(profile, quantity)
            ink.share(at, middle, part / total if total else 0, short_count(part))
        y = top + 2 + GAP / 2
        for row in rows:
            ink.row(row, MARGIN + LABELS, y + _height(row) / 2)
            y += _height(row) + GAP
        top += tall
    return figure


def _rows(drawn: list[Unit], side: int) -> list[list[_Box]]:
    """The boxes of a stage whose map has this side, in as many rows as they need."""
    rows: list[list[_Box]] = [[]]
    for unit in drawn:
        text = unit.text
        wide = max(max(map(_text_width, text)) + 2 * PADDING, 9 * math.log2(2 + unit.channels[1]))
        tall = max(LINE * len(text) + 2 * PADDING, 8 * math.log2(side))
        box = _Box(unit, text, wide, tall)
        if rows[-1] and sum(b.width + 6 + GAP for b in rows[-1]) + box.width > BOXES - GAP:
            rows.append([])
        rows[-1].append(box)
    return rows


def _side(shape: tuple) -> int:
    return max(shape[:-1], default=1) if all(isinstance(side, int) for side in shape) else 1


def _height(row: list[_Box]) -> float:
    return max((box.height for box in row), default=LINE)


def _text_width(text: str) -> float:
    from matplotlib.textpath import TextPath

    return TextPath((0, 0), text, size=FONT).get_extents().width if text.strip() else 0.0


class _Ink:
    """Draws on axes whose unit is a point."""

    def __init__(self, axes):
        self._axes = axes

    def text(
        self, x: float, y: float, text: str, color=GREY, size=FONT, ha="left", weight="normal"
    ):
        line = " ".join(text.split())
        self._axes.text(
            *(x, y, line),
            color=color,
            fontsize=size,
            ha=ha,
            va="center",
            weight=weight,
            parse_math=False,
        )

    def line(self, x0: float, y0: float, x1: float, y1: float, alpha: float = 1):
        self._axes.plot((x0, x1), (y0, y1), color=GREY, linewidth=0.8, alpha=alpha)

    def box(self, x: float, y: float, width: float, height: float, ground: str):
        from matplotlib.patches import Rectangle

        self._axes.add_patch(
            Rectangle((x, y), width, height, facecolor=ground, edgecolor=GREY, linewidth=0.8)
        )

    def share(self, x: float, y: float, share: float, count: str):
        """A bar for a share in 0..1, with its percentage and the count."""
        wide = COST - 16
        self.box(x, y + 3, wide, 5, "none")
        if share:
            self.box(x, y + 3, wide * share, 5, GREY)
        self.text(x, y - 4, f"{100 * share:.1f} %")
        self.text(x + wide, y - 4, count, ha="right")

    def row(self, row: list[_Box], x: float, middle: float):
        """Boxes from left to right, an arrow before each."""
        for box in row:
            self._axes.annotate(
                "",
                (x + GAP, middle),
                (x + 2, middle),
                arrowprops={"arrowstyle": "->", "color": GREY, "linewidth": 0.8},
            )
            x += GAP
            top, ground = middle - box.height / 2, GROUNDS[box.unit.kind]
            for behind in range(box.behind, 0, -1):
                self.box(x + 3 * behind, top - 3 * behind, box.width, box.height, ground)
            self.box(x, top, box.width, box.height, ground)
            for number, line in enumerate(box.text):
                y = middle + LINE * (number + 0.5 - len(box.text) / 2)
                weight = "bold" if line.startswith("× ") else "normal"
                self.text(x + box.width / 2, y, line, DARK, ha="center", weight=weight)
            x += box.width + 3 * box.behind
