"""Processes that train trials, each followed by one that has imported its libraries already."""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from applications import children

_SECONDS_TO_END = 10


@dataclass
class Event:
    """What a worker says of its job: an epoch's row, or how it ended.

    Attributes:
        tag: of the job.
        row: of the history, after an epoch.
        metrics: of the finished run.
        error: why the job failed, in one line.
    """

    tag: Any
    row: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None
    error: str | None = None


class Workers:
    """`count` processes at a time, each for one job. Ending a `with` block ends them all.

    Args:
        count: jobs side by side.
        gpus: names of GPUs as CUDA_VISIBLE_DEVICES has them: a job sees one. Empty: it sees all.
        cores: processors that each place confines its process to; None: it may use all.
    """

    def __init__(
        self, count: int, gpus: Sequence[str] = (), cores: Sequence[Sequence[int]] | None = None
    ):
        self._gpus, self._cores = list(gpus), cores
        self._free = list(range(count))
        self._spare: dict[int, _Process] = {}
        self._running: dict[_Process, Any] = {}
        self._said: queue.Queue[tuple[_Process, dict[str, Any]]] = queue.Queue()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *exception: object) -> None:
        for process in (*self._running, *self._spare.values()):
            process.end()
        self._running, self._spare = {}, {}

    @property
    def free(self) -> bool:
        """Whether a job can be started."""
        return bool(self._free)

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return bool(self._running)

    def prepare(self) -> None:
        """Start the processes of the next jobs, so that they import their libraries meanwhile."""
        for place in self._free:
            self._spare.setdefault(place, self._process(place))

    def start(self, tag: Any, job: dict[str, Any], more: bool) -> None:
        """Start a job in a free place.

        Args:
            tag: what `wait` names the job by.
            job: what `worker` understands.
            more: whether another job is likely to follow in this place.
        """
        place = self._free.pop(0)
        process = self._spare.pop(place, None) or self._process(place)
        self._running[process] = tag
        process.send(job)
        if more:
            self._spare[place] = self._process(place)

    def wait(self, seconds: float) -> Event | None:
        """The next event; None where nothing happened in that time."""
        try:
            process, said = self._said.get(timeout=seconds)
        except queue.Empty:
            return None
        tag = self._running.get(process)
        if "ended" in said:
            if process not in self._running:  # one that died before it had a job
                self._spare = {k: p for k, p in self._spare.items() if p is not process}
                process.end()
                return None
            del self._running[process]
            self._free.append(process.place)
            error = process.error(said["ended"])
            process.end()
            return Event(tag, metrics=process.metrics, error=error)
        if "metrics" in said:
            process.metrics = said["metrics"]
        elif "error" in said:
            process.reason = said["error"]
        elif "epoch" in said:
            return Event(tag, row=said["epoch"])
        return None

    def _process(self, place: int) -> "_Process":
        gpu = self._gpus[place % len(self._gpus)] if self._gpus else None
        return _Process(place, self._said, gpu, self._cores[place] if self._cores else ())


class _Process:
    def __init__(self, place: int, said: queue.Queue, gpu: str | None, cores: Sequence[int] | None):
        self.place = place
        self.metrics: dict[str, Any] | None = None
        self.reason: str | None = None
        environment = {**os.environ}
        environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpu
        self._errors: IO[bytes] = tempfile.TemporaryFile()
        self._process = children.start(
            "applications.searching.worker",
            *([",".join(map(str, cores))] if cores else ()),
            errors=self._errors,
            environment=environment,
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the parent
        )
        self._in: Any = self._process.stdin
        self._out: Any = self._process.stdout
        threading.Thread(target=self._listen, args=(said,), daemon=True).start()

    def _listen(self, said: queue.Queue) -> None:
        for answer in children.answers(self._out):
            said.put((self, answer))
        self._out.close()
        said.put((self, {"ended": self._process.wait()}))

    def send(self, job: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended, which `_listen` tells
            self._in.write(json.dumps(job).encode() + b"\n")
            self._in.flush()

    def error(self, status: int) -> str | None:
        """Why the process ended without a result; None if it has one."""
        if self.metrics is not None:
            return None
        if self.reason is not None:
            return self.reason
        if status < 0:
            name = signal.Signals(-status).name
            return f"killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing said")
        return f"ended with exit status {status}: {last}"

    def end(self) -> None:
        """End the process at once, if it has not ended, and let go of its pipes."""
        self._process.kill()
        self._process.wait(_SECONDS_TO_END)
        with contextlib.suppress(OSError):
            self._in.close()
        self._errors.close()


def visible_gpus() -> list[str]:
    """Names of the NVIDIA GPUs that this process may use, found without touching one."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.split(",") if name.strip() not in ("", "-1")]
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return [str(i) for i, _ in enumerate(x for x in listed.stdout.splitlines() if "GPU" in x)]


def shared_cores(count: int) -> list[list[int]] | None:
    """The processors of this process, divided among `count`; None where they cannot be set."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    return [cores[place % len(cores) :: count] or cores for place in range(count)]


def trial_folder(folder: Path, number: int) -> Path:
    """Run folder of a trial."""
    return folder / f"trial-{number:04d}"
