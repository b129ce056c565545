"""The command line: `keras-archs COMMAND [OPTIONS]`.

A command reads and checks its options and calls the function of the same name with them. Keras is
imported when a command needs it and not before: help, `list` and most errors answer at once.
"""

import contextlib
import logging
import math
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import typer
import yaml
from typer.core import TyperGroup
from typer.exceptions import TyperException

import applications
import keras_archs
from applications.files import check_picture
from applications.logs.dashboards import check_log, check_profile_steps
from applications.recipes.catalog import check_available
from applications.runs import check_new
from keras_archs.checks import check_alpha, check_rho, nearest
from keras_archs.registry import check_arch

# ------------------------------------------------------------------------------------- errors


def _one_line(error: Exception) -> str:
    """What went wrong, in one line."""
    if isinstance(error, TyperException):
        text = error.format_message()
        close = getattr(error, "possibilities", None)  # of an unknown option
        if close:
            text = f"{text.partition(' (')[0]}. Did you mean {close[0]!r}?"
        text = text[0].lower() + text[1:].replace("Value error, ", "", 1)
    elif isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.strerror}: {error.filename}"
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())


class _CommandLine(TyperGroup):
    """Every error in one line, and an exit status that scripts can rely on.

    0: done. 1: a bug, with its traceback, or nobody reads the output. 2: bad input. 130: Ctrl-C.
    """

    def main(self, args=None, prog_name=None, standalone_mode=True, **extra):
        quiet = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3"
        if quiet and "keras" not in sys.modules and _QuietKeras not in sys.meta_path:
            sys.meta_path.insert(0, _QuietKeras)
        flags = SimpleNamespace(debug=False)
        try:
            status = super().main(args, prog_name, standalone_mode=False, obj=flags, **extra)
            print(end="", flush=True)
        except BrokenPipeError:
            # Python flushes stdout once more when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 1
        except typer.Abort:  # Ctrl-C before or after the command itself
            print("interrupted", file=sys.stderr)
            status = 130
        except (TyperException, ValueError, TypeError, OSError) as error:
            if flags.debug:
                traceback.print_exc()
            status = _fail(_one_line(error))
        except ModuleNotFoundError as error:
            if error.name not in ("tensorflow", "jax", "torch"):
                raise
            status = _fail(
                "`KERAS_BACKEND` must be installed, for example by "
                f"pip install 'keras-archs[tensorflow]'. Received: {error.name}"
            )
        sys.exit(status)

    def invoke(self, ctx):
        try:
            super().invoke(ctx)
        except KeyboardInterrupt as stop:
            print(str(stop) or "interrupted", file=sys.stderr)
            raise typer.Exit(130) from None


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


@contextlib.contextmanager
def _file_descriptor_2_closed() -> Iterator[None]:
    sys.stderr.flush()
    stderr, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nothing)


class _QuietKeras:
    """Import hook: whoever imports Keras first, TensorFlow's notes are not seen.

    On start-up it writes to file descriptor 2 before its log level is in force. Later it warns of
    retracing, which is what training several networks in one process means.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = PathFinder.find_spec(name, path) if name == "keras" else None
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def quietly(module):
                with _file_descriptor_2_closed():
                    execute(module)
                logging.getLogger("tensorflow").setLevel(logging.ERROR)

            spec.loader.exec_module = quietly
        return spec


# -------------------------------------------------------------------- what an option's text means


def _checked(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A callback that runs `check` on the option's value if there is one."""

    def callback(value):
        if value is not None:
            check(value)
        return value

    return callback


def _check_learning_rate(rate: float):
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"`learning_rate` must be > 0. Received: learning_rate={rate!r}")


def _check_recipe(name: str):
    check_available(applications.recipe(name))


def _parse_arch(name: str) -> str:
    return check_arch(name).lower()


def _check_data(data: str):
    from applications.data.sources import NAMES, open_source

    if data not in NAMES and not Path(data).expanduser().exists():
        open_source(data)  # says what it wanted


def _check_archs(archs: str):
    from applications.comparison.comparing import parse_archs

    parse_archs(archs)


def _check_compare(arch: str):
    from applications.comparison.comparing import parse_archs

    parse_archs([arch])


def _parse_seeds(seeds: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", seeds, re.ASCII):
        raise ValueError(f"`seeds` must be integers >= 0 such as 0,1,2. Received: seeds={seeds!r}")
    return tuple(int(seed) for seed in seeds.split(","))


def _parse_log(log: str | None) -> tuple[str, ...] | None:
    if log is None:
        return None
    names = tuple(name.strip() for name in log.split(","))
    check_log(names)
    return names


def _parse_steps(steps: str | None) -> tuple[int, int] | None:
    if steps is None:
        return None
    match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", steps, re.ASCII)
    if not match:
        raise ValueError(
            f"`profile_steps` must be STEP or FIRST-LAST. Received: profile_steps={steps!r}"
        )
    span = int(match[1]), int(match[2] or match[1])
    check_profile_steps(span)
    return span


def _parse_batch(batch: str) -> tuple[int, ...]:
    return _parse_counts("batch", batch)


def _parse_threads(threads: str | None) -> tuple[int, ...] | None:
    return None if threads is None else _parse_counts("threads", threads)


def _parse_counts(name: str, counts: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", counts, re.ASCII):
        raise ValueError(f"`{name}` must be integers >= 1 such as 1,8. Received: {name}={counts!r}")
    return tuple(int(count) for count in counts.split(","))


def _parse_runtimes(runtimes: str | None) -> tuple[str, ...] | None:
    return None if runtimes is None else tuple(name.strip() for name in runtimes.split(","))


def _parse_precisions(precision: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in precision.split(","))


def _parse_size(size: str | None) -> int | tuple[int, int] | None:
    if size is None:
        return None
    match = re.fullmatch(r"0*([1-9]\d*)(?:[x,]0*([1-9]\d*))?", size.replace(" ", ""), re.ASCII)
    if not match:
        raise ValueError(
            f"`size` must be SIDE or HEIGHTxWIDTH in pixels, >= 1. Received: size={size!r}"
        )
    height, width = match.groups()
    return int(height) if width is None else (int(height), int(width))


class _Loader(yaml.SafeLoader):
    """Reads 1e-3 as a number, as YAML 1.2 has it; PyYAML wants 1.0e-3."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _from_yaml(text: str, where: str) -> Any:
    """The value of a YAML text without tags. `where` it stands is named in errors."""
    try:
        for token in yaml.scan(text, Loader=_Loader):
            if isinstance(token, yaml.TagToken):
                line = token.start_mark.line + 1
                raise ValueError(f"{where} must not have tags. Received: a tag in line {line}")
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{where} must be YAML. Received: {error.problem}{line}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{where} must be YAML. Received: {error}") from None


def _read_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Make what a config file holds the defaults of the command's options."""
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"`config` must be a text file in UTF-8. Received: {path}") from None
    config = _from_yaml(text, f"`config` {path}")
    config = {} if config is None else config
    if not isinstance(config, dict):
        raise ValueError(f"`config` {path} must hold lines `option: value`")
    options = {p.name: p for p in ctx.command.params if p.name not in ("config", "debug")}
    ctx.default_map = {}
    for key, value in config.items():
        name = str(key).replace("-", "_")
        if name not in options:
            raise ValueError(
                f"`config` {path} must hold options of the command {ctx.info_name}."
                f"{nearest(name, options)} Received: {key}"
            )
        if name == "args":
            ctx.meta["args"] = _check_args(ctx, {} if value is None else value)
        elif value is not None:
            ctx.default_map[name] = _as_typed(value, several=options[name].nargs != 1)
    return path


def _as_typed(value: Any, several: bool) -> str | list[str]:
    """The text, or texts, that one would type for a config's value."""
    if not isinstance(value, list):
        return [str(value)] if several else str(value)
    texts = [str(item) for item in value]
    return texts if several else ",".join(texts)


def _check_args(ctx: typer.Context, args: Any) -> dict[str, Any]:
    """The family's own arguments by name, none of which is an option of the command."""
    if not isinstance(args, dict):
        raise ValueError(f"`args` must be a mapping of names to values. Received: args={args!r}")
    for name in args:
        if name in (p.name for p in ctx.command.params):
            raise ValueError(f"`set` must not hold what is an option. Received: {name}")
    return args


def _parse_set(ctx: typer.Context, settings: list[str]) -> dict[str, Any]:
    args = {}
    for setting in settings or ():
        name, equals, value = setting.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"`set` must be NAME=VALUE. Received: set={setting!r}")
        args[name] = _from_yaml(value, f"`set` {name}")
    return _check_args(ctx, args)


def _arguments(ctx: typer.Context) -> dict[str, Any]:
    """The command's options as keyword arguments of the function that it stands for."""
    arguments = {k: v for k, v in ctx.params.items() if k not in ("config", "debug")}
    if "args" in arguments:
        arguments["args"] = {**ctx.meta.get("args", {}), **arguments["args"]} or None
    return arguments


# ---------------------------------------------------------------------------------------- options


def _set_debug(ctx: typer.Context, debug: bool):
    ctx.obj.debug = debug


Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.yaml",
        callback=_read_config,
        help="Take options from this file, `option: value` in a line. The command line wins.",
    ),
]
Debug = Annotated[
    bool, typer.Option("--debug", is_eager=True, callback=_set_debug, help="Show tracebacks.")
]
Arch = Annotated[
    str, typer.Option(callback=_parse_arch, metavar="NAME", help="An architecture of `list`.")
]
Alpha = Annotated[
    float, typer.Option(callback=_checked(check_alpha), help="Width multiplier, > 0.")
]
Rho = Annotated[
    float, typer.Option(callback=_checked(check_rho), help="Resolution multiplier in (0, 1].")
]
Size = Annotated[
    str | None,
    typer.Option(
        callback=_parse_size,
        metavar="SIDE|HxW",
        help="Size of the input in pixels.",
        show_default="the data's or the recipe's",
    ),
]
Data = Annotated[
    str,
    typer.Option(
        callback=_checked(_check_data),
        metavar="NAME|PATH",
        help="digits, mnist, fashion_mnist, cifar10, cifar100, an .npz file or a folder "
        "train/CLASS/*, with val/ and test/ where there are such splits.",
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(min=1, help="Passes over the training images.", show_default="the recipe's"),
]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Images in a step.", show_default="the recipe's")
]
LearningRate = Annotated[
    float | None,
    typer.Option(
        callback=_checked(_check_learning_rate),
        help="Highest learning rate, > 0.",
        show_default="the recipe's",
    ),
]
WeightDecay = Annotated[
    float | None,
    typer.Option(min=0, help="How strongly kernels decay, >= 0.", show_default="the recipe's"),
]
Shift = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Largest random shift of a training image, as a fraction of its sides in [0, 1).",
        show_default="the recipe's",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|NAME",
        help="Start from a .keras, .weights.h5, .safetensors or .caffemodel file, imagenet, or "
        "hf://timm/NAME.",
    ),
]
Adapt = Annotated[
    bool,
    typer.Option(
        "--adapt", help="Adapt weights for other classes or channels, a larger alpha, another size."
    ),
]
FreezeUntil = Annotated[
    str | None,
    typer.Option(
        metavar="STAGE",
        help="Fine-tune: freeze all layers up to P1, P2, ... or to the last whose name begins so "
        "for a quarter of the epochs, then train all at half the rate.",
    ),
]
Seed = Annotated[
    int, typer.Option(min=0, max=2**32 - 1, help="Seed of the splits, weights and order of images.")
]
RunDir = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="A new folder for the run.", show_default="runs/ARCH-DATA-sSEED"
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the run in --run-dir, or start it.")
]
RecipeName = Annotated[
    str, typer.Option(callback=_checked(_check_recipe), metavar="NAME", help="How to train.")
]
Resize = Annotated[
    Literal["stretch", "crop", "pad"], typer.Option(help="How images get the input's proportions.")
]
ClassWeight = Annotated[
    Literal["balanced"] | None, typer.Option(help="Weigh rare classes as much as frequent ones.")
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="CPU threads.", show_default="all processors")
]
Precision = Annotated[
    Literal["float32", "mixed_float16", "mixed_bfloat16"] | None,
    typer.Option(help="Numbers that layers compute with.", show_default="float32"),
]
Args = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        callback=_parse_set,
        metavar="NAME=VALUE",
        help="An argument of the family's own, such as stem=small; the value is YAML. Repeatable. "
        "In a config: a mapping `args:`.",
    ),
]
Log = Annotated[
    str | None,
    typer.Option(
        callback=_parse_log,
        metavar="A,B",
        help="Log these to TensorBoard as well: histograms, gradients, dead_relus.",
    ),
]
ProfileSteps = Annotated[
    str | None,
    typer.Option(
        callback=_parse_steps,
        metavar="FIRST-LAST",
        help="Trace these training steps with the backend's profiler.",
    ),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]

# --------------------------------------------------------------------------------------- commands

app = typer.Typer(cls=_CommandLine, add_completion=False, pretty_exceptions_enable=False)


def _show_version(asked: bool):
    if asked:
        print(f"keras-archs {keras_archs.__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def main(
    ctx: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
    ] = False,
):
    """Convolutional networks from LeNet-5 to SimpNet: train, evaluate and compare them."""
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


@app.command("list")
def list_(
    pattern: Annotated[str, typer.Argument(help="Shell pattern such as 'resnet*'.")] = "*",
    details: Annotated[bool, typer.Option("--details", help="Show what is known of each.")] = False,
    debug: Debug = False,
):
    """Print the names of the architectures."""
    names = keras_archs.list_archs(pattern)
    if not names:
        raise ValueError(
            f"`pattern` must match an architecture.{nearest(pattern, keras_archs.list_archs())} "
            f"Received: pattern={pattern!r}"
        )
    if not details:
        print(*names, sep="\n")
        return
    rows = []
    for name in names:
        known = keras_archs.info(name)
        shape = "x".join(map(str, known.input_shape))
        rows.append((name, str(known.year), shape, str(known.min_size), known.paper))
    _print_table(("name", "year", "input", "minimum", "paper"), rows)


@app.command()
def summary(
    ctx: typer.Context,
    arch: Annotated[
        str, typer.Argument(callback=_parse_arch, metavar="ARCH", help="An architecture of `list`.")
    ],
    alpha: Alpha = 1.0,
    rho: Rho = 1.0,
    size: Annotated[
        str | None,
        typer.Option(
            callback=_parse_size,
            metavar="SIDE|HxW",
            help="Size of the input in pixels.",
            show_default="the paper's",
        ),
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, help="Number of classes.", show_default="the paper's")
    ] = None,
    channels: Annotated[
        int | None, typer.Option(min=1, help="Channels of the input.", show_default="the paper's")
    ] = None,
    args: Args = None,
    compare: Annotated[
        str | None,
        typer.Option(
            callback=_checked(_check_compare),
            metavar="NAME[:alpha=A][:rho=R]",
            help="Another architecture, whose cost is printed beside this one's. "
            "All options but --set are for both; its own alpha and rho win.",
        ),
    ] = None,
    stages: Annotated[
        bool, typer.Option("--stages", help="The subtotals of the stages alone.")
    ] = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table to this file, too.")
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option(
            callback=_checked(lambda path: check_picture("svg", path, ".svg")),
            metavar="FILE.svg",
            help="Draw the architecture by stages.",
        ),
    ] = None,
    config: Config = None,
    debug: Debug = False,
):
    """Print the layers of an architecture with their parameters and multiply-adds."""
    cost = applications.summary(**_arguments(ctx))
    for name in (arch, compare.partition(":")[0].lower()) if compare else (arch,):
        print(f"{name}: {keras_archs.info(name).paper}")
    if stages and isinstance(cost, keras_archs.Profile):
        print(cost.as_text(layers=False))
    else:
        print(cost)


@app.command()
def train(
    ctx: typer.Context,
    arch: Arch,
    data: Data = "digits",
    alpha: Alpha = 1.0,
    rho: Rho = 1.0,
    size: Size = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    weight_decay: WeightDecay = None,
    shift: Shift = None,
    weights: Weights = None,
    adapt: Adapt = False,
    freeze_until: FreezeUntil = None,
    seed: Seed = 0,
    run_dir: RunDir = None,
    resume: Resume = False,
    recipe: RecipeName = "default",
    resize: Resize = "stretch",
    class_weight: ClassWeight = None,
    threads: Threads = None,
    precision: Precision = None,
    args: Args = None,
    log: Log = None,
    profile_steps: ProfileSteps = None,
    config: Config = None,
    debug: Debug = False,
):
    """Train a network and write all that comes of it into a run folder."""
    if run_dir is not None and not resume:
        check_new(run_dir)
    applications.train(**_arguments(ctx))


@app.command()
def evaluate(
    ctx: typer.Context,
    run: RunFolder,
    data: Annotated[
        str | None,
        typer.Option(
            callback=_checked(_check_data),
            metavar="NAME|PATH",
            help="Data with the same classes.",
            show_default="the run's",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images in a step.")] = 256,
    config: Config = None,
    debug: Debug = False,
):
    """Test a trained network again, or on other data."""
    from applications.evaluation.evaluating import print_metrics

    print_metrics(applications.evaluate(**_arguments(ctx)))


@app.command()
def predict(
    ctx: typer.Context,
    run: RunFolder,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Image files.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to name for each image.")] = 3,
    explain: Annotated[
        Path | None,
        typer.Option(
            callback=_checked(lambda path: check_picture("explain", path)),
            metavar="OUT.png",
            help="Draw where in each image the network found its most probable class.",
        ),
    ] = None,
    method: Annotated[
        Literal["cam", "gradcam", "guided"] | None,
        typer.Option(
            help="Class activation map, Grad-CAM or guided backpropagation.",
            show_default="cam where the network allows it, else gradcam",
        ),
    ] = None,
    filters: Annotated[
        Path | None,
        typer.Option(
            callback=_checked(lambda path: check_picture("filters", path)),
            metavar="OUT.png",
            help="Draw the first layer's kernels.",
        ),
    ] = None,
    config: Config = None,
    debug: Debug = False,
):
    """Name the most probable classes of images."""
    rows = []
    for image, best in applications.predict(**_arguments(ctx)):
        names = [image, *[""] * (len(best) - 1)]
        rows += [(n, label, f"{100 * p:.1f} %") for n, (label, p) in zip(names, best, strict=True)]
    _print_table(("image", "class", "probability"), rows)


@app.command()
def compare(
    ctx: typer.Context,
    runs: Annotated[list[Path] | None, typer.Argument(metavar="RUN", help="Run folders.")] = None,
    archs: Annotated[
        str | None,
        typer.Option(
            callback=_checked(_check_archs),
            metavar="A,B,...",
            help="Architectures to train where that is not done, each as NAME or "
            "NAME:alpha=0.5:rho=0.75.",
        ),
    ] = None,
    data: Data = "digits",
    alpha: Alpha = 1.0,
    rho: Rho = 1.0,
    size: Size = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    weight_decay: WeightDecay = None,
    shift: Shift = None,
    weights: Weights = None,
    adapt: Adapt = False,
    freeze_until: FreezeUntil = None,
    seeds: Annotated[
        str,
        typer.Option(
            callback=_parse_seeds, metavar="0,1,...", help="Train once with each of these."
        ),
    ] = "0",
    run_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where comparison.csv, report.html and the new runs go."
        ),
    ] = None,
    recipe: RecipeName = "default",
    resize: Resize = "stretch",
    class_weight: ClassWeight = None,
    threads: Threads = None,
    precision: Precision = None,
    args: Args = None,
    log: Log = None,
    profile_steps: ProfileSteps = None,
    config: Config = None,
    debug: Debug = False,
):
    """Compare runs, or architectures that are trained first: a table and report.html."""
    applications.compare(**_arguments(ctx))


@app.command()
def lint(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="ARCH|RUN|FILE.keras", help="A network.")],
    alpha: Alpha = 1.0,
    args: Args = None,
    config: Config = None,
    debug: Debug = False,
):
    """Print which of SimpNet's principles a network breaks, where, and what the paper measured."""
    findings = applications.lint(**_arguments(ctx))
    for finding in findings:
        print(finding, *(f"  {evidence}" for evidence in finding.evidence), sep="\n")
    if not findings:
        print(f"{model} breaks none of the principles")


@app.command()
def bench(
    ctx: typer.Context,
    model: Annotated[
        str | None, typer.Argument(metavar="ARCH|RUN", help="An architecture or a run folder.")
    ] = None,
    preset: Annotated[
        Literal["kernel-size"] | None,
        typer.Option(help="What to compare instead: SimpNet's kernels at equal parameters."),
    ] = None,
    batch: Annotated[
        str, typer.Option(callback=_parse_batch, metavar="1,8,...", help="Images at a time.")
    ] = "1,32",
    threads: Annotated[
        str | None,
        typer.Option(
            callback=_parse_threads,
            metavar="1,2,...",
            help="CPU threads.",
            show_default="all processors",
        ),
    ] = None,
    runtimes: Annotated[
        str | None,
        typer.Option(
            callback=_parse_runtimes,
            metavar="A,B,...",
            help="litert, onnxruntime, openvino, tensorflow, jax, auto; predict: Model.predict; "
            "function: a compiled function that is called.",
            show_default="all that are installed",
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(callback=_parse_precisions, metavar="fp32,int8", help="Of the runtimes.")
    ] = "fp32",
    alpha: Alpha = 1.0,
    rho: Rho = 1.0,
    size: Annotated[
        str | None,
        typer.Option(
            callback=_parse_size,
            metavar="SIDE|HxW",
            help="Size of the input in pixels.",
            show_default="the paper's",
        ),
    ] = None,
    args: Args = None,
    seconds: Annotated[
        float, typer.Option(min=0, help="Of measuring for each batch size, at least.")
    ] = 2.0,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table to this file, too.")
    ] = None,
    config: Config = None,
    debug: Debug = False,
):
    """Measure how fast a network runs on this machine in each runtime."""
    applications.bench(**_arguments(ctx))


@app.command()
def search(
    ctx: typer.Context,
    arch: Annotated[
        str,
        typer.Option(
            callback=_parse_arch,
            metavar="NAME",
            help="simpnet: the space of SimpNet's principles. Another architecture: its width, "
            "resolution and dropout.",
        ),
    ] = "simpnet",
    data: Data = "digits",
    trials: Annotated[int, typer.Option(min=1, help="Networks to train.")] = 20,
    budget_params: Annotated[
        int | None, typer.Option(min=1, help="Most parameters of a network.")
    ] = None,
    budget_macs: Annotated[
        int | None, typer.Option(min=1, help="Most multiply-adds of a network, for one image.")
    ] = None,
    algorithm: Annotated[
        Literal["random", "bayesian", "hyperband", "grid"],
        typer.Option(help="Who proposes the networks."),
    ] = "bayesian",
    principles: Annotated[
        str, typer.Option(metavar="A,B,...", help="The principles that bind the space, or all.")
    ] = "all",
    isolate: Annotated[
        str | None,
        typer.Option(
            metavar="PRINCIPLE", help="Compare the settings of one principle; nothing else varies."
        ),
    ] = None,
    seeds: Annotated[
        str,
        typer.Option(
            callback=_parse_seeds,
            metavar="0,1,...",
            help="With --isolate: train each setting once with each of these.",
        ),
    ] = "0,1,2",
    tune: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Search these along: learning_rate, weight_decay, augmentation, recipe.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Trials trained side by side.")] = 1,
    keep: Annotated[int, typer.Option(min=1, help="Best trials that keep their model.")] = 1,
    retries: Annotated[
        int, typer.Option(min=0, help="How often a trial that failed is tried again.")
    ] = 1,
    engine: Annotated[
        Literal["local", "optuna"],
        typer.Option(help="optuna: machines share the trials through --storage."),
    ] = "local",
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Database such as postgresql://user@host/name. Its password comes from "
            "PGPASSFILE or PGPASSWORD.",
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(help="Name in the database.", show_default="the name of --run-dir"),
    ] = None,
    heartbeat: Annotated[
        int, typer.Option(min=1, help="Seconds between signs of life of a worker on --storage.")
    ] = 60,
    objectives: Annotated[
        str,
        typer.Option(metavar="A,B", help="accuracy, or with optuna accuracy,macs: the front."),
    ] = "accuracy",
    size: Size = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Passes over the training images.", show_default="half the recipe's"
        ),
    ] = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    weight_decay: WeightDecay = None,
    shift: Shift = None,
    seed: Seed = 0,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="A new folder for the search.",
            show_default="runs/search-ARCH-DATA-sSEED",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search in --run-dir, or start it.")
    ] = False,
    recipe: RecipeName = "default",
    resize: Resize = "stretch",
    class_weight: ClassWeight = None,
    threads: Threads = None,
    precision: Precision = None,
    args: Args = None,
    config: Config = None,
    debug: Debug = False,
):
    """Search for the best network within a budget; what is killed goes on with --resume."""
    from tuning.budget import Budget

    if run_dir is not None and not resume and engine == "local":
        check_new(run_dir)
    arguments = _arguments(ctx)
    limits = {name: arguments.pop(f"budget_{name}") for name in ("params", "macs")}
    for name in ("tune", "objectives", "principles"):
        if arguments[name] != "all":
            arguments[name] = tuple(filter(None, (arguments[name] or "").split(",")))
    applications.search(
        arguments.pop("arch"),
        budget=Budget(**limits) if any(limits.values()) else None,
        **arguments,
    )


@app.command()
def dashboard(
    runs: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A run folder, or a folder of run folders.")
    ] = Path("runs"),
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="0 is any free port.", show_default="6006 or next free"
        ),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the browser.")] = False,
    debug: Debug = False,
):
    """Show runs in TensorBoard, on this machine alone."""
    applications.dashboard(runs, port, open_browser)


def _print_table(header: Iterable[str], rows: Iterable[Iterable[str]]):
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    # Cells are what they are: names may hold what would be rich's markup.
    Console(markup=False, emoji=False, highlight=False).print(table)
