"""The site: every command that it shows is one, every public name is in it, and it stands alone."""

import html.parser
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from expected import EXPECTED
from typer.exceptions import TyperException

import applications
import keras_archs
import tuning
from applications.cli.commands import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted(DOCS.rglob("*.md")),
    *sorted((ROOT / "applications" / "shipping" / "templates").rglob("*.md")),
]
every_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)


# ---------------------------------------------------------------------------------- what it shows

FENCED = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(keras-archs [^`]+)`")
COMMANDS = typer.main.get_command(app).commands


def commands(text):
    """The calls of `keras-archs` in a page's blocks, and those within its text."""
    for block in FENCED.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|[|;]\s", line):
                words = shlex.split(part, comments=True)
                if "keras-archs" in words:
                    yield words[words.index("keras-archs") + 1 :], True
    for call in INLINE.findall(FENCED.sub("", text)):
        yield shlex.split(call)[1:], False


def check(words, whole):
    """What the command line says of a command without running it."""
    name, *given = words
    command = typer.main.get_command(app).commands[name]
    for parameter in command.params:
        if not whole or "--config" in given:
            parameter.required = False
        if parameter.name == "config":  # which would be read
            parameter.callback = None
    command.make_context(name, given, obj=SimpleNamespace(debug=False))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A working folder that has the images which commands name."""
    for name in ("FOLDER", "photos"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)


@every_page
def test_every_command_of_a_page_is_one(page, folders):
    for words, whole in commands(page.read_text()):
        if words[0].isupper() or "--help" in words:  # `keras-archs COMMAND --help`
            continue
        assert words[0] in COMMANDS, words
        try:
            check(words, whole)
        except Exception as error:
            pytest.fail(f"keras-archs {shlex.join(words)}: {error}")


def test_a_wrong_command_is_found():
    text = "```sh\nKERAS_BACKEND=jax keras-archs train --arch vgg \\\n    --epohs 3  # three\n```\n"
    assert list(commands(text)) == [(["train", "--arch", "vgg", "--epohs", "3"], True)]
    assert list(commands("as `keras-archs lint vgg16` does")) == [(["lint", "vgg16"], False)]
    check(["train", "--arch", "vgg16", "--epochs", "3"], True)
    wrong = ["train --arch vgg", "train --arch vgg16 --epohs 3", "train --arch vgg16 --epochs 0"]
    for line in (*wrong, "train", "evaluate", "export runs/mine --format tflite"):
        with pytest.raises((ValueError, TyperException)):
            check(line.split(), True)


# ------------------------------------------------------------------------------------- its pages


def module_of(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("package", [keras_archs, tuning, applications], ids=lambda p: p.__name__)
def test_every_public_name_is_in_the_reference(package):
    pages = [page.read_text() for page in (DOCS / "reference").glob("*.md")]
    found = re.findall(r"^::: ([\w.]+)$", "\n".join(pages), re.MULTILINE)
    assert len(found) == len(set(found))
    rooms = {"__version__", "cost", "surgery", "runtimes", "weights"}  # whose names are there
    wanted = {f"{package.__name__}.{name}" for name in set(package.__all__) - rooms}
    assert wanted <= set(found)


def test_every_family_has_a_page_with_its_counts_and_a_drawing():
    folder = DOCS / "families"
    names = {f"{module}{suffix}" for module in keras_archs.MODULES for suffix in (".md", ".svg")}
    assert {file.name for file in folder.iterdir()} == {"index.md", *names}
    exact = {row.title: row for row in EXPECTED if row.kwargs in ({}, {"variant": "all"})}
    for module, titles in keras_archs.MODULES.items():
        text = (folder / f"{module}.md").read_text()
        _, _, counted = text.partition("## Counted and published")
        for title in titles:
            cells = re.search(rf"^\| `{title}` \| (.+) \|$", counted, re.MULTILINE)[1].split(" | ")
            assert cells[0] == f"{exact[title].params:,}"
            assert f"{exact[title].macs:,}" in cells[1:3]
            assert f"`{title}`" in (folder / "index.md").read_text()


@pytest.mark.parametrize(
    "name",
    [
        "index.md",
        "../reference/networks.md",
        pytest.param("lenet.md", marks=pytest.mark.slow),
        pytest.param("simpnet.svg", marks=pytest.mark.slow),
    ],
)
def test_pages_of_families_are_current(monkeypatch, name):
    """Those that are quick; `python docs/families.py --check` makes all."""
    monkeypatch.syspath_prepend(DOCS)
    made = module_of("families").files()[name]()
    assert (DOCS / "families" / name).read_text() == made, "python docs/families.py"


# -------------------------------------------------------------------------------------- its hooks


@pytest.fixture(scope="module")
def hooks():
    pytest.importorskip("mkdocs", reason="needs MkDocs (pip install '.[docs]')")
    return module_of("hooks")


KNOWN = {"index.md", "tour.md", "weights.md", "report.png", "results/arena.md"}


@pytest.mark.parametrize(
    "page, link, wanted",
    [
        ("index.md", "[t](../README.md#a-run-folder)", "[t](tour.md#a-run-folder)"),
        ("results/arena.md", "[t](../../docs/weights.md)", "[t](../weights.md)"),
        ("tour.md", "[t](benchmarks/results/arena.md)", "[t](results/arena.md)"),
        ("tour.md", "![t](docs/report.png)", "![t](report.png)"),
        ("tour.md", "[LICENSE](LICENSE)", "LICENSE"),  # a file that is no page
        ("tour.md", "[t](absent.md)", "[t](absent.md)"),  # which MkDocs then reports
        ("tour.md", "[t](https://arxiv.org/abs/1503.02531)", None),
        ("tour.md", "[t](#search)", None),
    ],
)
def test_a_link_between_files_becomes_one_between_pages(page, link, wanted, hooks):
    assert hooks.LINK.sub(hooks.relinked(page, KNOWN), link) == (wanted or link)


def test_new_pages_stand_in_the_navigation_by_themselves(hooks):
    pages = {entry: hooks.pages_in(entry) for entry in ("", "families", "results")}
    assert "weights.md" in pages[""] and "tour.md" in pages[""]
    families = [f"families/{module}.md" for module in keras_archs.MODULES]
    assert pages["families"] == ["families/index.md", *families]
    results = {f"results/{file.name}" for file in (ROOT / "benchmarks/results").glob("*.md")}
    assert pages["results"][0] == "results/index.md" and set(pages["results"][1:]) == results
    config = SimpleNamespace(nav=["index.md", {"Tour": "tour.md"}, {"More": ["*", "results/"]}])
    more = hooks.on_config(config).nav[2]["More"]
    assert {"What a network costs": "cost.md"} in more and "results/index.md" in more
    assert {"Compression": "results/compression.md"} in more  # without its command
    named = [next(iter(entry.values())) if isinstance(entry, dict) else entry for entry in more]
    assert not {"index.md", "tour.md"} & set(named)


# ------------------------------------------------------------------------------- the site as built

SHOWN = (
    *("index.html", "tour.html", "families/mobilenet.html", "how_to/your_images.html"),
    *("reference/applications.html", "results/index.html"),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for name in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(name, reason="needs MkDocs (pip install '.[docs]')")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Fetched(html.parser.HTMLParser):
    """The addresses that a browser fetches to show a page."""

    def __init__(self, text):
        super().__init__()
        self.addresses = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        names = ["src", "srcset", "poster", "data"] + ["href"] * (tag in ("link", "use", "image"))
        if given.get("rel") not in ("canonical", "prev", "next"):
            self.addresses += [given[name] for name in names if given.get(name)]
        self.addresses += addresses_of_css(given.get("style") or "")


def addresses_of_css(text):
    return re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", text)


@pytest.mark.slow
def test_no_page_fetches_anything_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 50
    seen = 0
    for page in pages:
        for address in Fetched(page.read_text()).addresses:
            assert not re.match(r"(\w+:)?//", address), (page.name, address)
            path = address.partition("?")[0].partition("#")[0]
            if not path.startswith(("data:", "/")) and path:  # 404.html has addresses of a server
                assert (page.parent / path).exists(), (page.name, address)
                seen += 1
    assert seen > 300
    for style in site.rglob("*.css"):
        for found in addresses_of_css(style.read_text()):
            address = "".join(found)
            assert address.startswith("data:") or not re.match(r"(\w+:)?//", address), style.name


@pytest.fixture
def tab(browser):
    """A narrow tab without a network; at the end nothing has gone wrong in it."""
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.set_default_timeout(60_000)
    wrong = []
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    local = ("file:", "data:", "blob:", "about:")
    page.on("request", lambda r: None if r.url.startswith(local) else wrong.append(r.url))
    yield page
    context.close()
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_a_page_opens_from_the_disk_and_fits_a_phone(name, site, tab):
    tab.goto((site / name).as_uri())
    tab.locator("h1").first.wait_for()
    width = tab.evaluate("document.documentElement.scrollWidth")
    assert width == 390
    assert all(tab.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 0)"))


@pytest.mark.slow
def test_the_search_works_without_a_server(site, tab):
    tab.set_viewport_size({"width": 1280, "height": 800})
    tab.goto((site / "index.html").as_uri())
    tab.locator("input.md-search__input").press_sequentially("microcontroller")
    found = tab.locator(".md-search-result__link").first
    found.wait_for()
    assert "microcontroller" in found.get_attribute("href")
