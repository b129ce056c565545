"""The command that makes a folder to start from."""

from pathlib import Path
from typing import Annotated

import typer

import applications
from applications.cli.parameters import Debug
from applications.cli.process import app
from applications.shipping.projects import TEMPLATES


@app.command()
def new(
    template: Annotated[
        str | None,
        typer.Argument(metavar="TEMPLATE", help=f"{', '.join(TEMPLATES)}.", show_default="list"),
    ] = None,
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="The folder to make.")
    ] = None,
    debug: Debug = False,
):
    """Make a project of your own to start from, or list what there is."""
    if template is None:
        width = max(map(len, TEMPLATES))
        for name, summary in TEMPLATES.items():
            print(f"{name:{width}}  {summary}")
    elif folder is None:
        raise ValueError(f"`folder` must be a folder to make. Received: new {template} alone")
    else:
        made = applications.new(template, folder)
        print(f"{made} has a {template}: {made / 'README.md'} says how to begin")
