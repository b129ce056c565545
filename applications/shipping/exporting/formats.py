"""Each format: how a network is written in it, and how what was written answers.

Every file takes images as they are stored, uint8 0..255 (B, H, W, C), and answers with float32
probabilities (B, classes); the C source has int8 on both sides, as integer-only chips do.
"""

import graphlib
import json
import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

import keras_archs
from applications.options import Exporting
from applications.shipping.exporting.micro import write_c
from keras_archs.graph import calls, deep_graphs, exportable
from keras_archs.runtimes import INT8, RUNTIMES, Converted, compiled
from keras_archs.surgery.rewiring import graphs, rewired

PIXELS, ANSWERS = "images", "probabilities"  # names of input and output where a format has names
Answers = Callable[[np.ndarray], np.ndarray]
_INT8_LEVELS = 256


class Exported(NamedTuple):
    """What a writer gets.

    Attributes:
        network: the run's, in float32 and without the normalisations that fold.
        converted: the same for other runtimes, with the images that set int8's ranges.
        asked: the settled options.
        notes: what a format keeps as text beside the network, by name; `labels` as JSON.
        example: an image of the test split, uint8 (H, W, C).
    """

    network: keras.Model
    converted: Converted
    asked: Exporting
    notes: Mapping[str, str]
    example: np.ndarray

    @property
    def batch(self) -> int | None:
        """Images at a time; None: any number."""
        batch = self.asked.batch
        return batch if isinstance(batch, int) else None

    @property
    def precision(self) -> str:
        return str(self.asked.precision)


def check_usable(format: str, precision: str) -> None:
    """Raise ValueError unless the format can be made on this backend with what is installed."""
    if format == "keras":
        return
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            "`format` must be keras on this backend: all others are made of TensorFlow's graph "
            "(KERAS_BACKEND=tensorflow reads runs of every backend). "
            f"Received: format={format!r} on {backend}"
        )
    runtime = {"onnx": "onnxruntime", "c": "litert"}.get(format, format)
    libraries = (INT8 if precision == "int8" else RUNTIMES).get(runtime, ())
    if precision == "fp16" and format == "onnx":
        libraries = RUNTIMES["onnxruntime"]
    if missing := [library for library in libraries if find_spec(library) is None]:
        raise ValueError(
            "`format` must have its libraries installed, by pip install 'keras-archs[export]'. "
            f"Received: format={format!r} without {', '.join(missing)}"
        )


# --------------------------------------------------------------------------------- the network


def inference_copy(model: keras.Model) -> keras.Model:
    """The network in float32, with normalisations folded, of Keras' own layers and operations.

    The copy loads without this package, and has neither optimizer nor loss.
    """
    folded = keras_archs.fold_batch_norm(_in_float32(model))
    own = {
        f"{prefix}{call.operation.name}": [_spelled_out(call)]
        for prefix, graph in graphs(folded)
        for call in calls(graph)
        if isinstance(call.operation, keras_archs.LocalResponseNormalization)
    }
    copy = rewired(folded, own) if own else folded
    # Cloning compiles the clone as the model is; another model of its layers is not.
    return exportable(keras.Model(copy.inputs[0], copy.outputs[0], name=model.name))


def _in_float32(model: keras.Model) -> keras.Model:
    """A model of mixed precision computes with its float32 weights as they are."""
    if all(each.compute_dtype in (None, "float32") for each in model._flatten_layers()):
        return model

    def again(operation: Any) -> Any:
        config = operation.get_config()
        if isinstance(operation, keras.Layer):
            config = {**config, "dtype": "float32"}
        return type(operation).from_config(config)

    with deep_graphs():
        copy = keras.models.clone_model(model, clone_function=again, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _spelled_out(call: Any) -> keras.Model:
    """A layer of this package as a model of the operations that it is made of."""
    images = keras.Input(batch_shape=call.inputs[0].shape)
    return keras.Model(images, call.operation.call(images), name=call.operation.name)


def _for_batch(network: keras.Model, batch: int | None) -> keras.Model:
    """The network for so many images at a time."""
    if batch is None:
        return network
    first = network.inputs[0]
    images = keras.Input(batch_shape=(batch, *first.shape[1:]), dtype=first.dtype, name=PIXELS)
    with deep_graphs():
        copy = keras.models.clone_model(network, input_tensors=images)
    copy.set_weights(network.get_weights())
    return copy


# --------------------------------------------------------------------------------- the writers


def _write_keras(exported: Exported, folder: Path) -> None:
    with deep_graphs():
        _for_batch(exported.network, exported.batch).save(folder / "model.keras")


def _write_saved_model(exported: Exported, folder: Path) -> None:
    import tensorflow as tf

    network = exported.network
    shape = (exported.batch, *network.input_shape[1:])
    exportable(network).export(
        folder / "saved_model",
        format="tf_saved_model",
        verbose=False,
        input_signature=[tf.TensorSpec(shape, network.inputs[0].dtype, name=PIXELS)],
    )


def _write_litert(exported: Exported, folder: Path) -> None:
    content = exported.converted.litert_file(exported.precision, exported.batch)
    (folder / "model.tflite").write_bytes(content)


def _write_c(exported: Exported, folder: Path) -> None:
    content = exported.converted.litert_file("int8", 1, pixels="int8", answers="int8")
    write_c(folder, content, json.loads(exported.notes["labels"]), exported.example)
    (folder / "model.tflite").write_bytes(content)


def _write_onnx(exported: Exported, folder: Path) -> None:
    (folder / "model.onnx").write_bytes(onnx_file(exported))


def _write_openvino(exported: Exported, folder: Path) -> None:
    import openvino

    half = exported.precision == "fp16"
    precision = "int8" if exported.precision == "int8" else "fp32"
    network = openvino.Core().read_model(onnx_file(exported, precision))
    for name, text in exported.notes.items():
        network.set_rt_info(text, [name])
    openvino.save_model(network, folder / "model.xml", compress_to_fp16=half)


def onnx_file(exported: Exported, precision: str | None = None) -> bytes:
    """An ONNX network with the notes as its metadata.

    Args:
        exported: what is written.
        precision: None: as asked for.
    """
    import onnx

    precision = precision or exported.precision
    made = exported.converted.onnx_int8 if precision == "int8" else exported.converted.onnx
    network: Any = onnx.load_from_string(made)
    if precision == "fp16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        network = convert_float_to_float16(network, keep_io_types=True)
    graph = network.graph
    del graph.value_info[:]  # which have other batches
    _name_output(graph)
    floats, shape = graph.input[0].name, exported.converted.shape
    batch = exported.batch or "batch"
    given = onnx.helper.make_tensor_value_info(PIXELS, onnx.TensorProto.UINT8, [batch, *shape])
    graph.input[0].CopyFrom(given)
    cast = onnx.helper.make_node("Cast", [PIXELS], [floats], to=onnx.TensorProto.FLOAT)
    graph.node.insert(0, cast)
    _sort(graph)
    dimension = graph.output[0].type.tensor_type.shape.dim[0]
    dimension.Clear()
    if exported.batch:
        dimension.dim_value = exported.batch
    else:
        dimension.dim_param = "batch"
    onnx.helper.set_model_props(network, dict(exported.notes))
    network.producer_name, network.producer_version = "keras-archs", keras_archs.__version__
    onnx.checker.check_model(network)
    return network.SerializeToString()


def _name_output(graph: Any) -> None:
    """Give the tensor that is the output its name, wherever it is written and read."""
    before = graph.output[0].name
    graph.output[0].name = ANSWERS
    for node in graph.node:
        for names in (node.input, node.output):
            for at, name in enumerate(names):
                if name == before:
                    names[at] = ANSWERS


def _sort(graph: Any) -> None:
    """Put each node behind those that it reads from, as ONNX wants them; fp16 appends casts."""
    nodes = list(graph.node)
    writer = {name: at for at, node in enumerate(nodes) for name in node.output}
    reads = {at: [writer[n] for n in node.input if n in writer] for at, node in enumerate(nodes)}
    order = list(graphlib.TopologicalSorter(reads).static_order())
    del graph.node[:]
    graph.node.extend(nodes[at] for at in order)


WRITERS: dict[str, Callable[[Exported, Path], None]] = {
    "keras": _write_keras,
    "saved_model": _write_saved_model,
    "onnx": _write_onnx,
    "litert": _write_litert,
    "openvino": _write_openvino,
    "c": _write_c,
}


# --------------------------------------------------------------------------------- the answers


def _read_keras(folder: Path) -> Answers:
    with deep_graphs():
        network: Any = keras.saving.load_model(folder / "model.keras", safe_mode=True)
    forward = compiled(network)
    return lambda images: np.asarray(forward(images)[0])


def _read_saved_model(folder: Path) -> Answers:
    import tensorflow as tf

    loaded: Any = tf.saved_model.load(os.fspath(folder / "saved_model"))
    return lambda images: loaded.serve(tf.constant(images)).numpy()


def _read_onnx(folder: Path) -> Answers:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session: Any = onnxruntime.InferenceSession(
        folder / "model.onnx", options, providers=["CPUExecutionProvider"]
    )
    return lambda images: session.run([ANSWERS], {PIXELS: images})[0]


def _read_openvino(folder: Path) -> Answers:
    import openvino

    # It would compute in bfloat16 where the processor can.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    network: Any = openvino.Core().compile_model(folder / "model.xml", "CPU", options)
    return lambda images: network([images])[ANSWERS]


def _read_litert(folder: Path) -> Answers:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(os.fspath(folder / "model.tflite"))
    interpreter.allocate_tensors()
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()

    def answers(images: np.ndarray) -> np.ndarray:
        if tuple(interpreter.get_input_details()[0]["shape"]) != images.shape:
            interpreter.resize_tensor_input(given["index"], images.shape)
            interpreter.allocate_tensors()
        if given["dtype"] == np.int8:  # `Converted.litert_file`
            images = (images.astype(np.int16) - _INT8_LEVELS // 2).astype(np.int8)
        interpreter.set_tensor(given["index"], images)
        interpreter.invoke()
        found = interpreter.get_tensor(answer["index"])
        if answer["dtype"] == np.float32:
            return found
        scale, zero = answer["quantization"]
        return ((found.astype(np.float32) - zero) * scale).astype(np.float32)

    return answers


READERS: dict[str, Callable[[Path], Answers]] = {
    "keras": _read_keras,
    "saved_model": _read_saved_model,
    "onnx": _read_onnx,
    "litert": _read_litert,
    "openvino": _read_openvino,
    "c": _read_litert,
}
