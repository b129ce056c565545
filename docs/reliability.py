"""The tables of docs/reliability.md, made from tests/refusals.txt and benchmarks' results.

python docs/reliability.py           # writes them anew
python docs/reliability.py --check   # exit 1 where they are not current
"""

import argparse
import csv
import re
import sys
from collections import Counter
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from refusal_table import refusals  # noqa: E402  it stands there

PAGE = ROOT / "docs" / "reliability.md"
RESULTS = ROOT / "benchmarks" / "results"
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- table: end -->)", re.DOTALL)


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
    made = {"counts": counts, "all": everything, "fuzz": fuzz, "kills": kills}
    made |= {"soak": soak, "matrix": matrix}
    return BLOCK.sub(lambda found: f"{found[1]}\n{made[found[2]]()}\n\n{found[3]}", text)


def fuzz() -> str:
    """All runs of each target together."""
    lines = ["| target | seconds | inputs | branches | most memory | findings |"]
    lines.append("|---|--:|--:|--:|--:|--:|")
    for target, rows in _grouped("fuzz.csv", "target").items():
        seconds, inputs, found = (
            sum(int(row[name]) for row in rows) for name in ("seconds", "executions", "findings")
        )
        edges, peak = (max(int(row[name]) for row in rows) for name in ("edges", "peak_mb"))
        lines.append(
            f"| `{target}` | {seconds:,} | {inputs:,} | {edges:,} | {peak:,} MB | {found} |"
        )
    return "\n".join(lines)


def kills() -> str:
    """How many of the kills of each command were tried."""
    lines = ["| command | at writes | at random moments | results that differ | files left |"]
    lines.append("|---|--:|--:|--:|--:|")
    for command, rows in _grouped("kills.csv", "command").items():
        at = {kind: [row for row in rows if row["at"] == kind] for kind in ("write", "random")}
        tried = [f"{len(each)} of {each[0]['of']}" if each else "0" for each in at.values()]
        sums = [str(sum(int(row[name]) for row in rows)) for name in ("differs", "left")]
        lines.append(f"| `{command}` | {' | '.join([*tried, *sums])} |")
    return "\n".join(lines)


def soak() -> str:
    """The last time that each part was run."""
    if not (RESULTS / "soak.csv").exists():
        return "Not run yet."
    lines = ["| process | what | done | minutes | at first | at last | slope an hour | flat |"]
    lines.append("|---|---|--:|--:|--:|--:|--:|---|")
    last = {}
    for part, rows in _grouped("soak.csv", "part").items():
        last |= {(part, row["quantity"]): row for row in rows}
    for (part, quantity), row in last.items():
        first, end, *slope = (
            f"{float(row[name]):,.1f}" for name in ("first", "last", "slope", "low", "high")
        )
        done = f"{int(row['units']):,}"
        if errors := int(row["errors"]):
            done += f", {errors:,} errors"
        unit = f"{quantity}, MiB" if quantity == "memory" else quantity
        cells = f"`{part}`", unit, done, f"{float(row['minutes']):.0f}", first, end
        interval = f"{slope[0]} ({slope[1]} to {slope[2]})"
        lines.append(
            f"| {' | '.join(cells)} | {interval} | {'yes' if int(row['flat']) else 'no'} |"
        )
    return "\n".join(lines)


def matrix() -> str:
    """The last row of each combination."""
    names = "keras", "tensorflow", "keras_tuner", "passed", "failed", "skipped"
    lines = [f"| Python | libraries | on | {' | '.join(names)} |".replace("_", "-")]
    lines.append("|---|---|---|---|---|---|--:|--:|--:|")
    for python, rows in sorted(_grouped("matrix.csv", "python").items()):
        for row in {row["versions"]: row for row in rows}.values():
            cells = [row[name] or row["status"] for name in names]
            lines.append(f"| {python} | {row['versions']} | {row['date']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _grouped(file: str, column: str) -> dict[str, list[dict[str, str]]]:
    """The rows of a table of results by what stands in a column."""
    found: dict[str, list[dict[str, str]]] = {}
    with open(RESULTS / file, encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            found.setdefault(row[column], []).append(row)
    return found


def counts() -> str:
    found = refusals()
    by_room = Counter(room for room, _, _ in found)
    lines = ["| what takes it | inputs refused |", "|---|--:|"]
    lines += [f"| {room.lower()} | {count} |" for room, count in by_room.items()]
    return "\n".join([*lines, f"| all | {len(found)} |"])


def everything() -> str:
    found, parts = refusals(), []
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
