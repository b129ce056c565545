"""A process that trains trials, one after another, started by `pool`.

`python -m applications.searching.worker [CORE,...]`

It imports its libraries at once and waits for jobs on standard input, each a line of JSON: `kind`,
"train" or "test", `folder`, `threads` and, to train, `config`, `until`, `columns` and `parents`. It
answers on standard output in lines of JSON: `epoch`, a row, after each epoch; then `metrics`, or
`error`, a line, with `damaged`, whether this process may no longer do what a new one would; and
unless it is, `ready`, the bytes of its resident memory, when it waits for the next job. A damaged
one ends. When standard input closes, which is what the end of the parent does, it ends itself.

A job ends as it would in a new process: its seed is set, and what Keras remembers of networks, the
numbers in the names of layers among it, is forgotten after each.
"""

import gc
import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

import applications
from applications import children
from applications.options import Options

_EXPECTED = (ValueError, TypeError)  # of a training that cannot be done, or came to nothing


def main() -> None:
    if len(sys.argv) > 1:
        os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
    answer = children.answering()
    jobs: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()

    applications.training.training  # noqa: B018  imports Keras
    gc.freeze()  # what the libraries hold stays: to look for garbage in it takes half a second
    while _do(jobs.get(), answer):
        answer(ready=_forget())


def _do(job: dict[str, Any], answer: Callable[..., None]) -> bool:
    """Do a job; returns whether this process is as good as a new one."""
    memory, training = applications.training.memory, applications.training.training
    try:
        if job["kind"] == "test":
            run = training.test_trial(job["folder"])
        else:
            run = training.train_trial(
                Options.made_of(job["config"]),
                job["folder"],
                until=job["until"],
                columns=job["columns"],
                parents=job["parents"],
                report=lambda row: answer(epoch=row),
            )
    except Exception as error:
        damaged = not isinstance(error, _EXPECTED) or memory.ran_out(error)
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        answer(error=reason, damaged=damaged)
        return not damaged
    answer(metrics=run.metrics)
    return True


def _forget() -> int:
    """Forget the last job: bytes of resident memory that are left."""
    import keras

    keras.utils.clear_session()
    applications.training.memory.forget_peak()
    return applications.training.memory.resident()


def _listen(jobs: queue.Queue) -> None:
    """Hand on what comes; end the process when no more can come."""
    for line in sys.stdin:
        jobs.put(json.loads(line))
    os._exit(1)


if __name__ == "__main__":
    main()
