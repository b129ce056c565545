"""Checkpoints of timm and torchvision: names, numbers and answers are theirs, both ways.

What those libraries answer is in tests/fixtures/torch, made by tests/fixtures/make_torch.py.
"""

import json
import struct
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import keras_archs
from keras_archs.graph import without_values
from keras_archs.weights import load_weights, save_safetensors, timm

FIXTURES = Path(__file__).parents[2] / "fixtures"
sys.path.insert(0, str(FIXTURES))
from torch_models import CLASSES, NETWORKS, Network, drawn, image  # noqa: E402

sys.path.remove(str(FIXTURES))  # its folder torch/ would pass for the library

QUICK = (  # to build and to run; the others take up to ten seconds each
    "timm_mobilenetv1_100",
    "torchvision_squeezenet1_0",
    "torchvision_squeezenet1_1",
)
# Of each kind that a library spells and lays out in one way.
ANSWERING = (
    *QUICK,
    *("timm_resnet18", "timm_mobilenetv2_050", "torchvision_alexnet", "torchvision_vgg11_bn"),
    *("timm_vgg11", "torchvision_googlenet"),
    *("torchvision_inception_v3", "timm_inception_v3", "timm_inception_v4"),
    *("timm_inception_resnet_v2", "timm_resnet50", "torchvision_resnet101"),
    *("torchvision_wide_resnet50_2", "timm_resnext50_32x4d", "timm_densenet121"),
    *("torchvision_densenet169", "torchvision_mobilenet_v2"),
)


def stem(network: Network) -> str:
    return Path(network.file).stem


def per_network(stems):
    return [
        pytest.param(
            network, id=stem(network), marks=[pytest.mark.slow] * (stem(network) not in QUICK)
        )
        for network in NETWORKS
        if stem(network) in stems
    ]


class Theirs:
    """What a library says of one of its networks."""

    def __init__(self, network: Network):
        with np.load(FIXTURES / "torch" / network.file) as file:
            lines = [line.split(" ") for line in str(file["parameters"]).splitlines()]
            self.shapes = {n: tuple(int(side) for side in s.split(",") if side) for n, s in lines}
            self.gain = float(file["gain"])
            self.answers = {k: file[k] for k in ("logits", "aux1", "aux2") if k in file}

    def write(self, path: Path) -> Path:
        """A checkpoint with the weights that the library had when it answered."""
        save_file({name: drawn(name, s, self.gain) for name, s in self.shapes.items()}, path)
        return path


def ours(network: Network, **options) -> keras.Model:
    """Our network of the same definition, without the classifiers' activations."""
    builder = getattr(keras_archs, network.arch)
    layout = {"layout": "torch"} if "layout" in builder.spec.own else {}
    shape = (*network.size, 3)
    options = {"classes": CLASSES, "classifier_activation": None, **layout, **options}
    return builder(shape, **network.own, **options)


@pytest.fixture
def forgotten():
    """Networks of half a gigabyte, which Keras would keep."""
    yield
    keras.utils.clear_session(free_memory=True)


@pytest.mark.parametrize("network", per_network([*map(stem, NETWORKS)]))
def test_names_and_shapes_are_theirs(network):
    with without_values():
        model = ours(network)
    assert timm.shapes(model, network.library) == Theirs(network).shapes


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("network", per_network(ANSWERING))
def test_answers_are_theirs(network, tmp_path):
    theirs, model = Theirs(network), ours(network)
    report = load_weights(model, theirs.write(tmp_path / "theirs.safetensors"))
    assert set(report.loaded) == {layer.name for layer in model.layers if layer.weights}
    assert not report.unused and not report.fresh

    found = model.predict(image(network.size), verbose=0)
    found = found if isinstance(found, dict) else {"predictions": found}
    found["logits"] = found.pop("predictions")
    assert found.keys() == theirs.answers.keys()
    for key, expected in theirs.answers.items():
        np.testing.assert_allclose(found[key], expected, rtol=0, atol=1e-4 * abs(expected).max())


# -------------------------------------------------------------------- a small network, both ways


def small(arch="SqueezeNet1_1", size=17, classes=5, **options) -> keras.Model:
    return getattr(keras_archs, arch)((size, size, 3), classes, **options)


@pytest.fixture(scope="module")
def squeezenet() -> keras.Model:
    return small(layout="torch")


@pytest.fixture
def file(squeezenet, tmp_path) -> Path:
    path = tmp_path / "squeezenet.safetensors"
    save_safetensors(squeezenet, path)
    return path


def changed(file: Path, **tensors) -> Path:
    """The file with other tensors; None takes one away."""
    kept = {k.replace(".", "__"): v for k, v in load_file(file).items()} | tensors
    named = {k.replace("__", "."): v for k, v in kept.items() if v is not None}
    save_file(named, file)
    return file


def random_statistics(model: keras.Model) -> keras.Model:
    """No weight as it starts: a scale of BatchNorm is not its variance, a bias is not its mean."""
    rng = np.random.default_rng(1)
    model.set_weights([rng.random(w.shape, np.float32) for w in model.weights])
    return model


@pytest.mark.parametrize(
    "arch, options, names",
    [
        ("SqueezeNet", {"layout": "torch"}, "timm"),
        ("ResNet18", {"alpha": 1 / 8}, "timm"),
        ("MobileNet", {"alpha": 1 / 8}, "timm"),
        ("MobileNetV2", {"alpha": 1 / 8}, "timm"),
        ("MobileNetV2", {"alpha": 1 / 8}, "torchvision"),
        ("VGG11", {"alpha": 1 / 32, "size": 64, "batch_norm": True}, "timm"),
        ("VGG11", {"alpha": 1 / 32, "size": 64}, "torchvision"),
    ],
)
def test_what_is_saved_comes_back_bit_by_bit(arch, options, names, tmp_path):
    options = {"size": 32, **options}
    model = random_statistics(small(arch, **options))
    save_safetensors(model, tmp_path / "out.safetensors", names)
    back = small(arch, weights=tmp_path / "out.safetensors", **options)
    for ours, theirs in zip(back.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


def test_what_is_saved_is_what_torch_writes(squeezenet, file):
    tensors = load_file(file)
    assert {name: t.shape for name, t in tensors.items()} == timm.shapes(squeezenet)
    kernel = squeezenet.get_layer("fire2_expand3x3").weights[0]
    stored = tensors["features.3.expand3x3.weight"]
    np.testing.assert_array_equal(stored[7, 5], kernel[:, :, 5, 7])
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_the_layout_follows_the_weights_unless_it_is_given(file):
    def side(**options):
        """Of the maps after the first pooling, which are 18x18 before it."""
        model = small(size=37, weights=file, **options)
        return model.get_layer("fire2_concat").output.shape[1]

    assert side() == 9  # rounded up
    assert side(layout="paper") == 8


def test_numbers_of_half_precision_are_taken(squeezenet, file):
    halves = {name: t.astype(np.float16) for name, t in load_file(file).items()}
    save_file(halves, file)
    model = small(weights=file)
    for ours, theirs in zip(model.weights, squeezenet.weights, strict=True):
        np.testing.assert_array_equal(ours, np.asarray(theirs).astype(np.float16))


def test_a_network_with_a_small_stem_takes_the_same_file(file):
    assert len(small(weights=file, stem="small").load_report.loaded) == 26


@pytest.mark.slow
def test_names_of_the_first_densenets_are_understood(tmp_path):
    options = {"alpha": 1 / 8, "size": 32}
    model = random_statistics(small("DenseNet121", **options))
    file = tmp_path / "densenet.safetensors"
    save_safetensors(model, file)
    old = {
        k.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): t
        for k, t in load_file(file).items()
    }
    assert "features.denseblock1.denselayer1.norm.1.running_var" in old
    save_file(old, file)
    back = small("DenseNet121", weights=file, **options)
    assert all(np.array_equal(a, b) for a, b in zip(back.weights, model.weights, strict=True))


# ----------------------------------------------------------------- what is left over, what is wrong


@pytest.fixture(scope="module")
def resnets(tmp_path_factory) -> Path:
    """A folder with checkpoints of an eighth of ResNet18 and 34."""
    folder = tmp_path_factory.mktemp("resnets")
    for arch in ("ResNet18", "ResNet34"):
        save_safetensors(small(arch, alpha=1 / 8), folder / f"{arch}.safetensors")
    return folder


def test_what_a_network_has_no_place_for_is_reported(resnets):
    file = resnets / "ResNet18.safetensors"
    body = small("ResNet18", alpha=1 / 8, include_top=False, weights=file)
    assert body.load_report.unused == ("fc.bias", "fc.weight")
    begin = small("ResNet18", alpha=1 / 8, features=["P3"], weights=file)
    assert {name.partition(".")[0] for name in begin.load_report.unused} == {
        "layer3",
        "layer4",
        "fc",
    }


@pytest.mark.parametrize("cut", [{}, {"include_top": False}, {"features": ["P3"]}])
def test_a_deeper_network_of_the_family_is_another_one(resnets, cut):
    with pytest.raises(
        ValueError, match=r"does not have its layer1\.2\.bn1\.bias, .* and \d+ more"
    ):
        small("ResNet18", alpha=1 / 8, weights=resnets / "ResNet34.safetensors", **cut)
    with pytest.raises(ValueError, match=r"it lacks layer1\.2\.conv1\.weight, .* and \d+ more"):
        small("ResNet34", alpha=1 / 8, weights=resnets / "ResNet18.safetensors", **cut)


def test_another_layout_is_named_as_the_cause(tmp_path):
    file = tmp_path / "resnet50.safetensors"
    save_safetensors(small("ResNet50", alpha=1 / 8, layout="torch"), file)
    with pytest.raises(ValueError, match='lacks conv1.bias, .*not built with layout="torch"'):
        small("ResNet50", alpha=1 / 8, layout="keras", weights=file)


def header(**tensors) -> bytes:
    """The beginning of a safetensors file."""
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


HUNDRED_GB = 100 * 10**9
DAMAGES = {
    "truncated": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "header of 100 GB": lambda data: struct.pack("<Q", HUNDRED_GB) + data[8:],
    "tensor of 100 GB": lambda data: header(
        a={"dtype": "F32", "shape": [HUNDRED_GB // 4], "data_offsets": [0, HUNDRED_GB]}
    ),
    "header that is no JSON": lambda data: data[:8] + b"?" + data[9:],
    "tensors that overlap": lambda data: (
        header(
            a={"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            b={"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
        )
        + bytes(12)
    ),
}


def refused(squeezenet, file: Path, match: str):
    """The file is refused in one line, and the network is as it was."""
    before = squeezenet.get_weights()
    with pytest.raises(ValueError, match=match) as caught:
        load_weights(squeezenet, file)
    assert str(caught.value).endswith(f"Received: weights={str(file)!r}")
    assert "\n" not in str(caught.value)
    assert all(map(np.array_equal, squeezenet.get_weights(), before))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused(squeezenet, file, damage):
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    refused(squeezenet, file, "must fit the network: .* it is damaged")


def test_a_file_that_is_really_of_100_gb_is_not_read(squeezenet, file):
    begin = DAMAGES["tensor of 100 GB"](b"")
    file.write_bytes(begin)
    with open(file, "r+b") as sparse:
        sparse.truncate(len(begin) + HUNDRED_GB)
    refused(squeezenet, file, "the file has 100,000,000,[0-9]+ bytes")


def test_another_network_is_refused(squeezenet, resnets, file):
    refused(squeezenet, resnets / "ResNet18.safetensors", r"it lacks features\.0\.weight")
    with pytest.raises(ValueError, match="no network like lenet5"):
        keras_archs.LeNet5(weights=file)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(squeezenet, file, value):
    tensor = load_file(file)["features.3.squeeze.weight"]
    tensor[3, 5] = value
    refused(squeezenet, changed(file, features__3__squeeze__weight=tensor), "not finite")


def test_other_shapes_and_kinds_are_refused(squeezenet, file):
    tensors, key = load_file(file), "features__3__squeeze__weight"
    kernel = tensors["features.3.squeeze.weight"]
    for wrong, match in (
        (kernel[:, :, 0, 0], r"has shape \(16, 64\) there and \(16, 64, 1, 1\) here"),
        (kernel[:, :32], r"\(1, 1, 32, 16\).* there and .*\(1, 1, 64, 16\).* here"),
        (kernel.astype(np.int32), "is of I32"),
        (None, r"it lacks features\.3\.squeeze\.weight"),
    ):
        wrong = None if wrong is None else np.ascontiguousarray(wrong)
        refused(squeezenet, changed(file, **{key: wrong}), match)


def test_a_pickled_file_is_refused_and_the_way_around_is_named(squeezenet, tmp_path):
    pickled = tmp_path / "model.safetensors"
    pickled.write_bytes(b"PK\x03\x04" + bytes(100))
    refused(squeezenet, pickled, r"pickled\. Where Torch is: .*safetensors\.torch\.save_file")
    with pytest.raises(ValueError, match=r"pickled.*safetensors\.torch\.save_file"):
        small(weights=pickled.rename(tmp_path / "model.pth"))


def test_what_cannot_be_saved_is_said(squeezenet, tmp_path):
    with pytest.raises(ValueError, match="`path` must end in .safetensors"):
        save_safetensors(squeezenet, tmp_path / "model.pth")
    with pytest.raises(ValueError, match="`names` must be 'timm' or 'torchvision'"):
        save_safetensors(squeezenet, tmp_path / "a.safetensors", names="caffe")
    with pytest.raises(ValueError, match="`model` must be a network that timm or torchvision has"):
        save_safetensors(keras_archs.LeNet5(), tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------ the hub


def test_a_checkpoint_of_the_hub_is_read_from_its_cache(squeezenet, file, tmp_path, monkeypatch):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"pretrained_cfg": {"mean": [0.5] * 3, "std": [0.2] * 3}}))
    cached = {"model.safetensors": str(file), "config.json": str(config)}
    asked = []

    def downloaded(repository, name, local_files_only):
        asked.append(repository)
        return cached[name]

    monkeypatch.setattr("huggingface_hub.hf_hub_download", downloaded)
    model = small(weights="hf://timm/squeezenet.x_in1k")
    assert set(asked) == {"timm/squeezenet.x_in1k"}
    assert model.load_report.preprocessing.mean == (127.5,) * 3
    for ours, theirs in zip(model.weights, squeezenet.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_without_a_connection_the_hub_is_one_clear_error(squeezenet, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConnectionError, match="huggingface_hub has or can download: .*cache") as it:
        load_weights(squeezenet, "hf://timm/resnet18.not_there")
    assert "\n" not in str(it.value)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://localhost:9")
    with pytest.raises(ConnectionError, match="huggingface_hub has or can download: .*refused"):
        load_weights(squeezenet, "hf://timm/resnet18.not_there")
    with pytest.raises(ValueError, match="must be hf://timm/NAME"):
        load_weights(squeezenet, "hf://timm/../secrets")


# ------------------------------------------------------------------------------------------ PyTorch


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ours", "theirs"), [("ResNet18", "resnet18"), ("MobileNetV2", "mobilenet_v2")]
)
def test_torchvision_loads_what_is_saved_and_answers_alike(ours, theirs, tmp_path):
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("torchvision.models")
    from safetensors.torch import load_file

    model = getattr(keras_archs, ours)(layout="torch", classifier_activation=None)
    save_safetensors(model, tmp_path / "a.safetensors", names="torchvision")
    network = getattr(models, theirs)().eval()
    network.load_state_dict(load_file(tmp_path / "a.safetensors"))
    images = np.random.default_rng(0).random((2, 224, 224, 3), np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    found = model.predict(images, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * abs(expected).max())
