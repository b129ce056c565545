"""`summary`: what an architecture costs, by stage, beside another one, and as a file."""

import inspect
import re

import pandas as pd
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import applications
import keras_archs
from applications.cli.commands import app


def invoke(*args):
    result = CliRunner().invoke(app, ["summary", *map(str, args)])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def error(*args):
    result = CliRunner().invoke(app, ["summary", *map(str, args)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    return result.stderr


def test_the_command_has_the_arguments_and_defaults_of_the_function():
    options = {p.name: p for p in get_command(app).commands["summary"].params}
    for name in ("config", "debug"):
        options.pop(name)
    parameters = inspect.signature(applications.summary).parameters
    assert set(options) == set(parameters)
    for name, parameter in parameters.items():
        assert options[name].default == parameter.default or name == "arch"


def test_layers_come_with_the_subtotals_of_their_stage():
    lines = invoke("lenet5").splitlines()
    at = {line.split()[0]: number for number, line in enumerate(lines) if line.strip()}
    assert at["s2"] < at["c3"] < at["s4"]
    (subtotals,) = (n for n, line in enumerate(lines) if re.match(r" *stride 2 +2 calls", line))
    assert at["c3"] < subtotals < at["s4"]


def test_the_stages_alone():
    shown = invoke("lenet5", "--stages")
    assert keras_archs.profile("lenet5").as_text(layers=False) in shown
    assert "LeCun" in shown and "c3" not in shown


def test_two_architectures_side_by_side():
    shown = invoke("lenet5", "--compare", "SqueezeNet:alpha=0.5", "--classes", 7, "--size", 64)
    first = keras_archs.profile("lenet5", input_shape=(64, 64, 1), classes=7)
    second = keras_archs.profile("squeezenet", input_shape=(64, 64, 3), classes=7, alpha=0.5)
    assert "lenet5: LeCun" in shown and "squeezenet: Iandola" in shown
    assert re.search(r"quantity +lenet5 +SqueezeNet:alpha=0.5 +ratio", shown)
    for name in ("params", "macs", "ops", "peak_activation_bytes", "weight_bytes"):
        one, other = getattr(first, name), getattr(second, name)
        row = rf"{name.replace('_', ' ')} +{one:,} +{other:,} +{other / one:.2f}\n"
        assert re.search(row, shown)


def test_multipliers_are_for_both_and_an_own_one_wins():
    both = applications.summary("lenet5", alpha=0.5, compare="squeezenet", size=64)
    assert (
        both.first.params
        == keras_archs.profile("lenet5", alpha=0.5, input_shape=(64, 64, 1)).params
    )
    assert (
        both.second.macs
        == keras_archs.profile("squeezenet", alpha=0.5, input_shape=(64, 64, 3)).macs
    )
    own = applications.summary("lenet5", alpha=0.5, compare="lenet5:alpha=1")
    assert own.second.params == 61_706 > own.first.params


def test_the_table_as_a_file(tmp_path):
    file = tmp_path / "cost.csv"
    invoke("lenet5", "--csv", file)
    frame = pd.read_csv(file)
    expected = keras_archs.profile("lenet5").to_dataframe()
    assert list(frame.columns) == list(expected.columns)
    assert frame["macs"].tolist() == expected["macs"].tolist()
    assert frame["stage"].tolist() == expected["stage"].tolist()
    invoke("lenet5", "--stages", "--csv", file)
    frame = pd.read_csv(file)
    assert frame["name"].tolist() == ["stride 1", "stride 2", "stride 4", "head"]
    assert frame["macs_percent"].sum() == pytest.approx(100)
    invoke("lenet5", "--compare", "lenet5:alpha=2", "--csv", file)
    frame = pd.read_csv(file).set_index(["stage", "quantity"])
    assert frame.loc[("total", "macs"), "first"] == 416_520
    assert [path.name for path in tmp_path.iterdir()] == ["cost.csv"]


def test_wrong_arguments(tmp_path):
    assert "Did you mean 'squeezenet'" in error("lenet5", "--compare", "squeezenett")
    assert "OPTION one of alpha, rho" in error("lenet5", "--compare", "lenet5:size=3")
    assert "`alpha` must be > 0" in error("lenet5", "--compare", "lenet5:alpha=-1")
    assert "No such file or directory" in error("lenet5", "--csv", tmp_path / "none" / "cost.csv")
    assert not list(tmp_path.iterdir())
