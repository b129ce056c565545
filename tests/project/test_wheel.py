"""What a user installs: the wheel, in its own environment, used from a folder of the user's."""

import email
import zipfile
from pathlib import Path

import pytest
from environments import ROOT, run


@pytest.fixture
def foreign(tmp_path):
    """A working folder with packages of the same names as ours, none of which may be imported."""
    for name in ("applications", "tuning"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not the installed one')")
    return tmp_path


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel):
    files = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in files}
    info = {name for name in tops if name.endswith(".dist-info")}
    assert tops - info == {"keras_archs", "applications", "tuning"}
    assert len(info) == 1
    for package in ("keras_archs", "applications", "tuning"):
        assert {f"{package}/py.typed", f"{package}/__init__.pyi"} <= set(files)
    weights = ROOT / "keras_archs" / "weights" / "trained"
    assert {f"keras_archs/weights/trained/{path.name}" for path in weights.iterdir()} <= set(files)
    tests = {name for name in files if "test" in name}
    assert tests == {name for name in files if name.endswith("/test_project.py")}  # of templates
    assert {name.split("/")[2] for name in tests} == {"templates"}
    assert not [name for name in files if name.endswith((".pyc", ".ipynb"))]


def test_the_wheel_names_its_version_license_and_extras(wheel):
    import keras_archs

    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Name"] == "keras-archs"
    assert metadata["Version"] == keras_archs.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert {"tensorflow", "jax", "dev"} <= set(metadata.get_all("Provides-Extra"))


def test_every_package_is_imported_from_the_new_environment(environment, tmp_path):
    names = "import keras_archs, applications, tuning; print(keras_archs.__file__)"
    code = f"{names}; print(applications.__file__); print(tuning.__file__)"
    for file in run(environment / "python", "-c", code, cwd=tmp_path).stdout.split():
        assert Path(file).is_relative_to(environment.parent)


def test_the_command_works_from_a_folder_with_packages_of_the_same_names(environment, foreign):
    command = environment / "keras-archs"
    assert "Usage" in run(command, "--help", cwd=foreign).stdout
    assert "mobilenet" in run(command, "list", cwd=foreign).stdout
    assert "mobilenet" in run(command, "summary", "mobilnet", cwd=foreign, ok=False).stderr


@pytest.mark.slow
def test_a_builder_works_from_a_folder_with_packages_of_the_same_names(environment, foreign):
    code = "import keras_archs; print(keras_archs.LeNet5().count_params(), keras_archs.__file__)"
    count, file = run(environment / "python", "-c", code, cwd=foreign).stdout.split()[-2:]
    assert count == "61706"
    assert Path(file).is_relative_to(environment.parent)
