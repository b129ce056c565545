"""The application behind uvicorn, until it is told to stop."""

import asyncio
import logging
import math
import signal
import socket
import sys
import threading
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from applications.options import Serving
from applications.shipping.serving.gate import Gate
from applications.shipping.serving.watching import LOGGER, JsonLines

_HEADERS = 2**16  # bytes of a request's headers
_IDLE = 5  # seconds that a connection is kept for the next request
_CONNECTIONS = 1024  # beside those whose requests are in progress


def server(gate: Gate, options: Serving, ready: str) -> uvicorn.Server:
    """A server of the application.

    Args:
        gate: the application.
        options: the limits.
        ready: printed when requests are answered.
    """
    config = uvicorn.Config(
        gate,
        http=_protocol(options.timeout),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=_HEADERS,
        limit_concurrency=options.max_queue + _CONNECTIONS,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=math.ceil(2 * options.timeout) + 1,
    )
    return _Server(config, ready)


def run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Answer on this socket until SIGINT or SIGTERM; then finish what was taken."""
    log()
    # uvicorn passes the signal on when all is done; then it is only said that it came.
    before = signal.getsignal(signal.SIGTERM)
    in_main = threading.current_thread() is threading.main_thread()
    try:
        if in_main:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        print("stopped", flush=True)
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, before)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: str):
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self._ready, flush=True)


def _protocol(seconds: float) -> Any:
    """HTTP/1.1 that does not wait without end for the headers of a request."""

    class Protocol(H11Protocol):
        _late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._expect()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._expect()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def _expect(self) -> None:
            answering = self.cycle is not None and not self.cycle.response_complete
            if answering or self.timeout_keep_alive_task is not None:
                self._forget()
            elif self._late is None:
                self._late = self.loop.call_later(seconds, self._refuse)

        def _forget(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

        def _refuse(self) -> None:
            answering = self.cycle is not None and not self.cycle.response_complete
            if not answering and not self.transport.is_closing():
                head = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n"
                self.transport.write(head + b"\r\n")
                self.transport.close()

    return Protocol


def log() -> None:
    """Lines of JSON on stderr, uvicorn's warnings and errors too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for logger, level in ((LOGGER, logging.INFO), (logging.getLogger("uvicorn"), logging.WARNING)):
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level)
