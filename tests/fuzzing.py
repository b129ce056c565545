"""Readers of files and requests, fed with bytes that a fuzzer makes: `benchmarks/fuzz.py`.

A target has what its reader is documented to raise. Anything else, a reading of more than
`SECONDS`, and one that takes more memory than `Target.memory` and `TIMES` the input, is a finding.
Where a checksum would end nearly every reading, the file is put together here, around the bytes.
"""

import asyncio
import atexit
import contextlib
import functools
import hashlib
import io
import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import click
import h5py
import keras
import numpy as np
import typer
from caffe_files import Unit, v1, v2, written
from keras.src.legacy.saving import legacy_h5_format  # what wrote Keras 2's files
from PIL import Image

import keras_archs
from applications import data, runs
from applications.cli.commands import app
from applications.cli.parsing import read_config
from applications.comparison import reporting
from applications.data.images import read_image, read_images
from applications.learning import vectors
from applications.options import Serving
from applications.searching.engines.local import Listed, LocalEngine
from applications.shipping.serving.app import application
from applications.shipping.serving.networks import Served
from applications.training.checkpoints import last_checkpoint
from keras_archs.weights import compressed, load_weights

RUN = Path(__file__).parent / "fixtures" / "before" / "finished"  # LeNet5 of 16 x 16 digits
FOUND = Path(__file__).parent / "fixtures" / "fuzzed"  # what once was a finding, by target
SECONDS = 5
TIMES = 64  # bytes of memory for one of the input
PART = b"\n----\n"  # between the members of an archive
MOST_PIXELS = 2**20


class Target(NamedTuple):
    """A reader.

    Attributes:
        read: it, which takes a file's content.
        seeds: contents to begin with; it takes the first.
        refused: what it is documented to raise.
        memory: MB that any input may take.
        longest: bytes of an input.
    """

    read: Callable[[bytes], Any]
    seeds: Callable[[], Sequence[bytes]]
    refused: tuple[type[BaseException], ...] = (ValueError,)
    memory: int = 256
    longest: int = 4096


@functools.cache
def _place() -> Path:
    place = tempfile.mkdtemp(prefix="fuzzing-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return Path(place)


def _file(name: str, content: bytes) -> Path:
    path = _place() / name
    path.write_bytes(content)
    return path


def _content(name: str, write: Callable[[Path], Any]) -> bytes:
    """What a writer puts into a file."""
    write(_place() / name)
    return (_place() / name).read_bytes()


# ---------------------------------------------------------------------------------------- weights


@functools.cache
def _chain() -> keras.Model:
    rows = ["2 3/1/1 relu", "2 3/1/1 bn relu max2/2/0", "gap dense"]
    return keras_archs.SimpNet((8, 8, 1), 2, rows=rows)


@functools.cache
def _squeezenet() -> keras.Model:
    return keras_archs.SqueezeNet1_1((16, 16, 1), 2, alpha=0.02, stem="small")


@functools.cache
def _dense() -> keras.Model:
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="dense")], name="lenet5")


def _loaded(model: Callable[[], keras.Model], suffix: str) -> Callable[[bytes], Any]:
    return lambda content: load_weights(model(), _file(f"weights{suffix}", content))


def _caffe_seeds() -> list[bytes]:
    kernel, ones = np.ones((2, 2, 3, 3)), np.ones(2)
    first = Unit("conv1", "Convolution", (kernel[:, :1], ones)), Unit("relu", "ReLU")
    second = Unit("conv2", "Convolution", (kernel,))
    last = Unit("fc", "InnerProduct", (kernel[..., 0, 0], ones))
    norm = Unit("bn2", "BatchNorm", (ones, ones, np.ones(1))), Unit("scale2", "Scale", (ones, ones))
    path = _place() / "seed.caffemodel"
    return [
        written(path, [*first, second, *norm, last], v2).read_bytes(),
        written(path, [*first, last], v1).read_bytes(),
    ]


def _safetensors_seeds() -> list[bytes]:
    save = functools.partial(keras_archs.weights.save_safetensors, _squeezenet())
    return [_content("seed.safetensors", save)]


def _h5_seeds() -> list[bytes]:
    with h5py.File(_place() / "seed.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, _dense())
    made = [(_place() / "seed.h5").read_bytes()]
    return [*made, _content("seed.weights.h5", _dense().save_weights)]


def _keras_file(content: bytes) -> Path:
    """A `.keras` file of config.json and model.weights.h5."""
    config, _, weights = content.partition(PART)
    with zipfile.ZipFile(_place() / "weights.keras", "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", weights)
    return _place() / "weights.keras"


def _keras_seeds() -> list[bytes]:
    _content("seed.keras", _dense().save)
    with zipfile.ZipFile(_place() / "seed.keras") as archive:
        return [PART.join(archive.read(name) for name in ("config.json", "model.weights.h5"))]


def _kac_file(content: bytes) -> Path:
    """A `.kac` file of its header's text, a byte of 0 and its payload."""
    text, _, payload = content.partition(b"\0")
    header = zlib.compress(text, 1)
    sizes = compressed.VERSION, 0, len(header), len(text), len(payload)
    start = compressed._HEAD.pack(compressed.MAGIC, *sizes, bytes(32))[:-32]
    digest = hashlib.sha256(start + header + payload).digest()
    return _file("network.kac", start + digest + header + payload)


def _kac_seeds() -> list[bytes]:
    made = []
    for model in (_dense(), _chain()):
        text, payload = compressed._parts(compressed.packed(model).data)
        made.append(text + b"\0" + payload)
    return made


_ARRAYS = (((3, 3, 2, 4), "float32"), ((40,), "int8"), ((4, 16), "bfloat16"), ((), "bool"))


def _array(content: bytes) -> np.ndarray:
    """An array of a `.kac` file, of the kind that the first byte says."""
    shape, dtype = _ARRAYS[content[0] % len(_ARRAYS)] if content else _ARRAYS[0]
    return compressed._read_array(compressed._Reader(memoryview(content[1:])), shape, dtype)


def _array_seeds() -> list[bytes]:
    made = []
    for number, (shape, dtype) in enumerate(_ARRAYS):
        count = int(np.prod(shape))
        drawn = np.random.default_rng(0).normal(size=count)
        sparse, shared = drawn * (drawn > 1), np.round(drawn)
        for values in (drawn, sparse, shared):
            array = values.reshape(shape).astype(compressed._numpy_type(dtype))
            made.append(bytes([number]) + compressed._array_bytes(array, dtype)[0])
    return made


# ------------------------------------------------------------------------------------------- data

_NPZ = ("x_train", "y_train", "x_test", "y_test")


def _npz(content: bytes) -> Any:
    """Images of an archive; where it is none, of one with these members."""
    if not content.startswith(b"PK"):
        with zipfile.ZipFile(_place() / "images.npz", "w") as archive:
            for name, member in zip(_NPZ, content.split(PART), strict=False):
                archive.writestr(f"{name}.npy", member)
    else:
        _file("images.npz", content)
    source = data.open_source(_place() / "images.npz").at(8)
    source.check()
    return source


def _npz_seeds() -> list[bytes]:
    images, labels = np.zeros((6, 4, 4), np.uint8), np.arange(6) % 2
    members = [
        _content("seed.npy", functools.partial(np.save, arr=array)) for array in (images, labels)
    ]
    save = functools.partial(np.savez, x_train=images, y_train=labels)
    return [PART.join(members * 2), _content("seed.npz", save)]


def _picture(content: bytes) -> Any:
    """As a stranger sends it, and as it lies in a folder of images."""
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS  # smaller bombs are made sooner
    with contextlib.suppress(ValueError):
        read_image(content, (8, 8, 3), most_pixels=MOST_PIXELS)
    return read_images([_file("image", content)], (8, 8, 1), "crop")


def _picture_seeds() -> list[bytes]:
    image = Image.fromarray(np.arange(75, dtype=np.uint8).reshape(5, 5, 3))
    formats = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "ICO", "TGA", "PCX", "DDS")
    made = []
    for kind in formats:
        file = io.BytesIO()
        image.save(file, kind)
        made.append(file.getvalue())
    return made


# ------------------------------------------------------------------------- configurations and runs


def _config(content: bytes) -> Any:
    """The options of a command, and of a recorded run."""
    path = _file("config.yaml", content)
    with contextlib.suppress(ValueError):
        read_config(click.Context(_train_command(), info_name="train"), path)
    return runs.read_config(path)


@functools.cache
def _train_command() -> click.Command:
    return typer.main.get_command(app).commands["train"]


def _config_seeds() -> list[bytes]:
    text = "arch: lenet5\ndata: digits\nalpha: 1e-1\nargs: {variant: modern}\nsize: [8, 8]\n"
    return [(RUN / "config.yaml").read_bytes(), text.encode(), b"args: &a {b: [1, *a]}\n"]


def _run_folder(content: bytes) -> Any:
    """A run one of whose files, which the first line names, holds the rest."""
    name, _, rest = content.partition(b"\n")
    name = name.decode("latin-1")
    name = name if name in _READ else _READ[len(name) % len(_READ)]
    folder = _run_copy()
    whole = (folder / name).read_bytes()
    try:
        (folder / name).write_bytes(_arrays_file(rest) if name.endswith(".npz") else rest)
        run = runs.Run(folder)
        read = (run.remarks, run.history, run.predictions)
        return *read, reporting._profile(run), reporting._history(run), reporting._confusion(run)
    finally:
        (folder / name).write_bytes(whole)


_READ = ("metrics.json", "labels.json", "history.csv", "profile.csv", "predictions.npz")
_PREDICTED = ("ids", "labels", "probabilities")


@functools.cache
def _run_copy() -> Path:
    return Path(shutil.copytree(RUN, _place() / "run"))


def _arrays_file(content: bytes, names: Sequence[str] = _PREDICTED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, member in zip(names, content.split(PART), strict=False):
            archive.writestr(f"{name}.npy", member)
    return file.getvalue()


def _run_seeds() -> list[bytes]:
    made = [f"{name}\n".encode() + (RUN / name).read_bytes() for name in _READ[:-1]]
    arrays = [np.array(["0"]), np.zeros(1, np.int64), np.full((1, 10), 0.1, np.float32)]
    members = [_content("seed.npy", functools.partial(np.save, arr=a)) for a in arrays]
    return [*made, b"predictions.npz\n" + PART.join(members)]


def _search(content: bytes) -> Any:
    """The state of a search of two trials."""
    engine = LocalEngine(
        Listed([{"alpha": 0.5}, {"alpha": 1.0}]),
        dict,
        file=_file("search.json", content),
        options={"epochs": 1},
        trials=2,
    )
    return engine.finished, engine.records()


def _search_seeds() -> list[bytes]:
    path = _place() / "search.json"
    path.unlink(missing_ok=True)
    engine = LocalEngine(
        Listed([{"alpha": 0.5}, {"alpha": 1.0}]), dict, file=path, options={"epochs": 1}, trials=2
    )
    made = [path.read_bytes()]
    job = engine.ask()
    engine.tell(job, {"validation_accuracy": 0.5, "epochs": 1})
    engine.fail(engine.ask(), "why")
    return [*made, path.read_bytes()]


def _checkpoint(content: bytes) -> Any:
    """What a checkpoint tells of its training."""
    folder = _place() / "checkpoint"
    folder.mkdir(exist_ok=True)
    np.savez(folder / "epoch-0001.npz", state=np.array(content.decode("latin-1")), a=np.zeros(2))
    with contextlib.redirect_stderr(io.StringIO()):
        return last_checkpoint(folder, or_anew=False, epochs=2, steps=4)


def _checkpoint_seeds() -> list[bytes]:
    row = {"epoch": 1, "val_loss": 0.5, "val_accuracy": 0.5, "seconds": 1.0}
    state = {"history": [row], "steps": 4, "step": 0, "seconds": 0.0, "ended": None}
    return [json.dumps(state | {"backend": "numpy"}).encode()]


def _index(content: bytes) -> Any:
    """What tells of an index of images."""
    _file_in_index().write_bytes(content)
    return vectors.opened(_file_in_index().parent)


@functools.cache
def _file_in_index() -> Path:
    folder = _place() / "index"
    folder.mkdir()
    index = vectors.Index(folder, "network", ["a.png"], np.zeros((1, 2), np.int64))
    index.add(f"vectors-{index.token}.npy", lambda path: _save_npy(path, np.zeros((1, 2), "f4")))
    rows = {"ids": np.array(index.ids), "marks": index.marks}
    index.add(f"images-{index.token}.npz", lambda path: np.savez(path, **rows))
    index.publish()
    return folder / vectors.INDEX


def _save_npy(path: Path, array: np.ndarray) -> None:
    with open(path, "wb") as file:
        np.save(file, array)


# ----------------------------------------------------------------------------------------- server


class _Quick(Served):
    """Of no network: all probabilities are equal."""

    def __init__(self):
        self.name, self.labels, self.shape = "digits", ("0", "1"), (4, 4, 1)
        self.runtime, self.trained = "none", True
        self._network: Any = SimpleNamespace(config={"resize": "stretch"})
        self._most_pixels = MOST_PIXELS

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 2), 0.5, np.float32)

    def explained(self, pixels: np.ndarray) -> list[dict[str, Any]]:
        raise ValueError("no method explains it")


@functools.cache
def _server() -> tuple[Any, asyncio.AbstractEventLoop]:
    return application([_Quick()], Serving(runs=RUN, max_batch=4)), asyncio.new_event_loop()


def _request(content: bytes) -> int:
    """A POST: lines of address, content type and length of the JSON; then the body."""
    address, kind, length, *rest = *content.split(b"\n", 3), b"", b"", b""
    body = rest[0]
    path, _, query = address.decode("latin-1").partition("?")
    headers = [(b"content-type", kind), (b"inference-header-content-length", length)]
    scope = {
        **{"type": "http", "method": "POST", "scheme": "http", "http_version": "1.1"},
        **{"path": path, "raw_path": path.encode(), "query_string": query.encode("latin-1")},
        **{"root_path": "", "server": ("here", 80), "client": ("there", 1)},
        "headers": headers if length else headers[:1],
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    gate, loop = _server()
    loop.run_until_complete(gate(scope, receive, send))
    if sent[0]["status"] >= 500:
        raise RuntimeError(f"answered with {sent[0]['status']}")
    return sent[0]["status"]


def _request_seeds() -> list[bytes]:
    pixels = np.zeros((1, 4, 4, 1), np.uint8)
    tensor = {"name": "image", "shape": [1, 4, 4, 1], "datatype": "UINT8"}
    flat = json.dumps({"inputs": [tensor | {"data": [0] * 16}], "id": "a"}).encode()
    asked = {"outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]}
    sized = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": 16}}], **asked})
    images = json.dumps({"images": [pixels[0, ..., 0].tolist()], "top": 1}).encode()
    png = _picture_seeds()[0]
    form = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'
    infer = b"/v2/models/digits/infer\n"
    return [
        infer + b"application/json\n\n" + flat,
        infer + b"application/octet-stream\n%d\n" % len(sized) + sized.encode() + bytes(16),
        b"/predict?top=2\nimage/png\n\n" + png,
        b"/predict\napplication/json\n\n" + images,
        b"/predict/digits\nmultipart/form-data; boundary=x\n\n" + form + png + b"\r\n--x--\r\n",
    ]


TARGETS = {
    "caffemodel": Target(_loaded(_chain, ".caffemodel"), _caffe_seeds),
    "safetensors": Target(_loaded(_squeezenet, ".safetensors"), _safetensors_seeds, longest=16384),
    "h5": Target(_loaded(_dense, ".h5"), _h5_seeds, longest=65536),
    "keras": Target(lambda c: load_weights(_dense(), _keras_file(c)), _keras_seeds, longest=65536),
    # 2**24 weights are allowed to a file of any size.
    "kac": Target(
        lambda c: keras_archs.load_compressed(_kac_file(c)), _kac_seeds, memory=1024, longest=16384
    ),
    # What is raised here, `load_compressed` makes a ValueError of.
    "kac_arrays": Target(_array, _array_seeds, (Exception,)),
    "npz": Target(_npz, _npz_seeds),
    "images": Target(_picture, _picture_seeds),
    "config": Target(_config, _config_seeds),
    "run_folder": Target(_run_folder, _run_seeds),
    "search": Target(_search, _search_seeds),
    "checkpoint": Target(_checkpoint, _checkpoint_seeds, longest=512),
    "index": Target(_index, lambda: [_file_in_index().read_bytes()]),
    "server": Target(_request, _request_seeds, ()),
}


def refused(name: str, content: bytes) -> bool:
    """Whether the target refuses this input as it is documented to.

    Raises:
        BaseException: it raises another error.
    """
    target = TARGETS[name]
    try:
        target.read(content)
    except target.refused:
        return True
    return False
