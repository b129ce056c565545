"""Requests that come at about the same time are computed together."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np


class _Waiting(NamedTuple):
    images: np.ndarray
    answer: Future[np.ndarray]
    since: float  # seconds of the monotonic clock


class Batcher:
    """A queue of images before a network, which one thread computes in batches.

    A request waits for others no longer than `wait` seconds after it came, and not at all once all
    that are on their way have arrived: a client alone does not wait. While a batch is computed the
    next one gathers.

    Args:
        compute: images (N, H, W, C) -> outputs (N, ...), called by one thread alone.
        most: images of a batch.
        wait: seconds.
        on_their_way: how many requests are in progress, those that wait here included.
        computed: told the number of images of each batch.
    """

    def __init__(
        self,
        compute: Callable[[np.ndarray], np.ndarray],
        most: int,
        wait: float,
        on_their_way: Callable[[], int],
        computed: Callable[[int], None],
    ):
        self._compute, self._most, self._wait = compute, most, wait
        self._on_their_way, self._computed = on_their_way, computed
        self._queue: deque[_Waiting] = deque()
        self._images = 0  # that are in the queue
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Images in the queue."""
        return self._images

    def submit(self, images: np.ndarray) -> Future[np.ndarray]:
        """Queue images (N, H, W, C), 1 <= N <= `most`; the answer are their outputs (N, ...).

        Raises:
            RuntimeError: it is closed.
        """
        waiting = _Waiting(images, Future(), time.monotonic())
        with self._changed:
            if self._closed:
                raise RuntimeError("the server stops")
            self._queue.append(waiting)
            self._images += len(images)
            self._changed.notify()
        return waiting.answer

    def close(self) -> None:
        """Compute what is queued, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._gathered():
            batch = [each for each in batch if each.answer.set_running_or_notify_cancel()]
            if not batch:
                continue
            try:
                images = [each.images for each in batch]
                outputs = self._compute(images[0] if len(images) == 1 else np.concatenate(images))
            except Exception as error:  # it is theirs who asked; the next batch may do
                for each in batch:
                    each.answer.set_exception(error)
                continue
            self._computed(len(outputs))
            ends = np.cumsum([len(each.images) for each in batch])
            for each, part in zip(batch, np.split(outputs, ends[:-1]), strict=True):
                each.answer.set_result(part)

    def _gathered(self) -> list[_Waiting]:
        """The next batch, as soon as it is due; none when all is done and it is closed."""
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait()
            while self._queue and (left := self._left()) > 0:
                self._changed.wait(left)
            batch: list[_Waiting] = []
            images = 0
            while self._queue and images + len(self._queue[0].images) <= self._most:
                batch.append(self._queue.popleft())
                images += len(batch[-1].images)
            self._images -= images
            return batch

    def _left(self) -> float:
        """Seconds that the batch may gather yet."""
        whole = self._images >= self._most or len(self._queue) >= self._on_their_way()
        if self._closed or whole:
            return 0
        return self._queue[0].since + self._wait - time.monotonic()
