"""Trials of a search that begin with what an earlier one has learned.

Chen et al. 2015, "Net2Net", arXiv:1511.05641: a network that is grown begins with the outputs of
the one that it grew from.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

import applications
import keras_archs
from applications import runs
from applications.data.sources import Dataset, Source
from applications.options import Options, Plan
from applications.training.building import built_network
from applications.training.checkpoints import checkpoints
from applications.training.deriving import Derivation
from applications.training.optimizing import prepare

_SAME = "arch", "rho", "recipe"  # of both networks; recipes differ in preprocessing
_NOT_OWN = "input_shape", "classes", "alpha", "rho", "dropout"  # arguments that all families have


def may_grow(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether one configuration's network is another one's but narrower, or as wide.

    Args:
        before, after: options of `train`. What they say of the training may differ, and dropout.
    """
    own = [
        {name: value for name, value in (each["args"] or {}).items() if name != "dropout"}
        for each in (before, after)
    ]
    same = own[0] == own[1] and all(before[name] == after[name] for name in _SAME)
    return same and before["alpha"] <= after["alpha"]


def transfer(
    options: Options, folder: str | os.PathLike[str], parents: Sequence[str]
) -> "Transfer | None":
    """What lets a trial begin with the weights of another one; None where it begins anew.

    Args:
        options: of the trial.
        folder: its run folder. One that was begun keeps its parent, or that it has none.
        parents: names of the run folders, beside its own, of the trials that its network may be
            grown from, the best first.
    """
    folder = Path(folder)
    begun = folder / "config.yaml"
    if not begun.is_file():
        return Transfer(options, [folder.parent / name for name in parents]) if parents else None
    parent = runs.read_config(begun).get("parent")
    if parent is None:
        return None
    saved = bool(checkpoints(folder / runs.CHECKPOINTS))
    return Transfer(options, [folder.parent / Path(parent).name], recorded=parent, saved=saved)


class Transfer(Derivation):
    """A trial whose network begins as that of the first of these that it can be grown from.

    Args:
        options: of the trial.
        parents: run folders of finished trials.
        recorded: what config.yaml of a trial that was begun has as its parent, which is the only
            one then.
        saved: whether a checkpoint has the weights.
    """

    def __init__(
        self,
        options: Options,
        parents: Sequence[Path],
        *,
        recorded: str | None = None,
        saved: bool = False,
    ):
        self._options, self._parents, self._saved = options, parents, saved
        self._parent: Path | None = parents[0] if recorded else None
        self._grown: keras.Model | None = None
        self.recorded = {"parent": recorded} if recorded else {}

    def selected(self, source: Source) -> Source:
        plan = self._options.planned(source)
        own = {k: v for k, v in plan.build_arguments.items() if k not in _NOT_OWN}
        for parent in () if self._saved else self._parents:
            try:
                self._grown = keras_archs.grow(
                    applications.load(parent).model,
                    plan.options.alpha,
                    arch=plan.options.arch,
                    new_channels="random",
                    seed=plan.options.seed,
                    **own,
                )
            except ValueError:  # a layer stands in the way
                if self.recorded:
                    raise
                continue
            self._parent = parent
            self.recorded = self.recorded or {"parent": os.fspath(parent)}
            break
        return source

    def network(self, plan: Plan, dataset: Dataset) -> keras.Model:
        network = built_network(plan, dataset)
        prepare(network, plan)
        for layer in self._grown.layers if self._grown is not None else ():
            if layer.weights:
                network.get_layer(layer.name).set_weights(layer.get_weights())
        return network

    def finish(self, network: keras.Model, path: Path) -> dict[str, Any]:
        if self._parent is None:
            return {}
        metrics = applications.load(self._parent).metrics
        figures = {name: metrics[name] for name in ("validation_accuracy", "params", "macs")}
        return {"parent": {"run": self._parent.name, **figures}}
