"""The parameters of commands, made of what `applications.options` declares."""

import functools
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, Field
from pathlib import Path
from typing import Annotated, Any

import typer

from applications.cli.parsing import parse_set, read_config
from applications.options import Declared, Group


def checked(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A callback that runs `check` on the option's value if there is one."""

    def callback(value):
        if value is not None:
            check(value)
        return value

    return callback


def _set_debug(ctx: typer.Context, debug: bool):
    ctx.obj.debug = debug


Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.yaml",
        callback=read_config,
        help="Take options from this file, one `option: value` a line. The command line wins.",
    ),
]
Debug = Annotated[
    bool, typer.Option("--debug", is_eager=True, callback=_set_debug, help="Show tracebacks.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


def with_options(*groups: Group) -> Callable[[Callable], Callable]:
    """Give a command the options of these groups, behind its own, and `--config` and `--debug`.

    Typer reads them from the command's signature.
    """

    def decorate(command: Callable) -> Callable:
        own = [
            parameter
            for parameter in inspect.signature(command).parameters.values()
            if parameter.kind is not parameter.VAR_KEYWORD
        ]
        options = [
            _parameter(each, told)
            for group in groups
            for each, told in group.options()
            if not told.python_only
        ]
        ends = [
            inspect.Parameter("config", _KEYWORD, default=None, annotation=Config),
            inspect.Parameter("debug", _KEYWORD, default=False, annotation=Debug),
        ]
        parameters = [p.replace(kind=_KEYWORD) for p in (*own, *options, *ends)]

        @functools.wraps(command)
        def run(**given: Any) -> Any:
            return command(**{p.name: given[p.name] for p in own})

        del run.__wrapped__
        vars(run)["__signature__"] = inspect.Signature(parameters)
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def _parameter(each: Field, told: Declared) -> inspect.Parameter:
    """An option of the command line."""
    default = None if told.parse else each.default
    details: dict[str, Any] = {
        "help": told.help,
        "metavar": told.metavar,
        "callback": _callback(each, told),
        "rich_help_panel": told.panel,
    }
    if told.argument:
        annotation = Annotated[list[Path] | None, typer.Argument(**details)]
        return inspect.Parameter(each.name, _KEYWORD, default=None, annotation=annotation)
    details |= {"min": told.least, "max": told.most}
    if told.shown is not None:
        details["show_default"] = told.shown
    if each.name == "args":
        details["callback"] = parse_set
    name, kind = each.name.replace("_", "-"), _text_type(each, told)
    flag = f"--{name}/--no-{name}" if kind == bool | None else f"--{name}"
    annotation = Annotated[kind, typer.Option(told.flag or flag, **details)]
    default = inspect.Parameter.empty if default is MISSING else default
    return inspect.Parameter(each.name, _KEYWORD, default=default, annotation=annotation)


def _text_type(each: Field, told: Declared) -> Any:
    """The type that Typer reads a text as."""
    if each.name == "args":
        return list[str] | None
    if told.parse:
        return str | None
    kinds = typing.get_args(each.type) if _is_union(each.type) else (each.type,)
    kind: Any = kinds[0]  # the others are for Python alone
    return kind | None if type(None) in kinds else kind


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _callback(each: Field, told: Declared) -> Callable[[Any], Any]:
    def callback(value: Any) -> Any:
        if value is None or value == []:
            return None if each.default is MISSING else each.default
        return told.check(each.name, told.parse(value) if told.parse else value)

    return callback
