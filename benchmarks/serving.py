"""How many requests `keras-archs serve` answers, beside what one would write oneself.

    pip install litserve     # for this benchmark alone; without it that side is left out
    python benchmarks/serving.py [--rounds 5] [--seconds 5] [--output benchmarks/results/serving.md]

The same network answers the same requests, a PNG in base64 in JSON, in three servers:

    keras-archs   `keras-archs serve`, as it is
    plain         FastAPI, each request in a thread that calls `model.predict`
    litserve      LitServe, batches of 32 that wait 2 ms, the network compiled by its backend

1, 8 and 32 clients ask as fast as they are answered. The servers run at the same time and are asked
in turns, the order changing, and ratios are taken within a round, so that a machine that slows down
slows all sides. Prints, and writes as Markdown, requests a second, the median and the 99th
percentile of the time of an answer, and the ratios with the rounds' spread. Aims: at 8 clients 5
times as many requests as `plain`, and more than `litserve`. Ends with 1 where one is missed.

No figures are kept in this repository yet: a quiet machine has not measured them.
"""

import argparse
import base64
import contextlib
import datetime
import http.client
import io
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

try:
    import litserve as _library
except ModuleNotFoundError:
    _library = None
library: Any = _library

CLIENTS = (1, 8, 32)
SIDES = ("keras-archs", "plain", "litserve")
GOALS = {"plain": 5.0, "litserve": 1.0}  # times as many requests, at GOAL_CLIENTS
GOAL_CLIENTS = 8
_BATCH, _WAIT = 32, 0.002
_START = 300.0  # seconds that a server may take to start


class Measured(NamedTuple):
    """Of one side in one round: requests a second, milliseconds of an answer."""

    rate: float
    p50: float
    p99: float


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--arch", default="lenet5", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a measurement")
    parser.add_argument("--output", type=Path, help="the Markdown file to write")
    parser.add_argument("--side", choices=SIDES[1:], help=argparse.SUPPRESS)  # the server's own
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side is not None:
        {"plain": plain, "litserve": litserve}[options.side](options.model, options.port)
        return
    sides = [side for side in SIDES if side != "litserve" or library]
    with TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        model, body = made(options.arch, Path(folder))
        ports = {side: stack.enter_context(started(side, model)) for side in sides}
        for port in ports.values():
            wait_for(port, body)
        measured: dict[int, list[dict[str, Measured]]] = {clients: [] for clients in CLIENTS}
        for at in range(options.rounds):
            for clients, rounds in measured.items():
                order = sides[:: -1 if at % 2 else 1]
                rounds.append({s: measure(ports[s], body, clients, options.seconds) for s in order})
    text, reached = report(options.arch, measured, sides)
    print(text)
    if options.output:
        options.output.write_text(text)
    sys.exit(not reached)


def made(arch: str, folder: Path) -> tuple[str, bytes]:
    """The file of a network with random weights, and the body of a request to it."""
    import keras_archs

    model = keras_archs.build(arch)
    model.save(folder / "model.keras")
    height, width, channels = model.input_shape[1:]
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "PNG")
    body = json.dumps({"images": [base64.b64encode(file.getvalue()).decode()]})
    return str(folder / "model.keras"), body.encode()


# ------------------------------------------------------------------------------------- the servers


@contextlib.contextmanager
def started(side: str, model: str):
    """A server as a process of its own; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = ["-m", "applications.cli", "serve", model]
    other = [__file__, "--side", side, "--model", model]
    command = [sys.executable, *(own if side == "keras-archs" else other), "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, start_new_session=True, **quiet)
    try:
        yield port
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):  # workers may outlive their parent
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def decoded(body: dict[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    """The image of a request, (H, W, C), as one would decode it."""
    file = io.BytesIO(base64.b64decode(body["images"][0]))
    image = Image.open(file).convert("L" if shape[2] == 1 else "RGB").resize(shape[1::-1])
    return np.asarray(image).reshape(shape)


def plain(file: str, port: int) -> None:
    """The server of the documentation's first page."""
    import keras
    import uvicorn
    from fastapi import Body, FastAPI

    model, app = keras.saving.load_model(file, compile=False), FastAPI()
    shape = model.input_shape[1:]

    @app.post("/predict")
    def predict(body: dict = Body()):  # noqa: B008  as FastAPI has it
        return {"probabilities": model.predict(decoded(body, shape)[None], verbose=0)[0].tolist()}

    uvicorn.run(app, port=port, log_level="error")


class Network(library.LitAPI if library else object):
    """The network in LitServe, whose workers are processes that import this file."""

    file: str

    def setup(self, device):
        import keras

        from keras_archs.runtimes import compiled

        model = keras.saving.load_model(self.file, compile=False)
        self.shape, self.kind = model.input_shape[1:], model.inputs[0].dtype
        self.forward = compiled(model)
        self.forward(np.zeros((1, *self.shape), self.kind))

    def decode_request(self, request):
        return decoded(request, self.shape)

    def batch(self, inputs):
        return np.stack(inputs).astype(self.kind)

    def predict(self, images):
        return self.forward(images)[0]

    def unbatch(self, outputs):
        return list(outputs)

    def encode_response(self, output):
        return {"probabilities": output.tolist()}


def litserve(file: str, port: int) -> None:
    api = Network(max_batch_size=_BATCH, batch_timeout=_WAIT)
    api.file = file
    server = library.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="error")


# ---------------------------------------------------------------------------------- the measurement


def ask(connection: http.client.HTTPConnection, body: bytes) -> None:
    connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {text[:200]!r}")


def wait_for(port: int, body: bytes) -> None:
    """Until the server answers."""
    end = time.monotonic() + _START
    while True:
        try:
            ask(http.client.HTTPConnection("127.0.0.1", port, timeout=60), body)
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def measure(port: int, body: bytes, clients: int, seconds: float) -> Measured:
    """`clients` connections ask for so many seconds, each once before that, and finish."""
    times: list[float] = []
    together = threading.Barrier(clients + 1)

    def work():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        ask(connection, body)
        together.wait()
        end = time.perf_counter() + seconds
        while (asked := time.perf_counter()) < end:
            ask(connection, body)
            times.append(1000 * (time.perf_counter() - asked))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    together.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    p50, p99 = np.percentile(times, (50, 99))
    return Measured(len(times) / (time.perf_counter() - begin), float(p50), float(p99))


def spread(values: list[float], digits: int = 1) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def report(
    arch: str, measured: dict[int, list[dict[str, Measured]]], sides: list[str]
) -> tuple[str, bool]:
    """As Markdown, and whether the aims were reached."""
    load, processors = os.getloadavg(), os.cpu_count() or 1
    lines = [
        "# Serving: `python benchmarks/serving.py`",
        "",
        f"{datetime.date.today()}. {arch}, {processors} processors, which servers and clients "
        f"share; load averages at the end {', '.join(f'{each:.1f}' for each in load)}. Python "
        f"{platform.python_version()}. {len(measured[CLIENTS[0]])} rounds; median (lowest to "
        "highest).",
        "",
        "| clients | server | requests a second | p50, ms | p99, ms |",
        "|--:|---|--:|--:|--:|",
    ]
    for clients, rounds in measured.items():
        for side in sides:
            cells = [spread([getattr(each[side], f) for each in rounds]) for f in Measured._fields]
            lines.append(f"| {clients} | {side} | {' | '.join(cells)} |")
    lines += ["", "| clients | keras-archs over | times as many | aim |", "|--:|---|--:|--:|"]
    reached = True
    for clients, rounds in measured.items():
        for side in sides[1:]:
            ratios = [each["keras-archs"].rate / each[side].rate for each in rounds]
            goal = GOALS[side] if clients == GOAL_CLIENTS else None
            reached &= goal is None or statistics.median(ratios) >= goal
            aim = "" if goal is None else f"{goal:g}"
            lines.append(f"| {clients} | {side} | {spread(ratios, 2)} | {aim} |")
    if "litserve" not in sides:
        lines += ["", "LitServe is not installed, and was left out."]
    return "\n".join(lines) + "\n", reached


if __name__ == "__main__":
    main()
