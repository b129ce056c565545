"""Makes a folder to start from: a small project of the user's own, of public functions alone."""

import os
import re
from pathlib import Path

from applications.files import new_folder
from keras_archs.checks import nearest

_FOLDER = Path(__file__).parent / "templates"
_NAME = "{{name}}"
TEMPLATES = {
    "classifier": "a folder of images becomes a network that says what it is not sure of",
    "compare": "architectures side by side, and which one to take for a limit on its cost",
    "distill": "a small network learns from a large one, beside the same one alone",
    "edge": "a network that fits a microcontroller: found, trained and written as C",
    "search": "a search within a budget, on one machine or many, and its winner trained longer",
    "serve": "a server for images with its client, and a container for both",
}


def new(template: str, folder: str | os.PathLike[str]) -> Path:
    """Make a folder with a project to start from: a script, its options, a test and a README.

    Args:
        template: one of "classifier", "compare", "distill", "edge", "search" and "serve".
        folder: to make; its name becomes the project's: letters, digits, "-" and "_", a letter
            first.

    Returns:
        The folder.

    Raises:
        ValueError: the template is unknown, the folder exists or has no such name.
    """
    if template not in TEMPLATES:
        raise ValueError(
            f"`template` must be one of {', '.join(TEMPLATES)}.{nearest(template, TEMPLATES)} "
            f"Received: template={template!r}"
        )
    folder = Path(folder)
    name = folder.absolute().name
    if not re.fullmatch(r"[A-Za-z][\w-]*", name, re.ASCII):
        raise ValueError(
            "`folder` must have a name of letters, digits, '-' and '_' that begins with a letter. "
            f"Received: folder={str(folder)!r}"
        )
    if os.path.lexists(folder):
        raise ValueError(f"`folder` must not exist. Received: folder={str(folder)!r}")
    with new_folder(folder) as partial:
        for file in sorted(_FOLDER.joinpath(template).iterdir()):
            if file.is_file():
                text = file.read_text(encoding="utf-8").replace(_NAME, name)
                partial.joinpath(file.name).write_text(text, encoding="utf-8")
    return folder
