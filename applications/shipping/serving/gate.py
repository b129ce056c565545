"""What stands before the application: who may ask, how much, how many at a time, and how long.

A body is read here, and counted while it comes: what is too large, too slow or too much is refused
before it is in memory. Every request is told to the figures and to the log, its content is not.
"""

import asyncio
import contextlib
import hmac
import itertools
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from applications.options import Serving
from applications.shipping.serving.watching import LOGGER, Figures

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = ("/", "/docs", "/openapi.json", "/v2/health/live", "/v2/health/ready")  # without a token
_BODIES = 8  # largest bodies that are in memory at a time, of all requests together
_LINGER = 2.0  # seconds that what a refused client still sends is thrown away


class _Refused(Exception):
    """An answer in the application's place."""

    def __init__(self, status: int, reason: str, **headers: str):
        super().__init__(reason)
        self.status, self.headers = status, headers


class Gate:
    """An ASGI application around another one.

    Args:
        application: that answers.
        options: the limits.
        token: that requests must bring; None: none.
        figures: told of every request.
    """

    def __init__(
        self, application: Application, options: Serving, token: str | None, figures: Figures
    ):
        self._application, self._options, self._figures = application, options, figures
        self._token = None if token is None else f"Bearer {token}".encode()
        self._numbers = itertools.count(1)
        self._bytes = 0  # of the bodies in memory
        self.in_progress = 0
        figures.in_progress.set_function(lambda: self.in_progress)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        begin = time.perf_counter()
        status = 0

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._answer(scope, receive, noted)
        except _Refused as refused:
            if not status:
                await _refuse(refused, scope, receive, noted)
        finally:
            self._tell(scope, status, time.perf_counter() - begin)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        self._check_token(scope["path"], headers.get(b"authorization", b""))
        if not scope.get("query_string", b"").isascii():  # Starlette fails where it redirects
            raise _Refused(400, "the query must be percent-encoded")
        if scope["method"] != "POST":
            await self._application(scope, receive, send)
            return
        if self.in_progress >= self._options.max_queue:
            raise _Refused(429, "the queue is full", **{"Retry-After": "1"})
        self.in_progress += 1
        held = _Held(self)
        try:
            body = await self._body(headers, receive, held)
            scope["body"] = len(body)
            async with _limit(self._options.timeout, 503, "the answer took too long"):
                await self._application(scope, _replayed(body, receive), send)
        finally:
            self.in_progress -= 1
            held.release()

    def _check_token(self, path: str, given: bytes) -> None:
        if self._token is None or path in OPEN:
            return
        if not hmac.compare_digest(given, self._token):
            raise _Refused(401, "the token is missing or wrong", **{"WWW-Authenticate": "Bearer"})

    async def _body(
        self, headers: MutableMapping[bytes, bytes], receive: Receive, held: "_Held"
    ) -> bytes:
        """The whole body, if it is small enough and comes in time."""
        most = self._options.max_bytes
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise _Refused(415, "a body must not be compressed")
        announced = headers.get(b"content-length", b"0")
        if not announced.isdigit() or len(announced) > 15 or int(announced) > most:
            raise _Refused(413, f"a body must have at most {most:,} bytes")
        parts: list[bytes] = []
        size, more = 0, True
        async with _limit(self._options.timeout, 408, "the body came too slowly"):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Refused(400, "the client went away")
                part = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(part)
                if size > most:
                    raise _Refused(413, f"a body must have at most {most:,} bytes")
                held.hold(len(part))
                parts.append(part)
        return b"".join(parts)

    def hold(self, size: int) -> None:
        """So many bytes more are in memory, or fewer."""
        if size > 0 and self._bytes + size > _BODIES * self._options.max_bytes:
            raise _Refused(429, "the server is full", **{"Retry-After": "1"})
        self._bytes += size

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        model = scope.get("model", "")
        self._figures.answered(route, model, status, seconds)
        client = scope.get("client")
        fields = {
            "id": next(self._numbers),
            "client": client and client[0],
            "method": scope["method"][:20],
            "path": scope.get("raw_path", b"").decode("ascii", "replace")[:200],
            "status": status,
            "ms": round(1000 * seconds, 2),
            "bytes": scope.get("body", 0),
        }
        fields |= {name: scope[name] for name in ("model", "images") if name in scope}
        LOGGER.info("request", extra={"fields": fields})


class _Held:
    """The bytes that one request has in memory."""

    def __init__(self, gate: Gate):
        self._gate, self._bytes = gate, 0

    def hold(self, size: int) -> None:
        self._gate.hold(size)
        self._bytes += size

    def release(self) -> None:
        self._gate.hold(-self._bytes)


@contextlib.asynccontextmanager
async def _limit(seconds: float, status: int, reason: str):
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise _Refused(status, reason, **{"Retry-After": "1"}) from None


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Receives the body that was read; then whatever follows."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> MutableMapping[str, Any]:
        message = next(messages, None)
        return await receive() if message is None else message

    return replay


async def _refuse(refused: _Refused, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once; the connection is closed when the client has stopped sending, or soon.

    A connection that is closed while the client sends is reset, and the answer may be lost.
    """
    content = json.dumps({"error": str(refused)}).encode()
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        "Connection": "close",
        **refused.headers,
    }
    await send(
        {
            "type": "http.response.start",
            "status": refused.status,
            "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": content, "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER):
            more = scope["method"] == "POST" and "body" not in scope
            while more:
                message = await receive()
                more = message["type"] == "http.request" and message.get("more_body", False)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
