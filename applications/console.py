"""The console that tables are printed on: users' names are text, never markup."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def plain_console(**options: Any) -> "Console":
    """A console that shows class names, runs and paths as they are.

    rich would otherwise read `[red]` as a style, `:cat:` as a picture, and colour numbers.

    Args:
        **options: of `rich.console.Console`.
    """
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, **options)
