"""Dense evaluation: a classifier of images as a network that maps images of any size."""

from typing import Any, NamedTuple

import keras
from keras import layers

from keras_archs.graph import Call, Graph, calls, graph_of
from keras_archs.kinds import (
    ACTIVATIONS,
    GLOBAL_POOLS,
    MERGES,
    ONLY_IN_TRAINING,
    WITH_KERNEL,
    image_channels,
    is_a,
    is_plain,
    mixes_channels,
    unfit,
)
from keras_archs.surgery.rewiring import graphs, rewired

_WINDOWS = {  # over maps, of the global poolings
    layers.GlobalAveragePooling2D: layers.AveragePooling2D,
    layers.GlobalMaxPooling2D: layers.MaxPooling2D,
}


def to_fully_convolutional(model: keras.Model) -> keras.Model:
    """The network for images of any size from its own up: a map of predictions instead of one.

    A dense layer after a flatten becomes a convolution with a kernel of the map's size, the dense
    layers after it 1x1 convolutions, and a global pooling one over the map's size with stride 1
    (Simonyan & Zisserman 2014, arXiv:1409.1556, section 3.2; Sermanet et al. 2013,
    arXiv:1312.6229, section 3.5). An image of the model's own size gives the same predictions,
    of shape (B, 1, 1, classes); a larger one (B, rows, columns, classes), about one for each
    window of the own size, in steps of the network's total stride; exactly that where no layer
    pads.

    Args:
        model: has one input, images of fixed sides. Auxiliary outputs are converted too.

    Raises:
        ValueError: the model has another input, or a layer whose work on a vector cannot be done on
            each place of a map; the message names it.
    """
    (_, graph), *_ = graphs(model)
    channels = image_channels(graph)
    replace, _ = _on_maps(graph, "", [None])
    return rewired(model, replace, (None, None, channels))


class _Window(NamedTuple):
    """Of a vector of the model: the part of the copy's map that holds it, the channels fastest."""

    height: int
    width: int
    channels: int

    @property
    def is_one_place(self) -> bool:
        return self.height == self.width == 1


def _on_maps(graph: Graph, prefix: str, windows: list) -> tuple[dict, list]:
    """What to replace, and the windows of the outputs, for inputs with these windows.

    A tensor without a window is a map in the model too: there None stands for it.
    """
    replace: dict[str, list] = {}
    known = dict(zip(map(id, graph.inputs), windows, strict=True))
    for call in calls(graph):
        path = f"{prefix}{call.operation.name}"
        read = [known[id(tensor)] for tensor in call.inputs]
        nested = graph_of(call.operation)
        if not call.inputs:
            continue
        if nested is not None:
            inner, written = _on_maps(nested, f"{path}/", read)
            replace |= inner
        else:
            places, window = _on_map(call, read, path)
            replace[path] = places
            written = [window] * len(call.outputs)
        known |= zip(map(id, call.outputs), written, strict=True)
    return replace, [known[id(tensor)] for tensor in graph.outputs]


def _on_map(call: Call, read: list, path: str) -> tuple[list, _Window | None]:
    """The layers in place of this call's, and the window of its output."""
    layer: Any = call.operation
    first = getattr(layer, "data_format", None) == "channels_first"
    if first and is_a(layer, *WITH_KERNEL, *GLOBAL_POOLS, layers.Flatten):
        raise unfit("have its channels last", path, layer)
    given, wanted = call.inputs[0].shape, call.outputs[0].shape
    flattens = is_a(layer, layers.Flatten, layers.Reshape) and len(wanted) == 2
    if None not in read:
        window, *others = read
        one_place = all(other.is_one_place for other in read)
        if flattens:
            return [], window
        if is_a(layer, layers.Dense) and is_plain(layer):
            return [_as_convolution(layer, window)], _Window(1, 1, layer.units)
        if _does_on_map(layer, one_place):
            return [layer], window._replace(channels=wanted[-1]) if one_place else window
    elif not any(read):
        pool = next((p for kind, p in _WINDOWS.items() if is_a(layer, kind)), None)
        if (flattens or pool) and None in given[1:]:
            raise unfit("have maps of fixed sides before its classifier", path, layer)
        if flattens:
            return [], _Window(*given[1:])
        if pool:
            place = pool(given[1:3], 1, name=layer.name, dtype=layer.dtype_policy)
            return [place], _Window(1, 1, given[-1])
        if len(wanted) == 4 and not is_a(layer, layers.Reshape):
            return [layer], None
    raise unfit("have layers that work on each place of a map", path, layer)


def _does_on_map(layer, one_place: bool) -> bool:
    """Whether it computes on the last axis of a map what it does with a vector in the model.

    In `one_place` the vector lies along that axis, else over several places.
    """
    if is_a(layer, *ONLY_IN_TRAINING):
        return True
    if is_a(layer, *ACTIVATIONS):
        return (one_place and getattr(layer, "axis", -1) == -1) or not mixes_channels(layer)
    if is_a(layer, layers.Conv2D):
        return one_place and layer.kernel_size == (1, 1)
    if is_a(layer, layers.BatchNormalization, *MERGES):
        return one_place and getattr(layer, "axis", -1) == -1
    return False


_OF_BOTH = (
    *("name", "trainable", "dtype", "activation", "use_bias", "kernel_initializer"),
    *("bias_initializer", "kernel_regularizer", "bias_regularizer", "activity_regularizer"),
    *("kernel_constraint", "bias_constraint"),
)


def _as_convolution(dense, window: _Window) -> layers.Conv2D:
    """The convolution that does on each window of a map what the dense layer does on one."""
    shared = {name: value for name, value in dense.get_config().items() if name in _OF_BOTH}
    size = {"filters": dense.units, "kernel_size": (window.height, window.width)}
    convolution = layers.Conv2D.from_config({**shared, **size})
    convolution.build((None, None, None, window.channels))
    kernel, *bias = dense.get_weights()
    convolution.set_weights([kernel.reshape(*window, dense.units), *bias])
    return convolution
