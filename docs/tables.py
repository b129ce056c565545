"""The tables of architectures, of costs and of a walk in README.md and docs/.

    python docs/tables.py           # writes them anew
    python docs/tables.py --check   # exit 1 where one is not current

A table stands between `<!-- networks: NAME NAME ... -->` and `<!-- networks: end -->`; names are
those of `list_archs`, with shell patterns, and come in the order of the papers. One between
`<!-- cost: NAME -->` and `<!-- cost: end -->` is that of tests/reference/arithmetic.py, and one of
`<!-- walk: PART -->` has the rows of benchmarks/results/walk.csv of that part.
"""

import argparse
import csv
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import keras_archs
from keras_archs import profile

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(
    r"(<!-- (networks|cost|walk): (?!end)(.+?) -->\n).*?(<!-- \2: end -->)", re.DOTALL
)
WALK = {  # part -> column of the CSV -> what it is called, and its format
    "run": {
        **{"step": ("step", ""), "bytes": ("bytes", ",.0f"), "smaller": ("times smaller", ".1f")},
        **{"accuracy": ("test accuracy", ".2%"), "macs": ("multiply-adds", ",.0f")},
    },
    "export": {
        **{"step": ("format", ""), "bytes": ("bytes", ",.0f"), "smaller": ("times smaller", ".1f")},
        **{"accuracy": ("test accuracy", ".2%"), "agrees": ("same class", ".2%")},
        "difference": ("largest difference", ".1e"),
    },
    "served": {
        **{"step": ("who asks", ""), "agrees": ("same class as `predict`", ".2%")},
        **{"answers": ("answers", ",.0f"), "errors": ("errors", ",.0f")},
    },
}
DATA = {"imagenet": "ImageNet", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "mnist": "MNIST"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, say what is old")
    check = parser.parse_args().check
    old = []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = path.read_text()
        current = with_tables(text)
        if current != text:
            old.append(path.name)
            if not check:
                path.write_text(current)
    print(f"{'not current' if check else 'written'}: {', '.join(old) or 'none'}")
    sys.exit(bool(check and old))


def with_tables(text: str) -> str:
    """`text` with every table made anew."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{made(found[2], found[3])}\n{found[4]}", text)


def made(kind: str, what: str) -> str:
    if kind == "networks":
        return table(what.split())
    if kind == "walk":
        return walk(what)
    sys.path.insert(0, str(ROOT / "tests"))
    from reference import arithmetic  # it imports Keras

    return arithmetic.TABLES[what]()


def walk(part: str) -> str:
    """Markdown, the rows of a part."""
    columns = WALK[part]
    lines = [
        "| " + " | ".join(title for title, _ in columns.values()) + " |",
        "|---|" + "--:|" * (len(columns) - 1),
    ]
    with open(ROOT / "benchmarks" / "results" / "walk.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["part"] == part:
                texts = (shown(row[name], form) for name, (_, form) in columns.items())
                lines.append(f"| {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def shown(value: str, form: str) -> str:
    return format(float(value), form).replace("%", " %") if value and form else value


def table(patterns: list[str]) -> str:
    """Markdown, one row an architecture."""
    titles = [
        title
        for titles in keras_archs.MODULES.values()
        for title in titles
        if any(fnmatchcase(title.lower(), pattern) for pattern in patterns)
    ]
    titles.sort(key=lambda title: keras_archs.info(title).year)
    lines = [
        "| network | year | paper | input | parameters | MACs | published top-1 | smallest input |",
        "|---|--:|---|---|--:|--:|---|--:|",
        *(f"| {' | '.join(cells(title))} |" for title in titles),
    ]
    return "\n".join(lines) + "\n"


def cells(title: str) -> list[str]:
    info, cost = keras_archs.info(title), profile(title.lower())
    side = str(info.min_size)
    if "small" in info.stems:
        side += f" ({info.min_size_for(stem='small')})"
    return [
        f"`{title}`",
        str(info.year),
        paper(info.paper),
        "x".join(map(str, info.input_shape)),
        f"{cost.params:,}",
        f"{cost.macs:,}",
        accuracy(info.published),
        side,
    ]


def paper(text: str) -> str:
    """ "Howard et al. 2017, arXiv:1704.04861, Table 1" -> a link under the authors."""
    authors = re.split(r" \d{4}\b", text, maxsplit=1)[0]
    identifier = re.search(r"arXiv:([\d.]+\d)", text)
    return f"[{authors}](https://arxiv.org/abs/{identifier[1]})" if identifier else authors


def accuracy(published) -> str:
    found = [
        f"{DATA[key.removesuffix('_top1')]} {figure.value:g} %"
        for key, figure in published.items()
        if key.endswith("_top1")
    ]
    return ", ".join(found)


if __name__ == "__main__":
    main()
