"""Arrays that Python gives to `train` are data like any other, for every later command too."""

import numpy as np
import pytest

from applications import evaluate, train
from applications.data import kept_arrays, open_source
from applications.options import Options


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pair(images, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (images, 8, 8), np.uint8), np.arange(images) % 3


def test_a_pair_is_training_images_of_which_the_splits_are_cut():
    source = open_source(kept_arrays(pair(60)))
    assert [source.count(split) for split in ("train", "validation", "test")] == [42, 6, 12]


def test_a_dict_has_splits_by_any_of_their_names():
    data = {"Train": pair(30), "dev": pair(6, 1), "testing": pair(9, 2)}
    source = open_source(kept_arrays(data))
    assert [source.count(split) for split in ("train", "validation", "test")] == [30, 6, 9]


def test_the_same_arrays_are_one_file_and_others_another(here):
    assert kept_arrays(pair(30)) == kept_arrays(pair(30)) != kept_arrays(pair(30, seed=1))
    assert len(list((here / "runs").iterdir())) == 2


def test_a_run_of_arrays_is_evaluated_and_resumed_like_any_other():
    given = {"data": pair(60), "size": 16, "epochs": 1, "batch_size": 16, "verbose": 0}
    run = train("lenet5", run_dir="run", **given)
    assert run.config["data"].startswith("runs/data-")
    assert evaluate(run)["test_accuracy"] == run.metrics["test_accuracy"]
    assert train("lenet5", run_dir="run", resume=True, **given).metrics == run.metrics


class Batches:
    def __iter__(self):
        yield pair(4)


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (Batches(), TypeError, "np.concatenate.* Received: Batches"),
        ([pair(4), pair(4), pair(4)], TypeError, "np.concatenate.* Received: list"),
        (7, TypeError, "must be a name, a path, a pair .* Received: int"),
        (None, TypeError, "Received: NoneType"),
        ({"train": pair(9)[0]}, TypeError, "Received: ndarray"),
        ({"trian": pair(9)}, ValueError, "Received: a split 'trian'"),
        ({"test": pair(9)}, ValueError, "train among them. Received: test"),
        ({"train": pair(9), "val": pair(9), "dev": pair(9)}, ValueError, "each split once"),
    ],
)
def test_what_is_no_such_data_is_refused_with_the_way_to_go(data, kind, message, here):
    with pytest.raises(kind, match=message):
        Options(arch="lenet5", data=data)
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((9, 8, 8)), np.arange(9) % 3, "`x_train` must hold pixels 0..255"),
        (np.zeros((9, 8, 8), np.uint8), np.eye(9)[:, :3], "`y_train` must hold integer labels"),
        (np.zeros((9, 8, 8), np.uint8), np.arange(8) % 3, "must be of one length"),
    ],
)
def test_arrays_are_checked_as_those_of_a_file(images, labels, message):
    with pytest.raises(ValueError, match=message):
        train("lenet5", data=(images, labels), epochs=1, verbose=0)
