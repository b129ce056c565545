"""What is printed, and what is not: users' names are text, and libraries keep silent."""

import contextlib
import html
import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def plain_console(**options: Any) -> "Console":
    """A console that shows class names, runs and paths as they are.

    rich would otherwise read `[red]` as a style, `:cat:` as a picture, and colour numbers.

    Args:
        **options: of `rich.console.Console`.
    """
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, **options)


@contextlib.contextmanager
def stderr_closed() -> Iterator[None]:
    """Nobody sees what libraries in C write to file descriptor 2 in here, in any thread."""
    sys.stderr.flush()
    stderr, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nothing)


@contextlib.contextmanager
def retracing_unsaid() -> Iterator[None]:
    """TensorFlow does not warn in here that it compiles again, which each further network means."""
    logger = logging.getLogger("tensorflow")

    def other(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)


def shown(name: object) -> str:
    """A name as one writes it: what a terminal would obey, and bytes that are no text, escaped."""
    return re.sub(
        r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]",
        lambda match: match[0].encode("unicode_escape").decode(),
        str(name),
    )


def one_line(text: object) -> str:
    """The text in one line, which a terminal shows as it is."""
    return shown(" ".join(str(text).split()))


def markdown(text: object) -> str:
    """The text as Markdown shows it: nothing in it is a heading, a link, an element or emphasis."""
    line = html.escape(" ".join(str(text).split()), quote=False)
    return re.sub(r"[\\`*\[\]#|~]|(?<!\w)_|_(?!\w)", r"\\\g<0>", line)


def short_count(count: int) -> str:
    """1234567 -> "1.23M"."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)
