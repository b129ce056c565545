"""report.html: what it says is what the runs say, and it shows it in a browser without a network.

With the environment variable SCREENSHOTS the pictures of the page are kept in that folder.
"""

import json
import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from applications.comparison.reporting import int8_bytes, write_report
from applications.evaluation.metrics import worst_mistakes
from applications.options import OPTIONS
from applications.runs import load

HOSTILE = """<script>alert("1")</script> & "b" 'c' </script><img src=x onerror=alert(2)>"""


def write_run(
    folder,
    *,
    arch="lenet5",
    seed=0,
    labels=None,
    data="digits",
    layers=5,
    made=None,
    **metrics,
):
    """The files of a finished run on scikit-learn's digits; the figures follow from the seed.

    `made`: what its config has of the run that it was made of.
    """
    from applications.data.sources import open_source

    test = open_source("digits", seed=seed).at(16, 1, "stretch", keep=()).test
    random = np.random.default_rng((seed, layers))
    labels = labels or list("0123456789")
    probabilities = random.dirichlet(np.full(10, 0.2), len(test)).astype(np.float32)
    right = random.random(len(test)) < 0.9
    probabilities[right] = np.eye(10, dtype=np.float32)[test.labels[right]]
    predicted = probabilities.argmax(axis=1)
    matrix = np.zeros((10, 10), int)
    np.add.at(matrix, (test.labels, predicted), 1)
    accuracy = float((predicted == test.labels).mean())
    found = {
        "test_accuracy": accuracy,
        "macro_f1": accuracy - 0.01,
        "test_loss": 0.5,
        "validation_accuracy": accuracy + 0.005,
        "params": 61_706 * layers,
        "macs": 416_520 * layers,
        "peak_activation_bytes": 30_000 * layers,
        "latency_ms_p50": 0.5 * layers,
        "latency_ms_p95": 0.75 * layers,
        "train_seconds": 12.5,
        "input_shape": [16, 16, 1],
        "confusion_matrix": matrix.tolist(),
        "epochs": 3,
        "backend": "tensorflow",
        "keras": "3",
        **metrics,
    }
    folder.mkdir(parents=True)
    config = {"arch": arch, "alpha": 1.0, "rho": 1.0, "seed": seed, "data": data, "args": {}}
    config = {option: config.get(option) for option in OPTIONS} | {"resize": "stretch"}
    config |= made or {}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "labels.json").write_text(json.dumps(labels))
    (folder / "metrics.json").write_text(json.dumps(found))
    (folder / "model.keras").write_bytes(bytes(1000 * layers))
    curve = np.linspace(0.5, accuracy, 3)
    pd.DataFrame(
        {"epoch": [1, 2, 3], "loss": 1 - curve, "accuracy": curve, "val_loss": 1 - curve}
        | {"val_accuracy": curve, "learning_rate": 1e-3, "seconds": 4.0}
    ).to_csv(folder / "history.csv", index=False)
    rows = [(f"conv{k}", "Conv2D", "(8, 8, 6)", 156, 10_000 * k, 0, 1536) for k in range(layers)]
    header = ["name", "type", "output_shape", "params", "macs", "ops", "activation_bytes"]
    pd.DataFrame(rows, columns=header).to_csv(folder / "profile.csv", index=False)
    np.savez(
        folder / "predictions.npz",
        ids=np.array(test.ids),
        labels=test.labels,
        probabilities=probabilities,
    )
    return load(folder)


def content(page):
    """What the page's script reads."""
    text = page.read_text()
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1]
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three networks: two seeds of the first, and names that nobody would think of."""
    folder = tmp_path_factory.mktemp("runs")
    hostile = HOSTILE.replace("/", "")  # no folder's name has a slash
    return [
        write_run(folder / "lenet5-digits-s0", layers=2),
        write_run(folder / "lenet5-digits-s1", layers=2, seed=1),
        write_run(folder / "mobilenet-digits-s0", arch="mobilenet", layers=9),
        write_run(folder / hostile, arch="squeezenet", layers=4, labels=[HOSTILE, *"123456789"]),
    ]


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(path, runs)
    return path


# ---------------------------------------------------------------------------------------- content


def test_the_figures_are_those_of_the_runs(page, runs):
    found = content(page)
    assert [row["name"] for row in found["runs"]] == [run.path.name for run in runs]
    for row, run in zip(found["runs"], runs, strict=True):
        for name in ("test_accuracy", "macro_f1", "params", "macs", "peak_activation_bytes"):
            assert row[name] == run.metrics[name]
        assert row["file_bytes"] == (run.path / "model.keras").stat().st_size
        assert row["fp32_bytes"] == 4 * run.metrics["params"]
        assert row["history"]["val_accuracy"] == pytest.approx(
            run.history["val_accuracy"], rel=1e-4
        )
        assert row["confusion"]["matrix"] == run.metrics["confusion_matrix"]
        assert row["config"] == run.config


def test_runs_that_differ_by_their_seeds_are_one_network(page):
    groups = [row["group"] for row in content(page)["runs"]]
    assert groups == [0, 0, 1, 2]


def test_the_mistakes_are_those_the_network_was_surest_of(page, runs):
    found = content(page)
    for row, run in zip(found["runs"], runs, strict=True):
        with np.load(run.path / "predictions.npz") as saved:
            labels, probabilities = saved["labels"], saved["probabilities"]
        wrong = probabilities.argmax(axis=1) != labels
        surest = np.sort(probabilities.max(axis=1)[wrong])[::-1][: len(row["mistakes"])]
        assert [m["confidence"] for m in row["mistakes"]] == pytest.approx(surest, abs=1e-4)
        for mistake in row["mistakes"]:
            assert mistake["truth"] != mistake["predicted"]
            assert found["images"][mistake["image"]].startswith("data:image/png;base64,")
        assert row["unreadable"] is None


def test_worst_mistakes_are_at_most_as_many_as_there_are():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]])
    assert worst_mistakes(np.array([0, 0, 0, 1]), probabilities, 2).tolist() == [2, 3]
    assert worst_mistakes(np.array([0, 0, 0, 1]), probabilities, 9).tolist() == [2, 3, 1]
    assert worst_mistakes(np.array([0, 1, 1, 0]), probabilities, 9).tolist() == []


def test_the_lineage_goes_from_each_network_to_those_made_of_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = {"parent": "runs/small", "grow": {"alpha": 1.0}}
    gone = {"parent": "runs/gone", "distill": {"ensemble": ["a", "b"]}}
    kept = {"test_accuracy": 0.5, "params": 10}
    runs = [
        write_run(tmp_path / "runs" / "fresh", layers=6),
        write_run(
            tmp_path / "runs" / "pressed",
            made={"parent": "runs/grown", "compress": {"bits": 5}},
            compressed_bytes=999,
        ),
        write_run(tmp_path / "runs" / "grown", made=small, layers=7),
        write_run(tmp_path / "runs" / "small", layers=2),
        write_run(tmp_path / "runs" / "taught", made=gone, parent=kept),
    ]
    write_report(tmp_path / "report.html", runs)
    steps = content(tmp_path / "report.html")["lineage"]
    shown = [(s["name"], s["way"], s["depth"], s["parent"], s["compared"]) for s in steps]
    assert shown == [
        ("small", "", 0, None, True),
        ("grown", "grown", 1, 0, True),
        ("pressed", "compressed", 2, 1, True),
        ("gone", "", 0, None, False),
        ("taught", "distilled, 3 teachers", 1, 3, True),
    ]
    assert [step["bytes"] for step in steps[:3]] == [4 * 61_706 * 2, 4 * 61_706 * 7, 999]
    assert [step["accuracy"] for step in steps[:2]] == [
        runs[3].metrics["test_accuracy"],
        runs[2].metrics["test_accuracy"],
    ]
    assert (steps[3]["params"], steps[3]["bytes"], steps[3]["accuracy"]) == (10, 40, 0.5)
    curves = {row["name"]: row["history"] for row in content(tmp_path / "report.html")["runs"]}
    assert len(curves["grown"]["val_accuracy"]) == len(curves["fresh"]["val_accuracy"]) == 3


def test_a_run_that_is_its_own_ancestor_is_shown_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [
        write_run(tmp_path / "a", made={"parent": "b", "grow": {}}),
        write_run(tmp_path / "b", made={"parent": "a", "grow": {}}),
    ]
    write_report(tmp_path / "report.html", runs)
    steps = content(tmp_path / "report.html")["lineage"]
    assert sorted(step["name"] for step in steps) == ["a", "b"]


def test_without_runs_made_of_runs_there_is_no_lineage(page):
    assert content(page)["lineage"] == []


def test_pictures_of_images_that_are_gone_are_left_out_and_the_page_says_so(tmp_path):
    run = write_run(tmp_path / "run", data=str(tmp_path / "gone"))
    write_report(tmp_path / "report.html", [run])
    (row,) = content(tmp_path / "report.html")["runs"]
    assert "gone" in row["unreadable"]
    assert {mistake["image"] for mistake in row["mistakes"]} == {None}


def test_pictures_of_images_that_are_not_those_tested_are_left_out(tmp_path):
    run = write_run(tmp_path / "run")
    with np.load(run.path / "predictions.npz") as saved:
        arrays = dict(saved)
    arrays["ids"] = arrays["ids"][::-1]
    np.savez(run.path / "predictions.npz", **arrays)
    write_report(tmp_path / "report.html", [run])
    assert "changed" in content(tmp_path / "report.html")["runs"][0]["unreadable"]


def test_a_trial_that_was_not_tested_has_no_mistakes_and_no_matrix(tmp_path):
    run = write_run(tmp_path / "trial-0000")
    (run.path / "predictions.npz").unlink()
    for name in ("test_accuracy", "macro_f1", "test_loss", "confusion_matrix"):
        del run.metrics[name]
    write_report(tmp_path / "report.html", [run], score="validation_accuracy")
    found = content(tmp_path / "report.html")
    assert found["score"] == "validation_accuracy"
    assert "mistakes" not in found["runs"][0]
    assert found["runs"][0]["confusion"] is None


def test_int8_sizes_are_computed_from_the_layers():
    rows = [
        {"type": "Normalization", "params": 3, "output_shape": "(8, 8, 1)"},
        {"type": "Conv2D", "params": 9 * 4 + 4, "output_shape": "(8, 8, 4)"},
        {"type": "BatchNormalization", "params": 16, "output_shape": "(8, 8, 4)"},
        {"type": "DepthwiseConv2D", "params": 36, "output_shape": (None, 8, 8, 4)},
        {"type": "PReLU", "params": 4, "output_shape": "(8, 8, 4)"},
        {"type": "Dense", "params": 50, "output_shape": "(10,)"},
    ]
    assert int8_bytes(rows) == (40 + 32) + (36 + 32) + 16 + (50 + 80)


def test_of_many_classes_those_with_the_most_mistakes_are_shown(tmp_path):
    matrix = np.diag(np.full(60, 9))
    matrix[7, 8], matrix[20, 7] = 5, 3
    names = [f"class {k}" for k in range(60)]
    run = write_run(tmp_path / "run", labels=names, confusion_matrix=matrix.tolist())
    (run.path / "predictions.npz").unlink()  # which are of ten classes
    write_report(tmp_path / "report.html", [run])
    shown = content(tmp_path / "report.html")["runs"][0]["confusion"]
    assert len(shown["classes"]) == 50
    assert {7, 8, 20} <= set(shown["classes"])
    at = {label: place for place, label in enumerate(shown["classes"])}
    assert shown["matrix"][at[7]][at[8]] == 5


def test_published_figures_come_with_their_source(page):
    import keras_archs

    found = content(page)["architectures"]
    assert set(found) == {"lenet5", "mobilenet", "squeezenet"}
    published = keras_archs.info("mobilenet").published
    assert found["mobilenet"]["published"]["params"] == list(published["params"])


def test_thirty_runs_are_under_five_megabytes_beside_plotly(tmp_path):
    from plotly.offline import get_plotlyjs

    runs = [write_run(tmp_path / f"run-s{seed}", seed=seed, layers=200) for seed in range(30)]
    write_report(tmp_path / "report.html", runs)
    own = (tmp_path / "report.html").stat().st_size - len(get_plotlyjs().encode())
    assert own < 5e6


# ----------------------------------------------------------------------------------- nothing leaks


class _Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_names_make_no_elements_and_nothing_is_loaded(page, runs, tmp_path):
    write_report(tmp_path / "report.html", runs, title=HOSTILE)
    harmless = tmp_path / "harmless.html"
    write_report(harmless, runs, title="harmless")
    elements = []
    for path in (tmp_path / "report.html", harmless):
        parser = _Elements()
        parser.feed(path.read_text())
        elements.append(parser.found)
    assert [tag for tag, _ in elements[0]] == [tag for tag, _ in elements[1]]
    assert [tag for tag, _ in elements[0]].count("script") == 3
    for tag, attributes in elements[0]:
        assert "src" not in attributes and tag not in ("link", "iframe", "object", "base")
        assert attributes.get("href", "#").startswith("#")


def test_the_page_forbids_itself_every_request(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page.read_text())[1]
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"https?:|connect-src", policy)


def test_figures_that_are_no_numbers_are_not_known(tmp_path):
    run = write_run(tmp_path / "run", test_loss=float("nan"))
    write_report(tmp_path / "report.html", [run])
    assert content(tmp_path / "report.html")["runs"][0]["test_loss"] is None


# ---------------------------------------------------------------------------------- in the browser


# ------------------------------------------------------------------- from commands, on any backend


@pytest.mark.slow
def test_commands_write_it_where_there_is_no_tensorflow(without_tensorflow, tmp_path, digits):  # noqa: F811
    """Search, training and comparison on JAX, with all that TensorBoard is to show."""
    command = without_tensorflow / "keras-archs"
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"KERAS_BACKEND": "jax"}
    gone = subprocess.run([without_tensorflow / "python", "-c", "import tensorflow"], env=env)
    assert gone.returncode

    options = ("--data", digits, "--size", "16", "--epochs", "1")
    for arguments in (
        ("search", "--arch", "lenet5", "--trials", "2", "--algorithm", "random", "--run-dir", "s"),
        ("compare", "--archs", "lenet5", "--run-dir", "c", "--log", "gradients,dead_relus"),
    ):
        subprocess.run([command, *arguments, *options], env=env, cwd=tmp_path, check=True)
    search, comparison = (content(tmp_path / name / "report.html") for name in "sc")
    assert {row["name"] for row in search["runs"]} == {"trial-0000", "trial-0001"}
    assert search["score"] == "validation_accuracy"
    assert sum(row["test_accuracy"] is not None for row in search["runs"]) == 1
    (row,) = comparison["runs"]
    assert row["backend"] == "jax"
    board = EventAccumulator(str(tmp_path / row["path"]))
    board.Reload()
    tags = board.Tags()
    assert {"test/confusion_matrix", "gradient_norm"} <= set(tags["images"])
    assert {"cost/layers/text_summary", "custom_scalars__config__"} <= set(tags["tensors"])
    assert {"loss/train", "gradient_norm/1_c1", "final/test_accuracy"} <= set(tags["scalars"])


@pytest.fixture
def shown(browser, page):
    """The page, opened from disk with the network cut; at the end nothing has gone wrong in it."""
    context = browser.new_context(offline=True, viewport={"width": 1440, "height": 900})
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    wrong = []
    tab.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    local = ("file:", "data:", "blob:")
    tab.on("request", lambda r: None if r.url.startswith(local) else wrong.append(r.url))
    tab.goto(page.as_uri())
    tab.locator("#scatter .scatterlayer").wait_for()
    yield tab
    context.close()
    assert wrong == []


def column(tab, number):
    cells = tab.locator(f"#table tbody tr > :nth-child({number})")
    return [text.strip() for text in cells.all_inner_texts()]


@pytest.mark.slow
def test_sorting_and_filtering_by_keyboard(shown, runs):
    assert len(column(shown, 1)) == 3
    button = shown.get_by_role("button", name="Parameters")
    header = shown.locator("th", has=button)
    assert header.get_attribute("aria-sort") == "none"
    button.focus()
    shown.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert [name.partition("\n")[0].split(" ")[0] for name in column(shown, 1)] == [
        "lenet5",
        "squeezenet",
        "mobilenet",
    ]
    shown.keyboard.press("Enter")  # the heading keeps the focus
    assert header.get_attribute("aria-sort") == "descending"
    assert column(shown, 1)[0].startswith("mobilenet")

    shown.get_by_label("Filter").fill("MOBILE digits")
    assert [name.strip() for name in column(shown, 1)] == ["mobilenet"]
    assert shown.get_by_role("status").inner_text() == "1 of 3 rows"
    shown.get_by_label("Filter").fill("nothing like it")
    assert shown.get_by_role("status").inner_text() == "0 of 3 rows"
    shown.get_by_label("Filter").fill("")
    shown.get_by_label("seeds in one row").uncheck()
    assert len(column(shown, 1)) == len(runs)
    assert HOSTILE.replace("/", "") in column(shown, 1)


@pytest.mark.slow
def test_hovering_a_bubble_names_the_run(shown, runs):
    shown.get_by_label("seeds in one row").uncheck()
    shown.locator("#scatter").scroll_into_view_if_needed()
    names = set()
    for number in range(len(runs)):
        point = shown.locator("#scatter .scatterlayer .points path.point").nth(number)
        box = point.bounding_box()
        shown.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        label = shown.locator("#scatter .hoverlayer .hovertext")
        label.first.wait_for()
        names |= {run.path.name for run in runs if run.path.name in label.first.text_content()}
        shown.mouse.move(0, 0)
        label.first.wait_for(state="detached")
    assert names == {run.path.name for run in runs}


@pytest.mark.slow
def test_every_axis_and_view_can_be_chosen(shown):
    for control in ("#x", "#y", "#bubble", "#names", "#curve", "#time", "#tested", "#layercost"):
        for value in shown.locator(f"{control} option").evaluate_all(
            "all => all.map(o => o.value)"
        ):
            shown.locator(control).select_option(value)
    for box in ("log across", "log up", "Pareto front only", "log scale"):
        shown.get_by_label(box).click()
    assert shown.locator("#grid figure img").count() == 12
    natural = "images => images.every(i => i.complete ? i.naturalWidth > 0 : true)"
    assert shown.locator("#grid img").evaluate_all(natural)
    shown.get_by_role("button", name="Untick all").click()
    assert shown.locator("#differences").inner_text() == "Tick two rows or more."


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_fits_its_width_and_follows_the_colour_scheme(shown, tmp_path, width, scheme):
    shown.set_viewport_size({"width": width, "height": 850})
    shown.emulate_media(color_scheme=scheme)
    shown.wait_for_timeout(500)
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    light = shown.evaluate("parseInt(getComputedStyle(document.body).color.slice(4)) > 128")
    assert light == (scheme == "dark")
    pictures = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    pictures.mkdir(parents=True, exist_ok=True)
    shown.screenshot(path=pictures / f"report-{width}-{scheme}.png", full_page=True)
    shown.get_by_role("button", name=re.compile("colours")).click()
    now = shown.evaluate("parseInt(getComputedStyle(document.body).color.slice(4)) > 128")
    assert now != light
