"""The weights in the package: their files, their cards, and the networks that they make."""

import hashlib
import re
from dataclasses import replace

import keras
import numpy as np
import pytest
from running import run

import keras_archs
from keras_archs.weights import TrainedWeights, catalog, packaged, trained_for
from keras_archs.weights.catalog import CATALOG, TRAINED

PACKAGED = [known for known in CATALOG if isinstance(known, TrainedWeights)]
EACH = pytest.mark.parametrize("known", PACKAGED, ids=lambda known: known.file)


def images(*shape):
    """Four of noise, of 0 to 255."""
    return np.random.default_rng(0).integers(0, 256, (4, *shape)).astype(np.uint8)


IMAGES = images(32, 32, 1)  # of LeNet-5


def built(known, **changes):
    return keras_archs.build(known.arch, weights=known.weights, **{**known.kwargs, **changes})


# ------------------------------------------------------------------------------------------- cards


def test_the_folder_holds_the_table_and_the_files_that_it_names():
    names = {known.file for known in PACKAGED}
    assert {path.name for path in TRAINED.iterdir()} == {"table.json", *names}
    assert len(names) == len(PACKAGED) >= 1
    sizes = [known.path.stat().st_size for known in PACKAGED]
    assert max(sizes) <= 150_000 and sum(sizes) <= 600_000


@EACH
def test_a_card_has_the_figures_of_the_file_and_of_the_network(known):
    data = known.path.read_bytes()
    assert (known.bytes, known.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    network = keras_archs.load_compressed(known.path)
    cost = keras_archs.profile(network)
    assert (known.params, known.macs) == (cost.params, cost.macs)
    assert network.input_shape == (None, *known.input_shape)
    assert network.output_shape == (None, len(known.labels))
    rescaling = network.get_layer("rescaling")
    figures = f"{known.right:,} of all {known.tested:,} test images right, {known.accuracy:.2f} %"
    for shown in (figures, f"{known.params:,}", f"{known.bytes:,}", known.sha256, *known.commands):
        assert shown in known.card
    mean, std = -np.ravel(rescaling.offset) / rescaling.scale, 1 / np.ravel(rescaling.scale)
    np.testing.assert_allclose(known.preprocessing.mean, np.ravel(mean))
    np.testing.assert_allclose(known.preprocessing.std, std)
    assert known.licence and known.data_licence and known.source


@pytest.fixture(scope="module")
def splits(shared_data, cifar10, tmp_path_factory):
    """Test images, by the weights that they are for: an `.npz`, and a folder of JPEGs."""
    root = tmp_path_factory.mktemp("cifar10")
    files, labels, names = cifar10.jpegs(shared_data / "cifar10_test.npz")
    for name in names:
        (root / "test" / name).mkdir(parents=True)
    for row, (file, label) in enumerate(zip(files, labels, strict=True)):
        (root / "test" / names[label] / f"{row}.jpg").write_bytes(file)
    return {"mnist": shared_data / "mnist.npz", "cifar10": root}


@EACH
def test_all_test_images_give_the_accuracy_of_the_card(known, splits):
    from applications.data.sources import open_test

    height, width, channels = known.input_shape
    tested = open_test(splits[known.weights], known.labels).test_at((height, width), channels)
    assert len(tested) == known.tested
    pixels = tested.batch(range(len(tested)))
    predicted = built(known).predict(pixels, batch_size=1000, verbose=0).argmax(axis=1)
    right = (predicted == tested.labels).sum()
    assert abs(right - known.right) <= (0 if keras.backend.backend() == "tensorflow" else 2)


def test_info_names_them_with_what_builds_them():
    for known in PACKAGED:
        assert known in keras_archs.info(known.arch).weights
        assert f'keras_archs.build("{known.arch}", weights="{known.weights}"' in known.card


# ------------------------------------------------------------------------------------ the networks


@EACH
def test_the_network_takes_pixels_and_is_that_of_the_file(known):
    model = built(known)
    assert model.input_shape == (None, *known.input_shape)
    assert model.layers[1].name == "rescaling"
    pixels = images(*known.input_shape)
    stored = run(keras_archs.load_compressed(known.path), pixels)
    np.testing.assert_allclose(run(model, pixels), stored, atol=1e-6)
    assert model.load_report.inside
    assert f"inside: {known.preprocessing}" in str(model.load_report)
    assert not (model.load_report.fresh or model.load_report.adapted or model.load_report.unused)


def test_features_and_a_cut_network_have_the_rescaling_and_need_no_classes():
    model = keras_archs.LeNet5(weights="mnist", features=["P2"])
    assert model.output["P2"].shape[1:3] == (5, 5)
    cut = keras_archs.LeNet5(weights="mnist", include_top=False, classes=3)
    np.testing.assert_allclose(run(model, IMAGES)["P2"], run(cut, IMAGES), atol=1e-6)


def test_in_a_graph_of_the_callers_own_the_pixels_are_the_callers():
    model = keras_archs.LeNet5()
    report = keras_archs.weights.load_weights(model, "mnist")
    assert not report.inside and "expects pixels of 0 to 255 less" in str(report)
    normal = report.preprocessing(IMAGES)
    ours = run(keras_archs.LeNet5(weights="mnist"), IMAGES)
    np.testing.assert_allclose(run(model, normal), ours, atol=1e-5)


def test_one_error_names_all_that_they_are_not_for():
    wanted = (
        "`weights` 'mnist' of lenet5 are for 10 classes, images of 32x32x1: `adapt=True` adapts "
        "them. Received: classes=5, input_shape=(28, 28, 3)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        keras_archs.LeNet5((28, 28, 3), 5, weights="mnist")


def test_an_error_names_the_widths_that_there_are():
    with pytest.raises(ValueError, match=r"are for alpha=1.0: .*Received: alpha=0.5$"):
        keras_archs.LeNet5(weights="mnist", alpha=0.5)


@pytest.mark.parametrize("adapt", [False, True])
def test_no_wider_network_gets_them_and_the_error_names_what_makes_one(adapt):
    wanted = (
        "`weights` 'mnist' of lenet5 are for alpha=1.0: `keras_archs.grow` makes a network wider. "
        "Received: alpha=1.5"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        keras_archs.LeNet5(weights="mnist", alpha=1.5, adapt=adapt)


def test_another_architecture_has_none_and_the_error_names_those_that_have():
    with pytest.raises(ValueError, match=r"the package has: lenet5.* arch='nincifar'"):
        keras_archs.NiNCifar(weights="mnist")


def test_adapt_takes_other_classes_channels_and_sizes():
    plain = keras_archs.LeNet5(weights="mnist")
    model = keras_archs.LeNet5((32, 32, 3), 5, weights="mnist", adapt=True)
    assert model.load_report.fresh == ("logits",)
    body = keras.Model(model.input, model.get_layer("f6").output)
    other = keras.Model(plain.input, plain.get_layer("f6").output)
    np.testing.assert_allclose(
        run(body, np.repeat(IMAGES, 3, axis=-1)), run(other, IMAGES), atol=1e-4
    )
    larger = keras_archs.LeNet5((40, 40, 1), weights="mnist", adapt=True)
    assert larger.load_report.loaded == ("c1", "c3")


def test_adapt_shrinks_a_wider_network():
    model = keras_archs.LeNet5(weights="mnist", alpha=0.3, adapt=True)
    assert model.load_report.adapted == ("alpha=1 shrunk to alpha=0.3",)


def test_the_next_wider_or_the_widest_is_chosen(monkeypatch):
    (known,) = (each for each in PACKAGED if each.arch == "lenet5")
    half = replace(known, kwargs={"alpha": 0.5})
    monkeypatch.setattr(packaged, "_ALL", (known, half))
    chosen = {alpha: trained_for("lenet5", "mnist", alpha) for alpha in (0.3, 0.5, 0.6, 1.0, 2.0)}
    assert chosen == {0.3: half, 0.5: half, 0.6: known, 1.0: known, 2.0: known}
    with pytest.raises(ValueError, match=r"are for alpha=0.5 or 1.0: .*Received: alpha=0.6$"):
        keras_archs.LeNet5(weights="mnist", alpha=0.6)


def test_a_training_starts_from_them_and_rescales_once():
    from applications.data.sources import open_source
    from applications.options import Options
    from applications.training.building import built_network

    source = open_source("digits")
    plan = Options(arch="lenet5", weights="mnist", size=32).planned(source)
    network = built_network(plan, source.at(plan.image_size))
    ours = run(keras_archs.LeNet5(weights="mnist"), IMAGES)
    np.testing.assert_allclose(run(network, IMAGES), ours, atol=1e-6)


# ------------------------------------------------------------------------------------------ damage


def test_a_damaged_file_is_refused_by_its_hash(tmp_path, monkeypatch):
    known = trained_for("lenet5", "mnist", 1.0)
    data = bytearray(known.path.read_bytes())
    data[-1] ^= 1
    (tmp_path / known.file).write_bytes(data)
    monkeypatch.setattr(catalog, "TRAINED", tmp_path)
    with pytest.raises(ValueError, match=f"{known.file} is damaged, .*{known.sha256}: install"):
        keras_archs.LeNet5(weights="mnist")


def test_a_missing_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "TRAINED", tmp_path)
    with pytest.raises(ValueError, match=r"the package's lenet5-mnist\.kac cannot be read"):
        keras_archs.LeNet5(weights="mnist")
