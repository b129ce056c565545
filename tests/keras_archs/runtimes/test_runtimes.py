"""Runtimes: the same outputs as Keras, for any number of images, and the fastest is chosen."""

import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from running import randomize

import keras_archs
from keras_archs.runtimes import (
    INT8,
    RUNTIMES,
    Converted,
    available,
    interleaved,
    runtime,
)
from keras_archs.runtimes import predictors as runtimes

INSTALLED = available()
SIDE, CLASSES = 32, 10

needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="Keras converts on the TensorFlow backend"
)


def each_runtime(names):
    """Parameters: those that are not installed or not for this backend are skipped."""
    reason = f"not installed, or not for the {keras.backend.backend()} backend"
    missing = pytest.mark.skip(reason=reason)
    return [pytest.param(n, marks=() if n in INSTALLED else missing) for n in names]


def images(count, channels=3, side=SIDE):
    return np.random.default_rng(count).random((count, side, side, channels), np.float32)


def mobilenet():
    return keras_archs.MobileNetShallow((SIDE, SIDE, 3), CLASSES, alpha=0.125)


def bytes_in():
    """LeNet5 for uint8 images, as a run folder holds it."""
    pixels = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    scaled = keras.layers.Rescaling(1 / 255)(pixels)
    mean, variance = [0.3, 0.4, 0.5], [0.04, 0.05, 0.06]
    scaled = keras.layers.Normalization(mean=mean, variance=variance)(scaled)
    network = keras_archs.LeNet5((SIDE, SIDE, 3), alpha=0.5)
    return keras.Model(pixels, network(scaled))


def two_outputs():
    """A dict whose keys are not in the order in which the outputs are computed."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(4, 3, strides=4, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="bn")(x)
    early = keras.layers.GlobalMaxPooling2D()(x)
    late = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(x))
    return keras.Model(inputs, {"z": early, "a": late})


def negative():
    """Max poolings that see zeros around negative values, as the first one of ResNet v2 does."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False)(inputs)
    x = keras.layers.ZeroPadding2D()(x)
    pooled = [keras.layers.MaxPooling2D(side, strides=2)(x) for side in (2, 3)]
    flat = [keras.layers.Flatten()(maximum) for maximum in pooled]
    return keras.Model(inputs, keras.layers.Concatenate()(flat))


NETWORKS = {
    "mobilenet": mobilenet,
    "bytes_in": bytes_in,
    "two_outputs": two_outputs,
    "negative": negative,
}


@pytest.fixture(scope="module")
def converted():
    """Networks of NETWORKS by name, converted once for all tests."""
    made = {}

    def of(name):
        if name not in made:
            model = NETWORKS[name]()
            randomize(model)
            given = images(40)
            if model.inputs[0].dtype == "uint8":
                given = (255 * given).astype(np.uint8)
            made[name] = Converted(model, None if name == "two_outputs" else given)
        return made[name]

    return of


def assert_equal(found, expected):
    """Within 1e-5, output by output, as float32 arrays."""
    keras.tree.assert_same_structure(found, expected)
    for ours, wanted in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        assert isinstance(ours, np.ndarray) and ours.dtype == np.float32
        np.testing.assert_allclose(ours, wanted, atol=1e-5, rtol=0)


# ------------------------------------------------------------------------------------ the outputs


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", each_runtime(RUNTIMES))
def test_outputs_equal_those_of_keras(converted, network, name):
    source = converted(network)
    predict = runtime(source, name)
    assert (predict.runtime, predict.precision, predict.agreement) == (name, "fp32", None)
    given = images(3)
    if network == "bytes_in":
        given = (255 * given).astype(np.uint8)
    for batch in (given, given[:1]):
        assert_equal(predict(batch), source.model.predict_on_batch(batch))


@pytest.mark.parametrize("name", each_runtime(RUNTIMES))
def test_eight_threads_get_the_answers_that_one_gets(converted, name):
    source = converted("mobilenet")
    predict = runtime(source, name, batch_size=2)
    batches = [images(2) + at / 100 for at in range(40)]
    expected = [predict(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(predict, batches))
    for ours, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", each_runtime(["litert", "jax"]))
def test_any_number_of_images_is_predicted_in_passes_of_one_size(converted, name):
    source = converted("mobilenet")
    asked = []
    predict = runtimes.Predictor(
        source, lambda x: asked.append(len(x)) or [x[:, 0, 0]], (name, 4), "fp32", 4, {}
    )
    for count in (1, 4, 5, 11):
        given = images(count)
        np.testing.assert_array_equal(predict(given), given[:, 0, 0])
    assert set(asked) == {4}
    assert len(asked) == 1 + 1 + 2 + 3


def test_bytes_and_floats_of_the_same_values_give_the_same(converted):
    predict = runtime(converted("bytes_in"), INSTALLED[0])
    pixels = (255 * images(2)).astype(np.uint8)
    np.testing.assert_array_equal(predict(pixels), predict(pixels.astype(np.float64)))


@pytest.mark.parametrize("shape", [(0, SIDE, SIDE, 3), (SIDE, SIDE, 3), (1, SIDE, SIDE, 1)])
def test_images_of_another_shape_are_an_error(converted, shape):
    predict = runtime(converted("two_outputs"), INSTALLED[0])
    with pytest.raises(ValueError, match=r"`images` must have the shape \(B, 32, 32, 3\), B >= 1"):
        predict(np.zeros(shape, np.float32))


def test_a_network_that_is_trained_further_needs_a_new_predictor():
    model = two_outputs()
    given = images(2)
    before = runtime(model, INSTALLED[0])
    expected = before(given)
    model.set_weights([weight + 0.1 for weight in model.get_weights()])
    assert_equal(before(given), expected)
    assert_equal(runtime(model, INSTALLED[0])(given), model.predict_on_batch(given))


# ------------------------------------------------------------------------------------- the choice


def test_auto_takes_the_fastest_and_remembers_it(converted, monkeypatch):
    source = converted("two_outputs")
    first = runtime(source, batch_size=2)
    assert {name for name, _ in first.times} == set(INSTALLED)
    assert (first.runtime, first.chunk) == min(first.times, key=first.times.get)
    monkeypatch.setattr(runtimes, "_measured", None)  # calling it would fail
    again = runtime(source.model, batch_size=2)
    assert (again.runtime, again.chunk, again.times) == (first.runtime, first.chunk, first.times)


def test_small_passes_are_tried_beside_the_whole_batch(monkeypatch):
    passes = {("litert", 1): 1.0, ("litert", 8): 5.0, ("litert", 20): 22.0}
    assert runtimes._chunks("litert", 20) == [1, 8, 20]
    assert runtimes._chunks("litert", 1) == [1]
    assert runtimes._chunks("tensorflow", 20) == [20]
    monkeypatch.setattr(
        runtimes, "interleaved", lambda calls, **_: {option: [passes[option]] for option in calls}
    )
    times = runtimes._measured(dict.fromkeys(passes, print), (4, 4, 1))
    assert times == {("litert", 1): 1.0, ("litert", 8): 0.625, ("litert", 20): 1.1}


@needs_tensorflow
def test_a_runtime_that_cannot_convert_is_left_out_with_a_warning(converted, monkeypatch):
    source = converted("two_outputs")

    def refuse(*_):
        raise RuntimeError("no such operation")

    monkeypatch.setitem(runtimes.PASSES, "tensorflow", refuse)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        monkeypatch.setitem(runtimes.PASSES, "litert", lambda *_: source.answers)
        found = runtimes._passes(source, "fp32", [("litert", 1), ("tensorflow", 1)], None)
    assert found == {("litert", 1): source.answers}
    assert [str(w.message) for w in caught] == [
        "tensorflow cannot run this network: no such operation"
    ]
    with pytest.raises(ValueError, match="layers that tensorflow can run.*no such operation"):
        runtimes._passes(source, "fp32", [("tensorflow", 1)], None)


@needs_tensorflow
def test_a_runtime_that_answers_otherwise_is_left_out_with_a_warning(converted, monkeypatch):
    source = converted("two_outputs")

    def wrong(images):
        early, late = source.answers(images)
        return [early, late + 0.25]

    monkeypatch.setitem(runtimes.PASSES, "litert", lambda *_: wrong)
    with pytest.warns(RuntimeWarning, match="^litert cannot run .* outputs differ by 0.25"):
        found = runtimes._passes(source, "fp32", [("litert", 1), ("tensorflow", 2)], None)
    assert list(found) == [("tensorflow", 2)]
    with pytest.warns(RuntimeWarning, match="^litert: outputs differ by 0.25"):
        alone = runtimes._passes(source, "fp32", [("litert", 1)], None)
    assert list(alone) == [("litert", 1)]


def test_calls_that_are_compared_take_turns():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    times = interleaved(calls, seconds=0, rounds=2)
    turns = [name for at, name in enumerate(order) if order[at - 1 : at] != [name]]
    assert turns == ["a", "b", "a"]  # the second round is the other way round
    assert len(order) == len(times["a"]) + len(times["b"]) + 4  # a turn's first is not timed


# ------------------------------------------------------------------------------------------- int8


@pytest.mark.parametrize("name", each_runtime(INT8))
def test_int8_states_how_often_it_agrees(converted, name):
    source = converted("bytes_in")
    predict = runtime(source, name, precision="int8")
    given = (255 * images(40)).astype(np.uint8)
    found, expected = predict(given), source.model.predict_on_batch(given)
    assert predict.precision == "int8"
    assert predict.agreement == np.mean(found.argmax(axis=1) == expected.argmax(axis=1)) >= 0.9
    difference = np.abs(found - expected).max()
    assert 1e-5 < difference < 0.1  # other numbers, but not far off


@needs_tensorflow
def test_int8_needs_images_and_one_output(converted):
    one, two = (converted(name).model for name in ("mobilenet", "two_outputs"))
    with pytest.raises(ValueError, match="`representative` must hold images.*Received: None"):
        runtime(one, "litert", precision="int8")
    with pytest.raises(ValueError, match=r"`representative` .*\(N, 32, 32, 3\).*\(2, 32, 32, 1\)"):
        runtime(one, "litert", precision="int8", representative=images(2, channels=1))
    with pytest.raises(ValueError, match="must have one output for int8. Received: 2"):
        runtime(two, "litert", precision="int8", representative=images(2))
    with pytest.raises(ValueError, match="`precision` must be fp32 for tensorflow"):
        runtime(one, "tensorflow", precision="int8", representative=images(2))


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "onnxruntim"}, "must be one of auto, litert.*Did you mean 'onnxruntime'"),
        ({"precision": "int4"}, "`precision` must be one of fp32, int8"),
        ({"batch_size": 0}, "`batch_size` must be an integer >= 1"),
        ({"batch_size": True}, "`batch_size` must be an integer >= 1"),
        ({"threads": 0}, "`threads` must be an integer >= 1"),
        ({"name": "litert", "precision": "fp16"}, "`precision` must be one of fp32, int8"),
    ],
)
def test_bad_arguments_are_refused(converted, arguments, message):
    with pytest.raises(ValueError, match=message):
        runtime(converted("two_outputs"), **arguments)


def test_networks_that_no_runtime_takes_are_refused():
    inputs = keras.Input((None, None, 3))
    outputs = keras.layers.GlobalMaxPooling2D()(inputs)
    with pytest.raises(ValueError, match="one input .* known sides. Received: .*None"):
        runtime(keras.Model(inputs, outputs))
    half = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, dtype="bfloat16")])
    with pytest.raises(ValueError, match="must compute in float32.*'conv2d.*bfloat16"):
        runtime(half)
    with pytest.raises(TypeError, match="`model` must be a keras.Model"):
        runtime("mobilenet")


@needs_tensorflow
def test_a_runtime_that_is_not_installed_names_the_extra(converted, monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda library: None)
    with pytest.raises(ValueError, match=r"keras-archs\[runtime\].*'openvino' without openvino"):
        runtime(converted("two_outputs"), "openvino")
    assert runtime(converted("two_outputs"), batch_size=3).runtime == "tensorflow"


def test_a_runtime_of_another_backend_says_which_to_set(converted):
    other = "litert" if keras.backend.backend() == "jax" else "jax"
    with pytest.raises(ValueError, match=f"KERAS_BACKEND.*Received: runtime='{other}' on"):
        runtime(converted("two_outputs"), other)


@pytest.mark.parametrize("name", each_runtime(["tensorflow", "jax"]))
def test_threads_of_the_whole_process_are_not_changed(converted, name):
    count = runtimes.processors()
    assert runtime(converted("two_outputs"), name, threads=count).runtime == name
    with pytest.raises(ValueError, match=f"`threads` must be None or, for {name},"):
        runtime(converted("two_outputs"), name, threads=count + 1)
    assert name not in available(threads=count + 1)


def test_the_names_are_known_without_keras():
    script = """
import sys
from keras_archs.runtimes import check_names
check_names(["litert"], "int8")
assert "keras" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


# -------------------------------------------------------------------------------- other networks


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "options"),
    [
        ("AlexNet", dict(input_shape=(67, 67, 3))),  # two towers, LRN
        ("GoogLeNet", dict(input_shape=(32, 32, 3), stem="small")),
        ("ResNet20", dict(input_shape=(16, 16, 3))),  # shortcuts that pad with zeros
        ("ResNet18V2", dict(input_shape=(32, 32, 3))),  # normalisation first
        ("ResNeXt29_8x64d", dict(input_shape=(8, 8, 3))),  # grouped convolutions
        ("Highway19", dict(input_shape=(16, 16, 3))),
        ("SqueezeNet", dict(input_shape=(40, 40, 3))),
        ("SimpNet_300K", dict(input_shape=(16, 16, 3))),
    ],
)
def test_networks_of_all_kinds_equal_keras(title, options):
    alpha = {} if title.startswith(("SimpNet", "Highway")) else {"alpha": 0.125}
    model = getattr(keras_archs, title)(classes=CLASSES, **alpha, **options)
    randomize(model)
    source = Converted(model)
    given = np.random.default_rng(0).random((2, *model.input_shape[1:]), np.float32)
    expected = model.predict_on_batch(given)
    assert np.ptp(expected) > 1e-2  # what is compared is far above the tolerance
    for name in INSTALLED:
        assert_equal(runtime(source, name)(given), expected)
