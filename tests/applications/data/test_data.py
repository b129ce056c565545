"""Data: what every kind of source gives, how splits are cut, and each error in one line."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace as Namespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from applications.data import cache
from applications.data import sources as data_module
from applications.data.images import RESIZES, read_images, resize_images
from applications.data.sources import open_source

SPLITS = ("train", "validation", "test")


# Helpers -----------------------------------------------------------------------------------------


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture
def error():
    """Calls a function that must fail and gives its message, which must be one line."""

    def message(function, *args, kind=ValueError, **kwargs):
        with pytest.raises(kind) as caught:
            function(*args, **kwargs)
        text = str(caught.value)
        assert "\n" not in text
        return text

    return message


@pytest.fixture(scope="session")
def cifar_folder(shared_data, cifar10, tmp_path_factory):
    """CIFAR-10's test images 0..99 of each class as train/, 100..119 as test/: 1,200 JPEG files."""
    files, labels, names = cifar10.jpegs(shared_data / "cifar10_test.npz")
    root = tmp_path_factory.mktemp("data") / "cifar-small"
    for label, name in enumerate(names):
        for split, start, stop in (("train", 0, 100), ("test", 100, 120)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for row in np.flatnonzero(labels == label)[start:stop]:
                (folder / f"{row:05d}.jpg").write_bytes(files[row])
    return root


def write(path, array=None, side=8, **save):
    """Write an image, noise unless given, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if array is None:
        seed = sum(map(ord, path.name))
        array = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(array).save(path, **save)
    return path


def write_classes(folder, count=5, classes=("cat", "dog")):
    for name in classes:
        for i in range(count):
            write(folder / name / f"{i}.png")
    return folder


def npz(path, **change):
    """An .npz of 20 + 6 images of 3 classes; `change` replaces arrays, None leaves one out."""
    random = np.random.default_rng(0)
    arrays = {
        "x_train": random.integers(0, 256, (20, 8, 8), np.uint8),
        "y_train": np.arange(20) % 3,
        "x_test": random.integers(0, 256, (6, 8, 8), np.uint8),
        "y_test": np.arange(6) % 3,
    } | change
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def pixels(subset):
    return subset.batch(np.arange(len(subset)))


# Digits ------------------------------------------------------------------------------------------


def test_digits_are_1797_grey_images_of_8x8():
    source = open_source("digits")
    assert (source.name, source.side, source.channels) == ("digits", 8, 1)
    assert source.labels == tuple("0123456789")
    assert source.mirror is False
    data = source.at(8)
    assert data.image_shape == (8, 8, 1)
    assert [len(getattr(data, split)) for split in SPLITS] == [1293, 145, 359]


def test_digits_use_the_whole_range_of_uint8():
    from sklearn.datasets import load_digits

    data = open_source("digits").at(8)
    images = pixels(data.train)
    assert images.dtype == np.uint8
    rows = data.split["train"]["rows"]
    expected = np.round(load_digits().images[rows] / 16 * 255)
    np.testing.assert_array_equal(images[..., 0], expected)
    np.testing.assert_array_equal(data.train.labels, load_digits().target[rows])


@pytest.mark.parametrize("size, shape", [(16, (16, 16, 1)), ((12, 20), (12, 20, 1))])
def test_images_come_at_the_size_asked_for(size, shape):
    data = open_source("digits").at(size)
    assert data.image_shape == shape
    assert data.test.batch([5, 3]).shape == (2, *shape)


def test_grey_images_are_repeated_to_three_channels():
    source = open_source("digits")
    grey, colour = source.at(16), source.at(16, channels=3)
    assert colour.image_shape == (16, 16, 3)
    np.testing.assert_array_equal(pixels(colour.test), np.repeat(pixels(grey.test), 3, axis=-1))


def test_rows_are_given_in_the_order_asked_for_and_may_be_none():
    test = open_source("digits").at(16).test
    every = pixels(test)
    np.testing.assert_array_equal(test.batch(np.array([7, 7, 2])), every[[7, 7, 2]])
    assert test.batch([]).shape == (0, 16, 16, 1)


def test_looking_at_data_does_not_import_keras():
    code = (
        "import sys; from applications.data import open_source; open_source('digits').at(16);"
        "assert not {'keras', 'tensorflow', 'jax'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Splits ------------------------------------------------------------------------------------------


def test_missing_splits_are_stratified_20_percent_then_10_percent_of_the_rest():
    data = open_source("digits").at(8)
    sizes = np.array([len(getattr(data, split)) for split in SPLITS])
    np.testing.assert_allclose(sizes / 1797, [0.72, 0.08, 0.2], atol=0.002)
    for split, share in zip(SPLITS, (0.72, 0.08, 0.2), strict=True):
        counts = np.bincount(getattr(data, split).labels)
        whole = np.bincount(np.concatenate([getattr(data, s).labels for s in SPLITS]))
        np.testing.assert_allclose(counts, whole * share, atol=1.5)


def test_the_seed_decides_the_cut():
    one, same, other = (open_source("digits", seed=s).at(8) for s in (1, 1, 2))
    assert one.split == same.split
    assert one.split["test"] != other.split["test"]


def test_the_cut_is_the_same_on_every_machine():
    rows = open_source("digits", seed=0).at(8).split["test"]["rows"]
    assert rows[:8] == [3, 7, 13, 19, 36, 38, 43, 48]


def test_the_record_of_the_splits_is_json_and_names_every_image():
    data = open_source("digits", seed=3).at(16, resize="crop")
    record = json.loads(json.dumps(data.split))
    assert record == data.split
    assert {key: record[key] for key in ("source", "seed", "size", "channels", "resize")} == {
        "source": "digits",
        "seed": 3,
        "size": [16, 16],
        "channels": 1,
        "resize": "crop",
    }
    assert record["cut"] == {"test": 0.2, "validation": 0.1}
    for split in SPLITS:
        subset = getattr(data, split)
        assert subset.ids == [f"images/{row}" for row in record[split]["rows"]]
        assert record[split]["count"] == len(subset)
    rows = [row for split in SPLITS for row in record[split]["rows"]]
    assert sorted(rows) == list(range(1797))


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.integers(3, 40), min_size=2, max_size=6),
    seed=st.integers(0, 2**32 - 1),
    random=st.randoms(use_true_random=False),
)
def test_a_cut_loses_and_repeats_nothing_and_leaves_no_split_without_a_class(counts, seed, random):
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    random.shuffle(labels)
    labels = np.array(labels)
    names = [str(label) for label in range(len(counts))]
    splits = data_module._cut(labels, names, data_module.FRACTIONS, seed)
    assert sorted(np.concatenate(list(splits.values())).tolist()) == list(range(len(labels)))
    for rows in splits.values():
        assert (np.diff(rows) > 0).all()
        assert set(labels[rows]) == set(range(len(counts)))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_an_error(seed, error):
    assert f"Received: seed={seed}" in error(open_source, "digits", seed=seed)


# Folders -----------------------------------------------------------------------------------------


def test_a_folder_of_jpegs(cifar_folder):
    source = open_source(cifar_folder)
    assert (source.name, source.side, source.channels) == ("cifar-small", 32, 3)
    assert source.labels[:3] == ("airplane", "automobile", "bird")
    data = source.at(32)
    assert [len(getattr(data, split)) for split in SPLITS] == [900, 100, 200]
    assert data.split["cut"] == {"validation": 0.1}
    assert data.split["test"] == {"of": "test", "count": 200, "rows": "all"}
    assert set(data.split["validation"]["rows"]).isdisjoint(data.split["train"]["rows"])


def test_ids_are_paths_relative_to_the_folder_and_agree_with_pixels_and_labels(cifar_folder):
    data = open_source(cifar_folder).at(32)
    for subset in (data.train, data.validation, data.test):
        for row in (0, len(subset) // 2, len(subset) - 1):
            path = cifar_folder / subset.ids[row]
            assert path.parent.name == data.labels[subset.labels[row]]
            np.testing.assert_array_equal(subset.batch([row])[0], np.asarray(Image.open(path)))


def test_streaming_gives_the_same_images_as_memory(cifar_folder):
    source = open_source(cifar_folder)
    kept, streamed = source.at(20), source.at(20, memory_limit=1000)
    for split in SPLITS:
        np.testing.assert_array_equal(
            pixels(getattr(kept, split)), pixels(getattr(streamed, split))
        )
    assert kept.split == streamed.split


def test_arrays_that_are_resized_stream_as_well():
    source = open_source("digits")
    kept, streamed = source.at(20, resize="pad"), source.at(20, resize="pad", memory_limit=0)
    np.testing.assert_array_equal(pixels(kept.test), pixels(streamed.test))


def test_data_over_the_memory_limit_are_decoded_when_asked_for(tmp_path, error):
    source = open_source(write_classes(tmp_path / "data"))
    total = 10 * 8 * 8 * 3
    kept, streamed = source.at(8, memory_limit=total), source.at(8, memory_limit=total - 1)
    for path in tmp_path.glob("data/*/*.png"):
        path.unlink()
    assert len(pixels(kept.train)) == 6
    error(streamed.train.batch, [0], kind=FileNotFoundError)


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "keras_archs"


def test_decoded_images_may_be_kept_in_files(tmp_path, keras_home):
    data = write_classes(tmp_path / "data")
    source = open_source(data)
    kept, filed = source.at(8, cache="memory"), source.at(8, cache="disk")
    assert len(list(keras_home.iterdir())) == 3 and not filed.train.undecoded
    for path in data.glob("*/*.png"):  # they are not read again, but their times are looked at
        times = path.stat().st_atime_ns, path.stat().st_mtime_ns
        path.write_bytes(bytes(path.stat().st_size))
        os.utime(path, ns=times)
    again = source.at(8, cache="disk")
    for split in SPLITS:
        for other in (filed, again):
            np.testing.assert_array_equal(
                pixels(getattr(kept, split)), pixels(getattr(other, split))
            )


def test_files_of_decoded_images_go_by_size_and_by_what_the_images_are(tmp_path, keras_home):
    data = write_classes(tmp_path / "data")
    open_source(data).at(8, cache="disk")
    open_source(data).at(9, cache="disk")
    assert len(list(keras_home.iterdir())) == 6
    path = data / open_source(data).at(8).train.ids[0]
    Image.new("RGB", (8, 8), (9, 9, 9)).save(path)
    changed = open_source(data).at(8, cache="disk")
    assert (changed.train.batch([0]) == 9).all()


def test_no_file_is_left_of_images_that_cannot_be_decoded_or_do_not_fit(
    tmp_path, keras_home, monkeypatch
):
    data = write_classes(tmp_path / "data")
    source = open_source(data)
    broken = data / source.at(8, cache="none").train.ids[0]
    with monkeypatch.context() as patch:
        patch.setattr(cache.shutil, "disk_usage", lambda folder: Namespace(free=100))
        with pytest.raises(ValueError, match="`cache` must be 'memory' or 'none'"):
            source.at(8, cache="disk")
    broken.write_bytes(broken.read_bytes()[:-40])
    with pytest.raises(ValueError, match=broken.name):
        source.at(8, cache="disk")
    assert not any(
        len(np.load(path)) == 6 for path in keras_home.iterdir()
    )  # that of the training images


def emptied(path):
    path.write_bytes(b"")


def cut_short(path):
    path.write_bytes(path.read_bytes()[:300])


def of_other_images(path):
    np.save(path, np.load(path)[:1])


def of_another_type(path):
    np.save(path, np.load(path).astype(np.float32))


def of_objects(path):
    np.save(path, np.array([{}], object), allow_pickle=True)


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def a_circle(path):
    path.unlink()
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    "damage",
    [emptied, cut_short, of_other_images, of_another_type, of_objects, a_pipe, a_circle],
)
def test_a_damaged_file_of_decoded_images_is_written_anew(tmp_path, keras_home, damage):
    source = open_source(write_classes(tmp_path / "data"))
    source.at(8, cache="disk")
    for path in keras_home.iterdir():
        damage(path)
    filed, kept = source.at(8, cache="disk"), source.at(8, cache="memory")
    for split in SPLITS:
        np.testing.assert_array_equal(pixels(getattr(filed, split)), pixels(getattr(kept, split)))
    assert len(list(keras_home.iterdir())) == 3


@pytest.mark.parametrize("home", ["file", "/dev/null", "a" * 300])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, error, monkeypatch, home):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / home))
    source = open_source(write_classes(tmp_path / "data"))
    message = error(source.at, 8, cache="disk")
    assert message.startswith("`cache` must be 'memory' or 'none' where its folder cannot be")
    assert home in message


def test_arrays_are_kept_in_memory_where_the_disk_is_asked_for(keras_home):
    source = open_source("digits")
    np.testing.assert_array_equal(
        pixels(source.at(20, cache="disk").test), pixels(source.at(20, cache="memory").test)
    )
    assert not keras_home.exists()


def test_only_the_splits_to_keep_are_decoded_at_once(tmp_path):
    data = write_classes(tmp_path / "data")
    source = open_source(data)
    broken = source.at(8).train.ids[0]
    (data / broken).write_bytes((data / broken).read_bytes()[:-40])
    tested = source.at(8, keep=["test"])
    assert pixels(tested.test).shape == (2, 8, 8, 3)
    with pytest.raises(ValueError, match=broken):
        tested.train.batch([0])


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_a_folder_may_bring_its_own_splits(tmp_path, validation):
    for split, count in (("train", 4), (validation, 2), ("test", 1)):
        write_classes(tmp_path / split, count)
    data = open_source(tmp_path).at(8)
    assert [len(getattr(data, split)) for split in SPLITS] == [8, 4, 2]
    assert data.split["cut"] == {}
    assert data.validation.ids[0] == f"{validation}/cat/0.png"


def test_test_is_cut_when_there_is_only_validation(tmp_path):
    write_classes(tmp_path / "train", 10)
    write_classes(tmp_path / "val", 3)
    data = open_source(tmp_path).at(8)
    assert [len(getattr(data, split)) for split in SPLITS] == [16, 6, 4]
    assert data.split["cut"] == {"test": 0.2}


def test_a_plain_folder_of_classes_is_cut_into_all_splits(tmp_path):
    data = open_source(write_classes(tmp_path / "pets", 10)).at(8)
    assert [len(getattr(data, split)) for split in SPLITS] == [14, 2, 4]
    assert data.train.ids[0].startswith("cat/")
    assert data.split["cut"] == {"test": 0.2, "validation": 0.1}


def test_a_test_split_may_lack_a_class(tmp_path):
    write_classes(tmp_path / "train", classes=("ant", "cat", "dog"))
    write_classes(tmp_path / "test", classes=("dog",))
    data = open_source(tmp_path).at(8)
    assert data.labels == ("ant", "cat", "dog")
    assert set(data.test.labels) == {2}


def test_what_is_not_read_is_named_with_the_reason_but_for_what_is_hidden(tmp_path):
    data = write_classes(tmp_path / "data")
    for name in ("cat/Thumbs.db", "cat/notes", "cat/.hidden.png", "cat/._0.png", "top.png"):
        (data / name).write_bytes(b"not an image")
    for name in (".git", "cat/nested.png"):
        (data / name).mkdir()
    for name in ("__MACOSX", "@eaDir", "cat/@eaDir", "$RECYCLE.BIN", "lost+found"):
        write_classes(data / name, classes=("0.png",))
    (data / "System Volume Information").mkdir()
    (data / "dog" / "gone.jpg").symlink_to(data / "nowhere")
    os.mkfifo(data / "dog" / "pipe.jpg")
    source = open_source(data)
    assert source.labels == ("cat", "dog")
    record = source.at(8)
    assert len(record.train) == 6
    assert list(source.not_read) == record.split["not_read"]
    assert record.split["not_read"] == [
        "cat/Thumbs.db: no image (.db)",
        "cat/nested.png: a folder",
        "cat/notes: no image (no suffix)",
        "dog/gone.jpg: a link to nothing",
        "dog/pipe.jpg: no regular file",
        "top.png: beside the classes",
    ]


ODD = {  # what is put beside a class's images, and what not_read says of it
    "cat/desktop.ini": (Path.touch, "no image (.ini)"),
    "cat/0.png.bak": (Path.touch, "no image (.bak)"),
    "cat/0.png~": (Path.touch, "no image (.png~)"),
    "cat/9.png ": (Path.touch, "no image (.png )"),
    "cat/a.svg": (Path.touch, "no image (.svg)"),
    "cat/a.heic": (Path.touch, "no image (.heic)"),
    "cat/a.avif": (Path.touch, "no image (.avif)"),
    "cat/empty": (Path.touch, "no image (no suffix)"),
    "cat/a\nb.txt": (Path.touch, "no image (.txt)"),
    "cat/pipe": (os.mkfifo, "no regular file"),
    "cat/zero.png": (lambda path: path.symlink_to("/dev/zero"), "no regular file"),
    "cat/null": (lambda path: path.symlink_to("/dev/null"), "no regular file"),
    "cat/circle.png": (lambda path: path.symlink_to(path.name), "a link in a circle"),
    "cat/up.png": (lambda path: path.symlink_to(".."), "a folder"),
    "fox": (lambda path: path.symlink_to("nowhere"), "a link to nothing"),
    "foxes": (lambda path: path.symlink_to(path.name), "a link in a circle"),
    "desktop.ini": (Path.touch, "beside the classes"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_entry_is_named_with_the_reason(tmp_path, name):
    make, reason = ODD[name]
    make(write_classes(tmp_path) / name)
    source = open_source(tmp_path)
    assert source.not_read == (f"{name}: {reason}",)
    assert source.labels == ("cat", "dog") and source.count("train") == 6


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("0.png", Path.touch, "beside the splits"),
        ("test", Path.touch, "beside the splits"),
        ("test.zip", Path.touch, "beside the splits"),
        ("test", lambda path: path.symlink_to("nowhere"), "a link to nothing"),
        ("val", lambda path: path.symlink_to("val"), "a link in a circle"),
    ],
)
def test_what_stands_beside_the_splits_is_named_too(tmp_path, name, make, reason):
    write_classes(tmp_path / "train")
    make(tmp_path / name)
    assert open_source(tmp_path).not_read == (f"{name}: {reason}",)


@pytest.mark.parametrize(
    ("first", "second"), [("train", "test"), ("train", "val"), ("train/cat", "train/cats")]
)
def test_splits_and_classes_that_are_one_folder_are_an_error(tmp_path, error, first, second):
    write_classes(tmp_path / "train")
    (tmp_path / second).symlink_to(tmp_path / first)
    names = sorted(name.rpartition("/")[2] for name in (first, second))
    assert f"Received: {names[0]}/ and {names[1]}/, which are one" in error(open_source, tmp_path)


def test_classes_that_read_the_same_are_an_error_that_shows_the_difference(tmp_path, error):
    write_classes(tmp_path / "train", classes=("caf\u00e9", "dog"))
    write_classes(tmp_path / "test", classes=("cafe\u0301",))
    message = error(open_source, tmp_path)
    assert r"Received: 'cafe\u0301' (there 'caf\xe9')" in message
    os.rename(tmp_path / "test" / "cafe\u0301", tmp_path / "train" / "cafe\u0301")
    os.rmdir(tmp_path / "test")
    assert r"Received: 'cafe\u0301' and 'caf\xe9' in" in error(open_source, tmp_path)


@pytest.mark.parametrize("name", [b"cat/\xff.txt", b"cat/\xff.png", b"\xff.txt", b"\xff"])
def test_every_name_that_is_not_utf8_is_shown_in_bytes(tmp_path, error, name):
    path = os.fsencode(write_classes(tmp_path)) + b"/" + name
    os.mkdir(path) if name == b"\xff" else open(path, "wb").close()
    assert rf"Received: b'{name.decode('latin1').rpartition('/')[2]}' in".replace(
        "\xff", r"\xff"
    ) in error(open_source, tmp_path)


def test_a_name_in_several_lines_is_shown_in_one(tmp_path, error):
    (write_classes(tmp_path) / "cat" / "a\n\x1b[31mb.png").touch()
    assert r"cat/a\n\x1b[31mb.png (unknown format)" in error(open_source, tmp_path)


@pytest.mark.parametrize("name", ["a.png", "a"])
def test_postscript_is_not_run(tmp_path, error, name):
    path = write_classes(tmp_path) / "cat" / name
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    assert f"{path} (a program that draws, which is not run)" in error(open_source, tmp_path)


def test_a_file_that_may_not_be_read_is_not_taken_for_no_image(tmp_path, error, monkeypatch):
    path = write_classes(tmp_path) / "cat" / "secret"
    path.touch()
    opened = Image.open

    def forbidden(file):
        if str(file) == str(path):
            raise PermissionError(13, "Permission denied", str(file))
        return opened(file)

    monkeypatch.setattr(Image, "open", forbidden)
    assert f"{path} ([Errno 13] Permission denied" in error(open_source, tmp_path)


def test_images_without_a_suffix_are_read(tmp_path):
    data = write_classes(tmp_path)
    for file in data.glob("cat/*.png"):
        file.rename(file.with_suffix(""))
    source = open_source(data)
    assert source.not_read == ()
    data = source.at(8)
    assert "cat/0" in {path for split in SPLITS for path in getattr(data, split).ids}


@pytest.mark.parametrize(
    "names",
    [("train", "valid", "test"), ("train", "dev", "testing"), ("Train", "Val", "TEST")],
)
def test_splits_have_several_names_in_any_case(tmp_path, names):
    for name, count in zip(names, (4, 2, 1), strict=True):
        write_classes(tmp_path / name, count)
    data = open_source(tmp_path).at(8)
    assert [len(getattr(data, split)) for split in SPLITS] == [8, 4, 2]
    assert data.split["cut"] == {}
    assert data.test.ids[0] == f"{names[2]}/cat/0.png"


@pytest.mark.parametrize("other", ["extra", "holdout", "unlabelled"])
def test_another_folder_beside_the_splits_is_an_error_that_names_it(tmp_path, error, other):
    write_classes(tmp_path / "train")
    write_classes(tmp_path / other)
    assert f"Received: {other}/ beside train/ in {tmp_path}" in error(open_source, tmp_path)


@pytest.mark.parametrize("name", ["train", "Test", "dev"])
def test_a_class_called_as_a_split_is_an_error_that_says_what_to_do(tmp_path, error, name):
    write_classes(tmp_path, classes=("boat", name))
    message = error(open_source, tmp_path)
    assert f"a class called {name!r} goes into train/{name}/" in message
    write_classes(tmp_path / "all" / "train", classes=("boat", name))
    assert set(open_source(tmp_path / "all").labels) == {"boat", name}


def test_a_name_that_is_not_utf8_is_an_error_that_shows_its_bytes(tmp_path, error):
    write_classes(tmp_path)
    os.rename(tmp_path / "dog", os.fsencode(tmp_path) + b"/d\xf6g")
    assert rf"Received: b'd\xf6g' in {tmp_path}" in error(open_source, tmp_path)


def test_of_several_files_that_are_no_images_ten_are_named_and_all_are_counted(tmp_path, error):
    write_classes(tmp_path, count=3)
    for number in range(12):
        (tmp_path / "cat" / f"bad{number:02d}.jpg").write_bytes(b"no JPEG")
    message = error(open_source, tmp_path)
    assert "Received: 12 that are not" in message
    assert message.count("unknown format") == 10
    assert "bad00.jpg" in message and "bad09.jpg" in message and "bad10.jpg" not in message


def test_files_that_are_not_kept_in_memory_can_be_checked_whole(tmp_path, error):
    for number in range(2):
        bad = write(write_classes(tmp_path) / "dog" / f"bad{number}.png", side=64)
        bad.write_bytes(bad.read_bytes()[:-100])
    data = open_source(tmp_path).at(8, memory_limit=0)
    message = error(data.check)
    assert "Received: 2 that are not" in message and "bad0.png" in message


@pytest.mark.parametrize("kind", "jpg jpeg jfif JPG png bmp gif webp tif tiff ppm pgm".split())
def test_file_types(tmp_path, kind):
    grey = np.tile(np.arange(0, 256, 16, dtype=np.uint8), (16, 1))
    for i in range(3):
        write(tmp_path / "a" / f"{i}.{kind}", grey)
        write(tmp_path / "b" / f"{i}.png", grey)
    images = pixels(open_source(tmp_path).at(16, channels=1).train)
    np.testing.assert_allclose(images[0, ..., 0], grey, atol=8)


def test_names_of_runs_can_be_made_of_any_folder(tmp_path):
    folder = write_classes(tmp_path / "my pets & Co")
    assert open_source(folder).name == "my-pets-Co"
    assert open_source(str(folder / "cat" / "..") + "/").name == "my-pets-Co"


def test_the_side_is_the_median(tmp_path):
    for i, side in enumerate((10, 20, 20, 20, 50)):
        write(tmp_path / "a" / f"{i}.png", side=side)
        write(tmp_path / "b" / f"{i}.png", side=side)
    assert open_source(tmp_path).side == 20


def test_channels_are_one_only_if_all_images_are_grey(tmp_path, random):
    grey = random.integers(0, 256, (8, 8), np.uint8)
    for name in ("a", "b"):
        for i in range(3):
            write(tmp_path / name / f"{i}.png", grey)
    assert open_source(tmp_path).channels == 1
    write(tmp_path / "b" / "3.png")
    assert open_source(tmp_path).channels == 3


# Folders: errors ---------------------------------------------------------------------------------


def test_an_empty_folder_is_an_error(tmp_path, error):
    message = error(open_source, tmp_path)
    assert "two or more classes" in message
    assert f"Received: 0 in {tmp_path}" in message


def test_one_class_is_an_error(tmp_path, error):
    write_classes(tmp_path / "train", classes=("cat",))
    message = error(open_source, tmp_path)
    assert f"Received: 1 in {tmp_path / 'train'}" in message


def test_a_class_without_images_is_an_error_that_names_its_folder(tmp_path, error):
    write_classes(tmp_path / "train")
    (tmp_path / "train" / "fox").mkdir()
    assert f"Received: none in {tmp_path / 'train' / 'fox'}" in error(open_source, tmp_path)


def test_a_class_that_is_only_in_test_is_an_error_that_names_it(tmp_path, error):
    write_classes(tmp_path / "train")
    write_classes(tmp_path / "test", classes=("cat", "fox"))
    message = error(open_source, tmp_path)
    assert message.startswith("Each class in test/ must be in train/ as well. Received: 'fox'")


def test_a_split_without_class_folders_is_an_error(tmp_path, error):
    write_classes(tmp_path / "train")
    (tmp_path / "test").mkdir()
    assert error(open_source, tmp_path).startswith("test/ must hold a folder for each class")


def test_test_without_train_is_an_error(tmp_path, error):
    write_classes(tmp_path / "test")
    assert "must hold a folder train/ beside test/" in error(open_source, tmp_path)


def test_both_names_of_validation_are_an_error(tmp_path, error):
    for split in ("train", "val", "validation"):
        write_classes(tmp_path / split)
    assert "either val/ or validation/, not both" in error(open_source, tmp_path)


@pytest.mark.parametrize("with_test, least", [(False, 3), (True, 2)])
def test_too_few_images_of_a_class_to_cut_are_an_error_that_names_it(
    tmp_path, error, with_test, least
):
    write_classes(tmp_path / "train")
    write_classes(tmp_path / "train", least - 1, classes=("fox",))
    if with_test:
        write_classes(tmp_path / "test")
    message = error(open_source, tmp_path)
    assert f"must have {least} or more images" in message
    assert f"Received: {least - 1} of class 'fox'" in message


def test_a_file_that_is_no_image_is_an_error_that_names_it(tmp_path, error):
    bad = write_classes(tmp_path) / "dog" / "bad.jpg"
    bad.write_bytes(b"certainly not a JPEG file")
    assert f"Received: {bad} (unknown format)" in error(open_source, tmp_path)


def test_an_empty_file_is_an_error_that_names_it(tmp_path, error):
    bad = write_classes(tmp_path) / "dog" / "bad.png"
    bad.touch()
    assert str(bad) in error(open_source, tmp_path)


@pytest.mark.parametrize("kind", ["jpg", "png", "gif", "webp", "tif", "bmp", "ppm"])
def test_a_truncated_image_is_an_error_that_names_it(tmp_path, error, kind):
    bad = write(write_classes(tmp_path) / "dog" / f"bad.{kind}", side=64)
    content = bad.read_bytes()
    bad.write_bytes(content[: len(content) * 2 // 3])
    message = error(lambda: open_source(tmp_path).at(8))
    assert str(bad) in message


def test_an_image_of_too_many_pixels_is_an_error_that_names_it(tmp_path, error, monkeypatch):
    bad = write(write_classes(tmp_path) / "dog" / "bad.png", side=64)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    message = error(open_source, tmp_path)
    assert str(bad) in message
    assert "decompression bomb" in message


# From file to pixels -----------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    """All eight files show the same: a dark image that is white at the upper left."""
    upright = np.zeros((32, 16), np.uint8)
    upright[:8, :8] = 255
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = write(tmp_path / "photo.jpg", np.ascontiguousarray(stored), exif=exif, quality=95)
    image = read_images([path], (32, 16, 1))[0, ..., 0]
    np.testing.assert_allclose(image, upright, atol=16)


def test_stretch_ignores_proportions(tmp_path):
    array = np.zeros((20, 40), np.uint8)
    array[:, 20:] = 200
    image = read_images([write(tmp_path / "a.png", array)], (10, 10, 1), "stretch")[0, ..., 0]
    assert (image[:, :4] == 0).all() and (image[:, 6:] == 200).all()


def test_crop_keeps_the_centre(tmp_path):
    array = np.full((20, 40), 50, np.uint8)
    array[:, 10:30] = 200
    image = read_images([write(tmp_path / "a.png", array)], (10, 10, 1), "crop")
    assert (image[0, :, 1:-1] == 200).all()
    assert image.min() > 150  # at its borders the filter sees what is cropped


def test_pad_puts_the_image_in_the_middle_of_zeros(tmp_path):
    path = write(tmp_path / "a.png", np.full((20, 40), 200, np.uint8))
    image = read_images([path], (12, 12, 1), "pad")[0, ..., 0]
    assert (image[3:9] == 200).all()
    assert (image[:3] == 0).all() and (image[9:] == 0).all()


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3])),
    resize=st.sampled_from(RESIZES),
)
def test_every_proportion_gives_the_shape_asked_for_and_loses_no_brightness(
    height, width, shape, resize
):
    image = resize_images(np.full((1, height, width), 200, np.uint8), shape, resize)
    assert image.shape == (1, *shape)
    assert image.max() == 200
    if resize != "pad":
        assert image.min() == 200


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_black(tmp_path, mode):
    array = np.full((8, 8, len(mode)), 200, np.uint8)
    array[:4, :, -1], array[4:, :, -1] = 0, 255
    path = write(tmp_path / "a.png", array)
    image = read_images([path], (8, 8, 3))[0]
    assert (image[:4] == 0).all() and (image[4:] == 200).all()


def test_palettes_are_looked_up_and_their_transparent_colour_is_black(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([255, 0, 0, 0, 200, 100])
    image.paste(0, (0, 0, 8, 4))
    plain, transparent = tmp_path / "plain.png", tmp_path / "transparent.png"
    image.save(plain)
    image.save(transparent, transparency=0)
    first, second = read_images([plain, transparent], (8, 8, 3))
    assert (first[:4] == [255, 0, 0]).all() and (second[:4] == 0).all()
    assert (first[4:] == [0, 200, 100]).all() and (second[4:] == [0, 200, 100]).all()


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, kind):
    deep = np.array([[0, 128, 129, 32896, 65535]], np.uint16)
    path = write(tmp_path / f"a.{kind}", deep)
    np.testing.assert_array_equal(read_images([path], (1, 5, 1)).ravel(), [0, 0, 1, 128, 255])


def test_16_bit_pgm_is_scaled_not_clipped(tmp_path):
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 3 1 65535\n" + np.array([0, 32896, 65535], ">u2").tobytes())
    np.testing.assert_array_equal(read_images([path], (1, 3, 1)).ravel(), [0, 128, 255])


def test_floating_point_images_are_an_error(tmp_path, error):
    path = write(tmp_path / "a.tif", np.zeros((8, 8), np.float32))
    assert f"{path} (its pixels are floating point" in error(read_images, [path], (8, 8, 1))


def test_cmyk_becomes_rgb(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path)
    np.testing.assert_allclose(read_images([path], (8, 8, 3))[0, 0, 0], [254, 0, 0], atol=3)


def test_colour_becomes_grey_by_luma(tmp_path, random):
    colour = random.integers(0, 256, (8, 8, 3), np.uint8)
    image = read_images([write(tmp_path / "a.png", colour)], (8, 8, 1))[0, ..., 0]
    np.testing.assert_allclose(image, colour @ [0.299, 0.587, 0.114], atol=1)


def test_read_images_names_a_missing_file(tmp_path, error):
    path = tmp_path / "missing.jpg"
    assert str(path) in error(read_images, [path], (8, 8, 3), kind=FileNotFoundError)


def test_images_in_memory_are_resized_as_files_are(tmp_path, random):
    images = random.integers(0, 256, (3, 20, 30, 3), np.uint8)
    paths = [write(tmp_path / f"{i}.png", image) for i, image in enumerate(images)]
    for resize in RESIZES:
        np.testing.assert_array_equal(
            resize_images(images, (16, 16, 1), resize), read_images(paths, (16, 16, 1), resize)
        )


# npz ---------------------------------------------------------------------------------------------


def test_an_npz_file(tmp_path):
    source = open_source(npz(tmp_path / "shapes.v2.npz"))
    assert (source.name, source.side, source.channels) == ("shapes.v2", 8, 1)
    assert source.labels == ("0", "1", "2")
    data = source.at(8)
    assert [len(getattr(data, split)) for split in SPLITS] == [17, 3, 6]
    assert data.test.ids[:2] == ["test/0", "test/1"]
    assert data.split["test"]["rows"] == "all"
    stored = np.load(tmp_path / "shapes.v2.npz")
    rows = data.split["validation"]["rows"]
    np.testing.assert_array_equal(pixels(data.validation)[..., 0], stored["x_train"][rows])
    np.testing.assert_array_equal(data.validation.labels, stored["y_train"][rows])


def test_mnist_as_an_npz_file(shared_data):
    data = open_source(shared_data / "mnist.npz").at(28)
    assert data.name == "mnist"
    assert data.image_shape == (28, 28, 1)
    assert [len(getattr(data, split)) for split in SPLITS] == [54_000, 6_000, 10_000]


def test_npz_images_may_have_channels_other_integers_and_a_validation_split(tmp_path):
    path = npz(
        tmp_path / "a.npz",
        x_train=np.full((20, 8, 6, 3), 255, np.int64),
        y_train=(np.arange(20) % 3)[:, None].astype(np.uint8),
        x_test=np.zeros((6, 8, 6, 3), np.uint16),
        x_val=np.ones((3, 8, 6, 3), np.int8),
        y_val=np.arange(3),
    )
    data = open_source(path).at((8, 6))
    assert data.image_shape == (8, 6, 3)
    assert [len(getattr(data, split)) for split in SPLITS] == [20, 3, 6]
    assert pixels(data.train).dtype == np.uint8
    assert pixels(data.train).min() == 255
    assert data.train.labels.dtype == np.int64 and data.train.labels.shape == (20,)
    assert data.split["cut"] == {}


def test_npz_labels_with_gaps_become_class_names(tmp_path):
    path = npz(tmp_path / "a.npz", y_train=np.arange(20) % 2 * 7 + 1, y_test=np.full(6, 8))
    data = open_source(path).at(8)
    assert data.labels == ("1", "8")
    assert set(data.test.labels) == {1}


@pytest.mark.parametrize(
    "change, wanted",
    [
        (dict(x_test=None), "with x_train, y_test, y_train; missing: x_test"),
        (dict(x_test=None, y_test=None, x_tset=np.zeros((3, 8, 8), np.uint8)), "missing: x_test"),
        (dict(x_val=np.zeros((3, 8, 8), np.uint8)), "missing: y_val"),
        (dict(y_train=np.arange(19) % 3), "`x_train` and `y_train` must be of one length. "
                                          "Received: 20 and 19"),
        (dict(x_train=np.zeros((20, 8, 8))), "`x_train` must hold pixels 0..255, stored as uint8. "
                                             "Received: dtype=float64"),
        (dict(x_test=np.full((6, 8, 8), np.nan, np.float32)), "Received: dtype=float32"),
        (dict(y_train=np.full(20, np.nan)), "`y_train` must hold integer labels"),
        (dict(x_train=np.zeros((20, 8, 8), object)), "`x_train` must not hold pickled objects"),
        (dict(y_test=np.array(list("abcabc"), object)), "`y_test` must not hold pickled objects"),
        (dict(y_test=np.array(list("abcabc"))), "`y_test` must hold integer labels"),
        (dict(x_train=np.full((20, 8, 8), 256)), "within 0..255. Received: 256..256 as int64"),
        (dict(x_train=np.full((20, 8, 8), -1)), "within 0..255. Received: -1..-1 as int64"),
        (dict(x_train=np.zeros((20, 64), np.uint8)), "Received: shape=(20, 64)"),
        (dict(x_train=np.zeros((20, 3, 8, 8), np.uint8)), "Received: shape=(20, 3, 8, 8)"),
        (dict(x_train=np.zeros((20, 0, 8), np.uint8)), "Received: shape=(20, 0, 8)"),
        (dict(x_test=np.zeros((0, 8, 8), np.uint8)), "must hold one image or more"),
        (dict(x_test=np.zeros((6, 9, 8), np.uint8)), "must have one shape"),
        (dict(y_train=np.eye(20, dtype=int)), "`y_train` must be labels of shape (N,) or (N, 1)"),
        (dict(y_train=np.arange(20) % 3 - 1), "`y_train` must hold labels of 0 or more"),
        (dict(y_train=np.zeros(20, int)), "two or more classes. Received: 1"),
        (dict(y_test=np.arange(6)), "`y_test` must hold classes that `y_train` has. "
                                    "Received: [3, 4, 5]"),
        (dict(y_train=np.arange(20)), "must have 2 or more images"),
    ],
)  # fmt: skip
def test_an_npz_that_cannot_be_used_is_an_error_that_says_why(tmp_path, error, change, wanted):
    assert wanted in error(open_source, npz(tmp_path / "a.npz", **change))


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.98])
def test_a_truncated_npz_is_an_error_that_names_it(tmp_path, error, keep):
    path = npz(tmp_path / "a.npz")
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    message = error(open_source, path)
    assert message.startswith("`data` must be an .npz file that numpy reads")
    assert str(path) in message


def test_a_damaged_npz_is_an_error_that_names_it(tmp_path, error):
    path = npz(tmp_path / "a.npz")
    content = bytearray(path.read_bytes())
    content[700] ^= 255  # a pixel of x_train: the checksum does not fit any more
    path.write_bytes(content)
    assert str(path) in error(open_source, path)


def test_what_libtiff_finds_damaged_is_not_written_to_stderr(tmp_path, error, capfd):
    path = write(tmp_path / "a.tif", compression="tiff_deflate")
    content = bytearray(path.read_bytes())
    content[50] ^= 255  # of the pixels: their checksum does not fit any more
    path.write_bytes(content)
    assert str(path) in error(read_images, [path], (8, 8, 3))
    assert capfd.readouterr().err == ""


def test_a_pickle_called_npz_is_not_loaded(tmp_path, error):
    import pickle

    path = tmp_path / "a.npz"
    path.write_bytes(pickle.dumps({"x_train": 1}))
    assert str(path) in error(open_source, path)


def test_an_npz_that_claims_more_than_it_holds_is_not_allocated(tmp_path, error):
    path = npz(tmp_path / "a.npz")
    content = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (100_000_000, 32, 32)}
    np.lib.format.write_array_header_1_0(content, header)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "b.npz", "w") as new:
        for name in old.namelist():
            new.writestr(name, content.getvalue() if name == "x_train.npy" else old.read(name))
    message = error(open_source, tmp_path / "b.npz")
    assert message.startswith("`x_train` must be stored in full")


# Keras' data sets and names ----------------------------------------------------------------------


def test_keras_data_sets_keep_their_test_split(shared_data, monkeypatch):
    import keras

    with np.load(shared_data / "mnist.npz") as file:
        train, test = [(file[f"x_{s}"], file[f"y_{s}"]) for s in ("train", "test")]
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: (train, test))
    source = open_source("mnist")
    assert (source.name, source.side, source.channels, source.mirror) == ("mnist", 28, 1, False)
    data = source.at(28)
    assert [len(getattr(data, split)) for split in SPLITS] == [54_000, 6_000, 10_000]
    np.testing.assert_array_equal(pixels(data.test)[..., 0], test[0])
    np.testing.assert_array_equal(data.test.labels, test[1])


def test_keras_labels_of_shape_n_1_are_flattened(random, monkeypatch):
    import keras

    x, y = random.integers(0, 256, (100, 32, 32, 3), np.uint8), (np.arange(100) % 10)[:, None]
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: ((x, y), (x, y)))
    data = open_source("cifar10").at(32)
    assert data.mirror is True
    assert data.labels[3] == "cat"
    np.testing.assert_array_equal(data.test.labels, y[:, 0])


def test_a_data_set_that_cannot_be_downloaded_is_an_error_that_names_it(monkeypatch, error):
    import keras

    def offline():
        raise Exception("URL fetch failure on https://...: None -- [Errno -2]\nName not known")

    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", offline)
    message = error(open_source, "fashion_mnist", kind=OSError)
    assert "Received: data='fashion_mnist' (URL fetch failure" in message


def test_class_names_of_keras_data_sets():
    counts = {name: len(set(labels)) for name, (labels, _) in data_module.KERAS_DATASETS.items()}
    assert counts == {"mnist": 10, "fashion_mnist": 10, "cifar10": 10, "cifar100": 100}
    cifar100 = data_module.KERAS_DATASETS["cifar100"][0]
    assert list(cifar100) == sorted(cifar100)


def test_an_unknown_name_is_an_error_with_the_nearest_one(error):
    message = error(open_source, "digts")
    assert "digits, mnist, fashion_mnist, cifar10, cifar100" in message
    assert message.endswith("Received: data='digts'. Did you mean 'digits'?")


def test_a_missing_folder_and_other_files_are_errors(tmp_path, error):
    assert "missing" in error(open_source, tmp_path / "missing")
    (tmp_path / "data.csv").touch()
    assert "data.csv" in error(open_source, str(tmp_path / "data.csv"))


@pytest.mark.parametrize(
    "options, wanted",
    [
        (dict(size=0), "Received: (0, 0, 1)"),
        (dict(size=16.5), "Received: (16.5, 16.5, 1)"),
        (dict(size=16, channels=2), "Received: channels=2"),
        (dict(size=16, resize="strech"), "Received: resize='strech'. Did you mean 'stretch'?"),
    ],
)
def test_options_out_of_range_are_errors(error, options, wanted):
    source = open_source("digits")
    assert wanted in error(source.at, **options)


def test_images_in_memory_that_are_not_pixels_are_an_error(error):
    assert "uint8" not in error(resize_images, np.zeros((2, 8, 8)), (8, 8, 1))
    assert "Received: shape=(8, 8)" in error(resize_images, np.zeros((8, 8), np.uint8), (8, 8, 1))
