"""Weights from files and from keras.applications: all of it fits, or nothing is set."""

import hashlib
import json
import urllib.error
import zipfile

import h5py
import keras
import numpy as np
import pytest
from running import run

import keras_archs
from keras_archs import architecture, weights
from keras_archs.weights import Preprocessing, known_weights, layout_of, load_weights
from keras_archs.weights.catalog import CAFFE, CATALOG, TF, TORCH

ROWS = ["32 3/1/1 bn relu max2/2/0", "64 3/1/1 bn relu", "gap dense"]
SMALL = {"input_shape": (8, 8, 3), "classes": 5, "alpha": 1 / 2, "rows": ROWS}
SUFFIXES = (".keras", ".weights.h5")


def drawn(model):
    """The same model with statistics that are none of a fresh network."""
    random = np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([random.uniform(0.2, 1, w.shape).astype("f4") for w in layer.weights])
    return model


def saved(model, path):
    model.save(path) if path.suffix == ".keras" else model.save_weights(path)
    return path


@pytest.fixture(scope="module")
def small():
    return drawn(keras_archs.SimpNet(**SMALL))


@pytest.fixture(params=SUFFIXES)
def file(request, small, tmp_path):
    return saved(small, tmp_path / f"small{request.param}")


def assert_same(ours, theirs, names):
    for name in names:
        pairs = zip(
            ours.get_layer(name).get_weights(), theirs.get_layer(name).get_weights(), strict=True
        )
        for mine, given in pairs:
            np.testing.assert_array_equal(mine, given)


# ------------------------------------------------------------------------------------------- adapt


def body_of(model, head="logits"):
    return [layer.name for layer in model.layers if layer.weights and layer.name != head]


def test_other_classes_need_adapt_and_get_a_fresh_classifier(file, small):
    with pytest.raises(ValueError, match=r"`logits` has weights .* adapt=True"):
        keras_archs.SimpNet(**{**SMALL, "classes": 3}, weights=file)
    model = keras_archs.SimpNet(**{**SMALL, "classes": 3}, weights=file, adapt=True)
    assert_same(model, small, body_of(model))
    assert model.load_report.fresh == ("logits",)
    assert "logits" in str(model.load_report)


@pytest.mark.parametrize("channels", [1, 6])
def test_other_channels_give_the_same_response_to_copies_of_one_channel(channels, file, small):
    grey = {**SMALL, "input_shape": (8, 8, channels)}
    with pytest.raises(ValueError, match=r"`conv1` has weights .* adapt=True"):
        keras_archs.SimpNet(**grey, weights=file)
    model = keras_archs.SimpNet(**grey, weights=file, adapt=True)
    image = np.random.default_rng(0).uniform(size=(1, 8, 8, 1)).astype(np.float32)
    ours = run(model, np.repeat(image, channels, axis=-1))
    np.testing.assert_allclose(ours, run(small, np.repeat(image, 3, axis=-1)), atol=1e-5)
    assert f"`conv1` from 3 to {channels} input channels" in model.load_report.adapted


def test_a_larger_alpha_is_shrunk(file):
    narrow = {**SMALL, "alpha": 1 / 4, "classes": 3}
    with pytest.raises(ValueError, match="`weights` must fit the network"):
        keras_archs.SimpNet(**narrow, weights=file)
    model = keras_archs.SimpNet(**narrow, weights=file, adapt=True)
    assert model.load_report.adapted == ("alpha=0.5 shrunk to alpha=0.25",)
    assert model.load_report.fresh == ("logits",)
    again = keras_archs.SimpNet(**narrow, weights=file, adapt=True)
    assert_same(model, again, body_of(model))


def test_a_smaller_alpha_cannot_be_adapted(file):
    with pytest.raises(ValueError, match="`conv1` has weights"):
        keras_archs.SimpNet(**{**SMALL, "alpha": 1.0}, weights=file, adapt=True)


def test_behind_a_flattened_map_of_another_size_all_is_fresh(tmp_path):
    path = saved(drawn(keras_archs.LeNet5((32, 32, 1))), tmp_path / "lenet5.keras")
    larger = {"input_shape": (40, 40, 1)}
    with pytest.raises(ValueError, match="layer `c5` has weights .* adapt=True"):
        keras_archs.LeNet5(**larger, weights=path)
    model = keras_archs.LeNet5(**larger, weights=path, adapt=True)
    assert model.load_report.fresh == ("c5", "f6", "logits")
    assert model.load_report.loaded == ("c1", "c3")


def test_what_the_network_has_no_layer_for_is_reported(file):
    model = keras_archs.SimpNet(**SMALL, include_top=False, weights=file)
    assert model.load_report.unused == ("logits",) and not model.load_report.fresh


# ------------------------------------------------------------------------------- files that are bad


def damaged_by(change):
    """A test's change of the HDF5 file inside either kind of file."""

    def apply(path):
        if path.suffix == ".h5":
            with h5py.File(path, "r+") as file:
                change(file)
            return
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        inner = path.with_name("inner.h5")
        inner.write_bytes(members["model.weights.h5"])
        with h5py.File(inner, "r+") as file:
            change(file)
        members["model.weights.h5"] = inner.read_bytes()
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    return apply


KERNEL = "layers/conv2d/vars/0"


def put_nan(file):
    file[KERNEL][0, 0, 0, 0] = np.nan


def claim_100_gb(file):
    del file[KERNEL]
    file.create_dataset(KERNEL, (25_000_000_000,), "f4", chunks=(1024,))


def point_elsewhere(file):
    del file[KERNEL]
    file[KERNEL] = h5py.ExternalLink("other.h5", "weights")


def lose_a_layer(file):
    del file["layers/conv2d/vars"].attrs["name"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put_nan, "layer `conv1` has values that are not finite"),
        (claim_100_gb, "layer `conv1` claims more than the file can hold"),
        (point_elsewhere, "not readable, or damaged|claims more"),
        (lose_a_layer, "does not name its layers"),
    ],
)
def test_a_damaged_file_is_one_error_and_sets_nothing(change, message, file, small):
    damaged_by(change)(file)
    model = keras_archs.SimpNet(**SMALL)
    before = model.get_weights()
    with pytest.raises(ValueError, match=f"`weights` must fit the network: .*({message})") as error:
        load_weights(model, file)
    assert "\n" not in str(error.value)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


def test_an_archive_that_claims_100_gb_is_refused(small, tmp_path):
    path = saved(small, tmp_path / "x.keras")
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")  # the last in the archive's directory
    assert b"model.weights.h5" in content[entry:]
    content[entry + 24 : entry + 28] = (4_000_000_000).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ValueError, match="claims 4,000,000,000 bytes, more than the file can hold"):
        keras_archs.SimpNet(**SMALL, weights=path)


@pytest.mark.parametrize("suffix", weights.SUFFIXES)
def test_no_network_is_built_for_a_file_that_does_not_open(suffix, tmp_path, monkeypatch):
    path = tmp_path / f"x{suffix}"
    monkeypatch.setattr(architecture, "_assemble", None)  # calling it would fail
    with pytest.raises(FileNotFoundError, match="`weights` must be the path of a file that exists"):
        keras_archs.SimpNet(**SMALL, weights=path)
    path.write_bytes(b"\xff" * 1000)
    with pytest.raises(ValueError, match="`weights` must fit the network: the file is no"):
        keras_archs.SimpNet(**SMALL, weights=path)


def test_a_network_that_its_configuration_makes_huge_is_never_built(small, tmp_path):
    """Weights are read without the model."""
    path = saved(small, tmp_path / "x.keras")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config["config"]["layers"][1]["config"]["filters"] = 10**12
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert_same(keras_archs.SimpNet(**SMALL, weights=path), small, ["conv1"])


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
def test_a_pickled_file_is_refused_with_what_to_do(suffix):
    with pytest.raises(ValueError, match="must not be pickled. Where Torch is: .*safetensors"):
        keras_archs.ResNet18(weights=f"resnet18{suffix}")


# ------------------------------------------------------------------------------ keras.applications


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Puts a twin with drawn weights into Keras' cache, under the name that Keras looks for."""
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))

    def offline(*args):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", offline)

    def put(title, name, **options):
        twin = drawn(getattr(keras.applications, title)(weights=None, **options))
        path = tmp_path / "models" / name
        path.parent.mkdir(exist_ok=True)
        twin.save(path)  # the legacy format, as Keras' own files
        return twin, hashlib.md5(path.read_bytes()).hexdigest()

    return put


@pytest.mark.parametrize(("alpha", "side", "top"), [(0.25, 128, True), (0.5, 160, False)])
def test_imagenet_weights_of_mobilenet_come_with_alpha_size_and_top(alpha, side, top, cached):
    alphas = {0.25: "2_5", 0.5: "5_0"}
    name = f"mobilenet_{alphas[alpha]}_{side}_tf{'' if top else '_no_top'}.h5"
    options = {"input_shape": (side, side, 3), "alpha": alpha, "include_top": top}
    twin, _ = cached("MobileNet", name, **options)
    model = keras_archs.MobileNet(**options, weights="imagenet")
    assert_same(model, twin, [layer.name for layer in model.layers if layer.weights])
    assert model.load_report.preprocessing == TF


def test_imagenet_weights_serve_other_classes_channels_and_widths(cached):
    options = {"input_shape": (224, 224, 3), "alpha": 0.25}
    twin, _ = cached("MobileNet", "mobilenet_2_5_224_tf.h5", **options)
    small = {"input_shape": (32, 32, 1), "classes": 3, "stem": "small", "weights": "imagenet"}
    model = keras_archs.MobileNet(**small, alpha=0.25, adapt=True)
    assert_same(model, twin, [n for n in body_of(model, "conv_preds") if n != "conv1"])
    narrow = keras_archs.MobileNet(**small, alpha=0.125, adapt=True)
    assert "alpha=0.25 shrunk to alpha=0.125" in narrow.load_report.adapted


@pytest.mark.slow
def test_keras_checks_the_hash_of_resnet50(cached, monkeypatch):
    name = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    cached("ResNet50", name, include_top=False)
    body = {"input_shape": (64, 64, 3), "include_top": False, "weights": "imagenet"}
    with pytest.raises(ConnectionError, match="must be in Keras' cache"):
        keras_archs.ResNet50(**body)  # the file is not what Keras' table says, and so deleted
    twin, digest = cached("ResNet50", name, include_top=False)
    table = {"resnet50": ("", digest)}
    monkeypatch.setattr("keras.src.applications.resnet.WEIGHTS_HASHES", table)
    model = keras_archs.ResNet50(**body)
    assert_same(model, twin, [layer.name for layer in model.layers if layer.weights])
    assert model.load_report.preprocessing == CAFFE


@pytest.mark.slow
@pytest.mark.parametrize("features", [None, ["P4"]])
def test_layers_without_names_are_copied_in_order(features, cached, monkeypatch):
    name = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
    twin, _ = cached("InceptionV3", name, include_top=False)
    monkeypatch.setattr("keras.src.utils.file_utils.validate_file", lambda *a, **k: True)
    options = {"include_top": False} if features is None else {"features": features}
    model = keras_archs.InceptionV3((96, 96, 3), **options, weights="imagenet")
    images = np.random.default_rng(0).uniform(-1, 1, (1, 96, 96, 3)).astype(np.float32)
    wanted = twin if features is None else keras.Model(twin.input, twin.get_layer("mixed7").output)
    ours = run(model, images)
    ours = ours if features is None else ours["P4"]
    np.testing.assert_allclose(ours, run(wanted, images), rtol=1e-4, atol=1e-5)


def test_offline_is_one_clear_line(cached):
    with pytest.raises(
        ConnectionError, match="'imagenet' must be in Keras' cache, or be down"
    ) as e:
        keras_archs.MobileNet(weights="imagenet")
    assert "\n" not in str(e.value) and "no network" in str(e.value)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("mobilenet", {"classes": 10}, "are for 1000 classes: `adapt=True`.* Received: classes=10"),
        ("resnet50", {"input_shape": (64, 64, 1)}, "are for 3 channels"),
        ("mobilenet", {"alpha": 0.6}, "are for alpha in 0.25, 0.5, 0.75, 1.0"),
        ("resnet50", {"alpha": 0.5, "include_top": False}, "are for alpha in 1.0"),
    ],
)
def test_imagenet_weights_that_do_not_fit_are_not_downloaded(name, arguments, message, monkeypatch):
    title = {"mobilenet": "MobileNet", "resnet50": "ResNet50"}[name]
    monkeypatch.setattr(keras.applications, title, lambda **given: pytest.fail("downloaded"))
    with pytest.raises(ValueError, match=message):
        keras_archs.build(name, weights="imagenet", **arguments)


def test_without_a_twin_imagenet_is_refused():
    with pytest.raises(ValueError, match="but for those that keras.applications has: densenet121"):
        keras_archs.SqueezeNet(weights="imagenet")


def test_the_twins_have_one_layout():
    with pytest.raises(ValueError, match="`layout` must be 'keras' for weights='imagenet'"):
        keras_archs.ResNet50(weights="imagenet", layout="torch")
    assert layout_of("imagenet") == "keras" and layout_of("x.caffemodel") == "caffe"
    assert layout_of("x.safetensors") == layout_of("hf://timm/x") == "torch"
    assert layout_of("x.keras") is None


# --------------------------------------------------------------------------------------- catalogue


def test_preprocessings_are_those_of_keras_applications():
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype(np.uint8)
    preprocess = keras.applications.imagenet_utils.preprocess_input
    for ours, mode in ((TF, "tf"), (CAFFE, "caffe"), (TORCH, "torch")):
        wanted = preprocess(images.astype(np.float32), mode=mode)
        np.testing.assert_allclose(ours(images), wanted, atol=1e-4)


def test_known_weights_are_of_architectures_and_layouts_that_exist():
    names = set(keras_archs.list_archs())
    assert {known.arch for known in CATALOG} <= names
    keys = {(known.weights, known.arch, tuple(known.kwargs.items())) for known in CATALOG}
    assert len(keys) == len(CATALOG)
    imagenet = [known for known in CATALOG if known.weights == "imagenet"]
    assert all(known.preprocessing and known.accuracy for known in imagenet)
    assert known_weights("ResNet50") == keras_archs.info("resnet50").weights
    assert known_weights("alexnetonetower") == []


def test_a_card_says_what_is_known_and_nothing_else():
    of_keras, of_caffe = keras_archs.info("vgg16").weights[:2]
    assert of_keras.card.splitlines() == [
        "# vgg16 on ImageNet-1k",
        "",
        '`keras_archs.build("vgg16", weights="imagenet")`',
        "",
        "- from: https://keras.io/api/applications",
        f"- images: {of_keras.preprocessing}",
        "- published top-1 accuracy: 71.3 %",
    ]
    assert "- licence: CC-BY-4.0" in of_caffe.card and "top-1" not in of_caffe.card


def test_of_one_channel_the_means_count():
    grey = CAFFE.for_channels(1)
    assert grey == Preprocessing((pytest.approx(114.799333),), (1.0,))
    assert TORCH.for_channels(6).mean == TORCH.mean * 2


def test_a_run_reads_what_the_weights_were_trained_on(cached):
    """uint8 0..255, red first, whatever the weights want: here blue first."""
    from applications.training import building

    model = keras_archs.VGG11((32, 32, 3), 3, alpha=1 / 16, stem="small")
    wanted = keras_archs.VGG11((32, 32, 3), 3, alpha=1 / 16, stem="small")
    wanted.set_weights(model.get_weights())
    mean, std = building._statistics_of(CAFFE, model)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    normal = (images - mean) / std
    ours, theirs = run(model, normal.astype(np.float32)), run(wanted, CAFFE(images))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
