"""The command line as a process: errors in one line, exit statuses, Ctrl-C, quiet libraries."""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterable
from importlib.machinery import PathFinder
from types import SimpleNamespace

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from applications.children import collect_rarely
from applications.console import one_line, plain_console, stderr_closed


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
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror if _in_a_folder() else "the working directory must be there still"
    else:
        text = str(error) or type(error).__name__
    return one_line(text)


def _in_a_folder() -> bool:
    """Whether the working directory has not been deleted."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _with_streams() -> None:
    """Where a standard stream is closed it leads nowhere, not into the next file that is opened."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))


class CommandLine(TyperGroup):
    """Every error in one line, and an exit status that scripts can rely on.

    0: done. 1: a bug, with its traceback, or nobody reads the output. 2: bad input. 130: Ctrl-C.
    """

    def main(self, args=None, prog_name=None, standalone_mode=True, **extra):
        _with_streams()
        collect_rarely()
        quiet = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3"
        if quiet and "keras" not in sys.modules and _QuietKeras not in sys.meta_path:
            sys.meta_path.insert(0, _QuietKeras)
        # Of damaged images; what is wrong with them is said in the error that names them.
        warnings.filterwarnings("ignore", module="PIL")
        logging.getLogger("PIL").setLevel(logging.CRITICAL)
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
        except (TyperException, ValueError, TypeError, OSError, MemoryError) as error:
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


class _QuietKeras:
    """Import hook: TensorFlow's notes are not seen, wherever Keras is first imported.

    On start-up it writes to file descriptor 2 before its log level is in force.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = PathFinder.find_spec(name, path) if name == "keras" else None
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def quietly(module):
                with stderr_closed():
                    execute(module)
                logging.getLogger("tensorflow").setLevel(logging.ERROR)
                # Keras' MixUp asks JAX for 64 bits, which it does not have unless told to.
                warnings.filterwarnings("ignore", "Explicitly requested dtype int64")

            spec.loader.exec_module = quietly
        return spec


app = typer.Typer(cls=CommandLine, add_completion=False, pretty_exceptions_enable=False)


def print_table(header: Iterable[str], rows: Iterable[Iterable[str]]):
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    plain_console().print(table)
