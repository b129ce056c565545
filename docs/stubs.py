"""The stubs of the three packages: what editors and type checkers know of their public names.

    python docs/stubs.py           # writes them anew
    python docs/stubs.py --check   # exit 1 where one is not current

The packages import their names when they are used, and `@architecture` makes a builder's signature
as it runs: a type checker sees neither. What has a signature of that kind is written out here, from
`inspect.signature`; every other name is re-exported from the module that defines it.
"""

import argparse
import ast
import importlib
import inspect
import subprocess
import sys
import textwrap
import types
import typing
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = "keras_archs", "tuning", "applications"

BUILDER = '''
_Arguments = ParamSpec("_Arguments")

class _Builder(Generic[_Arguments]):
    """What `@architecture` makes of a body."""

    info: ArchInfo
    __name__: str
    def __call__(self, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> keras.Model: ...

def _builder(body: Callable[_Arguments, keras.Model]) -> _Builder[_Arguments]: ...
'''
BUILDER_IMPORTS = {
    "from collections.abc import Callable",
    "from typing import Generic, ParamSpec",
    "import keras",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, say what is old")
    check = parser.parse_args().check
    old = []
    for package in PACKAGES:
        path, text = stub_of(package), made(package)
        if not path.exists() or path.read_text() != text:
            old.append(str(path.relative_to(ROOT)))
            if not check:
                path.write_text(text)
    print(f"{'not current' if check else 'written'}: {', '.join(old) or 'none'}")
    sys.exit(bool(check and old))


def stub_of(package: str) -> Path:
    return ROOT / package / "__init__.pyi"


def made(package: str) -> str:
    """The text of a package's stub."""
    module = importlib.import_module(package)
    source = ast.parse(inspect.getsource(module))
    stub = _Stub(package)
    for name in module.__all__:
        stub.add(name, getattr(module, name))
    for name in _submodules(module):
        stub.imports.add(f"from {package} import {name} as {name}")
    for node in source.body:  # what the package defines itself and does not export
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if not name.startswith("_"):
                stub.constant(name, getattr(module, name))
    return stub.text(module.__all__)


def _submodules(module: types.ModuleType) -> list[str]:
    return [
        name
        for name in dir(module)
        if isinstance(value := getattr(module, name), types.ModuleType)
        and value.__name__ == f"{module.__name__}.{name}"
    ]


class _Stub:
    def __init__(self, package: str):
        self.package = package
        self.imports: set[str] = set()
        self.constants: list[str] = []
        self.functions: list[str] = []

    def text(self, public: list[str]) -> str:
        builders = any("@_builder" in function for function in self.functions)
        if builders:
            self.imports |= BUILDER_IMPORTS
        parts = [
            f"# Made by `python docs/{Path(__file__).name}`: change the code that it describes.\n",
            *(line for line in self.imports if not self._reexported(line)),
            f"__all__ = {public!r}",
            *self.constants,
            *([BUILDER] if builders else []),
            *self.functions,
        ]
        return _formatted("\n".join(parts))

    def _reexported(self, line: str) -> bool:
        return f"{line} as {line.split()[-1]}" in self.imports

    def add(self, name: str, value: object):
        """One public name."""
        if isinstance(value, types.ModuleType):
            return  # as every submodule
        if not callable(value):
            return self.constant(name, value)
        home = _home(value, besides=self.package)
        if home == self.package or hasattr(value, "__signature__") and _within(home, self.package):
            return self.functions.append(self.function(name, value))
        self.imports.add(f"from {home} import {name} as {name}")

    def constant(self, name: str, value: object):
        line = f"{name}: {self.annotation(_type_of(value))}"
        if line not in self.constants:
            self.constants.append(line)

    def function(self, name: str, function: Callable) -> str:
        signature = inspect.signature(function)
        hints = _hints(function, signature)
        parameters = []
        for parameter in signature.parameters.values():
            star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
            text = star.get(parameter.kind, "") + parameter.name
            if parameter.name in hints:
                text += f": {self.annotation(hints[parameter.name])}"
            if parameter.default is not parameter.empty:
                text += f" = {_default(parameter.default)}"
            if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parameters:
                parameters.append("*")
            parameters.append(text)
        returned = self.annotation(hints["return"])
        body = textwrap.indent(f'"""{_documentation(function)}"""', " " * 4)
        decorator = "@_builder\n" if hasattr(function, "info") else ""
        return f"{decorator}def {name}({', '.join(parameters)}) -> {returned}:\n{body}\n"

    def annotation(self, hint) -> str:
        """`hint` as it is written; what it names is imported."""
        if hint is None or hint is types.NoneType:
            return "None"
        if hint is Ellipsis:
            return "..."
        if isinstance(hint, list):  # the arguments of a Callable
            return f"[{', '.join(map(self.annotation, hint))}]"
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is typing.Literal:
            self.imports.add("from typing import Literal")
            return f"Literal[{', '.join(map(repr, arguments))}]"
        if origin in (typing.Union, types.UnionType):
            return " | ".join(map(self.annotation, arguments))
        if origin is not None:
            inside = ", ".join(map(self.annotation, arguments))
            return f"{self.annotation(origin)}[{inside}]"
        if hint.__module__ == "builtins":
            return hint.__name__
        home = _home(hint, besides=self.package)
        if "." in home or home == "typing":
            self.imports.add(f"from {home} import {hint.__name__}")
            return hint.__name__
        self.imports.add(f"import {home}")
        return f"{home}.{hint.__name__}"


def _within(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def _home(value, besides: str) -> str:
    """The shortest module, other than `besides`, that has this value under its own name."""
    parts = value.__module__.split(".")
    for end in range(1, len(parts)):
        module = ".".join(parts[:end])
        if module != besides and getattr(sys.modules[module], value.__name__, None) is value:
            return module
    return value.__module__


def _type_of(value):
    """`dict[str, tuple[str, ...]]` for a table of names, else the class."""
    if isinstance(value, dict):
        keys, values = zip(*value.items(), strict=True)
        return dict[_type_of(keys[0]), _type_of(values[0])]
    return tuple[type(value[0]), ...] if isinstance(value, tuple) else type(value)


def _hints(function: Callable, signature: inspect.Signature) -> dict[str, object]:
    """The annotations of a signature, evaluated."""
    given = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    given["return"] = signature.return_annotation
    given = {name: hint for name, hint in given.items() if hint is not inspect.Parameter.empty}
    module = sys.modules[function.__module__]
    names = dict(vars(module))
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            exec(ast.unparse(ast.Module(node.body, [])), names)
    return typing.get_type_hints(types.SimpleNamespace(__annotations__=given), names)


def _default(value) -> str:
    plain = isinstance(value, (bool, int, float, str, types.NoneType))
    if isinstance(value, tuple):
        plain = all(isinstance(item, (bool, int, float, str)) for item in value)
    return repr(value) if plain else "..."


def _documentation(function: Callable) -> str:
    """The docstring; of a builder the first paragraph and what its defaults stand for."""
    text = inspect.cleandoc(function.__doc__ or "").replace("\\", r"\\")
    info = getattr(function, "info", None)
    if info is None:
        return f"{text}\n" if "\n" in text else text
    height, width, channels = info.input_shape
    facts = (
        f"{info.paper}. By default for images of {height}x{width}x{channels} and {info.classes} "
        f"classes; sides of at least {info.min_size} pixels."
    )
    first = text.partition("\n\n")[0]
    return f"{first}\n\n{textwrap.fill(facts, width=92, break_on_hyphens=False)}\n"


def _formatted(text: str) -> str:
    """As `make format` leaves it."""
    for command in (["check", "--select", "I,E401", "--fix", "--quiet"], ["format", "--quiet"]):
        command = [sys.executable, "-m", "ruff", *command, "--stdin-filename", "__init__.pyi", "-"]
        text = subprocess.run(
            command, cwd=ROOT, input=text, capture_output=True, text=True, check=True
        ).stdout
    return text


if __name__ == "__main__":
    main()
