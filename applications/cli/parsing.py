"""Text and YAML to values: config files and `--set`."""

import re
from pathlib import Path
from typing import Any

import typer

from applications.files import plain_yaml
from keras_archs.checks import nearest

_BYTES = {"": 1, "k": 2**10, "M": 2**20}
_MOST_BYTES = 2**20  # of a config, which may be a pipe or a device that never ends


def _from_yaml(text: str, where: str) -> Any:
    """The value of a YAML text without tags. `where` it stands is named in errors."""
    try:
        return plain_yaml(text)
    except ValueError as error:
        raise ValueError(f"{where} must be YAML. Received: {error}") from None


def read_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Make what a config file holds the defaults of the command's options."""
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        text = content.decode()
    except IsADirectoryError:
        raise ValueError(f"`config` must be a file, not a folder. Received: {path}") from None
    except UnicodeDecodeError:
        raise ValueError(f"`config` must be a text file in UTF-8. Received: {path}") from None
    if len(content) > _MOST_BYTES:
        raise ValueError(f"`config` must have at most {_MOST_BYTES:,} bytes. Received: {path}")
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


def parse_set(ctx: typer.Context, settings: list[str] | None) -> dict[str, Any]:
    args = {}
    for setting in settings or ():
        name, equals, value = setting.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"`set` must be NAME=VALUE. Received: set={setting!r}")
        args[name] = _from_yaml(value, f"`set` {name}")
    return _check_args(ctx, args)


def parse_bytes(param: typer.CallbackParam, text: str | None) -> int | None:
    """A number of bytes, such as 262144, 256k or 1M: k are 1,024 bytes, M are 1,024 k."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,12})([kM]?)", text.strip(), re.ASCII)
    size = int(found[1]) * _BYTES[found[2]] if found else 0
    if not size:
        raise ValueError(
            f"`{param.name}` must be a number of bytes >= 1, such as 262144, 256k or 1M. "
            f"Received: {param.name}={text!r}"
        )
    return size


def arguments_of(ctx: typer.Context) -> dict[str, Any]:
    """The command's options as keyword arguments of the function that it stands for."""
    arguments = {k: v for k, v in ctx.params.items() if k not in ("config", "debug")}
    if "args" in arguments:
        arguments["args"] = {**ctx.meta.get("args", {}), **arguments["args"]} or None
    return arguments
