"""The project's own files: what they declare is what is used, and they fit every machine."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import keras_archs

ROOT = Path(__file__).parents[2]
PACKAGES = "keras_archs", "applications", "tuning"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def names(requirements):
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_library_that_is_imported_is_declared(package):
    declared = names(PROJECT["dependencies"])
    for extra in EXTRAS.keys() - {"dev", "docs", "notebooks"}:
        declared |= names(EXTRAS[extra])
    distributions = importlib.metadata.packages_distributions()
    for file in (ROOT / package).rglob("*.py"):
        if "templates" in file.parts:  # which import what stands beside them, and pytest
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module]
            else:
                continue
            for top in {module.split(".")[0] for module in modules}:
                if top in sys.stdlib_module_names or top in PACKAGES:
                    continue
                owners = {canonicalize_name(name) for name in distributions.get(top, [top])}
                assert owners & declared, f"{file}, line {node.lineno}: {top} is not declared"


def test_the_constraints_are_exact_versions_of_all_that_is_declared():
    pinned = [re.fullmatch(r"([\w.-]+)==([\w.+]+)", line) for line in pins()]
    assert None not in pinned, "one `name==version` a line, without hosts"
    declared = names(PROJECT["dependencies"])
    for extra in EXTRAS.keys() - {"tensorflow-gpu", "jax-gpu", "torch"}:
        declared |= names(EXTRAS[extra])
    assert declared - {"keras-archs"} <= {canonicalize_name(match[1]) for match in pinned}


def test_the_lower_bounds_of_keras_and_keras_tuner_are_versions_the_tests_run_with():
    for name in ("keras", "keras-tuner"):
        (bound,) = (text for text in PROJECT["dependencies"] if Requirement(text).name == name)
        assert bound.replace(">=", "==") in pins()


def test_every_requirement_of_users_and_developers_has_a_lower_bound():
    extras = EXTRAS.keys() - {"tensorflow-gpu", "jax-gpu"}
    for text in [*PROJECT["dependencies"], *(text for extra in extras for text in EXTRAS[extra])]:
        requirement = Requirement(text)
        bounds = [each.operator for each in requirement.specifier]
        assert bounds == [">="] or requirement.name == "keras-archs", text


def test_no_file_names_a_folder_of_this_machine_or_where_packages_are_fetched_from():
    here = re.escape(str(ROOT)) + r"(?![\w.-])"
    forbidden = re.compile(
        rf"{here}|/root/\w|/home/\w|file://\w*/|(?:index|extra-index)-url|find-links"
    )
    kinds = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".json", ".ipynb", ".csv"}
    folders = [*PACKAGES, "tests", "benchmarks", "docs", "notebooks", ".ci"]
    files = [file for folder in folders for file in (ROOT / folder).rglob("*")]
    files += [file for file in ROOT.iterdir() if file.is_file()]
    for file in files:
        known = file.suffix in kinds or file.name in ("Makefile", "run", ".gitignore")
        if known and file != Path(__file__):
            found = forbidden.search(file.read_text())
            assert not found, f"{file.relative_to(ROOT)} contains {found and found[0]}"


# ------------------------------------------------------------------------------- files of families

FAMILIES = [ROOT / "keras_archs" / "families" / f"{module}.py" for module in keras_archs.MODULES]


@pytest.mark.parametrize("file", FAMILIES, ids=lambda file: file.stem)
def test_a_family_is_read_at_a_glance(file):
    """160 lines are the aim; beyond 220 the docstring gives a reason."""
    text = file.read_text()
    reason = "longer than 220 lines" in (ast.get_docstring(ast.parse(text)) or "")
    assert len(text.splitlines()) <= 220 or reason


def test_no_block_of_six_lines_stands_in_two_families():
    seen = {}
    for file in FAMILIES:
        tree = ast.parse(file.read_text())
        imports = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]
        skipped = {line for n in imports for line in range(n.lineno, n.end_lineno + 1)}
        numbered = enumerate(file.read_text().splitlines(), start=1)
        code = [text.strip() for line, text in numbered if line not in skipped]
        code = [text for text in code if text and not text.startswith("#")]
        for at in range(len(code) - 5):
            block = "\n".join(code[at : at + 6])
            other = seen.setdefault(block, file)
            assert other == file, f"{file.name}, {other.name}:\n{block}"
