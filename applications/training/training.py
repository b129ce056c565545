"""Train an architecture on images, and keep all that comes of it in a run folder."""

import inspect
import math
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import keras
import numpy as np
import pandas as pd

import keras_archs
from applications import runs
from applications.data.batches import balanced_weights, training_batches
from applications.data.images import RESIZES
from applications.data.preprocessing import channel_statistics
from applications.data.sources import Dataset, Source, Subset, open_source
from applications.evaluation import evaluating as evaluation
from applications.logs.dashboards import check_log, check_profile_steps
from applications.logs.tensorboard import TensorBoardLogger
from applications.recipes import catalog as recipes
from applications.training import finetuning
from applications.training.callbacks import (
    Checkpoint,
    Journal,
    ProgressLines,
    Report,
    finished_epochs,
    restore,
)
from keras_archs.architecture import scaled_side
from keras_archs.checks import check_alpha, check_rho
from keras_archs.graph import deep_graphs
from keras_archs.normalization import LocalResponseNormalization
from keras_archs.registry import check_arch
from keras_archs.weights import LoadReport, Preprocessing, load_weights, reverse_colours

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
SMALL_UP_TO = 64  # side in pixels up to which a family that has stems gets the small one
_LARGEST_DEFAULT = 224
_DIGITS_SIDE = 16
_EVALUATION_BATCH = 256
_LOGGED = 64  # validation images whose activations and gradients are logged
AUXILIARY_WEIGHT = 0.3  # of an auxiliary classifier's loss: Szegedy et al. 2014, section 5


def train(
    arch: str,
    *,
    data: str = "digits",
    alpha: float = 1.0,
    rho: float = 1.0,
    size: int | tuple[int, int] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    shift: float | None = None,
    weights: str | None = None,
    adapt: bool = False,
    freeze_until: str | None = None,
    seed: int = 0,
    run_dir: str | os.PathLike | None = None,
    resume: bool = False,
    recipe: str = "default",
    resize: str = "stretch",
    class_weight: str | None = None,
    threads: int | None = None,
    precision: str | None = None,
    args: Mapping[str, Any] | None = None,
    log: Collection[str] | None = None,
    profile_steps: tuple[int, int] | None = None,
    verbose: int = 1,
) -> runs.Run:
    """Train an architecture, test it once, and write a run folder.

    Args:
        arch: its name, as `keras_archs.list_archs` has it.
        data: "digits", a data set of Keras, a folder of images or an `.npz` file; see
            `applications.data.open_source`.
        alpha: width multiplier, > 0.
        rho: resolution multiplier in (0, 1]; images are resized to what is left of the size.
        size: side of the images in pixels, or (height, width). None: 16 for the digits, else the
            data's median side up to 224; more where the recipe or the network needs it.
        epochs: passes over the training images, >= 1. None: the recipe's.
        batch_size: images a step, >= 1. None: the recipe's. Never more than there are images.
        learning_rate: base rate, > 0. None: the recipe's.
        weight_decay: how strongly kernels decay, >= 0, as the recipe's optimizer understands it.
            None: the recipe's.
        shift: largest random shift of a training image, as a fraction of its sides, in [0, 1).
            None: the recipe's.
        weights: None for random weights, or what the builder takes: a file, "imagenet" or
            "hf://timm/NAME". Images then get the preprocessing that these weights were trained
            with, where it is known. With a recipe that starts from layers of another network:
            that network's `.keras` file, of which nothing else is read.
        adapt: whether weights for other classes or channels, a larger `alpha` or another size are
            adapted, as the builder does it.
        freeze_until: None, or a stage of the network: `P{k}`, or how the names of its layers begin.
            For the first quarter of the epochs the layers up to its end are frozen; in the rest
            all learn, at half the rate. Each part has the whole schedule of the recipe.
        seed: of the weights, the order, the augmentation and the splits that the data lack.
        run_dir: the run's own folder. None: `runs/ARCH-DATA-sSEED`, with -2, ... where taken.
        resume: go on with the run in that folder after its last finished epoch: the result is that
            of an uninterrupted run. Starts one where there is none; a finished run is left alone.
        recipe: "default", or an architecture whose paper's recipe is to be used, where nothing that
            it needs is missing yet.
        resize: "stretch", "crop" or "pad": what becomes of images of other proportions.
        class_weight: None, or "balanced": rare classes count as much as frequent ones.
        threads: CPU threads of TensorFlow, >= 1. None leaves it to TensorFlow.
        precision: "float32", "mixed_float16" or "mixed_bfloat16". None: "float32".
        args: the architecture's own arguments and `dropout`, by name. A family with stems gets
            stem="small" for sides up to 64 unless this says otherwise.
        log: what else TensorBoard is to show: any of "histograms", "gradients", "dead_relus", as
            `TensorBoardLogger` says. Costs time after each epoch and changes nothing else.
        profile_steps: first and last training step of a trace by the backend's own profiler,
            counted from 1 at the start or where the run is resumed.
        verbose: 0 prints nothing; 1 a line an epoch, a progress bar and the result.

    Returns:
        The finished run.

    Raises:
        ValueError, TypeError: an argument is wrong, the data cannot be used, the run to be resumed
            has other options, or the loss is no longer finite.
        FileExistsError: `run_dir` exists, and `resume` was not asked for.
        OSError: a file cannot be read or written.
    """
    options = dict(
        arch=arch,
        alpha=alpha,
        rho=rho,
        size=size,
        data=os.fspath(data),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        shift=shift,
        weights=None if weights is None else os.fspath(weights),
        adapt=adapt,
        freeze_until=freeze_until,
        seed=seed,
        recipe=recipe,
        resize=resize,
        class_weight=class_weight,
        threads=threads,
        precision=precision,
        args=dict(args or {}),
    )
    check_log(log)
    check_profile_steps(profile_steps)
    logged = {"log": log, "profile_steps": profile_steps}
    return _train(_with_defaults(options), run_dir, resume, verbose, logged=logged)


def train_trial(
    config: Mapping[str, Any],
    folder: str | os.PathLike,
    *,
    until: int | None = None,
    columns: Mapping[str, Any] | None = None,
    report: Callable[[dict[str, float]], None] | None = None,
) -> runs.Run:
    """Train one configuration of a search, or go on with it, and score it on validation images.

    The test images are not touched: `test_trial` is for the one that wins. The same configuration
    ends with the same weights as in `train`, however often it was interrupted.

    Args:
        config: options of `train` by name; what is missing has its default.
        folder: the run folder, new or of this configuration.
        until: stop after this epoch of the training that the configuration asks for, and keep what
            a later call with a higher number needs to go on. None: train to the end.
        columns: what TensorBoard's table of hyperparameters shows of the configuration in place of
            the architecture's own arguments.
        report: called with each finished epoch's row of the history.

    Returns:
        The run. Its metrics have no test figures.

    Raises:
        As `train`.
    """
    return _train(_with_defaults(config), folder, True, 0, _Trial(until, columns, report))


def test_trial(folder: str | os.PathLike) -> runs.Run:
    """Test a trial that won its search on the test images, once: adds what `train` would have.

    Raises:
        ValueError, FileNotFoundError: the folder holds no finished trial with its model.
    """
    run = runs.load(folder)
    if "test_accuracy" in run.metrics:
        return run
    source = open_source(run.config["data"], seed=run.config["seed"])
    *size, channels = run.model.input_shape[1:]
    dataset = source.at(tuple(size), channels, resize=run.config["resize"])
    tested = _test(run.model, dataset, run.path)
    metrics = {**tested, **run.metrics}
    _write_card(run.model, run.config, dataset, metrics, run.path)
    runs.write_json(run.path / "metrics.json", metrics)
    return runs.load(folder)


class _Trial(NamedTuple):
    """What distinguishes a trial of a search from a training: it is scored on validation alone."""

    until: int | None
    columns: Mapping[str, Any] | None
    report: Callable[[dict[str, float]], None] | None


def _train(
    config: dict[str, Any],
    run_dir: str | os.PathLike | None,
    resume: bool,
    verbose: int,
    trial: _Trial | None = None,
    logged: Mapping[str, Any] | None = None,
) -> runs.Run:
    chosen = _checked_recipe(config)
    if run_dir is not None and not resume:
        runs.check_new(run_dir)
    set_threads(config["threads"])

    source = open_source(config["data"], seed=config["seed"])
    _resolve(config, source, chosen)
    dataset = source.at(_actual_size(config), resize=config["resize"])
    given = {name: config[name] for name in ("weight_decay", "shift") if config[name] is not None}
    chosen = replace(chosen, **given)
    last = min((trial and trial.until) or config["epochs"], config["epochs"])

    keras.utils.set_random_seed(config["seed"])
    with _precision(config["precision"]), deep_graphs():
        whole = {**config, "weights": None} if chosen.pretrained_from else config
        network = _network(whole, dataset)
        _apply(chosen, network, config)
        parts = finetuning.phases(network, config["freeze_until"], config["epochs"])

        path, found = _find_or_create(config, dataset.name, run_dir, resume)
        if found and runs.is_finished(path):
            run = runs.load(path)
            if run.metrics["epochs"] >= last:
                if last == config["epochs"]:
                    shutil.rmtree(path / runs.CHECKPOINT.parent, ignore_errors=True)
                if verbose:
                    print(f"finished already: {_last_line(run, dataset.name)}")
                return run
            (path / "metrics.json").unlink()
        claim = runs.Claim(path / runs.CHECKPOINT.parent)
        for folder in (path, path / runs.CHECKPOINT.parent):
            runs.remove_partials(folder)
        shown = _hyperparameters(config)
        if trial and trial.columns:
            shown = {**trial.columns, **shown}  # a budget may have capped what was proposed
            del shown["args"]
        logger = TensorBoardLogger(
            path,
            shown,
            _images_an_epoch(config, dataset),
            profile=keras_archs.profile(network),
            inputs=_inputs(dataset.validation),
            **(logged or {}),
        )
        try:
            history = _fit(
                network, parts, config, chosen, dataset, path, last, claim, logger, verbose, trial
            )
            claim.check()
            report = getattr(network, "load_report", None)
            network = _without_auxiliary(network)
            metrics = _write_results(
                network, config, dataset, history, path, test=not trial, report=report
            )
            if not trial:
                with np.load(path / "predictions.npz") as tested:
                    figures = tested["labels"], tested["probabilities"]
                logger.add_test(dataset.labels, *figures, dataset.test.batch)
            logger.finish(metrics)
        finally:
            logger.close()
    claim.check()
    runs.write_json(path / "metrics.json", metrics)
    if last == config["epochs"]:
        shutil.rmtree(path / runs.CHECKPOINT.parent)
    run = runs.load(path)
    if verbose:
        print(_last_line(run, dataset.name))
    return run


class Planned(NamedTuple):
    """Options of `train` with nothing left open but the network and its multipliers.

    Attributes:
        options: all that were given, with size, own arguments, batch size and epochs filled in.
        input_shape: (height, width, channels) before `rho`.
        classes: of the data.
        data_name: short name of the data.
    """

    options: dict[str, Any]
    input_shape: tuple[int, int, int]
    classes: int
    data_name: str


def planned(arch: str, options: Mapping[str, Any]) -> Planned:
    """What `train` would make of options before it decodes an image; writes nothing.

    Raises:
        As `train`.
    """
    config = _with_defaults({**options, "arch": arch})
    chosen = _checked_recipe(config)
    source = open_source(config["data"], seed=config["seed"])
    _resolve(config, source, chosen)
    filled = {name: config[name] for name in runs.OPTIONS if name not in ("arch", "alpha", "rho")}
    shape = (*_height_width(config["size"]), source.channels)
    return Planned(filled, shape, len(source.labels), source.name)


def check_network(
    arch: str,
    source: Source,
    *,
    data: str = "digits",
    alpha: float = 1.0,
    rho: float = 1.0,
    size: int | tuple[int, int] | None = None,
    recipe: str = "default",
    args: Mapping[str, Any] | None = None,
) -> None:
    """Raise the error of `train` where these options name no network; decodes and writes nothing.

    All arguments are those of `train`, but for `source`: `data`, opened.
    """
    _check_size(size)
    chosen = recipes.recipe(recipe)
    recipes.check_available(chosen)
    options = {"data": data, "alpha": alpha, "rho": rho, "size": size, "args": dict(args or {})}
    config = {"arch": arch, **options}
    _resolve_input(config, source, chosen)
    keras_archs.profile(arch, **_build_arguments(config, source.channels, len(source.labels)))


# ------------------------------------------------------------------------------------------ options


def _with_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of a training, in the order of config files."""
    arguments = inspect.signature(train).parameters
    defaults = {name: arguments[name].default for name in runs.OPTIONS}
    return runs.plain_options(**{**defaults, **options})


def _checked_recipe(config: dict[str, Any]) -> recipes.Recipe:
    """The recipe, all options checked and put in their usual form."""
    config["arch"] = check_arch(config["arch"]).lower()
    chosen = recipes.recipe(config["recipe"])
    recipes.check_available(chosen)
    config["recipe"] = chosen.name
    config["precision"] = config["precision"] or "float32"
    config["args"] = dict(config["args"] or {})
    _check(config)
    finetuning.check(config)
    recipes.check_weights(chosen, config["weights"])
    return chosen


def _resolve(config: dict[str, Any], source: Source, recipe: recipes.Recipe) -> None:
    """Fill in what the options leave open: size, stem, batch size and epochs."""
    _resolve_input(config, source, recipe)
    images = source.count("train")
    config["batch_size"] = min(config["batch_size"] or recipe.batch_size, images)
    config["epochs"] = config["epochs"] or recipe.epochs_for(images, config["batch_size"])


def _check(config: Mapping[str, Any]) -> None:
    """Raise ValueError unless every option that was given is in its range."""
    check_alpha(config["alpha"])
    check_rho(config["rho"])
    for name in ("epochs", "batch_size", "threads"):
        value = config[name]
        if value is not None and not (_is_integer(value) and value >= 1):
            raise ValueError(f"`{name}` must be an integer >= 1. Received: {name}={value!r}")
    _check_size(config["size"])
    rate = config["learning_rate"]
    if rate is not None and not (
        isinstance(rate, int | float) and not isinstance(rate, bool) and 0 < rate < math.inf
    ):
        raise ValueError(f"`learning_rate` must be > 0. Received: learning_rate={rate!r}")
    for name, below in (("weight_decay", math.inf), ("shift", 1)):
        value = config[name]
        if value is not None and not (
            isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < below
        ):
            wanted = "a number >= 0" if below == math.inf else f"in [0, {below})"
            raise ValueError(f"`{name}` must be {wanted}. Received: {name}={value!r}")
    seed = config["seed"]
    if not (_is_integer(seed) and 0 <= seed < 2**32):
        raise ValueError(f"`seed` must be an integer in 0..2**32 - 1. Received: seed={seed!r}")
    for name, choices in (
        ("resize", RESIZES),
        ("class_weight", (None, "balanced")),
        ("precision", PRECISIONS),
    ):
        if config[name] not in choices:
            wanted = ", ".join(repr(choice) for choice in choices)
            raise ValueError(f"`{name}` must be one of {wanted}. Received: {name}={config[name]!r}")


def _check_size(size: Any) -> None:
    sides = size if isinstance(size, (tuple, list)) and len(size) == 2 else (size,)
    if size is not None and not all(_is_integer(side) and side >= 1 for side in sides):
        raise ValueError(
            f"`size` must be a side in pixels or (height, width), >= 1. Received: size={size!r}"
        )


def _is_integer(value: Any) -> TypeGuard[int]:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _resolve_input(config: dict[str, Any], source: Source, recipe: recipes.Recipe) -> None:
    """Fill in the size before `rho`, and the stem."""
    info = keras_archs.info(config["arch"])
    own, rho = config["args"], config["rho"]
    if config["size"] is None:
        native = _DIGITS_SIDE if config["data"] == "digits" else min(source.side, _LARGEST_DEFAULT)
        side = max(native, recipe.size or recipes.wanted_size(config["arch"]) or 0)
    elif _is_integer(config["size"]):
        side = config["size"]
    else:
        side = min(config["size"])
    if "small" in info.stems and "stem" not in own and scaled_side(side, rho) <= SMALL_UP_TO:
        own["stem"] = "small"
    # Of the arguments that all families share only the dropout has no option of `train`. What is
    # not the family's own is an error here.
    smallest = info.min_size_for(**{k: v for k, v in own.items() if k != "dropout"})
    if config["size"] is None:
        while scaled_side(side, rho) < smallest:
            side += 1
        config["size"] = side


def _height_width(size: Any) -> tuple[int, int]:
    height, width = (size, size) if _is_integer(size) else size
    return height, width


def _actual_size(config: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the network's input."""
    height, width = _height_width(config["size"])
    return scaled_side(height, config["rho"]), scaled_side(width, config["rho"])


def _images_an_epoch(config: Mapping[str, Any], dataset: Dataset) -> int:
    """Training images of full batches."""
    return len(dataset.train) // config["batch_size"] * config["batch_size"]


def set_threads(threads: int | None) -> None:
    """Let TensorFlow compute on so many threads in this process; None leaves it its own choice.

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
    left_out = ("threads", "weights")
    return {name: value for name, value in config.items() if name not in left_out}


def _find_or_create(
    config: dict[str, Any], data_name: str, run_dir: str | os.PathLike | None, resume: bool
) -> tuple[Path, bool]:
    """The run folder, and whether it was there before."""
    if resume:
        path = Path(run_dir or runs.default_run_dir(config, data_name))
        if runs.find_run(path, config):
            return path, True
        run_dir = path
    return runs.new_run_dir(config, data_name, run_dir), False


# -------------------------------------------------------------------------------------- the network


def _build_arguments(config: Mapping[str, Any], channels: int, classes: int) -> dict[str, Any]:
    """The builder's arguments but for the weights, the input resolved."""
    return {
        "input_shape": (*_height_width(config["size"]), channels),
        "classes": classes,
        "alpha": config["alpha"],
        "rho": config["rho"],
        **config["args"],
    }


def _network(config: Mapping[str, Any], dataset: Dataset) -> keras.Model:
    """uint8 images 0..255 -> probabilities: rescaling, normalisation, the architecture's layers.

    A dict of probabilities where the architecture has auxiliary classifiers.
    """
    arguments = _build_arguments(config, dataset.image_shape[-1], len(dataset.labels))
    if config["weights"] is not None:
        arguments |= {"weights": config["weights"], "adapt": config["adapt"]}
    built = keras_archs.build(config["arch"], **arguments)
    report = getattr(built, "load_report", None)
    if report and report.preprocessing:
        mean, variance = _statistics_of(report.preprocessing, built)
    else:
        mean, variance = channel_statistics(dataset.train)
    images = keras.Input(dataset.image_shape, dtype="uint8", name="images")
    x = keras.layers.Rescaling(1 / 255, dtype="float32", name="rescaling")(images)
    x = keras.layers.Normalization(
        mean=mean, variance=variance, dtype="float32", name="normalization"
    )(x)

    def call(layer, *inputs, **options):
        normalised: Any = keras.tree.map_structure(lambda t: x if t is images else t, inputs)
        return layer(*normalised, **options)

    # Not `built(x)`, which would be a model inside a model.
    network = keras.models.clone_model(built, input_tensors=images, call_function=call)
    network.set_weights(built.get_weights())
    network.load_report = report
    return network


def _statistics_of(
    preprocessing: Preprocessing, built: keras.Model
) -> tuple[list[float], list[float]]:
    """Mean and variance of each channel, red first, pixels scaled to 0..1.

    Weights that want blue first get kernels that read red first.
    """
    if preprocessing.bgr:
        reverse_colours(built)
    mean, std = np.array(preprocessing.mean) / 255, np.array(preprocessing.std) / 255
    return mean.tolist(), (std**2).tolist()


def _without_auxiliary(network: keras.Model) -> keras.Model:
    """The network as it is used: its own predictions alone."""
    if not isinstance(network.output, dict):
        return network
    return keras.Model(network.inputs, network.output["predictions"], name=network.name)


def _apply(recipe: recipes.Recipe, network: keras.Model, config: dict[str, Any]) -> None:
    """What the recipe says of the network itself; fills in the learning rate."""
    norms = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
    if recipe.norm_momentum is not None:
        for layer in norms:
            layer.momentum = recipe.norm_momentum
    if recipe.pretrained_from:
        _draw(network, recipe, config["seed"])
        load_weights(network, config["weights"], recipe.pretrained_layers)
    elif config["weights"] is None:
        _draw(network, recipe, config["seed"])
    if config["learning_rate"] is None:
        plain = None if norms else recipe.plain_learning_rate
        config["learning_rate"] = plain or recipe.learning_rate


def _draw(network: keras.Model, recipe: recipes.Recipe, seed: int) -> None:
    """Draw the kernels anew, as the recipe's initializers say."""
    random = np.random.default_rng(seed)
    kernels = list(_kernels(network))
    for kernel, depthwise in kernels:
        initializer = recipe.initializer
        if kernel is kernels[-1][0]:
            initializer = recipe.last_initializer or initializer
        if initializer is None or (initializer.power and depthwise):
            continue
        shape = tuple(kernel.shape)
        width = initializer.scale / math.prod(shape[:-1]) ** initializer.power
        kernel.assign(_standard(random, initializer.distribution, shape) * width)


def _standard(random: np.random.Generator, distribution: str, shape: tuple[int, ...]) -> np.ndarray:
    """Normal of deviation 1, the same without what is beyond 2, or uniform in [-1, 1): float32."""
    if distribution == "uniform":
        return random.uniform(-1, 1, shape).astype(np.float32)
    values = random.standard_normal(shape, np.float32)
    while distribution == "truncated" and (far := np.abs(values) > 2).any():
        values[far] = random.standard_normal(np.count_nonzero(far), np.float32)
    return values


def _kernels(network: keras.Model) -> Iterator[tuple[keras.Variable, bool]]:
    """The trainable kernels, those of a separable convolution too; whether each is depthwise."""
    for layer in network.layers:
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        for variable in layer.trainable_variables:
            if variable.name.endswith("kernel"):
                yield variable, depthwise or variable.name == "depthwise_kernel"


def _schedule(recipe: recipes.Recipe, rate: float, steps: int) -> Any:
    """The learning rate by step: a Keras schedule."""
    schedules = keras.optimizers.schedules
    if recipe.schedule == "cosine":
        warmup = round(recipe.warmup * steps)
        return schedules.CosineDecay(
            0.0 if warmup else rate,
            max(1, steps - warmup),
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    if recipe.schedule == "linear":
        return schedules.PolynomialDecay(rate, steps, end_learning_rate=0.0)
    # Of steps that a short training begins at once the last one counts.
    factors = {round(start * steps): factor for start, factor in recipe.schedule}
    rates = [rate, *(rate * factor for factor in factors.values())]
    # Keras changes the rate after a boundary, and so one step later.
    return schedules.PiecewiseConstantDecay([start - 1 for start in factors], rates)


def _optimizer(
    recipe: recipes.Recipe, network: keras.Model, rate: float, steps: int
) -> keras.optimizers.Optimizer:
    """The recipe's optimizer; attaches its weight decay to the network."""
    decayed = {
        id(kernel): kernel
        for kernel, depthwise in _kernels(network)
        if recipe.decay_depthwise or not depthwise
    }
    decoupled = recipe.optimizer == "AdamW"
    options: dict[str, Any] = {**recipe.optimizer_options, "clipnorm": recipe.clipnorm}
    if decoupled:
        options["weight_decay"] = recipe.weight_decay
    optimizer = getattr(keras.optimizers, recipe.optimizer)(
        _schedule(recipe, rate, steps), **options
    )
    if decoupled:
        rest = [v for v in network.trainable_variables if id(v) not in decayed]
        optimizer.exclude_from_weight_decay(var_list=rest)
    elif recipe.weight_decay:
        for kernel in decayed.values():
            kernel.regularizer = keras.regularizers.L2(recipe.weight_decay / 2)
    return optimizer


# ------------------------------------------------------------------------------------- the training


class _WithAuxiliary(keras.Model):
    """A model that learns from its auxiliary predictions too; its metrics are of its own alone."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        predictions: Any = y_pred
        loss: Any = super().compute_loss(x, y, predictions["predictions"], sample_weight, training)
        if training:
            loss_of: Any = keras.losses.get(self.loss)
            for name in sorted(predictions.keys() - {"predictions"}):
                each: Any = loss_of(y, predictions[name])
                if sample_weight is not None:
                    each = each * keras.ops.cast(sample_weight, each.dtype)
                mean: Any = keras.ops.mean(each)
                loss += AUXILIARY_WEIGHT * mean
        return loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, y, y_pred["predictions"], sample_weight)


def _compiled(network: keras.Model, recipe: recipes.Recipe, rate: float, steps: int) -> keras.Model:
    """The network's layers with the recipe's optimizer and loss.

    A model of its own: that of the run folder stays free of optimizer and training.
    """
    kind = _WithAuxiliary if isinstance(network.output, dict) else keras.Model
    model = kind(network.inputs, network.output, name=network.name)
    model.compile(
        _optimizer(recipe, network, rate, steps),
        loss="sparse_categorical_crossentropy",
        metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
    )
    # TensorFlow traces a step twice if the first run makes variables, as an optimizer that is not
    # built does, and a metric that is given by name.
    model.optimizer.build(model.trainable_variables)
    return model


def _inputs(subset: Subset) -> tuple[np.ndarray, np.ndarray]:
    """Images at even distances, and their labels, at which the logger looks into the network."""
    rows = np.linspace(0, len(subset) - 1, min(len(subset), _LOGGED)).astype(np.int64)
    return subset.batch(rows), subset.labels[rows]


class _Images(keras.utils.PyDataset):
    """A split in its own order."""

    def __init__(self, subset: Subset):
        super().__init__()
        self.subset = subset

    def __len__(self):
        return math.ceil(len(self.subset) / _EVALUATION_BATCH)

    def __getitem__(self, index):
        stop = min(len(self.subset), (index + 1) * _EVALUATION_BATCH)
        rows = np.arange(index * _EVALUATION_BATCH, stop)
        return self.subset.batch(rows), self.subset.labels[rows]


def _fit(
    network: keras.Model,
    parts: list[finetuning.Phase],
    config: Mapping[str, Any],
    recipe: recipes.Recipe,
    dataset: Dataset,
    path: Path,
    last: int,
    claim: runs.Claim,
    logger: TensorBoardLogger,
    verbose: int,
    trial: _Trial | None,
) -> list[dict[str, float]]:
    """Train from the run's last finished epoch, if there is one, to epoch `last`: the history."""
    checkpoint, epochs = path / runs.CHECKPOINT, config["epochs"]
    steps = _images_an_epoch(config, dataset) // config["batch_size"]
    weights = None
    if config["class_weight"] == "balanced":
        weights = balanced_weights(dataset.train.labels, len(dataset.labels))
    rows: list[dict[str, float]] = []
    done = finished_epochs(checkpoint)
    for part in finetuning.parts_left(parts, done):
        rate, span = part.rate * config["learning_rate"], (part.stop - part.start) * steps
        schedule = _schedule(recipe, rate, span)
        with finetuning.frozen(network, part.frozen):
            model = _compiled(network, recipe, rate, span)
            if done and not rows:
                rows += restore(checkpoint, model)
            first = logger.epochs = len(rows)
            if first >= min(part.stop, last):
                continue
            batches = training_batches(
                dataset.train,
                batch_size=config["batch_size"],
                seed=config["seed"],
                first_epoch=first,
                shift=recipe.shift,
                mirror=recipe.mirror and dataset.mirror,
                class_weights=weights,
            )
            progress = [ProgressLines(epochs, steps, rows)] if verbose else []
            try:
                model.fit(
                    batches,
                    initial_epoch=first,
                    epochs=min(part.stop, last),
                    steps_per_epoch=steps,
                    validation_data=_Images(dataset.validation),
                    shuffle=False,  # the batches come in their own order
                    verbose=0,  # pyright: ignore[reportArgumentType]
                    # The journal refuses a bad loss before anything is logged or saved; the log is
                    # on disk before the checkpoint that says its epoch is done.
                    callbacks=[
                        Journal(schedule, steps, rows, part.start * steps),
                        *progress,
                        logger,
                        Checkpoint(checkpoint, rows, claim),
                        *([Report(trial.report, rows)] if trial and trial.report else []),
                    ],
                )
            except KeyboardInterrupt:
                where = f"after epoch {len(rows)} of {epochs}" if rows else "in the first epoch"
                raise KeyboardInterrupt(
                    f"interrupted {where}: `--resume` goes on from there ({path})"
                ) from None
            finally:
                for callback in progress:
                    callback.close()
    return rows


# --------------------------------------------------------------------------------------- the result


def _write_results(
    network: keras.Model,
    config: Mapping[str, Any],
    dataset: Dataset,
    history: list[dict[str, float]],
    path: Path,
    test: bool,
    report: LoadReport | None,
) -> dict[str, Any]:
    """Write every file of the run folder but metrics.json, which is returned; `test` if asked."""
    profile = keras_archs.profile(network)
    p50, p95 = evaluation.latency(network)
    seconds = [row["seconds"] for row in history]
    images = _images_an_epoch(config, dataset)
    metrics = {
        **(_test(network, dataset, path) if test else {}),
        "validation_accuracy": history[-1]["val_accuracy"],
        "validation_loss": history[-1]["val_loss"],
        "params": profile.params,
        "trainable_params": profile.trainable_params,
        "macs": profile.macs,
        "peak_activation_bytes": profile.peak_activation_bytes,
        "input_shape": list(dataset.image_shape),
        "latency_ms_p50": p50,
        "latency_ms_p95": p95,
        "epochs": len(history),
        "train_seconds": round(sum(seconds), 3),
        "images_per_second": round(images / float(np.median(seconds)), 1),
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
        **({"weights": str(report).splitlines()} if report else {}),
    }
    runs.write_atomic(path / "model.keras", network.save)
    runs.write_json(path / "labels.json", list(dataset.labels))
    runs.write_json(path / "split.json", dataset.split)
    runs.write_atomic(path / "history.csv", _csv(pd.DataFrame(history)))
    runs.write_atomic(path / "profile.csv", _csv(profile.to_dataframe()))
    _write_card(network, config, dataset, metrics, path)
    return metrics


def _test(network: keras.Model, dataset: Dataset, path: Path) -> dict[str, Any]:
    """The metrics of the test images; keeps their predictions in the run folder."""
    probabilities = evaluation.score(network, dataset.test, _EVALUATION_BATCH)
    runs.write_atomic(
        path / "predictions.npz",
        lambda file: np.savez_compressed(
            file,
            ids=np.array(dataset.test.ids, dtype=np.str_),
            labels=dataset.test.labels,
            probabilities=probabilities,
        ),
    )
    return evaluation.metrics(dataset.test.labels, probabilities, dataset.labels)


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, lineterminator="\n")


def _write_card(
    network: keras.Model,
    config: Mapping[str, Any],
    dataset: Dataset,
    metrics: Mapping[str, Any],
    path: Path,
) -> None:
    """Write card.md: what the model is, what it was trained on and how, how good, how to use."""
    info = keras_archs.info(config["arch"])
    recipe = recipes.recipe(config["recipe"])
    height, width, channels = dataset.image_shape
    classes = len(dataset.labels)
    shown = ", ".join(dataset.labels[:20]) + (", ..." if classes > 20 else "")
    p50, p95 = metrics["latency_ms_p50"], metrics["latency_ms_p95"]
    normalises = any(isinstance(x, LocalResponseNormalization) for x in network.layers)
    after = " after `from keras_archs import LocalResponseNormalization`" if normalises else ""
    tested = "test_accuracy" in metrics
    results = {
        "validation accuracy": f"{100 * metrics['validation_accuracy']:.2f} %",
        "latency p50": f"{p50:.2f} ms",
        "p95": f"{p95:.2f} ms",
    }
    if tested:
        results = {
            "test accuracy": f"{100 * metrics['test_accuracy']:.2f} %",
            "macro F1": f"{metrics['macro_f1']:.4f}",
            "test loss": f"{metrics['test_loss']:.4f}",
            **results,
        }
    started = "".join(f"- {line}\n" for line in metrics.get("weights", ()))
    if started:
        started = f"\n## Weights it started from\n\n{started}"
    options = "\n".join(
        f"- {name}: {value}" for name, value in config.items() if value not in (None, {}, False)
    )
    page = f"""# {config["arch"]} on {dataset.name}

{info.paper}

## Model

- input: uint8 images 0..255, {height}x{width}, {channels} channel{"s" * (channels > 1)}; rescaling
  and normalisation are inside
- output: probabilities of {classes} classes: {shown}
- {metrics["params"]:,} parameters ({metrics["trainable_params"]:,} trainable),
  {metrics["macs"]:,} multiply-accumulates

## Data

{dataset.name}: {len(dataset.train):,} training, {len(dataset.validation):,} validation and
{len(dataset.test):,} test images; split.json names them. The test images were
{"used once, after training" if tested else "not used: this is a trial of a search"}.

## Training

Recipe "{recipe.name}" ({recipe.source}), {metrics["epochs"]} epochs in
{metrics["train_seconds"]:.0f} s on {metrics["backend"]} with Keras {metrics["keras"]}.

{options}
{started}
## Results

| {" | ".join(results)} |
|{"---|" * len(results)}
| {" | ".join(results.values())} |

Latency is that of one image on the machine of the training.

## Use

```python
import applications

run = applications.load({str(path)!r})
run.predict(["image.png"])  # probabilities, in the order of run.labels
```

`keras.saving.load_model("model.keras")` loads the network alone{after}.
"""
    runs.write_atomic(path / "card.md", page)


def _last_line(run: runs.Run, data_name: str) -> str:
    config, metrics = run.config, run.metrics
    multipliers = [f" {name} {config[name]:g}" for name in ("alpha", "rho") if config[name] != 1]
    return (
        f"{config['arch']}{''.join(multipliers)} on {data_name}: "
        f"{100 * metrics['test_accuracy']:.1f} % test accuracy, {_short(metrics['params'])} "
        f"parameters, {metrics['train_seconds']:.0f} s -> {run.path}"
    )


def _short(count: int) -> str:
    """1234567 -> "1.2M"."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if count >= unit:
            return f"{count / unit:.1f}{name}"
    return str(count)
