"""Processes of ours: children that answer their parent in lines of JSON."""

import contextlib
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any


def collect_rarely() -> None:
    """Look for garbage less often, in a process that builds networks: many objects, few of them
    garbage.
    """
    gc.set_threshold(50_000, 20, 10)


def start(
    module: str, *arguments: str, errors: IO[Any], environment: Mapping[str, str], **options: Any
) -> subprocess.Popen[Any]:
    """Run a module of ours, whose standard output `answers` reads.

    Args:
        module: its dotted name; nothing is imported from the working directory.
        arguments: of its command line.
        errors: a file that takes what it writes to stderr.
        environment: its environment variables.
        **options: further ones of `subprocess.Popen`.
    """
    command = [sys.executable, "-P", "-m", module, *arguments]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": errors, **options}
    return subprocess.Popen(command, env=dict(environment), **pipes)


def answers(output: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The answers in a child's output; what is no JSON is passed over."""
    for line in output:
        with contextlib.suppress(ValueError):
            answer = json.loads(line)
            if isinstance(answer, dict):
                yield answer


def answering() -> Callable[..., None]:
    """In a child: a function that sends its keyword arguments to the parent, as one answer.

    What is printed from here on goes where errors go.
    """
    collect_rarely()
    output = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def answer(**what: Any) -> None:
        output.write(json.dumps(what) + "\n")

    return answer
