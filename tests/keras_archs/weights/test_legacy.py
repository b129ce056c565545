"""Files of Keras 2: those of keras.applications, saved models and saved weights."""

import h5py
import keras
import numpy as np
import pytest
from keras import layers

import keras_archs


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


def mobilenet(**options):
    return keras_archs.MobileNet((64, 64, 3), 10, alpha=0.25, **options)


@pytest.fixture(scope="module")
def trained():
    """A network whose weights are no initial ones."""
    model, random = mobilenet(), np.random.default_rng(0)
    model.set_weights([random.random(w.shape).astype(np.float32) for w in model.weights])
    return model


def write_as_keras_2(path, model, group="", pieces=1, **attributes):
    """The weights as Keras 2 named them: `conv1/kernel:0`, in a group for each layer."""
    with h5py.File(path, "w") as file:
        root = file.create_group(group) if group else file
        root.attrs.update({"backend": "tensorflow", "keras_version": "2.4.0", **attributes})
        names = [layer.name.encode() for layer in model.layers]
        for number, some in enumerate(np.array_split(names, pieces)):
            root.attrs[f"layer_names{number if pieces > 1 else ''}"] = some
        for layer in model.layers:
            weights = {
                f"{layer.name}/{w.name}:0": keras.ops.convert_to_numpy(w) for w in layer.weights
            }
            own = root.create_group(layer.name)
            own.attrs["weight_names"] = [name.encode() for name in weights]
            for name, values in weights.items():
                own[name] = values
    return path


def assert_same(ours, theirs):
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("given", [{}, {"group": "model_weights"}, {"pieces": 7}])
def test_weights_are_read_by_name(given, trained, tmp_path):
    file = write_as_keras_2(tmp_path / "m.h5", trained, **given)
    assert_same(mobilenet(weights=file), trained)


@pytest.mark.filterwarnings("ignore:You are saving")
def test_what_keras_3_writes_in_the_old_format_is_read_too(trained, tmp_path):
    trained.save(tmp_path / "m.h5")
    assert_same(mobilenet(weights=tmp_path / "m.h5"), trained)


def test_a_file_without_a_top_serves_a_network_without_one(trained, tmp_path):
    body = keras_archs.MobileNet((64, 64, 3), alpha=0.25, include_top=False)
    body.set_weights(trained.get_weights()[: len(body.weights)])
    file = write_as_keras_2(tmp_path / "mobilenet_2_5_224_tf_no_top.h5", body)
    read = keras_archs.MobileNet((64, 64, 3), alpha=0.25, include_top=False, weights=file)
    assert_same(read, body)
    with pytest.raises(ValueError, match="`conv_preds`"):
        mobilenet(weights=file)
    assert mobilenet(weights=file, adapt=True).load_report.preprocessing.std == (127.5,) * 3


def test_other_classes_and_channels_are_adapted_on_request(trained, tmp_path):
    file = write_as_keras_2(tmp_path / "m.h5", trained)
    options = {"input_shape": (64, 64, 1), "classes": 3, "alpha": 0.25, "weights": file}
    with pytest.raises(ValueError, match="adapt=True"):
        keras_archs.MobileNet(**options)
    grey = keras_archs.MobileNet(**options, adapt=True)
    kernel = keras.ops.convert_to_numpy(trained.get_layer("conv1").kernel).sum(
        axis=2, keepdims=True
    )
    np.testing.assert_allclose(grey.get_layer("conv1").kernel, kernel, rtol=1e-5)


def test_numbered_layers_are_taken_in_order(trained, tmp_path):
    numbered = keras.models.clone_model(
        trained,
        clone_function=lambda layer: layer.__class__.from_config(
            {**layer.get_config(), "name": f"layer_{id(layer)}"}
        ),
    )
    numbered.set_weights(trained.get_weights())
    file = write_as_keras_2(tmp_path / "m.h5", numbered)
    assert_same(mobilenet(weights=file), trained)


def test_a_model_inside_a_model_is_read_by_the_names_of_its_layers(trained, tmp_path):
    given = keras.Input((64, 64, 3))
    outer = keras.Model(given, layers.Dense(2, name="mine")(layers.Flatten()(trained(given))))
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["layer_names"] = [b"mobilenet"]
        own = file.create_group("mobilenet")
        weights = {
            f"{layer.name}/{w.name}:0": keras.ops.convert_to_numpy(w)
            for layer in outer.get_layer(trained.name).layers
            for w in layer.weights
        }
        own.attrs["weight_names"] = [name.encode() for name in weights]
        for name, values in weights.items():
            own[name] = values
    assert_same(mobilenet(weights=tmp_path / "m.h5"), trained)


def test_kernels_of_theano_are_refused(trained, tmp_path):
    file = write_as_keras_2(tmp_path / "m.h5", trained, backend="theano")
    with pytest.raises(ValueError, match="Keras wrote it on Theano"):
        mobilenet(weights=file)


def outside(file, root):
    with h5py.File(file.filename + ".other", "w") as other:
        other["kernel"] = np.zeros((3, 3, 3, 8))
    del root["conv1/conv1/kernel:0"]
    root["conv1/conv1/kernel:0"] = h5py.ExternalLink(file.filename + ".other", "kernel")


def claims_much(file, root):
    del root["conv1/conv1/kernel:0"]
    root.create_dataset("conv1/conv1/kernel:0", (10**6, 10**6), np.float32, chunks=(1000, 1000))


def no_group(file, root):
    del root["conv1"]


def no_weight(file, root):
    del root["conv1/conv1/kernel:0"]


def no_names(file, root):
    del root["conv1"].attrs["weight_names"]


def another_shape(file, root):
    del root["conv1/conv1/kernel:0"]
    root["conv1/conv1/kernel:0"] = np.zeros((5, 5, 3, 8), np.float32)


def a_group_for_a_weight(file, root):
    del root["conv1/conv1/kernel:0"]
    root.create_group("conv1/conv1/kernel:0")


def not_a_number(file, root):
    root["conv1/conv1/kernel:0"][0, 0, 0, 0] = np.nan


@pytest.mark.parametrize(
    "damage",
    [
        *(outside, claims_much, no_group, no_weight, no_names, another_shape),
        *(a_group_for_a_weight, not_a_number),
    ],
    ids=lambda function: function.__name__,
)
def test_a_hostile_or_damaged_file_is_refused(damage, trained, tmp_path):
    path = write_as_keras_2(tmp_path / "m.h5", trained)
    with h5py.File(path, "r+") as file:
        damage(file, file)
    with pytest.raises(ValueError, match="`weights` must fit the network") as error:
        mobilenet(weights=path)
    assert "m.h5" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" + bytes(100), b"PK"])
def test_what_is_no_hdf5_file_is_refused(content, tmp_path):
    (tmp_path / "m.h5").write_bytes(content)
    with pytest.raises(ValueError, match="not readable"):
        mobilenet(weights=tmp_path / "m.h5")
