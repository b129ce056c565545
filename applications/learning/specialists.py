"""A run's network, and specialists for the classes that it confuses.

Hinton, Vinyals & Dean 2015, arXiv:1503.02531, section 5. The classes fall into sets by k-means over
the columns of the covariance of the generalist's predictions. A specialist tells the classes of its
set apart and has one more for all others, the dustbin. It begins with the generalist's weights, the
dustbin with the mean of those of the classes in it, and half of the images that it is trained on
are of its set. Then the logit of the dustbin gets the logarithm of the proportion by which the set
was oversampled.

Of an image that class is taken which the generalist finds most probable, and the specialist of its
set is asked, as in the paper (n = 1). The prediction is that of equation 5, the q of the least
KL(p_g, q) + KL(p_m, q). The paper descends its gradient for each image. But sets do not overlap, so
that one specialist is asked at most, and then the minimum is known: among the classes of the
dustbin q has the proportions of p_g, and so it is the mean of p_g and of what the specialist says
when its dustbin is shared out in these proportions. That is a part of the network that is kept.

Departures: the other half of the images is drawn once, and not for each batch; in validation, which
ends the training, it is as in training. A set of one class has no specialist.
"""

import dataclasses
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

import applications
import keras_archs
from applications import runs
from applications.data.sources import Dataset, Source, listed, open_source
from applications.evaluation.evaluating import score
from applications.evaluation.metrics import cross_entropy
from applications.evaluation.networks import logits_of
from applications.files import remove_partials, write_json
from applications.options import (
    OPTIONS,
    Group,
    Options,
    Plan,
    Running,
    Specialising,
    specialised,
    takes,
)
from applications.training.deriving import (
    Derivation,
    figures_table,
    opened_parent,
    parent_figures,
    parent_network,
)
from applications.training.progress import Progress
from applications.training.results import last_line, write_results
from applications.training.training import derive, find_or_create, set_threads
from keras_archs.surgery import with_classes

RATE = 0.1  # of the parent's learning rate
_DUSTBIN = "(others)"
_TINY = 1e-30


@takes(Group(Specialising), *specialised())
def specialists(
    specialising: Specialising, asked: dict[str, Any], running: Running
) -> applications.Run:
    """Train specialists for the classes that a finished run's network confuses.

    Each is trained by the run's recipe on its data, from its weights, in a folder of its own in the
    new run's. The new run's network is all of them as one: it asks the generalist and one of the
    specialists, or none. `active_macs` of metrics.json are the multiply-adds of an image if no
    other specialist is computed, `macs` those of the network as it is kept, which computes all.

    Args:

    Returns:
        The new run.

    Raises:
        ValueError, TypeError: an argument is wrong or contradicts another, the run is not finished,
            damaged or untested, its data are others now, or there are more sets than its classes
            can fall into.
        FileExistsError: `run_dir` exists, and `resume` was not asked for.
        OSError: a file cannot be read or written.
    """
    parent = opened_parent(specialising.run)
    if running.run_dir is not None and not running.resume:
        runs.check_new(running.run_dir)
    classes = len(parent.labels)
    if specialising.sets > classes // 2:
        raise ValueError(
            "`sets` must be at most half of the number of classes, 2 or more. Received: "
            f"sets={specialising.sets} for {classes} classes"
        )
    options = _options(parent, asked)
    set_threads(options.threads)
    source = open_source(str(options.data), seed=options.seed)
    plan = options.planned(source)
    dataset = source.at(plan.image_size, resize=options.resize, cache=options.cache)
    generalist = parent_network(parent, dataset)
    recorded = {"parent": os.fspath(parent.path), "specialists": specialising.recorded}
    config = {**plan.config, **recorded}

    sets = confused(score(generalist, dataset.train), specialising.sets, options.seed)
    trainings = [_Specialist(parent, [parent.labels[of] for of in each]) for each in sets]
    for each in trainings:
        each.selected(source)  # says what the data lack before there is a folder
    path, found = find_or_create(config, plan.data_name, running)
    if found and runs.is_finished(path):
        run = runs.load(path)
        shutil.rmtree(path / runs.CHECKPOINTS, ignore_errors=True)  # of one that was killed since
        if running.verbose:
            print(f"finished already: {last_line(run, dataset.name)}")
        return run
    claim = runs.Claim(path / runs.CHECKPOINTS)
    remove_partials(path)
    members = []
    for index, (each, training) in enumerate(zip(sets, trainings, strict=True), start=1):
        if running.verbose:
            print(f"specialist {index} of {len(sets)}: {listed(training.names)}")
        own = dataclasses.replace(running, run_dir=path / f"specialist-{index}", resume=True)
        members.append(Member(each, derive(options, own, training)))
        claim.check()
    metrics = _written(parent, members, config, dataset, path)
    claim.check()
    write_json(path / "metrics.json", metrics)
    shutil.rmtree(path / runs.CHECKPOINTS)
    run = runs.load(path)
    if running.verbose:
        print(last_line(run, dataset.name))
    return run


def _options(parent: applications.Run, asked: dict[str, Any]) -> Options:
    """The parent's, but for what is asked for."""
    config = {name: parent.config[name] for name in OPTIONS}
    config["learning_rate"] *= RATE
    own = {name: value for name, value in asked.items() if value is not None}
    own["threads"] = asked["threads"]
    return Options.made_of({**config, "freeze_until": None, "keep": "best", **own})


def confused(probabilities: np.ndarray, sets: int, seed: int) -> list[list[int]]:
    """Sets of two or more classes that are predicted together, each class in one at most.

    Args:
        probabilities: of the generalist, (N, classes).
        sets: that the classes fall into, those of one class included.
        seed: of k-means.

    Returns:
        Classes of each set, ascending; the sets by their first class.
    """
    from sklearn.cluster import KMeans

    starts: Any = 10  # scikit-learn's annotation knows only its default
    covariance = np.cov(probabilities.astype(np.float64), rowvar=False)
    found = KMeans(sets, n_init=starts, random_state=seed).fit_predict(covariance.T)
    classes = (np.flatnonzero(found == each).tolist() for each in range(sets))
    return sorted(each for each in classes if len(each) > 1)


class _Specialist(Derivation):
    """The training of one specialist, as `training.derive` wants it.

    Args:
        parent: the generalist's run.
        names: the classes of its set.
    """

    def __init__(self, parent: applications.Run, names: list[str]):
        self.parent, self.names = parent, names

    @property
    def recorded(self) -> dict[str, Any]:
        return {"parent": os.fspath(self.parent.path), "specialists": {"classes": self.names}}

    def selected(self, source: Source) -> Source:
        chosen = source.focused(self.names, _dustbin(source.labels), self.parent.config["seed"])
        *own, drawn = chosen.images_of_classes("train").tolist()
        self.offset = math.log((source.count("train") - sum(own)) / drawn)
        return chosen

    def network(self, plan: Plan, dataset: Dataset) -> keras.Model:
        special = [self.parent.labels.index(name) for name in self.names]
        return specialist_of(self.parent.model, special)

    def finish(self, network: keras.Model, path: Path) -> dict[str, Any]:
        return {"dustbin_offset": self.offset, "parent": parent_figures(self.parent)}

    def section(self, metrics: Mapping[str, Any]) -> str:
        return (
            f"\n## A specialist\n\nFor {', '.join(self.names)}; all other classes are one. Half of "
            "its training images are of its own classes, so that its logit of the others is to be "
            f"raised by {self.offset:.4f}. It is a part of the run in the folder above, made of "
            f"{self.parent.path}.\n"
        )


def _dustbin(labels: Sequence[str]) -> str:
    """What all other classes are called: no class's name."""
    name = _DUSTBIN
    while name in labels:
        name = f"({name})"
    return name


def specialist_of(generalist: keras.Model, special: Sequence[int]) -> keras.Model:
    """A network of these classes and a dustbin, with the generalist's weights.

    Args:
        generalist: images -> probabilities (N, classes).
        special: classes of the specialist.

    Returns:
        Images -> probabilities (N, len(special) + 1).
    """
    network = with_classes(generalist, len(special) + 1, seed=0)
    rest = [c for c in range(generalist.output_shape[-1]) if c not in special]
    for layer in network.layers:
        ours, theirs = layer.get_weights(), generalist.get_layer(layer.name).get_weights()
        if any(not np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True)):
            layer.set_weights(
                [
                    np.concatenate(
                        [array[..., list(special)], array[..., rest].mean(axis=-1, keepdims=True)],
                        axis=-1,
                    )
                    for array in theirs
                ]
            )
    return network


class Member(NamedTuple):
    """A specialist: its classes, by their index in the generalist's, and its run."""

    special: list[int]
    run: applications.Run


def combined(
    generalist: keras.Model, specialists: Sequence[tuple[Sequence[int], keras.Model, float]]
) -> keras.Model:
    """One network of the generalist and its specialists, whose sets do not overlap.

    Args:
        generalist: uint8 images (N, H, W, C) -> probabilities (N, classes).
        specialists: of each the classes of its set, its network, which takes the same images, and
            what its dustbin's logit is raised by.

    Returns:
        uint8 images -> the probabilities of equation 5 (N, classes), float32.
    """
    classes = generalist.output_shape[-1]
    images = keras.Input(generalist.input_shape[1:], dtype="uint8", name="images")
    network = keras.Model(generalist.input, generalist.output, name="generalist")
    general: Any = ops.cast(network(images), "float32")
    top: Any = ops.one_hot(ops.argmax(general, axis=-1), classes, dtype="float32")
    answer: Any = general
    for index, (special, model, offset) in enumerate(specialists, start=1):
        inside = np.isin(np.arange(classes), special).astype(np.float32)
        network = keras.Model(model.input, logits_of(model), name=f"specialist_{index}")
        raised = [0.0] * len(special) + [offset]
        logits = _weighed(network(images), 1.0, raised, f"specialist_{index}_raised")
        own: Any = layers.Softmax(dtype="float32", name=f"specialist_{index}_softmax")(logits)
        others = _weighed(general, (1 - inside).tolist(), 0.0, f"specialist_{index}_others")
        share: Any = own[:, -1:] / ops.maximum(ops.sum(others, axis=-1, keepdims=True), _TINY)
        spread: Any = _spread(own[:, :-1], special, classes, f"specialist_{index}_spread")
        said = spread + others * share
        asked = _weighed(top, inside.tolist(), 0.0, f"specialist_{index}_asked")
        answer = answer + ops.sum(asked, axis=-1, keepdims=True) * (said - general) * 0.5
    logits = ops.log(ops.maximum(answer, _TINY))
    predictions = layers.Activation("softmax", dtype="float32", name="settled")(logits)
    return keras.Model(images, predictions, name="specialists")


def _spread(own: Any, special: Sequence[int], classes: int, name: str) -> Any:
    """The probabilities of some classes at their places among all: (N, classes)."""
    place: Any = layers.Dense(classes, use_bias=False, trainable=False, dtype="float32", name=name)
    spread = place(own)
    place.set_weights([np.eye(classes, dtype=np.float32)[list(special)]])
    return spread


def _weighed(x: Any, scale: Any, offset: Any, name: str) -> Any:
    return layers.Rescaling(scale, offset, dtype="float32", name=name)(x)


def _written(
    parent: applications.Run,
    members: Sequence[Member],
    config: Mapping[str, Any],
    dataset: Dataset,
    path: Path,
) -> dict[str, Any]:
    """Every file of the new run but metrics.json, which is returned."""
    network = combined(
        parent.model,
        [(each.special, each.run.model, each.run.metrics["dustbin_offset"]) for each in members],
    )
    rows = [row for each in members for row in each.run.history.to_dict("records")]
    history: Any = [{**row, "epoch": epoch} for epoch, row in enumerate(rows, start=1)]
    steps = [each.run.metrics["steps"] for each in members]
    validation = score(network, dataset.validation)
    labels = dataset.validation.labels
    best = {
        "epoch": len(history),
        "val_accuracy": float(np.mean(validation.argmax(axis=1) == labels)),
        "val_loss": cross_entropy(labels, np.log(np.maximum(validation, _TINY))),
    }
    asked = parent.predictions["probabilities"].argmax(axis=1)
    tested = [np.isin(asked, each.special) for each in members]
    macs = keras_archs.profile(parent.model).macs + sum(
        float(np.mean(rows)) * each.run.metrics["macs"]
        for rows, each in zip(tested, members, strict=True)
    )
    more = {"active_macs": round(macs), "parent": parent_figures(parent)}

    def section(metrics: Mapping[str, Any]) -> str:
        return _section(parent, members, tested, score(network, dataset.test), metrics)

    return write_results(
        *(network, config, dataset, Progress(history, sum(steps)), best, path),
        images=sum(len(each.run.history) for each in members),
        test=True,
        report=None,
        more=more,
        section=section,
    )


def _section(
    parent: applications.Run,
    members: Sequence[Member],
    tested: Sequence[np.ndarray],
    probabilities: np.ndarray,
    metrics: Mapping[str, Any],
) -> str:
    """What the card says: the figures of both, and of each specialist's images."""
    before = parent.predictions
    lines = [
        "| specialist | classes | test images that it is asked about | right before | right |",
        "|---|---|---|---|---|",
    ]
    right = [x.argmax(axis=1) == before["labels"] for x in (before["probabilities"], probabilities)]
    for index, (each, rows) in enumerate(zip(members, tested, strict=True), start=1):
        names = ", ".join(parent.labels[of] for of in each.special)
        counts = " | ".join(f"{int(x[rows].sum()):,}" for x in right)
        lines.append(f"| specialist-{index} | {names} | {int(rows.sum()):,} | {counts} |")
    return (
        "\n## Specialists\n\narXiv:1503.02531, section 5: of an image's most probable class the "
        "specialist is asked, if there is one. That takes "
        f"{metrics['active_macs']:,} multiply-adds an image; the network as it is kept computes "
        "all.\n\n"
        + figures_table({str(parent.path): parent.metrics}, metrics)
        + "\n"
        + "\n".join(lines)
        + "\n"
    )
