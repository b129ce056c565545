"""Projects to start from are whole, carry their name and run."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import applications
from applications.options import Options, Search
from applications.shipping import projects

ROOT = Path(__file__).parents[3]


def run(*command, folder):
    """Run Python in the project's folder; its exit status and what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def imports_of(text):
    """The modules that a script imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found


@pytest.mark.parametrize("template", projects.TEMPLATES)
def test_a_project_has_what_its_readme_tells_of(template, tmp_path):
    folder = applications.new(template, tmp_path / "of-mine")
    files = {file.name: file.read_text() for file in folder.iterdir()}
    assert {"README.md", "test_project.py"} < set(files)
    assert files["README.md"].startswith("# of-mine\n")
    commands = files["README.md"].partition("```sh\n")[2].partition("```")[0]
    scripts = {word for word in commands.split() if word.endswith((".py", ".yaml"))}
    assert scripts and scripts <= set(files)
    for name, text in files.items():
        assert projects._NAME not in text
        if name.endswith(".py"):
            public = {"applications", "tuning", "keras_archs"}
            assert not {each for each in imports_of(text) if each.split(".")[0] in public} - public
    own = sum(len(text.splitlines()) for name, text in files.items() if name.endswith(".py"))
    assert 60 <= own <= 160


def test_every_folder_of_templates_is_listed():
    folders = {path.name for path in projects._FOLDER.iterdir() if path.name != "__pycache__"}
    assert folders == set(projects.TEMPLATES)


@pytest.mark.parametrize(
    ("template", "folder", "message"),
    [
        ("clasifier", "x", "Did you mean 'classifier'"),
        ("compare", "taken", "must not exist. Received: folder='taken'"),
        ("compare", "link", "must not exist"),
        ("compare", "a b", "letters, digits, '-' and '_'"),
        ("compare", "1st", "begins with a letter"),
        ("compare", "{{name}}", "letters, digits"),
        ("compare", "ä", "letters, digits"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_left(
    template, folder, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("taken").mkdir()
    Path("link").symlink_to("nowhere")
    with pytest.raises(ValueError, match=message):
        applications.new(template, folder)
    assert sorted(os.listdir()) == ["link", "taken"]


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="no space"):
        applications.new("compare", tmp_path / "mine")
    assert not os.listdir(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("template", projects.TEMPLATES)
def test_the_test_of_a_project_passes(template, tmp_path):
    folder = applications.new(template, tmp_path / "mine")
    status, output = run("-m", "pytest", "-q", "-p", "no:cacheprovider", folder=folder)
    assert status == 0, output


@pytest.mark.parametrize("name", ["local", "postgresql", "ray"])
def test_every_config_of_a_search_is_one_that_search_takes(name):
    file = Path(projects.__file__).parent / "templates" / "search" / f"{name}.yaml"
    options = yaml.safe_load(file.read_text())
    for limit in ("budget_params", "budget_macs"):
        del options[limit]
    own = {each for each in options if each in Search.__dataclass_fields__}
    Search(run_dir="runs", **{each: options.pop(each) for each in own})
    Options(arch="simpnet", **options)
