"""Commands about runs: they are made, tested, compared, and become others."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal

import typer

import applications
from applications.cli.parameters import Debug, RunFolder, checked, with_options
from applications.cli.parsing import arguments_of
from applications.cli.process import app
from applications.comparison.entries import parse_archs
from applications.files import check_file
from applications.options import (
    STUDENT,
    Comparison,
    Compression,
    Distillation,
    Evaluation,
    Exporting,
    Group,
    Growing,
    Options,
    Retrieval,
    Running,
    Serving,
    Shrinking,
    Specialising,
    retrained,
    specialised,
    without,
)
from applications.runs import check_new


@app.command()
@with_options(Group(Options), Group(Running))
def train(ctx: typer.Context):
    """Train a network and write everything into a run folder."""
    arguments = arguments_of(ctx)
    if arguments["run_dir"] is not None and not arguments["resume"]:
        check_new(arguments["run_dir"])
    applications.train(**arguments)


@app.command()
@with_options(Group(Evaluation))
def evaluate(ctx: typer.Context, run: RunFolder):
    """Test a trained network again, on other data, or in other ways."""
    arguments = arguments_of(ctx)
    applications.evaluation.print_metrics(applications.evaluate(**arguments))
    for name in ("reliability", "robustness", "save_calibrated", "out"):
        if arguments[name] is not None:
            print(f"{arguments[name]} is written")


@app.command()
@with_options()
def predict(
    ctx: typer.Context,
    run: RunFolder,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Image files.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to name for each image.")] = 3,
    explain: Annotated[
        Path | None,
        typer.Option(
            callback=checked(lambda path: check_file("explain", path)),
            metavar="OUT.png",
            help="Draw where in each image the network found its most probable class.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            callback=checked(lambda path: check_file("out", path, ".csv")),
            metavar="OUT.csv",
            help="Write the answers into this file.",
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
            callback=checked(lambda path: check_file("filters", path)),
            metavar="OUT.png",
            help="Draw the first layer's kernels.",
        ),
    ] = None,
):
    """Name the most probable classes of images."""
    arguments = arguments_of(ctx)
    applications.predict(**arguments, verbose=int(arguments["out"] is None))
    if arguments["out"] is not None:
        print(f"{arguments['out']} has the answers")


@app.command()
@with_options(
    Group(Comparison),
    Group(Options, without("arch", "seed")),
    Group(Running, ("log", "profile_steps")),
)
def compare(ctx: typer.Context):
    """Compare runs, or architectures that are trained first: a table and report.html."""
    arguments = arguments_of(ctx)
    if arguments["archs"] is not None:
        parse_archs(arguments["archs"])
    applications.compare(**arguments)


@app.command()
@with_options(Group(Distillation), STUDENT, Group(Running))
def distill(ctx: typer.Context, run: RunFolder):
    """Train a network on what a finished run's network predicts."""
    arguments = arguments_of(ctx)
    applications.load(run).check_tested()
    if arguments["run_dir"] is not None and not arguments["resume"]:
        check_new(arguments["run_dir"])
    applications.distill(**arguments)


@app.command()
@with_options(Group(Growing), *retrained("grown"))
def grow(ctx: typer.Context, run: RunFolder):
    """Train a wider or deeper copy of a finished run's network on, from its predictions."""
    arguments = arguments_of(ctx)
    applications.load(run).check_tested()
    if arguments["run_dir"] is not None and not arguments["resume"]:
        check_new(arguments["run_dir"])
    applications.grow(**arguments)


@app.command()
@with_options(Group(Shrinking), *retrained("shrunk"))
def shrink(ctx: typer.Context, run: RunFolder):
    """Train a narrower copy of a finished run's network on, of its strongest channels."""
    arguments = arguments_of(ctx)
    applications.load(run).check_tested()
    if arguments["run_dir"] is not None and not arguments["resume"]:
        check_new(arguments["run_dir"])
    applications.shrink(**arguments)


@app.command(context_settings={"allow_extra_args": True})
@with_options(Group(Retrieval))
def retrieve(
    ctx: typer.Context,
    run: RunFolder,
    data: Annotated[
        str,
        typer.Argument(metavar="FOLDER", help="Images to search, in a folder or as --data has it."),
    ],
    query: Annotated[
        list[Path] | None,
        typer.Option(metavar="IMAGE...", help="Image files to find the nearest of."),
    ] = None,
):
    """Find the images of a folder that a finished run's network takes for the nearest."""
    arguments = arguments_of(ctx)
    if ctx.args and query is None:
        ctx.fail(f"Got unexpected extra argument ({ctx.args[0]})")
    arguments["query"] = [*(query or ()), *ctx.args]  # --query *.png: the shell makes many of it
    Retrieval(**arguments)
    applications.load(run)
    applications.retrieve(**arguments)


@app.command()
@with_options(Group(Specialising), *specialised())
def specialists(ctx: typer.Context, run: RunFolder):
    """Train specialists for the classes that a finished run's network confuses."""
    arguments = arguments_of(ctx)
    applications.load(run).check_tested()
    if arguments["run_dir"] is not None and not arguments["resume"]:
        check_new(arguments["run_dir"])
    applications.specialists(**arguments)


@app.command()
@with_options(Group(Compression), *retrained("compressed"))
def compress(ctx: typer.Context, run: RunFolder):
    """Make a run with a smaller network of a finished one: pruned, shared, coded."""
    arguments = arguments_of(ctx)
    Compression(**{each.name: arguments[each.name] for each in fields(Compression)})
    applications.load(run).check_tested()
    if arguments["run_dir"] is not None and not arguments["resume"]:
        check_new(arguments["run_dir"])
    applications.compress(**arguments)


@app.command()
@with_options(Group(Exporting))
def export(ctx: typer.Context, run: RunFolder):
    """Make a finished run's network a file for another runtime, and compare the two."""
    arguments = arguments_of(ctx)
    Exporting(**{each.name: arguments[each.name] for each in fields(Exporting)})
    applications.load(run).check_tested()
    applications.export(**arguments)


@app.command()
@with_options(Group(Serving))
def serve(
    ctx: typer.Context,
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]RUN",
            help="Run folders, .keras or .kac files, with names where theirs will not do.",
        ),
    ],
):
    """Answer requests over HTTP: images, tensors of the Open Inference Protocol, a page."""
    applications.serve(**arguments_of(ctx))


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
