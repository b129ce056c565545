"""Images that are found: the nearest by hand, an index that is kept current, and damage to it."""

import json
import os
import re
import shutil
import sys
import tracemalloc
from html.parser import HTMLParser

import keras
import networks
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner

import keras_archs
from applications import retrieve, train
from applications.cli.commands import app
from applications.data.libraries import open_library
from applications.data.sources import open_source
from applications.evaluation.networks import hidden_network
from applications.learning import codes, retrieving, vectors

DIGITS = np.round(load_digits().images * 255 / 16).astype(np.uint8)
CLASSES = load_digits().target
BITS = {"code": "binary", "bits": 8}
HOSTILE = """<img src=x onerror=alert(1)>&'".png"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(codes, "STEPS", 20)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("retrieve") / "run"
    options = {"alpha": 0.5, "size": 16, "epochs": 3, "batch_size": 128, "learning_rate": 2e-3}
    return train("lenet5", run_dir=run_dir, verbose=0, **options)


@pytest.fixture(scope="module")
def digits_index(run, tmp_path_factory):
    """An index of all digits, with autoencoders that have learned."""
    path = tmp_path_factory.mktemp("index") / "digits"
    return retrieve(run, "digits", run_dir=path, verbose=0)


@pytest.fixture(scope="module")
def prepared(run, tmp_path_factory):
    """A folder of images, and an index with bits of them."""
    root = tmp_path_factory.mktemp("prepared")
    folder = write_images(root / "images", range(30))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codes, "STEPS", 20)
        retrieve(run, folder, run_dir=root / "index", verbose=0, **BITS)
    return root


@pytest.fixture
def made(prepared, tmp_path):
    """Copies of both, which a test may change."""
    for name in ("images", "index"):
        shutil.copytree(prepared / name, tmp_path / name)  # with the times of the files
    return tmp_path / "index"


def write_images(folder, rows, classes=False):
    for row in rows:
        path = (
            folder / str(CLASSES[row]) / f"{row:03d}.png" if classes else folder / f"{row:03d}.png"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(DIGITS[row]).save(path)
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_images(tmp_path / "images", range(30))


@pytest.fixture
def embedded(monkeypatch):
    """How many images went through the network, call by call."""
    counts = []
    score = retrieving.score

    def counted(network, subset, batch_size):
        counts.append(len(subset))
        return score(network, subset, batch_size)

    monkeypatch.setattr(retrieving, "score", counted)
    return counts


def state(path):
    return {each.name: each.read_bytes() for each in path.iterdir()}


# --------------------------------------------------------------------------- the last hidden layer


@pytest.mark.parametrize("name", networks.ONE_A_FAMILY)
def test_every_family_has_a_last_hidden_layer(name):
    side = max(32, keras_archs.info(name).min_size)
    with keras_archs.graph.without_values():
        model = keras_archs.build(name, input_shape=(side, side, 3), classes=7, alpha=0.1)
        hidden = hidden_network(model)
    (width,) = hidden.output_shape[1:]
    classifier = [
        layer
        for layer in model.layers
        if 7 in (getattr(layer, "units", 0), getattr(layer, "filters", 0))
    ][-1]
    assert width == classifier.kernel.shape[-2]


def test_alexnets_is_what_the_paper_compares():
    with keras_archs.graph.without_values():
        hidden = hidden_network(keras_archs.AlexNet())
    assert hidden.output_shape == (None, 4096)


def test_the_classifier_makes_the_predictions_of_it(run):
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), np.uint8)
    hidden = hidden_network(run.model).predict(images, verbose=0)
    (kernel, bias) = run.model.layers[-2].get_weights() or run.model.layers[-1].get_weights()
    logits = keras.ops.softmax(hidden @ kernel + bias)
    np.testing.assert_allclose(logits, run.predict(images), atol=1e-5)


# --------------------------------------------------------------------------------- what is nearest


def test_the_nearest_are_those_of_the_distances_by_hand(run, folder):
    found = retrieve(run, folder, [folder / "003.png", folder / "010.png"], top=4, verbose=0)
    images = open_library(folder).at((16, 16, 1), "stretch", np.arange(30)).batch(range(30))
    hidden = hidden_network(run.model).predict(images, verbose=0)
    for answer, row in zip(found.answers, (3, 10), strict=True):
        distances = np.linalg.norm(hidden - hidden[row], axis=1)
        nearest = np.argsort(distances)[:4]
        assert answer.images == [f"{at:03d}.png" for at in nearest]
        np.testing.assert_allclose(answer.distances, distances[nearest], atol=1e-3)
        assert answer.images[0] == f"{row:03d}.png" and answer.classes == [""] * 4
    assert (found.embedded, found.kept, found.gone) == (30, 0, 0)
    assert found.precision == {}
    assert found.path.name == "index-run-images"


def test_bits_are_compared_by_how_many_differ(run, folder):
    query = folder / "003.png"
    found = retrieve(run, folder, query, code="binary", bits=16, top=30, verbose=0)
    (answer,) = found.answers
    assert answer.distances == sorted(answer.distances) and answer.distances[0] == 0
    assert all(each == int(each) <= 16 for each in answer.distances)
    index = vectors.opened(found.path)
    bits = codes.encoded(codes._encoder(index, "binary"), "binary", index.vectors)
    differ = np.unpackbits(bits ^ bits[3], axis=1).sum(axis=1)
    assert answer.distances == [differ[int(name[:3])] for name in answer.images]


def test_the_nearest_of_many_are_those_of_all_at_once(monkeypatch):
    random = np.random.default_rng(0)
    many, queries = random.normal(size=(2, 500, 8)).astype(np.float32)
    many[400] = many[7]  # of equals the earlier one is first
    queries[0] = many[7]
    monkeypatch.setattr(codes, "_ROWS_BYTES", 4 * 8 * 60)
    distances, rows = codes.nearest(queries, many, 9)
    by_hand = np.linalg.norm(queries[:, None] - many, axis=2)
    np.testing.assert_allclose(distances, np.sort(by_hand, axis=1)[:, :9], atol=2e-3)
    assert rows[0, :2].tolist() == [7, 400]
    np.testing.assert_allclose(np.take_along_axis(by_hand, rows, 1), distances, atol=2e-3)


def test_vectors_on_the_disk_are_not_read_into_memory(tmp_path):
    shape = 200_000, 256  # 195 MiB
    file = np.lib.format.open_memmap(tmp_path / "v.npy", "w+", np.float32, shape)
    file[123_456] = 1
    file.flush()
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    codes.load_faiss()
    tracemalloc.start()
    try:
        distances, rows = codes.nearest(np.ones((2, 256), np.float32), mapped, 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows.tolist() == [[123_456, 0, 1]] * 2 and distances[0].tolist() == [0, 16, 16]
    assert peak < 2**20


def test_precision_leaves_the_image_itself_out():
    labels = np.array([0, 0, 1, 1])
    rows = np.array([[0, 1, 2], [2, 0, 3], [3, 1, 0]])
    own = np.array([0, 2, 2])
    assert codes.precision(rows, own, labels, (1, 2)) == {"1": 2 / 3, "2": 0.5}


# --------------------------------------------------------------------------------------- precision


@pytest.mark.slow
def test_codes_of_64_bits_keep_nine_tenths_of_the_precision(run, digits_index):
    shares = {kind: row[10] for kind, row in digits_index.precision.items()}
    assert list(shares) == ["pixels", "raw", "compressed", "binary"]
    assert shares["raw"] > 0.7
    assert shares["binary"] >= 0.9 * shares["raw"]
    assert shares["compressed"] >= 0.9 * shares["raw"]
    told = json.loads((digits_index.path / "index.json").read_text())
    assert told["precision"]["queries"] == len(
        run.predictions["ids"]
    )  # which it was not trained on


@pytest.mark.slow
def test_precision_is_the_mean_over_test_images(run, digits_index):
    index, library = vectors.opened(digits_index.path), open_library("digits")
    tested = set(run.predictions["ids"].tolist())
    own = [row for row, name in enumerate(library.ids) if name in tested]
    all_of_them = np.array(index.vectors)
    right = []
    for row in own:
        order = np.argsort(np.linalg.norm(all_of_them - all_of_them[row], axis=1))
        right.append(library.labels[order[order != row][:5]] == library.labels[row])
    assert digits_index.precision["raw"][5] == pytest.approx(np.mean(right), abs=2e-3)


@pytest.mark.slow
def test_without_a_query_images_of_the_data_are_shown_among_the_others(digits_index, run):
    assert len(digits_index.answers) == 5
    tested = set(run.predictions["ids"].tolist())
    for answer in digits_index.answers:
        assert answer.query in tested and answer.query not in answer.images
        assert len(answer.images) == 6
    assert digits_index.page.read_text().count("<figure") == 5 * 7


@pytest.mark.slow
def test_the_same_seed_gives_the_same_codes(run, folder):
    options = {"code": "binary", "bits": 16, "verbose": 0}
    one = retrieve(run, folder, run_dir="a", **options)
    other = retrieve(run, folder, run_dir="b", **options)
    third = retrieve(run, folder, run_dir="c", seed=1, **options)
    of = [next(found.path.glob("codes-*")).read_bytes() for found in (one, other, third)]
    assert of[0] == of[1] != of[2]


# --------------------------------------------------------------------------------- kept and resumed


def test_only_what_is_new_or_has_changed_is_embedded(run, made, embedded, tmp_path):
    folder, files = tmp_path / "images", state(made)
    again = retrieve(run, folder, run_dir=made, verbose=0, **BITS)
    assert (again.embedded, again.kept, again.gone) == (0, 30, 0)
    assert embedded == [] and set(files) == set(os.listdir(made))
    assert {name: file for name, file in state(made).items() if name != "retrieval.html"} == {
        name: file for name, file in files.items() if name != "retrieval.html"
    }
    Image.fromarray(DIGITS[77]).save(folder / "005.png")
    os.utime(folder / "005.png", ns=(1, 1))
    Image.fromarray(DIGITS[78]).save(folder / "aaa.png")
    (folder / "007.png").unlink()
    (folder / "008.png").unlink()
    changed = retrieve(run, folder, run_dir=made, verbose=0, **BITS)
    assert (changed.embedded, changed.kept, changed.gone) == (2, 27, 3)
    assert embedded == [2]
    fresh = retrieve(run, folder, run_dir="fresh", verbose=0)
    here, there = vectors.opened(changed.path), vectors.opened(fresh.path)
    np.testing.assert_allclose(here.vectors, there.vectors, atol=1e-5)
    assert here.ids == there.ids == sorted(os.listdir(folder))
    encoders = [name for name in files if name.startswith("encoder")]
    assert set(encoders) <= set(os.listdir(changed.path))  # it still knows such images
    assert len(os.listdir(changed.path)) == len(files)  # of the index before nothing is left


@pytest.mark.slow
def test_an_autoencoder_learns_anew_when_there_are_twice_as_many_images(run, made, tmp_path):
    before = {each.name for each in made.glob("encoder-*")}
    write_images(tmp_path / "images", range(30, 65))
    retrieve(run, tmp_path / "images", run_dir=made, verbose=0, **BITS)
    after = {each.name for each in made.glob("encoder-*")}
    assert len(before) == len(after) == 1 and before != after


def test_another_network_keeps_nothing(run, made, embedded, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    network = keras.models.load_model(run.path / "model.keras", compile=False)
    network.set_weights([2 * weight for weight in network.get_weights()])
    network.save(tmp_path / "run" / "model.keras")
    found = retrieve(tmp_path / "run", tmp_path / "images", run_dir=made, verbose=0)
    assert (found.embedded, found.kept, found.gone) == (30, 0, 30)
    assert embedded == [30]


def test_a_killed_embedding_goes_on_where_it_was(run, folder, embedded, monkeypatch):
    monkeypatch.setattr(vectors, "BLOCK", 8)
    score, calls = retrieving.score, []

    def killed(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return score(*args)

    with monkeypatch.context() as patch:
        patch.setattr(retrieving, "score", killed)
        with pytest.raises(KeyboardInterrupt):
            retrieve(run, folder, verbose=0)
    assert embedded == [8, 8]
    found = retrieve(run, folder, verbose=0)
    assert embedded == [8, 8, 8, 6]
    whole = retrieve(run, folder, run_dir="whole", verbose=0)
    one, other = (np.array(vectors.opened(each.path).vectors) for each in (found, whole))
    np.testing.assert_array_equal(one, other)
    assert not list(found.path.glob("block-*"))


@pytest.mark.slow
def test_a_kill_between_any_two_writes_leaves_a_whole_index(run, made, monkeypatch, tmp_path):
    write_images(tmp_path / "images", range(30, 33))
    write = vectors.write_atomic
    for last in range(20):
        writes = []

        def cut(*args, writes=writes, last=last):
            if len(writes) == last:
                raise KeyboardInterrupt
            writes.append(1)
            write(*args)

        with monkeypatch.context() as patch:
            patch.setattr(vectors, "write_atomic", cut)
            patch.setattr(
                vectors, "write_json", lambda file, value, cut=cut: cut(file, json.dumps(value))
            )
            try:
                retrieve(run, tmp_path / "images", run_dir=made, verbose=0, **BITS)
                break
            except KeyboardInterrupt:
                assert len(vectors.opened(made)) == 30
    assert last == 4  # vectors, images, codes, index.json; the block stayed when it was written
    assert len(vectors.opened(made)) == 33


# ------------------------------------------------------------------------------------------- data


@pytest.mark.parametrize("kind", ["flat", "classes", "splits", "npz", "digits"])
def test_every_kind_of_data_is_a_library(kind, tmp_path, digits):
    data, labelled, tested = tmp_path / "data", True, 0
    if kind == "flat":
        write_images(data, range(5))
        labelled = False
    elif kind == "classes":
        write_images(data, range(25), classes=True)
    elif kind == "splits":
        write_images(data / "train", range(25), classes=True)
        write_images(data / "test", range(25, 32), classes=True)
        tested = 7
    else:
        data = digits if kind == "npz" else "digits"
        tested = open_source(data).count("test")
    library = open_library(data)
    assert len(library) == len(library.ids) == len(set(library.ids)) == len(library.marks)
    assert library.tested.sum() == tested
    assert bool(library.classes) == labelled
    row = len(library) - 1
    (image,) = library.at((8, 8, 1), "stretch", np.array([row])).batch([0])
    if kind in ("flat", "classes", "splits"):
        source = int(os.path.basename(library.ids[row])[:3])
        np.testing.assert_array_equal(image[..., 0], DIGITS[source])
        if labelled:
            assert library.classes[library.labels[row]] == str(CLASSES[source])


def test_an_image_of_an_array_that_changes_has_another_mark(tmp_path):
    arrays = {"x_train": DIGITS[:60].copy(), "y_train": CLASSES[:60]}
    np.savez(tmp_path / "a.npz", **arrays)
    before = open_library(tmp_path / "a.npz")
    arrays["x_train"][7, 0, 0] ^= 255
    np.savez(tmp_path / "a.npz", **arrays)
    after = open_library(tmp_path / "a.npz")
    changed = (before.marks != after.marks).any(axis=1)
    assert [before.ids[row] for row in np.flatnonzero(changed)] == ["train/7"]


@pytest.mark.slow
def test_cifar10_jpegs_in_colour_are_found_by_a_network_for_grey_images(
    run, shared_data, cifar10, tmp_path
):
    files, labels, names = cifar10.jpegs(shared_data / "cifar10_test.npz")
    for row in range(0, len(files), 250):
        path = tmp_path / "cifar" / names[labels[row]] / f"{row}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[row])
    copy = tmp_path / "query.jpg"
    copy.write_bytes(files[500])
    found = retrieve(run, tmp_path / "cifar", copy, top=3, verbose=0)
    (answer,) = found.answers
    assert answer.images[0] == f"{names[labels[500]]}/500.jpg" and answer.distances[0] < 1e-2
    assert answer.classes[0] == names[labels[500]]
    assert all(set(row) == {1, 5, 10} for row in found.precision.values())


# ---------------------------------------------------------------------------------------- the page


def test_names_are_text_and_the_page_asks_nobody(run, tmp_path):
    folder = write_images(tmp_path / "<b>", range(4))
    (folder / "003.png").rename(folder / HOSTILE)
    found = retrieve(run, folder, folder / HOSTILE, top=2, verbose=0)
    page = found.page.read_text()
    tags = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append((tag, dict(attrs)))

    Tags().feed(page)
    assert not [tag for tag, attrs in tags if tag == "script" or any("on" == a[:2] for a in attrs)]
    sources = [attrs["src"] for tag, attrs in tags if "src" in attrs]
    assert len(sources) == 3 and all(src.startswith("data:image/png;base64,") for src in sources)
    assert {attrs["alt"] for tag, attrs in tags if tag == "img"} >= {HOSTILE}
    assert "default-src 'none'" in page and not re.search(r"https?://", page)


def test_the_command_line_prints_and_writes_what_it_found(run, folder):
    line = ["retrieve", run.path, folder, "--query", folder / "003.png", folder / "004.png"]
    line += ["--top", "2", "--run-dir", "i"]
    result = CliRunner().invoke(app, [str(each) for each in line], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "30 images: 30 embedded, 0 kept, 0 gone"
    assert lines[-1] == "i/retrieval.html shows them"
    assert [line.split()[-1] for line in lines if "003.png" in line][0] == "0"
    assert "004.png" in result.stdout


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query": "none.png"}, "none.png"),
        ({"query": "text.png"}, "text.png (unknown format)"),
        ({"top": 31}, "`top` must be at most 30, the images there are. Received: top=31"),
        ({"top": 0}, "`top` must be an integer >= 1"),
        ({"bits": 12}, "`bits` must be 8, 16, 24, ... 1024. Received: bits=12"),
        ({"bits": 1032}, "Received: bits=1032"),
        ({"bits": 0}, "Received: bits=0"),
        ({"code": "hash"}, "`code` must be one of 'raw', 'compressed', 'binary'"),
        ({"data": "empty"}, "`data` must hold images"),
        ({"data": "nowhere"}, "Received: data='nowhere'"),
        ({"run": "empty"}, "`run` must be a run folder"),
        ({"run_dir": "images"}, "`run_dir` must be an index or new. Received: run_dir=images"),
    ],
)
def test_bad_input_leaves_nothing_behind(run, folder, tmp_path, options, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no image")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises((ValueError, OSError), match=re.escape(message)) as error:
        retrieve(**{"run": run, "data": folder, "verbose": 0} | options)
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_says_which_extra_is_missing(run, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ValueError, match=r"pip install 'keras-archs\[retrieve\]'"):
        retrieve(run, folder, verbose=0)


def _shorter(path):
    path.write_bytes(path.read_bytes()[:-1])


def _bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [_shorter, _bit, os.remove])
@pytest.mark.parametrize("kind", ["vectors", "images", "encoder", "codes"])
def test_damage_is_found_before_anything_reads_the_file(
    run, made, kind, damage, monkeypatch, tmp_path
):
    (file,) = made.glob(f"{kind}-*")
    damage(file)
    before = state(made)
    faiss = codes.load_faiss()
    for name in ("read_index", "read_index_binary"):
        monkeypatch.setattr(faiss, name, lambda *args: pytest.fail("it was read"))
    with pytest.raises(ValueError, match=f"An index must be whole.*{file.name}") as error:
        retrieve(run, tmp_path / "images", run_dir=made, verbose=0, **BITS)
    assert "\n" not in str(error.value)
    assert state(made) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.update(format=2),
        lambda told: told.update(images="30"),
        lambda told: told.update(images=29),
        lambda told: told.update(token="../../x"),
        lambda told: told.update(files={}),
        lambda told: told["files"].update({"../../run/model.keras": {"bytes": 1, "sha256": ""}}),
        lambda told: told["codes"]["binary"].update(bits=16),
        lambda told: told["codes"]["binary"].update(bits=None),
        lambda told: told["codes"].update(binary=[]),
        lambda told: told["codes"]["binary"].pop("file"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(run, made, tmp_path, change):
    file = made / "index.json"
    told = json.loads(file.read_text())
    change(told)
    file.write_text(json.dumps(told))
    with pytest.raises(ValueError) as error:
        retrieve(run, tmp_path / "images", code="binary", bits=16, run_dir=made, verbose=0)
    assert "\n" not in str(error.value) and "index" in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 1}'])
def test_a_description_that_is_none_is_refused(run, folder, tmp_path, text):
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "index.json").write_text(text)
    with pytest.raises(ValueError, match=r"index\.json"):
        retrieve(run, folder, run_dir="index", verbose=0)
