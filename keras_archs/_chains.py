"""Chains of layers that are spelled out as rows of text, as SimpNet and SimpleNet are released.

simpnet.py explains the rows. Padding and rounding are Caffe's.
"""

from keras import layers

from keras_archs._architecture import activated, classifier, dropped, flatten, width
from keras_archs._layers import ceil_max_pool


def _geometry(step):
    """Kernel, stride and padding of "3/1/1" or "max2/2/0"."""
    kernel, stride, padding = map(int, step.removeprefix("max").split("/"))
    return kernel, stride, padding


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


def _global_pool(x, kind, dtype=None):
    if kind == "gmp":
        return layers.GlobalMaxPooling2D(name="max_pool", dtype=dtype)(x)
    return layers.GlobalAveragePooling2D(name="avg_pool", dtype=dtype)(x)


def _row(x, filters, steps, index, dropout, dtype=None):
    """A convolution and what follows it. (B, H, W, C) -> (B, H', W', filters)."""
    name = f"conv{index}"
    x = _conv(x, filters, *_geometry(steps[0]), name, dtype)
    for step in steps[1:]:
        if step == "bn":
            x = layers.BatchNormalization(epsilon=1e-5, name=f"{name}_bn", dtype=dtype)(x)
        elif step == "relu":
            x = layers.ReLU(name=f"{name}_relu", dtype=dtype)(x)
        elif step.startswith("max"):
            kernel, stride, _ = _geometry(step)
            x = _max_pool(x, kernel, stride, f"pool{index}")
        else:
            x = dropped(x, _rate(step, dropout), f"drop{index}")
    return x


def chain(x, rows, alpha, dropout):
    """All rows but the last, which is the classifier. (B, H, W, C) -> (B, H', W', C')."""
    for index, row in enumerate(rows[:-1], start=1):
        filters, *steps = row.split()
        x = _row(x, width(int(filters), alpha), steps, index, dropout)
    return x


def chain_top(x, rows, classes, dropout, activation):
    """The last row. (B, H, W, C) -> (B, classes)."""
    first, *steps = rows[-1].split()
    if first == "conv":
        x = _row(x, classes, steps[:-1], len(rows), dropout, dtype="float32")
        x = _global_pool(x, steps[-1], dtype="float32")
        return activated(x, activation)
    x = flatten(x) if first == "dense" else _global_pool(x, first)
    rate = _rate(steps[0], dropout) if len(steps) == 2 else 0
    return classifier(x, classes, rate, activation)


def _shrinking(rows, side):
    """Which strided layers make their map smaller; none where a map is empty."""
    found = set()
    for index, step in enumerate(step for row in rows for step in row.split() if "/" in step):
        kernel, stride, padding = _geometry(step)
        room = side + 2 * padding - kernel
        after = (-(-room // stride) if step.startswith("max") else room // stride) + 1
        if after < 1:
            return set()
        if after < side and stride > 1:
            found.add(index)
        side = after
    return found


def chain_min_size(rows, side):
    """The smallest side at which every strided layer that shrinks its map at `side` still does.

    A few released networks pool a map of 1x1: at their own input that layer changes nothing.
    """
    wanted = _shrinking(rows, side)
    return next(least for least in range(1, side + 1) if _shrinking(rows, least) >= wanted)
