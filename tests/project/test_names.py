"""What each package offers by name, without importing anything before it is used."""

import pkgutil
import subprocess
import sys

import pytest

import applications
import keras_archs
import tuning

PACKAGES = keras_archs, applications, tuning
every_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)


def test_packages_and_their_names_are_there_without_a_heavy_library():
    program = """
import pkgutil, sys, keras_archs, applications, tuning
for package in keras_archs, applications, tuning:
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    missing = {*modules, *package.__all__} - set(dir(package))
    assert not missing, f"{missing} must stand in {package.__name__}/__init__.py"
assert not {"keras", "numpy", "yaml", "typer"} & set(sys.modules)
for name in ("cost", "surgery", "runtimes", "weights", "graph", "kinds"):
    assert getattr(keras_archs, name).__name__ == f"keras_archs.{name}"
assert callable(keras_archs.cost.register) and tuning.principles.PRINCIPLES
assert callable(applications.search) and applications.data.__name__ == "applications.data"
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@every_package
def test_every_module_is_an_attribute(package):
    for module in pkgutil.iter_modules(package.__path__):
        assert getattr(package, module.name).__name__ == f"{package.__name__}.{module.name}"


@every_package
def test_every_public_name_can_be_imported(package):
    for name in package.__all__:
        assert getattr(package, name) is not None
    names = {}
    exec(f"from {package.__name__} import *", names)
    assert set(package.__all__) <= set(names)


@every_package
def test_a_name_that_is_not_there_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        package.trian  # noqa: B018
