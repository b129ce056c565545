"""Surgery that keeps what a network computes, or says by how much it does not.

A network of each kind is tried at an eighth of its width and its smallest input, with random
weights and BatchNorm statistics. On JAX, which compiles deep networks for minutes, two of them are.
"""

from typing import NamedTuple

import keras
import numpy as np
import pytest
from keras import layers
from networks import ONE_A_FAMILY
from running import randomize, run

import keras_archs
from keras_archs.graph import deep_graphs
from keras_archs.surgery import rewiring
from keras_archs.surgery.adapting import channels_adapted

OPTIONS = {  # that give a network more to fold, or more classifiers
    **{name: {"batch_norm": True} for name in keras_archs.list_archs("vgg*")},
    "googlenet": {"aux": True},
    "inceptionv3": {"aux": True},
}
# One of each family whose smallest network is built in a moment. The others are slow.
FAST = "allcnn_c fitnet19 lenet5 mobilenet resnet20 simpnet_300k squeezenet vgg11".split()
ON_JAX = ["lenet5", "mobilenet"]


class Case(NamedTuple):
    model: keras.Model
    images: np.ndarray  # (2, height, width, 3)
    logits: dict


def _cases():
    names = (
        ON_JAX if keras.backend.backend() == "jax" else [*ONE_A_FAMILY, "resnet50", "densenet121"]
    )
    slow = {name: [pytest.mark.slow] * (name not in FAST) for name in names}
    return [pytest.param(name, marks=slow[name], id=name) for name in names]


@pytest.fixture(scope="module", params=_cases())
def case(request) -> Case:
    keras.utils.set_random_seed(0)
    options = dict(OPTIONS.get(request.param, {}))
    info = keras_archs.info(request.param)
    side = info.min_size_for(**options)
    options |= {"alpha": 1 / 8, "classes": 7, "classifier_activation": None}
    model = keras_archs.build(request.param, (side, side, 3), **options)
    randomize(model)
    images = np.random.default_rng(0).normal(size=(2, side, side, 3)).astype("float32")
    return Case(model, images, _outputs(model, images))


@pytest.fixture(scope="module")
def folded(case) -> keras.Model:
    return keras_archs.fold_batch_norm(case.model)


def _outputs(model, images) -> dict:
    """(B, values) by the output's name; a network with one output has only `""`."""
    outputs = run(model, images)
    outputs = outputs if isinstance(outputs, dict) else {"": outputs}
    return {name: output.reshape(len(output), -1) for name, output in outputs.items()}


def _assert_same(found: dict, wanted: dict):
    """Within 1e-4 of the largest value."""
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert values.any(), "the network must be alive"
        assert np.abs(found[name] - values).max() <= 1e-4 * np.abs(values).max()


def _norms(model) -> list[str]:
    return [x.name for x in model.layers if isinstance(x, layers.BatchNormalization)]


def _foldable(model) -> list[str]:
    """BatchNorms right behind a linear layer with a kernel whose output goes nowhere else."""
    found = []
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            before = layer.input._keras_history.operation
            linear = getattr(before, "activation", None) is keras.activations.linear
            alone = len(before._outbound_nodes) == 1 and len(before._inbound_nodes) == 1
            if linear and alone and getattr(before, "kernel", None) is not None:
                found.append(layer.name)
    return found


# ----------------------------------------------------------------------------- every architecture


def test_folding_keeps_the_outputs_and_leaves_nothing_to_fold(case, folded):
    _assert_same(_outputs(folded, case.images), case.logits)
    assert not _foldable(folded)
    assert (len(_norms(folded)) < len(_norms(case.model))) == bool(_foldable(case.model))


def test_a_fully_convolutional_network_predicts_the_same_at_its_own_size(case, folded):
    mapped = keras_archs.to_fully_convolutional(folded)
    assert mapped.input_shape == (None, None, None, 3)
    maps = keras.tree.flatten(run(mapped, case.images))
    assert {values.shape for values in maps} == {(2, 1, 1, 7)}
    _assert_same(_outputs(mapped, case.images), case.logits)


def test_a_grey_image_is_one_channel(case, folded):
    grey = case.images[..., :1]
    single = keras_archs.with_channels(folded, 1)
    assert single.input_shape == (*case.model.input_shape[:3], 1)
    _assert_same(_outputs(single, grey), _outputs(case.model, np.repeat(grey, 3, axis=-1)))


def test_normalisations_before_a_sum_and_between_two_poolings_are_folded():
    rows = [
        *("8 3/1/1 bn relu", "8 3/1/1 bn add1 relu max|avg2/2/0", "9 3/1/1 bn relu"),
        *("9 3/1/1 bn relu", "9 3/1/1 bn add2 relu max+avg2/2/0", "gmp dense"),
    ]
    model = keras_archs.SimpNet((8, 8, 3), 4, rows=rows)
    randomize(model)
    folded = keras_archs.fold_batch_norm(model)
    assert not _norms(folded)
    _assert_equal(model, folded)


# --------------------------------------------------------------------------------------- rewiring


def _small(*of_layers, shape=(8, 8, 4)):
    """The layers one after the other, with random weights, as a functional model."""
    image = x = keras.Input(shape, name="image")
    for layer in of_layers:
        x = layer(x)
    model = keras.Model(image, x, name="small")
    randomize(model)
    return model


def _nested():
    """A shared model inside, operations, a layer that is shared, two outputs."""
    inner = keras.Sequential(
        [layers.Conv2D(4, 3, padding="same", name="conv"), layers.BatchNormalization(name="norm")],
        name="inner",
    )
    shared = layers.Dense(4, name="shared")
    image = keras.Input((8, 8, 4), name="image")
    x = shared(inner(keras.ops.relu(inner(image)) + image))
    y = layers.Dropout(0.5, name="drop")(shared(x) * 2.0)
    model = keras.Model(image, {"a": x, "b": y}, name="nested")
    randomize(model)
    return model


def _images(model, seed=0):
    shape = (2, *(side or 12 for side in model.inputs[0].shape[1:]))
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _assert_equal(model, other):
    """The same outputs for random images, to 1e-4 of the largest."""
    images = _images(model)
    _assert_same(_outputs(other, images), _outputs(model, images))


def test_a_copy_computes_the_same_and_shares_nothing():
    model = _nested()
    copy = rewiring.rewired(model, {})
    _assert_equal(model, copy)
    assert copy.name == model.name
    assert [x.name for x in copy.layers] == [x.name for x in model.layers]
    assert len(copy.weights) == len(model.weights)
    assert not {id(x) for x in copy._flatten_layers()} & {id(x) for x in model._flatten_layers()}


def test_a_copy_keeps_dtypes_and_what_is_trained():
    frozen = layers.Conv2D(4, 3, trainable=False, dtype="mixed_float16", name="frozen")
    model = _small(frozen, layers.Dense(3, dtype="float32", name="head"))
    copy = rewiring.rewired(model, {})
    assert copy.get_layer("frozen").compute_dtype == "float16"
    assert copy.get_layer("head").compute_dtype == "float32"
    assert [w.path for w in copy.trainable_weights] == ["head/kernel", "head/bias"]
    model.trainable = False
    assert not rewiring.rewired(model, {}).trainable_weights


def test_layers_are_replaced_dropped_and_followed():
    model = _nested()
    conv = model.get_layer("inner").get_layer("conv")
    copy = rewiring.rewired(
        model,
        {"inner/conv": [conv, layers.ReLU(name="new")], "inner/norm": [], "drop": []},
    )
    assert [x.name for x in copy.get_layer("inner").layers][1:] == ["conv", "new"]
    assert "drop" not in [x.name for x in copy.layers]


def test_a_copy_may_be_deeper_than_the_stack_of_python():
    with deep_graphs():
        model = _small(*(layers.Activation("relu") for _ in range(1100)), shape=(2, 2, 1))
    assert len(rewiring.rewired(model, {}).layers) == 1101


@pytest.mark.parametrize(
    "replace, input_shape, message",
    [
        ({"nosuch": []}, None, "`replace` must name layers of the model. Received: nosuch"),
        ({}, (8, 8, 3), "(?i)conv.*shape"),
    ],
)
def test_what_does_not_fit_the_graph_is_named(replace, input_shape, message):
    with pytest.raises(ValueError, match=message):
        rewiring.rewired(_small(layers.Conv2D(2, 3, name="conv")), replace, input_shape)


def test_a_model_with_a_call_of_its_own_is_refused():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="`model` must be a functional keras.Model"):
        keras_archs.fold_batch_norm(Own())


# ---------------------------------------------------------------------------------------- folding


@pytest.mark.parametrize(
    "layer, shape",
    [
        (layers.Conv2D(6, 3, use_bias=False), (8, 8, 4)),
        (layers.Conv2D(6, 3, groups=2), (8, 8, 4)),
        (layers.Conv1D(6, 3), (8, 4)),
        (layers.Conv3D(2, 2), (3, 3, 3, 4)),
        (layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False), (8, 8, 4)),
        (layers.SeparableConv2D(6, 3, depth_multiplier=2), (8, 8, 4)),
        (layers.Conv2DTranspose(6, 3, strides=2), (4, 4, 4)),
        (layers.Dense(6), (5,)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, layers.Layer) else "",
)
def test_each_kind_of_layer_takes_the_normalisation(layer, shape):
    model = _small(layer, layers.BatchNormalization(), shape=shape)
    folded = keras_archs.fold_batch_norm(model)
    assert not _norms(folded)
    assert folded.layers[-1].use_bias
    _assert_equal(model, folded)


def test_several_normalisations_go_through_what_only_trains():
    model = _small(
        layers.Conv2D(6, 3, use_bias=False),
        layers.BatchNormalization(scale=False),
        layers.Dropout(0.5),
        layers.Identity(),
        layers.BatchNormalization(center=False, epsilon=0.1),
        layers.ReLU(),
    )
    folded = keras_archs.fold_batch_norm(model)
    assert not _norms(folded)
    _assert_equal(model, folded)


def test_a_shared_model_inside_is_folded_once():
    model = _nested()
    folded = keras_archs.fold_batch_norm(model)
    assert not _norms(folded.get_layer("inner"))
    _assert_equal(model, folded)


@pytest.mark.parametrize("reason", ["read twice", "an output", "shared", "activated", "in between"])
def test_a_normalisation_stays_where_folding_it_would_change_something(reason):
    image = keras.Input((8, 8, 4))
    activation = "relu" if reason == "activated" else None
    conv = layers.Conv2D(4, 3, padding="same", activation=activation)
    x = before = conv(conv(image) if reason == "shared" else image)
    if reason == "in between":
        x = layers.Dropout(0.5)(x, training=True)
    outputs = [layers.BatchNormalization()(x)]
    if reason == "read twice":
        outputs = [layers.Add()([before, *outputs])]
    if reason == "an output":
        outputs.append(before)
    model = keras.Model(image, outputs)
    assert len(_norms(keras_archs.fold_batch_norm(model))) == 1


def test_the_given_model_is_left_as_it_was():
    model = _small(layers.Conv2D(6, 3), layers.BatchNormalization(), layers.Dense(3))
    before, outputs = model.get_weights(), _outputs(model, _images(model))
    keras_archs.fold_batch_norm(model)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    assert all((outputs[k] == v).all() for k, v in _outputs(model, _images(model)).items())


def test_a_folded_network_is_saved_and_loaded(tmp_path):
    model = _small(layers.Conv2D(6, 3, use_bias=False), layers.BatchNormalization())
    keras_archs.fold_batch_norm(model).save(tmp_path / "folded.keras")
    _assert_equal(model, keras.saving.load_model(tmp_path / "folded.keras"))


# ------------------------------------------------------------------------------- dense evaluation


def test_without_padding_a_map_holds_the_predictions_of_every_window():
    model = keras_archs.LeNet5(alpha=1 / 2)
    randomize(model)
    image = np.random.default_rng(0).normal(size=(1, 40, 44, 1)).astype("float32")
    found = run(keras_archs.to_fully_convolutional(model), image)
    steps = [(row, column) for row in range(3) for column in range(4)]  # of the total stride, 4
    windows = [image[0, 4 * r : 4 * r + 32, 4 * c : 4 * c + 32] for r, c in steps]
    assert found.shape == (1, 3, 4, 10)
    np.testing.assert_allclose(found.reshape(12, 10), run(model, np.stack(windows)), atol=1e-5)


def test_a_global_pool_becomes_one_over_the_own_map():
    model = _small(layers.GlobalMaxPooling2D(), layers.Dense(3), layers.Softmax())
    image = np.random.default_rng(0).normal(size=(1, 8, 9, 4)).astype("float32")
    found = run(keras_archs.to_fully_convolutional(model), image)
    wanted = run(model, np.concatenate([image[:, :, :8], image[:, :, 1:]]))
    np.testing.assert_allclose(found[0, 0], wanted, atol=1e-6)


@pytest.mark.parametrize(
    "obstacle, before",
    [
        (layers.Dense(3), layers.Reshape((16, 16))),
        (layers.BatchNormalization(), layers.Flatten()),
        (layers.Softmax(), layers.Flatten()),
        (layers.Reshape((1, 1, 4)), layers.GlobalAveragePooling2D()),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_what_needs_a_vector_is_named(obstacle, before):
    model = _small(before, obstacle)
    culprit = before if isinstance(before, layers.Reshape) else obstacle
    with pytest.raises(ValueError, match=f"`model` must .* Received: layer `{culprit.name}`"):
        keras_archs.to_fully_convolutional(model)


def test_a_map_without_sides_has_no_own_size():
    model = keras_archs.NiNCifar((None, None, 3), alpha=1 / 8)
    with pytest.raises(ValueError, match="fixed sides .* Received: layer `pool3`"):
        keras_archs.to_fully_convolutional(model)


# --------------------------------------------------------------------------------------- low rank


@pytest.mark.parametrize(
    "layer, shape",
    [
        (layers.Dense(12, activation="relu", name="old"), (9,)),
        (layers.Conv2D(12, 1, 2, "same", name="old"), (7, 7, 9)),
    ],
    ids=["dense", "1x1"],
)
def test_a_factorised_layer_is_off_by_what_is_reported(layer, shape):
    model = _small(layer, layers.Dense(2), shape=shape)
    exact = keras_archs.low_rank(model, "old", 9)
    _assert_equal(model, exact.model)
    assert exact.error == 0
    for found in (exact, keras_archs.low_rank(model, "old", 3)):
        assert found.params_saved == model.count_params() - found.model.count_params()
    first, second = (found.model.get_layer(f"old_{at}") for at in (1, 2))
    kernel = layer.get_weights()[0].reshape(9, 12)
    product = first.get_weights()[0].reshape(9, 3) @ second.get_weights()[0].reshape(3, 12)
    error = np.linalg.norm(kernel - product) / np.linalg.norm(kernel)
    assert found.error == pytest.approx(error, abs=1e-5)
    # Eckart and Young: no product of rank 3 is closer, the one of another basis is not as close.
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(9, 3)))[0]
    assert error < np.linalg.norm(kernel - basis @ basis.T @ kernel) / np.linalg.norm(kernel)


@pytest.mark.parametrize(
    "layer, rank, message",
    [
        ("conv", 2, "`layer` must be a dense layer or a 1x1 convolution. .* layer 'conv'"),
        ("hade", 2, "Did you mean 'head'"),
        ("head", 0, r"`rank` must be an integer in \[1, 3\]. Received: rank=0"),
        ("head", 4, r"`rank` must be an integer in \[1, 3\]. Received: rank=4"),
    ],
)
def test_a_layer_or_a_rank_that_cannot_be_is_refused(layer, rank, message):
    model = _small(layers.Conv2D(6, 3, name="conv"), layers.Dense(3, name="head"))
    with pytest.raises(ValueError, match=message):
        keras_archs.low_rank(model, layer, rank)


# --------------------------------------------------------------------------- classes and channels


@pytest.mark.parametrize(
    "name, options, changed",
    [
        ("lenet5", {}, {"logits"}),
        ("vgg11", {"input_shape": (32, 32, 3)}, {"predictions"}),
        ("mobilenet", {"input_shape": (32, 32, 3)}, {"conv_preds"}),
        ("nincifar", {}, {"cccp6"}),
        ("allcnn_c", {}, {"logits_map"}),
        ("squeezenet", {"input_shape": (48, 48, 3)}, {"conv10"}),
        pytest.param(
            *("googlenet", {"aux": True}, {"logits", "aux1_logits", "aux2_logits"}),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_other_classes_change_the_classifiers_alone(name, options, changed):
    model = keras_archs.build(name, alpha=1 / 8, **options)
    other = keras_archs.with_classes(model, 5)
    assert {output.shape for output in other.outputs} == {(None, 5)}
    assert {
        new.name
        for new, old in zip(other.layers, model.layers, strict=True)
        if not _same_arrays(new.get_weights(), old.get_weights())
    } == changed
    values = next(iter(_outputs(other, _images(other)).values()))
    np.testing.assert_allclose(values.sum(axis=-1), 1, atol=1e-5)


def _same_arrays(some, others):
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def test_the_seed_decides_what_is_drawn():
    model = _small(layers.GlobalAveragePooling2D(), layers.Dense(3))
    drawn = [keras_archs.with_classes(model, 5, seed=s).get_weights() for s in (1, 1, 2)]
    assert _same_arrays(drawn[0], drawn[1])
    assert not _same_arrays(drawn[0], drawn[2])


def test_a_network_without_a_classifier_is_refused():
    model = keras_archs.ResNet20(include_top=False, pooling="avg", alpha=1 / 8)
    with pytest.raises(ValueError, match="Received: layer `conv4_block3_add` of type Add"):
        keras_archs.with_classes(model, 5)


@pytest.mark.parametrize("own, channels", [(3, 1), (3, 2), (3, 3), (3, 4), (3, 7), (1, 3), (2, 4)])
def test_a_kernel_for_other_channels_sums_to_the_same(own, channels):
    kernel = np.random.default_rng(0).normal(size=(3, 3, own, 5)).astype("float32")
    found = channels_adapted(kernel, channels)
    assert found.shape == (3, 3, channels, 5)
    assert found.dtype == kernel.dtype
    np.testing.assert_allclose(found.sum(axis=2), kernel.sum(axis=2), atol=1e-5)
    assert (own != channels) or (found == kernel).all()


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_grey_images_of_any_channels_are_the_same(channels):
    model = _small(
        layers.ZeroPadding2D(1),
        layers.Rescaling(1 / 2, offset=1.0),
        layers.Conv2D(6, 3, strides=2, activation="relu"),
        layers.Conv2D(3, 3),
    )
    grey = _images(model)[..., :1]
    found = run(keras_archs.with_channels(model, channels), np.repeat(grey, channels, -1))
    np.testing.assert_allclose(found, run(model, np.repeat(grey, 4, -1)), atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_flattened_grey_images_of_any_channels_are_the_same(channels):
    model = _small(layers.Dropout(0.2), layers.Flatten(), layers.Dense(3), shape=(5, 6, 4))
    grey = _images(model)[..., :1]
    found = run(keras_archs.with_channels(model, channels), np.repeat(grey, channels, -1))
    np.testing.assert_allclose(found, run(model, np.repeat(grey, 4, -1)), atol=1e-5)


@pytest.mark.parametrize(
    "first",
    [
        layers.DepthwiseConv2D(3),
        layers.Conv2D(4, 3, groups=2),
        layers.BatchNormalization(),
        layers.Reshape((-1, 4)),
        layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0] * 4),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_that_tells_channels_apart_is_named(first):
    with pytest.raises(ValueError, match=f"Received: layer `{first.name}` of type"):
        keras_archs.with_channels(_small(first), 1)


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3", None])
def test_counts_are_positive_integers(value):
    model = _small(layers.Conv2D(3, 1))
    with pytest.raises(ValueError, match="`classes` must be an integer >= 1. Received: classes="):
        keras_archs.with_classes(model, value)
    with pytest.raises(ValueError, match="`channels` must be an integer >= 1. Received: channels="):
        keras_archs.with_channels(model, value)
