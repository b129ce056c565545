"""The command that searches for a network."""

from typing import Annotated, Any, Literal

import typer

import applications
from applications.cli.parameters import with_options
from applications.cli.parsing import arguments_of, parse_bytes
from applications.cli.process import app
from applications.options import SEARCHED, Group, Search
from applications.runs import check_new
from keras_archs.registry import check_arch
from tuning.budget import Budget

_OWN = tuple(name for name in Search.__dataclass_fields__ if name != "space")
_LIMITS = {  # option -> what it limits
    "params": "params",
    "macs": "macs",
    "sram": "peak_activation_bytes",
    "flash": "weight_bytes",
}


@app.command()
@with_options(Group(Search, _OWN), SEARCHED)
def search(
    ctx: typer.Context,
    arch: Annotated[
        str,
        typer.Option(
            callback=lambda name: check_arch(name).lower(),
            metavar="NAME",
            help="simpnet: the space of SimpNet's principles. Another architecture: its width, "
            "resolution and dropout.",
        ),
    ] = "simpnet",
    budget_params: Annotated[
        int | None, typer.Option(min=1, help="Most parameters of a network.")
    ] = None,
    budget_macs: Annotated[
        int | None, typer.Option(min=1, help="Most multiply-adds of a network, for one image.")
    ] = None,
    budget_sram: Annotated[
        Any,
        typer.Option(
            callback=parse_bytes,
            metavar="BYTES",
            help="Most memory of a network's activations, such as 256k, as LiteRT plans it.",
        ),
    ] = None,
    budget_flash: Annotated[
        Any,
        typer.Option(
            callback=parse_bytes,
            metavar="BYTES",
            help="Most memory of a network's weights, such as 1M. Operators and names of its file "
            "come on top.",
        ),
    ] = None,
    budget_dtype: Annotated[
        Literal["int8", "float32"],
        typer.Option(help="What --budget-sram and --budget-flash are counted in."),
    ] = "int8",
):
    """Search for the best network within a budget; one that is killed continues with --resume."""
    arguments = arguments_of(ctx)
    run_dir, joins = arguments["run_dir"], arguments["engine"] == "optuna"
    if run_dir is not None and not arguments["resume"] and not joins:
        check_new(run_dir)
    limits = {of: arguments.pop(f"budget_{name}") for name, of in _LIMITS.items()}
    dtype = arguments.pop("budget_dtype")
    if limits["peak_activation_bytes"] or limits["weight_bytes"]:
        limits["dtype"] = dtype
    budget = Budget(**limits) if any(limits.values()) else None
    applications.search(arguments.pop("arch"), budget=budget, **arguments)
