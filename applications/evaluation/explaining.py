"""Where a network looks: class activation maps, Grad-CAM, guided backpropagation, first kernels.

>>> explanation = applications.explain("runs/resnet20-cifar10-s0", "frog.png")
>>> explanation.label, explanation.map.shape
('frog', (32, 32))

- "cam": class activation mapping. Zhou et al. 2016, arXiv:1512.04150. For networks that end in
  global average pooling and at most one linear layer.
- "gradcam": Grad-CAM. Selvaraju et al. 2017, arXiv:1610.02391. For all others.
- "guided": guided backpropagation. Springenberg et al. 2015, arXiv:1412.6806, section 3.4.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from PIL import Image

from applications.data.images import read_images, resize_images
from applications.evaluation.networks import Network, flat, logits_of, opened
from applications.files import check_file, write_atomic
from applications.runs import Run
from keras_archs.graph import Call, calls
from keras_archs.kinds import DROPOUTS, PADDINGS, POOLS, relu_bound
from keras_archs.surgery.rewiring import rebuilt, rewired

METHODS = ("cam", "gradcam", "guided")
TITLES = {"cam": "CAM", "gradcam": "Grad-CAM", "guided": "guided backpropagation"}


@dataclass(frozen=True, eq=False)
class Explanation:
    """What in an image speaks for a class.

    Attributes:
        image: as the network saw it, uint8 0..255, (H, W, C).
        map: (H, W), float32: 1 where the evidence for the class is strongest, 0 where there is
            none or evidence against it, and everywhere where nothing speaks for the class.
        label: the class.
        probability: that the network gives it, in 0..1.
        method: "cam", "gradcam" or "guided".
        network: name of the architecture.
    """

    image: np.ndarray
    map: np.ndarray
    label: str
    probability: float
    method: str
    network: str


def explain(
    run: Run | keras.Model | str | os.PathLike[str],
    image: np.ndarray | str | os.PathLike[str],
    *,
    class_name: str | None = None,
    method: str | None = None,
) -> Explanation:
    """Show where in an image a trained network finds a class.

    Args:
        run: a run folder, what `applications.load` returned, a functional or sequential
            `keras.Model` that classifies images, or the `.keras` file of one. Models may be nested
            in it; classes of a model that is no run are called "0", "1", ...
        image: uint8 0..255 of any size, (H, W) or (H, W, 1 or 3), or the path of an image file. It
            is resized as the run's own images were. For a model also an array of another type and
            the model's own shape (H, W, C), which is taken as it is.
        class_name: one of the labels. None: the most probable one.
        method: "cam", "gradcam" or "guided". None: "cam" where the network allows it, else
            "gradcam".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: an argument is not as described, the file is not a readable image, "cam" is
            asked for and the network has another head (the layer is named), or its last map has
            one place.
    """
    (explanation,) = explain_all(run, [image], class_name=class_name, method=method)
    return explanation


def explain_all(
    run: Run | Network | keras.Model | str | os.PathLike[str],
    images: Sequence[np.ndarray | str | os.PathLike[str]],
    *,
    class_name: str | None = None,
    method: str | None = None,
) -> list[Explanation]:
    """As `explain`, for several images: one explanation each, in their order."""
    if method is not None and method not in METHODS:
        raise ValueError(
            f"`method` must be None or one of {', '.join(METHODS)}. Received: method={method!r}"
        )
    network = run if isinstance(run, Network) else opened(run)
    if class_name is not None and class_name not in network.labels:
        raise ValueError(
            f"`class_name` must be one of {', '.join(network.labels)}. "
            f"Received: class_name={class_name!r}"
        )
    pixels = np.concatenate([_pixels(network, image) for image in images])
    probabilities = network.predict(pixels)
    if class_name is None:
        classes = probabilities.argmax(axis=1)
    else:
        classes = np.full(len(pixels), network.labels.index(class_name))
    model = flat(network.model)
    method = method or ("gradcam" if cam_obstacle(model) else "cam")
    maps = _MAPS_OF[method](model, pixels, classes)
    return [
        Explanation(
            image=image,
            map=_shares(raw, (image.shape[0], image.shape[1])),
            label=network.labels[index],
            probability=float(row[index]),
            method=method,
            network=network.config["arch"],
        )
        for image, raw, row, index in zip(pixels, maps, probabilities, classes, strict=True)
    ]


def _pixels(network: Run | Network, image: np.ndarray | str | os.PathLike[str]) -> np.ndarray:
    """One image (1, H, W, C) as the network takes it."""
    images = image[None] if isinstance(image, np.ndarray) else [image]
    if isinstance(network, Network):
        return network.pixels(images)
    shape, resize = network.model.input_shape[1:], network.config["resize"]
    if isinstance(images, np.ndarray):
        return resize_images(images, shape, resize)
    return read_images(images, shape, resize)


def _shares(raw: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map of evidence, its negative values cut off, in 0..1 and at this size."""
    positive = np.maximum(raw, 0)
    shares = positive / (positive.max() or 1)
    height, width = size
    enlarged = Image.fromarray(shares).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(enlarged, np.float32)


# ----------------------------------------------------------------------------------------- the maps


def class_activation_map(
    model: keras.Model, images: np.ndarray, classes: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Each place's contribution to the logit of a class, the bias left out.

    The mean of an image's map over all places, plus the bias, is the logit: global average pooling
    and a linear classifier may change places.

    Args:
        model: ends in global average pooling, layers that are linear at inference and an
            activation. One with a dict of outputs is explained by its `predictions`.
        images: (N, H, W, C), as the model takes them.
        classes: index of the class for each image, (N,).

    Returns:
        float32 (N, h, w), h and w being the sides of the last map.

    Raises:
        ValueError: the model ends otherwise; the layer in the way is named.
    """
    model = flat(model)
    if obstacle := cam_obstacle(model):
        raise ValueError(f"{obstacle} Received: method='cam'")
    logits = logits_of(model)
    pooling = _before_classifier(model, logits)
    (last_map,), (pooled,) = pooling.inputs, pooling.outputs
    maps = _values(model.input, last_map, images)
    vectors = maps.reshape(-1, *pooled.shape[1:])
    with_bias = _values(pooled, logits, np.concatenate([vectors, np.zeros_like(vectors[:1])]))
    scores = (with_bias[:-1] - with_bias[-1]).reshape(*maps.shape[:3], -1)
    return scores[np.arange(len(scores)), :, :, np.asarray(classes)]


def grad_cam(
    model: keras.Model, images: np.ndarray, classes: Sequence[int] | np.ndarray
) -> np.ndarray:
    """The last map's channels, each weighted by the mean gradient of the class's logit, summed.

    The last map is that before the pooling, dropout and dense layers that end the network. The
    method's ReLU, which removes evidence against the class, is not applied.

    Args:
        model: ends in an activation. One with a dict of outputs is explained by its `predictions`.
        images: (N, H, W, C), as the model takes them.
        classes: index of the class for each image, (N,).

    Returns:
        float32 (N, h, w), h and w being the sides of the last map.

    Raises:
        ValueError: no map has more than one place.
    """
    model = flat(model)
    logits = logits_of(model)
    last_map = _last_map(model, logits)
    maps = _values(model.input, last_map, images)
    gradients = _gradient(last_map, logits, maps, classes)
    return (gradients.mean(axis=(1, 2), keepdims=True) * maps).sum(axis=-1)


def guided_gradients(
    model: keras.Model, images: np.ndarray, classes: Sequence[int] | np.ndarray
) -> np.ndarray:
    """The gradient of the class's logit by the image, where no ReLU lets a negative one pass.

    At every ReLU, a layer of its own or a layer's activation, ReLU6 included, a gradient passes
    where it is positive and the forward pass was not cut off.

    Args:
        model: ends in an activation. One with a dict of outputs is explained by its `predictions`.
        images: (N, H, W, C), as the model takes them.
        classes: index of the class for each image, (N,).

    Returns:
        float32 (N, H, W, C): by the network's input as it is after the model's own rescaling and
        normalisation layers.
    """
    model = flat(model)
    own = keras.Model(model.input, logits_of(model))
    guided = rewired(own, _guided_layers(own))
    pixels = guided.input
    for call in calls(guided):
        if isinstance(call.operation, layers.Rescaling | layers.Normalization):
            (pixels,) = call.outputs
    return _gradient(pixels, guided.output, _values(guided.input, pixels, images), classes)


_MAPS_OF: dict[str, Callable[..., np.ndarray]] = {
    "cam": class_activation_map,
    "gradcam": grad_cam,
    "guided": lambda *args: np.abs(guided_gradients(*args)).max(axis=-1),
}


# ------------------------------------------------------------------------------- a network's parts


def cam_obstacle(model: keras.Model) -> str | None:
    """Why there is no class activation map of this network; None where there is one."""
    model = flat(model)
    call = _before_classifier(model, logits_of(model))
    if isinstance(call.operation, layers.GlobalAveragePooling2D):
        if math.prod(call.inputs[0].shape[1:3]) > 1:
            return None
        return "`method` must be guided: the last map has one place; larger images have more."
    return (
        "`method` must be gradcam or guided: a class activation map needs global average pooling "
        f"before a linear classifier, and this network has layer `{call.operation.name}` there."
    )


def _before_classifier(model, logits) -> Call:
    """The last call whose output is no linear function of what it reads."""
    return next(call for call in reversed(_calls(model, logits)) if not _is_linear(call))


def _is_linear(call) -> bool:
    """Whether the call does the same linear thing at inference with a vector, wherever it is."""
    operation = call.operation
    if getattr(operation, "activation", keras.activations.linear) is not keras.activations.linear:
        return False
    shapes = [tensor.shape[1:] for tensor in (*call.inputs, *call.outputs)]
    of_vectors = all(math.prod(s) == max(s, default=1) for s in shapes if None not in s)
    kinds = (layers.Dense, layers.Conv2D, layers.Flatten, layers.Reshape, layers.Dropout)
    return (
        of_vectors
        and None not in sum(shapes, ())
        and isinstance(operation, (*kinds, layers.Activation, layers.Identity))
    )


def _last_map(model, logits):
    passive = (*POOLS, *DROPOUTS, *PADDINGS)
    for call in reversed(_calls(model, logits)):
        shape = call.outputs[0].shape
        is_map = len(shape) == 4 and math.prod(side or 2 for side in shape[1:3]) > 1
        if call.inputs and is_map and not isinstance(call.operation, passive):
            return call.outputs[0]
    raise ValueError("`model` must have a map of more than one place. Received: none has")


def _calls(model, logits):
    return calls(keras.Model(model.input, logits))


def _values(given, wanted, values: np.ndarray) -> np.ndarray:
    """What a network's symbolic tensor `wanted` is where `given` has these values: float32."""
    if wanted is given:
        return np.asarray(values, np.float32)
    model = keras.Model(given, wanted)
    if keras.backend.backend() == "jax":  # which compiles layer by layer outside of `predict`
        return np.asarray(model.predict_on_batch(values), np.float32)
    return np.asarray(ops.convert_to_numpy(model(values, training=False)), np.float32)


def _guided_layers(model) -> dict[str, list]:
    """By the name of each layer that applies ReLU, one that lets positive gradients alone pass."""
    guided = {}
    for call in calls(model):
        layer: Any = call.operation
        bound = relu_bound(layer)
        if bound is None:
            continue
        relu = _guided_relu(bound)
        if isinstance(layer, layers.ReLU):
            guided[layer.name] = [layers.Activation(relu, name=layer.name, dtype=layer.dtype)]
        else:
            shape, weights = call.inputs[0].shape, layer.get_weights()
            guided[layer.name] = [rebuilt(layer, shape, weights, activation=relu)]
    return guided


def _guided_relu(bound: float) -> Callable:
    @ops.custom_gradient
    def guided_relu(x):
        def backward(upstream):
            return ops.where((x > 0) & (x < bound), ops.maximum(upstream, 0), 0)

        return ops.clip(x, 0, bound), backward

    return guided_relu


def _cast(values: np.ndarray, dtype: str) -> Any:
    return ops.cast(values, dtype)


def _gradient(given, logits, values: np.ndarray, classes) -> np.ndarray:
    """Gradients of the given classes' logits where `given` has these values: float32, (N, ...)."""
    model: Any = keras.Model(given, logits)
    chosen = np.eye(logits.shape[-1], dtype=np.float32)[np.asarray(classes)]

    backend, tensor = keras.backend.backend(), _cast(values, given.dtype)
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensor)
            score: Any = ops.sum(model(tensor, training=False) * chosen)
        gradient = tape.gradient(score, tensor)
    elif backend == "jax":
        import jax

        def total(x, *variables):
            outputs, _ = model.stateless_call(*variables, x, training=False)
            return ops.sum(outputs * chosen)

        groups = model.trainable_variables, model.non_trainable_variables
        values_of = [[variable.value for variable in group] for group in groups]
        gradient = jax.jit(jax.grad(total))(tensor, *values_of)
    else:
        raise ValueError(
            f"`KERAS_BACKEND` must be tensorflow or jax for gradients. Received: {backend}"
        )
    return np.asarray(ops.convert_to_numpy(gradient), np.float32)


# ----------------------------------------------------------------------------------------- pictures


def save_explanations(explanations: Sequence[Explanation], path: str | os.PathLike[str]) -> None:
    """Draw each image beside its maps, laid over it in the colours of `inferno`.

    Explanations of one image that follow each other, or are of several networks, share its row.

    Args:
        explanations: at least one.
        path: a `.png` file. One that exists is replaced.
    """
    from matplotlib.figure import Figure

    check_file("path", path)
    groups: dict[bytes, list[Explanation]] = {}
    for explanation in explanations:
        groups.setdefault(explanation.image.tobytes(), []).append(explanation)
    width = 1 + max(map(len, groups.values()))
    abreast = min(len(groups), max(1, 6 // width))
    rows = math.ceil(len(groups) / abreast)
    figure = Figure((1.75 * width * abreast, 2.1 * rows))
    grid = figure.subplots(rows, width * abreast, squeeze=False)
    figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.18 / rows, wspace=0.04, hspace=0.24)
    for axes in grid.flat:
        axes.set_axis_off()
    cells = iter(grid.reshape(rows * abreast, width))
    for group, axes in zip(groups.values(), cells, strict=False):
        image = group[0].image
        grey = {"cmap": "gray", "vmin": 0, "vmax": 255}
        for place, explanation in zip(axes, [None, *group], strict=False):
            place.imshow(image.squeeze(), **grey)
            if explanation is None:
                continue
            opacity = 0.25 + 0.5 * explanation.map
            place.imshow(explanation.map, cmap="inferno", vmin=0, vmax=1, alpha=opacity)
            place.set_title(
                f"{_short(explanation.label)} {100 * explanation.probability:.1f} %\n"
                f"{explanation.network}, {TITLES[explanation.method]}",
                fontsize=7,
            )
    write_atomic(path, lambda file: figure.savefig(file, dpi=130, metadata={"Software": None}))


def _short(label: str, most: int = 24) -> str:
    """A label as matplotlib draws it: in one line, without its mathematics."""
    line = " ".join(label.split())
    line = line if len(line) <= most else f"{line[: most - 1]}…"
    return line.replace("$", r"\$")


def save_filters(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Draw the kernels of the first convolution, side by side.

    A weight of 0 is mid-grey, and the largest weight of all kernels is black or white. Kernels of
    three input channels are in colour; of other numbers than 1 and 3 there is one row a channel.

    Args:
        model: has a two-dimensional convolution.
        path: a `.png` file. One that exists is replaced.

    Raises:
        ValueError: the model has no convolution.
    """
    check_file("path", path)
    convolutions = (
        c.operation for c in calls(flat(model)) if isinstance(c.operation, layers.Conv2D)
    )
    first = next(convolutions, None)
    if first is None:
        raise ValueError("`model` must have a convolution. Received: a network without one")
    tiles = _tiles(np.asarray(ops.convert_to_numpy(first.kernel), np.float32))
    scale = max(1, 32 // tiles.shape[2])
    pixels = np.rint(127.5 + 127.5 * tiles / (np.abs(tiles).max() or 1)).astype(np.uint8)
    pixels = pixels.repeat(scale, axis=2).repeat(scale, axis=3)
    framed = np.pad(pixels, ((0, 0), (0, 0), (2, 2), (2, 2), (0, 0)), constant_values=255)
    rows, columns, height, width, channels = framed.shape
    picture = framed.swapaxes(1, 2).reshape(rows * height, columns * width, channels)
    if channels == 1:
        picture = picture[..., 0]
    write_atomic(path, Image.fromarray(picture).save)


def _tiles(kernel: np.ndarray) -> np.ndarray:
    """Kernels (kh, kw, in, out) as a grid of tiles (rows, columns, kh, kw, 1 or 3)."""
    kh, kw, inputs, outputs = kernel.shape
    if inputs not in (1, 3):
        return kernel.transpose(2, 3, 0, 1)[..., None]
    columns = math.ceil(math.sqrt(outputs))
    rows = math.ceil(outputs / columns)
    tiles = np.zeros((rows * columns, kh, kw, inputs), kernel.dtype)
    tiles[:outputs] = kernel.transpose(3, 0, 1, 2)
    return tiles.reshape(rows, columns, kh, kw, inputs)
