"""TensorBoard on run folders, as a user sees it in a browser.

With the environment variable SCREENSHOTS the pictures of its pages are kept in that folder.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from applications.logs.dashboards import dashboard


@contextmanager
def served(folder):
    """Address of a dashboard in a process of its own, ended by Ctrl-C."""
    code = f"from applications.logs.dashboards import dashboard; dashboard({str(folder)!r}, port=0)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline()
        yield re.search(r"http://127\.0\.0\.1:\d+/", line)[0]
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors == ""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three short trainings on real digits, the last one killed after its third epoch and resumed.

    Returns the folder and the validation accuracies by run.
    """
    import keras
    from sklearn.datasets import load_digits

    from applications.logs.tensorboard import TensorBoardLogger

    folder = tmp_path_factory.mktemp("runs")
    pixels, labels = load_digits(return_X_y=True)
    pixels /= 16
    accuracies = {}
    for name, units, parts in (
        ("dense-a0.25", 16, [(0, 4)]),
        ("dense-a0.5", 32, [(0, 4)]),
        ("dense-a1", 64, [(0, 3), (2, 4)]),
    ):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((64,)),
                keras.layers.Dense(units, "relu"),
                keras.layers.Dense(10, "softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        hparams = {"arch": "dense", "alpha": units / 64, "recipe": "default", "seed": 0}
        seen = {}
        for first, last in parts:
            logger = TensorBoardLogger(folder / name, hparams, images=1400)
            history = model.fit(
                pixels[:1400],
                labels[:1400],
                validation_data=(pixels[1400:], labels[1400:]),
                epochs=last,
                initial_epoch=first,
                callbacks=[logger],
                verbose=0,
            ).history
            seen.update(enumerate(history["val_accuracy"], start=first + 1))
        logger.finish({"test_accuracy": history["val_accuracy"][-1], "params": 75 * units + 10})
        accuracies[name] = seen
    return folder, accuracies


def read_scalars(address, run, tag):
    query = urllib.parse.urlencode({"run": run, "tag": tag})
    for _ in range(120):  # the server reads the files while it already answers
        try:
            with urllib.request.urlopen(f"{address}data/plugin/scalars/scalars?{query}") as answer:
                return [(step, value) for _, step, value in json.load(answer)]
        except urllib.error.HTTPError:
            time.sleep(0.5)
    return []


@pytest.mark.slow
def test_the_server_reads_each_step_once(runs):
    folder, accuracies = runs
    with served(folder) as address:
        for run, values in accuracies.items():
            read = read_scalars(address, run, "accuracy/validation")
            assert read == [(step, pytest.approx(value)) for step, value in values.items()]


@pytest.mark.slow
def test_the_pages_show_all_runs(runs, browser, tmp_path):
    from playwright.sync_api import expect

    folder, accuracies = runs
    pictures = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    pictures.mkdir(parents=True, exist_ok=True)
    with served(folder) as address:
        page = browser.new_page(viewport={"width": 1600, "height": 1400})
        page.set_default_timeout(120_000)
        expect.set_options(timeout=120_000)

        page.goto(f"{address}#timeseries")
        for group in ("accuracy", "loss", "training"):
            expect(page.get_by_text(group, exact=True).first).to_be_visible()
        for tag in ("accuracy/train", "accuracy/validation"):
            expect(page.locator("scalar-card").filter(has_text=tag)).to_contain_text(
                re.compile(".*".join(accuracies), re.DOTALL)
            )
        page.wait_for_timeout(3000)  # the lines are drawn after the figures are there
        page.screenshot(path=pictures / "timeseries.png")

        page.goto(f"{address}#hparams")
        page.reload()
        cells = page.locator("vaadin-grid-cell-content")
        for run, values in accuracies.items():
            expect(cells.filter(has_text=re.compile(rf"^\s*{re.escape(run)}\s*$"))).to_have_count(1)
            shown = f"{values[4]:.5g}"[:6]
            expect(cells.filter(has_text=shown).first).to_be_visible()
        for column in ("alpha", "arch", "test_accuracy", "params"):
            header = cells.filter(has_text=re.compile(rf"^\s*{column}\s*$"))
            expect(header).to_have_count(1)
        page.screenshot(path=pictures / "hparams.png")

        page.goto(f"{address}#custom_scalars")
        page.reload()
        for chart in ("validation accuracy", "training loss", "images per second"):
            expect(page.get_by_text(chart, exact=True).first).to_be_visible()
        page.wait_for_timeout(3000)
        page.screenshot(path=pictures / "custom_scalars.png")
        page.close()


@pytest.mark.slow
def test_the_layout_that_overlays_architectures_is_one_for_all_runs(runs):
    folder, accuracies = runs
    with served(folder) as address:
        read_scalars(address, list(accuracies)[-1], "accuracy/validation")  # all is read
        with urllib.request.urlopen(f"{address}data/plugin/custom_scalars/layout") as answer:
            layout = json.load(answer)
    (category,) = layout["category"]
    titles = [chart["title"] for chart in category["chart"]]
    assert "validation accuracy" in titles
    assert len(titles) == len(set(titles))


# ----------------------------------------------------------------------------------------- errors


def test_a_folder_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="`runs` must be an existing folder"):
        dashboard(tmp_path / "none")


def test_a_folder_without_event_files_is_an_error(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match="`runs` must hold event files"):
        dashboard(tmp_path)


def test_a_port_out_of_range_is_an_error(runs):
    with pytest.raises(ValueError, match=r"`port` must be in 0..65535. Received: port=99999"):
        dashboard(runs[0], port=99999)


def test_a_taken_port_is_an_error(runs):
    with served(runs[0]) as address:
        port = urllib.parse.urlsplit(address).port
        with pytest.raises(ValueError, match=f"`port` must be free. Received: port={port}"):
            dashboard(runs[0], port=port)


def test_errors_need_neither_keras_nor_tensorflow(tmp_path):
    code = f"""
import sys
from applications.logs.dashboards import dashboard
try:
    dashboard({str(tmp_path / "none")!r})
except FileNotFoundError:
    sys.exit(any(name in sys.modules for name in ("keras", "tensorflow", "tensorboard")))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
