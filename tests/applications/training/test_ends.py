"""When a training ends before its last epoch, and whose weights are kept."""

from pathlib import Path

import keras
import numpy as np
import pytest
from interrupting import interrupt_after

from applications import load, train
from applications.data.sources import open_source
from applications.training import callbacks, checkpoints
from applications.training.progress import Ends, Progress, quality

OPTIONS = {"arch": "lenet5", "size": 16, "epochs": 5, "batch_size": 64, "verbose": 0}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def validating(monkeypatch, accuracies):
    """Validation says these accuracies, epoch after epoch; `keep` and `patience` go by them."""
    said = iter(accuracies)
    now = []

    def on_test_begin(self, logs=None):
        begin(self, logs)
        now[:] = [next(said)]

    begin = callbacks.UnbiasedStatistics.on_test_begin
    monkeypatch.setattr(callbacks.UnbiasedStatistics, "on_test_begin", on_test_begin)
    evaluate = keras.Model.evaluate

    def evaluated(self, *args, **options):
        logs = evaluate(self, *args, **options)
        return logs | {"accuracy": now[0], "loss": 1.0} if isinstance(logs, dict) else logs

    test_end = checkpoints.Best.on_test_end
    monkeypatch.setattr(keras.Model, "evaluate", evaluated)
    monkeypatch.setattr(
        checkpoints.Best,
        "on_test_end",
        lambda self, logs=None: test_end(self, {"accuracy": now[0], "loss": 1.0}),
    )


def weights_after(epochs, data, monkeypatch):
    """Of a training of five epochs that is stopped after some of them."""
    with monkeypatch.context() as patch:
        end = checkpoints.Checkpoint.on_epoch_end
        seen = []

        def on_epoch_end(self, epoch, logs=None):
            end(self, epoch, logs)
            if epoch + 1 == epochs:
                seen.extend(self.model.get_weights())

        patch.setattr(checkpoints.Checkpoint, "on_epoch_end", on_epoch_end)
        train(data=data, run_dir="other", **OPTIONS, keep="last")
    return seen


def test_the_best_epoch_s_weights_are_kept_unless_the_last_are_asked_for(digits, monkeypatch):
    expected = weights_after(2, digits, monkeypatch)
    accuracies = [0.5, 0.8, 0.7, 0.8, 0.6]  # the same with the same loss is no better
    with monkeypatch.context() as patch:
        validating(patch, accuracies)
        run = train(data=digits, run_dir="best", **OPTIONS)
    assert (run.metrics["kept_epoch"], run.metrics["epochs"]) == (2, 5)
    assert run.metrics["validation_accuracy"] == 0.8 and run.metrics["ended"] is None
    for ours, theirs in zip(run.model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert "those after epoch 2, the best on the" in Path("best/card.md").read_text()
    last = load("other")
    assert last.metrics["kept_epoch"] == 5
    assert any(
        (ours != theirs).any()
        for ours, theirs in zip(last.model.get_weights(), run.model.get_weights(), strict=True)
    )


def test_what_is_kept_is_what_was_validated_with_averaged_weights_too(digits):
    run = train(data=digits, **{**OPTIONS, "arch": "resnet20"}, alpha=0.25, averaging=0.9)
    row = run.history.iloc[run.metrics["kept_epoch"] - 1]
    subset = open_source(digits).at(16).validation
    images = subset.batch(np.arange(len(subset)))
    found = (run.model.predict(images, verbose=0).argmax(axis=1) == subset.labels).mean()
    assert found == pytest.approx(row["val_accuracy"])
    assert quality(row) == max(quality(r) for _, r in run.history.iterrows())


def test_patience_ends_a_training_that_gets_no_better(digits, monkeypatch):
    validating(monkeypatch, [0.5, 0.8, 0.7, 0.8, 0.9])
    run = train(data=digits, run_dir="run", patience=2, **OPTIONS)
    assert (run.metrics["epochs"], run.metrics["kept_epoch"]) == (4, 2)
    assert run.metrics["ended"] == "patience" and run.metrics["steps"] == 4 * 5
    assert "Of 5 epochs the rest were left out: patience." in Path("run/card.md").read_text()
    assert not Path("run/checkpoint").exists()
    before = Path("run/metrics.json").stat().st_mtime_ns
    train(data=digits, run_dir="run", patience=2, resume=True, **OPTIONS)
    assert Path("run/metrics.json").stat().st_mtime_ns == before  # it is finished


def test_patience_counts_on_where_a_training_is_resumed(digits, monkeypatch):
    with monkeypatch.context() as patch:
        validating(patch, [0.5, 0.8, 0.7])
        interrupt_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train(data=digits, run_dir="run", patience=2, **OPTIONS)
    validating(monkeypatch, [0.6, 0.9])
    run = train(data=digits, run_dir="run", patience=2, resume=True, **OPTIONS)
    assert (run.metrics["epochs"], run.metrics["kept_epoch"]) == (4, 2)


def rows(*accuracies):
    return [{"val_accuracy": a, "val_loss": 1.0, "seconds": 1.0} for a in accuracies]


@pytest.mark.parametrize(
    ("accuracies", "first", "ends"),
    [
        ((0.5,), 0, False),
        ((0.5, 0.4), 0, False),
        ((0.5, 0.4, 0.5), 0, True),
        ((0.5, 0.4, 0.6), 0, False),
        ((0.9, 0.4, 0.5, 0.6), 1, False),  # an earlier part's epochs do not count
        ((0.9, 0.6, 0.5, 0.6), 1, True),
    ],
)
def test_patience_of_two(accuracies, first, ends):
    progress = Progress(history=rows(*accuracies), steps=4)
    ending = Ends(progress, 100, first=first, patience=2)
    ending.set_model(keras.Sequential())
    ending.on_epoch_end(len(accuracies) - 1)
    assert (progress.ended == "patience") is ends


def test_a_training_that_is_complete_has_not_ended_early():
    progress = Progress(history=rows(0.5, 0.4, 0.4), steps=30)
    ending = Ends(progress, 30, patience=2, seconds=1)
    ending.set_model(keras.Sequential())
    ending.on_train_batch_end(9)
    ending.on_epoch_end(2)
    assert progress.ended is None


def test_a_time_limit_ends_a_training_within_an_epoch(digits, monkeypatch):
    counted = callbacks.Journal.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        counted(self, batch, logs)
        self.progress.seconds = 3600.0 * (self.progress.steps >= 7)

    monkeypatch.setattr(callbacks.Journal, "on_train_batch_end", on_train_batch_end)
    run = train(data=digits, run_dir="run", time_limit=59, **OPTIONS)
    assert (run.metrics["epochs"], run.metrics["steps"]) == (2, 7)
    assert run.metrics["ended"] == "time limit" and "test_accuracy" in run.metrics


def test_a_damaged_file_of_the_best_weights_is_passed_over(digits, capsys, monkeypatch):
    validating(monkeypatch, [0.5, 0.8, 0.7, 0.6, 0.6])
    put_back = checkpoints.put_best_back

    def damaged(network, folder, history):
        (folder / "best-000002.npz").write_bytes(b"PK")
        return put_back(network, folder, history)

    monkeypatch.setattr("applications.training.training.put_best_back", damaged)
    run = train(data=digits, run_dir="run", **OPTIONS)
    assert run.metrics["kept_epoch"] == 1
    assert "passed over a damaged checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("patience", 0, "`patience` must be an integer >= 1"),
        ("time_limit", 0, "`time_limit` must be > 0"),
        ("keep", "bets", "`keep` must be .*best"),
        ("checkpoint_minutes", -1, "`checkpoint_minutes` must be >= 0"),
    ],
)
def test_what_makes_no_sense_is_refused(option, value, wanted):
    with pytest.raises(ValueError, match=wanted):
        train("lenet5", **{option: value})
