"""A command that is killed at any write and called again ends, bit for bit, as if it had not been.

`python benchmarks/kills.py` tries every write, and kills processes at random moments.
"""

import errno
import os
import shutil
import time
from itertools import count
from pathlib import Path

import pytest
from killing import call, content, leftovers, make_data, moments, renames

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """A folder with data and a finished run."""
    folder = tmp_path_factory.mktemp("parent")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_data()
        call("train", "parent")
    return folder


# Where a command could most easily be wrong: within a first checkpoint, between results, and when
# all is there but not yet tidied up.
def chosen(count):
    return sorted({min(5, count // 2), count - 4, count - 1})


@pytest.mark.parametrize("name", ["train", "specialists", "export"])
def test_what_a_kill_left_is_finished_as_if_there_had_been_none(
    name, parent, tmp_path, monkeypatch
):
    whole = Path(shutil.copytree(parent, tmp_path / "whole"))
    monkeypatch.chdir(whole)
    kept = moments(name, tmp_path / "kept")
    wanted = content("result")
    assert not leftovers()
    for index in chosen(len(kept)):
        os.chdir(kept[index])
        call(name, "result", resume=True)
        assert content("result") == wanted, index
        assert not leftovers(), index


@pytest.mark.parametrize(("at", "number"), [(7, errno.ENOSPC), (-2, errno.EROFS)])
def test_a_disk_that_takes_nothing_any_more_ends_it_and_loses_nothing(
    at, number, parent, tmp_path, monkeypatch
):
    monkeypatch.chdir(shutil.copytree(parent, tmp_path / "here"))
    at = at if at > 0 else 16 + at  # of as many writes
    written = []

    def fail(partial):
        written.append(partial)
        if len(written) > at:
            raise OSError(number, os.strerror(number), partial)

    with renames(fail, lambda _: None), pytest.raises(OSError) as caught:
        call("train", "result")
    assert caught.value.errno == number
    assert str(caught.value.filename).startswith("result/") and ".partial" not in str(caught.value)
    assert not [name for name in leftovers() if ".partial" in name]
    call("train", "result", resume=True)
    assert content("result") == content("parent")


def test_a_clock_that_runs_backwards_changes_nothing(parent, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(parent, tmp_path / "here"))
    now, back = time.time(), count(step=3600)
    monkeypatch.setattr(time, "time", lambda: now - next(back))
    call("train", "result")
    assert content("result") == content("parent")
