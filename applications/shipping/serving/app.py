"""The addresses that are answered, as a FastAPI application.

    GET  /                                 a page to drop pictures on
    GET  /models                           what is served
    POST /predict, /predict/NAME           images: files of a form, JSON, or a file as the body
    GET  /v2, /v2/health/live, /v2/health/ready, /v2/models/NAME, /v2/models/NAME/ready
    POST /v2/models/NAME/infer             tensors of the Open Inference Protocol
    GET  /metrics                          figures for Prometheus
    GET  /openapi.json                     the description of all this

FastAPI's own pages of documentation load scripts from elsewhere, and are left out; the page has a
list of the addresses, made of /openapi.json.
"""

import asyncio
import base64
import binascii
import contextlib
import functools
import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from PIL import Image

import keras_archs
from applications.options import Serving
from applications.shipping.serving import protocol
from applications.shipping.serving.batching import Batcher
from applications.shipping.serving.gate import Gate
from applications.shipping.serving.networks import Served
from applications.shipping.serving.protocol import VERSION, Bad
from applications.shipping.serving.watching import FORMAT, Figures
from keras_archs.runtimes import processors

PAGE = Path(__file__).with_name("page.html")
_TOP = 3  # classes that are named unless more or fewer are asked for
_TRUE, _FALSE = (True, "true", "1"), (False, "false", "0", "")
_JSON = {"type": "object"}
_TENSORS = {
    "summary": "Tensors of the Open Inference Protocol, in JSON or in bytes",
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _JSON}, "application/octet-stream": {}},
        }
    },
}
_IMAGES = {
    "summary": "Classes of images",
    "openapi_extra": {
        "parameters": [
            {"name": "top", "in": "query", "schema": {"type": "integer", "minimum": 1}},
            {"name": "explain", "in": "query", "schema": {"type": "boolean"}},
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "images": {
                                "type": "array",
                                "items": {"type": "string", "format": "binary"},
                            }
                        },
                    }
                },
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["images"],
                        "properties": {
                            "images": {
                                "type": "array",
                                "description": "image files in base64, or arrays of integers "
                                "0..255, (height, width) or (height, width, 1 or 3)",
                                "items": {},
                            },
                            "top": {"type": "integer", "minimum": 1, "default": _TOP},
                            "explain": {"type": "boolean", "default": False},
                        },
                    }
                },
                "image/*": {"schema": {"type": "string", "format": "binary"}},
            },
        },
    },
}


class _Answer(JSONResponse):
    """JSON in ASCII: a client may send a text that UTF-8 cannot have, and gets it back."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


class _Model(NamedTuple):
    served: Served
    batcher: Batcher


class _Uploaded(NamedTuple):
    """Images, each a file's bytes or lists of numbers, by the names they came with."""

    names: list[str | None]
    images: list[Any]
    top: int
    explain: bool


def application(networks: Sequence[Served], options: Serving, token: str | None = None) -> Gate:
    """What answers for these networks: an ASGI application.

    Args:
        networks: one or more; the first answers where no name is given.
        options: the limits.
        token: that requests must bring. None: none.
    """
    Image.init()  # else with the first file that is no picture, which takes a second
    figures = Figures()
    models: dict[str, _Model] = {}
    decoders = ThreadPoolExecutor(processors(), "decoding")
    explainer = ThreadPoolExecutor(1, "explaining")  # one at a time is as fast, and takes less

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for each in models.values():  # all that was taken has been answered
            each.batcher.close()
        decoders.shutdown()
        explainer.shutdown()

    app = FastAPI(
        title="keras-archs",
        version=keras_archs.__version__,
        description="Networks of finished runs: images go to /predict, tensors to /v2.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    gate = Gate(app, options, token, figures)
    for each in networks:
        batcher = Batcher(
            each.probabilities,
            options.max_batch,
            options.max_wait_ms / 1000,
            lambda: gate.in_progress,
            functools.partial(figures.batch, each.name),
        )
        models[each.name] = _Model(each, batcher)
        figures.queue(each.name, batcher)
    _add_errors(app)
    _add_pages(app, models, figures, options)

    def find(request: Request, name: str, version: str = VERSION) -> _Model:
        if name not in models or version != VERSION:
            raise HTTPException(404, "there is no such model")
        request.scope["model"] = name
        return models[name]

    async def answered(request: Request, name: str) -> _Answer:
        model = find(request, name)
        asked = await _uploaded(request, options.max_batch)
        request.scope["images"] = len(asked.images)
        loop = asyncio.get_running_loop()
        decoding = [
            loop.run_in_executor(decoders, _decoded, model.served, number, image)
            for number, image in enumerate(asked.images, start=1)
        ]
        pixels = np.stack(await asyncio.gather(*decoding))
        found = await asyncio.wrap_future(model.batcher.submit(pixels))
        explanations = None
        if asked.explain:
            explanations = await loop.run_in_executor(explainer, _explained, model.served, pixels)
        return _Answer(_named(model.served, asked, found, explanations))

    @app.post("/predict", **_IMAGES)
    async def predict_first(request: Request):
        return await answered(request, networks[0].name)

    @app.post("/predict/{name}", **_IMAGES)
    async def predict(request: Request, name: str):
        return await answered(request, name)

    @app.get("/v2", summary="The server")
    async def server():
        extensions = ["binary_tensor_data"]
        return {"name": app.title, "version": app.version, "extensions": extensions}

    @app.get("/v2/health/live", summary="Whether the server runs")
    async def live():
        return {"live": True}

    @app.get("/v2/health/ready", summary="Whether every model can answer")
    async def ready():
        return {"ready": True}

    @app.get("/v2/models/{name}", summary="A model's tensors")
    @app.get("/v2/models/{name}/versions/{version}", include_in_schema=False)
    async def metadata(request: Request, name: str, version: str = VERSION):
        model = find(request, name, version).served
        return protocol.metadata(name, model.runtime, model.shape, len(model.labels))

    @app.get("/v2/models/{name}/ready", summary="Whether a model can answer")
    @app.get("/v2/models/{name}/versions/{version}/ready", include_in_schema=False)
    async def model_ready(request: Request, name: str, version: str = VERSION):
        find(request, name, version)
        return {"name": name, "ready": True}

    @app.post("/v2/models/{name}/infer", **_TENSORS)
    @app.post("/v2/models/{name}/versions/{version}/infer", include_in_schema=False)
    async def infer(request: Request, name: str, version: str = VERSION):
        model = find(request, name, version)
        asked = protocol.read(
            await request.body(),
            request.headers.get(protocol.JSON_LENGTH),
            model.served.shape,
            options.max_batch,
            in_range=model.served.trained,
        )
        request.scope["images"] = len(asked.images)
        found = await asyncio.wrap_future(model.batcher.submit(asked.images))
        body, length = protocol.written(name, asked, found)
        if length is None:
            return Response(body, media_type="application/json")
        headers = {protocol.JSON_LENGTH: str(length)}
        return Response(body, headers=headers, media_type="application/octet-stream")

    return gate


def _add_errors(app: FastAPI) -> None:
    """Every error is `{"error": reason}`."""

    @app.exception_handler(Bad)
    async def bad(_: Request, error: Bad):
        return _Answer({"error": str(error)}, 400)

    @app.exception_handler(HTTPException)
    @app.exception_handler(400)  # of a form that is none
    @app.exception_handler(404)
    @app.exception_handler(405)
    async def known(_: Request, error: Any):
        return _Answer({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def unknown(_: Request, error: Exception):  # which goes on to the log
        return _Answer({"error": "an error of the server; its log has it"}, 500)


def _add_pages(
    app: FastAPI, models: Mapping[str, _Model], figures: Figures, options: Serving
) -> None:
    page = PAGE.read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": _policy(page), "X-Content-Type-Options": "nosniff"}

    @app.get("/", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    async def shown():
        return HTMLResponse(page, headers=headers)

    @app.get("/models", summary="What is served, and within which limits")
    async def served():
        return {
            "models": [
                {
                    "name": name,
                    "labels": model.served.labels,
                    "shape": model.served.shape,
                    "runtime": model.served.runtime,
                }
                for name, model in models.items()
            ],
            "limits": {
                name: getattr(options, name) for name in ("max_batch", "max_bytes", "max_pixels")
            },
        }

    @app.get("/metrics", summary="Figures for Prometheus")
    async def metrics():
        return Response(figures.text(), media_type=FORMAT)


def _policy(page: str) -> str:
    """What the page may do: run its own script, and ask this server."""
    parts = {
        kind: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for kind, text in re.findall(r"<(style|script)>(.*?)</\1>", page, re.DOTALL)
    }
    return (
        f"default-src 'none'; style-src 'sha256-{parts['style']}'; "
        f"script-src 'sha256-{parts['script']}'; img-src data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


# ------------------------------------------------------------------------------- images in requests


async def _uploaded(request: Request, most: int) -> _Uploaded:
    """The images of a request, and what is asked of them.

    Raises:
        Bad: there is none, there are too many, or they are not as described.
        HTTPException: the body is of another kind.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    asked: dict[str, Any] = dict(request.query_params)
    names: list[str | None] = []
    images: list[Any] = []
    count = None
    if kind == "multipart/form-data":
        try:
            async with request.form(max_files=most, max_fields=8) as form:
                for name, value in form.multi_items():
                    if isinstance(value, str):
                        asked[name] = value
                    else:
                        names.append(value.filename)
                        images.append(await value.read())
        except ValueError:  # codecs that are none for texts raise it, and some UnicodeError
            raise Bad("the form's `charset` must be UTF-8") from None
    elif kind == "application/json":
        asked |= protocol.parsed(await request.body())
        given = asked.get("images")
        if not isinstance(given, list):
            raise Bad("`images` must be a list of images in base64 or of arrays of numbers")
        count = len(given)
        images = [_from_json(number, image) for number, image in enumerate(given[:most], start=1)]
    elif kind == "application/octet-stream" or kind.startswith("image/"):
        images = [await request.body()]
    else:
        raise HTTPException(
            415, "the body must be of multipart/form-data, application/json or image/*"
        )
    if not 1 <= (count := count or len(images)) <= most:
        raise Bad(f"there must be 1 to {most} images. Received: {count}")
    return _Uploaded(names or [None] * len(images), images, _top(asked), _explain(asked))


def _from_json(number: int, image: Any) -> Any:
    if isinstance(image, list):
        return image
    if isinstance(image, str):
        text = image.partition(",")[2] if image.startswith("data:") else image
        try:
            return base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            raise Bad(f"image {number} must be in base64") from None
    raise Bad(f"image {number} must be a text in base64 or an array of numbers")


def _top(asked: Mapping[str, Any]) -> int:
    top = asked.get("top", _TOP)
    if isinstance(top, str) and top.isascii() and top.isdecimal() and len(top) < 10:
        top = int(top)
    if type(top) is not int or top < 1:
        raise Bad(f"`top` must be an integer >= 1. Received: {str(top)[:40]!r}")
    return top


def _explain(asked: Mapping[str, Any]) -> bool:
    explain = asked.get("explain", False)
    if not isinstance(explain, bool | str) or explain not in (*_TRUE, *_FALSE):
        raise Bad(f"`explain` must be true or false. Received: {str(explain)[:40]!r}")
    return explain in _TRUE


def _decoded(served: Served, number: int, image: Any) -> np.ndarray:
    try:
        return served.pixels(image)
    except ValueError as error:
        raise Bad(f"image {number} cannot be read: {str(error)[:300]}") from None


def _explained(served: Served, pixels: np.ndarray) -> list[dict[str, Any]]:
    try:
        return served.explained(pixels)
    except ValueError as error:  # of a network that no method explains
        raise Bad(str(error)) from None


def _named(
    served: Served,
    asked: _Uploaded,
    found: np.ndarray,
    explanations: list[dict[str, Any]] | None,
) -> dict[str, Any]:
    """The answer, in which the classes have names."""
    predictions = []
    for at, (name, row) in enumerate(zip(asked.names, found, strict=True)):
        best = [
            {"class": served.labels[k], "probability": float(row[k])}
            for k in np.argsort(-row, kind="stable")[: asked.top]
        ]
        each = {"image": name, **best[0], "top": best, "probabilities": row.tolist()}
        predictions.append(each | ({"explanation": explanations[at]} if explanations else {}))
    return {"model": served.name, "classes": served.labels, "predictions": predictions}
