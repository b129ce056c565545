"""Bad input on the command line: one line on stderr, exit status 2, nothing left behind."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import applications
from applications.cli.commands import app


@pytest.fixture
def error(tmp_path, monkeypatch):
    """Run a command line that must fail in an own folder; returns the line after `error: `."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        before = sorted(tmp_path.rglob("*"))
        result = CliRunner().invoke(app, [str(arg) for arg in args])
        assert result.exit_code == 2, (result.stderr, result.exception)
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1 and result.stderr.endswith("\n")
        assert sorted(tmp_path.rglob("*")) == before
        return result.stderr.removeprefix("error: ").rstrip("\n")

    return run


def write_image(path: Path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise((32, 32), 50).save(path)


# ------------------------------------------------------------------------- found without Keras

WITHOUT_KERAS = {
    "unknown architecture": ("train --arch mobilnet", "Did you mean 'mobilenet'?"),
    "unknown architecture to summarise": ("summary resnet51", "Did you mean 'resnet"),
    "unknown architecture to compare": ("compare --archs lenet5,simpnt", "'simpnet'"),
    "nothing like it": ("list zzz", "pattern='zzz'"),
    "unknown option": ("train --arch lenet5 --alhpa 1", "--alhpa. Did you mean '--alpha'?"),
    "unknown short option": ("train -z", "-z"),
    "unknown command": ("trian --arch lenet5", "'trian'. Did you mean 'train'?"),
    "missing option": ("train", "'--arch'"),
    "missing argument": ("summary", "'ARCH'"),
    "missing value": ("train --arch", "'--arch'"),
    "one argument too many": ("train lenet5 --arch lenet5", "lenet5"),
    "a code of nine bits": ("compress . --bits 9", "'--bits'"),
    "all channels gone": ("compress . --channels 1", "`channels` must be in (0, 0.9]."),
    "int8 and few values": (
        "compress . --int8 aware --bits 5",
        "`int8` must be None or 'after' where weights are pruned and shared",
    ),
    "everything pruned": ("compress . --sparsity 1", "'--sparsity'"),
    "sparsity and a target": (
        "compress . --sparsity 0.5 --target-bytes 9999",
        "`sparsity` must be None with `target_bytes`, which finds it.",
    ),
    "no temperature": ("distill . --arch lenet5 --temperature 0", "`temperature` must be > 0."),
    "a transfer set of one class twice": (
        "distill . --arch lenet5 --transfer-classes 7,7",
        "`transfer_classes` must name each once. Received: 7,7",
    ),
    "a student of no kind": ("distill . --arch lenet", "Did you mean 'lenet5'"),
    "nobody to learn from": (
        "distill nowhere --arch lenet5",
        "an existing run folder. Received: run=nowhere",
    ),
    "no depth to speak of": ("grow . --extra-depth -1", "'--extra-depth'"),
    "a width of 0": ("shrink . --alpha 0", "`alpha` must be > 0."),
    "bits that fill no byte": ("retrieve . digits --bits 7", "`bits` must be 8, 16, 24, ... 1024"),
    "a code of no kind": ("retrieve . digits --code hash", "'--code'"),
    "nothing to find": ("retrieve . digits --top 0", "'--top'"),
    "nowhere to search": ("retrieve . nowhere", "Received: data='nowhere'"),
    "nobody to search": ("retrieve . digits", "`run` must be a run folder. Received: run=."),
    "an image without --query": ("retrieve . digits a.png", "unexpected extra argument (a.png)"),
    "nothing to grow": ("grow nowhere --alpha 2", "an existing run folder. Received: run=nowhere"),
    "one set for all": ("specialists . --sets 1", "'--sets'"),
    "no generalist": (
        "specialists nowhere --sets 2",
        "an existing run folder. Received: run=nowhere",
    ),
    "nothing to compress": ("compress nowhere", "an existing run folder. Received: run=nowhere"),
    "no run to compress": ("compress .", "`run` must be a run folder. Received: run=."),
    "no such template": ("new clasifier x", "Did you mean 'classifier'"),
    "a folder that is there": ("new compare .", "must not exist. Received: folder='.'"),
    "a template and no folder": ("new compare", "Received: new compare alone"),
    "nothing to serve": ("serve", "'[NAME=]RUN'"),
    "a run to serve that is not there": ("serve nowhere", "Received: run=nowhere"),
    "no run to serve": ("serve x=.", "`run` must be a run folder. Received: run=."),
    "a file to serve that is not there": ("serve net.keras", "Received: net.keras"),
    "two runs of one name": ("serve a x=b c/a", "`runs` must have different names."),
    "a name with a slash": ("serve a/b=c", "`runs` must have names without a slash."),
    "another port out of range": ("serve . --port 65536", "'--port'"),
    "a runtime of nobody": ("serve . --runtime onnx", "'--runtime'"),
    "an empty batch": ("serve . --max-batch 0", "'--max-batch'"),
    "no bytes": ("serve . --max-bytes 0", "'--max-bytes'"),
    "no time": ("serve . --timeout 0", "`timeout` must be in (0, 3600]."),
    "all the world without a token": ("serve . --host 0.0.0.0", "without a token"),
    "a token that is not there": ("serve . --token-file none", "none"),
    "nothing to export": (
        "export nowhere --format onnx",
        "an existing run folder. Received: run=nowhere",
    ),
    "no format": ("export .", "'--format'"),
    "an unknown format": ("export . --format tflite", "'litert'"),
    "an unknown export precision": ("export . --format onnx --precision int4", "'fp16'"),
    "int8 for none": ("export . --format keras --precision int8", "`precision` must be fp32 for k"),
    "no images at a time": ("export . --format onnx --batch 0", "`batch` must be"),
    "images at a time in words": ("export . --format onnx --batch two", "`batch` must be dynamic"),
    "two at a time on a chip": ("export . --format c --batch 2", "`batch` must be 1 for c."),
    "an export that exists": ("export . --format onnx --out .", "`out` must not exist"),
    "a negative tolerance": ("export . --format onnx --tolerance -1", "'--tolerance'"),
    "alpha of 0": ("train --arch lenet5 --alpha 0", "`alpha` must be > 0."),
    "negative alpha": ("summary lenet5 --alpha=-1", "`alpha` must be > 0. Received: alpha=-1.0"),
    "alpha that is no number": ("train --arch lenet5 --alpha nan", "Received: alpha=nan"),
    "infinite alpha": ("train --arch lenet5 --alpha inf", "Received: alpha=inf"),
    "alpha in words": ("train --arch lenet5 --alpha wide", "'--alpha'"),
    "rho of 0": ("train --arch lenet5 --rho 0", "`rho` must be in (0, 1]. Received: rho=0.0"),
    "rho over 1": ("compare --archs lenet5 --rho 1.5", "`rho` must be in (0, 1]."),
    "alpha of an entry": ("compare --archs lenet5:alpha=0", "`alpha` must be > 0."),
    "unknown data": ("train --arch lenet5 --data digts", "Did you mean 'digits'?"),
    "data of nobody": ("train --arch lenet5 --data ~nobody-at-all/x", "data='~nobody-at-all/x'"),
    "endless epochs": (f"train --arch lenet5 --epochs {10**20}", "'--epochs'"),
    "a million threads": ("train --arch lenet5 --threads 1000000", "'--threads'"),
    "endless trials": (f"search --trials {10**20}", "'--trials'"),
    "a million workers": ("search --workers 1000000", "'--workers'"),
    "endless seed": (f"train --arch lenet5 --seed {10**20}", "'--seed'"),
    "endless alpha": (f"train --arch lenet5 --alpha 1{400 * '0'}", "`alpha` must be > 0."),
    "no epochs": ("train --arch lenet5 --epochs 0", "'--epochs'"),
    "half an epoch": ("train --arch lenet5 --epochs 1.5", "'--epochs'"),
    "empty batches": ("train --arch lenet5 --batch-size 0", "'--batch-size'"),
    "negative seed": ("train --arch lenet5 --seed=-1", "'--seed'"),
    "seeds with a gap": ("compare --archs lenet5 --seeds 0,,1", "`seeds`"),
    "no threads": ("train --arch lenet5 --threads 0", "'--threads'"),
    "learning rate of 0": ("train --arch lenet5 --learning-rate 0", "`learning_rate` must be > 0."),
    "size of 0": ("train --arch lenet5 --size 0", "`size`"),
    "size in words": ("train --arch lenet5 --size 32by32", "size='32by32'"),
    "unknown recipe": ("train --arch lenet5 --recipe defalt", "Did you mean 'default'?"),
    "unknown resize": ("train --arch lenet5 --resize strech", "'stretch'"),
    "unknown precision": ("train --arch lenet5 --precision int8", "'mixed_float16'"),
    "unknown class weight": ("train --arch lenet5 --class-weight even", "'balanced'"),
    "setting without a value": ("train --arch lenet5 --set stem", "NAME=VALUE"),
    "setting that is no YAML": ("train --arch lenet5 --set stem=[", "`set` stem must be YAML."),
    "setting with a tag": ("train --arch lenet5 --set a=!!python/name:os.system", "tags"),
    "setting of an option": ("train --arch lenet5 --set alpha=2", "Received: alpha"),
    "run folder that exists": ("train --arch lenet5 --run-dir .", "`run_dir` must not exist"),
    "no config": ("train --arch lenet5 --config none.yaml", "none.yaml"),
    "no run folder": ("evaluate none", "none"),
    "unknown crops": ("evaluate none --crops nine", "`crops` must be center, ten, grid"),
    "scales with a gap": ("evaluate none --scales 32,,36", "`scales` must be integers >= 1"),
    "no scale": ("evaluate none --scales 0", "`scales` must be an integer in [1, 4096]"),
    "picture that is none": ("evaluate none --reliability a.txt", "`reliability` must be a .png"),
    "result that is no JSON": ("evaluate none --out a.csv", "`out` must be a .json file."),
    "no data to evaluate": ("evaluate none --data digts", "Did you mean 'digits'?"),
    "a run against itself": ("evaluate none --against none", "`against` must name another run"),
    "no run folder to compare": ("compare none", "none"),
    "no run folder to predict": ("predict none image.png", "none"),
    "nothing to compare": ("compare", "`runs` or `archs`"),
    "unknown architecture to search": ("search --arch lenet", "Did you mean 'lenet5'"),
    "no trials": ("search --trials 0", "'--trials'"),
    "budget of 0": ("search --budget-params 0", "'--budget-params'"),
    "memory that is no size": (
        "search --budget-sram 256kb",
        "`budget_sram` must be a number of bytes >= 1, such as 262144, 256k or 1M. Received: "
        "budget_sram='256kb'",
    ),
    "no memory": ("search --budget-flash 0k", "`budget_flash` must be a number of bytes >= 1"),
    "memory in another type": ("search --budget-sram 9k --budget-dtype int4", "'float32'"),
    "unknown algorithm": ("search --algorithm genetic", "'bayesian'"),
    "unknown engine": ("search --engine spark", "'optuna', 'ray'"),
    "no workers": ("search --workers 0", "'--workers'"),
    "search folder that exists": ("search --run-dir .", "`run_dir` must not exist"),
    "negative weight decay": ("train --arch lenet5 --weight-decay=-1", "'--weight-decay'"),
    "negative shift": ("train --arch lenet5 --shift=-1", "'--shift'"),
    "labels smoothed away": ("train --arch lenet5 --label-smoothing 1", "`label_smoothing` must"),
    "no folder of runs": ("dashboard none", "none"),
    "port out of range": ("dashboard . --port 65536", "'--port'"),
}


@pytest.mark.parametrize(("line", "part"), WITHOUT_KERAS.values(), ids=WITHOUT_KERAS)
def test_names_what_is_wrong(error, line, part):
    assert part in error(*line.split())


def test_needs_no_keras_to_say_so(tmp_path):
    lines = [line for line, _ in WITHOUT_KERAS.values()]
    lines += ["", "--help", "--version", "list", "list resnet*", "train --help", "compare --help"]
    script = """
import sys
import applications
from applications.cli import app
for line in sys.argv[1:]:
    try:
        app(line.split())
    except SystemExit:
        pass
    heavy = {"keras", "tensorflow", "jax", "torch"} & set(sys.modules)
    if heavy:
        sys.exit(f"{line!r} imports {heavy}")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *lines], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr.splitlines()[-1]


CONFIGS = {
    "unknown key": ("arch: lenet5\nepoch: 3\n", "Did you mean 'epochs'? Received: epoch"),
    "tag": ("arch: lenet5\nalpha: !!python/object/apply:os.getcwd []\n", "a tag in line 2"),
    "harmless tag": ("arch: !!str lenet5\n", "a tag in line 1"),
    "no YAML": ("arch: [lenet5\n", "must be YAML"),
    "control character": ("arch: \x00\n", "must be YAML"),
    "nested deep": ("arch: " + 2000 * "[" + 2000 * "]", "it is nested too deep"),
    "no mapping": ("- arch\n", "option: value"),
    "value out of range": ("arch: lenet5\nalpha: -1\n", "`alpha` must be > 0."),
    "value of the wrong type": ("arch: lenet5\nepochs: true\n", "'--epochs'"),
    "unknown architecture": ("arch: lenet\n", "'lenet5'"),
    "option among the arguments": ("arch: lenet5\nargs: {alpha: 2}\n", "Received: alpha"),
    "arguments that are no mapping": ("arch: lenet5\nargs: [stem]\n", "`args`"),
    "key that comes twice": ("arch: lenet5\narch: vgg16\n", "'arch' comes twice in line 2"),
    "aliases of aliases": (
        f"alpha: &a [{'x, ' * 99}]\nrho: &b [{'*a, ' * 99}]\nsize: [{'*b, ' * 99}]\n",
        "its aliases stand for more than 100,000 values",
    ),
    "value that holds itself": ("arch: &a [*a]\n", "more than 100,000 values"),
    "date that is none": ("arch: 2020-13-45\n", "`config` c.yaml must be YAML."),
    "endless number": (f"arch: lenet5\nseed: {'9' * 5000}\n", "`config` c.yaml must be YAML."),
    "config in a config": ("config: other.yaml\n", "Received: config"),
}


@pytest.mark.parametrize(("text", "part"), CONFIGS.values(), ids=CONFIGS)
def test_refuses_a_config(error, tmp_path, text, part):
    (tmp_path / "c.yaml").write_text(text)
    assert part in error("train", "--config", "c.yaml")


def test_refuses_a_config_that_is_not_text(error, tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"arch: \xff")
    assert "UTF-8" in error("train", "--config", "c.yaml")


# ------------------------------------------------------------------------------ data and folders


def test_refuses_an_empty_folder(error, tmp_path):
    (tmp_path / "images").mkdir()
    assert "images" in error("train", "--arch", "lenet5", "--data", "images")


def test_refuses_a_folder_with_one_class(error, tmp_path):
    for number in range(9):
        write_image(tmp_path / "images" / "train" / "cat" / f"{number}.png")
    assert "images/train" in error("train", "--arch", "lenet5", "--data", "images")


def test_names_an_unreadable_image(error, tmp_path):
    for label in ("cat", "dog"):
        for number in range(9):
            write_image(tmp_path / "images" / "train" / label / f"{number}.png")
    (tmp_path / "images" / "train" / "cat" / "5.png").write_text("no image")
    assert "5.png" in error("train", "--arch", "lenet5", "--data", "images")


def test_names_a_truncated_image(error, tmp_path):
    for label in ("cat", "dog"):
        for number in range(9):
            write_image(tmp_path / "images" / "train" / label / f"{number}.png")
    truncated = tmp_path / "images" / "train" / "dog" / "7.png"
    whole = truncated.read_bytes()
    truncated.write_bytes(whole[: len(whole) // 2])
    assert "7.png" in error("train", "--arch", "lenet5", "--data", "images")


def test_shows_names_as_a_terminal_does_not_obey_them(error, tmp_path):
    for label in ("cat", "dog"):
        write_image(tmp_path / "images" / label / "0.png")
    (tmp_path / "images" / "cat" / "a\x1b[2J\nerror: b.png").write_text("no image")
    message = error("train", "--arch", "lenet5", "--data", "images")
    assert r"a\x1b[2J\nerror: b.png (unknown format)" in message


def test_an_image_that_is_large_is_no_second_line(error, tmp_path, monkeypatch):
    for label in ("cat", "dog"):
        write_image(tmp_path / "images" / label / "0.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow warns, and at twice that refuses
    (tmp_path / "images" / "cat" / "1.png").write_text("no image")
    assert "1.png" in error("train", "--arch", "lenet5", "--data", "images")


def arrays(**changes):
    images, labels = np.zeros((20, 32, 32, 3), np.uint8), np.arange(20) % 2
    return {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels} | changes


NPZ = {
    "arrays missing": (dict(x_train=np.zeros((4, 32, 32, 3), np.uint8)), "y_train"),
    "lengths that differ": (arrays(y_train=np.arange(19) % 2), "19"),
    "NaN": (arrays(x_train=np.full((20, 32, 32, 3), np.nan)), "x_train"),
    "pickled objects": (arrays(y_train=np.array([{}] * 20, object)), "y_train"),
}


@pytest.mark.parametrize(("content", "part"), NPZ.values(), ids=NPZ)
def test_refuses_an_npz_with(error, tmp_path, content, part):
    np.savez(tmp_path / "data.npz", **content)
    assert part in error("train", "--arch", "lenet5", "--data", "data.npz")


def test_refuses_a_file_that_is_no_npz(error, tmp_path):
    (tmp_path / "data.npz").write_text("no arrays")
    assert "data.npz" in error("train", "--arch", "lenet5", "--data", "data.npz")


@pytest.mark.parametrize("command", ["evaluate", "predict", "compare"])
def test_refuses_a_folder_that_is_no_run(error, tmp_path, command):
    (tmp_path / "other").mkdir()
    images = ["image.png"] if command == "predict" else []
    assert "other" in error(command, "other", *images)


def test_refuses_to_resume_what_is_no_run(error, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    assert "taken" in error("train", "--arch", "lenet5", "--run-dir", "taken", "--resume")


# ------------------------------------------------------------------------------------- builders


@pytest.mark.parametrize("command", ["summary mobilenet", "train --arch mobilenet"])
def test_refuses_a_size_under_the_minimum(error, command):
    assert "at least" in error(*command.split(), "--size", "4")


@pytest.mark.parametrize("command", ["summary mobilenet", "train --arch mobilenet"])
def test_names_the_argument_nearest_to_an_unknown_one(error, command):
    assert "Did you mean 'stem'?" in error(*command.split(), "--set", "stm=small")


@pytest.mark.parametrize("command", ["summary mobilenet", "train --arch mobilenet"])
def test_refuses_a_value_that_the_family_does_not_know(error, command):
    assert "stem='tiny'" in error(*command.split(), "--set", "stem=tiny")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("search --arch lenet5 --tune size", "`tune` must hold some of learning_rate"),
        ("search --arch lenet5 --budget-params 9", "`budget` must allow at least"),
        ("search --arch lenet5 --isolate pooling", "`isolate` needs the space 'simpnet'"),
        ("search --isolate beauty", "'beauty'"),
        ("search --principles poolin", "Did you mean 'pooling'"),
        ("search --objectives accuracy,macs", "`objectives` must be accuracy with the engine"),
        ("search --engine optuna --run-dir s", "`storage` must be given with the engine 'optuna'"),
        ("search --storage sqlite:///s.db", "`storage` must be given with the engine 'optuna'"),
        ("search --address auto", "`address` must be given with the engine 'ray' alone"),
        ("search --cpus-per-trial 2", "`cpus_per_trial` must be given with the engine 'ray'"),
        ("search --gpus-per-trial 0.5", "`gpus_per_trial` must be given with the engine 'ray'"),
        ("search --engine ray --gpus-per-trial 1.5", "must be below 1 or a whole number"),
        ("search --engine ray --address nowhere", "`address` must be auto or HOST:PORT"),
        ("search --engine ray --workers 2", "`workers` must not be given with the engine 'ray'"),
        ("lint lenet", "'lenet5'"),
    ],
)
def test_refuses_a_search_before_it_begins(error, line, part):
    assert part in error(*line.split())


def test_refuses_weights_that_are_not_there(error):
    assert "none.keras" in error("train", "--arch", "lenet5", "--weights", "none.keras")


# ------------------------------------------------------------------------------ the whole process


def keras_archs(*args, **environment):
    env = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"} | environment
    command = [sys.executable, "-m", "applications.cli", *args]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def test_an_error_after_the_import_of_the_backend_is_the_only_line_on_stderr():
    done = keras_archs("summary", "mobilenet", "--size", "4")
    assert done.returncode == 2
    assert done.stderr.startswith("error: `input_shape` must be at least")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is installed")
def test_says_that_a_backend_is_not_installed():
    done = keras_archs("summary", "lenet5", KERAS_BACKEND="torch")
    assert done.returncode == 2
    assert done.stderr.startswith("error: `KERAS_BACKEND`")
    assert done.stderr.count("\n") == 1


def test_debug_shows_where_an_error_arose():
    result = CliRunner().invoke(app, ["evaluate", "none", "--debug"])
    assert result.exit_code == 2
    assert result.stderr.startswith("Traceback")
    assert result.stderr.splitlines()[-1].startswith("error: ")


def test_a_bug_shows_its_traceback(monkeypatch):
    def broken(*args):
        raise KeyError("a bug")

    monkeypatch.setattr(applications, "dashboard", broken, raising=False)
    with pytest.raises(KeyError):
        CliRunner().invoke(app, ["dashboard"], catch_exceptions=False)
