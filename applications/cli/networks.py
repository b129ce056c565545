"""Commands about architectures and networks: list, summary, lint, bench."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

import applications
import keras_archs
from applications.cli.parameters import Debug, checked, with_options
from applications.cli.parsing import arguments_of
from applications.cli.process import app, print_table
from applications.comparison.entries import parse_archs
from applications.files import check_file
from applications.options import Group, Options, parse_counts, parse_names
from keras_archs.checks import nearest
from keras_archs.registry import check_arch

NETWORK = Group(
    Options, ("alpha", "rho", "size", "args"), changes={"size": {"shown": "the paper's"}}
)


def parse_arch(name: str) -> str:
    return check_arch(name).lower()


@app.command("list")
def list_(
    pattern: Annotated[str, typer.Argument(help="Shell pattern such as 'resnet*'.")] = "*",
    details: Annotated[bool, typer.Option("--details", help="Show what is known of each.")] = False,
    weights: Annotated[
        bool,
        typer.Option("--weights", help="Show the trained weights that are known of each."),
    ] = False,
    debug: Debug = False,
):
    """Print the names of the architectures."""
    names = keras_archs.list_archs(pattern)
    if not names:
        raise ValueError(
            f"`pattern` must match an architecture.{nearest(pattern, keras_archs.list_archs())} "
            f"Received: pattern={pattern!r}"
        )
    if weights:
        print_table(
            ("name", "weights", "arguments", "data", "accuracy", "where"), _weights_rows(names)
        )
        return
    if not details:
        print(*names, sep="\n")
        return
    rows = []
    for name in names:
        known = keras_archs.info(name)
        shape = "x".join(map(str, known.input_shape))
        rows.append((name, str(known.year), shape, str(known.min_size), known.paper))
    print_table(("name", "year", "input", "minimum", "paper"), rows)


def _weights_rows(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """What is known of the weights of these architectures; the package's own have their size."""
    for known in (known for name in names for known in keras_archs.info(name).weights):
        own = isinstance(known, keras_archs.weights.TrainedWeights)
        yield (
            *(known.arch, known.weights),
            " ".join(f"{name}={value}" for name, value in known.kwargs.items()),
            known.data,
            f"{known.accuracy:.2f} %" if known.accuracy else "",
            f"in the package, {known.bytes:,} bytes" if own else known.source or "",
        )


@app.command()
@with_options(
    Group(Options, ("alpha", "rho", "size", "args"), changes={"size": {"shown": "the paper's"}})
)
def summary(
    ctx: typer.Context,
    arch: Annotated[
        str, typer.Argument(callback=parse_arch, metavar="ARCH", help="An architecture of `list`.")
    ],
    classes: Annotated[
        int | None, typer.Option(min=1, help="Number of classes.", show_default="the paper's")
    ] = None,
    channels: Annotated[
        int | None, typer.Option(min=1, help="Channels of the input.", show_default="the paper's")
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            callback=checked(lambda arch: parse_archs([arch])),
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
            callback=checked(lambda path: check_file("svg", path, ".svg")),
            metavar="FILE.svg",
            help="Draw the architecture by stages.",
        ),
    ] = None,
):
    """Print the layers of an architecture with their parameters and multiply-adds."""
    cost = applications.summary(**arguments_of(ctx))
    for name in (arch, compare.partition(":")[0].lower()) if compare else (arch,):
        print(f"{name}: {keras_archs.info(name).paper}")
    if stages and isinstance(cost, keras_archs.Profile):
        print(cost.as_text(layers=False))
    else:
        print(cost)


@app.command()
@with_options(Group(Options, ("alpha", "args")))
def lint(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="ARCH|RUN|FILE.keras", help="A network.")],
):
    """Print which of SimpNet's principles a network breaks, where, and what the paper measured."""
    findings = applications.lint(**arguments_of(ctx))
    for finding in findings:
        print(finding, *(f"  {evidence}" for evidence in finding.evidence), sep="\n")
    if not findings:
        print(f"{model} breaks none of the principles")


@app.command()
@with_options(
    Group(Options, ("alpha", "rho", "size", "args"), changes={"size": {"shown": "the paper's"}})
)
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
        str,
        typer.Option(
            callback=lambda text: parse_counts("batch", text),
            metavar="1,8,...",
            help="Images at a time.",
        ),
    ] = "1,32",
    threads: Annotated[
        str | None,
        typer.Option(
            callback=lambda text: text and parse_counts("threads", text),
            metavar="1,2,...",
            help="CPU threads.",
            show_default="all processors",
        ),
    ] = None,
    runtimes: Annotated[
        str | None,
        typer.Option(
            callback=lambda text: text and parse_names(text),
            metavar="A,B,...",
            help="litert, onnxruntime, openvino, tensorflow, jax, auto; predict: Model.predict; "
            "function: a compiled function that is called.",
            show_default="all that are installed",
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(callback=parse_names, metavar="fp32,int8", help="Precisions of the runtimes."),
    ] = "fp32",
    seconds: Annotated[
        float, typer.Option(min=0, help="Minimum seconds to measure each batch size.")
    ] = 2.0,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table to this file, too.")
    ] = None,
):
    """Measure how fast a network runs on this machine in each runtime."""
    applications.bench(**arguments_of(ctx))
