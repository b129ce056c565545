"""How many requests `keras-archs serve` answers, beside what one would write oneself.

    pip install litserve     # for this benchmark alone; without it that side is left out
    python benchmarks/serving.py [--network FILE.keras] [--rounds 5] [--seconds 5]
        [--output benchmarks/results/serving.md]

The same network, a trained one or an architecture with random weights (`--arch`), answers the same
requests, a PNG in base64 in JSON, in three servers:

    keras-archs   `keras-archs serve`, as it is
    plain         FastAPI, each request in a thread that calls `model.predict`
    litserve      LitServe, batches of 32 that wait 2 ms, the network compiled by its backend

1, 8 and 32 clients ask as fast as they are answered. The servers run at the same time and are asked
in turns, the order changing, and ratios are taken within a round, so that a machine that slows down
slows all sides. Prints, and writes as Markdown, requests a second, the median and the 99th
percentile of the time of an answer, the processor time that the server took for it, which depends
less on what else runs, and the ratios with the rounds' spread; a CSV beside it has every round.
Both are written after each round. What is not answered with 200 within a minute is an error. Aims:
no error, at 8 clients 5 times as many requests as `plain`, and more than `litserve`. Ends with 1
where one is missed.
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
SPREAD, SUMMED = ("rate", "p50", "p99", "cpu"), ("answers", "errors")
_BATCH, _WAIT = 32, 0.002
_PATIENCE = 60.0  # seconds that a client waits
_START = 300.0  # seconds that a server may take to start


class Measured(NamedTuple):
    """Of one side in one round.

    Attributes:
        rate: answers a second.
        p50, p99: milliseconds until an answer.
        cpu: milliseconds of processor time of the server for an answer.
        answers: how many there were.
        errors: requests without one.
    """

    rate: float
    p50: float
    p99: float
    cpu: float
    answers: int
    errors: int


class Server(NamedTuple):
    """A server of this machine, and the session of its processes."""

    port: int
    session: int


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--arch", default="lenet5", help="default: %(default)s")
    parser.add_argument("--network", metavar="FILE.keras", help="in the place of --arch")
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
    load = os.getloadavg()  # of others
    with TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        model, body = made(options, Path(folder))
        servers = {side: stack.enter_context(started(side, model)) for side in sides}
        for server in servers.values():
            wait_for(server.port, body)
        measured: dict[int, list[dict[str, Measured]]] = {clients: [] for clients in CLIENTS}
        called = f"{options.arch}, random weights"
        if options.network:
            called = f"The trained network {'/'.join(Path(options.network).parts[-2:])}"
        text, reached = "", False
        for at in range(options.rounds):
            for clients, rounds in measured.items():
                order = sides[:: -1 if at % 2 else 1]
                found = {s: measure(servers[s], body, clients, options.seconds) for s in order}
                rounds.append(found)
            text, reached = report(called, measured, sides, load)
            if options.output:
                options.output.write_text(text)
                options.output.with_suffix(".csv").write_text(table(measured))
    print(text)
    sys.exit(not reached)


def made(options: argparse.Namespace, folder: Path) -> tuple[str, bytes]:
    """The file of the network, and the body of a request to it."""
    import keras

    import keras_archs

    name = options.network or str(folder / "model.keras")
    if options.network is None:
        keras_archs.build(options.arch).save(name)
    model: Any = keras.saving.load_model(name, compile=False)
    height, width, channels = model.input_shape[1:]
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "PNG")
    body = json.dumps({"images": [base64.b64encode(file.getvalue()).decode()]})
    return name, body.encode()


# ------------------------------------------------------------------------------------- the servers


@contextlib.contextmanager
def started(side: str, model: str):
    """A server as a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = ["-m", "applications.cli", "serve", model]
    other = [__file__, "--side", side, "--model", model]
    command = [sys.executable, *(own if side == "keras-archs" else other), "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, start_new_session=True, **quiet)
    try:
        yield Server(port, process.pid)
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


class Refused(RuntimeError):
    """An answer that is none."""


def ask(
    connection: http.client.HTTPConnection,
    body: bytes,
    kind: str = "application/json",
    address: str = "/predict",
) -> bytes:
    """What the server answers.

    Raises:
        Refused, OSError, http.client.HTTPException: it does not.
    """
    connection.request("POST", address, body, {"Content-Type": kind})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise Refused(f"{answer.status}: {text[:200]!r}")
    return text


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


def consumed(session: int) -> float:
    """Seconds of processor time of the processes of a session, so far. On Linux alone."""
    ticks = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # a process that has ended
            fields = file.read_text().rpartition(") ")[2].split()
            if int(fields[3]) == session:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(server: Server, body: bytes, clients: int, seconds: float, **asked: str) -> Measured:
    """`clients` connections ask for so many seconds, each once before that, and finish."""
    times: list[float] = []
    errors: list[Exception] = []
    together = threading.Barrier(clients + 1)

    def timed(connection: http.client.HTTPConnection, into: list[float]) -> None:
        begin = time.perf_counter()
        try:
            ask(connection, body, **asked)
        except (Refused, OSError, http.client.HTTPException) as error:
            errors.append(error)
            connection.close()  # the next request opens it again
        else:
            into.append(1000 * (time.perf_counter() - begin))

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_PATIENCE)
        timed(connection, [])
        connection.close()  # a server may close one that waits for the others
        together.wait()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            timed(connection, times)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    together.wait()
    begin, before = time.perf_counter(), consumed(server.session)
    for thread in threads:
        thread.join()
    for error in errors[:1]:
        print(f"port {server.port}, {len(errors)} errors, the first: {error}", file=sys.stderr)
    rate = len(times) / (time.perf_counter() - begin)
    cpu = 1000 * (consumed(server.session) - before) / max(1, len(times))
    p50, p99 = np.percentile(times or [np.nan], (50, 99))
    return Measured(rate, float(p50), float(p99), cpu, len(times), len(errors))


def spread(values: list[float], digits: int = 1) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def report(
    network: str,
    measured: dict[int, list[dict[str, Measured]]],
    sides: list[str],
    load: tuple[float, ...],
) -> tuple[str, bool]:
    """As Markdown, and whether the aims were reached."""
    processors, loads = os.cpu_count() or 1, ", ".join(f"{each:.1f}" for each in load)
    count = len(measured[CLIENTS[0]])
    lines = [
        "# Serving: `python benchmarks/serving.py`",
        "",
        f"{datetime.date.today()}. {network}; {processors} processors, which servers and clients "
        f"share with other work: its load averages were {loads} before the servers "
        "started. So no time here is one of a quiet machine; what carries further are ratios, "
        f"taken within a round. Python {platform.python_version()}. {count} rounds; "
        "median (lowest to highest). An error is a request that was not answered with 200 within a "
        "minute.",
        "",
        "| clients | server | answers a second | p50, ms | p99, ms | processor, ms an answer | "
        "answers | errors |",
        "|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for clients, rounds in measured.items():
        for side in sides:
            of_side = [each[side] for each in rounds]
            cells = [spread([getattr(one, name) for one in of_side]) for name in SPREAD]
            cells += [f"{sum(getattr(one, name) for one in of_side):,}" for name in SUMMED]
            lines.append(f"| {clients} | {side} | {' | '.join(cells)} |")
    lines += [
        "",
        "| clients | keras-archs over | times as many answers | aim | times less processor time |",
        "|--:|---|--:|--:|--:|",
    ]
    reached = not any(each["keras-archs"].errors for rounds in measured.values() for each in rounds)
    for clients, rounds in measured.items():
        for side in sides[1:]:
            ratios = [each["keras-archs"].rate / each[side].rate for each in rounds]
            costs = [each[side].cpu / each["keras-archs"].cpu for each in rounds]
            goal = GOALS[side] if clients == GOAL_CLIENTS else None
            reached &= goal is None or statistics.median(ratios) >= goal
            aim = "" if goal is None else f"{goal:g}"
            lines.append(
                f"| {clients} | {side} | {spread(ratios, 2)} | {aim} | {spread(costs, 2)} |"
            )
    if "litserve" not in sides:
        lines += ["", "LitServe is not installed, and was left out."]
    return "\n".join(lines) + "\n", reached


def table(measured: dict[int, list[dict[str, Measured]]]) -> str:
    """Every round, as CSV."""
    lines = [",".join(("round", "clients", "server", *Measured._fields))]
    for clients, rounds in measured.items():
        for at, each in enumerate(rounds):
            for side, one in each.items():
                figures = (format(value, ".6g") for value in one)
                lines.append(",".join((str(at), str(clients), side, *figures)))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
