# Made by `python docs/stubs.py`: change the code that it describes.

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import pandas

import tuning
from applications import children as children
from applications import cli as cli
from applications import comparison as comparison
from applications import console as console
from applications import data as data
from applications import evaluation as evaluation
from applications import files as files
from applications import learning as learning
from applications import logs as logs
from applications import options as options
from applications import recipes as recipes
from applications import runs as runs
from applications import searching as searching
from applications import shipping as shipping
from applications import training as training
from applications.comparison.benching import bench as bench
from applications.comparison.drawing import plot_architecture as plot_architecture
from applications.comparison.inspecting import lint as lint
from applications.comparison.inspecting import summary as summary
from applications.evaluation.evaluating import predict as predict
from applications.evaluation.explaining import explain as explain
from applications.learning.retrieving import Retrieved
from applications.logs.dashboards import dashboard as dashboard
from applications.recipes import list_recipes as list_recipes
from applications.recipes import recipe as recipe
from applications.runs import Run as Run
from applications.runs import load as load
from applications.searching.studies import SearchResult
from applications.shipping.projects import new as new

__all__ = [
    "Run",
    "load",
    "summary",
    "lint",
    "bench",
    "train",
    "evaluate",
    "predict",
    "explain",
    "plot_architecture",
    "compare",
    "search",
    "distill",
    "grow",
    "shrink",
    "retrieve",
    "specialists",
    "compress",
    "new",
    "serve",
    "export",
    "dashboard",
    "recipe",
    "list_recipes",
]

def train(
    arch: str,
    *,
    data: str | os.PathLike[str] | tuple[Any, Any] | Mapping[str, Any] = "digits",
    alpha: float = 1.0,
    rho: float = 1.0,
    size: int | tuple[int, int] | None = None,
    epochs: int | None = None,
    optimizer: Literal["adam", "adamw", "muon", "nesterov", "sgd"] | None = None,
    schedule: Literal["cosine", "linear", "one_cycle", "constant"] | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    shift: float | None = None,
    mirror: bool | None = None,
    rand_augment: float | None = None,
    random_erasing: float | None = None,
    mixup: float | None = None,
    cutmix: float | None = None,
    label_smoothing: float | None = None,
    stochastic_depth: float | None = None,
    progressive: float | None = None,
    averaging: float | None = None,
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    freeze_until: str | None = None,
    seed: int = 0,
    recipe: str = "default",
    teacher: str | os.PathLike[str] | None = None,
    patience: int | None = None,
    time_limit: float | None = None,
    keep: Literal["best", "last"] = "best",
    test_mirrored: bool = False,
    resize: Literal["stretch", "crop", "pad"] = "stretch",
    class_weight: Literal["balanced"] | None = None,
    devices: int | Literal["all"] | None = None,
    cache: Literal["memory", "disk", "none"] | None = None,
    threads: int | None = None,
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] | None = None,
    args: Mapping[str, Any] | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checkpoint_minutes: float = 5.0,
    log: Collection[str] | None = None,
    profile_steps: tuple[int, int] | None = None,
    verbose: int = 1,
) -> Run:
    """Train an architecture, test it once, and write a run folder.

    Args:
        arch: its name, as `keras_archs.list_archs` has it.
        data: "digits", a data set of Keras, a folder of images or an `.npz` file, as
            `applications.data.open_source` has it; or arrays: (images, labels), or a dict of such
            pairs by split, which are kept in `runs/data-HASH.npz`.
        alpha: width multiplier, > 0.
        rho: resolution multiplier in (0, 1]; images are resized to what is left of the size.
        size: side of the images in pixels, or (height, width). None: 16 for the digits, else the
            data's median side up to 224; more where the recipe or the network needs it.
        epochs: passes over the training images, 1..1,000,000. None: the recipe's.
        optimizer: "adam", "adamw", "muon", "nesterov" or "sgd" (both with a momentum of 0.9), with
            a learning rate and a weight decay of its own unless these are given. None: the
            recipe's.
        schedule: "cosine" and "linear" fall to 0, "one_cycle" rises for the first 30 % of the
            steps, "constant" stays. None: the recipe's.
        batch_size: images a step, >= 1. None: the recipe's. Never more than there are images.
        learning_rate: base rate, in (0, 1e6]. None: the recipe's.
        weight_decay: how strongly kernels decay, in [0, 1e6], as the recipe's optimizer understands
            it. None: the recipe's.
        shift: largest random shift of a training image, as a fraction of its sides, in [0, 1).
            None: the recipe's.
        mirror: whether training images are mirrored at random. None: where the recipe does and the
            data are known to keep their classes, as cifar10 is and a folder or a file is not.
        rand_augment: largest amount of RandAugment's two random operations on the images of a
            batch, in [0, 1]; 0 for none. None: the recipe's.
        random_erasing: share of the images of which a random rectangle becomes noise, in [0, 1].
            None: the recipe's.
        mixup: parameter of the beta distribution of the shares by which pairs of images are mixed,
            in [0, 1000]; 0 for none. With `cutmix` each batch is mixed in one of both ways. None:
            the recipe's.
        cutmix: the same of the shares of rectangles that come from another image, in [0, 1]. None:
            the recipe's.
        label_smoothing: share of a label that is spread evenly over all classes, in [0, 1). None:
            the recipe's.
        stochastic_depth: how often the last residual branch is left out in training, in [0, 1);
            earlier ones less often, as far as they are from it. The architecture must have some.
            None: the recipe's.
        progressive: share of the sides at which the first quarter of the epochs is trained, in (0,
            1]; it grows to 1 in three equal steps. The architecture must end in global pooling.
            None: the recipe's.
        averaging: decay by step of a moving average of the weights, which is what validates and is
            kept, in [0, 1); 0 keeps the weights themselves. A short training remembers a tenth of
            its steps at most. None: the recipe's.
        weights: None for random weights, or what the builder takes: a file, "imagenet", "mnist",
            "cifar10" or "hf://timm/NAME". Images then get the preprocessing that these weights were
            trained with, where it is known. With a recipe that starts from layers of another
            network: that network's `.keras` file, of which nothing else is read.
        adapt: whether weights for other classes or channels, a larger `alpha` or another size are
            adapted, as the builder does it.
        freeze_until: None, or a stage of the network: `P{k}`, or how the names of its layers start.
            For the first quarter of the epochs the layers up to its end are frozen; in the rest all
            learn, at half the rate. Each part has the whole schedule of the recipe.
        seed: of the weights, the order, the augmentation and the splits that the data lack.
        recipe: "default", or an architecture whose paper's recipe is to be used.
        teacher: None, or the run folder or `.keras` file of a trained network of the same classes,
            with a recipe that learns from one.
        patience: None, or the number of epochs, >= 1, after which the training ends if none of them
            was better on the validation images than the best one before. The schedule is that of
            all epochs; parts of a training before its last one are done in full.
        time_limit: None, or the minutes, > 0, after which the training ends, also within an epoch;
            it is then validated and tested as any other. Interruptions are not counted.
        keep: "best": the weights are those of the epoch with the highest validation accuracy, of
            several of these the one with the lowest loss; or "last".
        test_mirrored: whether the test images are also classified by the mean of the probabilities
            of each and of its mirror image: `mirrored_test_accuracy` of metrics.json.
        resize: "stretch", "crop" or "pad": how images of other proportions get the input's.
        class_weight: None, or "balanced": rare classes count as much as frequent ones.
        devices: devices, >= 1, that share every batch, or "all"; they must divide it. On TensorFlow
            and JAX, whose first GPUs are taken, or where there are none processors. None: one.
        cache: where decoded images are kept: "memory", "disk" (of a folder's images, in
            keras_archs/ of Keras' own folder, where they stay for the next training) or "none".
            None: in memory up to 2 GiB, else nowhere.
        threads: CPU threads of TensorFlow, 1..1024. None leaves it to TensorFlow.
        precision: "float32", "mixed_float16" or "mixed_bfloat16". None: "float32".
        args: the architecture's own arguments and `dropout`, by name. A family with stems gets
            stem="small" for sides up to 64 unless this says otherwise.
        run_dir: the run's own folder. None: `runs/ARCH-DATA-sSEED`, with -2, ... where taken.
        resume: resume the run in that folder after its last finished epoch: the result is that of
            an uninterrupted run. Starts one where there is none; a finished run is left alone.
        checkpoint_minutes: minutes between checkpoints within an epoch, >= 0; 0: there are none but
            after epochs.
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

def evaluate(
    run: Run | str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    batch_size: int = 256,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    intervals: bool = False,
    against: Run | str | os.PathLike[str] | None = None,
    calibrate: bool = False,
    reliability: str | os.PathLike[str] | None = None,
    save_calibrated: str | os.PathLike[str] | None = None,
    scales: Sequence[int] | None = None,
    crops: str | int | None = None,
    dense: bool = False,
    mirrored: bool = False,
    ensemble: Sequence[str | os.PathLike[str] | Run] | None = None,
    corruptions: bool = False,
    robustness: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Metrics of a finished run on its own test split, or on that of other data.

    Args:
        run: a run folder, or what `applications.load` returned.
        data: as for `train`; its test split is used, cut with the run's seed where it has none. A
            folder may also hold test/ alone, or classes alone, all of whose images are then tested.
            It may lack classes of the run. None takes the run's own data.
        batch_size: images a step, >= 1; fewer where each is seen several times or larger.
        seed: of resamples and corruptions, 0..2**32 - 1.
        out: a `.json` file for the result; its tables go beside it as `NAME-TABLE.csv`.
        intervals: whether 95 % confidence intervals are found, as `metrics.intervals` says.
        against: another run with the same test images, for McNemar's exact test.
        calibrate: whether a temperature is fitted on the run's validation images, as
            `metrics.fit_temperature` says.
        reliability: a `.png` file for a reliability diagram.
        save_calibrated: a `.keras` file for the network with its temperature, which is then fitted.
        scales: smaller sides in pixels that the images are scaled to, the network's own or more.
        crops: crops of the network's size that are averaged: "center"; "ten", the corners, the
            centre and their mirror images; "grid", 5 x 5 and their mirror images; or the crops
            along a side of such a grid, 2..32.
        dense: whether the network is applied to whole images as `to_fully_convolutional` has it,
            and its map of predictions averaged; with crops, the mean of both.
        mirrored: whether the mean with the mirror image's probabilities is taken, as
            `test_mirrored` of `train` has it.
        ensemble: other runs of the same classes and test images, whose probabilities are averaged
            with the run's.
        corruptions: whether accuracy under corruptions is measured, as `robustness` says.
        robustness: a `.png` file for a picture of the accuracy under corruptions, which is then
            measured.

    Returns:
        What `metrics` returns, with `run`, its folder; `data`, the data's name; `images`, how many
        were tested; `missing_classes`, those of the run that the data lack; and `calibration`, as
        `metrics.calibration` has it. What was asked for beside it: `intervals` and `against`, as
        `metrics.intervals` and `metrics.mcnemar` have them; `temperature`, with its value and loss
        and ECE of the `validation` and `test` images before and after; `protocols`, a row for each
        pass and mean, the plain one first, with what `headline` returns; `ensemble`, a row for each
        member, the figures and costs of the mean of their probabilities, and its `gain` over the
        best member; `corruptions`, for each kind the accuracy at strengths 1 to 5, and the mean.
        All of it is of the plain protocol but `protocols`, and is fit for JSON.

    Raises:
        ValueError: the data have a class that the run does not know, the run's own data have
            changed, so that their test split may hold images that the network was trained on, or
            the run is a trial of a search that did not win, whose test images nobody has looked at.
            A scale is smaller than the network; another run is not finished, has other classes or
            other test images; a network cannot be applied densely; a temperature cannot be fitted.
    """

def compare(
    runs: Sequence[str | os.PathLike[str] | Run] | None = (),
    *,
    archs: str | Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    run_dir: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | tuple[Any, Any] | Mapping[str, Any] = "digits",
    alpha: float = 1.0,
    rho: float = 1.0,
    size: int | tuple[int, int] | None = None,
    epochs: int | None = None,
    optimizer: Literal["adam", "adamw", "muon", "nesterov", "sgd"] | None = None,
    schedule: Literal["cosine", "linear", "one_cycle", "constant"] | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    shift: float | None = None,
    mirror: bool | None = None,
    rand_augment: float | None = None,
    random_erasing: float | None = None,
    mixup: float | None = None,
    cutmix: float | None = None,
    label_smoothing: float | None = None,
    stochastic_depth: float | None = None,
    progressive: float | None = None,
    averaging: float | None = None,
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    freeze_until: str | None = None,
    recipe: str = "default",
    teacher: str | os.PathLike[str] | None = None,
    patience: int | None = None,
    time_limit: float | None = None,
    keep: Literal["best", "last"] = "best",
    test_mirrored: bool = False,
    resize: Literal["stretch", "crop", "pad"] = "stretch",
    class_weight: Literal["balanced"] | None = None,
    devices: int | Literal["all"] | None = None,
    cache: Literal["memory", "disk", "none"] | None = None,
    threads: int | None = None,
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] | None = None,
    args: Mapping[str, Any] | None = None,
    log: Collection[str] | None = None,
    profile_steps: tuple[int, int] | None = None,
    verbose: int = 1,
) -> pandas.DataFrame:
    """Compare run folders and architectures, which are trained first where that is not done.

    An architecture's run is `RUN_DIR/ARCH[-aALPHA][-rRHO]-DATA-sSEED`. It is trained if it does
    not exist, resumed if it was interrupted, and read if it is finished. Prints the table, with
    several seeds as mean (lowest..highest) over them, and writes into `run_dir`
    `comparison.csv`, one row a run, and `report.html`, a page that shows them. Both are written
    anew after each training. `alpha` and `rho` count for architectures that state none.

    Args:
        runs: folders of finished runs. What an earlier comparison wrote is passed over.
        archs: architectures to train, each with every seed: names separated by commas or a list, an
            entry with multipliers of its own as in `"mobilenet:alpha=0.5:rho=0.75"`.
        seeds: distinct seeds of the trainings.
        run_dir: parent folder of what is trained. None: `runs`, or without `archs` the folder that
            holds the runs.
        data: "digits", a data set of Keras, a folder of images or an `.npz` file, as
            `applications.data.open_source` has it; or arrays: (images, labels), or a dict of such
            pairs by split, which are kept in `runs/data-HASH.npz`.
        alpha: width multiplier, > 0.
        rho: resolution multiplier in (0, 1]; images are resized to what is left of the size.
        size: side of the images in pixels, or (height, width). None: 16 for the digits, else the
            data's median side up to 224; more where the recipe or the network needs it.
        epochs: passes over the training images, 1..1,000,000. None: the recipe's.
        optimizer: "adam", "adamw", "muon", "nesterov" or "sgd" (both with a momentum of 0.9), with
            a learning rate and a weight decay of its own unless these are given. None: the
            recipe's.
        schedule: "cosine" and "linear" fall to 0, "one_cycle" rises for the first 30 % of the
            steps, "constant" stays. None: the recipe's.
        batch_size: images a step, >= 1. None: the recipe's. Never more than there are images.
        learning_rate: base rate, in (0, 1e6]. None: the recipe's.
        weight_decay: how strongly kernels decay, in [0, 1e6], as the recipe's optimizer understands
            it. None: the recipe's.
        shift: largest random shift of a training image, as a fraction of its sides, in [0, 1).
            None: the recipe's.
        mirror: whether training images are mirrored at random. None: where the recipe does and the
            data are known to keep their classes, as cifar10 is and a folder or a file is not.
        rand_augment: largest amount of RandAugment's two random operations on the images of a
            batch, in [0, 1]; 0 for none. None: the recipe's.
        random_erasing: share of the images of which a random rectangle becomes noise, in [0, 1].
            None: the recipe's.
        mixup: parameter of the beta distribution of the shares by which pairs of images are mixed,
            in [0, 1000]; 0 for none. With `cutmix` each batch is mixed in one of both ways. None:
            the recipe's.
        cutmix: the same of the shares of rectangles that come from another image, in [0, 1]. None:
            the recipe's.
        label_smoothing: share of a label that is spread evenly over all classes, in [0, 1). None:
            the recipe's.
        stochastic_depth: how often the last residual branch is left out in training, in [0, 1);
            earlier ones less often, as far as they are from it. The architecture must have some.
            None: the recipe's.
        progressive: share of the sides at which the first quarter of the epochs is trained, in (0,
            1]; it grows to 1 in three equal steps. The architecture must end in global pooling.
            None: the recipe's.
        averaging: decay by step of a moving average of the weights, which is what validates and is
            kept, in [0, 1); 0 keeps the weights themselves. A short training remembers a tenth of
            its steps at most. None: the recipe's.
        weights: None for random weights, or what the builder takes: a file, "imagenet", "mnist",
            "cifar10" or "hf://timm/NAME". Images then get the preprocessing that these weights were
            trained with, where it is known. With a recipe that starts from layers of another
            network: that network's `.keras` file, of which nothing else is read.
        adapt: whether weights for other classes or channels, a larger `alpha` or another size are
            adapted, as the builder does it.
        freeze_until: None, or a stage of the network: `P{k}`, or how the names of its layers start.
            For the first quarter of the epochs the layers up to its end are frozen; in the rest all
            learn, at half the rate. Each part has the whole schedule of the recipe.
        recipe: "default", or an architecture whose paper's recipe is to be used.
        teacher: None, or the run folder or `.keras` file of a trained network of the same classes,
            with a recipe that learns from one.
        patience: None, or the number of epochs, >= 1, after which the training ends if none of them
            was better on the validation images than the best one before. The schedule is that of
            all epochs; parts of a training before its last one are done in full.
        time_limit: None, or the minutes, > 0, after which the training ends, also within an epoch;
            it is then validated and tested as any other. Interruptions are not counted.
        keep: "best": the weights are those of the epoch with the highest validation accuracy, of
            several of these the one with the lowest loss; or "last".
        test_mirrored: whether the test images are also classified by the mean of the probabilities
            of each and of its mirror image: `mirrored_test_accuracy` of metrics.json.
        resize: "stretch", "crop" or "pad": how images of other proportions get the input's.
        class_weight: None, or "balanced": rare classes count as much as frequent ones.
        devices: devices, >= 1, that share every batch, or "all"; they must divide it. On TensorFlow
            and JAX, whose first GPUs are taken, or where there are none processors. None: one.
        cache: where decoded images are kept: "memory", "disk" (of a folder's images, in
            keras_archs/ of Keras' own folder, where they stay for the next training) or "none".
            None: in memory up to 2 GiB, else nowhere.
        threads: CPU threads of TensorFlow, 1..1024. None leaves it to TensorFlow.
        precision: "float32", "mixed_float16" or "mixed_bfloat16". None: "float32".
        args: the architecture's own arguments and `dropout`, by name. A family with stems gets
            stem="small" for sides up to 64 unless this says otherwise.
        log: what else TensorBoard is to show: any of "histograms", "gradients", "dead_relus", as
            `TensorBoardLogger` says. Costs time after each epoch and changes nothing else.
        profile_steps: first and last training step of a trace by the backend's own profiler,
            counted from 1 at the start or where the run is resumed.
        verbose: 0 prints nothing; 1 a line an epoch, a progress bar and the result.

    Returns:
        One row a run, best test accuracy first. `run` is its folder, `input` is HxWxC, accuracy
        and F1 are fractions, latencies are of one image; `remarks` say what makes the figures mean
        less than they seem to.

    Raises:
        ValueError: there is nothing to compare, something is named twice, or a run that exists
            in `run_dir` was trained with other options.
        FileNotFoundError: one of `runs` is not the folder of a finished run.
    """

def search(
    space: str | Callable[..., dict[str, Any]] = "simpnet",
    data: str | os.PathLike[str] | tuple[Any, Any] | Mapping[str, Any] = "digits",
    *,
    trials: int = 20,
    budget: tuning.Budget | None = None,
    algorithm: Literal["random", "bayesian", "hyperband", "asha", "grid"] = "bayesian",
    principles: str | Sequence[str] = "all",
    isolate: str | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    tune: Sequence[str] = (),
    transfer: bool = False,
    workers: int = 1,
    keep: int = 1,
    retries: int = 1,
    engine: Literal["local", "optuna", "ray"] = "local",
    address: str | None = None,
    cpus_per_trial: int | None = None,
    gpus_per_trial: float | None = None,
    storage: str | None = None,
    study: str | None = None,
    heartbeat: int = 60,
    objectives: Sequence[str] = ("accuracy",),
    run_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    verbose: int = 1,
    size: int | tuple[int, int] | None = None,
    epochs: int | None = None,
    optimizer: Literal["adam", "adamw", "muon", "nesterov", "sgd"] | None = None,
    schedule: Literal["cosine", "linear", "one_cycle", "constant"] | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    shift: float | None = None,
    mirror: bool | None = None,
    rand_augment: float | None = None,
    random_erasing: float | None = None,
    mixup: float | None = None,
    cutmix: float | None = None,
    label_smoothing: float | None = None,
    stochastic_depth: float | None = None,
    progressive: float | None = None,
    averaging: float | None = None,
    seed: int = 0,
    recipe: str = "default",
    patience: int | None = None,
    time_limit: float | None = None,
    test_mirrored: bool = False,
    resize: Literal["stretch", "crop", "pad"] = "stretch",
    class_weight: Literal["balanced"] | None = None,
    devices: int | Literal["all"] | None = None,
    cache: Literal["memory", "disk", "none"] | None = None,
    threads: int | None = None,
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] | None = None,
    args: Mapping[str, Any] | None = None,
) -> SearchResult:
    """Search for the network with the highest validation accuracy; test the winner alone.

    The folder holds `search.json` (all that a killed search needs to continue), `trials.csv`, a run
    folder `trial-0000`, ... each, `best.yaml` (the winner's options for `train --config`),
    `report.html`, a page that shows the trials, and, for isolation, `isolation.csv`. Columns of
    `trials.csv`: `trial`, its number; `status`, "waiting", "running", "completed" or "failed", with
    the `reason`; `attempts`; `validation_accuracy` and `validation_macro_f1` in 0..1;
    `validation_loss`; `params`; `macs`; `peak_activation_bytes` and `weight_bytes`, as the budget
    counts them where it limits memory, else as the run's `profile`; `latency_ms_p50`,
    `latency_ms_p95` of one image; `epochs`; `train_seconds`; `test_accuracy` and `macro_f1`, the
    winner's alone; `remarks` on what makes these figures mean less than they seem to; `run`, its
    folder; the options of `train` that differ between trials; `hp/NAME`, each hyperparameter; with
    ASHA `rung`, from 0, the highest that it was trained to; with `transfer` `parent`, the trial
    whose weights it began with. Options of a training are the same for all trials.

    Args:
        space: "simpnet", which stands for `tuning.space`; another architecture, whose `arch_space`
            with `rho` is searched; or a function `(hp, *, input_shape, classes, budget) ->
            arguments of the builder` with an attribute `arch` that names the builder.
        data: "digits", a data set of Keras, a folder of images or an `.npz` file, as
            `applications.data.open_source` has it; or arrays: (images, labels), or a dict of such
            pairs by split, which are kept in `runs/data-HASH.npz`.
        trials: configurations to train, 1..1,000,000. A search that is resumed may be given more,
            but for the algorithms "hyperband" and "asha" and the engine "optuna".
        budget: what a network may cost; None sets no limit.
        algorithm: "random", "bayesian", "hyperband", "asha" (asynchronous successive halving: the
            best third of what was trained so far is trained three times as long; on Ray by Ray's
            scheduler) or "grid"; the first proposal is the space's default. With the engine
            "optuna" all but "grid", and the first proposal is drawn as well.
        principles: "all", or those of SimpNet's principles that bind the space.
        isolate: a principle of `tuning.space`: its settings are compared, all others hold, and
            nothing else varies.
        seeds: of isolation: each setting is trained once with each.
        tune: what else is searched: any of "learning_rate", "weight_decay", "augmentation" (the
            shift of images), "recipe" (the default one or the architecture's paper's) and the
            options optimizer, schedule, rand_augment, random_erasing, mixup, cutmix,
            label_smoothing, stochastic_depth, averaging, progressive.
        transfer: whether a trial begins with the weights of the best finished trial whose network
            is its own, or becomes it when it is made wider (arXiv:1511.05641). `best.yaml` trains
            the winner anew.
        workers: trials trained side by side, 1..1024: one to a GPU where there are GPUs, else they
            share the processors.
        keep: how many of the best trials keep their model, >= 1.
        retries: how often a trial that failed is tried again.
        engine: "local"; "optuna": any number of machines that are given the same command share the
            trials through a database, and `run_dir` must be given and may exist; or "ray": Ray Tune
            trains them on the machines of `address`, as many side by side as these have room for.
            `run_dir` must lie where all machines see it.
        address: of engine "ray": "auto" or HOST:PORT of the cluster. None: Ray is started on this
            machine and ended with the search.
        cpus_per_trial: of engine "ray": processors of a trial, 1..1024. None: 1.
        gpus_per_trial: of engine "ray": GPUs of a trial, 0..1024: a whole number, or below 1 a
            part, whose other parts are for other trials. None: 0, and trials are trained on
            processors.
        storage: of engine "optuna": URL of the database, without a password.
        study: of engine "optuna": name in the database. None: the folder's name.
        heartbeat: of engine "optuna": seconds between a worker's signs of life, >= 1; after twice
            as long without one its trials are given to others.
        objectives: ("accuracy",), or of engine "optuna" ("accuracy", "macs"): the front.
        run_dir: the search's folder. None: `runs/search-ARCH-DATA-sSEED`, with -2, ... where taken.
        resume: resume the search in that folder, or start it.
        verbose: 0 prints nothing.
        size: side of the images in pixels, or (height, width). None: 16 for the digits, else the
            data's median side up to 224; more where the recipe or the network needs it.
        epochs: passes over the training images, >= 1. None: half the recipe's, rounded up.
        optimizer: "adam", "adamw", "muon", "nesterov" or "sgd" (both with a momentum of 0.9), with
            a learning rate and a weight decay of its own unless these are given. None: the
            recipe's.
        schedule: "cosine" and "linear" fall to 0, "one_cycle" rises for the first 30 % of the
            steps, "constant" stays. None: the recipe's.
        batch_size: images a step, >= 1. None: the recipe's. Never more than there are images.
        learning_rate: base rate, in (0, 1e6]. None: the recipe's.
        weight_decay: how strongly kernels decay, in [0, 1e6], as the recipe's optimizer understands
            it. None: the recipe's.
        shift: largest random shift of a training image, as a fraction of its sides, in [0, 1).
            None: the recipe's.
        mirror: whether training images are mirrored at random. None: where the recipe does and the
            data are known to keep their classes, as cifar10 is and a folder or a file is not.
        rand_augment: largest amount of RandAugment's two random operations on the images of a
            batch, in [0, 1]; 0 for none. None: the recipe's.
        random_erasing: share of the images of which a random rectangle becomes noise, in [0, 1].
            None: the recipe's.
        mixup: parameter of the beta distribution of the shares by which pairs of images are mixed,
            in [0, 1000]; 0 for none. With `cutmix` each batch is mixed in one of both ways. None:
            the recipe's.
        cutmix: the same of the shares of rectangles that come from another image, in [0, 1]. None:
            the recipe's.
        label_smoothing: share of a label that is spread evenly over all classes, in [0, 1). None:
            the recipe's.
        stochastic_depth: how often the last residual branch is left out in training, in [0, 1);
            earlier ones less often, as far as they are from it. The architecture must have some.
            None: the recipe's.
        progressive: share of the sides at which the first quarter of the epochs is trained, in (0,
            1]; it grows to 1 in three equal steps. The architecture must end in global pooling.
            None: the recipe's.
        averaging: decay by step of a moving average of the weights, which is what validates and is
            kept, in [0, 1); 0 keeps the weights themselves. A short training remembers a tenth of
            its steps at most. None: the recipe's.
        seed: of the proposals and of every training.
        recipe: "default", or an architecture whose paper's recipe is to be used.
        patience: None, or the number of epochs, >= 1, after which the training ends if none of them
            was better on the validation images than the best one before. The schedule is that of
            all epochs; parts of a training before its last one are done in full.
        time_limit: None, or the minutes, > 0, after which the training ends, also within an epoch;
            it is then validated and tested as any other. Interruptions are not counted.
        test_mirrored: whether the test images are also classified by the mean of the probabilities
            of each and of its mirror image: `mirrored_test_accuracy` of metrics.json.
        resize: "stretch", "crop" or "pad": how images of other proportions get the input's.
        class_weight: None, or "balanced": rare classes count as much as frequent ones.
        devices: devices, >= 1, that share every batch, or "all"; they must divide it. On TensorFlow
            and JAX, whose first GPUs are taken, or where there are none processors. None: one.
        cache: where decoded images are kept: "memory", "disk" (of a folder's images, in
            keras_archs/ of Keras' own folder, where they stay for the next training) or "none".
            None: in memory up to 2 GiB, else nowhere.
        threads: CPU threads of TensorFlow, 1..1024. None leaves it to TensorFlow.
        precision: "float32", "mixed_float16" or "mixed_bfloat16". None: "float32".
        args: the architecture's own arguments and `dropout`, by name. A family with stems gets
            stem="small" for sides up to 64 unless this says otherwise.

    Raises:
        ValueError, TypeError: an argument is wrong, the data cannot be used, the budget is too
            small for any network, the search that is resumed has other options, or no trial could
            be completed.
        FileExistsError: `run_dir` exists, and `resume` was not asked for.
    """

def distill(
    run: Run | str | os.PathLike[str],
    arch: str,
    *,
    ensemble: Sequence[Run | str | os.PathLike[str]] | None = None,
    average: Literal["geometric", "arithmetic"] = "geometric",
    temperature: float = 4.0,
    hard_weight: float = 0.1,
    soft_targets: Literal["once", "always"] = "once",
    transfer_classes: Sequence[str] | None = None,
    features: Sequence[str] | None = None,
    feature_weight: float = 1.0,
    data: str | os.PathLike[str] | tuple[Any, Any] | Mapping[str, Any] | None = None,
    alpha: float = 1.0,
    rho: float = 1.0,
    size: int | tuple[int, int] | None = None,
    epochs: int | None = None,
    optimizer: Literal["adam", "adamw", "muon", "nesterov", "sgd"] | None = None,
    schedule: Literal["cosine", "linear", "one_cycle", "constant"] | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    shift: float | None = None,
    mirror: bool | None = None,
    rand_augment: float | None = None,
    random_erasing: float | None = None,
    mixup: float | None = None,
    cutmix: float | None = None,
    label_smoothing: float | None = None,
    stochastic_depth: float | None = None,
    progressive: float | None = None,
    averaging: float | None = None,
    weights: str | os.PathLike[str] | None = None,
    adapt: bool = False,
    seed: int = 0,
    recipe: str = "default",
    patience: int | None = None,
    time_limit: float | None = None,
    keep: Literal["best", "last"] = "best",
    test_mirrored: bool = False,
    resize: Literal["stretch", "crop", "pad"] = "stretch",
    class_weight: Literal["balanced"] | None = None,
    devices: int | Literal["all"] | None = None,
    cache: Literal["memory", "disk", "none"] | None = None,
    threads: int | None = None,
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] | None = None,
    args: Mapping[str, Any] | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checkpoint_minutes: float = 5.0,
    log: Collection[str] | None = None,
    profile_steps: tuple[int, int] | None = None,
    verbose: int = 1,
) -> Run:
    """Train a network on what a finished run's network predicts.

    The loss is `hard_weight` times the cross-entropy with the labels and, with the rest of the
    weight and times the squared temperature, the divergence of the student's softened
    probabilities from the teacher's. Everything else is as in `train`. The new run's config.yaml
    has the teacher's folder as `parent`, its card the figures of both. With `transfer_classes` the
    student knows of the other classes what the teacher's answers say of them: its section 3.

    Args:
        run: folder of the finished run whose network teaches, or the run.
        arch: its name, as `keras_archs.list_archs` has it.
        ensemble: other runs of the same classes: the teacher is the mean of all.
        average: of several teachers: "geometric", the mean of their logits, or "arithmetic", that
            of their softened probabilities.
        temperature: what the logits of teacher and student are divided by, > 0.
        hard_weight: weight of the cross-entropy with the labels, in [0, 1]; the teacher's has the
            rest.
        soft_targets: "once": the teacher sees each training image once, as it is, at its own size,
            and an epoch costs the student alone; "always": it sees what the student sees in each
            step, augmentation included.
        transfer_classes: names of the classes whose training and validation images the student
            sees; it predicts all classes, and is tested on all. None: all.
        features: names of feature maps, as builders have them, such as `["P2", "P3"]`: those of the
            student are to be those of the teacher, through a 1x1 convolution that is trained and
            not kept. Only with `soft_targets="always"` and one teacher. None: no maps.
        feature_weight: what the mean squared difference of each pair of maps is multiplied by, > 0.
        data: as for `train`; None: the teacher's. Its test images must be the teacher's: where they
            are cut with the seed, that must be the teacher's too.
        alpha: width multiplier, > 0.
        rho: resolution multiplier in (0, 1]; images are resized to what is left of the size.
        size: side of the images in pixels, or (height, width). None: 16 for the digits, else the
            data's median side up to 224; more where the recipe or the network needs it.
        epochs: passes over the training images, 1..1,000,000. None: the recipe's.
        optimizer: "adam", "adamw", "muon", "nesterov" or "sgd" (both with a momentum of 0.9), with
            a learning rate and a weight decay of its own unless these are given. None: the
            recipe's.
        schedule: "cosine" and "linear" fall to 0, "one_cycle" rises for the first 30 % of the
            steps, "constant" stays. None: the recipe's.
        batch_size: images a step, >= 1. None: the recipe's. Never more than there are images.
        learning_rate: base rate, in (0, 1e6]. None: the recipe's.
        weight_decay: how strongly kernels decay, in [0, 1e6], as the recipe's optimizer understands
            it. None: the recipe's.
        shift: largest random shift of a training image, as a fraction of its sides, in [0, 1).
            None: the recipe's.
        mirror: whether training images are mirrored at random. None: where the recipe does and the
            data are known to keep their classes, as cifar10 is and a folder or a file is not.
        rand_augment: largest amount of RandAugment's two random operations on the images of a
            batch, in [0, 1]; 0 for none. None: the recipe's.
        random_erasing: share of the images of which a random rectangle becomes noise, in [0, 1].
            None: the recipe's.
        mixup: parameter of the beta distribution of the shares by which pairs of images are mixed,
            in [0, 1000]; 0 for none. With `cutmix` each batch is mixed in one of both ways. None:
            the recipe's.
        cutmix: the same of the shares of rectangles that come from another image, in [0, 1]. None:
            the recipe's.
        label_smoothing: share of a label that is spread evenly over all classes, in [0, 1). None:
            the recipe's.
        stochastic_depth: how often the last residual branch is left out in training, in [0, 1);
            earlier ones less often, as far as they are from it. The architecture must have some.
            None: the recipe's.
        progressive: share of the sides at which the first quarter of the epochs is trained, in (0,
            1]; it grows to 1 in three equal steps. The architecture must end in global pooling.
            None: the recipe's.
        averaging: decay by step of a moving average of the weights, which is what validates and is
            kept, in [0, 1); 0 keeps the weights themselves. A short training remembers a tenth of
            its steps at most. None: the recipe's.
        weights: None for random weights, or what the builder takes: a file, "imagenet", "mnist",
            "cifar10" or "hf://timm/NAME". Images then get the preprocessing that these weights were
            trained with, where it is known. With a recipe that starts from layers of another
            network: that network's `.keras` file, of which nothing else is read.
        adapt: whether weights for other classes or channels, a larger `alpha` or another size are
            adapted, as the builder does it.
        seed: of the weights, the order, the augmentation and the splits that the data lack.
        recipe: "default", or an architecture whose paper's recipe is to be used.
        patience: None, or the number of epochs, >= 1, after which the training ends if none of them
            was better on the validation images than the best one before. The schedule is that of
            all epochs; parts of a training before its last one are done in full.
        time_limit: None, or the minutes, > 0, after which the training ends, also within an epoch;
            it is then validated and tested as any other. Interruptions are not counted.
        keep: "best": the weights are those of the epoch with the highest validation accuracy, of
            several of these the one with the lowest loss; or "last".
        test_mirrored: whether the test images are also classified by the mean of the probabilities
            of each and of its mirror image: `mirrored_test_accuracy` of metrics.json.
        resize: "stretch", "crop" or "pad": how images of other proportions get the input's.
        class_weight: None, or "balanced": rare classes count as much as frequent ones.
        devices: devices, >= 1, that share every batch, or "all"; they must divide it. On TensorFlow
            and JAX, whose first GPUs are taken, or where there are none processors. None: one.
        cache: where decoded images are kept: "memory", "disk" (of a folder's images, in
            keras_archs/ of Keras' own folder, where they stay for the next training) or "none".
            None: in memory up to 2 GiB, else nowhere.
        threads: CPU threads of TensorFlow, 1..1024. None leaves it to TensorFlow.
        precision: "float32", "mixed_float16" or "mixed_bfloat16". None: "float32".
        args: the architecture's own arguments and `dropout`, by name. A family with stems gets
            stem="small" for sides up to 64 unless this says otherwise.
        run_dir: the run's own folder. None: `runs/ARCH-DATA-sSEED`, with -2, ... where taken.
        resume: resume the run in that folder after its last finished epoch: the result is that of
            an uninterrupted run. Starts one where there is none; a finished run is left alone.
        checkpoint_minutes: minutes between checkpoints within an epoch, >= 0; 0: there are none but
            after epochs.
        log: what else TensorBoard is to show: any of "histograms", "gradients", "dead_relus", as
            `TensorBoardLogger` says. Costs time after each epoch and changes nothing else.
        profile_steps: first and last training step of a trace by the backend's own profiler,
            counted from 1 at the start or where the run is resumed.
        verbose: 0 prints nothing; 1 a line an epoch, a progress bar and the result.

    Returns:
        The new run.

    Raises:
        ValueError, TypeError: an argument is wrong or contradicts another, a teacher is not
            finished or damaged, or has other classes, or saw the images that the student is to be
            tested on.
        FileExistsError: `run_dir` exists, and `resume` was not asked for.
        OSError: a file cannot be read or written.
    """

def grow(
    run: Run | str | os.PathLike[str],
    *,
    alpha: float | None = None,
    extra_depth: int = 0,
    new_channels: Literal["copies", "random"] = "random",
    noise: float = 0.0,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    threads: int | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checkpoint_minutes: float = 5.0,
    log: Collection[str] | None = None,
    profile_steps: tuple[int, int] | None = None,
    verbose: int = 1,
) -> Run:
    """Train a wider or deeper copy of a finished run's network on, from its predictions.

    It begins with the predictions of the run's network, and is trained by the run's recipe on its
    data. metrics.json has as `agreement` the share of the test images that both called the same
    before the training.

    Args:
        run: folder of the finished run whose network grows, or the run.
        alpha: width multiplier afterwards, at least the run's. None: the run's.
        extra_depth: layers to put in, >= 0, spread evenly over the network: they begin as the
            identity.
        new_channels: what the new channels are, as `keras_archs.grow` has it: "copies" of those
            that are there, or "random", which at first nothing reads. Predictions stay in both
            cases.
        noise: with new_channels="copies": how unequally they share the weights of the layers that
            read them, >= 0, as `keras_archs.grow` has it.
        epochs: passes over the training images, 1..1,000,000. None: as many as the run's.
        batch_size: images a step, >= 1. None: the run's.
        learning_rate: base rate, > 0. None: the run's.
        threads: CPU threads of TensorFlow, 1..1024. None leaves it to TensorFlow.
        run_dir: the new run's own folder. None: `runs/NAME-grown` of the run's name, with -2, ...
            where taken.
        resume: resume the run in that folder after its last finished epoch: the result is that of
            an uninterrupted run. Starts one where there is none; a finished run is left alone.
        checkpoint_minutes: minutes between checkpoints within an epoch, >= 0; 0: there are none but
            after epochs.
        log: what else TensorBoard is to show: any of "histograms", "gradients", "dead_relus", as
            `TensorBoardLogger` says. Costs time after each epoch and changes nothing else.
        profile_steps: first and last training step of a trace by the backend's own profiler,
            counted from 1 at the start or where the run is resumed.
        verbose: 0 prints nothing; 1 a line an epoch, a progress bar and the result.

    Returns:
        The new run.

    Raises:
        ValueError, TypeError: an argument is wrong or contradicts another, the run is not finished,
            damaged or untested, its data are others now, or its network cannot grow so.
        FileExistsError: `run_dir` exists, and `resume` was not asked for.
        OSError: a file cannot be read or written.
    """

def shrink(
    run: Run | str | os.PathLike[str],
    *,
    alpha: float,
    temperature: float | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    threads: int | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checkpoint_minutes: float = 5.0,
    log: Collection[str] | None = None,
    profile_steps: tuple[int, int] | None = None,
    verbose: int = 1,
) -> Run:
    """Train a narrower copy of a finished run's network on, of its strongest channels.

    It is trained by the run's recipe on its data; with `temperature` also on what the run's network
    predicts, as `distill` does it.

    Args:
        run: folder of the finished run whose network is made narrower, or the run.
        alpha: width multiplier afterwards, at most the run's.
        temperature: the network also learns from what the run's predicts, softened by this, > 0, as
            `distill` does it. None: from labels alone.
        epochs: passes over the training images, 1..1,000,000. None: as many as the run's.
        batch_size: images a step, >= 1. None: the run's.
        learning_rate: base rate, > 0. None: the run's.
        threads: CPU threads of TensorFlow, 1..1024. None leaves it to TensorFlow.
        run_dir: the new run's own folder. None: `runs/NAME-shrunk` of the run's name, with -2, ...
            where taken.
        resume: resume the run in that folder after its last finished epoch: the result is that of
            an uninterrupted run. Starts one where there is none; a finished run is left alone.
        checkpoint_minutes: minutes between checkpoints within an epoch, >= 0; 0: there are none but
            after epochs.
        log: what else TensorBoard is to show: any of "histograms", "gradients", "dead_relus", as
            `TensorBoardLogger` says. Costs time after each epoch and changes nothing else.
        profile_steps: first and last training step of a trace by the backend's own profiler,
            counted from 1 at the start or where the run is resumed.
        verbose: 0 prints nothing; 1 a line an epoch, a progress bar and the result.

    Returns:
        The new run.

    Raises:
        ValueError, TypeError, FileExistsError, OSError: as `grow`.
    """

def retrieve(
    run: Run | str | os.PathLike[str],
    data: str | os.PathLike[str],
    query: Sequence[str | os.PathLike[str]] | str | os.PathLike[str] | None = None,
    *,
    top: int = 6,
    code: Literal["raw", "compressed", "binary"] = "raw",
    bits: int = 64,
    run_dir: str | os.PathLike[str] | None = None,
    batch_size: int = 256,
    seed: int = 0,
    verbose: int = 1,
) -> Retrieved:
    """Find the images that a finished run's network takes for the nearest to others.

    The last hidden layer, what enters the classifier, is computed of every image of the data and
    kept in a folder; when it is called again, of what is new or has changed, and what is gone is
    left out. Where the images have classes, the precision of pixels, vectors and codes is measured,
    over at most 1,000 test images (the run's where the data are its own; all images where the data
    have none), each compared with all others. A page shows what was found.

    Args:
        run: folder of the finished run whose network compares images, or the run.
        data: the images to search: a folder of images, of classes or of splits, or what `train`
            takes as `data`; of data with splits all of them.
        query: image files, to each of which the nearest are found. None: the page shows those of
            five images of the data themselves.
        top: images to find for each, at most as many as there are.
        code: what is compared: "raw", the last hidden layer; "compressed", the real numbers that an
            autoencoder makes of it; "binary", its bits.
        bits: numbers or bits in a code, a multiple of 8 up to 1024.
        run_dir: folder of the index, which may be there: only images that are new or have changed
            are embedded. None: `runs/index-RUN-DATA`.
        batch_size: images a step, >= 1.
        seed: of the autoencoders and of the images that are drawn, 0..2**32 - 1.
        verbose: 0 prints nothing.

    Returns:
        What was found.

    Raises:
        ValueError, TypeError: an argument is wrong, the run is not finished or damaged, a query is
            no image, there are fewer images than are to be found, the index is damaged, or faiss is
            not installed.
        FileExistsError: `run_dir` is something else than an index.
        OSError: a file cannot be read or written.
    """

def specialists(
    run: Run | str | os.PathLike[str],
    *,
    sets: int = 3,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    patience: int | None = None,
    threads: int | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checkpoint_minutes: float = 5.0,
    log: Collection[str] | None = None,
    profile_steps: tuple[int, int] | None = None,
    verbose: int = 1,
) -> Run:
    """Train specialists for the classes that a finished run's network confuses.

    Each is trained by the run's recipe on its data, from its weights, in a folder of its own in the
    new run's. The new run's network is all of them as one: it asks the generalist and one of the
    specialists, or none. `active_macs` of metrics.json are the multiply-adds of an image if no
    other specialist is computed, `macs` those of the network as it is kept, which computes all.

    Args:
        run: folder of the finished run whose network is the generalist, or the run.
        sets: sets that the classes fall into by what the network confuses, from 2 to half of their
            number; each of two classes or more gets a specialist.
        epochs: passes over the training images, 1..1,000,000. None: as many as the run's.
        batch_size: images a step, >= 1. None: the run's.
        learning_rate: base rate, > 0. None: a tenth of the run's.
        patience: None, or the number of epochs, >= 1, after which the training ends if none of them
            was better on the validation images than the best one before. The schedule is that of
            all epochs; parts of a training before its last one are done in full.
        threads: CPU threads of TensorFlow, 1..1024. None leaves it to TensorFlow.
        run_dir: the new run's own folder. None: `runs/NAME-specialists` of the run's name, with -2,
            ... where taken.
        resume: resume the run in that folder after its last finished epoch: the result is that of
            an uninterrupted run. Starts one where there is none; a finished run is left alone.
        checkpoint_minutes: minutes between checkpoints within an epoch, >= 0; 0: there are none but
            after epochs.
        log: what else TensorBoard is to show: any of "histograms", "gradients", "dead_relus", as
            `TensorBoardLogger` says. Costs time after each epoch and changes nothing else.
        profile_steps: first and last training step of a trace by the backend's own profiler,
            counted from 1 at the start or where the run is resumed.
        verbose: 0 prints nothing; 1 a line an epoch, a progress bar and the result.

    Returns:
        The new run.

    Raises:
        ValueError, TypeError: an argument is wrong or contradicts another, the run is not finished,
            damaged or untested, its data are others now, or there are more sets than its classes
            can fall into.
        FileExistsError: `run_dir` exists, and `resume` was not asked for.
        OSError: a file cannot be read or written.
    """

def compress(
    run: Run | str | os.PathLike[str],
    *,
    channels: float | None = None,
    sparsity: float | None = None,
    per: Literal["layer", "global"] = "global",
    bits: int | None = None,
    first_last_bits: int | None = None,
    target_bytes: int | None = None,
    int8: Literal["after", "aware"] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    threads: int | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checkpoint_minutes: float = 5.0,
    log: Collection[str] | None = None,
    profile_steps: tuple[int, int] | None = None,
    verbose: int = 1,
) -> Run:
    """Make a run with a smaller network of a finished one.

    It is trained on the run's own data, by its recipe, without averages of weights, images that
    grow or stochastic depth. The new run's folder has, beside what every run has, `model.kac`,
    which `keras_archs.load_compressed` reads, and compression.csv, a row for each array in it; the
    weights of model.keras are the same, bit for bit. card.md has the figures of both runs. Without
    some of its channels (`channels`) the network is a narrower one of plain layers: model.keras,
    profile.csv and everything that is made of the run have its parameters and multiply-adds. With
    `int8` there is also model.tflite, as `export` makes it, and what it makes of the test images.

    Args:
        run: folder of the finished run whose network is compressed, or the run.
        channels: share of the channels of convolutions and dense layers that go for good, in (0,
            0.9]: the weakest, as `keras_archs.prune_channels` finds them, before the training.
            Alone, no weights are pruned or shared; with another of these options they are, too.
            None: all channels stay.
        sparsity: share of the kernels' weights that become 0, in [0, 0.99]; kernels of depthwise
            convolutions keep theirs. None: 0.67, or what `target_bytes` needs, or 0 with `channels`
            alone.
        per: "global": the smallest weights of all kernels go, of none more than 99 %, and the
            weakest channels of all layers; "layer": each loses that share of its own.
        bits: bits of a shared weight's code, 2..8: a kernel has at most 2^bits values beside 0.
            With `target_bytes` fewer where that needs it. None: 6, or nothing shared with
            `channels` alone.
        first_last_bits: the same of the first and the last kernel. None: as all.
        target_bytes: bytes that model.kac may have, >= 1: the sparsity that needs is found, and
            where 95 % are not enough the bits. None: whatever it has.
        int8: "after": model.tflite is the network in int8, whose ranges training images set, with
            figures of its own; "aware": it is trained with weights and activations rounded as int8
            rounds them, and no weights are pruned or shared. None: there is no such file.
        epochs: passes over the training images, 1..1,000,000. None: as many as the run's.
        batch_size: images a step, >= 1. None: the run's.
        learning_rate: base rate, > 0. None: the run's.
        threads: CPU threads of TensorFlow, 1..1024. None leaves it to TensorFlow.
        run_dir: the new run's own folder. None: `runs/NAME-compressed` of the run's name, with -2,
            ... where taken.
        resume: resume the run in that folder after its last finished epoch: the result is that of
            an uninterrupted run. Starts one where there is none; a finished run is left alone.
        checkpoint_minutes: minutes between checkpoints within an epoch, >= 0; 0: there are none but
            after epochs.
        log: what else TensorBoard is to show: any of "histograms", "gradients", "dead_relus", as
            `TensorBoardLogger` says. Costs time after each epoch and changes nothing else.
        profile_steps: first and last training step of a trace by the backend's own profiler,
            counted from 1 at the start or where the run is resumed.
        verbose: 0 prints nothing; 1 a line an epoch, a progress bar and the result.

    Returns:
        The new run.

    Raises:
        ValueError, TypeError: an argument is wrong or contradicts another, the run is not finished,
            damaged or untested, its data are others now, no sparsity reaches the target, a layer
            stands in the way of channels that shall go, LiteRT cannot convert the network, or the
            libraries for what is asked are not installed.
        FileExistsError: `run_dir` exists, and `resume` was not asked for.
        OSError: a file cannot be read or written.
    """

def serve(
    runs: Run | str | os.PathLike[str] | Sequence[Any] | Mapping[str, Any],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: str | os.PathLike[str] | None = None,
    runtime: Literal["auto", "litert", "onnxruntime", "openvino", "tensorflow", "jax"] = "auto",
    threads: int | None = None,
    max_batch: int = 32,
    max_wait_ms: float = 2.0,
    max_queue: int = 256,
    max_bytes: int = 16777216,
    max_pixels: int = 25000000,
    timeout: float = 10.0,
) -> None:
    """Answer requests over HTTP with the networks of finished runs, until SIGINT or SIGTERM.

    `POST /predict` takes images and names classes, `/v2` speaks the Open Inference Protocol with
    tensors `image` and `probabilities`, `/` is a page to drop pictures on, `/metrics` has figures
    for Prometheus, `/openapi.json` describes all of it. Requests that come within milliseconds are
    computed together. Answers are those of `Run.predict`. A line of JSON for each request goes to
    stderr, without what it held. What was taken when the signal comes is finished.

    Args:
        runs: runs, their folders, `.keras` or `.kac` files: one, several, or a mapping of names to
            them. A text may be `"NAME=PATH"`; without a name it is the folder's or the file's.
        host: address to listen at. Any but this machine's own (127.0.0.1, ::1, localhost) needs a
            token.
        port: port, 0..65535; 0 is any free one.
        token_file: file with the token that requests must bring as `Authorization: Bearer TOKEN`.
            None: that of the environment variable KERAS_ARCHS_TOKEN, if it is set.
        runtime: a runtime of `keras_archs.runtime`, or "auto": the one that is measured fastest at
            start-up, and the backend itself where none has the network's layers.
        threads: CPU threads of the runtime, 1..1,024. None: one for each processor.
        max_batch: images that are computed at a time and that one request may bring, 1..1,024.
        max_wait_ms: milliseconds, 0..1,000, that a request waits for others to be computed with,
            where there are others on their way.
        max_queue: requests in progress, 1..100,000; a further one is told to come again (429).
        max_bytes: bytes of a request's body, 1..2^31; a larger one is refused before it is read
            (413).
        max_pixels: pixels of an image, 1..10^9; a larger one is refused before it is decoded (400).
        timeout: seconds, in (0, 3600], that a request's upload may take (408), and its answer
            (503).

    Raises:
        FileNotFoundError: there is no such run or file.
        ValueError: an argument is wrong, a run is not finished or damaged, the port is taken, an
            address that others reach comes without a token, no runtime has a network's layers, or
            the extra `serve` is not installed.
    """

def export(
    run: Run | str | os.PathLike[str],
    *,
    format: Literal["keras", "saved_model", "onnx", "litert", "openvino", "c"],
    precision: Literal["fp32", "fp16", "int8"] | None = None,
    batch: int | Literal["dynamic"] | None = None,
    out: str | os.PathLike[str] | None = None,
    tolerance: float | None = None,
) -> dict[str, Any]:
    """Make a finished run's network a file for another runtime.

    The folder holds the network, labels.json and export.json. Normalisations are folded into the
    weights, and preprocessing is inside: every format takes images as they are stored, uint8
    0..255 (B, H, W, C), scaled to the network's size as export.json says, and answers with
    probabilities. ONNX and OpenVINO files also carry the labels, as JSON under `labels`.

    What was written is read back by its runtime and answers all test images of the run. Where it
    differs from the run's network, in float32, by more than the tolerance, nothing is left.

    Args:
        run: folder of the finished run whose network is exported, or the run.
        format: "keras", "saved_model" (TensorFlow), "onnx", "litert" (TensorFlow Lite), "openvino",
            or "c": the int8 LiteRT model as C source for TensorFlow Lite Micro.
        precision: "fp32"; "fp16", of the weights; or "int8", weights and activations, whose ranges
            training images set: the last two for onnx, litert and openvino. c has int8 alone. None:
            fp32, for c int8.
        batch: images at a time, 1..4096, or "dynamic": any number. c takes 1 alone. None: dynamic,
            for litert and c 1, as devices' runtimes allocate once.
        out: the new folder, which must not exist. None: `export/FORMAT-PRECISION` in the run's.
        tolerance: what the export may differ by on the run's test images, in [0, 1]: the largest
            difference of a probability, for int8 the share of images whose class changes. None:
            1e-4 for fp32, 0.02 for fp16 and int8.

    Returns:
        What export.json holds: `input` and `output`, `bytes` of all files of the network,
        `parity` (`images`, `max_difference` of a probability, `top1_agreement` in 0..1,
        `accuracy` of both), `latency_ms_p50` of one pass of `images_a_pass` on this machine, of the
        export and of the network in Keras, for c the `operators` and `arena_bytes`; and `path`, the
        folder.

    Raises:
        ValueError, TypeError: an argument is wrong, the run is not finished, damaged or untested,
            its data are others now, the backend or the libraries installed cannot make the format,
            or the export differs by more than the tolerance.
        FileExistsError: `out` exists.
        OSError: a file cannot be read or written.
    """
