"""A training that the machine's memory cannot hold is refused before it asks for any."""

import re

import pytest

from applications.data.sources import open_source
from applications.options import Options
from applications.training import memory
from keras_archs.checks import machine_memory

GIB = 2**30


def check(monkeypatch, there, **options):
    monkeypatch.setattr(memory, "machine_memory", lambda: there)
    source = open_source("digits")
    memory.check_memory(Options(**options).planned(source), source)


def test_the_machine_has_some_memory():
    assert GIB / 4 < machine_memory() < 2**50


def test_what_fits_passes(monkeypatch):
    check(monkeypatch, GIB, arch="lenet5")


@pytest.mark.parametrize(
    ("options", "there", "advice"),
    [
        ({"arch": "mobilenet", "size": 224, "batch_size": 1000}, 2 * GIB, "`batch_size` 29 would"),
        ({"arch": "mobilenet", "size": 100_000}, 16 * GIB, "a `size` of about "),
        ({"arch": "resnet18", "alpha": 200.0}, 16 * GIB, "a smaller `alpha` would fit"),
        ({"arch": "lenet5", "size": 100_000}, 16 * GIB, "a smaller `size` and `alpha` would fit"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(options, there, advice, monkeypatch):
    with pytest.raises(ValueError, match="must fit into this machine's") as refused:
        check(monkeypatch, there, **options)
    message = str(refused.value)
    assert advice in message and options["arch"] in message and "GiB (weights" in message


def test_averaged_weights_take_room(monkeypatch):
    options = {"arch": "resnet18", "alpha": 3.0}  # 100 million weights of 4 bytes
    check(monkeypatch, 1.9 * GIB, **options)
    with pytest.raises(ValueError, match="must fit into this machine's"):
        check(monkeypatch, 1.9 * GIB, averaging=0.99, **options)


@pytest.mark.parametrize(
    "error",
    [
        type("ResourceExhaustedError", (Exception,), {})("OOM when allocating tensor"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"),
        MemoryError(),
    ],
    ids=["tensorflow", "jax", "torch", "numpy"],
)
def test_a_backend_that_runs_out_of_memory_is_an_error_that_says_what_to_lower(error):
    plan = Options(arch="lenet5").planned(open_source("digits"))
    with (
        pytest.raises(ValueError, match="lower `batch_size`.* Received: lenet5, batch_size=64"),
        memory.naming_what_is_too_large(plan),
    ):
        raise error


def test_other_errors_are_left_alone():
    plan = Options(arch="lenet5").planned(open_source("digits"))
    with pytest.raises(KeyError), memory.naming_what_is_too_large(plan):
        raise KeyError("x")


def test_what_is_advised_fits(monkeypatch):
    check(monkeypatch, 2 * GIB, arch="mobilenet", size=224, batch_size=29)
    with pytest.raises(ValueError, match="of about") as refused:
        check(monkeypatch, 16 * GIB, arch="mobilenet", size=100_000)
    side = int(re.search(r"of about (\d+)", str(refused.value))[1])
    assert side > 300
    check(monkeypatch, 16 * GIB, arch="mobilenet", size=round(0.95 * side))
