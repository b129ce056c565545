"""What editors and type checkers know of the public names, as Pyright sees it from outside."""

import ast
import doctest
import importlib.util
import inspect
import json
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import applications
import keras_archs
import tuning

ROOT = Path(__file__).parents[2]
TYPED = Path(__file__).parent / "typed"
PACKAGES = keras_archs, tuning, applications
BUILDERS = [title for titles in keras_archs.MODULES.values() for title in titles]

# What the documents leave to the reader.
GIVEN = """
from typing import Any
import keras
import applications, keras_archs, tuning
images: Any = None
model: keras.Model = keras.Model()
safetensors: Any = None
torch: Any = None
"""


@pytest.fixture(scope="module")
def stubs():
    spec = importlib.util.spec_from_file_location("stubs", ROOT / "docs" / "stubs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("package", [package.__name__ for package in PACKAGES])
def test_a_stub_is_current(package, stubs):
    assert stubs.stub_of(package).read_text() == stubs.made(package), "run `make stubs`"


def test_a_stub_is_written_from_the_signature_that_a_builder_has(stubs):
    text = stubs.made("keras_archs")
    start = text.index("def SqueezeNet(")
    signature = text[start : text.index('"""', start)]
    for argument in (
        "input_shape: tuple[int | None, int | None, int] | None = None,",
        "classes: int | None = None,\n    *,\n    alpha: float = 1.0,",
        'pooling: Literal["avg", "max"] | None = None,',
        "weights: str | os.PathLike[str] | None = None,",
        'bypass: Literal[None, "simple", "complex"] = None,',
    ):
        assert f"    {argument}\n" in signature
    assert signature.endswith(") -> keras.Model:\n    ")


# ----------------------------------------------------------------------------- what is looked at


def uses_of_builders() -> tuple[str, str]:
    """Right and wrong calls of every builder, with every value of its own arguments."""
    right, wrong = ["import keras_archs"], ["import keras_archs"]
    for title in BUILDERS:
        common = "(64, 64, 3), 5, alpha=0.5, rho=1.0, include_top=True, dropout=0.1"
        right.append(f"keras_archs.{title}({common}, weights=None, adapt=False, name='net')")
        right.append(f"keras_archs.{title}(features=['P2'], classifier_activation=None)")
        right.append(f"print(keras_archs.{title}.info.name)")
        wrong.append(f"keras_archs.{title}(alfa=0.5)  # alfa")
        for parameter in inspect.signature(getattr(keras_archs, title)).parameters.values():
            if typing.get_origin(parameter.annotation) is typing.Literal:
                for value in typing.get_args(parameter.annotation):
                    right.append(f"keras_archs.{title}({parameter.name}={value!r})")
                wrong.append(f"keras_archs.{title}({parameter.name}='tiny')  # tiny")
    return "\n".join(right), "\n".join(wrong)


def file_of(page: Path) -> str:
    """docs/families/vgg.md -> docs.families.vgg.md.py."""
    return f"{page.as_posix().replace('/', '.')}.py"


def page_of_examples(page: Path) -> str:
    """The Python of a page, one block after the other."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    return GIVEN + "\n".join(code_of(block) for block in blocks)


def code_of(block: str) -> str:
    return examples_in(block) if ">>>" in block else block


def examples_in(text: str) -> str:
    return "".join(example.source for example in doctest.DocTestParser().get_examples(text))


def docstrings() -> dict[str, str]:
    """The examples of each docstring that has some."""
    found = {}
    for package in PACKAGES:
        for file in sorted((ROOT / package.__name__).rglob("*.py")):
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            for node in ast.walk(ast.parse(file.read_text())):
                if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    continue
                if ">>>" in (text := ast.get_docstring(node) or ""):
                    name = getattr(node, "name", "")
                    own = f"from {module} import {name}\n" if name else ""
                    found[f"{module}.{name}" if name else module] = own + examples_in(text)
    return found


PAGES = [
    page.relative_to(ROOT) for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
]
EXAMPLES = docstrings()


class Report:
    """What Pyright says of each file: messages by line."""

    def __init__(self, folder: Path):
        settings = {"include": ["."], "pythonVersion": "3.11", "reportUnusedExpression": "none"}
        folder.joinpath("pyrightconfig.json").write_text(json.dumps(settings))
        command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        self._found: dict[str, dict[int, str]] = {}
        for message in json.loads(done.stdout)["generalDiagnostics"]:
            lines = self._found.setdefault(Path(message["file"]).name, {})
            line = message["range"]["start"]["line"] + 1
            lines[line] = lines.get(line, "") + message["message"] + "\n"

    def of(self, name: str) -> dict[int, str]:
        return self._found.get(name, {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("typed")


@pytest.fixture(scope="module")
def report(folder):
    right, wrong = uses_of_builders()
    files = {
        "right.py": (TYPED / "right.py").read_text(),
        "wrong.py": (TYPED / "wrong.py").read_text(),
        "right_builders.py": right,
        "wrong_builders.py": wrong,
        **{file_of(page): page_of_examples(ROOT / page) for page in PAGES},
        **{f"{name}.doc.py": GIVEN + code for name, code in EXAMPLES.items()},
    }
    for name, text in files.items():
        folder.joinpath(name).write_text(text)
    return Report(folder)


# ---------------------------------------------------------------------------------- what is found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["right.py", "right_builders.py"])
def test_right_uses_are_clean(name, report):
    assert report.of(name) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wrong.py", "wrong_builders.py"])
def test_every_wrong_use_is_reported_in_its_line(name, report, folder):
    lines = (folder / name).read_text().splitlines()
    marked = {
        number: line.rpartition("  # ")[2]
        for number, line in enumerate(lines, start=1)
        if "  # " in line
    }
    found = report.of(name)
    assert found.keys() == marked.keys()
    for number, what in marked.items():
        assert what in found[number], lines[number - 1]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=Path.as_posix)
def test_the_python_of_a_page_is_clean(page, report):
    assert report.of(file_of(page)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_a_docstring_are_clean(name, report):
    assert report.of(f"{name}.doc.py") == {}


@pytest.mark.parametrize("file", ["right.py", "wrong.py"])
@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_name_is_used(package, file):
    used = {
        node.attr
        for node in ast.walk(ast.parse((TYPED / file).read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == package.__name__
    }
    assert set(package.__all__) - set(BUILDERS) <= used
