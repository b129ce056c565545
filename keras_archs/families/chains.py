"""Chains of layers that are spelled out as rows of text, as SimpNet and SimpleNet are released.

simpnet.py explains the rows. Padding and rounding are Caffe's.
"""

import re
from collections import Counter
from typing import Literal, NamedTuple

from keras import layers

from keras_archs.architecture import width
from keras_archs.families.blocks import ceil_max_pool
from keras_archs.heads import activated, classifier, dropped, flatten
from keras_archs.kinds import globally_pooled

POOLED: dict[str, Literal["avg", "max"]] = {"gmp": "max", "gap": "avg"}  # over the whole map
MOST_FILTERS = 65_536  # of a row
_LONGEST = 1_024  # kernel, stride or padding in pixels
_ADDED, _BESIDE = "max+avg", "max|avg"
_STEP = r"bn|relu|(?:max|avg|max[+|]avg)\d+/\d+/0|drop\d*\.?\d+"
_OLDER = r"(?:add|cat)[1-9]\d{0,3}"  # and a map of a row before
_ROW = re.compile(rf"[1-9]\d{{0,4}} \d+/\d+/\d+(?: (?:{_STEP}|{_OLDER}))*", re.ASCII)
_LAST_ROW = re.compile(
    rf"dense|(gmp|gap)( drop\d*\.?\d+)? dense|conv \d+/\d+/\d+(?: (?:{_STEP}))* (gmp|gap)", re.ASCII
)


def _geometry(step):
    """Kernel, stride and padding of "3/1/1", "max2/2/0" or "max+avg2/2/0"."""
    kernel, stride, padding = map(int, step.lstrip("max+|vg").split("/"))
    return kernel, stride, padding


def _is_valid_step(step, before) -> bool:
    """Whether the numbers of a step are in range; `before` it are these."""
    if step.startswith("drop"):
        return float(step.removeprefix("drop")) < 1
    if "/" not in step:
        return True
    kernel, stride, padding = _geometry(step)
    if not (1 <= kernel <= _LONGEST and 1 <= stride <= _LONGEST and padding <= _LONGEST):
        return False
    if "avg" in step:
        return kernel == stride
    after_relu = [other for other in before if "drop" not in other][-1:] == ["relu"]
    return step[0].isdigit() or kernel == stride or (kernel > stride and after_relu)


def _is_valid(row, pattern) -> bool:
    """Whether `row` reads as the pattern says, with every kind of step at most once."""
    if not isinstance(row, str) or not pattern.fullmatch(row):
        return False
    first, *steps = row.split(" ")
    kinds = [re.sub(r"[\d./]+|[+|]avg", "", step).replace("avg", "max") for step in steps]
    return (
        len(set(kinds)) == len(kinds)
        and not (first.isdecimal() and int(first) > MOST_FILTERS)
        and all(_is_valid_step(step, steps[:at]) for at, step in enumerate(steps))
    )


def check_rows(rows):
    """Raise ValueError unless `rows` spell out a chain; the message names the first bad row."""
    if not isinstance(rows, (list, tuple)) or len(rows) < 2:
        raise ValueError(
            "`rows` must be a list of at least one convolution and the classifier, such as "
            f"['60 3/1/1 bn relu', 'gmp dense']. Received: rows={rows!r}"
        )
    for at, row in enumerate(rows):
        last = at == len(rows) - 1
        if not _is_valid(row, _LAST_ROW if last else _ROW):
            example = "'gmp drop0.2 dense'" if last else "'60 3/1/1 bn relu max2/2/0 drop0.1'"
            end = "end with a row" if last else "have rows"
            raise ValueError(f"`rows` must {end} such as {example}. Received: rows[{at}]={row!r}")
    _check_older(rows[:-1])


class _Map(NamedTuple):
    """What a row's text says about a map; maps with the same are of one shape at any input."""

    filters: tuple[int, ...]  # of the maps that stand side by side in it, sorted
    strided: int = 0  # how many strides lie before it
    grown: int = 0  # pixels a side since the last of them

    def after(self, step) -> "_Map":
        kernel, stride, padding = _geometry(step)
        here = self.beside(self) if step.startswith(_BESIDE) else self
        if stride > 1:
            return here._replace(strided=self.strided + 1, grown=0)
        return here._replace(grown=self.grown + 2 * padding - kernel + 1)

    def beside(self, other: "_Map") -> "_Map":
        return self._replace(filters=tuple(sorted(self.filters + other.filters)))

    @property
    def channels(self) -> str:
        times = Counter(self.filters).items()
        return " + ".join(f"{n} x {filters}" if n > 1 else str(filters) for filters, n in times)


def _check_older(rows):
    """Raise ValueError unless maps of older rows are there and fit; the message names the row."""
    written: list[_Map] = []
    for at, row in enumerate(rows):
        filters, *steps = row.split()
        here = (written[-1] if written else _Map(()))._replace(filters=(int(filters),))
        for step in steps:
            if "/" in step:
                here = here.after(step)
            elif step.startswith(("add", "cat")):
                kind, back = step[:3], int(step[3:])
                does, done = {"add": ("add", "added"), "cat": ("join", "joined")}[kind]
                received = f"Received: rows[{at}]={row!r}"
                if back > at:
                    raise ValueError(
                        f"`rows` must {does} what a row before them writes: {back} before this one "
                        f"there is none. {received}"
                    )
                older = written[-back]
                received += f", rows[{at - back}]={rows[at - back]!r}"
                if kind == "add" and older.filters != here.filters:
                    raise ValueError(
                        "`rows` must add maps of one shape: what is added to this row's "
                        f"{here.channels} channels has {older.channels}. {received}"
                    )
                if older[1:] != here[1:]:
                    raise ValueError(
                        f"`rows` must {does} maps of one shape: what is {done} to this row's map "
                        f"is larger or smaller. {received}"
                    )
                if kind == "cat":
                    here = here.beside(older)
        written.append(here)


def _rate(step, dropout):
    return float(step.removeprefix("drop")) if dropout is None else dropout


def _conv(x, filters, kernel, stride, padding, name, dtype):
    """(B, H, W, C) -> (B, (H + 2 * padding - kernel) // stride + 1, ..., filters)."""
    same = stride == 1 and 2 * padding == kernel - 1
    if padding and not same:
        x = layers.ZeroPadding2D(padding, name=f"{name}_pad")(x)
    mode = "same" if same else "valid"
    return layers.Conv2D(filters, kernel, stride, padding=mode, name=name, dtype=dtype)(x)


def _max_pool(x, kernel, stride, name):
    """Unpadded, sides rounded up. (B, H, W, C) -> (B, ceil((H - kernel) / stride) + 1, ..., C)."""
    if kernel > stride:  # such rows have a ReLU before it, as `ceil_max_pool` needs
        return ceil_max_pool(x, kernel, stride, name)
    return layers.MaxPooling2D(kernel, stride, padding="same", name=name)(x)


def _pool(x, step, name):
    """Max or average pooling, or both: added, or side by side. Sides are rounded up."""
    kernel, stride, _ = _geometry(step)
    if step.startswith((_ADDED, _BESIDE)):
        both = [_pool(x, f"{kind}{kernel}/{stride}/0", f"{name}_{kind}") for kind in ("max", "avg")]
        merge = layers.Add if step.startswith(_ADDED) else layers.Concatenate
        return merge(name=name)(both)
    if step.startswith("max"):
        return _max_pool(x, kernel, stride, name)
    return layers.AveragePooling2D(kernel, stride, padding="same", name=name)(x)


def _row(x, filters, steps, index, dropout, before=(), dtype=None):
    """A convolution and what follows it. (B, H, W, C) -> (B, H', W', C').

    `before` are the maps that the rows before wrote.
    """
    name = f"conv{index}"
    x = _conv(x, filters, *_geometry(steps[0]), name, dtype)
    for step in steps[1:]:
        if step == "bn":
            x = layers.BatchNormalization(epsilon=1e-5, name=f"{name}_bn", dtype=dtype)(x)
        elif step == "relu":
            x = layers.ReLU(name=f"{name}_relu", dtype=dtype)(x)
        elif step.startswith("add"):
            added = before[-int(step.removeprefix("add"))]
            x = layers.Add(name=f"{name}_add")([x, added])
        elif step.startswith("cat"):
            older = before[-int(step.removeprefix("cat"))]
            x = layers.Concatenate(name=f"{name}_cat")([older, x])
        elif "/" in step:
            x = _pool(x, step, f"pool{index}")
        else:
            x = dropped(x, _rate(step, dropout), f"drop{index}")
    return x


def chain(x, rows, alpha, dropout):
    """All rows but the last, which is the classifier. (B, H, W, C) -> (B, H', W', C')."""
    written = []
    for index, row in enumerate(rows[:-1], start=1):
        filters, *steps = row.split()
        x = _row(x, width(int(filters), alpha), steps, index, dropout, written)
        written.append(x)
    return x


def chain_top(x, rows, classes, dropout, activation):
    """The last row. (B, H, W, C) -> (B, classes)."""
    first, *steps = rows[-1].split()
    if first == "conv":
        x = _row(x, classes, steps[:-1], len(rows), dropout, dtype="float32")
        x = globally_pooled(x, POOLED[steps[-1]], dtype="float32")
        return activated(x, activation)
    x = flatten(x) if first == "dense" else globally_pooled(x, POOLED[first])
    rate = _rate(steps[0], dropout) if len(steps) == 2 else 0
    return classifier(x, classes, rate, activation)


def _shrinking(rows, side):
    """Which strided layers make their map smaller; None where a map is empty."""
    found = set()
    for index, step in enumerate(step for row in rows for step in row.split() if "/" in step):
        kernel, stride, padding = _geometry(step)
        room = side + 2 * padding - kernel
        after = (-(-room // stride) if step.startswith(("max", "avg")) else room // stride) + 1
        if after < 1:
            return None
        if after < side and stride > 1:
            found.add(index)
        side = after
    return found


def chain_min_size(rows, side):
    """The smallest side at which every strided layer that shrinks its map at `side` still does.

    A few released networks pool a map of 1x1: at their own input that layer changes nothing. Where
    unpadded convolutions leave nothing of `side`, its doubles are tried.
    """
    while (wanted := _shrinking(rows, side)) is None:
        side *= 2
    maps = ((least, _shrinking(rows, least)) for least in range(1, side + 1))
    return next(least for least, found in maps if found is not None and found >= wanted)
