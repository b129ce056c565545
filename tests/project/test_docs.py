"""The documents say what the code does: tables are current, links and names lead somewhere."""

import csv
import importlib.util
import re
from pathlib import Path

import pytest
from expected import EXPECTED

import keras_archs
from keras_archs.weights.catalog import CATALOG, TrainedWeights

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(page):
    return page.relative_to(ROOT).as_posix()


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tables():
    module = script("tables")
    # Its networks are those of the table, which test_expected.py holds against what is built.
    known = {row.title.lower(): row for row in EXPECTED if not row.kwargs}
    module.profile = lambda name: known.get(name) or keras_archs.profile(name)
    return module


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=name_of(page), marks=[pytest.mark.slow] * (page.name == "cost.md"))
        for page in PAGES
    ],
)
def test_tables_are_current(page, tables):
    assert tables.with_tables(page.read_text()) == page.read_text(), "run `python docs/tables.py`"


def test_what_is_refused_is_told_as_the_table_has_it():
    reliability = script("reliability")
    text = reliability.PAGE.read_text()
    assert reliability.with_tables(text) == text, "run `python docs/reliability.py`"


def rows(page):
    """The names in the tables of architectures."""
    return re.findall(r"^\| `(\w+)` \|", page.read_text(), re.MULTILINE)


def test_every_architecture_has_a_row_in_the_lineage_and_eight_have_one_in_the_readme():
    titles = [title for titles in keras_archs.MODULES.values() for title in titles]
    assert sorted(rows(ROOT / "docs" / "lineage.md")) == sorted(titles)
    shown = rows(ROOT / "README.md")
    assert len(shown) == len(set(shown)) == 8 and set(shown) < set(titles)


def test_a_table_is_made_between_its_marks_and_nothing_else_is_touched(tables):
    text = "before\n<!-- networks: lenet5 mobile*v2 -->\nold\n<!-- networks: end -->\nafter\n"
    made = tables.with_tables(text)
    assert made.startswith("before\n<!-- networks: lenet5 mobile*v2 -->\n\n| network | year |")
    assert made.endswith("|\n\n<!-- networks: end -->\nafter\n") and "old" not in made
    lenet5 = "1998 | LeCun et al. | 32x32x1 | 61,706 | 416,520 | MNIST 99.05 % | 16"
    assert f"| `LeNet5` | {lenet5} |" in made
    link = "[Sandler et al.](https://arxiv.org/abs/1801.04381)"
    assert f"| `MobileNetV2` | 2018 | {link} | 224x224x3 | 3,538,984 | 300,774,272 |" in made
    assert tables.with_tables(made) == made


@pytest.mark.parametrize(("part", "column"), [("run", 1), ("export", 1), ("served", 2)])
def test_a_table_of_the_walk_has_the_figures_of_its_part(part, column, tables):
    made = tables.with_tables(f"<!-- walk: {part} -->\nold\n<!-- walk: end -->\n")
    lines = [line.strip("| ").split(" | ") for line in made.splitlines() if line.startswith("| ")]
    with open(ROOT / "benchmarks/results/walk.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == part]
    assert [line[0] for line in lines[1:]] == [row["step"] for row in rows] and rows
    name = "answers" if part == "served" else "bytes"
    assert [line[column] for line in lines[1:] if len(line) > column] == [
        f"{int(row[name]):,}" for row in rows if row[name]
    ]


def test_the_page_of_weights_has_a_row_for_each_that_is_in_the_package():
    page = (ROOT / "docs/weights.md").read_text()
    rows = [line for line in page.splitlines() if line.endswith(" bytes |")]
    trained = [known for known in CATALOG if isinstance(known, TrainedWeights)]
    titles = {title.lower(): title for module in keras_archs.MODULES.values() for title in module}
    for known, row in zip(trained, rows, strict=True):
        alpha = known.kwargs.get("alpha", 1.0)
        title = titles[known.arch]
        network = f"`{title}`" if alpha == 1 else f"`{title}(alpha={alpha})`"
        right = f"{known.right:,} of {known.tested:,} ({known.accuracy:.2f} %)"
        figures = network, f'`"{known.weights}"`', f"{known.params:,}", f"{known.macs:,}"
        size = "x".join(map(str, known.input_shape))
        cells = *figures, size, right, f"{known.bytes:,} bytes"
        assert row == f"| {' | '.join(cells)} |"


@every_page
def test_links_within_the_project_lead_to_a_file(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
