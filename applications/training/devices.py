"""Training on several devices at once, each of which computes its share of every batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import keras

from applications.training.results import EVALUATION_BATCH

Devices = int | Literal["all"] | None


def device_count(devices: Devices, batch_size: int, validation: int) -> int:
    """How many devices a training uses.

    Args:
        devices: a number, "all", or None for one.
        batch_size: images a step.
        validation: images of the validation split.

    Raises:
        ValueError: there are not so many, they do not divide the batch, the validation images are
            too few for them, or the backend cannot.
    """
    if devices in (None, 1):
        return 1
    if keras.backend.backend() not in ("jax", "tensorflow"):
        raise ValueError(
            "`devices` must be 1 on backends other than JAX and TensorFlow. "
            f"Received: devices={devices}, backend={keras.backend.backend()}"
        )
    there = len(_devices())
    number = there if devices == "all" else int(devices or 1)
    if number > there:
        raise ValueError(
            f"`devices` must be at most {there}, which is what {keras.backend.backend()} has here. "
            f"Received: devices={devices}"
        )
    if batch_size % number:
        raise ValueError(
            f"`batch_size` must be a multiple of the {number} devices, such as "
            f"{-(-batch_size // number) * number}. Received: batch_size={batch_size}"
        )
    if keras.backend.backend() == "tensorflow" and validation % number and validation < 2 * number:
        raise ValueError(
            f"`devices` must be 1 on tensorflow, or the data have {number} or at least "
            f"{2 * number} validation images for {number} devices. "
            f"Received: devices={devices}, {validation} validation images"
        )
    return number


@contextmanager
def on_devices(number: int) -> Iterator[None]:
    """What is built and trained in here is on so many devices: the same weights on each of them.

    What several hosts need (`jax.distributed`, `TF_CONFIG`) is left to the backends.

    Args:
        number: of devices, as `device_count` found it.
    """
    if number == 1:
        yield
    elif keras.backend.backend() == "jax":
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(_DataParallel(devices=_devices()[:number]))
        try:
            yield
        finally:
            keras.distribution.set_distribution(before)
    else:
        import tensorflow as tf

        devices = _devices()[:number]
        # The default, NCCL, is for GPUs alone.
        together = None if "GPU" in devices[0] else tf.distribute.ReductionToOneDevice()
        with tf.distribute.MirroredStrategy(devices, together).scope():
            yield


def batch_starts(images: int, devices: int) -> list[int]:
    """Where the batches of a split begin that is evaluated, and where the last one ends.

    Devices divide batches as the first one lets them. JAX divides all evenly or none: then each
    device computes all. TensorFlow wants an even first batch, and in all an image for each
    device, as `device_count` sees to.
    """
    size = EVALUATION_BATCH
    if images % devices == 0:
        size = size // devices * devices
    elif keras.backend.backend() == "jax":
        size = next(side for side in range(size, 0, -1) if side % devices)
    else:
        size = max(1, min(size, images // 2) // devices) * devices
    starts = list(range(0, images, size))
    if images - starts[-1] < devices and len(starts) > 1 and images % devices:
        starts.pop()
    return [*starts, images]


def synchronized(network: keras.Model, on: bool) -> None:
    """Whether BatchNorm takes the statistics of a whole batch; on JAX, which always does, no-op."""
    if keras.backend.backend() != "tensorflow":
        return
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = on


def sum_gradients(optimizer: Any, number: int) -> None:
    """How TensorFlow adds the gradients of the devices. Keras offers no public place for either.

    On one device nothing is to be added. Keras would call TensorFlow's sum all the same, which has
    a gradient of its own, and the table of those keeps the graph of the step for as long as the
    process lives: its memory grows with every training (`benchmarks/soak.py`).

    On several, the gradient of a whole batch is clipped, as one device does, not each device's.
    """
    if keras.backend.backend() != "tensorflow":
        return
    if number == 1:
        scaled = getattr(optimizer, "inner_optimizer", optimizer)  # of mixed_float16
        for each in getattr(scaled, "optimizers", [scaled]):  # of rates by layer
            each._all_reduce_sum_gradients = lambda pairs: pairs
        return
    import tensorflow as tf

    clip = optimizer._clip_gradients  # between the gradients and their sum

    def together(gradients: list[Any]) -> list[Any]:
        replica: Any = tf.distribute.get_replica_context()
        whole = replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        return [each / number for each in clip(whole)]  # which are summed again

    optimizer._clip_gradients = together


def on_one_device(network: keras.Model) -> keras.Model:
    """A copy whose variables are of no strategy of TensorFlow's, to be called outside of it."""
    synchronized(network, on=False)
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def _devices() -> list[str]:
    if keras.backend.backend() == "jax":
        return keras.distribution.list_devices()
    import tensorflow as tf

    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in found]


class _DataParallel(keras.distribution.DataParallel):
    """Keras', which also takes batches that the devices do not divide: each then computes all."""

    def get_data_layout(self, data_shape: Any) -> Any:
        layout: Any = super().get_data_layout(data_shape)
        if data_shape[0] % self.device_mesh.devices.size:
            return keras.distribution.TensorLayout([None] * len(data_shape), layout.device_mesh)
        return layout
