"""Runs that are made of other runs: what differs from a training, and what all of them need."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

import applications
from applications.data.sources import Dataset, Source
from applications.options import Plan
from applications.training.progress import Progress


class Derivation:
    """What distinguishes a training that makes a run of other runs: what it changes, no more.

    Attributes:
        recorded: what config.yaml holds beside the options: `runs.DERIVED`.
        learner: makes what is trained of the network's layers: a model of the same inputs that
            learns from rows of probabilities. None: the network learns as the recipe says.
    """

    recorded: Mapping[str, Any]
    learner: Callable[[keras.Model], keras.Model] | None = None

    def selected(self, source: Source) -> Source:
        """The data as it sees them."""
        return source

    def network(self, plan: Plan, dataset: Dataset) -> keras.Model:
        """What is trained: uint8 images 0..255 -> probabilities."""
        raise NotImplementedError

    def soft_targets(self, dataset: Dataset, folder: Path) -> np.ndarray | None:
        """Columns behind those of the labels for each training image, float32 (N, columns).

        They are mixed as the labels are. What is slow to make may be kept in the folder.
        """
        return None

    def callbacks(
        self, network: keras.Model, progress: Progress, steps: int
    ) -> list[keras.callbacks.Callback]:
        """What acts after each step, before validation and checkpoint; `steps` of the training.

        What they need to know of the steps before follows from the network and the progress.
        """
        return []

    def finish(self, network: keras.Model, path: Path) -> dict[str, Any]:
        """Change the trained network to what is kept, write files of its own: more metrics."""
        return {}

    def section(self, metrics: Mapping[str, Any]) -> str:
        """What card.md says of it."""
        return ""


def opened_parent(run: Any) -> applications.Run:
    """A run, or that of a folder, which is finished and tested. Its network may be changed."""
    run = applications.load(run.path if isinstance(run, applications.Run) else run)
    run.check_tested()
    return run


def parent_network(parent: applications.Run, dataset: Dataset) -> keras.Model:
    """Its network.

    Raises:
        ValueError: the data have other classes or images of another shape than it was trained on.
    """
    network = parent.model
    wanted, found = (network.input_shape[1:], parent.labels), tuple(dataset.labels)
    if (tuple(dataset.image_shape), found) != wanted:
        raise ValueError(
            "`run` must have been trained on what its data are now: images of "
            f"{wanted[0]} and {len(wanted[1])} classes. Received: {parent.config['data']} "
            f"with {tuple(dataset.image_shape)} and {len(found)}"
        )
    return network


def parent_figures(parent: applications.Run) -> dict[str, Any]:
    """What metrics.json keeps of a parent's."""
    names = ("test_accuracy", "macro_f1", "test_loss", "validation_accuracy", "params", "macs")
    return {name: parent.metrics[name] for name in names}


def figures_table(parents: Mapping[str, Mapping[str, Any]], metrics: Mapping[str, Any]) -> str:
    """The parents' figures, by name, and those of the network that was made of them: Markdown."""
    rows = [("network", "parameters", "MACs", "test accuracy", "macro F1", "test loss")]
    for name, of in {**parents, "this": metrics}.items():
        shares = f"{100 * of['test_accuracy']:.2f} %", f"{of['macro_f1']:.4f}"
        row = (name, f"{of['params']:,}", f"{of['macs']:,}", *shares, f"{of['test_loss']:.4f}")
        rows.append(row)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]) + "\n"
