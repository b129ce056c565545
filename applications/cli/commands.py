"""The command line: `keras-archs COMMAND [OPTIONS]`.

A command reads and checks its options and calls the function of the same name with them. Keras is
imported when a command needs it and not before: help, `list` and most errors answer at once.
"""

from typing import Annotated

import typer

import keras_archs
from applications.cli import networks, runs, searches, starting
from applications.cli.process import app

__all__ = ["app", "networks", "runs", "searches", "starting"]


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
