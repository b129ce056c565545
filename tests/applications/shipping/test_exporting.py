"""Exporting a run: what is written takes stored images, answers as the run does, and says so."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from running import randomize

import applications
import keras_archs
from applications.comparison.benching import representative_images
from applications.data import open_source
from applications.files import new_folder
from applications.options import FORMATS, Exporting
from applications.shipping.exporting import exporting, formats, micro
from applications.shipping.exporting.formats import READERS, WRITERS, Exported, inference_copy
from keras_archs.runtimes import Converted

BEFORE = Path(__file__).parents[2] / "fixtures" / "before"
CONVERTED = [(each, precision) for each, has in FORMATS.items() for precision in has]
QUICK = {("keras", "fp32"), ("onnx", "fp32"), ("c", "int8")}

needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="these formats are made of TensorFlow's graph"
)
slow = pytest.mark.slow


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(exporting, "_SECONDS", 0)  # of timing
    return tmp_path


@pytest.fixture
def parent(here):
    """A run of an earlier version, of LeNet-5 on the digits."""
    shutil.copytree(BEFORE / "finished", here / "parent")
    return here / "parent"


def listing(folder):
    return sorted(str(path) for path in folder.rglob("*"))


def some_images(run, count=12):
    source = open_source("digits", seed=run.config["seed"])
    return source.at(run.model.input_shape[1:3], 1).test.batch(range(count))


# ------------------------------------------------- each format, read by what its users read it with


def keras_answers(folder, images):
    return keras.models.load_model(folder / "model.keras").predict_on_batch(images)


def saved_model_answers(folder, images):
    import tensorflow as tf

    served = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
    (answer,) = served(tf.constant(images)).values()
    return answer.numpy()


def onnx_answers(folder, images):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
    assert labels == json.loads((folder / "labels.json").read_text())
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape) == (
        "images",
        "tensor(uint8)",
        ["batch", 16, 16, 1],
    )
    (answer,) = session.get_outputs()
    assert (answer.name, answer.shape) == ("probabilities", ["batch", 10])
    return session.run(None, {"images": images})[0]


def openvino_answers(folder, images):
    library = pytest.importorskip("openvino")
    network = library.Core().read_model(folder / "model.xml")
    labels = json.loads(network.get_rt_info(["labels"]).astype(str))
    assert labels == json.loads((folder / "labels.json").read_text())
    compiled = library.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled({"images": images})["probabilities"]


def litert_answers(folder, images):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(
        str(folder / "model.tflite")
    )
    interpreter.allocate_tensors()
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert list(given["shape"]) == [1, 16, 16, 1]
    answers = []
    for image in images:
        if given["dtype"] == np.int8:  # of c: what classifier.cc does
            assert given["quantization"] == (1.0, -128)
            image = (image.astype(int) - 128).astype(np.int8)
        else:
            assert given["dtype"] == np.uint8
        interpreter.set_tensor(given["index"], image[None])
        interpreter.invoke()
        found = interpreter.get_tensor(answer["index"])[0]
        if found.dtype == np.int8:
            scale, zero = answer["quantization"]
            found = (found.astype(np.float32) - zero) * scale
        answers.append(found)
    return np.stack(answers)


ANSWERS = {
    "keras": keras_answers,
    "saved_model": saved_model_answers,
    "onnx": onnx_answers,
    "litert": litert_answers,
    "openvino": openvino_answers,
    "c": litert_answers,
}


@pytest.mark.parametrize(
    ("format", "precision"),
    [
        pytest.param(
            *each,
            marks=[slow] * (each not in QUICK) + [needs_tensorflow] * (each[0] != "keras"),
        )
        for each in CONVERTED
    ],
)
def test_what_is_written_answers_as_the_run_does(format, precision, parent, here, capsys):
    report = applications.export(parent, format=format, precision=precision, tolerance=0.1)
    folder = parent / "export" / f"{format}-{precision}"
    assert report.pop("path") == str(folder)
    assert report == json.loads((folder / "export.json").read_text())
    assert json.loads((folder / "labels.json").read_text()) == [str(digit) for digit in range(10)]
    run = applications.load(parent)
    images = some_images(run)
    assert images.dtype == np.uint8
    found, expected = ANSWERS[format](folder, images), run.predict(images)
    near = {"fp32": 1e-5, "fp16": 2e-3, "int8": 0.05}[precision]
    np.testing.assert_allclose(found, expected, atol=near, rtol=0)
    assert np.ptp(expected, axis=0).max() > 2 * near  # what is compared is above the tolerance
    assert {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("labels.json", "export.json")
    } == report["files"]
    parity = report["parity"]
    assert parity["images"] == len(run.predictions["labels"])
    assert parity["accuracy"]["keras"] == pytest.approx(run.metrics["test_accuracy"])
    assert 0 <= parity["max_difference"] < near and parity["top1_agreement"] > 0.9
    assert min(report["latency_ms_p50"].values()) > 0
    said = capsys.readouterr().out
    assert f"{format} {precision}" in said and str(folder) in said


@needs_tensorflow
@slow
@pytest.mark.parametrize(
    ("format", "batch"),
    [
        *(("keras", 3), ("saved_model", 3), ("onnx", 3), ("openvino", 3), ("litert", 3)),
        *(("litert", "dynamic"), ("openvino", "dynamic")),
    ],
)
def test_a_batch_is_fixed_or_open(format, batch, parent):
    folder = Path(applications.export(parent, format=format, batch=batch, out="made")["path"])
    answers, images = READERS[format](folder), some_images(applications.load(parent), 6)
    at_once = answers(images[:3])
    assert at_once.shape == (3, 10)
    if batch == "dynamic":
        np.testing.assert_allclose(answers(images)[:3], at_once, atol=1e-6)
    elif format in ("onnx", "openvino", "saved_model"):
        with pytest.raises(Exception, match=r"(?i)shape|dimension|signature|inputs|compatible"):
            answers(images)


def test_the_keras_file_is_clean_and_of_keras_alone(here):
    """Also a network with our one layer, in a process that cannot import this package."""
    network = keras_archs.AlexNet((67, 67, 3), 10, alpha=0.0625)
    randomize(network)
    network.compile("adam", "categorical_crossentropy")
    copy = inference_copy(network)
    assert not copy.compiled
    homes = {type(each).__module__.partition(".")[0] for each in copy._flatten_layers()}
    assert homes == {"keras"}
    images = np.random.default_rng(0).random((2, 67, 67, 3), np.float32)
    expected = network.predict_on_batch(images)
    np.testing.assert_allclose(copy.predict_on_batch(images), expected, atol=1e-6)
    assert np.ptp(expected) > 1e-2
    copy.save(here / "alexnet.keras")
    np.savez(here / "case.npz", images=images, expected=expected)


@slow
def test_the_keras_file_loads_without_this_package(here):
    test_the_keras_file_is_clean_and_of_keras_alone(here)
    script = """
import sys
sys.modules["keras_archs"] = None
import keras, numpy as np
case = np.load("case.npz")
found = keras.models.load_model("alexnet.keras").predict_on_batch(case["images"])
np.testing.assert_allclose(found, case["expected"], atol=1e-6)
"""
    subprocess.run([sys.executable, "-P", "-c", script], check=True, cwd=here)


def test_normalisations_fold_and_mixed_precision_becomes_float32():
    images = keras.Input((16, 16, 1), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255, dtype="float32")(images)
    x = keras.layers.Conv2D(4, 3, dtype="mixed_bfloat16", name="conv")(x)
    x = keras.layers.BatchNormalization(dtype="mixed_bfloat16", name="bn")(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="mixed_bfloat16")(x)
    outputs = keras.layers.Dense(3, "softmax", dtype="float32", name="predictions")(x)
    network = keras.Model(images, outputs)
    randomize(network)
    copy = inference_copy(network)
    assert {each.compute_dtype for each in copy.layers} == {"float32"}
    assert "bn" not in [each.name for each in copy.layers]
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), np.uint8)
    np.testing.assert_allclose(
        copy.predict_on_batch(pixels), network.predict_on_batch(pixels), atol=0.02
    )


@needs_tensorflow
@slow
@pytest.mark.parametrize("name", ["alexnetonetower", "resnet20", "resnext29_8x64d", "simpnet_300k"])
def test_networks_of_many_kinds_agree(name, here):
    """All of them: benchmarks/export_all.py."""
    info = keras_archs.info(name)
    shape = (info.min_size_for(), info.min_size_for(), info.input_shape[-1])
    network = keras_archs.build(name, shape, classes=10, alpha=0.125)
    randomize(network)
    pixels = keras.Input(shape, dtype="uint8")
    whole = keras.Model(pixels, network(keras.layers.Rescaling(1 / 255)(pixels)))
    images = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    expected = whole.predict_on_batch(images)
    spread = np.ptp(expected, axis=0).max()
    copy = inference_copy(whole)
    converted = Converted(copy)
    for format in ("onnx", "litert", "openvino"):
        asked = Exporting(run="", format=format, batch=2, out="made").settled
        (here / format).mkdir()
        WRITERS[format](
            Exported(copy, converted, asked, {"labels": "[]"}, images[0]), here / format
        )
        found = READERS[format](here / format)(images)
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0, err_msg=format)
        assert np.abs(found - expected).max() < spread / 100


# ---------------------------------------------------------------------------------------- failures


def damaged(parent):
    (parent / "model.keras").write_bytes(b"PK\3\4 no model")


def unfinished(parent):
    (parent / "metrics.json").unlink()


def untested(parent):
    metrics = json.loads((parent / "metrics.json").read_text())
    del metrics["test_accuracy"]
    (parent / "metrics.json").write_text(json.dumps(metrics))


def of_others(parent):
    labels = json.loads((parent / "labels.json").read_text())
    (parent / "labels.json").write_text(json.dumps(labels[::-1]))


def taken(parent):
    (parent / "export" / "keras-fp32").mkdir(parents=True)


def no_folder(parent):
    (parent / "export").write_text("a file")


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (unfinished, {}, "`run` must be finished"),
        (untested, {}, "`run` must have been tested"),
        (damaged, {}, "A .keras file must hold a model that Keras can read"),
        (of_others, {}, "`data` must have the run's classes"),
        (taken, {}, "`out` must name a new folder where its default is taken"),
        (no_folder, {}, "Not a directory|File exists"),
        (None, {"out": "parent"}, "`out` must not exist. Received: out=parent"),
        (None, {"format": "tflite"}, "`format` must be one of .*Did you mean .litert"),
        (None, {"precision": "int4"}, "`precision` must be one of .fp32., .fp16., .int8."),
        (None, {"precision": "int8"}, "`precision` must be fp32 for keras .* onnx, litert, openv"),
        (None, {"format": "c", "precision": "fp32"}, "`precision` must be int8 for c"),
        (None, {"format": "c", "batch": 2}, "`batch` must be 1 for c. Received: batch=2"),
        (None, {"batch": 0}, r"`batch` must be an integer in \[1, 4096\]"),
        (None, {"batch": "any"}, "`batch` must be dynamic or images at a time, 1..4096"),
        (None, {"batch": True}, "`batch` must be"),
        (None, {"tolerance": -1}, r"`tolerance` must be .*Received: tolerance=-1"),
        (None, {"tolerance": float("nan")}, "`tolerance` must be"),
    ],
)
def test_what_cannot_be_exported_is_an_error_and_leaves_nothing(
    change, options, message, parent, here
):
    if change:
        change(parent)
    before = listing(here)
    with pytest.raises((ValueError, OSError), match=message) as error:
        applications.export("parent", **{"format": "keras", **options})
    assert "\n" not in str(error.value)
    assert listing(here) == before


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_an_export_that_differs_is_an_error_with_the_figure(precision, parent, here, monkeypatch):
    """int8 is judged by the classes, the others by the probabilities."""
    answers = keras_archs.runtimes.compiled(applications.load(parent).model)

    def others(folder):
        if precision == "int8":  # the same probabilities of other classes
            return lambda images: np.asarray(answers(images)[0])[:, ::-1]
        return lambda images: np.asarray(answers(images)[0]) + 0.25

    monkeypatch.setitem(READERS, "onnx", others)
    monkeypatch.setitem(WRITERS, "onnx", lambda exported, folder: None)
    monkeypatch.setattr(exporting, "check_usable", lambda *_: None)
    before = listing(here)
    figure = r"0\.25\b" if precision == "fp32" else r"(1|0\.9\d*)$"
    with pytest.raises(ValueError, match=f"`tolerance` must be at least .* it is {figure}"):
        applications.export(parent, format="onnx", precision=precision)
    assert listing(here) == before


def test_answers_that_are_no_numbers_never_pass():
    parity = {"images": 3, "max_difference": float("nan"), "top1_agreement": 1, "tolerance": 1.0}
    with pytest.raises(ValueError, match="it is nan"):
        exporting._check({"parity": parity, "format": "onnx", "precision": "fp16"})


@pytest.mark.parametrize("format", [each for each in FORMATS if each != "keras"])
def test_another_backend_says_which_one_it_takes(format, monkeypatch):
    monkeypatch.setattr(formats.keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=f"KERAS_BACKEND=tensorflow.*format='{format}' on jax"):
        formats.check_usable(format, "fp32")
    formats.check_usable("keras", "fp32")


@needs_tensorflow
@pytest.mark.parametrize(
    ("format", "precision", "missing"),
    [
        ("onnx", "fp32", "onnxruntime, onnx, tf2onnx"),
        ("onnx", "int8", "sympy"),
        ("openvino", "fp16", "openvino"),
        ("litert", "fp32", "ai_edge_litert"),
        ("c", "int8", "ai_edge_litert"),
    ],
)
def test_a_missing_library_names_the_extra(format, precision, missing, monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=rf"keras-archs\[export\].* without .*{missing}"):
        formats.check_usable(format, precision)


def test_a_new_folder_is_there_whole_or_not_at_all(here):
    with new_folder(here / "a" / "b") as folder:
        (folder / "file").write_text("whole")
        assert not (here / "a" / "b").exists()
    assert listing(here) == [str(here / each) for each in ("a", "a/b", "a/b/file")]
    with pytest.raises(KeyboardInterrupt), new_folder(here / "c" / "d" / "e") as folder:
        (folder / "file").write_text("half")
        raise KeyboardInterrupt
    with pytest.raises(FileExistsError), new_folder(here / "a" / "b"):
        pass
    assert listing(here) == [str(here / each) for each in ("a", "a/b", "a/b/file")]


# --------------------------------------------------------------------------------------------- int8


def test_images_that_set_ranges_come_from_all_training_images(parent):
    """Image folders are sorted by class: the first images are of one."""
    run = applications.load(parent)
    found = representative_images(run)
    train = open_source("digits", seed=run.config["seed"]).at(16, 1).train
    assert found.shape == (128, 16, 16, 1) and found.dtype == np.uint8
    rows = [at * len(train) // 128 for at in range(128)]
    np.testing.assert_array_equal(found, train.batch(rows))
    assert rows[-1] >= len(train) - len(train) // 100


def test_ranges_hold_black_and_white():
    class Images:
        config = {"data": "digits", "seed": 0, "resize": "stretch"}
        model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])

    found = exporting.ranges(Images())
    assert len(found) == 129 and (found[-1].min(), found[-1].max()) == (0, 255)


# ------------------------------------------------------------------------------------------------ C


def test_tensors_share_memory_while_the_others_rest():
    """Laid out by hand: bytes are multiples of 16, the largest tensor lies at 0."""
    live = micro.Live
    chain = [live(100, -1, 0), live(50, 0, 1), live(30, 1, 2)]
    assert micro.planned(chain) == 112 + 64  # the third takes the first one's place
    assert micro.planned([live(16, 0, 9), live(16, 0, 9), live(16, 0, 9)]) == 48
    between = [live(64, 0, 1), live(48, 3, 4), live(32, 0, 4), live(32, 1, 3)]
    assert micro.planned(between) == 64 + 32 + 32
    assert micro.planned([]) == 0


def test_operators_have_the_names_of_the_resolvers_methods():
    named = {
        **{"CONV_2D": "AddConv2D", "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D"},
        **{"MAX_POOL_2D": "AddMaxPool2D", "FULLY_CONNECTED": "AddFullyConnected"},
        **{"SOFTMAX": "AddSoftmax", "RELU6": "AddRelu6", "PADV2": "AddPadV2", "MEAN": "AddMean"},
    }
    assert {each: micro.addition(each) for each in named} == named
    micro.check_known(named)
    with pytest.raises(ValueError, match="operators that TensorFlow Lite Micro has.* POW, ERF"):
        micro.check_known(["CONV_2D", "POW", "ERF"])


def test_labels_are_texts_of_c():
    assert micro.literal("cat") == '"cat"'
    assert micro.literal('a"b\\c??/\n') == '"a\\042b\\134c\\077\\077/\\012"'
    assert micro.literal("é1") == '"\\303\\2511"'


STUBS = {
    "tensorflow/lite/micro/micro_interpreter.h": """
#pragma once
#include <cstddef>
#include <cstdint>
#define TFLITE_SCHEMA_VERSION 3
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
struct TfLiteTensor {
  union { int8_t *int8; } data;
  struct { float scale; int32_t zero_point; } params;
};
namespace tflite {
struct Model { int version() const { return 3; } };
inline const Model *GetModel(const void *) { static Model model; return &model; }
struct MicroInterpreter {
  template <class Resolver>
  MicroInterpreter(const Model *, const Resolver &, uint8_t *arena, size_t) {
    given = {{reinterpret_cast<int8_t *>(arena)}, {1.0f, -128}};
    answer = {{reinterpret_cast<int8_t *>(arena) + 1024}, {1.0f / 256, -128}};
  }
  TfLiteStatus AllocateTensors() { return kTfLiteOk; }
  // The class that the first pixel names has all of the probability.
  TfLiteStatus Invoke() {
    for (int i = 0; i < 10; ++i) answer.data.int8[i] = -128;
    answer.data.int8[(given.data.int8[0] + 128) % 10] = 127;
    return kTfLiteOk;
  }
  TfLiteTensor *input(int) { return &given; }
  TfLiteTensor *output(int) { return &answer; }
  size_t arena_used_bytes() { return 1234; }
  TfLiteTensor given, answer;
};
}  // namespace tflite
""",
    "tensorflow/lite/schema/schema_generated.h": "#pragma once\n",
}
CHECK = """
#include <stdio.h>
#include "model_data.h"
int main(void) {
  for (int i = 0; i < MODEL_CLASSES; ++i) printf("%s\\n", model_labels[i]);
  for (int i = 0; i < MODEL_BYTES; ++i) printf("%d\\n", model_data[i]);
  return ((unsigned long)model_data) % 16 != 0;
}
"""


@needs_tensorflow
@slow
@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("g++")), reason="needs gcc and g++")
def test_the_c_source_compiles_and_is_the_model(parent, here):
    """Against stub headers that have the interface of TensorFlow Lite Micro that it uses."""
    report = applications.export(parent, format="c", tolerance=0.1)
    folder = Path(report["path"])
    strict = ["-Wall", "-Wextra", "-Werror", f"-I{folder}", f"-I{here}"]
    (here / "check.c").write_text(CHECK)
    sources = [here / "check.c", folder / "model_data.c"]
    subprocess.run(["gcc", "-std=c11", *strict, *sources, "-o", "check"], check=True)
    printed = subprocess.run(["./check"], check=True, capture_output=True, text=True).stdout.split()
    assert printed[:10] == [str(digit) for digit in range(10)]
    assert bytes(map(int, printed[10:])) == (folder / "model.tflite").read_bytes()

    methods = "".join(
        f"  TfLiteStatus {micro.addition(each)}() {{ return kTfLiteOk; }}\n"
        for each in report["operators"]
    )
    resolver = f"template <unsigned int count> struct MicroMutableOpResolver {{\n{methods}}};\n"
    stubs = {
        **STUBS,
        "tensorflow/lite/micro/micro_mutable_op_resolver.h": f"""
#pragma once
#include "tensorflow/lite/micro/micro_interpreter.h"
namespace tflite {{
{resolver}}}
""",
    }
    for name, text in stubs.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text)
    c, cc = ["gcc", "-std=c11", *strict, "-c"], ["g++", "-std=c++17", *strict, "-c"]
    subprocess.run([*c, folder / "main.c", folder / "model_data.c"], check=True)
    subprocess.run([*cc, folder / "classifier.cc"], check=True)
    subprocess.run(["g++", "main.o", "model_data.o", "classifier.o", "-o", "main"], check=True)
    shown = subprocess.run(["./main"], check=True, capture_output=True, text=True).stdout
    first = some_images(applications.load(parent), 1)[0, 0, 0, 0]
    assert shown == f"{first % 10}: 0.996 (1234 bytes of the arena in use)\n"
    page = (folder / "classifier.cc").read_text()
    assert f"#define TENSOR_ARENA_BYTES {report['arena_bytes']}" in page
    assert f"MicroMutableOpResolver<{len(report['operators'])}>" in page
