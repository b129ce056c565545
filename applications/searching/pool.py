"""Processes that train trials, one after another, and are replaced before they are worn out.

A process is replaced when it dies, when a job may have left it damaged (memory ran out, or an error
that no training is expected to end with), when a job needs another number of threads, which is set
once in a process, and when its resident memory after a job exceeds that after its first job by more
than 1 GiB and by more than half: TensorFlow keeps a little of every network. At half of that growth
its successor is started, which imports its libraries meanwhile.
"""

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
_GROWTH = 2**30  # bytes of resident memory since the first job, and the share of what it was then
_GROWTH_SHARE = 0.5
_EARLY = 0.5  # of that growth: the successor is started


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
    """`count` processes, each with one job at a time. Ending a `with` block ends them all.

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
        self._at: dict[int, _Process] = {}
        self._successors: dict[int, _Process] = {}
        self._said: queue.Queue[tuple[_Process, dict[str, Any]]] = queue.Queue()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *exception: object) -> None:
        for process in (*self._at.values(), *self._successors.values()):
            process.end()
        self._at, self._successors = {}, {}

    @property
    def free(self) -> bool:
        """Whether a job can be started."""
        return bool(self._free)

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return any(process.job is not None for process in self._at.values())

    def prepare(self) -> None:
        """Start the processes of the next jobs, so that they import their libraries meanwhile."""
        for place in self._free:
            self._filled(place)

    def start(self, tag: Any, job: dict[str, Any]) -> None:
        """Start a job in a free place.

        Args:
            tag: what `wait` names the job by.
            job: what `worker` understands.
        """
        place = self._free.pop(0)
        if place in self._at and not self._at[place].can_take(job):
            self._at.pop(place).end()
        self._filled(place).begin(tag, job)

    def wait(self, seconds: float) -> Event | None:
        """The next event; None where nothing happened in that time."""
        try:
            process, said = self._said.get(timeout=seconds)
        except queue.Empty:
            return None
        place = process.place
        if self._at.get(place) is not process:  # it has been ended, or died before its turn
            if self._successors.get(place) is process:
                self._successors.pop(place).end()
        elif "epoch" in said:
            return Event(process.tag, row=said["epoch"])
        elif "ready" in said:
            self._rest(process, said["ready"])
        elif "ended" in said:
            return self._lost(process, process.reason(said["ended"]))
        elif not said.get("damaged"):
            process.job = None
            return Event(process.tag, metrics=said.get("metrics"), error=said.get("error"))
        elif process.jobs == 1 or process.job is None:
            return self._lost(process, said["error"])
        else:  # what other jobs have left may be to blame: a new process tells
            self._at.pop(place).end()
            self._filled(place).begin(process.tag, process.job)
        return None

    def _lost(self, process: "_Process", reason: str) -> Event | None:
        """Let go of a process, with which the job ends that it may have."""
        self._at.pop(process.place).end()
        if process.place not in self._free:
            self._free.append(process.place)
        return None if process.job is None else Event(process.tag, error=reason)

    def _rest(self, process: "_Process", resident: int) -> None:
        """Free the place of a process that is done, or, if it has grown, of its successor."""
        place = process.place
        process.first = process.first or resident
        growth = (resident - process.first) / max(_GROWTH, _GROWTH_SHARE * process.first)
        if growth > 1:
            self._at.pop(place).end()
            self._filled(place)
        elif growth > _EARLY and place not in self._successors:
            self._successors[place] = self._process(place)
        self._free.append(place)

    def _filled(self, place: int) -> "_Process":
        """The process of a place, which is its successor or a new one where there is none."""
        if place not in self._at:
            self._at[place] = self._successors.pop(place, None) or self._process(place)
        return self._at[place]

    def _process(self, place: int) -> "_Process":
        gpu = self._gpus[place % len(self._gpus)] if self._gpus else None
        return _Process(place, self._said, gpu, self._cores[place] if self._cores else ())


class _Process:
    """A worker.

    Attributes:
        place: that it is for.
        job: what it is doing; None: nothing.
        tag: of its last job.
        jobs: how many it was given.
        first: bytes of its resident memory after the first one.
    """

    def __init__(self, place: int, said: queue.Queue, gpu: str | None, cores: Sequence[int] | None):
        self.place = place
        self.job: dict[str, Any] | None = None
        self.tag: Any = None
        self.jobs = self.first = 0
        self._threads: int | None = None
        environment = {**os.environ}
        environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpu
        self._errors: IO[bytes] = tempfile.TemporaryFile()
        self._errors_before = 0
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

    def can_take(self, job: dict[str, Any]) -> bool:
        """Whether it lives and has the threads that a job asks for, or none yet."""
        alive = self._process.poll() is None
        return alive and (self.jobs == 0 or self._threads == job["threads"])

    def begin(self, tag: Any, job: dict[str, Any]) -> None:
        """Let it do a job, which it must be able to take."""
        self.tag, self.job, self._threads = tag, job, job["threads"]
        self.jobs += 1
        self._errors_before = os.fstat(self._errors.fileno()).st_size
        with contextlib.suppress(BrokenPipeError):  # it has ended, which `_listen` tells
            self._in.write(json.dumps(job).encode() + b"\n")
            self._in.flush()

    def reason(self, status: int) -> str:
        """Why the process ended before its job was done."""
        if status < 0:
            name = signal.Signals(-status).name
            return f"killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"
        self._errors.seek(self._errors_before)
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
