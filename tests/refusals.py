"""What the inputs of refusals.txt are made of, and what each of them is answered.

An input is a Python expression over the names below, or `$` and a command line. Beneath it,
indented, stands the answer: the error's type and message, the exit status and the line on stderr,
or the status of HTTP and the error. `...` stands for what differs between machines, or is long.
"""

import functools
import io
import json
import re
import shutil
import struct
import zipfile
import zlib
from pathlib import Path

import keras
import keras_tuner
import numpy as np
from PIL import Image
from typer.testing import CliRunner

import applications
import keras_archs
import tuning
from applications import data, recipes
from applications.cli.commands import app
from applications.options import Options, Running, Search, Serving

RUN = Path(__file__).parent / "fixtures" / "before" / "finished"  # LeNet5 of 16 x 16 digits


def is_answer(wanted: str, answer: str) -> bool:
    """Whether an answer is the one of the table."""
    return bool(re.fullmatch(".*".join(map(re.escape, wanted.split("..."))), answer))


def answer(given: str) -> str:
    """What an input is answered, in a folder that is prepared and may be left dirty.

    Raises:
        AssertionError: the input is accepted, or a command says more than a line.
    """
    if given.startswith("$ "):
        result = CliRunner().invoke(app, given[2:].split())
        assert result.stderr.count("\n") == 1, result.output
        return f"exit {result.exit_code}: {result.stderr.rstrip()}"
    try:
        found = eval(given, NAMES)  # noqa: S307  a line of our own table
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    assert isinstance(found, str), f"accepted: {found!r}"
    return found


def prepare() -> None:
    """The files that command lines name, in the working directory."""
    shutil.copytree(RUN, "run")
    Image.new("L", (8, 8)).save("image.png")
    Path("no_image.png").write_text("no image")


# --------------------------------------------------------------------------------------- networks


def lenet5(fill=None):
    model = keras_archs.LeNet5((16, 16, 1), alpha=0.25)
    for weight in model.weights if fill is not None else ():
        weight.assign(np.full(weight.shape, fill))
    return model


def any_size(**options):
    return keras_archs.NiNCifar((None, None, 3), classes=3, alpha=0.05, **options)


def with_layer(layer):
    return keras.Sequential([keras.Input((8, 8, 1)), layer])


def hp():
    return keras_tuner.HyperParameters()


# ------------------------------------------------------------------------------------------ files


def file(name, content):
    Path(name).write_bytes(content)
    return name


def saved(model):
    model.save("w.keras")
    return "w.keras"


def compressed():
    keras_archs.save_compressed(lenet5(), "w.kac")
    return "w.kac"


def cut_short(path):
    return file(path, Path(path).read_bytes()[:-9])


def one_byte_changed(path):
    content = bytearray(Path(path).read_bytes())
    content[len(content) // 2] ^= 1
    return file(path, bytes(content))


def tensors(header, content=b""):
    """A .safetensors file with this header, or of this length."""
    if isinstance(header, int):
        return file("w.safetensors", header.to_bytes(8, "little") + b"{}")
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return file("w.safetensors", len(text).to_bytes(8, "little") + text + content)


IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
LABELS = np.arange(40) % 2


def npz(**changes):
    """Forty images of two classes, with other arrays, or raw bytes, in the place of some."""
    arrays = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS, **changes}
    raw = {name: value for name, value in arrays.items() if isinstance(value, bytes)}
    kept = {name: value for name, value in arrays.items() if value is not None}
    np.savez("few.npz", **{name: value for name, value in kept.items() if name not in raw})
    with zipfile.ZipFile("few.npz", "a") as archive:
        for name, content in raw.items():
            archive.writestr(f"{name}.npy", content)
    return "few.npz"


def header(shape):
    """An array that claims this shape, or has this text in the place of its description."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n"
    text = shape + "\n" if isinstance(shape, str) else text
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def folder(*images, **others):
    """A folder of images, `"cat/0.png"`, and of others that are none."""
    Path("images").mkdir()
    for number, name in enumerate(images):
        path = Path("images", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[number]).save(path)
    contents = {"broken": b"no image", "truncated": PNG[:-40], "empty": b"",
                "bomb": png_header(60_000, 60_000)}  # fmt: skip
    for kind, name in others.items():
        Path("images", name).write_bytes(contents[kind])
    return Path("images")


def opened(path, size=8, **options):
    """The data as a training reads them."""
    found = data.open_source(path).at(size, **options)
    found.check()
    return found


def png(pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def png_header(width, height):
    """A small file that says that it is a large picture."""

    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + head + pixels + chunk(b"IEND", b"")


PNG = png(IMAGES[0])

# ----------------------------------------------------------------------------------------- server


@functools.cache
def client():
    """Asks a server of one run, which was never trained long, within the process."""
    from fastapi.testclient import TestClient

    from applications.shipping.serving.app import application
    from applications.shipping.serving.networks import Served

    options = Serving(runs=RUN, runtime="tensorflow")
    gate = application([Served("digits", applications.load(RUN), options)], options)
    test = TestClient(gate, raise_server_exceptions=False)
    test.__enter__()  # until the process ends
    return test


def _asked(to, body, kind, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = client().post(to, content=content, headers={"Content-Type": kind, **headers})
    return f"{found.status_code}: {found.json()['error']}"


def predict(body, kind=None, to="/predict"):
    kind = kind or ("image/png" if isinstance(body, bytes) else "application/json")
    return _asked(to, body, kind)


def infer(body, to="/v2/models/digits/infer", length=None):
    headers = {} if length is None else {"Inference-Header-Content-Length": length}
    return _asked(to, body, "application/json", **headers)


def tensor(**changes):
    image = {"name": "image", "shape": [1, 16, 16, 1], "datatype": "UINT8", "data": [0] * 256}
    return {"inputs": [image | changes]}


NAMES = {
    **{name: getattr(keras_archs, name) for name in keras_archs.__all__},
    **{name: getattr(keras_archs.weights, name) for name in ("save_safetensors",)},
    **{each.__name__: each for each in (lenet5, any_size, with_layer, hp)},
    **{each.__name__: each for each in (file, saved, compressed, cut_short, one_byte_changed)},
    **{each.__name__: each for each in (tensors, npz, header, folder, opened, png_header)},
    **{each.__name__: each for each in (predict, infer, tensor, Options, Running, Search)},
    **{"keras_archs": keras_archs, "tuning": tuning, "applications": applications},
    **{"keras": keras, "np": np, "data": data, "recipes": recipes},
    **{"nan": float("nan"), "inf": float("inf"), "images": IMAGES, "labels": LABELS, "png": PNG},
    "many": [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(4)],
}
