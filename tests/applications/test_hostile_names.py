"""Names that are markup are text wherever a network's life shows them, in a real browser.

A class and an image file are called what would run if a page took it for an element.
"""

import re
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

import applications

CLASSES = (
    "<script>alert(1) &lt;b&gt;",
    '"><img src=x onerror=alert(2)>',
)  # no folder's name has a slash
FILE = '"><img src=x onerror=alert(3)>.png'

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def life(tmp_path_factory):
    """A run of such data, what it was compared to and found, and an image of it."""
    folder = tmp_path_factory.mktemp("life")
    random = np.random.default_rng(0)
    for name in CLASSES:
        (folder / "data" / name).mkdir(parents=True)
        for file in (FILE, *(f"{number}.png" for number in range(9))):
            pixels = random.integers(0, 256, (16, 16), np.uint8)
            Image.fromarray(pixels).save(folder / "data" / name / file)
    image = folder / "data" / CLASSES[0] / FILE
    data, given = folder / "data", {"epochs": 1, "size": 16, "verbose": 0}
    run = applications.train("lenet5", data=data, run_dir=folder / "run", **given)
    applications.compare([run], run_dir=folder / "compared")
    found = applications.retrieve(run, data, image, top=3, run_dir=folder / "index", verbose=0)
    return types.SimpleNamespace(run=run, image=image, folder=folder, page=found.page)


@pytest.fixture
def tab(browser):
    """A tab in which no script of a name runs and nothing is asked for elsewhere."""
    wrong = []
    tab = browser.new_page()
    tab.set_default_timeout(60_000)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    own = ("file:", "http://127.0.0.1:", "data:", "blob:")
    tab.on("request", lambda r: None if r.url.startswith(own) else wrong.append(r.url))
    yield tab
    tab.close()
    assert wrong == []


def texts(tab):
    """What the page shows, without the picture of its source that scripts have."""
    return tab.locator("body").inner_text()


def no_element_of_a_name(tab):
    return tab.locator("img[src=x], [onerror]").count() == 0


def test_in_the_report(life, tab):
    tab.goto((life.folder / "compared" / "report.html").as_uri())
    tab.locator("#scatter .scatterlayer").wait_for()
    matrix = tab.evaluate("document.getElementById('data').textContent")
    assert "<" not in matrix  # no text in it can end the element
    assert no_element_of_a_name(tab)


def test_in_the_page_of_what_was_retrieved(life, tab):
    tab.goto(life.page.as_uri())
    shown = texts(tab)
    assert any(name in shown for name in CLASSES)
    assert no_element_of_a_name(tab)


def test_in_the_card_as_markdown(life, tab):
    markdown = pytest.importorskip("markdown", reason="needs Markdown (pip install '.[docs]')")
    text = (life.run.path / "card.md").read_text(encoding="utf-8")
    tab.set_content(markdown.markdown(text, extensions=["tables"]))
    shown = texts(tab)
    assert all(name in shown for name in CLASSES)
    assert tab.locator("img, script").count() == 0


def test_in_the_page_of_the_server(life, tab):
    command = ["-m", "applications.cli", "serve", f"<b>={life.run.path}", "--port", "0"]
    with subprocess.Popen(
        [sys.executable, *command, "--runtime", "tensorflow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
            tab.goto(address)
            tab.get_by_text("<b>: 2 classes").wait_for()
            tab.locator("input[type=file]").set_input_files(life.image)
            tab.get_by_role("status").get_by_text("1 of 1 pictures").wait_for()
            answer = tab.locator("#answers > li").inner_text()
            assert FILE in answer and all(name in answer for name in CLASSES)
            assert no_element_of_a_name(tab)
        finally:
            process.kill()
