"""Trainings that are stopped, as Ctrl-C or a kill stops them, for tests that resume them."""

from applications.training import checkpoints


def interrupt_after(monkeypatch, *epochs, error=KeyboardInterrupt):
    """A training is stopped right after the checkpoint of one of these epochs, counted from 1."""
    save = checkpoints.Checkpoint.on_epoch_end

    def on_epoch_end(self, at, logs=None):
        save(self, at, logs)
        if at + 1 in epochs:
            raise error

    monkeypatch.setattr(checkpoints.Checkpoint, "on_epoch_end", on_epoch_end)
