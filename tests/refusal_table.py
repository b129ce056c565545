"""The rows of refusals.txt, without what they are made of."""

from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).with_name("refusals.txt")


class Refusal(NamedTuple):
    """An input that is none, by what takes it."""

    room: str
    given: str
    answer: str


def refusals() -> list[Refusal]:
    """The rows of the table."""
    found, room = [], ""
    lines = iter(TABLE.read_text(encoding="utf-8").splitlines())
    for line in lines:
        if line.startswith("== "):
            room = line[3:]
        elif line:
            found.append(Refusal(room, line, next(lines).strip()))
    return found
