"""The command line does what the functions do."""

import inspect
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

import applications
import keras_archs
import tuning
from applications.cli.commands import app
from applications.searching.studies import search as applications_search
from applications.training.training import train

COMMANDS = (
    *("list", "summary", "lint", "bench", "train", "evaluate", "predict", "compare"),
    *("distill", "grow", "shrink", "retrieve", "specialists", "compress", "export", "serve"),
    *("dashboard", "search", "new"),
)


def invoke(*args):
    result = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.fixture
def passed(monkeypatch):
    """Arguments that the command line hands to these functions, which do nothing here."""
    given = {}
    for name in ("train", "compare", "search"):
        names = ("space",) if name == "search" else ()

        def note(*positional, names=names, **keywords):
            given.update(zip(names, positional, strict=True), **keywords)

        monkeypatch.setattr(applications, name, note, raising=False)

    def of(*args):
        given.clear()
        invoke(*args)
        return dict(given)

    return of


# ----------------------------------------------------------------------------- help and names


def test_help_names_the_commands_and_nothing_that_does_not_exist():
    assert tuple(get_command(app).commands) == COMMANDS
    for name in COMMANDS:
        assert f" {name} " in invoke("--help")


def test_without_a_command_it_shows_help():
    assert invoke() == invoke("--help")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_every_option_is_explained(command):
    explained = get_command(app).commands[command]
    assert explained.help
    assert all(parameter.help for parameter in explained.params)
    assert "Usage:" in invoke(command, "--help")


def test_help_shows_groups_and_defaults():
    page = invoke("train", "--help")
    for group in ("Network", "Data", "Training", "End of the training", "Machine", "Run folder"):
        assert f"─ {group} ─" in page
    shown = " ".join(re.sub("[│╭╮╰╯─]", " ", page).split())
    for default in ("digits", "1.0", "stretch", "0", "(the recipe's)", "(runs/ARCH-DATA-sSEED)"):
        assert f"[default: {default}]" in shown


def test_version():
    assert invoke("--version") == f"keras-archs {keras_archs.__version__}\n"


def test_list_prints_a_name_a_line():
    assert invoke("list").split("\n")[:-1] == keras_archs.list_archs()
    assert invoke("list", "SqueezeNet*").split() == ["squeezenet", "squeezenet1_1"]


def test_list_details_shows_paper_and_sizes():
    shown = invoke("list", "--details", "lenet5")
    assert all(text in shown for text in ("lenet5", "1998", "32x32x1", "LeCun"))


def test_list_weights_shows_the_package_s_own_and_those_from_elsewhere():
    shown = invoke("list", "--weights", "*e*5*").split()
    for known in keras_archs.info("lenet5").weights:
        figures = f"{known.bytes:,}", f"alpha={known.kwargs['alpha']}", f"{known.accuracy:.2f}"
        assert {"mnist", "package,", *figures} <= set(shown)
    assert {"resnet50", "imagenet", "74.90"} <= set(shown)
    assert len(invoke("list", "--weights", "mlp").split()) == 6  # the table's head alone


def test_summary_shows_paper_layers_and_totals():
    shown = invoke("summary", "lenet5")
    assert "LeCun" in shown
    assert "61,706" in shown


def test_summary_takes_the_options_of_a_builder():
    shown = invoke(
        *("summary", "mobilenet", "--alpha", "0.5", "--size", "32x48", "--classes", "7"),
        *("--channels", "2", "--set", "stem=small"),
    )
    expected = keras_archs.profile(
        "mobilenet", input_shape=(32, 48, 2), classes=7, alpha=0.5, stem="small"
    )
    assert str(expected) in shown


# ------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    "command",
    [
        *("train", "evaluate", "predict", "compare", "distill", "grow", "shrink", "compress"),
        *("retrieve", "specialists", "export", "serve", "dashboard"),
    ],
)
def test_a_command_has_the_arguments_and_defaults_of_its_function(command):
    options = {p.name: p for p in get_command(app).commands[command].params}
    for name in ("config", "debug", "help"):
        options.pop(name, None)
    parameters = dict(inspect.signature(getattr(applications, command)).parameters)
    parameters.pop("verbose", None)
    if parameters.pop("options", None):  # compare(**options): those of train
        for name, parameter in inspect.signature(applications.train).parameters.items():
            if name not in ("arch", "seed", "resume", "verbose"):
                parameters.setdefault(name, parameter)
    assert set(options) == set(parameters)
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty:
            assert options[name].required
        elif name not in ("runs", "seeds"):
            assert options[name].default == parameter.default, name


def test_train_needs_no_option_but_the_architecture(passed):
    arguments = passed("train", "--arch", "mobilenet")
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(train).parameters.items()
    }
    assert arguments | {"verbose": 1} == defaults | {"arch": "mobilenet"}


def test_options_reach_the_function(passed):
    arguments = passed(
        *("train", "--arch", "MobileNet", "--alpha", "0.5", "--rho", "0.75", "--epochs", "3"),
        *("--size", "32", "--batch-size", "16", "--learning-rate", "1e-3", "--seed", "7"),
        *("--run-dir", "r", "--resume", "--class-weight", "balanced", "--resize", "pad"),
        *("--threads", "2", "--precision", "mixed_bfloat16", "--weights", "w.keras"),
    )
    expected = dict(
        arch="mobilenet", alpha=0.5, rho=0.75, epochs=3, size=32, batch_size=16,
        learning_rate=1e-3, seed=7, run_dir="r", resume=True, class_weight="balanced",
        resize="pad", threads=2, precision="mixed_bfloat16", weights="w.keras",
    )  # fmt: skip
    assert arguments == arguments | expected


def test_size_is_a_side_or_height_and_width(passed):
    assert passed("train", "--arch", "lenet5", "--size", "32")["size"] == 32
    assert passed("train", "--arch", "lenet5", "--size", "32x48")["size"] == [32, 48]


def test_seeds_and_archs_are_lists(passed):
    arguments = passed("compare", "--archs", "lenet5,mobilenet:alpha=0.5", "--seeds", "0,1,2")
    assert arguments["archs"] == "lenet5,mobilenet:alpha=0.5"
    assert arguments["seeds"] == (0, 1, 2)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("small", "small"),
        ("3", 3),
        ("1e-3", 1e-3),
        ("-1.5E+2", -150.0),
        ("true", True),
        ("null", None),
        ("[2, 2]", [2, 2]),
        ("'3'", "3"),
        ("", None),
        ("a=b", "a=b"),
    ],
)
def test_the_value_of_a_setting_is_yaml(passed, text, value):
    arguments = passed("train", "--arch", "lenet5", "--set", f"name={text}")
    assert arguments["args"] == {"name": value}


def test_settings_add_up(passed):
    arguments = passed("train", "--arch", "lenet5", "--set", "a=1", "--set", "b=2", "--set", "a=3")
    assert arguments["args"] == {"a": 3, "b": 2}


def test_search_has_the_arguments_and_defaults_of_its_function(passed):
    arguments = passed("search")
    parameters = dict(inspect.signature(applications_search).parameters)
    parameters.pop("verbose")
    assert set(arguments) == set(parameters)
    for name, parameter in parameters.items():
        assert arguments[name] == parameter.default or name == "args", name


def test_limits_of_a_search_make_a_budget_and_lists_are_split(passed):
    arguments = passed(
        *("search", "--arch", "LeNet5", "--budget-params", "60000", "--budget-macs", "900000"),
        *("--tune", "learning_rate,augmentation", "--principles", "pooling,dropout"),
        *("--seeds", "4,5", "--workers", "2", "--trials", "12", "--run-dir", "s", "--resume"),
    )
    expected = dict(
        space="lenet5", budget=tuning.Budget(params=60_000, macs=900_000), workers=2, trials=12,
        tune=("learning_rate", "augmentation"), principles=("pooling", "dropout"), seeds=(4, 5),
        run_dir="s", resume=True, objectives=("accuracy",),
    )  # fmt: skip
    assert arguments == arguments | expected
    only = passed("search", "--budget-macs", "5")["budget"]
    assert only == tuning.Budget(macs=5) and passed("search")["budget"] is None


def test_a_search_for_a_microcontroller_is_limited_in_kibibytes_of_int8(passed):
    sizes = ("--budget-sram", "256k", "--budget-flash", "1M")
    limits = {"peak_activation_bytes": 256 * 1024, "weight_bytes": 1024**2}
    assert passed("search", *sizes)["budget"] == tuning.Budget(**limits, dtype="int8")
    floats = passed("search", *sizes, "--budget-dtype", "float32")["budget"]
    assert floats == tuning.Budget(**limits)
    assert passed("search", "--budget-flash", "900")["budget"].weight_bytes == 900
    assert passed("search", "--budget-params", "9")["budget"] == tuning.Budget(params=9)


def test_lint_names_the_principles_that_a_network_breaks(monkeypatch):
    shown = invoke("lint", "vgg11", "--alpha", "0.25")
    findings = applications.lint("vgg11", alpha=0.25)
    assert findings and all(str(finding) in shown for finding in findings)
    monkeypatch.setattr(applications, "lint", lambda model, **options: [], raising=False)
    assert invoke("lint", "simpnet") == "simpnet breaks none of the principles\n"


# -------------------------------------------------------------------------------------- configs


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return path

    return write


def test_options_can_come_from_a_config(passed, config):
    path = config(
        "arch: mobilenet\nalpha: 0.5\nsize: [32, 48]\nlearning_rate: 1e-3\nbatch-size: 16\n"
        "resume: true\nepochs: null\nargs: {stem: small}\n"
    )
    expected = dict(
        arch="mobilenet", alpha=0.5, size=[32, 48], learning_rate=1e-3, batch_size=16,
        resume=True, epochs=None, args={"stem": "small"},
    )  # fmt: skip
    arguments = passed("train", "--config", path)
    assert arguments == arguments | expected


def test_the_command_line_wins_wherever_it_stands(passed, config):
    path = config("arch: mobilenet\nalpha: 0.5\nseed: 3\n")
    for line in (["--config", path, "--alpha", "1"], ["--alpha", "1", "--config", path]):
        arguments = passed("train", *line)
        assert (arguments["alpha"], arguments["seed"]) == (1.0, 3)


def test_a_setting_wins_over_that_of_the_config_and_leaves_the_others(passed, config):
    path = config("arch: mobilenet\nargs: {a: 1, b: 2}\n")
    for line in (["--config", path, "--set", "a=3"], ["--set", "a=3", "--config", path]):
        assert passed("train", *line)["args"] == {"a": 3, "b": 2}


def test_a_config_may_be_empty(passed, config):
    assert passed("train", "--arch", "lenet5", "--config", config(""))["arch"] == "lenet5"


def test_lists_in_a_config(passed, config):
    path = config("archs: [lenet5, simpnet]\nseeds: [0, 1]\n")
    arguments = passed("compare", "--config", path)
    assert arguments["archs"] == "lenet5,simpnet"
    assert arguments["seeds"] == (0, 1)


def test_arguments_can_come_from_a_config(passed, config):
    assert passed("compare", "--config", config("runs: [a, b]\n"))["runs"] == [Path("a"), Path("b")]
    assert passed("compare", "c", "--config", config("runs: [a, b]\n"))["runs"] == [Path("c")]


def test_what_a_run_records_repeats_it(passed, config):
    recorded = dict(
        arch="mobilenet", alpha=0.5, rho=1.0, size=[16, 24], data="digits", epochs=15,
        batch_size=64, learning_rate=1e-05, weight_decay=None, shift=None, weights=None, seed=0,
        recipe="default", resize="stretch", class_weight=None, threads=None, precision="float32",
        args={"stem": "small"}, adapt=False, freeze_until=None, label_smoothing=None,
        averaging=None, teacher=None, patience=None, time_limit=None, keep="best",
        optimizer=None, schedule=None, rand_augment=None, random_erasing=None, mixup=None,
        cutmix=None, stochastic_depth=None, progressive=None, test_mirrored=False, mirror=None,
        cache=None, devices=None,
    )  # fmt: skip
    arguments = passed("train", "--config", config(yaml.safe_dump(recorded)))
    open_ = {"run_dir": None, "resume": False, "log": None, "profile_steps": None}
    open_ |= {"checkpoint_minutes": 5.0}
    assert arguments == recorded | open_


def test_what_is_logged_besides_is_a_list_and_steps_are_a_span(passed):
    given = ("--log", "gradients, dead_relus", "--profile-steps")
    arguments = passed("train", "--arch", "lenet5", *given, "10-12")
    assert arguments["log"] == ("gradients", "dead_relus")
    assert arguments["profile_steps"] == (10, 12)
    assert passed("train", "--arch", "lenet5", *given, "7")["profile_steps"] == (7, 7)


# ------------------------------------------------------------------------------ importing


def test_functions_are_imported_when_they_are_used():
    script = """
import sys, applications
assert set(applications.__all__) <= set(dir(applications))
assert not {"keras", "numpy", "yaml", "typer"} & set(sys.modules)
assert applications.dashboard.__name__ == "dashboard"
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("name", applications.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(applications, name).__doc__


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        applications.trian  # noqa: B018


# --------------------------------------------------------------------------------- the process

COMMAND = [sys.executable, "-m", "applications.cli"]


def test_a_reader_that_has_seen_enough_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, "list"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert done.stderr == b""


@pytest.mark.slow
def test_the_import_of_the_backend_is_silent():
    env = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run([*COMMAND, "summary", "lenet5"], env=env, capture_output=True)
    assert done.returncode == 0
    assert done.stderr == b""


# ------------------------------------------------------------------------------------ real runs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "r"
    invoke("train", "--arch", "lenet5", "--epochs", "2", "--run-dir", folder)
    return folder


def test_train_writes_a_run_that_its_config_repeats(run, passed):
    recorded = applications.load(run).config
    arguments = passed("train", "--config", run / "config.yaml", "--run-dir", "again")
    assert recorded["epochs"] == 2
    assert arguments == recorded | {
        "args": recorded["args"] or None,
        "run_dir": "again",
        "resume": False,
        "log": None,
        "profile_steps": None,
        "checkpoint_minutes": 5.0,
    }


def test_evaluate_prints_what_training_measured(run):
    accuracy = applications.load(run).metrics["test_accuracy"]
    assert f"accuracy {100 * accuracy:.2f} %" in invoke("evaluate", run)


def test_predict_names_classes_with_probabilities(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["seven [bold].png", "colour.jpg"]
    for name, mode in zip(names, ("L", "RGB"), strict=True):
        Image.new(mode, (20, 30)).save(name)
    lines = [line.split() for line in invoke("predict", run, *names, "--top", "2").splitlines()]
    assert lines[0] == ["image", "class", "probability"]
    assert lines[1][:2] == ["seven", "[bold].png"]
    (best, second) = applications.predict(run, names, top=2)[0][1]
    assert lines[1][2:] == [best[0], f"{100 * best[1]:.1f}", "%"]
    assert lines[2] == [second[0], f"{100 * second[1]:.1f}", "%"]
    assert len(lines) == 5


def test_predict_names_the_image_that_it_cannot_read(run, tmp_path):
    Image.effect_noise((64, 64), 50).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    for name in ("cut.png", "none.png"):
        result = CliRunner().invoke(app, ["predict", str(run), str(tmp_path / name)])
        assert result.exit_code == 2
        assert result.stderr.startswith("error: ") and name in result.stderr
        assert result.stderr.count("\n") == 1


def test_compare_writes_its_table(run):
    assert "lenet5" in invoke("compare", run)
    assert (run.parent / "comparison.csv").read_text().startswith("run,arch,alpha,rho,input,")


def test_ctrl_c_while_the_command_line_is_read_ends_with_130(monkeypatch):
    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(get_command(app)), "parse_args", pressed)
    result = CliRunner().invoke(app, ["list"])
    assert (result.exit_code, result.stdout) == (130, "") and "Traceback" not in result.stderr


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_says_how_to_go_on(tmp_path):
    line = [*COMMAND, "train", "--arch", "lenet5", "--epochs", "300", "--run-dir", "r"]
    process = subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(tmp_path.glob("r/checkpoint/epoch-*")):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    stderr = process.communicate()[1]
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert "--resume" in stderr
