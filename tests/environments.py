"""Environments of their own into which the wheel is installed, as fixtures.

They see the libraries of the running environment, but not its installation of this project.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command, cwd, ok=True):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True
    )
    assert (result.returncode == 0) is ok, result.stdout + result.stderr
    return result


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT
    run(*build, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


def _environment(wheel, folder):
    """The `bin` folder of a new virtual environment into which the wheel is installed."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(python, "-c", purelib, cwd=folder).stdout.strip())
    # Python reads no .pth file of a folder that stands in a .pth file: what makes the project
    # importable from its sources in the running environment has no effect in the new one.
    site.joinpath("libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = sys.executable, "-m", "pip", "--python", python, "install", "--quiet"
    run(*pip, "--no-deps", "--no-index", "--force-reinstall", wheel, cwd=folder)
    return folder / "bin"


@pytest.fixture(scope="session")
def environment(wheel, tmp_path_factory):
    """The `bin` folder of an environment that has the wheel and all libraries."""
    return _environment(wheel, tmp_path_factory.mktemp("environment"))


@pytest.fixture(scope="session")
def without_tensorflow(wheel, tmp_path_factory):
    """The `bin` folder of an environment that has the wheel and the libraries but TensorFlow."""
    environment = _environment(wheel, tmp_path_factory.mktemp("environment"))
    site = next(environment.parent.glob("lib/python*/site-packages"))
    (site / "libraries.pth").unlink()
    for library in Path(sysconfig.get_path("purelib")).iterdir():
        hidden = library.name.startswith("tensorflow") or library.suffix == ".pth"
        if not hidden and not (site / library.name).exists():
            (site / library.name).symlink_to(library)
    return environment
