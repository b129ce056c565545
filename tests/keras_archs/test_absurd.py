"""Arguments of the right type and absurd size are refused at once, by their names."""

import keras
import pytest

import keras_archs
from keras_archs import checks

HUGE = 10**9


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("mobilenet", {"classes": HUGE}, "`classes` must make a network that fits.*1000000000"),
        ("lenet5", {"classes": 10**12}, "`classes` must make a network that fits"),
        ("nin", {"classes": 10**11}, "`classes` must make a network that fits"),
        ("squeezenet", {"classes": HUGE * HUGE}, "`classes` must make a network that fits"),
        (
            "mobilenet",
            {"alpha": 1e6},
            r"`alpha` must be in \(0, 10000\]. Received: alpha=1000000.0",
        ),
        ("mobilenet", {"alpha": 1e308}, r"`alpha` must be in \(0, 10000\]"),
        ("mobilenet", {"alpha": 10**400}, "`alpha` must be > 0"),
        ("resnet18", {"alpha": 9999}, "`alpha` must make a network that fits.*alpha=9999"),
        ("simpnet", {"alpha": 9000}, "`alpha` must make a network that fits"),
        ("vgg16", {"input_shape": (2**63, 64, 3)}, "`input_shape` must have sides of at most 1048"),
        ("resnet20", {"input_shape": (32, 10**30, 3)}, "`input_shape` must have sides of at most"),
        ("vgg16", {"input_shape": (2**17, 2**17, 3)}, "must make a network that fits"),
        ("mobilenet", {"input_shape": (64, 64, 10**12)}, "`input_shape` must make a network"),
        ("lenet5", {"input_shape": (32, 32, 2**63)}, "`input_shape` must make a network"),
        ("wideresnet", {"depth": 10**6}, r"`depth` must be an integer in \[1, 4096\]"),
        ("wideresnet", {"k": 10**6}, r"`k` must be an integer in \[1, 4096\]"),
        ("wideresnet", {"k": 3000}, "`k` must make a network that fits"),
        (
            "mobilenet",
            {"alpha": 2000, "classes": HUGE},
            "`alpha` and `classes` must make a network",
        ),
    ],
)
def test_a_builder_says_so(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        keras_archs.build(name, **arguments)


def test_what_fits_is_built_however_unusual():
    assert keras_archs.LeNet5(classes=100_001).output_shape == (None, 100_001)
    assert keras_archs.SqueezeNet((64, 64, 5000), classes=3, alpha=0.1).input_shape[-1] == 5000


def test_a_profile_counts_what_no_machine_holds():
    assert keras_archs.profile("mobilenet", classes=HUGE).params > 10**12


def test_other_classes_are_refused_too():
    with pytest.raises(ValueError, match="`classes` must make a network that fits"):
        keras_archs.with_classes(keras_archs.LeNet5(), 10**11)


@pytest.mark.parametrize("units", [10**9, 10**11, 10**30])
def test_a_layer_is_not_widened_beyond_memory(units):
    with pytest.raises(ValueError, match="`units` must make a network that fits"):
        keras_archs.widen(keras_archs.LeNet5(), "c3", units)


@pytest.mark.parametrize("alpha", [5000, 1e6, 10**400])
def test_a_network_is_not_grown_beyond_memory(alpha):
    with pytest.raises(ValueError, match="`alpha` must"):
        keras_archs.grow(keras_archs.LeNet5(alpha=0.5), alpha=alpha)


def test_the_machine_s_memory_is_what_counts(monkeypatch):
    monkeypatch.setattr(checks, "machine_memory", lambda: 2**20)
    with pytest.raises(ValueError, match=r"this machine's 0.0 GiB. Received: alpha=10.0, whose"):
        keras_archs.LeNet5(alpha=10.0)


@pytest.mark.parametrize("value", [None, 3, "lenet5.keras", keras.layers.Dense(3)])
@pytest.mark.parametrize(
    "function",
    [
        keras_archs.fold_batch_norm,
        keras_archs.to_fully_convolutional,
        lambda model: keras_archs.with_classes(model, 3),
        lambda model: keras_archs.grow(model, alpha=1.0),
        lambda model: keras_archs.shrink(model, alpha=0.5),
        lambda model: keras_archs.prune_channels(model, 0.5),
        lambda model: keras_archs.widen(model, "c1", 9),
        lambda model: keras_archs.deepen(model, "c1"),
    ],
    ids=["fold", "convolutional", "classes", "grow", "shrink", "prune", "widen", "deepen"],
)
def test_what_is_no_model_is_named(function, value):
    with pytest.raises((TypeError, ValueError), match="`model` must be") as error:
        function(value)
    assert type(value).__name__ in str(error.value) or repr(value) in str(error.value)


@pytest.mark.parametrize("value", [None, 3, 1.5, b"lenet5", ["lenet5"]])
@pytest.mark.parametrize(
    "function", [keras_archs.build, keras_archs.info, keras_archs.profile, keras_archs.list_archs]
)
def test_what_is_no_name_is_named(function, value):
    if function is keras_archs.list_archs and value is None:
        value = 0
    with pytest.raises((TypeError, ValueError), match="must be") as error:
        function(value)
    assert repr(value) in str(error.value) or type(value).__name__ in str(error.value)
