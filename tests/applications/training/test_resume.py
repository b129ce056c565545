"""Resuming: an interrupted training ends bit for bit where an uninterrupted one does."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from interrupting import interrupt_after

from applications import load, recipes, runs
from applications.options import Options
from applications.recipes import catalog
from applications.recipes.schema import Affine, ColourJitter, Teaching
from applications.training import callbacks, checkpoints, training
from applications.training.training import train

# Momentum, weight decay, shifted images and, with the dropout, seed generators: all have a state.
LENET = {"arch": "lenet5", "recipe": "resnet20", "epochs": 4, "batch_size": 128, "verbose": 0}
LENET |= {"size": 16, "args": {"dropout": 0.3}}
LAST = Path(runs.CHECKPOINTS, "epoch-000004.npz")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that was not interrupted, its last checkpoint kept."""
    with pytest.MonkeyPatch.context() as patch:
        keep_checkpoints(patch)
        return train(run_dir=tmp_path_factory.mktemp("whole") / "run", **LENET)


def interrupt_at(monkeypatch, epoch, step):
    """The training is stopped right after a checkpoint of this step of this epoch."""
    save = checkpoints.Checkpoint._save

    def _save(self, sums=()):
        save(self, sums)
        if (len(self.progress.history) + 1, self.progress.step) == (epoch, step):
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints.Checkpoint, "_save", _save)


AFTER_EACH_STEP = {"checkpoint_minutes": 1e-9}


def keep_checkpoints(monkeypatch):
    monkeypatch.setattr(training.shutil, "rmtree", lambda *args, **options: None)


def assert_same(first, second):
    """Same weights, history, predictions and, where kept, last checkpoint."""
    for ours, theirs in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    drop = {"columns": "seconds"}
    pd.testing.assert_frame_equal(
        first.history.drop(**drop), second.history.drop(**drop), check_exact=True
    )
    for name in ("predictions.npz", LAST):
        if not ((first.path / name).exists() and (second.path / name).exists()):
            continue
        with np.load(first.path / name) as ours, np.load(second.path / name) as theirs:
            assert ours.files == theirs.files
            for key in set(ours.files) - {"state"}:
                np.testing.assert_array_equal(ours[key], theirs[key])


def test_an_interrupted_training_resumes_bit_for_bit(whole, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train(run_dir="cut", **LENET)
    assert not runs.is_finished("cut")
    # What a kill in the middle of the next checkpoint leaves behind.
    Path("cut", "checkpoint", ".partial-epoch-000003.npz").write_bytes(b"PK")
    keep_checkpoints(monkeypatch)
    run = train(run_dir="cut", resume=True, **LENET)
    assert_same(whole, run)
    assert list(run.history["epoch"]) == [1, 2, 3, 4]


@pytest.mark.parametrize(("epoch", "step"), [(1, 1), (2, 4), (4, 9)])
def test_a_training_that_is_cut_within_an_epoch_resumes_bit_for_bit(
    epoch, step, whole, monkeypatch
):
    with monkeypatch.context() as patch:
        interrupt_at(patch, epoch, step)
        with pytest.raises(KeyboardInterrupt):
            train(run_dir="cut", **AFTER_EACH_STEP, **LENET)
    last = checkpoints.checkpoints(Path("cut", "checkpoint"))[0]
    assert last.name == f"epoch-{epoch - 1:06d}-step-{step:09d}.npz"
    keep_checkpoints(monkeypatch)
    run = train(run_dir="cut", resume=True, **LENET)
    assert_same(whole, run)
    assert run.metrics["steps"] == whole.metrics["steps"] == 40


def test_a_checkpoint_of_a_later_step_comes_after_that_of_the_epoch(tmp_path):
    names = ["epoch-000009.npz", "epoch-000009-step-000000002.npz", "epoch-000010.npz"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in checkpoints.checkpoints(tmp_path)] == names[::-1]


def damage(path, how):
    """What a full disk, a lost block or a bad cable leaves of a file."""
    content = bytearray(path.read_bytes())
    if how == "cut short":
        content = content[: len(content) // 2]
    elif how == "emptied":
        content.clear()
    elif how == "one byte changed":
        content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """A run that was stopped after three of four epochs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("stopped"))
        interrupt_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train(run_dir="cut", **LENET)
        return Path("cut").absolute()


@pytest.mark.parametrize("how", ["cut short", "emptied", "one byte changed"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(how, cut, here, capsys):
    folder = Path(shutil.copytree(cut, "cut"), "checkpoint")
    last, before = checkpoints.checkpoints(folder)
    assert (last.name, before.name) == ("epoch-000003.npz", "epoch-000002.npz")
    damage(last, how)
    saved = checkpoints.last_checkpoint(folder, or_anew=False)
    assert saved is not None and saved.path == before and len(saved.progress.history) == 2
    said = capsys.readouterr().err
    assert said.startswith("passed over a damaged checkpoint: ") and last.name in said


ROW = {"epoch": 1, "val_loss": 1.0, "val_accuracy": 0.5, "seconds": 1.0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"history": 3},
        {"history": [1]},
        {"history": [{}]},
        {"history": [{**ROW, "epoch": 2}]},
        {"history": [{**ROW, "val_loss": "x"}]},
        {"history": [ROW, {**ROW, "epoch": 2}, {**ROW, "epoch": 3}]},
        {"step": -1},
        {"step": 10},
        {"step": "x"},
        {"steps": None},
        {"seconds": "x"},
        {"ended": 3},
        {"another": 3},
    ],
    ids=str,
)
def test_a_checkpoint_of_an_impossible_training_is_passed_over(wrong, tmp_path, capsys):
    state = {"history": [ROW], "steps": 10, "step": 0, "seconds": 0.0, "ended": None}
    limits: dict = {"or_anew": True, "epochs": 2, "steps": 10}
    for number, found in ((1, state), (2, {**state, **wrong})):
        text = json.dumps({**found, "backend": "jax"})
        np.savez(tmp_path / f"epoch-{number:06d}.npz", state=text)
    saved = checkpoints.last_checkpoint(tmp_path, **limits)
    assert saved is not None and saved.path.name == "epoch-000001.npz"
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "epoch-000002.npz" in said


def test_from_the_checkpoint_before_a_training_ends_as_if_it_had_not_been_cut(
    cut, whole, here, monkeypatch
):
    shutil.copytree(cut, "cut")
    damage(Path("cut", "checkpoint", "epoch-000003.npz"), "emptied")
    keep_checkpoints(monkeypatch)
    assert_same(whole, train(run_dir="cut", resume=True, **LENET))


def test_without_a_whole_checkpoint_the_error_says_what_to_do(cut, here):
    shutil.copytree(cut, "cut")
    for path in checkpoints.checkpoints(Path("cut", "checkpoint")):
        damage(path, "one byte changed")
    wanted = "without the folder it starts anew. Received: cut/checkpoint, all of whose"
    with pytest.raises(ValueError, match=wanted):
        train(run_dir="cut", resume=True, **LENET)
    shutil.rmtree("cut/checkpoint")
    assert checkpoints.last_checkpoint(Path("cut/checkpoint"), or_anew=False) is None


def test_a_trial_of_a_search_starts_anew_without_a_whole_checkpoint(cut, here):
    shutil.copytree(cut, "cut")
    for path in checkpoints.checkpoints(Path("cut", "checkpoint")):
        damage(path, "emptied")
    options = {name: value for name, value in LENET.items() if name != "verbose"}
    epochs = []
    report = lambda row: epochs.append(row["epoch"])  # noqa: E731
    training.train_trial(Options(**options), "cut", report=report)
    assert epochs == [1, 2, 3, 4]


def fail(*args, **kwargs):
    raise OSError("disk full")


@pytest.mark.parametrize(
    ("owner", "step", "saved"),
    [
        pytest.param(callbacks.Journal, "on_epoch_end", False, marks=pytest.mark.slow),
        (training, "write_results", True),
    ],
    ids=["in the first epoch", "between training and test"],
)
def test_an_interruption_at_either_end_loses_nothing(owner, step, saved, whole, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, fail)
        with pytest.raises(OSError, match="disk full"):
            train(run_dir="cut", **LENET)
    assert Path("cut", LAST).exists() == saved
    run = train(run_dir="cut", resume=True, **LENET)
    assert_same(whole, run)
    assert not Path("cut", "checkpoint").exists()


def test_ctrl_c_says_how_to_go_on(monkeypatch):
    interrupt_after(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt, match="after epoch 1 of 4: `--resume` continues"):
        train(run_dir="cut", **LENET)


@pytest.mark.parametrize(("epoch", "step"), [(2, 3), (2, 10)])
def test_ctrl_c_writes_a_checkpoint_after_the_step_or_the_validation(
    epoch, step, whole, monkeypatch, capfd
):
    on_train_batch_end = callbacks.Journal.on_train_batch_end

    def pressed(self, batch, logs=None):
        on_train_batch_end(self, batch, logs)
        if (len(self.progress.history) + 1, self.progress.step) == (epoch, step):
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Journal, "on_train_batch_end", pressed)
        with pytest.raises(KeyboardInterrupt, match="`--resume` continues from there"):
            train(run_dir="cut", **LENET)
    last = checkpoints.checkpoints(Path("cut", "checkpoint"))[0].name
    assert last == ("epoch-000002.npz" if step == 10 else "epoch-000001-step-000000003.npz")
    assert "Ctrl-C again stops at once" in capfd.readouterr().err
    keep_checkpoints(monkeypatch)
    assert_same(whole, train(run_dir="cut", resume=True, **LENET))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_ctrl_c_interrupts_at_once():
    with checkpoints.CtrlC() as ctrl_c:
        os.kill(os.getpid(), signal.SIGINT)
        assert ctrl_c.pressed
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_resume_without_a_run_starts_one_and_a_finished_run_is_left_alone():
    options = {**LENET, "epochs": 1}
    run = train(resume=True, **options)
    before = {name: os.stat(run.path / name).st_mtime_ns for name in os.listdir(run.path)}
    again = train(resume=True, **options)
    assert again.path == run.path == Path("runs/lenet5-digits-s0")
    assert {name: os.stat(run.path / name).st_mtime_ns for name in os.listdir(run.path)} == before


def test_resume_with_other_options_names_the_one_that_differs(whole):
    with pytest.raises(ValueError, match="`alpha` must be as in the run.*1.0. Received: alpha=0.5"):
        train(run_dir=whole.path, resume=True, alpha=0.5, **LENET)


def test_resume_does_not_touch_a_folder_of_something_else(here):
    (here / "thesis").mkdir()
    (here / "thesis" / "text.txt").touch()
    with pytest.raises(FileExistsError, match="must be a run folder or new"):
        train(run_dir="thesis", resume=True, **LENET)
    assert os.listdir("thesis") == ["text.txt"]


def test_a_checkpoint_of_another_backend_is_refused(monkeypatch):
    interrupt_after(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        train(run_dir="cut", **LENET)
    path = Path("cut", "checkpoint", "epoch-000001.npz")
    arrays = dict(np.load(path))
    state = {**json.loads(str(arrays["state"])), "backend": "another"}
    np.savez(path, **{**arrays, "state": json.dumps(state)})
    with pytest.raises(ValueError, match="`resume` must use the backend of the run, another"):
        train(run_dir="cut", resume=True, **LENET)


def test_a_process_that_outlives_its_claim_cannot_write_over_its_successor(monkeypatch, whole):
    """An orphan: the run was given to another process while this one was training."""
    save = checkpoints.Checkpoint.on_epoch_end
    folder = Path("cut", "checkpoint")

    def on_epoch_end(self, at, logs=None):
        if at + 1 == 2:
            runs.Claim(folder)
        save(self, at, logs)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.Checkpoint, "on_epoch_end", on_epoch_end)
        with pytest.raises(ValueError, match="another one has taken over. Received: cut"):
            train(run_dir="cut", **LENET)
    names = ["best-000001.npz", "best-000002.npz", "epoch-000001.npz", "owner"]
    assert {path.name for path in folder.iterdir()} <= set(names)
    assert epochs_saved("cut") == 1 and not runs.is_finished("cut")
    keep_checkpoints(monkeypatch)
    assert_same(whole, train(run_dir="cut", resume=True, **LENET))


def test_a_process_that_lost_its_run_at_the_end_does_not_finish_it(monkeypatch):
    results = training.write_results

    def write(*args, **options):
        written = results(*args, **options)
        runs.Claim(Path("cut", "checkpoint"))
        return written

    monkeypatch.setattr(training, "write_results", write)
    with pytest.raises(ValueError, match="another one has taken over"):
        train(run_dir="cut", **LENET)
    assert not runs.is_finished("cut") and epochs_saved("cut") == 4


def start(options, run_dir):
    code = "import sys, json; from applications import train\n"
    code += "train(run_dir=sys.argv[1], resume=True, **json.loads(sys.argv[2]))"
    return subprocess.Popen([sys.executable, "-c", code, run_dir, json.dumps(options)])


def epochs_saved(run_dir):
    files = checkpoints.checkpoints(Path(run_dir, "checkpoint"))
    return int(files[0].stem.removeprefix("epoch-")) if files else 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        LENET,
        {"arch": "mobilenet", "alpha": 0.25, "epochs": 3, "args": {"dropout": 0.2}, "verbose": 0},
    ],
    ids=lambda options: options["arch"],
)
def test_a_training_that_is_killed_resumes_bit_for_bit_in_a_new_process(options, here):
    assert start(options, "whole").wait() == 0
    for epoch in (1, 2):  # killed twice
        process = start(options, "killed")
        while epochs_saved("killed") < epoch:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not runs.is_finished("killed")
    assert start(options, "killed").wait() == 0
    assert_same(load("whole"), load("killed"))
    shutil.rmtree(here / "killed")


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Options of a training with every element, and its run, which was not interrupted.

    Averaged weights, smoothed labels, all augmentation, whitening, hints and a teacher.
    """
    every = dataclasses.replace(
        recipes.recipe("fitnet19"),
        **{"label_smoothing": 0.1, "averaging": 0.99, "area": (0.3, 1.0), "scale": (1.0, 1.3)},
        **{"affine": Affine(0.1, 0.1, 0.1, 0.1), "lighting": 0.1, "mirror": True},
        **{"rand_augment": 0.2, "random_erasing": 0.3, "mixup": 0.2, "cutmix": 1.0},
        colour_jitter=ColourJitter(0.4, 0.4, 0.4, 0.1),
        max_norm={"conv": 0.9, "fc1": 1.9},
        teaching=Teaching(3.0, 4.0, 1.0, guided="conv11", hint_epochs=0.5),
    )
    folder = tmp_path_factory.mktemp("everything")
    options = {"arch": "fitnet19", "recipe": "fitnet19", "teacher": folder / "teacher"}
    options |= {"alpha": 1 / 8, "size": 16, "epochs": 4, "batch_size": 128, "verbose": 0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(catalog._RECIPES, "fitnet19", every)
        keep_checkpoints(patch)
        train("simpnet_300k", alpha=1 / 8, size=16, epochs=1, run_dir=folder / "teacher", verbose=0)
        yield options, train(run_dir=folder / "whole", **options)


@pytest.mark.slow
def test_a_training_on_images_that_grow_resumes_bit_for_bit(here, monkeypatch):
    """With branches that are left out, Muon and one cycle, on a network with BatchNorm."""
    options = {"arch": "resnet20", "alpha": 0.1, "epochs": 4, "batch_size": 128, "verbose": 0}
    options |= {"stochastic_depth": 0.3, "progressive": 0.5, "optimizer": "muon"}
    options |= {"schedule": "one_cycle", "mixup": 0.2}
    keep_checkpoints(monkeypatch)
    whole = train(run_dir="whole", **options)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, 2)
        with pytest.raises(KeyboardInterrupt):
            train(run_dir="cut", **AFTER_EACH_STEP, **options)
    assert_same(whole, train(run_dir="cut", resume=True, **options))


@pytest.mark.slow
@pytest.mark.parametrize(("epoch", "step"), [(2, 0), (1, 3), (3, 1), (4, 8)])
def test_resuming_is_bit_equal_with_every_element_on(epoch, step, everything, monkeypatch):
    options, whole = everything
    with monkeypatch.context() as patch:
        if step:
            interrupt_at(patch, epoch, step)
        else:
            interrupt_after(patch, epoch)
        with pytest.raises(KeyboardInterrupt):
            train(run_dir="cut", **AFTER_EACH_STEP, **options)
    keep_checkpoints(monkeypatch)
    assert_same(whole, train(run_dir="cut", resume=True, **options))
