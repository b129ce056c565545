"""What goes on inside a network while it learns, on every backend, and on its device.

Nothing here changes the network: its weights, statistics and random states stay as they are.
"""

import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_archs.graph import at_size, graph_of, outputs_of
from keras_archs.kinds import relu_bound


def named_kernels(model: keras.Model) -> dict[str, keras.Variable]:
    """Kernels of the layers by name, from the input to the classifier: `01_conv1`, `02_...`."""
    found = [
        (layer, variable)
        for layer in model.layers
        for variable in layer.trainable_variables
        if variable.name.endswith("kernel")
    ]
    return _numbered([layer for layer, _ in found], [kernel for _, kernel in found])


class Gradients:
    """Gradients of the mean cross-entropy of some images with respect to the kernels.

    The network runs as in training (batch statistics, dropout); weight decay is not part of the
    loss. Compiled once.
    """

    def __init__(self, model: keras.Model):
        self.kernels = named_kernels(model)
        self._model = model
        places = {id(v): place for place, v in enumerate(model.trainable_variables)}
        self._places = [places[id(kernel)] for kernel in self.kernels.values()]
        self._function = self._compiled()

    def __call__(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """By the names of `named_kernels`, each of its kernel's shape.

        Args:
            images: as the network takes them, (N, H, W, C).
            labels: class indices (N,).
        """
        trainable = [ops.convert_to_tensor(v) for v in self._model.trainable_variables]
        others = [ops.convert_to_tensor(v) for v in self._model.non_trainable_variables]
        found = self._function(trainable, others, images, labels)
        arrays = [np.asarray(ops.convert_to_numpy(found[place])) for place in self._places]
        return dict(zip(self.kernels, arrays, strict=True))

    def _loss(self, trainable, others, images, labels):
        called = self._model.stateless_call(trainable, others, images, training=True)
        outputs: Any = called[0]
        if isinstance(outputs, dict):  # auxiliary classifiers beside the network's own
            outputs = outputs["predictions"]
        return ops.mean(keras.losses.sparse_categorical_crossentropy(labels, outputs))

    def _compiled(self):
        backend = keras.backend.backend()
        if backend == "jax":
            import jax

            return jax.jit(jax.grad(self._loss))
        if backend == "tensorflow":
            import tensorflow as tf

            @tf.function
            def gradients(trainable, others, images, labels):
                with tf.GradientTape() as tape:
                    tape.watch(trainable)
                    loss: Any = self._loss(trainable, others, images, labels)
                return tape.gradient(loss, trainable)

            return gradients
        raise ValueError(f"gradients need TensorFlow or JAX. Received: backend={backend!r}")


def dead_relus(model: keras.Model, images: np.ndarray) -> dict[str, float]:
    """Share of the channels of each ReLU that are 0 for all images, everywhere: by layer, 0..1."""
    tensors = outputs_of(model)
    layers = [x for x in model.layers if relu_bound(x) is not None and x.name in tensors]
    if not layers:
        return {}
    outputs = _called(model, [tensors[layer.name] for layer in layers], images)
    silent = [(output <= 0).all(axis=tuple(range(output.ndim - 1))) for output in outputs]
    return _numbered(layers, [float(channels.mean()) for channels in silent])


def activation_maps(model: keras.Model, images: np.ndarray, most: int = 8) -> dict[str, np.ndarray]:
    """The last maps of each resolution, by layer: (N, h, w, at most `most` channels)."""
    if graph_of(model) is not None and None in model.input_shape[1:3]:
        model = at_size(model, *images.shape[1:3])
    last: dict[Any, keras.Layer] = {}
    tensors = outputs_of(model)
    for layer in model.layers:
        shape = getattr(tensors.get(layer.name), "shape", ())
        if len(shape) == 4 and shape[1] and shape[1] > 1 and layer.weights:
            last[shape[1:3]] = layer
    if not last:
        return {}
    outputs = _called(model, [tensors[layer.name] for layer in last.values()], images)
    return _numbered(last.values(), [maps[..., :most] for maps in outputs])


def _numbered(layers: Iterable[keras.Layer], values: Sequence) -> dict[str, Any]:
    """By the layers' names, each with its place, so that names sort as the layers do."""
    digits = len(str(len(values)))
    return {
        f"{place:0{digits}}_{layer.name}": value
        for place, (layer, value) in enumerate(zip(layers, values, strict=True), start=1)
    }


def _called(model: keras.Model, tensors: list, images: np.ndarray) -> list[np.ndarray]:
    """Values of inner tensors for these images, as in use: float32 whatever the precision is."""
    # A dict, for of a list of one Keras returns its element.
    inner = keras.Model(model.inputs[0], {str(place): t for place, t in enumerate(tensors)})
    # Not `predict`, which compiles: that takes longer than to run it once.
    outputs: Any = inner(images, training=False)
    found = (ops.convert_to_numpy(outputs[str(place)]) for place in range(len(tensors)))
    return [np.asarray(values, np.float32) for values in found]


# ------------------------------------------------------------------------------------- the device


def device_name() -> str | None:
    """Name of the first GPU that the backend uses; None without one."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        device = jax.local_devices()[0]
        return None if device.platform == "cpu" else device.device_kind
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        return tf.config.experimental.get_device_details(gpus[0])["device_name"] if gpus else None
    return None


def device_figures(gpu: bool) -> dict[str, float]:
    """What is known of: `memory_mib` of the GPU now, `peak_memory_mib`, `utilisation` in 0..1.

    Without a GPU the peak memory is that of the process. Utilisation is that of the last moments,
    by NVIDIA's library where it is installed.
    """
    return _gpu_figures() if gpu else _process_figures()


def _gpu_figures() -> dict[str, float]:
    if keras.backend.backend() == "jax":
        import jax

        found = jax.local_devices()[0].memory_stats() or {}
        now, peak = found.get("bytes_in_use"), found.get("peak_bytes_in_use")
    else:
        import tensorflow as tf

        found = tf.config.experimental.get_memory_info("GPU:0")
        now, peak = found["current"], found["peak"]
    figures = {"memory_mib": now, "peak_memory_mib": peak}
    figures = {name: value / 2**20 for name, value in figures.items() if value is not None}
    return figures | _utilisation()


def _utilisation() -> dict[str, float]:
    try:
        nvml = importlib.import_module("pynvml")
    except ModuleNotFoundError:
        return {}
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    try:
        nvml.nvmlInit()
        by_name = not chosen.isdecimal()
        find = nvml.nvmlDeviceGetHandleByUUID if by_name else nvml.nvmlDeviceGetHandleByIndex
        handle = find(chosen if by_name else int(chosen))
        return {"utilisation": nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100}
    except nvml.NVMLError:
        return {}


def _process_figures() -> dict[str, float]:
    if sys.platform == "win32":
        return {}
    import resource

    unit = 1 if sys.platform == "darwin" else 2**10
    return {"peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20}


class Profiler:
    """The backend's own profiler, which writes a trace for TensorBoard and Perfetto.

    Raises:
        ValueError: the backend has none.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        backend = keras.backend.backend()
        if backend == "jax":
            import jax

            start, self._stop = jax.profiler.start_trace, jax.profiler.stop_trace
        elif backend == "tensorflow":
            import tensorflow as tf

            start, self._stop = tf.profiler.experimental.start, tf.profiler.experimental.stop
        else:
            raise ValueError(
                f"`profile_steps` needs TensorFlow or JAX. Received: backend={backend!r}"
            )
        start(str(folder))

    def stop(self) -> None:
        self._stop()
