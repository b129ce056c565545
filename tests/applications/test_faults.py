"""Disks that are full, folders that are gone, streams that are closed: a line, and nothing lost."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from applications import files
from applications.files import new_folder, write_atomic

ROOT = Path(__file__).parents[2]
NOBODY = 65534


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_file_that_cannot_be_written_stays_as_it_was_and_is_named(number, step, monkeypatch):
    Path("a.json").write_text("before")

    def fail(*args):
        raise OSError(number, os.strerror(number))

    if step != "write":
        monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(OSError) as caught:
        write_atomic("a.json", fail if step == "write" else "after")
    assert str(caught.value) == f"[Errno {number}] {os.strerror(number)}: 'a.json'"
    assert os.listdir() == ["a.json"] and Path("a.json").read_text() == "before"


def test_a_disk_that_is_full(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system must be mounted, which is not allowed here")
    try:
        write_atomic(small / "a", b"before")
        with pytest.raises(OSError) as caught:
            write_atomic(small / "a", bytes(100_000))
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(small / "a"))
        assert os.listdir(small) == ["a"] and (small / "a").read_bytes() == b"before"
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.fixture
def as_nobody(here, tmp_path):
    """The test runs as a user for whom permissions hold, as they do not for root."""
    if os.geteuid():
        yield
        return
    tmp_path.chmod(0o777)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.usefixtures("as_nobody")
def test_a_read_only_folder():
    os.mkdir("folder")
    write_atomic("folder/a", b"before")
    os.chmod("folder", 0o555)
    with pytest.raises(PermissionError) as caught:
        write_atomic("folder/a", b"after")
    assert caught.value.filename == "folder/a"
    assert os.listdir("folder") == ["a"] and Path("folder/a").read_bytes() == b"before"


def test_what_a_kill_left_of_a_folder_goes_with_the_next_one_of_its_name():
    for name in ("export", "another"):
        Path(f".partial-0123abcd-{name}", "part").mkdir(parents=True)
    with new_folder("export") as folder:
        (folder / "file").touch()
    assert sorted(os.listdir()) == [".partial-0123abcd-another", "export"]


def keras_archs(*args, before="", **options):
    """The command line, and what a process does before it begins."""
    script = f"import os\n{before}\nfrom applications.cli import app\napp()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-P", "-c", script, *args],  # like a command: not in the working directory
        env=environment,
        capture_output=True,
        text=True,
        **options,
    )


def test_a_working_directory_that_vanishes_is_said():
    before = "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')"
    done = keras_archs("list", "lenet*", before=before)
    assert (done.returncode, done.stdout) == (0, "lenet5\n")
    done = keras_archs("evaluate", "none", before=before)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    shutil.rmtree("gone", ignore_errors=True)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_closed_stream_leads_nowhere(closed):
    """Not into the next file that is opened, which gets its number."""
    after = "import atexit, sys; atexit.register(lambda: open('number', 'w').write("
    after += "str(open('file', 'w').fileno())))"
    done = keras_archs("list", "lenet*", before=f"{after}\n[os.close(n) for n in {closed}]")
    assert done.returncode == 0
    assert int(Path("number").read_text()) > 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_an_output_that_is_full_is_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "applications.cli", "list"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (2, "error: No space left on device\n")


@pytest.mark.parametrize("name", ["HOME", "PATH", "LANG"])
def test_a_poor_environment_is_enough(name):
    environment = {key: value for key, value in os.environ.items() if key != name}
    done = subprocess.run(
        [sys.executable, "-m", "applications.cli", "list", "lenet*"],
        env={**environment, "PYTHONPATH": str(ROOT), "LC_ALL": "C"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "lenet5\n", "")
