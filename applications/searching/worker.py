"""A process that trains one trial, started by `pool`.

`python -m applications.searching.worker [CORE,...]`

It imports its libraries at once, says so, and waits for a job on standard input: one line of JSON.
It answers on standard output, a line of JSON for each epoch and one for the result. When its
standard input closes, which is what the end of its parent does, it ends itself.
"""

import json
import os
import queue
import sys
import threading
from typing import Any

import applications
from applications import children
from applications.options import Options


def main() -> None:
    if len(sys.argv) > 1:
        os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
    answer = children.answering()
    jobs: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()

    training = applications.training.training
    answer(ready=True)
    job = jobs.get()
    try:
        if job["kind"] == "test":
            run = training.test_trial(job["folder"])
        else:
            run = training.train_trial(
                Options.made_of(job["config"]),
                job["folder"],
                until=job["until"],
                columns=job["columns"],
                report=lambda row: answer(epoch=row),
            )
    except Exception as error:
        answer(error=f"{type(error).__name__}: {' '.join(str(error).split())}")
        raise
    answer(metrics=run.metrics)


def _listen(jobs: queue.Queue) -> None:
    """Hand on what comes; end the process when no more can come."""
    for line in sys.stdin:
        jobs.put(json.loads(line))
    os._exit(1)


if __name__ == "__main__":
    main()
