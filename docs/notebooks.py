"""Run the notebooks and keep what they show: `python docs/notebooks.py [NAME...]`.

What a reader does not need is left out: messages on stderr, times, folders of the machine. Pictures
are reduced to a palette.
"""

import argparse
import base64
import io
import os
import re
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
COLOURS = 64
TEMPORARY = re.compile(re.escape(tempfile.gettempdir()) + r"/tmp\w+")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of notebooks; default: all")
    names = parser.parse_args().names
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for file in sorted(FOLDER.glob("*.ipynb")):
        if not names or file.stem in names:
            notebook = nbformat.read(file, as_version=4)
            NotebookClient(
                notebook, timeout=600, resources={"metadata": {"path": FOLDER}}
            ).execute()
            for cell in notebook.cells:
                clean(cell)
            notebook.metadata.pop("language_info", None)
            notebook.metadata.language_info = {"name": "python"}
            nbformat.write(notebook, file)
            print(f"{file.name}: {file.stat().st_size // 1024} KiB")


def clean(cell) -> None:
    """Leave of a cell's outputs what is the same on another machine."""
    cell.metadata = {}
    if cell.cell_type != "code":
        return
    cell.outputs = [output for output in cell.outputs if not is_message(output)]
    for output in cell.outputs:
        if "text" in output:
            output.text = TEMPORARY.sub("FOLDER", output.text)
        data = output.get("data", {})
        if "text/plain" in data:
            data["text/plain"] = TEMPORARY.sub("FOLDER", data["text/plain"])
        if "image/png" in data:
            data["image/png"] = smaller(data["image/png"])


def is_message(output) -> bool:
    """Whether a library wrote it: on stderr, or as TensorFlow's warnings, which name folders."""
    return output.get("name") == "stderr" or output.get("text", "").startswith("WARNING:")


def smaller(picture: str) -> str:
    """A PNG in base64 with a palette."""
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        buffer = io.BytesIO()
        image.convert("RGB").quantize(COLOURS).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


if __name__ == "__main__":
    main()
