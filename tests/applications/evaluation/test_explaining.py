"""Where a network looks: exact properties of the maps, and a task whose answer is known."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from networks import ONE_A_FAMILY
from PIL import Image

import applications
import keras_archs
from applications.cli.commands import app
from applications.evaluation.explaining import (
    METHODS,
    Explanation,
    cam_obstacle,
    class_activation_map,
    explain_all,
    grad_cam,
    guided_gradients,
    save_explanations,
    save_filters,
)
from applications.runs import write_config, write_json


def images(count=2, side=32, channels=3):
    return np.random.default_rng(0).normal(size=(count, side, side, channels)).astype(np.float32)


# ----------------------------------------------------------------------- class activation maps


def gap_network(bias=True):
    """(B, 8, 8, 3) -> 4 probabilities; the classifier is a dense layer with its own softmax."""
    x = given = keras.Input((8, 8, 3))
    x = layers.Conv2D(5, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    normal = keras.initializers.RandomNormal(seed=3)
    x = layers.Dense(4, "softmax", use_bias=bias, bias_initializer=normal)(x)
    return keras.Model(given, x)


def logits_of(model, x):
    """By the logarithm of the probabilities, but for a constant of each image."""
    logarithms = np.log(np.asarray(model.predict_on_batch(x), np.float64))
    return logarithms - logarithms.mean(axis=1, keepdims=True)


def test_the_mean_of_a_class_activation_map_and_the_bias_are_the_logit():
    model, x = gap_network(), images(side=8)
    means = np.stack(
        [class_activation_map(model, x, [k, k]).mean(axis=(1, 2)) for k in range(4)], axis=1
    )
    sums = means + model.layers[-1].get_weights()[1]
    expected = logits_of(model, x)
    np.testing.assert_allclose(sums - sums.mean(axis=1, keepdims=True), expected, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_a_class_activation_map_is_grad_cam_times_the_number_of_places(bias):
    model, x = gap_network(bias), images(side=8)
    cam = class_activation_map(model, x, [0, 2])
    assert cam.shape == (2, 4, 4)
    np.testing.assert_allclose(cam, grad_cam(model, x, [0, 2]) * 16, rtol=1e-4, atol=1e-6)


def test_a_convolution_before_the_pooling_is_its_own_class_activation_map():
    x = given = keras.Input((8, 8, 3))
    maps = layers.Conv2D(4, 3, activation="relu", name="conv10")(x)
    x = layers.Activation("softmax")(layers.GlobalAveragePooling2D()(maps))
    model, values = keras.Model(given, x), images(side=8)
    expected = keras.Model(given, maps).predict_on_batch(values)[[0, 1], :, :, [3, 1]]
    np.testing.assert_allclose(class_activation_map(model, values, [3, 1]), expected, atol=1e-6)


def test_a_convolution_after_the_pooling_serves_as_a_dense_layer_does():
    x = given = keras.Input((8, 8, 3))
    maps = layers.Conv2D(5, 3, activation="relu")(x)
    x = layers.Conv2D(4, 1)(layers.GlobalAveragePooling2D(keepdims=True)(maps))
    model = keras.Model(given, layers.Softmax()(layers.Reshape((4,))(x)))
    values = images(side=8)
    weights = model.layers[-3].get_weights()[0][0, 0]
    expected = keras.Model(given, maps).predict_on_batch(values) @ weights
    cam = class_activation_map(model, values, [3, 1])
    np.testing.assert_allclose(cam, expected[[0, 1], :, :, [3, 1]], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "obstacle"),
    [
        *((name, None) for name in ("nincifar", "googlenet", "resnet20", "squeezenet")),
        *((name, None) for name in ("mobilenet", "mobilenetv2", "densenet40_12", "allcnn_c")),
        ("simpnet_300k", "max_pool"),
        ("lenet5", "f6"),
        ("fitnet19", "fc1"),
    ],
)
def test_which_architectures_have_class_activation_maps(name, obstacle):
    model = keras_archs.build(name, alpha=1 if name == "lenet5" else 1 / 8)
    found = cam_obstacle(model)
    if obstacle is None:
        assert found is None
    else:
        assert "must be gradcam or guided" in found
        assert f"`{obstacle}`" in found
        with pytest.raises(ValueError, match=obstacle):
            class_activation_map(model, images(side=model.input_shape[1]), [0, 0])


def test_auxiliary_outputs_are_left_out():
    model = keras_archs.GoogLeNet((64, 64, 3), 5, alpha=1 / 16, stem="small", aux=True)
    alone = keras.Model(model.input, model.output["predictions"])
    x = images(side=64)
    expected = class_activation_map(alone, x, [1, 4])
    np.testing.assert_allclose(class_activation_map(model, x, [1, 4]), expected, atol=1e-6)


def test_a_map_of_one_place_shows_nothing():
    model = keras_archs.MobileNet((32, 32, 3), 5, alpha=1 / 16)
    with pytest.raises(ValueError, match="one place; larger images have more"):
        class_activation_map(model, images(), [0, 0])


# --------------------------------------------------------------------------------------- Grad-CAM


def test_grad_cam_of_a_network_whose_answer_is_known():
    """logit = 3 max(first channel) - max(second one): gradients at the largest place alone."""
    given = keras.Input((2, 2, 2))
    maps = layers.Activation("linear")(given)
    x = layers.Dense(1, "sigmoid", use_bias=False)(layers.GlobalMaxPooling2D()(maps))
    model = keras.Model(given, x)
    model.layers[-1].set_weights([np.array([[3.0], [-1.0]])])
    value = np.array([[[[1, 0], [2, 5]], [[0, 1], [4, 2]]]], np.float32)
    # The mean of each gradient over four places: 3 / 4 and -1 / 4.
    expected = (3 * value[..., 0] - value[..., 1]) / 4
    np.testing.assert_allclose(grad_cam(model, value, [0]), expected, atol=1e-6)


def test_grad_cam_takes_the_map_before_the_pooling_and_dropout_that_end_a_network():
    x = given = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = layers.Dropout(0.5)(layers.MaxPooling2D()(x))
    x = layers.Dense(5)(layers.Flatten()(x))
    model = keras.Model(given, layers.Activation("softmax")(x))
    assert grad_cam(model, images(side=8), [0, 4]).shape == (2, 8, 8)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ONE_A_FAMILY if name != "mlp"])
def test_every_family_with_a_map_is_explained(name):
    least = keras_archs.info(name).min_size
    side = max(32, 2 * least)
    keras.utils.set_random_seed(0)
    model = keras_archs.build(name, (side, side, 3), 4, alpha=0.25)
    x = images(side=side)
    maps = grad_cam(model, x, [0, 3])
    assert len(maps) == 2 and min(maps.shape[1:]) > 1 and np.isfinite(maps).all()
    assert np.isfinite(guided_gradients(model, x, [0, 3])).all()


def test_an_image_is_explained_alone_as_it_is_in_a_batch():
    model, x = gap_network(), images(3, side=8)
    for function in (class_activation_map, grad_cam, guided_gradients):
        together = function(model, x, [0, 1, 2])
        np.testing.assert_allclose(together[1:2], function(model, x[1:2], [1]), atol=1e-6)


# ------------------------------------------------------------------------- guided backpropagation


def chain(activation, layer):
    """logit = -relu(x0) + 2 relu(x1) for the two channels of one pixel."""
    x = given = keras.Input((1, 1, 2))
    identity = keras.initializers.Identity()
    if layer:
        x = activation(x)
    else:
        x = layers.Dense(2, activation, kernel_initializer=identity)(x)
    x = layers.Dense(1, "sigmoid", kernel_initializer="ones")(layers.Flatten()(x))
    model = keras.Model(given, x)
    model.layers[-1].set_weights([np.array([[-1.0], [2.0]]), np.zeros(1)])
    return model


@pytest.mark.parametrize(
    ("activation", "layer"),
    [
        ("relu", False),
        ("relu6", False),
        (layers.ReLU(), True),
        (layers.ReLU(6.0), True),
        (layers.Activation("relu"), True),
    ],
)
def test_guided_gradients_pass_where_forward_and_backward_are_positive(activation, layer):
    model = chain(activation, layer)
    alive = np.array([[[[3, 4]]]], np.float32)
    dead = np.array([[[[3, -4]]]], np.float32)
    # The first channel's gradient is -1: it never passes.
    np.testing.assert_allclose(guided_gradients(model, alive, [0]), [[[[0, 2]]]], atol=1e-6)
    np.testing.assert_allclose(guided_gradients(model, dead, [0]), [[[[0, 0]]]], atol=1e-6)


def test_guided_gradients_do_not_pass_where_relu6_is_cut_off():
    above = np.array([[[[3, 7]]]], np.float32)
    for model, expected in ((chain("relu6", False), 0), (chain(layers.ReLU(), True), 2)):
        assert guided_gradients(model, above, [0])[0, 0, 0, 1] == expected


def test_guided_gradients_leave_the_network_as_it_was():
    model, x = gap_network(), images(side=8)
    before = model.predict_on_batch(x)
    assert guided_gradients(model, x, [0, 1]).shape == (2, 8, 8, 3)
    np.testing.assert_array_equal(model.predict_on_batch(x), before)


# ------------------------------------------------------------------------- a task with an answer


SIDE, SHAPE = 16, 5


def shapes(count, seed):
    """Bright shapes on noise: a filled square, or a ring with a hole of the noise's brightness.

    Returns images (N, 16, 16, 1), uint8, their classes, and where each shape's corner is.
    """
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 100, (count, SIDE, SIDE, 1))
    classes = random.integers(0, 2, count)
    corners = random.integers(0, SIDE - SHAPE + 1, (count, 2))
    for image, kind, (y, x) in zip(pixels, classes, corners, strict=True):
        inner = image[y + 1 : y + SHAPE - 1, x + 1 : x + SHAPE - 1].copy()
        image[y : y + SHAPE, x : x + SHAPE] += 150
        if kind:
            image[y + 1 : y + SHAPE - 1, x + 1 : x + SHAPE - 1] = inner
    return pixels.astype(np.uint8), classes, corners


def small_network(pooling):
    x = given = keras.Input((SIDE, SIDE, 1), dtype="uint8")
    x = layers.Rescaling(1 / 127.5, -1, dtype="float32")(x)
    for filters in (8, 16, 16):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.8)(x))
    x = pooling()(x)
    return keras.Model(given, layers.Dense(2, activation="softmax")(x))


def write_run(folder, model, labels):
    """A run folder as a training would leave it, as far as a prediction looks at it."""
    folder.mkdir()
    write_config(folder / "config.yaml", {"arch": "lenet5", "resize": "stretch"})
    write_json(folder / "labels.json", labels)
    write_json(folder / "metrics.json", {})
    model.save(folder / "model.keras")
    return folder


@pytest.fixture(scope="module", params=["average", pytest.param("max", marks=pytest.mark.slow)])
def trained(request, tmp_path_factory):
    """A run that has learnt the shapes, with global average or global max pooling."""
    keras.utils.set_random_seed(0)
    kinds = {"average": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
    model = small_network(kinds[request.param])
    model.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy")
    pixels, classes, _ = shapes(1000, seed=1)
    model.fit(pixels, classes, batch_size=50, epochs=8, verbose=0)
    run = write_run(tmp_path_factory.mktemp("run") / "run", model, ["square", "ring"])
    return request.param, applications.load(run)


@pytest.mark.parametrize("method", [None, "guided"])
def test_the_largest_evidence_lies_on_the_object(trained, method):
    pooling, run = trained
    pixels, classes, corners = shapes(60, seed=2)
    explanations = explain_all(run, list(pixels), method=method)
    right = [e.label == run.labels[kind] for e, kind in zip(explanations, classes, strict=True)]
    assert np.mean(right) > 0.9
    hits = []
    for explanation, corner in zip(explanations, corners, strict=True):
        assert explanation.method == (method or {"average": "cam", "max": "gradcam"}[pooling])
        peak = np.unravel_index(explanation.map.argmax(), explanation.map.shape)
        # The last map's places see three pixels around themselves.
        hits.append(np.all((peak >= corner - 3) & (peak < corner + SHAPE + 3)))
    assert np.mean(hits) > 0.9


def test_an_explanation_is_of_the_image_the_network_saw(trained, tmp_path):
    _, run = trained
    photograph = Image.new("RGB", (40, 30), "white")
    photograph.save(tmp_path / "white.png")
    explanation = applications.explain(run.path, tmp_path / "white.png")
    assert explanation.image.shape == (SIDE, SIDE, 1)
    assert explanation.map.shape == (SIDE, SIDE)
    assert explanation.map.dtype == np.float32
    assert explanation.map.min() >= 0
    assert explanation.map.max() <= 1
    assert explanation.network == "lenet5"
    probabilities = run.predict([str(tmp_path / "white.png")])[0]
    assert explanation.probability == pytest.approx(probabilities.max(), abs=1e-5)


def test_a_class_by_name_is_explained_whether_it_is_the_best_or_not(trained):
    _, run = trained
    (pixels,), _, _ = shapes(1, seed=3)
    both = [applications.explain(run, pixels, class_name=name) for name in run.labels]
    assert [explanation.label for explanation in both] == ["square", "ring"]
    assert sum(explanation.probability for explanation in both) == pytest.approx(1, abs=1e-5)
    assert np.abs(both[0].map - both[1].map).max() > 0.5


def test_bad_requests_are_refused(trained, tmp_path):
    pooling, run = trained
    (pixels,), _, _ = shapes(1, seed=3)
    with pytest.raises(ValueError, match="`method` must be None or one of cam, gradcam, guided"):
        applications.explain(run, pixels, method="lime")
    with pytest.raises(ValueError, match="`class_name` must be one of square, ring"):
        applications.explain(run, pixels, class_name="star")
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        applications.explain(run, tmp_path / "none.png")
    if pooling == "max":
        with pytest.raises(ValueError, match="must be gradcam or guided"):
            applications.explain(run, pixels, method="cam")


# ------------------------------------------------------------------------------- models of others


def backbone(pooling=True):
    """(B, 8, 8, 3) -> 6 features, or a map of them."""
    x = given = keras.Input((8, 8, 3))
    x = layers.Conv2D(5, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(given, layers.GlobalAveragePooling2D()(x) if pooling else x, name="back")


def nested(inner, activation="softmax"):
    x = given = keras.Input((8, 8, 3))
    x = inner(layers.Rescaling(1 / 255)(x))
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(given, layers.Dense(4, activation)(x), name="outer")


def inlined(model):
    """The same layers called one after the other, without a model inside."""
    x = given = keras.Input((8, 8, 3))
    for layer in model.layers[1:]:
        for part in layer.layers if isinstance(layer, keras.Model) else [layer]:
            x = x if isinstance(part, layers.InputLayer) else part(x)
    return keras.Model(given, x)


@pytest.mark.parametrize("function", [class_activation_map, grad_cam, guided_gradients])
@pytest.mark.parametrize("pooling", [True, False])
def test_a_nested_model_is_explained_as_its_layers_in_a_row(function, pooling):
    model, x = nested(backbone(pooling)), 255 * np.abs(images(side=8))
    found = function(model, x, [0, 2])
    expected = function(inlined(model), x, [0, 2])
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("function", [class_activation_map, grad_cam, guided_gradients])
def test_a_sequential_model_is_explained(function):
    kinds = [layers.Conv2D(6, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((8, 8, 3)), *kinds, layers.Dense(4, "softmax")])
    x = images(side=8)
    expected = function(keras.Model(model.inputs, model.outputs), x, [0, 2])
    np.testing.assert_allclose(function(model, x, [0, 2]), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("activation", ["softmax", None])
def test_any_model_is_explained_with_its_classes_called_by_number(activation):
    model = nested(backbone(), activation)
    picture = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    explanation = applications.explain(model, picture)
    assert (explanation.network, explanation.method) == ("outer", "cam")
    assert explanation.map.shape == (8, 8)
    outputs = model.predict_on_batch(explanation.image[None])[0]
    assert explanation.label == str(outputs.argmax())
    shares = outputs if activation else np.exp(outputs) / np.exp(outputs).sum()
    assert explanation.probability == pytest.approx(shares.max(), abs=1e-5)
    assert applications.explain(model, picture, class_name="3").label == "3"


def test_an_array_of_the_models_own_kind_is_taken_as_it_is():
    model, x = nested(backbone()), images(1, side=8)
    explanation = applications.explain(model, x[0])
    np.testing.assert_array_equal(explanation.image, x[0])


@pytest.mark.parametrize("kind", ["file", "model"])
def test_predict_takes_a_model_and_its_file(tmp_path, kind, capsys):
    model = nested(backbone())
    model.save(tmp_path / "mine.keras")
    Image.new("RGB", (9, 9), "red").save(tmp_path / "a.png")
    subject = tmp_path / "mine.keras" if kind == "file" else model
    ((path, best),) = applications.predict(subject, [tmp_path / "a.png"], top=4)
    assert sorted(label for label, _ in best) == list("0123")
    assert sum(probability for _, probability in best) == pytest.approx(1, abs=1e-5)
    if kind == "file":
        with pytest.raises(SystemExit) as ended:
            app(["predict", str(subject), path, "--explain", str(tmp_path / "why.png")])
        assert not ended.value.code
        assert (tmp_path / "why.png").is_file()


@pytest.mark.parametrize(
    "model",
    [
        keras.Sequential([keras.Input((5,)), layers.Dense(3)]),
        keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3)]),
    ],
)
def test_a_model_that_does_not_classify_images_is_an_error(model):
    with pytest.raises(ValueError, match="`model` must map images"):
        applications.explain(model, np.zeros((8, 8, 3), np.uint8))


# ----------------------------------------------------------------------------------------- pictures


def explanation(image, label="ring", method="cam", network="mine"):
    share = np.linspace(0, 1, image.shape[0] * image.shape[1], dtype=np.float32)
    return Explanation(image, share.reshape(image.shape[:2]), label, 0.75, method, network)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 5])
def test_explanations_are_drawn_in_one_picture(count, tmp_path):
    pixels, _, _ = shapes(count, seed=4)
    label = "$x_1$ <&> " + 30 * "long"
    drawn = [explanation(p, label, method) for method in METHODS for p in pixels]
    save_explanations(drawn, tmp_path / "out.png")
    first = (tmp_path / "out.png").read_bytes()
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.format == "PNG"
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 100
    save_explanations(drawn, tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == ["out.png"]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (5, "L")])
def test_the_first_kernels_are_drawn_on_one_scale(channels, mode, tmp_path):
    given = keras.Input((8, 8, channels))
    x = layers.Conv2D(7, 3)(layers.Rescaling(1.0)(given))
    model = keras.Model(given, layers.Conv2D(2, 5)(x))
    kernel = np.zeros((3, 3, channels, 7), np.float32)
    kernel[0, 0, 0, 0], kernel[2, 2, 0, 6] = -2, 1
    model.layers[2].set_weights([kernel, np.zeros(7)])
    save_filters(model, tmp_path / "filters.png")
    with Image.open(tmp_path / "filters.png") as picture:
        assert picture.mode == mode
        pixels = np.asarray(picture).reshape(picture.height, picture.width, -1)
    tile = 3 * (32 // 3) + 4
    across = {1: (3, 3), 3: (3, 3), 5: (5, 7)}[channels]
    assert pixels.shape[:2] == (across[0] * tile, across[1] * tile)
    assert sorted(set(pixels[..., 0].ravel())) == [0, 128, 191, 255]  # -2, 0, 1 and the frame


def test_a_network_without_a_convolution_has_no_kernels_to_draw(tmp_path):
    given = keras.Input((8, 8, 1))
    model = keras.Model(given, layers.Dense(2)(layers.Flatten()(given)))
    with pytest.raises(ValueError, match="`model` must have a convolution"):
        save_filters(model, tmp_path / "filters.png")


# ------------------------------------------------------------------------------- the command line


def test_predict_draws_what_it_is_asked_for(trained, tmp_path):
    _, run = trained
    pixels, _, _ = shapes(2, seed=5)
    files = [tmp_path / f"{number}.png" for number in range(2)]
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray(image[..., 0]).save(file)
    out, filters = tmp_path / "out.png", tmp_path / "filters.png"
    rows = applications.predict(run, files, explain=out, method="guided", filters=filters)
    assert rows == applications.predict(run, files)
    assert out.stat().st_size > filters.stat().st_size > 100
    for arguments in (["--explain", str(out)], ["--filters", str(filters)]):
        Path(arguments[1]).unlink()
        with pytest.raises(SystemExit) as ended:
            app([*("predict", str(run.path)), *map(str, files), *arguments])
        assert not ended.value.code
        assert Path(arguments[1]).exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--explain", "out.jpg"],
            "error: `explain` must be a .png file. Received: explain='out.j",
        ),
        (["--filters", "none/out.png"], "error: `filters` must be in an existing folder. Receiv"),
        (["--method", "cam"], "error: `method` must be given with `explain`. Received: method='c"),
        (["--explain", "out.png", "--method", "lime"], "error: "),
    ],
)
def test_errors_of_the_command_line_are_one_line(trained, arguments, message, capsys, tmp_path):
    _, run = trained
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(SystemExit) as ended:
        app(["predict", str(run.path), str(tmp_path / "a.png"), *arguments])
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith(message)
    assert errors.count("\n") == 1
