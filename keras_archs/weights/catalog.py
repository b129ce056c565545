"""Known weights as data: who trained them, under which licence, on which pixels, how good they are.

Most are not hosted by this project: `source` is where those who trained them publish them. Those
in the folder `trained/` beside this file are part of the package. What is not known for certain is
None.

>>> from keras_archs.weights.catalog import known_weights
>>> [known.weights for known in known_weights("mobilenet")]
['imagenet']
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Preprocessing:
    """What weights expect of images: `(pixels - mean) / std`, channel by channel.

    Attributes:
        mean: of each channel, red first, for pixels of 0 to 255.
        std: what the difference is divided by, red first.
        bgr: whether the network reads blue first.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool = False

    def __str__(self) -> str:
        mean, std = (
            ", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std)
        )
        order = ", blue first" if self.bgr else ""
        return f"pixels of 0 to 255 less ({mean}), divided by ({std}){order}"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 images 0..255 (N, H, W, C), red first -> what the network takes, float32."""
        normalised = (np.asarray(images, np.float32) - self.mean) / self.std
        return (normalised[..., ::-1] if self.bgr else normalised).astype(np.float32)

    def for_channels(self, channels: int) -> "Preprocessing":
        """The same for images of another number of channels.

        One channel gets the means of these figures, more repeat them; the order of colours is that
        of the images.
        """
        if channels == len(self.mean):
            return self
        if channels == 1:
            return Preprocessing((float(np.mean(self.mean)),), (float(np.mean(self.std)),))
        mean, std = (tuple(np.resize(v, channels).tolist()) for v in (self.mean, self.std))
        return Preprocessing(mean, std)


TF = Preprocessing((127.5,) * 3, (127.5,) * 3)
TORCH = Preprocessing((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
CAFFE = Preprocessing((123.68, 116.779, 103.939), (1.0,) * 3, bgr=True)


@dataclass(frozen=True)
class KnownWeights:
    """Weights that somebody published.

    Attributes:
        weights: what the builder's `weights=` takes: "imagenet", "hf://timm/NAME", "mnist" or
            "cifar10" for what the package has, or the usual name of the file to be downloaded from
            `source`.
        arch: the registry's name.
        kwargs: arguments of the builder but for `weights`.
        data: what they were trained on.
        source: the project or page that publishes them.
        licence: SPDX identifier, or None.
        preprocessing: what they expect of images.
        accuracy: published top-1 accuracy in %, one crop of the validation or test images.
        sha256: of the file.
    """

    weights: str
    arch: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    data: str = "ImageNet-1k"
    source: str | None = None
    licence: str | None = None
    preprocessing: Preprocessing | None = None
    accuracy: float | None = None
    sha256: str | None = None

    @property
    def card(self) -> str:
        """All that is known of them, as Markdown."""
        known = {
            "from": self.source,
            "licence": self.licence,
            "images": self.preprocessing,
            "published top-1 accuracy": self.accuracy and f"{self.accuracy} %",
            "SHA-256": self.sha256,
        }
        lines = "".join(f"- {name}: {value}\n" for name, value in known.items() if value)
        return f"{self._title}\n{lines}"

    @property
    def _title(self) -> str:
        arguments = "".join(f", {name}={value!r}" for name, value in self.kwargs.items())
        return f"""# {self.arch} on {self.data}

`keras_archs.build("{self.arch}", weights="{self.weights}"{arguments})`
"""


TRAINED = Path(__file__).with_name("trained")


@dataclass(frozen=True, kw_only=True)
class TrainedWeights(KnownWeights):
    """Weights that are a file of this package. benchmarks/trained.py makes them.

    Attributes:
        file: its name in the folder `trained/`.
        bytes: its size.
        input_shape: `(height, width, channels)` of the images.
        labels: of the classes, in the order of the network's outputs.
        params: parameters of the network.
        macs: its multiply-adds for one image.
        right: how many of the test images the network that is loaded from the file classifies as
            they are labelled, on TensorFlow; another backend's rounding may turn one or two.
        tested: how many test images there are: the whole test split.
        data_source: who collected the images, and where they are described.
        data_licence: SPDX identifier of the images' licence, NOASSERTION where none is stated.
        commands: what made the file.
    """

    file: str
    bytes: int
    input_shape: tuple[int, int, int]
    labels: tuple[str, ...]
    params: int
    macs: int
    right: int
    tested: int
    data_source: str
    data_licence: str
    commands: tuple[str, ...]

    @property
    def path(self) -> Path:
        """Of the file."""
        return TRAINED / self.file

    @property
    def card(self) -> str:
        commands = "\n".join(f"    {command}" for command in self.commands)
        return f"""{self._title}
- network: {self.params:,} parameters, {self.macs:,} multiply-adds
- input: images of {"x".join(map(str, self.input_shape))}, pixels of 0 to 255; inside: {
            self.preprocessing
        }
- output: probabilities of {", ".join(self.labels)}
- test: {self.right:,} of all {self.tested:,} test images right, {self.accuracy:.2f} %
- file: {self.file}, {self.bytes:,} bytes, SHA-256 {self.sha256}
- licence: {self.licence}
- data: {self.data_source}; licence {self.data_licence}

Made by

{commands}
"""


def _trained(entry: Mapping[str, Any]) -> TrainedWeights:
    """An entry of `trained/table.json`."""
    mean, std = (tuple(entry[name]) for name in ("mean", "std"))
    rest = {name: value for name, value in entry.items() if name not in ("mean", "std")}
    lists = {name: tuple(value) for name, value in rest.items() if isinstance(value, list)}
    accuracy = 100 * entry["right"] / entry["tested"]
    return TrainedWeights(
        **{**rest, **lists}, accuracy=accuracy, preprocessing=Preprocessing(mean, std)
    )


def _table() -> tuple[TrainedWeights, ...]:
    text = (TRAINED / "table.json").read_text(encoding="utf-8")
    return tuple(_trained(entry) for entry in json.loads(text))


_BVLC = "https://github.com/BVLC/caffe/tree/master/models"
_VGG = "https://www.robots.ox.ac.uk/~vgg/research/very_deep"
_SIMPNET = "https://github.com/Coderx7/SimpNet"
_SIMPLENET = "https://github.com/Coderx7/SimpleNet"
_KERAS = "https://keras.io/api/applications"
_ILSVRC_MEAN = Preprocessing((122.679, 116.669, 104.007), (1.0,) * 3, bgr=True)
_RESNET_MEAN = Preprocessing((123.152, 115.903, 103.063), (1.0,) * 3, bgr=True)
_ROUNDED_MEAN = Preprocessing((123.0, 117.0, 104.0), (1.0,) * 3, bgr=True)

_MNIST = Preprocessing((33.318,), (78.567,))
# The authors of SimpNet name the script that prepared their CIFAR images: means and deviations of
# all training pixels. Their files read red first, against Caffe's habit.
_SIMPNET_PREPROCESSING = {
    "CIFAR-10": Preprocessing((125.307, 122.95, 113.865), (62.993, 62.089, 66.705)),
    "CIFAR-100": Preprocessing((129.304, 124.07, 112.434), (68.17, 65.392, 70.418)),
    "MNIST": _MNIST,
}
_SIMPNET_FILES = (  # experiment, data, published accuracy in %, name of the file, its hash
    (
        *(5, "CIFAR-10", 94.76, "SimpNet_slimnet_1M"),
        "3bb9e72738fe4cd04e49f51f3e4db60367f34445aeb840e40feaabf039814f8a",
    ),
    (
        *(6, "CIFAR-10", 93.25, "SimpNet_slimnet_300k_Model"),
        "ae34cccc7a960dfb7da8268180d32bf05da9af478d813dca3866b39a5cc4d4f2",
    ),
    (
        *(7, "CIFAR-10", 94.03, "SimpNet_slimnet_600k"),
        "ad56b62063eb1aa3d267a6878207379b8a3a17cd9fae693c2d5a2e5925a057d9",
    ),
    (
        *(4, "CIFAR-100", 68.47, "cifar100_slimnet_300k_maxdrp_iter_106000"),
        "264a87b1f9cf40ca9ed12321cd144b6868344cc19ec8ca4a8a8e249a197b75d6",
    ),
    (
        *(10, "CIFAR-100", 71.74, "cifar100_slimnet_600k_drp_iter_169000"),
        "84d4bfdf89fec1a4e2ac36c033c994497c106b379649ed914c3ba80afb565005",
    ),
    (
        *(11, "MNIST", 99.73, "mnist_slimnet_300k__iter_7800"),
        "8e1ab51fb62adf939b1bcde2f57d6728dae2d182e42a63e936cf9e7d058b5792",
    ),
    (
        *(12, "SVHN", 98.05, "svhn_slimnet_300k"),
        "9cb80be8c816157a60641ceb4407d7c4b77782b9478ba107a9c90131f4413010",
    ),
)


def _imagenet(arch: str, preprocessing: Preprocessing, accuracy: float) -> KnownWeights:
    """A twin of keras.applications; the accuracy is that of its documentation's table."""
    return KnownWeights(
        "imagenet", arch, source=_KERAS, preprocessing=preprocessing, accuracy=accuracy
    )


def _caffe(
    weights: str,
    arch: str,
    preprocessing: Preprocessing | None,
    source: str,
    accuracy: float | None = None,
    **facts: Any,
) -> KnownWeights:
    return KnownWeights(
        weights, arch, preprocessing=preprocessing, source=source, accuracy=accuracy, **facts
    )


CATALOG: tuple[KnownWeights, ...] = (
    *_table(),
    _imagenet("mobilenet", TF, 70.4),
    _imagenet("mobilenetv2", TF, 71.3),
    _imagenet("vgg16", CAFFE, 71.3),
    _imagenet("vgg19", CAFFE, 71.3),
    _imagenet("resnet50", CAFFE, 74.9),
    _imagenet("resnet101", CAFFE, 76.4),
    _imagenet("resnet152", CAFFE, 76.6),
    _imagenet("resnet50v2", TF, 76.0),
    _imagenet("resnet101v2", TF, 77.2),
    _imagenet("resnet152v2", TF, 78.0),
    _imagenet("densenet121", TORCH, 75.0),
    _imagenet("densenet169", TORCH, 76.2),
    _imagenet("densenet201", TORCH, 77.3),
    _imagenet("inceptionv3", TF, 77.9),
    _imagenet("inceptionresnetv2", TF, 80.3),
    _caffe("bvlc_alexnet.caffemodel", "alexnet", _ILSVRC_MEAN, f"{_BVLC}/bvlc_alexnet", 57.1),
    _caffe(
        "bvlc_googlenet.caffemodel", "googlenet", _ROUNDED_MEAN, f"{_BVLC}/bvlc_googlenet", 68.7
    ),
    _caffe("VGG_ILSVRC_16_layers.caffemodel", "vgg16", CAFFE, _VGG, licence="CC-BY-4.0"),
    _caffe("VGG_ILSVRC_19_layers.caffemodel", "vgg19", CAFFE, _VGG, licence="CC-BY-4.0"),
    _caffe(
        "squeezenet_v1.0.caffemodel",
        "squeezenet",
        _ROUNDED_MEAN,
        "https://github.com/forresti/SqueezeNet",
        57.5,
        licence="BSD-2-Clause",
    ),
    _caffe(
        "squeezenet_v1.1.caffemodel",
        "squeezenet1_1",
        _ROUNDED_MEAN,
        "https://github.com/forresti/SqueezeNet",
        licence="BSD-2-Clause",
    ),
    *(
        _caffe(
            f"ResNet-{depth}-model.caffemodel",
            f"resnet{depth}",
            _RESNET_MEAN,
            "https://github.com/KaimingHe/deep-residual-networks",
            accuracy,
            licence="MIT",
        )
        for depth, accuracy in ((50, 75.3), (101, 76.4), (152, 77.0))
    ),
    _caffe("nin_imagenet.caffemodel", "nin", _ILSVRC_MEAN, "https://github.com/BVLC/caffe", 59.36),
    _caffe(
        "slimnet_fx_310k_iter_39000.caffemodel",
        "simpnet",
        _MNIST,
        _SIMPLENET,
        99.72,
        kwargs={"experiment": 102},
        data="MNIST",
        licence="MIT",
        sha256="40a50d1414425bd1f9c88ca2f1a21c2b83293f0ecd58dc1ef0c52736427c3bd1",
    ),
    *(
        _caffe(
            f"{name}.caffemodel",
            "simpnet",
            _SIMPNET_PREPROCESSING.get(data),
            _SIMPNET,
            accuracy,
            kwargs={"experiment": experiment},
            data=data,
            sha256=sha256,
        )
        for experiment, data, accuracy, name, sha256 in _SIMPNET_FILES
    ),
)


def preprocessing_of(path: Path, arch: str) -> Preprocessing | None:
    """What the weights in a file for this architecture expect of images, as far as is known.

    A file is recognised by its hash; one that is not, of an architecture whose known files all
    expect the same, expects that too.
    """
    same_kind = [k for k in known_weights(arch) if k.weights.endswith(path.suffix)]
    if any(known.sha256 for known in same_kind):
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return next((k.preprocessing for k in same_kind if k.sha256 == digest), None)
    found = {known.preprocessing for known in same_kind}
    return found.pop() if len(found) == 1 else None


def known_weights(arch: str) -> list[KnownWeights]:
    """The known weights of an architecture, by its name in any case; empty where there are none."""
    return [known for known in CATALOG if known.arch == arch.lower()]
