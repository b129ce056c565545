"""The tables of docs/reliability.md, made from tests/refusals.txt.

python docs/reliability.py           # writes them anew
python docs/reliability.py --check   # exit 1 where they are not current
"""

import argparse
import re
import sys
from collections import Counter
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from refusal_table import Refusal, refusals  # noqa: E402  it stands there

PAGE = ROOT / "docs" / "reliability.md"
BLOCK = re.compile(r"(<!-- refusals: (counts|all) -->\n).*?(<!-- refusals: end -->)", re.DOTALL)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, say what is old")
    check = parser.parse_args().check
    text = PAGE.read_text(encoding="utf-8")
    current = with_tables(text)
    if current != text and not check:
        PAGE.write_text(current, encoding="utf-8")
    sys.exit(check and current != text)


def with_tables(text: str) -> str:
    """`text` with every table made anew."""
    made = {"counts": counts, "all": everything}
    return BLOCK.sub(lambda found: f"{found[1]}\n{made[found[2]](refusals())}\n\n{found[3]}", text)


def counts(found: list[Refusal]) -> str:
    by_room = Counter(room for room, _, _ in found)
    lines = ["| what takes it | inputs refused |", "|---|--:|"]
    lines += [f"| {room.lower()} | {count} |" for room, count in by_room.items()]
    return "\n".join([*lines, f"| all | {len(found)} |"])


def everything(found: list[Refusal]) -> str:
    parts = []
    for room in dict.fromkeys(room for room, _, _ in found):
        lines = [f"### {room}", "", "| input | answer |", "|---|---|"]
        lines += [f"| {_code(x)} | {_code(y)} |" for of, x, y in found if of == room]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _code(text: str) -> str:
    """Markdown of a cell; texts have backticks and bars themselves."""
    return f"<code>{escape(text, quote=False).replace('|', '&#124;').replace('*', '&#42;')}</code>"


if __name__ == "__main__":
    main()
