"""Training for int8: rounded on the way forward, as if it were not on the way back."""

import keras
import numpy as np
import pytest
from keras import layers
from running import randomize, run

import keras_archs
from applications.shipping.compressing.quantising import (
    RoundedActivations,
    RoundedKernel,
    on_grid,
    put_on_grid,
    quantised_learner,
)
from keras_archs.runtimes import Converted


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def network():
    """What int8 computes as one, what it does not, and each kind of kernel."""
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, padding="same", name="conv")(images)
    x = layers.BatchNormalization(name="conv_bn")(x)
    x = shortcut = layers.ReLU(name="conv_relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    x = layers.BatchNormalization(name="depthwise_bn")(x)
    x = layers.Add(name="sum")([x, shortcut])
    x = layers.ReLU(6.0, name="sum_relu")(x)
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Conv2D(4, 1, activation="relu", name="narrow")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(3, name="logits")(x)
    model = keras.Model(images, layers.Softmax(name="predictions")(x))
    randomize(model)
    return model


# ----------------------------------------------------------------------------------------- the grid


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (layers.Conv2D(5, 3), (4, 4, 2), (0, 1, 2)),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), (4, 4, 2), (0, 1)),
        (layers.Conv2DTranspose(5, 3), (4, 4, 2), (0, 1, 3)),
        (layers.Dense(5), (4,), (0,)),
    ],
)
def test_each_output_channel_has_255_even_steps_and_zero_is_one_of_them(layer, shape, axes):
    model = keras.Sequential([keras.Input(shape), layer])
    before = normal(*layer.kernel.shape)
    layer.kernel.assign(before)
    put_on_grid(model)
    after = layer.kernel.numpy()
    step = np.abs(before).max(axis=axes, keepdims=True) / 127
    codes = after / step
    np.testing.assert_allclose(codes, np.round(codes), atol=1e-4)
    assert np.abs(codes).max() == pytest.approx(127) and np.abs(after - before).max() > 0
    assert (np.abs(after - before) <= 0.5001 * step).all()
    put_on_grid(model)
    np.testing.assert_allclose(layer.kernel.numpy(), after, rtol=1e-6)


def test_both_kernels_of_a_separable_convolution_are_rounded_and_no_other_weight():
    layer = layers.SeparableConv2D(5, 3)
    model = keras.Sequential([keras.Input((4, 4, 2)), layer, layers.BatchNormalization()])
    randomize(model)
    before = model.get_weights()
    put_on_grid(model)
    moved = [
        not np.array_equal(one, weight.numpy())
        for one, weight in zip(before, model.weights, strict=True)
    ]
    assert moved == [weight.name.endswith("kernel") for weight in model.weights]


def test_a_channel_without_weights_stays_without():
    kernel = normal(4, 3) * np.array([1, 0, 1], np.float32)
    found = keras.ops.convert_to_numpy(on_grid(kernel, (0,)))
    assert np.isfinite(found).all() and not found[:, 1].any() and found[:, 0].any()


# ---------------------------------------------------------------------------------------- gradients


def stepped(model, images, targets):
    """One step of gradient descent at a rate of 1, of the mean square."""
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.fit(images, targets, batch_size=len(images), verbose=0)


def test_a_kernel_learns_from_what_its_rounded_self_computes_as_if_it_were_not_rounded():
    layer = layers.Dense(1, use_bias=False)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, RoundedKernel(layer)(inputs))
    kernel = np.array([[0.3], [-1.0], [0.013], [0.5]], np.float32)
    layer.kernel.assign(kernel)
    images, targets = normal(8, 4), normal(8, 1, seed=1)
    rounded = np.round(kernel * 127) / 127
    np.testing.assert_allclose(run(model, images), images @ rounded, rtol=1e-4, atol=1e-6)
    error = images @ rounded - targets
    stepped(model, images, targets)
    wanted = kernel - 2 * images.T @ error / len(images)
    np.testing.assert_allclose(layer.kernel.numpy(), wanted, rtol=1e-4, atol=1e-6)


def test_activations_pass_gradients_within_their_range_and_none_beyond():
    inputs, layer = keras.Input((1,)), layers.Dense(1, use_bias=False)
    rounded = RoundedActivations()
    model = keras.Model(inputs, rounded(layer(inputs)))
    rounded.low.assign(-1.0)
    rounded.high.assign(1.0)
    rounded.batches.assign(1e6)
    images = np.array([[0.5], [9.0]], np.float32)
    layer.kernel.assign([[1.0]])
    np.testing.assert_allclose(run(model, images), [[0.5], [1.0]], atol=1.1 / 255)
    stepped(model, images, np.zeros((2, 1), np.float32))
    # The mean square of two outputs: of the first alone anything comes back.
    assert layer.kernel.numpy()[0, 0] == pytest.approx(1 - 0.5 * 0.5, abs=0.01)


def test_the_first_batch_sets_the_range_and_the_others_move_it_slowly():
    inputs, layer = keras.Input((2,)), RoundedActivations()
    model = keras.Model(inputs, layer(inputs))
    run(model, np.array([[-1.0, 3.0]], np.float32), training=True)
    assert (float(layer.low.value), float(layer.high.value)) == (-1.0, 3.0)
    for _ in range(20):
        run(model, np.array([[0.5, 4.0]], np.float32), training=True)
    assert 0 < float(layer.low.value) < 0.5 and 3.9 < float(layer.high.value) < 4.0
    assert run(model, np.zeros((1, 2), np.float32)).tolist() == [[0.0, 0.0]]
    before = float(layer.high.value)
    found = run(model, np.array([[99.0, -99.0]], np.float32))[0]
    assert float(layer.high.value) == before == pytest.approx(found[0], rel=0.01)
    assert found[1] == 0  # what was never below 0 has no codes there


# -------------------------------------------------------------------------------------- the learner


def test_activations_are_rounded_where_int8_has_them():
    rounded = [
        layer.name.removesuffix("_int8")
        for layer in quantised_learner(network()).layers
        if isinstance(layer, RoundedActivations)
    ]
    assert rounded == ["conv_relu", "depthwise_bn", "sum_relu", "narrow", "logits"]


def test_the_learner_has_the_network_s_own_weights_and_leaves_it_plain(tmp_path):
    model = network()
    learner = quantised_learner(model)
    ours, theirs = ([id(v) for v in m.trainable_variables] for m in (learner, model))
    assert ours == theirs
    images = normal(4, 8, 8, 3)
    learner.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy")
    learner.fit(images, np.eye(3)[[0, 1, 2, 0]], verbose=0)
    put_on_grid(model)
    model.save(tmp_path / "plain.keras")
    again = keras.saving.load_model(tmp_path / "plain.keras", safe_mode=True)
    np.testing.assert_array_equal(run(again, images), run(model, images))
    assert {type(layer).__module__.partition(".")[0] for layer in again.layers} == {"keras"}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="LiteRT's converter")
def test_the_converter_finds_the_grid_that_was_trained_on():
    """With BatchNormalization folded, whose factors are those of the grids."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    model = network()
    put_on_grid(model)
    content = Converted(model, normal(20, 8, 8, 3)).litert_file("int8", 1)
    read = interpreter.Interpreter(
        model_content=content,
        experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    read.allocate_tensors()
    found = {}
    for tensor in read.get_tensor_details():
        scales = tensor["quantization_parameters"]["scales"]
        if tensor["dtype"] == np.int8 and len(scales) > 1:
            axis = tensor["quantization_parameters"]["quantized_dimension"]
            codes = np.moveaxis(read.get_tensor(tensor["index"]).astype(np.float32), axis, -1)
            found[codes.shape] = codes * scales
    folded = keras_archs.fold_batch_norm(model)
    for name in ("conv", "depthwise", "narrow", "logits"):
        kernel = folded.get_layer(name).kernel.numpy()
        if name == "depthwise":
            kernel = kernel[..., 0][None]
        elif name == "logits":
            kernel = kernel.reshape(-1, 3)
        values = found[kernel.shape]
        np.testing.assert_allclose(values, kernel, atol=1e-5 * np.abs(kernel).max())
