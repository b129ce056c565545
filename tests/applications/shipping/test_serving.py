"""Serving runs: the run's own answers over HTTP, in batches, within limits."""

import base64
import contextlib
import io
import json
import logging
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import typing
import zlib
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from processes import wait_for

import applications
import keras_archs
from applications.options import Serving, declared, named_runs
from applications.shipping.serving import app, batching, networks, protocol, server, serving
from applications.shipping.serving.watching import JsonLines

RUN = Path(__file__).parents[2] / "fixtures" / "before" / "finished"  # LeNet5 of 16 x 16 digits
HOSTILE = """<img src=x onerror=alert("1")> & 'b'"""
TOKEN = "correct-horse-battery"


def options(**changes):
    return Serving(runs=RUN, **{"runtime": "tensorflow", "timeout": 60.0, **changes})


@pytest.fixture(scope="module")
def run():
    return applications.load(RUN)


@pytest.fixture(scope="module")
def served(run):
    """The run as "digits", and under a hostile name."""
    return [networks.Served(name, run, options()) for name in ("digits", HOSTILE)]


@pytest.fixture
def client(served):
    """Asks a server within the process, with these limits."""
    with contextlib.ExitStack() as stack:

        def made(token=None, **limits):
            gate = app.application(served, options(**limits), token)
            return stack.enter_context(TestClient(gate, raise_server_exceptions=False))

        yield made


@pytest.fixture(scope="module")
def pictures():
    """Three pictures of different sizes and kinds, as files."""
    rng = np.random.default_rng(0)
    files = []
    for shape, kind in (((8, 8), "PNG"), ((40, 30, 3), "PNG"), ((100, 20, 3), "JPEG")):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(file, kind)
        files.append(file.getvalue())
    return files


@pytest.fixture(scope="module")
def expected(run, pictures, tmp_path_factory):
    """What the run says of the pictures, (3, classes)."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / str(number) for number in range(len(pictures))]
    for path, content in zip(paths, pictures, strict=True):
        path.write_bytes(content)
    return run.predict(paths)


def tensor(pixels, **changes):
    shape, kind = list(pixels.shape), "UINT8" if pixels.dtype == np.uint8 else "FP32"
    image = {"name": "image", "shape": shape, "datatype": kind, "data": pixels.ravel().tolist()}
    return {"inputs": [image | changes]}


def probabilities(answer):
    assert answer.status_code == 200, answer.text
    return np.array([each["probabilities"] for each in answer.json()["predictions"]], np.float32)


# ------------------------------------------------------------------------------------------ answers


def test_files_of_a_form_are_answered_as_the_run_predicts_them(client, pictures, expected, run):
    files = [("images", (f"{n}.png", content)) for n, content in enumerate(pictures)]
    answer = client().post("/predict", files=files, data={"top": "2"})
    np.testing.assert_allclose(probabilities(answer), expected, atol=1e-5)
    assert answer.json()["model"] == "digits" and answer.json()["classes"] == list(run.labels)
    for number, (each, row) in enumerate(zip(answer.json()["predictions"], expected, strict=True)):
        best = [run.labels[k] for k in np.argsort(-row)[:2]]
        assert [one["class"] for one in each["top"]] == best
        assert each["image"] == f"{number}.png" and each["class"] == best[0]
        assert each["probability"] == max(each["probabilities"])
        assert "explanation" not in each


def test_json_has_images_in_base64_or_as_numbers(client, pictures, expected, run):
    encoded = [base64.b64encode(content).decode() for content in pictures]
    encoded[1] = f"data:image/png;base64,{encoded[1]}"
    numbers = np.random.default_rng(1).integers(0, 256, (3, 20, 24, 3))
    asked = [*encoded, numbers[0].tolist(), numbers[1, ..., :1].tolist()]
    answer = client().post("/predict/digits", json={"images": asked, "top": 99})
    found = probabilities(answer)
    np.testing.assert_allclose(found[:3], expected, atol=1e-5)
    of_numbers = [run.predict(numbers[:1]), run.predict(numbers[1:2, ..., :1])]
    np.testing.assert_allclose(found[3:], np.concatenate(of_numbers), atol=1e-5)
    assert len(answer.json()["predictions"][0]["top"]) == len(run.labels)


def test_a_picture_may_be_the_body_itself_and_a_name_anything(client, pictures, expected):
    path = f"/predict/{httpx2.URL('http://x').copy_with(path='/' + HOSTILE).raw_path.decode()[1:]}"
    for kind in ("image/jpeg", "application/octet-stream"):
        answer = client().post(path, content=pictures[2], headers={"Content-Type": kind})
        np.testing.assert_allclose(probabilities(answer), expected[2:], atol=1e-5)
        assert answer.json()["model"] == HOSTILE


def test_an_answer_shows_where_the_class_was_found(client, pictures, run, tmp_path):
    (tmp_path / "x.png").write_bytes(pictures[1])
    told = applications.explain(run, tmp_path / "x.png")
    answer = client().post("/predict?explain=true", content=pictures[1], headers=PNG)
    found = answer.json()["predictions"][0]["explanation"]
    assert found["method"] == told.method and found["class"] == told.label
    shares, overlay = (_picture(found[name]) for name in ("map", "overlay"))
    assert shares.shape == (16, 16) and overlay.shape == (16, 16, 3)
    np.testing.assert_allclose(shares / 255, told.map, atol=0.01)


def _picture(address):
    head, _, text = address.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


PNG = {"Content-Type": "image/png"}


def test_models_limits_and_addresses_are_told(client):
    asking = client(max_bytes=1000)
    told = asking.get("/models").json()
    assert [model["name"] for model in told["models"]] == ["digits", HOSTILE]
    assert told["models"][0]["shape"] == [16, 16, 1]
    assert told["limits"] == {"max_batch": 32, "max_bytes": 1000, "max_pixels": 25_000_000}
    paths = asking.get("/openapi.json").json()["paths"]
    assert {"/predict", "/predict/{name}", "/v2/models/{name}/infer", "/metrics"} <= set(paths)
    for path in ("/", "/docs"):
        page = asking.get(path)
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert not re.findall(r"https?://", page.text), "the page needs no other server"


# ---------------------------------------------------------------------- the Open Inference Protocol


def test_tensors_in_json(client, run):
    pixels = np.random.default_rng(2).integers(0, 256, (3, 16, 16, 1), np.uint8)
    asking = client()
    asked = tensor(pixels) | {"id": "seven", "outputs": [{"name": "probabilities"}]}
    nested = tensor(pixels.astype(np.float32), data=pixels.tolist())
    for path, body in (("digits", asked), ("digits/versions/1", nested)):
        answer = asking.post(f"/v2/models/{path}/infer", json=body).json()
        (output,) = answer["outputs"]
        assert answer["model_name"] == "digits" and answer.get("id") == body.get("id")
        assert output["shape"] == [3, 10] and output["datatype"] == "FP32"
        found = np.reshape(output["data"], (3, 10))
        np.testing.assert_allclose(found, run.predict(pixels), atol=1e-5)


@pytest.mark.parametrize("kind", ["uint8", "int32", "float16", "float32", "float64"])
def test_tensors_in_bytes(client, run, kind):
    pixels = np.random.default_rng(3).integers(0, 256, (2, 16, 16, 1), np.uint8)
    content = pixels.astype(kind).tobytes()
    datatype = {"i": "INT", "u": "UINT", "f": "FP"}[np.dtype(kind).kind]
    asked = tensor(pixels, datatype=f"{datatype}{8 * np.dtype(kind).itemsize}")
    asked["inputs"][0] |= {"parameters": {"binary_data_size": len(content)}}
    del asked["inputs"][0]["data"]
    head = json.dumps(asked | {"parameters": {"binary_data_output": True}}).encode()
    length = {protocol.JSON_LENGTH: str(len(head))}
    answer = client().post("/v2/models/digits/infer", content=head + content, headers=length)
    end = int(answer.headers[protocol.JSON_LENGTH])
    (output,) = json.loads(answer.content[:end])["outputs"]
    assert output["parameters"] == {"binary_data_size": len(answer.content) - end}
    found = np.frombuffer(answer.content[end:], "<f4").reshape(2, 10)
    np.testing.assert_allclose(found, run.predict(pixels), atol=1e-5)


def test_health_and_metadata(client):
    asking = client()
    for path in ("health/live", "health/ready", "models/digits/ready", ""):
        assert asking.get(f"/v2/{path}".rstrip("/")).status_code == 200
    told = asking.get("/v2/models/digits").json()
    assert told["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 16, 16, 1]}]
    assert told["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}]
    for path in ("nobody", "nobody/ready", "digits/versions/2"):
        answer = asking.get(f"/v2/models/{path}")
        assert (answer.status_code, answer.json()) == (404, {"error": "there is no such model"})


ONE = np.zeros((1, 16, 16, 1), np.uint8)
WRONG_TENSORS = {
    "no object": ([], "an object"),
    "no tensor": ({}, "`inputs` must hold one tensor, 'image'"),
    "another name": (tensor(ONE, name="x"), "`inputs` must hold 'image'"),
    "no shape": (tensor(ONE, shape="all"), "`shape`"),
    "three sides": (tensor(ONE, shape=[1, 16, 16]), "[N, 16, 16, 1], N in 1..32"),
    "another size": (tensor(ONE, shape=[1, 8, 32, 1]), "[N, 16, 16, 1], N in 1..32"),
    "no image": (tensor(ONE, shape=[0, 16, 16, 1]), "N in 1..32"),
    "images below none": (tensor(ONE, shape=[-1, 16, 16, 1]), "N in 1..32"),
    "too many images": (tensor(ONE, shape=[33, 16, 16, 1]), "N in 1..32"),
    "true images": (tensor(ONE, shape=[True, 16, 16, 1]), "list of integers"),
    "texts": (tensor(ONE, datatype="BYTES"), "`datatype`"),
    "too few numbers": (tensor(ONE, data=[0]), "256 numbers of UINT8"),
    "no numbers": (tensor(ONE, data=None), "256 numbers of UINT8"),
    "texts for numbers": (tensor(ONE, data=["0"] * 256), "256 numbers of UINT8"),
    "lists of unequal length": (tensor(ONE, data=[[0], [0, 0]]), "different lengths"),
    "fractions": (tensor(ONE, data=[0.5] * 256), "256 numbers of UINT8"),
    "beyond a byte": (tensor(ONE, data=[256] * 256), "Received: 256..256"),
    "beyond all types": (tensor(ONE, data=[10**30] * 256), "256 numbers of UINT8"),
    "beyond a pixel": (tensor(ONE, datatype="FP32", data=[256] * 256), "in 0..255"),
    "below a pixel": (tensor(ONE, datatype="INT8", data=[-1] * 256), "in 0..255"),
    "beyond float16": (tensor(ONE, datatype="FP16", data=[1e30] * 256), "finite"),
    "bytes that are missing": (
        tensor(ONE, parameters={"binary_data_size": 256}),
        "followed by 0",
    ),
    "parameters of no kind": (tensor(ONE, parameters=[]), "`parameters` must be an object"),
    "another output": (tensor(ONE) | {"outputs": [{"name": "x"}]}, "'probabilities'"),
    "classes": (
        tensor(ONE) | {"outputs": [{"name": "probabilities", "parameters": {"classification": 1}}]},
        "/predict names classes",
    ),
    "an id that is none": (tensor(ONE) | {"id": 7}, "`id`"),
}


@pytest.mark.parametrize(("body", "part"), WRONG_TENSORS.values(), ids=WRONG_TENSORS)
def test_refuses_a_tensor_with(body, part):
    with pytest.raises(protocol.Bad, match=re.escape(part)):
        protocol.read(json.dumps(body).encode(), None, (16, 16, 1), 32, in_range=True)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_refuses_what_is_no_number(client, number):
    text = json.dumps(tensor(ONE, datatype="FP32")).replace("[0,", f"[{number},")
    answer = client().post("/v2/models/digits/infer", content=text)
    assert answer.status_code == 400 and number in answer.json()["error"]
    head = tensor(ONE, datatype="FP32", parameters={"binary_data_size": 1024})
    body = json.dumps(head).encode()
    content = np.full((1, 16, 16, 1), float(number), "<f4").tobytes()
    with pytest.raises(protocol.Bad, match="finite"):
        protocol.read(body + content, str(len(body)), (16, 16, 1), 32, in_range=True)


@pytest.mark.parametrize("length", ["-1", "x", "", "9999999", "1" * 5000, "²"])
def test_refuses_a_length_that_is_none(length):
    with pytest.raises(protocol.Bad, match=protocol.JSON_LENGTH):
        protocol.read(b"{}", length, (16, 16, 1), 32, in_range=True)


# ------------------------------------------------------------------------------------------ batches


class Slow:
    """A network that sums pixels, and does so when it is let."""

    def __init__(self):
        self.seen, self.begun, self.go = [], threading.Event(), threading.Event()

    def __call__(self, images):
        self.begun.set()
        assert self.go.wait(60)
        self.seen.append(len(images))
        if images.max() == 13:
            raise ArithmeticError("13")
        return images.reshape(len(images), -1).sum(axis=1, keepdims=True).astype(np.float32)


@pytest.fixture
def slow():
    network = Slow()
    yield network
    network.go.set()


@pytest.fixture
def batcher(slow):
    """A queue before the slow network; further requests are said to be on their way."""
    told, made = [], []

    def make(most=4, wait=0.0, others=99):
        made.append(batching.Batcher(slow, most, wait, lambda: others, told.append))
        made[-1].told = told
        return made[-1]

    yield make
    slow.go.set()
    for each in made:
        each.close()


def images(*values):
    return np.full((len(values), 2, 2, 1), np.reshape(values, (-1, 1, 1, 1)), np.uint8)


def test_what_comes_while_a_batch_is_computed_makes_the_next_one(slow, batcher):
    queue = batcher(most=4)
    first = queue.submit(images(1))
    assert slow.begun.wait(60)
    others = [queue.submit(images(*values)) for values in ((2,), (3, 4), (5, 6), (7,))]
    assert queue.waiting == 6
    slow.go.set()
    answers = [answer.result(60).ravel().tolist() for answer in (first, *others)]
    assert answers == [[4], [8], [12, 16], [20, 24], [28]]
    assert slow.seen == queue.told == [1, 3, 3] and queue.waiting == 0


def test_a_request_waits_for_those_on_their_way_and_not_for_nobody(slow, batcher):
    slow.go.set()
    alone = batcher(wait=1e6, others=1)
    assert alone.submit(images(1)).result(60).item() == 4
    together = batcher(wait=1e6, others=2)
    one = together.submit(images(1))
    assert not one.done()
    two = together.submit(images(2))
    assert (one.result(60).item(), two.result(60).item()) == (4, 8)
    full = batcher(most=2, wait=1e6)
    assert full.submit(images(1, 2)).result(60).ravel().tolist() == [4, 8]
    patient = batcher(wait=0.01)
    assert patient.submit(images(3)).result(60).item() == 12
    assert slow.seen == [1, 2, 2, 1]


def test_an_error_is_its_batch_s_alone_and_a_client_that_left_is_passed_over(slow, batcher):
    queue = batcher(most=1)
    bad, left, good = (queue.submit(images(value)) for value in (13, 2, 3))
    assert slow.begun.wait(60) and left.cancel()
    slow.go.set()
    with pytest.raises(ArithmeticError):
        bad.result(60)
    with pytest.raises(CancelledError):
        left.result(60)
    assert good.result(60).item() == 12
    assert slow.seen == [1, 1] and queue.told == [1]


def test_closing_finishes_what_was_taken(slow, batcher):
    queue = batcher(most=1, wait=1e6)
    answers = [queue.submit(images(value)) for value in (1, 2, 3)]
    slow.go.set()
    queue.close()
    assert [answer.result(0).item() for answer in answers] == [4, 8, 12]
    with pytest.raises(RuntimeError):
        queue.submit(images(4))


def test_requests_at_once_are_answered_as_single_ones(client, run):
    pixels = np.random.default_rng(4).integers(0, 256, (24, 16, 16, 1), np.uint8)
    asking = client(max_batch=8, max_wait_ms=20.0)

    def ask(number):
        body = {"images": pixels[number : number + 1].reshape(1, 16, 16).tolist()}
        return probabilities(asking.post("/predict", json=body))

    with ThreadPoolExecutor(8) as pool:
        found = np.concatenate(list(pool.map(ask, range(len(pixels)))))
    np.testing.assert_allclose(found, run.predict(pixels), atol=1e-5)
    figures = asking.get("/metrics").text
    assert 'keras_archs_batch_images_sum{model="digits"} 24.0' in figures


# ------------------------------------------------------------------------------------------- limits


def png(width, height):
    """A PNG that says it has this size, and little else."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**6)))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def body_of(images, **more):
    return json.dumps({"images": images} | more).encode()


JSON, FORM = {"Content-Type": "application/json"}, {"Content-Type": "multipart/form-data"}
BAD = {
    "2,500 megapixels": (png(50_000, 50_000), PNG, 400, "limit"),
    "26 megapixels": (png(5_100, 5_100), PNG, 400, "25,000,000"),
    "a PNG of zeros": (bytes(10**6), PNG, 400, "none of the formats"),
    "a text": (b"no picture", PNG, 400, "none of the formats"),
    "nothing": (b"", PNG, 400, "none of the formats"),
    "a program that draws": (b"%!PS-Adobe-3.0 EPSF-3.0\n", PNG, 400, "none of the formats"),
    "a text as such": (b"no picture", {"Content-Type": "text/plain"}, 415, "image/*"),
    "no kind": (b"", {}, 415, "image/*"),
    "a form without an end": (b"x", FORM | {"Content-Type": FORM["Content-Type"]}, 400, "boundary"),
    "compressed": (b"x", PNG | {"Content-Encoding": "gzip"}, 415, "compressed"),
    "no JSON": (b"{", JSON, 400, "must be JSON"),
    "a million brackets": (b'{"images":' + b"[" * 10**6, JSON, 400, "nested too deep"),
    "no images": (b"{}", JSON, 400, "`images` must be a list"),
    "an empty list": (body_of([]), JSON, 400, "1 to 32 images. Received: 0"),
    "too many": (body_of(["AA=="] * 40), JSON, 400, "1 to 32 images. Received: 40"),
    "no base64": (body_of(["@@@"]), JSON, 400, "image 1 must be in base64"),
    "an object": (body_of([{}]), JSON, 400, "image 1 must be a text in base64 or an array"),
    "NaN": (b'{"images": [[[NaN]]]}', JSON, 400, "NaN is no number"),
    "fractions": (body_of([[[0.5, 1], [1, 1]]]), JSON, 400, "integer pixels within 0..255"),
    "beyond a byte": (body_of([[[256]]]), JSON, 400, "integer pixels within 0..255"),
    "lists of unequal length": (body_of([[[1], [1, 2]]]), JSON, 400, "image 1 cannot be read"),
    "two channels": (body_of([[[[1, 2]]]]), JSON, 400, "image 1 cannot be read"),
    "a line": (body_of([[1, 2]]), JSON, 400, "(height, width)"),
    "an empty picture": (body_of([[[]]]), JSON, 400, "image 1 cannot be read"),
    "no class": (body_of([[[1]]], top=0), JSON, 400, "`top` must be an integer >= 1"),
    "half a class": (body_of([[[1]]], top=1.5), JSON, 400, "`top` must be an integer >= 1"),
    "perhaps": (body_of([[[1]]], explain="perhaps"), JSON, 400, "`explain` must be true or false"),
}


@pytest.fixture(scope="module")
def asking(served):
    with TestClient(app.application(served, options()), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(("content", "headers", "status", "part"), BAD.values(), ids=BAD)
def test_refuses_what_is_no_picture(asking, content, headers, status, part):
    answer = asking.post("/predict", content=content, headers=headers)
    assert answer.status_code == status
    assert part in answer.json()["error"]


def test_refuses_a_truncated_picture_and_says_which(asking, pictures):
    encoded = [base64.b64encode(each).decode() for each in (pictures[0], pictures[2][:-200])]
    answer = asking.post("/predict", json={"images": encoded})
    assert answer.status_code == 400
    assert "image 2 cannot be read" in answer.json()["error"]


def test_more_files_than_a_batch_are_refused(client, pictures):
    files = [("images", ("x.png", pictures[0]))] * 3
    answer = client(max_batch=2).post("/predict", files=files)
    assert answer.status_code == 400 and "2" in answer.json()["error"]


def test_unknown_addresses_and_methods(asking):
    assert asking.get("/nothing").json() == {"error": "Not Found"}
    assert asking.get("/predict").status_code == 405
    assert asking.post("/predict/nobody", content=b"", headers=PNG).status_code == 404


def test_a_body_is_counted_while_it_comes(client):
    asking = client(max_bytes=10**6)
    sent = []

    def endless():
        while True:
            sent.append(len(sent))
            yield bytes(10**5)

    assert asking.post("/predict", content=bytes(10**6 + 1), headers=PNG).status_code == 413
    # The test client gathers a body before it sends it: asked of the gate itself.
    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
    answers = []

    async def receive():
        return {"type": "http.request", "body": next(stream), "more_body": len(sent) < 40}

    async def send(message):
        answers.append(message)

    stream = endless()
    asking.portal.call(asking.app, scope, receive, send)
    assert answers[0]["status"] == 413
    assert "keras_archs_requests_in_progress 0.0" in asking.get("/metrics").text


def stuck(monkeypatch, served):
    """The first network computes nothing until it is let; how many wait before it."""
    go, begun = threading.Event(), threading.Event()
    compute = served[0].probabilities

    def wait(images):
        begun.set()
        assert go.wait(60)
        return compute(images)

    monkeypatch.setattr(served[0], "probabilities", wait)
    return go, begun


def test_a_full_queue_says_when_to_come_again(client, served, monkeypatch, pictures):
    go, begun = stuck(monkeypatch, served)
    asking = client(max_queue=2)
    with ThreadPoolExecutor(2) as pool:
        taken = [
            pool.submit(asking.post, "/predict", content=pictures[0], headers=PNG) for _ in "12"
        ]
        assert begun.wait(60)
        wait_for(lambda: "in_progress 2.0" in asking.get("/metrics").text)
        refused = asking.post("/predict", content=pictures[0], headers=PNG)
        assert asking.get("/v2/health/ready").status_code == 200
        go.set()
        assert [each.result(60).status_code for each in taken] == [200, 200]
    assert refused.status_code == 429 and refused.headers["Retry-After"] == "1"
    assert asking.post("/predict", content=pictures[0], headers=PNG).status_code == 200


def test_an_answer_that_takes_too_long_is_given_up(client, served, monkeypatch, pictures):
    go, _ = stuck(monkeypatch, served)
    asking = client(timeout=0.2)
    answer = asking.post("/predict", content=pictures[0], headers=PNG)
    go.set()
    assert answer.status_code == 503 and "too long" in answer.json()["error"]


def test_an_error_of_the_server_is_no_secret_and_no_end(client, served, monkeypatch, pictures):
    def broken(images):
        raise ArithmeticError("inner matters")

    with monkeypatch.context() as patch:
        patch.setattr(served[0], "probabilities", broken)
        asking = client()
        answer = asking.post("/predict", content=pictures[0], headers=PNG)
    assert answer.status_code == 500 and "inner" not in answer.text
    assert asking.get("/v2/health/live").status_code == 200


# ----------------------------------------------------------------------------- tokens, figures, log


def test_a_token_opens_everything_and_is_needed_for_all_but_health_and_the_page(client, pictures):
    asking = client(TOKEN)
    for path in ("/", "/docs", "/openapi.json", "/v2/health/live", "/v2/health/ready"):
        assert asking.get(path).status_code == 200
    right, wrong = ({"Authorization": f"Bearer {token}"} for token in (TOKEN, TOKEN[:-1]))
    for path in ("/models", "/metrics", "/v2", "/v2/models/digits", "/nothing"):
        for headers in ({}, wrong, {"Authorization": TOKEN}):
            answer = asking.get(path, headers=headers)
            assert answer.status_code == 401 and TOKEN not in answer.text
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert asking.get(path, headers=right).status_code != 401
    assert asking.post("/predict", content=pictures[0], headers=PNG).status_code == 401
    assert asking.post("/predict", content=pictures[0], headers=PNG | right).status_code == 200


def test_figures_count_requests_errors_and_images(client, pictures):
    asking = client()
    for content in (pictures[0], pictures[1], b"no picture"):
        asking.post("/predict", content=content, headers=PNG)
    lines = asking.get("/metrics").text.splitlines()
    for line in (
        'keras_archs_requests_total{model="digits",route="/predict",status="200"} 2.0',
        'keras_archs_requests_total{model="digits",route="/predict",status="400"} 1.0',
        'keras_archs_errors_total{route="/predict",status="400"} 1.0',
        'keras_archs_request_seconds_count{route="/predict"} 3.0',
        'keras_archs_batch_images_count{model="digits"} 2.0',
        'keras_archs_queue_images{model="digits"} 0.0',
        "keras_archs_requests_in_progress 0.0",
    ):
        assert line in lines


def test_a_line_of_json_tells_of_a_request_without_its_content(client, caplog):
    secret = "Sam's password"
    asking = client(TOKEN)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with caplog.at_level(logging.INFO, "applications.serving"):
        body = {"images": [[[77, 78], [79, 76]]], "note": secret}
        asking.post(f"/predict/digits?note={secret}", json=body, headers=headers)
        asking.post("/predict", json=body)
    records = [r for r in caplog.records if r.name == "applications.serving"]
    lines = [JsonLines().format(record) for record in records]
    assert not any(text in line for line in lines for text in (TOKEN, "Sam", "78, 79"))
    first, second = map(json.loads, lines)
    assert first | {
        "event": "request", "level": "info", "method": "POST", "path": "/predict/digits",
        "status": 200, "model": "digits", "images": 1,
    } == first  # fmt: skip
    assert first["bytes"] > 0 and second["status"] == 401


@pytest.mark.parametrize(
    ("host", "text", "part"),
    [
        ("0.0.0.0", None, "without a token"),  # noqa: S104
        ("::", None, "without a token"),
        ("example.org", None, "without a token"),
        ("127.0.0.1", "", "16 or more"),
        ("127.0.0.1", "short", "Received: 5 characters"),
        ("127.0.0.1", "with a space in it, and long", "without spaces"),
        ("127.0.0.1", "\u00e9" * 20, "Received: 0 characters"),
    ],
)
def test_an_address_that_others_reach_needs_a_token_worth_the_name(
    tmp_path, monkeypatch, host, text, part
):
    monkeypatch.delenv(serving.TOKEN, raising=False)
    file = None
    if text is not None:
        file = tmp_path / "token"
        file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(part)) as caught:
        serving._token(options(host=host, token_file=file))
    assert not text or text not in str(caught.value)


def test_a_token_is_of_the_file_or_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv(serving.TOKEN, raising=False)
    assert serving._token(options()) is None
    monkeypatch.setenv(serving.TOKEN, TOKEN)
    assert serving._token(options(host="0.0.0.0")) == TOKEN  # noqa: S104
    (tmp_path / "token").write_text(f"{TOKEN}-2\n")
    assert serving._token(options(token_file=tmp_path / "token")) == f"{TOKEN}-2"


# ----------------------------------------------------------------------------------- what is served


def test_runs_have_names_of_their_own(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    Path("a=b").mkdir()
    assert named_runs("runs/mine") == (("mine", "runs/mine"),)
    assert named_runs(["x=runs/mine", "a=b", "net.keras", Path("v1.0")]) == (
        *(("x", "runs/mine"), ("a=b", "a=b"), ("net", "net.keras"), ("v1.0", "v1.0")),
    )
    assert named_runs({"x": run}) == (("x", run),) and named_runs(run) == (("finished", run),)
    for runs in ([], {}, "=x", "a\n=x", {"a/b": "x"}, ["a", "x=b", "c/a"], "..=x"):
        with pytest.raises(ValueError, match="`runs` must"):
            named_runs(runs)


def test_every_runtime_can_be_asked_for():
    kinds = typing.get_args(typing.get_type_hints(Serving)["runtime"])
    assert kinds == ("auto", *keras_archs.runtimes.RUNTIMES)
    for kind in kinds:
        assert declared(Serving, "runtime").check("runtime", kind) == kind


def test_auto_measures_what_is_fastest(run, monkeypatch):
    pixels = np.random.default_rng(5).integers(0, 256, (5, 16, 16, 1), np.uint8)
    monkeypatch.setattr(keras_archs.runtimes.predictors, "available", lambda *_: ["tensorflow"])
    found = networks.Served("x", run, options(runtime="auto", max_batch=4))
    assert found.runtime == "tensorflow"
    assert {each.chunk for each in found._passes} == {1, 4}
    np.testing.assert_allclose(found.probabilities(pixels), run.predict(pixels), atol=1e-5)


def test_files_of_models_are_served_and_logits_become_probabilities(tmp_path):
    network = keras_archs.LeNet5((16, 16, 1), 4, alpha=0.25, classifier_activation=None)
    network.save(tmp_path / "net.keras")
    pixels = np.random.default_rng(6).normal(size=(3, 16, 16, 1)).astype(np.float32)
    expected = np.exp(network.predict(pixels, verbose=0))
    found = networks.Served("net", tmp_path / "net.keras", options())
    assert found.labels == ("0", "1", "2", "3") and not found.trained
    np.testing.assert_allclose(
        found.probabilities(pixels), expected / expected.sum(axis=1, keepdims=True), atol=1e-5
    )
    keras_archs.save_compressed(network, tmp_path / "net.kac")
    packed = networks.Served("net", tmp_path / "net.kac", options())
    np.testing.assert_array_equal(packed.probabilities(pixels), found.probabilities(pixels))


def test_a_network_in_half_precision_is_computed_by_the_backend():
    import keras

    policy = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        network = keras_archs.LeNet5((16, 16, 1), 4, alpha=0.25)
    finally:
        keras.config.set_dtype_policy(policy)
    found = networks.Served("half", network, options(runtime="auto"))
    pixels = np.zeros((3, 16, 16, 1), np.uint8)
    np.testing.assert_allclose(
        found.probabilities(pixels), network.predict(pixels, verbose=0), atol=1e-3
    )
    with pytest.raises(ValueError, match="float32"):
        networks.Served("half", network, options(runtime="tensorflow"))


def test_networks_of_no_fixed_size_or_of_many_channels_are_refused():
    for shape in ((None, None, 3), (16, 16, 2)):
        network = keras_archs.SimpNet(shape, 4, alpha=0.05)
        with pytest.raises(ValueError, match="`runs` must take images of one size"):
            networks.Served("x", network, options())


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"port": 70_000}, "`port` must be an integer in [0, 65535]"),
        ({"max_batch": 0}, "`max_batch` must be an integer in [1, 1024]"),
        ({"max_wait_ms": -1}, "`max_wait_ms` must be in [0, 1000]"),
        ({"max_bytes": 0}, "`max_bytes`"),
        ({"max_pixels": 0}, "`max_pixels`"),
        ({"max_queue": 0}, "`max_queue`"),
        ({"timeout": 0}, "`timeout` must be in (0, 3600]"),
        ({"runtime": "onnxruntim"}, "Did you mean 'onnxruntime'?"),
        ({"threads": 0}, "`threads`"),
    ],
)
def test_limits_are_checked(changes, part):
    with pytest.raises(ValueError, match=re.escape(part)):
        applications.serve(RUN, **changes)


def test_a_port_that_is_taken_and_a_run_that_is_none_are_said_before_anything_is_loaded(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(ValueError, match="`host` and `port` must be free"):
            applications.serve(RUN, port=taken.getsockname()[1])
    with pytest.raises(ValueError, match="`host` must be an address"):
        serving._listener("nowhere.invalid", 0)
    for missing in (tmp_path / "none", tmp_path / "none.keras"):
        with pytest.raises(FileNotFoundError, match="none"):
            applications.serve([RUN, missing], port=0)


# --------------------------------------------------------------------------------- over the network


@pytest.fixture
def listening(served):
    """A server on a port of its own, in a thread; gives its address."""
    with contextlib.ExitStack() as stack:

        def start(token=None, **limits):
            asked = options(**limits)
            listener = stack.enter_context(serving._listener("127.0.0.1", 0))
            made = server.server(app.application(served, asked, token), asked, "ready")
            thread = threading.Thread(target=made.run, kwargs={"sockets": [listener]})
            thread.start()

            def stop():
                made.should_exit = True
                thread.join()

            stack.callback(stop)
            wait_for(lambda: made.started)
            return listener.getsockname()

        yield start


def exchange(address, *parts):
    """What a server says to these bytes until it closes the connection."""
    with socket.create_connection(address, 60) as connection:
        with contextlib.suppress(OSError):  # it may close before all is sent
            for part in parts:
                connection.sendall(part)
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                said += piece
    return said


def test_headers_without_end_and_slow_clients_are_shown_out(listening):
    address = listening(timeout=0.3)
    start = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
    many = (b"a: b\r\n" * 1000 for _ in range(1000))
    assert exchange(address, start, *many).startswith(b"HTTP/1.1 400")
    assert exchange(address, start).startswith(b"HTTP/1.1 408")
    assert exchange(address).startswith(b"HTTP/1.1 408")
    slow = exchange(address, start, b"Content-Length: 100\r\n\r\n", b"a")
    assert slow.startswith(b"HTTP/1.1 408") and b"too slowly" in slow
    assert exchange(address, b"\x16\x03\x01 no HTTP\r\n\r\n").startswith(b"HTTP/1.1 400")
    live = exchange(address, b"GET /v2/health/live HTTP/1.0\r\n\r\n")
    assert live.startswith(b"HTTP/1.1 200")


def test_a_gigabyte_is_refused_when_it_is_announced_or_as_it_comes(listening):
    address = listening(max_bytes=10**6)
    start = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
    with socket.create_connection(address, 60) as connection:
        connection.sendall(start + b"Content-Length: 1000000000\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")
    with socket.create_connection(address, 60) as connection:
        connection.sendall(start + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(11):
            connection.sendall(b"186a0\r\n" + bytes(100_000) + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


def test_a_client_of_the_protocol_asks_in_bytes_and_in_json(listening, run):
    """tritonclient patches nothing of this process: it runs in one of its own."""
    address = "{}:{}".format(*listening(TOKEN))
    pixels = np.random.default_rng(7).integers(0, 256, (3, 16, 16, 1), np.uint8)
    program = """
import json, sys
import numpy as np, tritonclient.http as triton
address, token, pixels = sys.argv[1], sys.argv[2], np.array(json.loads(sys.argv[3]), np.uint8)
client = triton.InferenceServerClient(address)
headers = {"Authorization": "Bearer " + token}  # infer writes into what it is given
assert client.is_server_live() and client.is_server_ready()
assert client.is_model_ready("digits", headers=headers)
told = client.get_model_metadata("digits", headers=headers)
assert [told["inputs"][0]["name"], told["outputs"][0]["name"]] == ["image", "probabilities"]
found = []
for binary in (True, False):
    given = triton.InferInput("image", pixels.shape, "UINT8")
    given.set_data_from_numpy(pixels, binary_data=binary)
    wanted = triton.InferRequestedOutput("probabilities", binary_data=binary)
    answer = client.infer("digits", [given], outputs=[wanted], headers={**headers}, request_id="7")
    assert answer.get_response()["id"] == "7"
    found.append(answer.as_numpy("probabilities").tolist())
default = client.infer("digits", [given], headers={**headers}, model_version="1")
found.append(default.as_numpy("probabilities").tolist())
try:
    client.infer("nobody", [given], headers={**headers})
except triton.InferenceServerException as error:
    assert "there is no such model" in str(error)
print(json.dumps(found))
"""
    arguments = [address, TOKEN, json.dumps(pixels.tolist())]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    for found in json.loads(done.stdout):
        np.testing.assert_allclose(found, run.predict(pixels), atol=1e-5)


# ---------------------------------------------------------------------------- the page, the process


@pytest.fixture
def tab(browser):
    """A tab in which nothing goes wrong but what the server refuses, and that asks nobody else."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.set_default_timeout(20_000)
    wrong = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    own = ("http://127.0.0.1:", "data:", "blob:")
    tab.on("request", lambda r: None if r.url.startswith(own) else wrong.append(r.url))
    tab.on("console", lambda m: wrong.append(m.text) if "Policy" in m.text else None)
    yield tab
    context.close()
    assert wrong == []


@pytest.mark.slow
def test_the_page_answers_by_keyboard_and_shows_errors_and_names_as_text(
    tab, listening, pictures, expected, run
):
    files = [
        {"name": HOSTILE, "mimeType": "image/png", "buffer": pictures[1]},
        {"name": "broken.png", "mimeType": "image/png", "buffer": b"no picture"},
    ]
    tab.on("filechooser", lambda chooser: chooser.set_files(files))
    tab.goto("http://{}:{}/".format(*listening()))
    tab.get_by_text("digits: 10 classes, 16 x 16 pixels in grey").wait_for()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "model"
    tab.keyboard.press("End")
    tab.get_by_text(f"{HOSTILE}: 10 classes").wait_for()
    for _ in range(2):
        tab.keyboard.press("Tab")
    tab.keyboard.press("Space")
    assert tab.get_by_label("Show where").is_checked()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.get_by_role("status").get_by_text("2 of 2 pictures").wait_for()
    assert tab.get_by_role("alert").inner_text().startswith("broken.png: image 1 cannot be read")
    answer = tab.locator("#answers > li").last
    assert HOSTILE in answer.inner_text()
    lines = [" ".join(text.split()) for text in answer.locator("ol li").all_inner_texts()]
    best = np.argsort(-expected[1], kind="stable")[:3]
    assert lines == [f"{run.labels[k]} {100 * expected[1, k]:.1f} %" for k in best]
    loaded = "images => images.every(i => i.complete && i.naturalWidth > 0)"
    assert answer.locator("img").count() == 2 and answer.locator("img").evaluate_all(loaded)


@pytest.mark.slow
def test_the_page_takes_dropped_pictures_and_asks_for_a_token(tab, listening, pictures):
    tab.goto("http://{}:{}/docs".format(*listening(TOKEN)))
    tab.get_by_text("This server wants a token.").wait_for()
    tab.get_by_label("Token").fill(TOKEN)
    tab.keyboard.press("Enter")
    tab.get_by_text("digits: 10 classes").wait_for()
    assert not tab.get_by_label("Token").is_visible()
    tab.get_by_text("POST /v2/models/{name}/infer").wait_for()
    tab.evaluate(
        """bytes => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "dropped.png"));
            document.body.dispatchEvent(
                new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
        }""",
        list(pictures[0]),
    )
    tab.get_by_role("status").get_by_text("1 of 1 pictures").wait_for()
    assert tab.locator("#answers ol li").count() == 3


@pytest.mark.slow
def test_the_page_fits_its_width_and_follows_the_colour_scheme(tab, listening, pictures, tmp_path):
    tab.goto("http://{}:{}/docs".format(*listening()))
    tab.get_by_text("digits: 10 classes").wait_for()
    file = {"name": "x" * 200 + ".png", "mimeType": "image/png", "buffer": pictures[2]}
    tab.locator("#files").set_input_files([file])
    tab.get_by_role("status").get_by_text("1 of 1 pictures").wait_for()
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    for width in (1280, 360):
        for scheme in ("light", "dark"):
            tab.set_viewport_size({"width": width, "height": 800})
            tab.emulate_media(color_scheme=scheme)
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
            colour = "parseInt(getComputedStyle(document.body).color.slice(4)) > 128"
            assert tab.evaluate(colour) == (scheme == "dark")
            tab.screenshot(path=folder / f"serve-{width}-{scheme}.png", full_page=True)


@pytest.mark.slow
def test_a_signal_lets_it_finish_what_it_took(tmp_path):
    command = ["-m", "applications.cli", "serve", f"digits={RUN}", "--port", "0"]
    log = open(tmp_path / "log", "w+")
    with subprocess.Popen(
        [sys.executable, *command, "--runtime", "tensorflow", "--timeout", "60"],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    ) as process:
        try:
            ready = process.stdout.readline()
            port = int(re.search(r"http://127\.0\.0\.1:(\d+)", ready)[1])
            body = json.dumps({"images": [[[1, 2], [3, 4]]]}).encode()
            head = (
                f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            with socket.create_connection(("127.0.0.1", port), 60) as connection:
                connection.sendall(head.encode() + body[:-1])  # taken, and not yet whole
                address = f"http://127.0.0.1:{port}/metrics"
                wait_for(lambda: "in_progress 1.0" in httpx2.get(address).text)
                process.send_signal(signal.SIGTERM)

                def refuses():
                    try:
                        socket.create_connection(("127.0.0.1", port), 1).close()
                    except ConnectionRefusedError:
                        return True

                wait_for(refuses)
                connection.sendall(body[-1:])
                answer = b""
                while piece := connection.recv(65536):
                    answer += piece
            assert answer.startswith(b"HTTP/1.1 200") and b'"predictions"' in answer
            assert process.wait(60) == 0
            assert process.stdout.read() == "stopped\n"
        finally:
            process.kill()
    log.seek(0)
    lines = [json.loads(line) for line in log.read().splitlines() if line.startswith("{")]
    assert lines[-1]["status"] == 200 and lines[-1]["path"] == "/predict"
    log.close()


@pytest.mark.slow
def test_no_output_of_a_server_holds_its_token(tmp_path):
    """Neither of one that serves and is stopped nor of one that finds its port taken."""
    (tmp_path / "token").write_text(TOKEN)
    serve = [sys.executable, "-m", "applications.cli", "serve", f"digits={RUN}"]
    serve += ["--runtime", "tensorflow"]
    environment = {**os.environ, serving.TOKEN: TOKEN}
    with open(tmp_path / "log", "w+") as log:
        with subprocess.Popen(
            [*serve, "--port", "0"], stdout=log, stderr=log, env=environment
        ) as process:
            try:
                address = r"http://127\.0\.0\.1:(\d+)"
                wait_for(lambda: re.search(address, (tmp_path / "log").read_text()))
                port = re.search(address, (tmp_path / "log").read_text())[1]
                models = f"http://127.0.0.1:{port}/models"
                for path, token, status in (
                    (models, TOKEN, 200),
                    (models, f"{TOKEN}-wrong", 401),
                    (f"{models}?token={TOKEN}", TOKEN, 200),
                ):
                    headers = {"Authorization": f"Bearer {token}"}
                    assert httpx2.get(path, headers=headers).status_code == status
                taken = subprocess.run(
                    [*serve, "--port", port, "--token-file", tmp_path / "token"],
                    capture_output=True,
                    text=True,
                )
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
            finally:
                process.kill()
        assert taken.returncode == 2 and port in taken.stderr
        said = (tmp_path / "log").read_text()
        assert said.count('"path": "/models"') == 3
        assert not any(TOKEN in text for text in (said, taken.stdout, taken.stderr))
