"""Fixtures that every test file may use."""

import importlib.util
import os
import re
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import browser  # noqa: F401  a fixture
from environments import environment, wheel, without_tensorflow  # noqa: F401  fixtures

from applications.children import collect_rarely

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:  # the processors have enough to do with a thread of each
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

collect_rarely()  # most tests build networks

# A shell starts background jobs with Ctrl-C ignored, and so would be what the tests start and stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(os.environ.get("KERAS_ARCHS_SHARED", Path(__file__).parents[1] / ".." / "shared"))


def _folder(name: str) -> Path:
    folder = (SHARED / name).resolve()
    if not folder.is_dir():
        pytest.skip(f"needs the folder {name}/ of the shared reference material")
    return folder


@pytest.fixture(scope="session")
def released_weights() -> Path:
    """Trained weights that authors of networks have released."""
    return _folder("reference/weights")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """MNIST and CIFAR-10 files."""
    return _folder("data")


@pytest.fixture(scope="session")
def cifar10(shared_data):
    """The module that reads CIFAR-10's JPEGs: `jpegs(path)` has the files, labels and names."""
    spec = importlib.util.spec_from_file_location("load_cifar10", shared_data / "load_cifar10.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A few of the digits, 8 x 8 pixels: enough to train on, and soon done."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = np.round(images.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    path = tmp_path_factory.mktemp("digits") / "few.npz"
    np.savez(
        path,
        x_train=images[:400],
        y_train=labels[:400],
        x_test=images[400:600],
        y_test=labels[400:600],
    )
    return path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Tests that share what fixtures build run in one worker: a file's, or a network's.

    xdist's own groups by marker do not act with pytest 9, which keeps its node ids to itself.
    """
    from xdist.scheduler import LoadScopeScheduling

    import keras_archs

    names = set(keras_archs.list_archs())

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file, _, test = nodeid.partition("::")
            if not file.endswith("test_architectures.py"):
                return file
            network = next((word for word in re.split(r"[\[\]-]", test) if word in names), "")
            return f"{file}::{network}"

    return Together(config, log)


@pytest.fixture(scope="module", autouse=True)
def keras_forgets():
    """What Keras remembers of a file's networks is left to Python before the next file."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session(free_memory=False)  # else seconds a file


@pytest.fixture(autouse=True)
def seeded(request):
    """Each test that uses Keras starts from the same random state."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)
