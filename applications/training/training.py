"""Train an architecture on images, and write everything into a run folder."""

import dataclasses
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

import keras_archs
from applications import runs
from applications.console import one_line, retracing_unsaid
from applications.data.augmentation import Augmentation, Mixing
from applications.data.batches import TrainingBatches, balanced_weights, lent, smoothed_targets
from applications.data.preprocessing import colour_components
from applications.data.sources import Dataset, Subset, open_source
from applications.files import remove_partials, write_json
from applications.logs.diagnostics import device_name
from applications.logs.tensorboard import TensorBoardLogger
from applications.options import Group, Options, Plan, Running, takes
from applications.training import finetuning
from applications.training.building import built_network, without_auxiliary
from applications.training.callbacks import Journal, ProgressLines, Report, UnbiasedStatistics
from applications.training.checkpoints import (
    Best,
    Checkpoint,
    CtrlC,
    last_checkpoint,
    put_best_back,
    restore,
)
from applications.training.deriving import Derivation
from applications.training.devices import (
    batch_starts,
    device_count,
    on_devices,
    on_one_device,
    sum_gradients,
    synchronized,
)
from applications.training.growth import Growth
from applications.training.memory import check_memory, naming_what_is_too_large
from applications.training.optimizing import (
    averaged_at_the_end,
    compiled_model,
    prepare,
    schedule_of,
    short_memory,
    soft_targets,
    varied,
)
from applications.training.progress import Ends, Progress
from applications.training.results import (
    last_line,
    test_network,
    write_card,
    write_results,
)
from applications.training.teaching import FallingTeacher, hint_phases, teacher_of
from applications.training.transferring import transfer
from keras_archs.graph import deep_graphs

_LOGGED = 64  # validation images whose activations and gradients are logged


@takes(Group(Options), Group(Running))
def train(options: Options, running: Running) -> runs.Run:
    """Train an architecture, test it once, and write a run folder.

    Args:

    Returns:
        The finished run.

    Raises:
        ValueError, TypeError: an argument is wrong, the data cannot be used, the run to be resumed
            has other options, or the loss is no longer finite.
        FileExistsError: `run_dir` exists, and `resume` was not asked for.
        OSError: a file cannot be read or written.
    """
    return _train(options, running)


def train_trial(
    options: Options,
    folder: str | os.PathLike[str],
    *,
    until: int | None = None,
    columns: Mapping[str, Any] | None = None,
    parents: Sequence[str] = (),
    report: Callable[[dict[str, float]], None] | None = None,
) -> runs.Run:
    """Train one configuration of a search, or resume it, and score it on validation images.

    The test images are not touched: `test_trial` is for the one that wins. The same configuration
    ends with the same weights as in `train`, however often it was interrupted.

    Args:
        options: of the training.
        folder: the run folder, new or of this configuration.
        until: stop after this epoch of the training that the configuration asks for, and keep what
            a later call with a higher number needs to continue. None: train to the end.
        columns: what TensorBoard's table of hyperparameters shows of the configuration in place of
            the architecture's own arguments.
        parents: names of the run folders, beside this one, of finished trials: the network begins
            as that of the first one that it can be grown from. Without one it begins anew.
        report: called with each finished epoch's row of the history.

    Returns:
        The run. Its metrics have no test figures.

    Raises:
        As `train`.
    """
    running = Running(run_dir=folder, resume=True, verbose=0)
    trial = _Trial(until, columns, report)
    return _train(options, running, trial, transfer(options, folder, parents))


def test_trial(folder: str | os.PathLike[str]) -> runs.Run:
    """Test a trial that won its search on the test images, once: adds what `train` would have.

    Raises:
        ValueError, FileNotFoundError: the folder holds no finished trial with its model.
    """
    run = runs.load(folder)
    if "test_accuracy" in run.metrics:
        return run
    set_threads(run.config["threads"])
    source = open_source(run.config["data"], seed=run.config["seed"])
    *size, channels = run.model.input_shape[1:]
    dataset = source.at(tuple(size), channels, resize=run.config["resize"])
    mirrored = run.config["test_mirrored"]
    tested = test_network(run.model, dataset, run.path, mirrored=mirrored)
    metrics = {**tested, **run.metrics}
    write_card(run.model, run.config, dataset, metrics, run.path)
    write_json(run.path / "metrics.json", metrics)
    return runs.load(folder)


class _Trial(NamedTuple):
    """What distinguishes a trial of a search from a training: it is scored on validation alone."""

    until: int | None
    columns: Mapping[str, Any] | None
    report: Callable[[dict[str, float]], None] | None


def derive(options: Options, running: Running, derivation: Derivation) -> runs.Run:
    """Train another run's network on, as `train` does with all that belongs to it.

    Raises:
        As `train`.
    """
    return _train(options, running, derivation=derivation)


@retracing_unsaid()
def _train(
    options: Options,
    running: Running,
    trial: _Trial | None = None,
    derivation: Derivation | None = None,
) -> runs.Run:
    if running.run_dir is not None and not running.resume:
        runs.check_new(running.run_dir)
    set_threads(options.threads)

    source = open_source(str(options.data), seed=options.seed)
    if derivation:
        source = derivation.selected(source)
    plan = options.planned(source)
    check_memory(plan, source)
    if running.verbose and (options.batch_size or 0) > plan.batch_size:
        print(
            f"warning: a step takes all {plan.batch_size} training images, fewer than the "
            f"`batch_size` of {options.batch_size}",
            file=sys.stderr,
        )
    options = plan.options
    config = {**plan.config, **(derivation.recorded if derivation else {})}
    if running.verbose and source.not_read:
        first = one_line(source.not_read[0])
        more = f" and {len(source.not_read) - 1} more" if len(source.not_read) > 1 else ""
        print(f"not read: {first}{more} (split.json names all)", file=sys.stderr)
    if running.verbose and options.precision == "mixed_float16" and device_name() is None:
        print(
            "warning: a CPU computes mixed_float16 several times slower than float32: "
            "without `precision` it takes float32",
            file=sys.stderr,
        )
    dataset = source.at(plan.image_size, resize=options.resize, cache=options.cache)
    dataset.check()
    epochs = plan.epochs
    last = min((trial and trial.until) or epochs, epochs)
    images = len(dataset.train) // plan.batch_size * plan.batch_size  # of full batches

    keras.utils.set_random_seed(options.seed)
    devices = device_count(options.devices, plan.batch_size, source.count("validation"))
    with _precision(options.precision or "float32"), deep_graphs(), ExitStack() as stack:
        stack.enter_context(on_devices(devices))
        if derivation:
            network = derivation.network(plan, dataset)
        else:
            network = built_network(plan, dataset)
            prepare(network, plan)
        if devices > 1:
            synchronized(network, on=True)
        growth = Growth(plan)
        learning = varied(network, plan.recipe, options.seed, growth.smaller)
        teacher = teacher_of(plan, dataset.labels, network)
        teaching = plan.recipe.teaching
        parts = finetuning.phases(network, options.freeze_until, epochs)
        if teaching and options.freeze_until is None and not derivation:
            parts = hint_phases(network, teaching, epochs)

        path, found = find_or_create(config, plan.data_name, running)
        if found and runs.is_finished(path):
            run = runs.load(path)
            ended = run.metrics.get("ended")
            if ended or run.metrics["epochs"] >= last:
                if ended or last == epochs:
                    shutil.rmtree(path / runs.CHECKPOINTS, ignore_errors=True)
                if running.verbose:
                    print(f"finished already: {last_line(run, dataset.name)}")
                return run
            (path / "metrics.json").unlink()
        claim = runs.Claim(path / runs.CHECKPOINTS)
        for folder in (path, path / runs.CHECKPOINTS):
            remove_partials(folder)
        shown = _hyperparameters(config)
        if trial and trial.columns:
            shown = {**trial.columns, **shown}  # a budget may have capped what was proposed
            del shown["args"]
        logger = TensorBoardLogger(
            path,
            shown,
            images,
            profile=keras_archs.profile(network),
            inputs=_inputs(dataset.validation),
            log=running.log,
            profile_steps=running.profile_steps,
        )
        try:
            progress = _fit(
                *(network, learning, growth, devices, teacher, parts, plan, dataset, path, last),
                *(claim, logger, running, trial, derivation),
            )
            claim.check()
            report = getattr(network, "load_report", None)
            best = progress.history[-1]
            if options.keep == "best":
                best = put_best_back(network, path / runs.CHECKPOINTS, progress.history)
            stack.close()  # one device tests and keeps it
            network = without_auxiliary(network)
            if devices > 1:
                network = on_one_device(network)
            metrics = write_results(
                *(network, config, dataset, progress, best, path),
                images=images,
                test=not trial,
                report=report,
                more=derivation.finish(network, path) if derivation else {},
                section=derivation.section if derivation else None,
            )
            if not trial:
                with np.load(path / "predictions.npz") as tested:
                    figures = tested["labels"], tested["probabilities"]
                logger.add_test(dataset.labels, *figures, dataset.test.batch)
            logger.finish(metrics)
        finally:
            logger.close()
    claim.check()
    write_json(path / "metrics.json", metrics)
    if last == epochs or progress.ended:
        shutil.rmtree(path / runs.CHECKPOINTS)
    run = runs.load(path)
    if running.verbose:
        print(last_line(run, dataset.name))
    return run


def set_threads(threads: int | None) -> None:
    """Let TensorFlow use this number of threads in this process; None leaves it the choice.

    Raises:
        ValueError: with another backend, or if TensorFlow has computed with another number already.
    """
    if threads is None:
        return
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "`threads` must be None on backends other than TensorFlow. "
            f"Received: threads={threads}, backend={keras.backend.backend()}"
        )
    import tensorflow as tf

    settings = tf.config.threading
    for get, set_ in (
        (settings.get_intra_op_parallelism_threads, settings.set_intra_op_parallelism_threads),
        (settings.get_inter_op_parallelism_threads, settings.set_inter_op_parallelism_threads),
    ):
        try:
            if get() != threads:
                set_(threads)
        except RuntimeError:
            raise ValueError(
                "`threads` must be set before TensorFlow computes anything in this process. "
                f"Received: threads={threads}"
            ) from None


@contextmanager
def _precision(name: str) -> Iterator[None]:
    """Layers made in here compute in this precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _hyperparameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options as TensorBoard's table shows them: the same names in every run."""
    left_out = ("threads", "cache", "devices", "weights", *runs.DERIVED)
    return {name: value for name, value in config.items() if name not in left_out}


def find_or_create(config: dict[str, Any], data_name: str, running: Running) -> tuple[Path, bool]:
    """The run folder, and whether it was there before."""
    run_dir = running.run_dir
    if running.resume:
        path = Path(run_dir or runs.default_run_dir(config, data_name))
        if runs.find_run(path, config):
            return path, True
        run_dir = path
    return runs.new_run_dir(config, data_name, run_dir), False


# ------------------------------------------------------------------------------------- the training


def _inputs(subset: Subset) -> tuple[np.ndarray, np.ndarray]:
    """Images at even distances, and their labels, at which the logger looks into the network."""
    rows = np.linspace(0, len(subset) - 1, min(len(subset), _LOGGED)).astype(np.int64)
    return subset.batch(rows), subset.labels[rows]


class _Images(keras.utils.PyDataset):
    """A split in its own order; with `targets` each label's row in its place."""

    def __init__(self, subset: Subset, targets: np.ndarray | None, devices: int):
        super().__init__()
        self.subset, self.targets = subset, targets
        self.starts = batch_starts(len(subset), devices)

    def __len__(self):
        return len(self.starts) - 1

    def __getitem__(self, index):
        rows = np.arange(*self.starts[index : index + 2])
        labels = self.subset.labels[rows]
        return self.subset.batch(rows), labels if self.targets is None else self.targets[labels]


def _augmentation(plan: Plan, dataset: Dataset) -> Augmentation:
    recipe, mirror = plan.recipe, plan.options.mirror
    affine, jitter = recipe.affine, recipe.colour_jitter
    return Augmentation(
        area=recipe.area,
        scale=recipe.scale,
        affine=affine and affine._asdict(),
        shift=recipe.shift,
        mirror=recipe.mirror and dataset.mirror if mirror is None else mirror,
        colour_jitter=jitter and jitter._asdict(),
        lighting=colour_components(dataset.train, recipe.lighting) if recipe.lighting else None,
        rand_augment=recipe.rand_augment,
        random_erasing=recipe.random_erasing,
    )


def _fit(
    network: keras.Model,
    learning: keras.Model,
    growth: Growth,
    devices: int,
    teacher: keras.Model | None,
    parts: list[finetuning.Phase],
    plan: Plan,
    dataset: Dataset,
    path: Path,
    last: int,
    claim: runs.Claim,
    logger: TensorBoardLogger,
    running: Running,
    trial: _Trial | None,
    derivation: Derivation | None,
) -> Progress:
    """Train from the run's last checkpoint, if there is one, to epoch `last` or an early end.

    `learning` are the layers of `network` as they are trained.
    """
    options, recipe = plan.options, plan.recipe
    checkpoints, epochs, batch_size = path / runs.CHECKPOINTS, plan.epochs, plan.batch_size
    steps = len(dataset.train) // batch_size
    augmentation = _augmentation(plan, dataset)
    mixing = Mixing(recipe.mixup, recipe.cutmix) if recipe.mixup or recipe.cutmix else None
    learner = derivation.learner if derivation else None
    extra = derivation.soft_targets(dataset, checkpoints) if derivation else None
    targets = wanted = weights = None
    if learner or soft_targets(recipe):
        classes = len(dataset.labels)
        targets, wanted = (smoothed_targets(classes, s) for s in (recipe.label_smoothing, 0.0))
    if options.class_weight == "balanced":
        weights = balanced_weights(dataset.train.labels, len(dataset.labels))
    saved = last_checkpoint(checkpoints, or_anew=trial is not None, epochs=epochs, steps=steps)
    progress = saved.progress if saved else Progress()
    rows = progress.history
    progress.steps = progress.steps or len(rows) * steps  # older checkpoints lack it
    for part in finetuning.parts_left(parts, len(rows) + (progress.step > 0)):
        rate, span = part.rate * plan.learning_rate, (part.stop - part.start) * steps
        schedule, stop = schedule_of(recipe, rate, span), min(part.stop, last)
        with finetuning.frozen(network, part.frozen), short_memory(network, span):
            model = compiled_model(
                *(learning, recipe, rate, span),
                teacher=teacher,
                hints=part.hints,
                learner=learner,
            )
            sum_gradients(model.optimizer, devices)
            sums: list[np.ndarray] = []
            if saved:
                restore(saved, model)
                sums, saved = saved.sums, None
            logger.epochs = len(rows)
            ends = Ends(
                progress,
                epochs * steps,
                first=part.start,
                patience=options.patience if part is parts[-1] else None,
                seconds=options.time_limit and 60 * options.time_limit,
            )
            with averaged_at_the_end(model), naming_what_is_too_large(plan), CtrlC() as ctrl_c:
                while len(rows) < stop and not progress.ended:
                    # What is left of an epoch that was cut, or all epochs of this part in which
                    # images have the same size.
                    first, done = len(rows), progress.step
                    size, until = growth.at(first)
                    batches = TrainingBatches(
                        dataset.train,
                        batch_size=batch_size,
                        seed=options.seed,
                        epoch=first,
                        done=done,
                        augmentation=dataclasses.replace(augmentation, size=size),
                        mixing=mixing,
                        targets=targets,
                        soft_targets=extra,
                        class_weights=weights,
                    )
                    validation = _Images(dataset.validation, wanted, devices)
                    own: list[keras.callbacks.Callback] = [
                        UnbiasedStatistics(progress.steps - part.start * steps, begun=done > 0)
                    ]
                    if derivation:
                        own += derivation.callbacks(network, progress, epochs * steps)
                    if options.keep == "best":
                        own.append(Best(network, checkpoints, progress, claim))
                    if recipe.averaging:
                        own.append(keras.callbacks.SwapEMAWeights())
                    if recipe.teaching and not part.hints:
                        own.append(FallingTeacher(recipe.teaching, part))
                    lines = [ProgressLines(epochs, steps, progress)] if running.verbose else []
                    minutes = running.checkpoint_minutes or None
                    callbacks = [
                        keras.callbacks.LambdaCallback(
                            on_epoch_begin=lambda epoch, _, of=batches: of.begin(epoch)
                        ),
                        *own,
                        # The journal refuses a bad loss before anything is logged or saved; the log
                        # is on disk before the checkpoint that says its epoch is done.
                        Journal(schedule, progress, part.start * steps),
                        ends,
                        *lines,
                        logger,
                        Checkpoint(checkpoints, progress, claim, minutes, sums, ctrl_c),
                        *([Report(trial.report, rows)] if trial and trial.report else []),
                        keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ctrl_c.interrupt()),
                    ]
                    try:
                        with lent(batches, validation):
                            model.fit(
                                batches,
                                initial_epoch=first,
                                epochs=first + 1 if done else min(until, stop),
                                validation_data=validation,
                                shuffle=False,  # the batches come in their own order
                                verbose=0,  # pyright: ignore[reportArgumentType]
                                callbacks=callbacks,
                            )
                    except KeyboardInterrupt:
                        where = (
                            f"after epoch {len(rows)} of {epochs}" if rows else "in the first epoch"
                        )
                        raise KeyboardInterrupt(
                            f"interrupted {where}: `--resume` continues from there ({path})"
                        ) from None
                    finally:
                        for callback in lines:
                            callback.close()
                    sums = []
    return progress
