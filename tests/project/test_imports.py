"""Imports go down only: from the later rooms of a package to the earlier, and in no circle.

`applications` imports `tuning` and `keras_archs`, `tuning` imports `keras_archs`. What must not be
loaded before it is needed is reached through a package's attributes, which are imported when they
are used, so that no import of our own stands inside a function.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("keras_archs", "tuning", "applications")  # an earlier one imports no later one
ROOMS = {  # of each package, first to last
    "keras_archs": (
        *("lazy", "checks", "memory", "registry", "graph", "kinds", "normalization", "cost"),
        *("surgery", "runtimes", "weights", "architecture", "heads", "families"),
    ),
    "tuning": ("principles", "linting", "budget", "spaces", "hypermodels"),
    "applications": (
        *(
            "console",
            "files",
            "children",
            "data",
            "recipes",
            "options",
            "runs",
            "evaluation",
            "logs",
        ),
        *("training", "learning", "comparison", "searching", "shipping", "cli"),
    ),
}
# Libraries that take long to import, or that are extras: a function may import them.
HEAVY = {
    *("keras", "tensorflow", "jax", "torch", "keras_tuner", "tensorboard", "tensorboardX"),
    *("pandas", "matplotlib", "plotly", "rich", "sklearn", "scipy", "PIL", "numpy"),
    *("optuna", "sqlalchemy", "psycopg", "h5py", "safetensors", "huggingface_hub"),
    *("onnx", "onnxruntime", "tf2onnx", "openvino", "ai_edge_litert", "pynvml", "resource"),
    *("constriction", "faiss", "ml_dtypes", "threadpoolctl", "uvicorn", "ray"),
}


def modules(package):
    """Every module of a package by its dotted name."""
    for file in sorted((ROOT / package).rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        yield (
            ".".join(parts[:-1] if parts[-1] == "__init__" else parts),
            ast.parse(file.read_text()),
        )


MODULES = {name: tree for package in PACKAGES for name, tree in modules(package)}


def imports(tree):
    """`(name, line, inside a function, for type checkers alone)` of each import."""
    found = []

    def visit(node, in_function, typed):
        if isinstance(node, ast.Import):
            found.extend((alias.name, node.lineno, in_function, typed) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                name = whole if whole in MODULES else node.module
                found.append((name, node.lineno, in_function, typed))
        inside = in_function or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        types = typed or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        for child in ast.iter_child_nodes(node):
            visit(child, inside, types)

    visit(tree, False, False)
    return found


def place(module):
    """Where a module stands: its package's number, its room's."""
    package, _, rest = module.partition(".")
    rooms = ROOMS[package]
    room = rest.partition(".")[0]
    # A package itself holds nothing but names that are imported when they are used.
    return PACKAGES.index(package), rooms.index(room) if room else -1


def own(name):
    return name.partition(".")[0] in PACKAGES


def test_every_module_stands_in_a_room():
    for name in MODULES:
        package, _, rest = name.partition(".")
        assert not rest or rest.partition(".")[0] in ROOMS[package], name


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_goes_up(package):
    wrong = [
        f"{module}, line {line}: {name}"
        for module, tree in MODULES.items()
        if module.partition(".")[0] == package and "." in module
        for name, line, _, typed in imports(tree)
        if own(name) and not typed and place(name) > place(module)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_modules_import_each_other_in_a_circle():
    edges = {
        module: {
            name
            for name, _, _, typed in imports(tree)
            if own(name) and not typed and name != module and "." in name
        }
        for module, tree in MODULES.items()
    }
    done: set[str] = set()

    def visit(module, path):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for name in sorted(edges.get(module, ())):
                visit(name, [*path, module])
            done.add(module)

    for module in edges:
        visit(module, [])


def test_only_heavy_libraries_are_imported_inside_a_function():
    wrong = [
        f"{module}, line {line}: {name}"
        for module, tree in MODULES.items()
        for name, line, in_function, _ in imports(tree)
        if in_function and name.partition(".")[0] not in HEAVY
    ]
    assert not wrong, "\n".join(wrong)
