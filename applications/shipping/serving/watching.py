"""What a server tells of itself: figures for Prometheus, a line of JSON for each request."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from applications.shipping.serving.batching import Batcher

FORMAT = CONTENT_TYPE_LATEST  # of the figures
LOGGER = logging.getLogger("applications.serving")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Figures:
    """Of one server, in a registry of its own."""

    def __init__(self):
        self._registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self._registry, "namespace": "keras_archs"}
        self._requests = Counter(
            "requests", "Requests answered.", ("route", "model", "status"), **own
        )
        self._errors = Counter("errors", "Answers of 400 and above.", ("route", "status"), **own)
        self._seconds = Histogram(
            "request_seconds",
            "From the end of a request's headers to that of its answer.",
            ("route",),
            buckets=_SECONDS,
            **own,
        )
        self._batches = Histogram(
            "batch_images", "Images computed at a time.", ("model",), buckets=_IMAGES, **own
        )
        self._queue = Gauge("queue_images", "Images that wait.", ("model",), **own)
        self.in_progress = Gauge("requests_in_progress", "Requests in progress.", **own)

    def batch(self, model: str, images: int) -> None:
        """A batch was computed."""
        self._batches.labels(model).observe(images)

    def queue(self, model: str, batcher: Batcher) -> None:
        """Show this model's queue."""
        self._queue.labels(model).set_function(lambda: batcher.waiting)

    def answered(self, route: str, model: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(route, model, status).inc()
        self._seconds.labels(route).observe(seconds)
        if status >= 400:
            self._errors.labels(route, status).inc()

    def text(self) -> bytes:
        """As Prometheus reads them."""
        return generate_latest(self._registry)


class JsonLines(logging.Formatter):
    """Each record as one line of JSON; `extra={"fields": {...}}` are further ones."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)
