"""The notebooks run, call the library and define nothing, and are kept with what they show."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
every_notebook = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


def cells(file, kind):
    found = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


def test_there_are_seven_and_they_are_numbered():
    assert [file.name[:2] for file in NOTEBOOKS] == [f"{number}_" for number in range(1, 8)]


@every_notebook
def test_a_notebook_is_kept_with_what_it_shows_and_opens_with_any_python_3(file):
    notebook = json.loads(file.read_text(encoding="utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert any(cell["outputs"] for cell in cells(file, "code"))
    for cell in cells(file, "code"):
        assert cell["execution_count"], "run `make notebooks`"
        for output in cell["outputs"]:
            assert output["output_type"] != "error" and output.get("name") != "stderr"
            text = json.dumps(output)
            assert "/tmp/" not in text and "site-packages" not in text


def test_all_together_are_small():
    assert sum(file.stat().st_size for file in NOTEBOOKS) < 1_500_000


@every_notebook
def test_a_notebook_calls_the_library_and_defines_nothing(file):
    trees = [ast.parse("".join(cell["source"])) for cell in cells(file, "code")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    assert not [ast.unparse(node) for node in nodes if isinstance(node, DEFINITIONS)]
    imported = {
        alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
    }
    assert imported & {"keras_archs", "applications", "tuning"}


@every_notebook
def test_a_notebook_explains_itself_and_its_links_lead_somewhere(file):
    text = "\n".join("".join(cell["source"]) for cell in cells(file, "markdown"))
    assert text.startswith("# ") and "](http" in text
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (FOLDER / target).exists(), target


@pytest.mark.slow
@every_notebook
def test_a_notebook_runs(file):
    command = [sys.executable, "-m", "pytest", "-q", "--nbmake", "--nbmake-timeout=600", file]
    result = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout
