"""A run whose network is another run's, made wider, deeper or narrower, and trained on.

Chen et al. 2015, "Net2Net", arXiv:1511.05641: a grown network begins with the predictions of the
one that it grew from. Its new channels are those of Wei et al. 2016, "Network Morphism",
arXiv:1603.01670, and it goes on with the run's learning rate: with copies and a tenth of it, as
Chen et al. have it, it learned little (benchmarks/results/lineage.md). A shrunk one keeps the
channels of largest norm, and learns from labels or from what the larger one predicts.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

import applications
import keras_archs
from applications.data.sources import Dataset
from applications.evaluation.evaluating import score
from applications.learning.distilling import Teachers
from applications.options import (
    OPTIONS,
    Distillation,
    Group,
    Growing,
    Options,
    Plan,
    Running,
    Shrinking,
    retrained,
    takes,
)
from applications.training.deriving import (
    Derivation,
    figures_table,
    opened_parent,
    parent_figures,
    parent_network,
)
from applications.training.training import derive

_NOT_OWN = ("input_shape", "classes", "alpha", "rho", "dropout")  # arguments that all families have


@takes(Group(Growing), *retrained("grown"))
def grow(growing: Growing, asked: dict[str, Any], running: Running) -> applications.Run:
    """Train a wider or deeper copy of a finished run's network on, from its predictions.

    It begins with the predictions of the run's network, and is trained by the run's recipe on its
    data. metrics.json has as `agreement` the share of the test images that both called the same
    before the training.

    Args:

    Returns:
        The new run.

    Raises:
        ValueError, TypeError: an argument is wrong or contradicts another, the run is not finished,
            damaged or untested, its data are others now, or its network cannot grow so.
        FileExistsError: `run_dir` exists, and `resume` was not asked for.
        OSError: a file cannot be read or written.
    """
    parent = opened_parent(growing.run)
    alpha = growing.alpha or parent.config["alpha"]
    if alpha == parent.config["alpha"] and not growing.extra_depth:
        raise ValueError(
            "`alpha` or `extra_depth` must make the network larger. Received: "
            f"alpha={growing.alpha}, extra_depth=0, and the run's alpha is {alpha:g}"
        )
    options = _options(parent, asked, alpha)
    return derive(options, running, _Growing(parent, growing))


@takes(Group(Shrinking), *retrained("shrunk", "the run's"))
def shrink(shrinking: Shrinking, asked: dict[str, Any], running: Running) -> applications.Run:
    """Train a narrower copy of a finished run's network on, of its strongest channels.

    It is trained by the run's recipe on its data; with `temperature` also on what the run's network
    predicts, as `distill` does it.

    Args:

    Returns:
        The new run.

    Raises:
        ValueError, TypeError, FileExistsError, OSError: as `grow`.
    """
    parent = opened_parent(shrinking.run)
    options = _options(parent, asked, shrinking.alpha)
    return derive(options, running, _Shrinking(parent, shrinking))


def _options(parent: applications.Run, asked: dict[str, Any], alpha: float) -> Options:
    """The parent's, but for what is asked for."""
    config = {name: parent.config[name] for name in OPTIONS}
    own = {name: value for name, value in asked.items() if value is not None}
    own["threads"] = asked["threads"]
    return Options.made_of({**config, "freeze_until": None, "alpha": alpha, **own})


class _Reshaping(Derivation):
    """What growing and shrinking have in common: the parent's network comes first.

    Attributes:
        told: what the network is, as the card has it.
    """

    told: str

    def __init__(self, parent: applications.Run, asked: Growing | Shrinking):
        self.parent, self.asked = parent, asked

    def network(self, plan: Plan, dataset: Dataset) -> keras.Model:
        network = parent_network(self.parent, dataset)
        own = {k: v for k, v in plan.build_arguments.items() if k not in _NOT_OWN}
        reshaped = self.reshaped(network, plan, dataset, {"arch": plan.options.arch, **own})
        before = self.parent.predictions["probabilities"].argmax(axis=1)
        self.agreement = float(np.mean(score(reshaped, dataset.test).argmax(axis=1) == before))
        return reshaped

    def reshaped(
        self, network: keras.Model, plan: Plan, dataset: Dataset, built: dict[str, Any]
    ) -> keras.Model:
        """The parent's network, larger or smaller; each command has its own."""
        raise NotImplementedError

    def finish(self, network: keras.Model, path: Path) -> dict[str, Any]:
        return {"agreement": self.agreement, "parent": parent_figures(self.parent)}

    def section(self, metrics: Mapping[str, Any]) -> str:
        return (
            f"\n## From another network\n\n{self.told}, before it was trained on, it called "
            f"{100 * self.agreement:.2f} % of the test images what its parent calls them.\n\n"
            + figures_table({str(self.parent.path): self.parent.metrics}, metrics)
        )


class _Growing(_Reshaping):
    asked: Growing
    told = "Wider or deeper (arXiv:1511.05641)"

    @property
    def recorded(self) -> dict[str, Any]:
        return {"parent": os.fspath(self.parent.path), "grow": self.asked.recorded}

    def reshaped(
        self, network: keras.Model, plan: Plan, dataset: Dataset, built: dict[str, Any]
    ) -> keras.Model:
        return keras_archs.grow(
            network,
            plan.options.alpha,
            extra_depth=self.asked.extra_depth,
            new_channels=self.asked.new_channels,
            noise=self.asked.noise,
            seed=plan.options.seed,
            **built,
        )


class _Shrinking(_Reshaping):
    asked: Shrinking
    told = "Narrower, of the parent's strongest channels"

    def __init__(self, parent: applications.Run, asked: Shrinking):
        super().__init__(parent, asked)
        self._teacher = None
        if asked.temperature is not None:
            how = Distillation(run=parent, temperature=asked.temperature)
            self._teacher = Teachers([parent], how)
            self.learner, self.soft_targets = self._teacher.learner, self._teacher.soft_targets

    @property
    def recorded(self) -> dict[str, Any]:
        return {"parent": os.fspath(self.parent.path), "shrink": self.asked.recorded}

    def reshaped(
        self, network: keras.Model, plan: Plan, dataset: Dataset, built: dict[str, Any]
    ) -> keras.Model:
        if self._teacher:
            self._teacher.check(plan, dataset)
        return keras_archs.shrink(network, plan.options.alpha, **built)
