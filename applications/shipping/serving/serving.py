"""Finished runs behind HTTP: checked, loaded, compiled, then served until a signal."""

import functools
import ipaddress
import os
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import applications
from applications.console import shown
from applications.options import Group, Serving, takes
from applications.shipping import serving

TOKEN = "KERAS_ARCHS_TOKEN"  # noqa: S105  the variable's name
_SHORTEST = 16  # characters of a token
_LIBRARIES: Mapping[str, str] = {
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
}


@takes(Group(Serving))
def serve(options: Serving) -> None:
    """Answer requests over HTTP with the networks of finished runs, until SIGINT or SIGTERM.

    `POST /predict` takes images and names classes, `/v2` speaks the Open Inference Protocol with
    tensors `image` and `probabilities`, `/` is a page to drop pictures on, `/metrics` has figures
    for Prometheus, `/openapi.json` describes all of it. Requests that come within milliseconds are
    computed together. Answers are those of `Run.predict`. A line of JSON for each request goes to
    stderr, without what it held. What was taken when the signal comes is finished.

    Args:

    Raises:
        FileNotFoundError: there is no such run or file.
        ValueError: an argument is wrong, a run is not finished or damaged, the port is taken, an
            address that others reach comes without a token, no runtime has a network's layers, or
            the extra `serve` is not installed.
    """
    _check_installed()
    token = _token(options)
    runs = _opened(options.runs)
    with _listener(options.host, options.port) as listener:
        port = listener.getsockname()[1]
        # Not in this thread, which signals interrupt: where it has computed with a CPU's matrix
        # registers, a signal may end the process (SIGSEGV) before its handler is called.
        with ThreadPoolExecutor(1, "loading") as loader:
            served = functools.partial(serving.networks.Served, options=options)
            networks = list(loader.map(served, *zip(*runs, strict=True)))
        gate = serving.app.application(networks, options, token)
        host = f"[{options.host}]" if ":" in options.host else options.host
        names = ", ".join(f"{shown(each.name)} ({each.runtime})" for each in networks)
        ready = f"{names} at http://{host}:{port} (Ctrl-C ends it)"
        serving.server.run(serving.server.server(gate, options, ready), listener)


def _check_installed() -> None:
    missing = [name for module, name in _LIBRARIES.items() if find_spec(module) is None]
    if missing:
        raise ValueError(
            "a server needs libraries, for example by pip install 'keras-archs[serve]'. "
            f"Received: no {', '.join(missing)}"
        )


def _opened(runs: Any) -> Sequence[tuple[str, Any]]:
    """Run folders are opened at once, so that nothing is loaded where one of several is none."""
    opened = []
    for name, run in runs:
        if isinstance(run, str | os.PathLike):
            is_file = Path(run).suffix in (".keras", ".kac")
            if is_file and not Path(run).is_file():
                raise FileNotFoundError(
                    f"`runs` must be existing runs or files. Received: {os.fspath(run)}"
                )
            run = run if is_file else applications.load(run)
        opened.append((name, run))
    return opened


def _token(options: Serving) -> str | None:
    """The token that requests must bring; errors never show it."""
    token, where = os.environ.get(TOKEN) or None, TOKEN
    if options.token_file is not None:
        where = os.fspath(options.token_file)
        try:
            token = Path(where).read_text(encoding="ascii").strip()
        except UnicodeDecodeError:
            token = ""
    if token is None:
        if not _is_own(options.host):
            raise ValueError(
                "`host` must be 127.0.0.1, ::1 or localhost without a token, which `token_file` or "
                f"{TOKEN} gives. Received: host={options.host!r}"
            )
        return None
    if len(token) < _SHORTEST or not all("!" <= character <= "~" for character in token):
        raise ValueError(
            f"the token in {where} must be {_SHORTEST} or more printable ASCII characters without "
            f"spaces. Received: {len(token)} characters"
        )
    return token


def _is_own(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listener(host: str, port: int) -> socket.socket:
    """A socket that listens, before anything is loaded: who connects then is answered later."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise ValueError(f"`host` must be an address of this machine. Received: {host!r}") from None
    family, kind, number, _, address = found[0]
    listener = socket.socket(family, kind, number)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise ValueError(
            f"`host` and `port` must be free for this process ({error.strerror}). "
            f"Received: host={host!r}, port={port}"
        ) from None
    return listener
