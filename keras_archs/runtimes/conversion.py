"""A network in the formats of the runtimes, and compiled by each of them."""

import contextlib
import functools
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

import keras_archs

if TYPE_CHECKING:
    import keras

Pass = Callable[[np.ndarray], list[np.ndarray]]  # a chunk of images -> the network's outputs


class Converted:
    """A folded copy of a network and its other formats, each made once, when it is first needed.

    To make several predictors of one network: each takes it in the network's place.

    Attributes:
        model: what it was made of.
        shape: (H, W, C) of the input.
        structure: of the outputs where the model has several, else None.
    """

    def __init__(self, model: "keras.Model", representative: np.ndarray | None = None):
        """Checks the arguments, which are those of `runtime`; converts nothing yet."""
        import keras

        if not isinstance(model, keras.Model):
            raise TypeError(f"`model` must be a keras.Model. Received: model={model!r}")
        inputs = model.inputs if model.built else []
        shape = tuple(inputs[0].shape[1:]) if len(inputs) == 1 else ()
        if len(shape) != 3 or None in shape:
            raise ValueError(
                "`model` must have one input (H, W, C) of known sides. "
                f"Received: {[tuple(tensor.shape) for tensor in inputs]}"
            )
        for layer in model._flatten_layers():
            if layer.compute_dtype not in (None, "float32") and layer.weights:
                raise ValueError(
                    "`model` must compute in float32: precision never changes in silence. "
                    f"Received: layer {layer.name!r} computes in {layer.compute_dtype}"
                )
        self.model: keras.Model = model
        self.shape: tuple[int, int, int] = shape
        self.structure: Any = model.output if keras.tree.is_nested(model.output) else None
        self._representative = representative

    def check_representative(self) -> None:
        """Raise ValueError unless there are images to set the ranges of int8 by."""
        images = self._representative
        if images is None or np.shape(images)[1:] != self.shape or not len(images):
            raise ValueError(
                "`representative` must hold images such as the network will see, (N, "
                f"{', '.join(map(str, self.shape))}), for int8. Received: "
                f"{None if images is None else np.shape(images)}"
            )
        if len(self.model.outputs) > 1:
            raise ValueError(
                "`model` must have one output for int8. "
                f"Received: {len(self.model.outputs)} outputs"
            )

    def agreement(self, predict: Callable[[np.ndarray], np.ndarray]) -> float:
        """The fraction of the representative images with the same highest output as in float32."""
        images = np.asarray(self._representative)
        expected = [self.answers(image)[0].argmax() for image in self._images()]
        return float(np.mean(predict(images).argmax(axis=-1) == expected))

    def answers(self, images: np.ndarray) -> list[np.ndarray]:
        """The outputs of the TensorFlow graph that the runtimes' formats are converted from."""
        return _tensorflow(self)(images)

    @cached_property
    def network(self) -> "keras.Model":
        """The folded copy: float32 in, a list of outputs or the only one out."""
        import keras

        folded = keras_archs.fold_batch_norm(self.model)
        with keras_archs.graph.deep_graphs():
            if folded.inputs[0].dtype != "float32":
                # The quantisers know no integer input.
                images = keras.Input(self.shape, dtype="float32", name=folded.inputs[0].name)
                with_float = keras.models.clone_model(folded, input_tensors=images)
                with_float.set_weights(folded.get_weights())
                folded = with_float
            outputs = folded.outputs if len(folded.outputs) > 1 else folded.outputs[0]
            return keras.Model(folded.inputs[0], outputs)

    @cached_property
    def frozen(self) -> Any:
        """A TensorFlow function with the weights as constants: batch in, list of tensors out."""
        return self._frozen()

    @cached_property
    def _convertible(self) -> Any:
        """The same without calls: `_without_calls`."""
        return _without_calls(self.frozen, self._frozen)

    def _frozen(self, batch: int | None = None, dtype: str = "float32") -> Any:
        import tensorflow as tf
        from tensorflow.python.framework.convert_to_constants import (
            convert_variables_to_constants_v2,
        )

        network = self.network
        forward = tf.function(lambda images: network(tf.cast(images, tf.float32), training=False))
        images = tf.TensorSpec((batch, *self.shape), dtype)
        return convert_variables_to_constants_v2(forward.get_concrete_function(images))

    @cached_property
    def litert(self) -> bytes:
        return self._litert(self._convertible)

    @cached_property
    def litert_int8(self) -> bytes:
        return self._litert(self._convertible, self._images)

    def litert_file(
        self, precision: str, batch: int | None, *, pixels: str = "uint8", answers: str = "float32"
    ) -> bytes:
        """A LiteRT network that takes pixels 0..255 as they are stored.

        Args:
            precision: `"fp32"`, `"fp16"` (of the weights) or `"int8"`.
            batch: images at a time, None for any number.
            pixels: type of the input, for int8 also `"int8"`, which is pixel - 128.
            answers: type of the output, for int8 also `"int8"`.
        """
        import tensorflow as tf

        if precision != "int8":
            freeze = functools.partial(self._frozen, batch, pixels)
            half = precision == "fp16"
            return self._litert(_without_calls(freeze(), freeze), half=half)
        freeze = functools.partial(self._frozen, batch)

        def batches() -> Iterator[np.ndarray]:
            for image in self._images():
                yield np.repeat(image, batch or 1, axis=0)

        types = tf.as_dtype(pixels), tf.as_dtype(answers)
        return self._litert(_without_calls(freeze(), freeze), batches, types=types)

    def _litert(
        self,
        function: Any,
        images: Callable[[], Iterator[np.ndarray]] | None = None,
        *,
        half: bool = False,
        types: tuple[Any, Any] | None = None,
    ) -> bytes:
        import tensorflow as tf

        with _quiet():
            # The function must be a frozen one: another converts and then fails to run.
            converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
            operations = tf.lite.OpsSet.TFLITE_BUILTINS
            if images is not None:
                operations = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.representative_dataset = lambda: ([image] for image in images())
            if half:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.target_spec.supported_types = [tf.float16]
            if types is not None:
                converter.inference_input_type, converter.inference_output_type = types
            converter.target_spec.supported_ops = [operations]
            return converter.convert()

    @cached_property
    def onnx(self) -> bytes:
        import tf2onnx
        from keras.src.export.tf2onnx_lib import patch_tf2onnx  # for NumPy 2; Keras' export does so

        # `Model.export` makes inputs of a network's constants, such as a given mean.
        frozen = self._convertible
        with _quiet():
            patch_tf2onnx()
            network, _ = tf2onnx.convert.from_graph_def(
                frozen.graph.as_graph_def(),
                input_names=[tensor.name for tensor in frozen.inputs],
                output_names=[tensor.name for tensor in frozen.outputs],
            )
        _keep_zeros(network.graph)
        return network.SerializeToString()

    @cached_property
    def onnx_int8(self) -> bytes:
        """The ONNX network with quantise and dequantise nodes, weights by channel."""
        from onnxruntime.quantization import QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        reader: Any = _Reader(self.onnx, self._images())
        with TemporaryDirectory() as folder, _quiet():
            whole, prepared, quantised = (Path(folder, f"{n}.onnx") for n in range(3))
            whole.write_bytes(self.onnx)
            quant_pre_process(whole, prepared)
            quantize_static(
                prepared,
                quantised,
                reader,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            return quantised.read_bytes()

    def _images(self) -> Iterator[np.ndarray]:
        """The representative images, one at a time: float32 (1, H, W, C)."""
        for image in np.asarray(self._representative):
            yield image[None].astype(np.float32)


class _Reader:
    """What ONNX Runtime's quantiser asks for images, one call at a time."""

    def __init__(self, network: bytes, images: Iterator[np.ndarray]):
        import onnx

        self._name, self._images = onnx.load_from_string(network).graph.input[0].name, images

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {self._name: image}


def _keep_zeros(graph: Any) -> None:
    """Hide zeros around the input of max pooling from optimisers that take them for "no value".

    ONNX Runtime 1.31 makes them the pooling's own padding, which no maximum sees: where all values
    of a window are negative, as in ResNet v2's first pooling, the answer differs. The maximum of a
    tensor and itself stands between, which it does not take away.
    """
    import onnx

    writers = {name: node for node in graph.node for name in node.output}

    def padded(name: str) -> bool:
        node = writers.get(name)
        while node is not None and node.op_type in ("Transpose", "Identity"):
            node = writers.get(node.input[0])
        return node is not None and node.op_type == "Pad"

    for at, node in reversed(list(enumerate(graph.node))):
        if node.op_type == "MaxPool" and padded(node.input[0]):
            zeros, kept = node.input[0], f"{node.output[0]}_zeros_kept"
            graph.node.insert(at, onnx.helper.make_node("Max", [zeros, zeros], [kept]))
            node.input[0] = kept


def _without_calls(frozen: Any, freeze: Callable[[], Any]) -> Any:
    """The function, frozen anew where it calls others: Keras has XLA compile grouped convolutions.

    Converters do not follow such calls.
    """
    import tensorflow as tf

    if all("PartitionedCall" not in node.type for node in frozen.graph.get_operations()):
        return frozen
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)  # what is called while tracing is traced in place
    try:
        return freeze()
    finally:
        tf.config.run_functions_eagerly(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the converters' notes on what they do."""
    loggers = [logging.getLogger(name) for name in ("absl", "tf2onnx", "root")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _litert(converted: Converted, precision: str, chunk: int, threads: int | None) -> Pass:
    from ai_edge_litert.interpreter import Interpreter

    content = converted.litert if precision == "fp32" else converted.litert_int8
    interpreter = Interpreter(model_content=content, num_threads=threads or processors())
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, (chunk, *converted.shape))
    interpreter.allocate_tensors()
    outputs = [output["index"] for output in interpreter.get_output_details()]

    def run(images):
        interpreter.set_tensor(place, images)
        interpreter.invoke()
        return [interpreter.get_tensor(output) for output in outputs]

    return run


def _onnxruntime(converted: Converted, precision: str, chunk: int, threads: int | None) -> Pass:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or processors()
    options.log_severity_level = 3  # errors
    content = converted.onnx if precision == "fp32" else converted.onnx_int8
    session: Any = onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})


def _openvino(converted: Converted, precision: str, chunk: int, threads: int | None) -> Pass:
    import openvino

    core = openvino.Core()
    network = core.read_model(converted.onnx if precision == "fp32" else converted.onnx_int8)
    network.reshape([chunk, *converted.shape])
    # It would compute in bfloat16 where the processor can.
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads or processors()}
    compiled = core.compile_model(network, "CPU", options)
    return lambda images: list(compiled([images]).values())


def _tensorflow(converted: Converted, *_) -> Pass:
    import tensorflow as tf

    forward = converted.frozen
    return lambda images: [output.numpy() for output in forward(tf.constant(images))]


def _jax(converted: Converted, *_) -> Pass:
    forward = compiled(converted.network)
    return lambda images: [np.asarray(output) for output in forward(images)]


def planned_arena(network: bytes) -> int:
    """Bytes of the block in which LiteRT's interpreter lays out a network's activations.

    Args:
        network: a LiteRT file's content, with all sides known.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # The reference kernels need no memory beside the tensors, as those of a delegate do.
    kernels = OpResolverType.BUILTIN_REF
    interpreter = Interpreter(model_content=network, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    written = {int(tensor) for step in interpreter._get_ops_details() for tensor in step["outputs"]}
    written |= {tensor["index"] for tensor in interpreter.get_input_details()}
    arrays = [interpreter.tensor(tensor)() for tensor in written]
    places = [(array.__array_interface__["data"][0], array.nbytes) for array in arrays]
    return max(at + size for at, size in places) - min(at for at, _ in places)


PASSES: dict[str, Callable[..., Pass]] = {
    "litert": _litert,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "tensorflow": _tensorflow,
    "jax": _jax,
}


def compiled(model: "keras.Model") -> Callable[[Any], list]:
    """The model as it is, compiled by its backend once: the plain way to call it fast.

    Returns:
        A function of a batch, an array or a tensor of the backend, that waits for the outputs and
        returns them as a list of arrays. It reads the weights in each call. On JAX it is compiled
        anew for a batch of another size.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        images = tf.TensorSpec((None, *model.input_shape[1:]), model.inputs[0].dtype)
        # Of a lambda TensorFlow would count one function for all models, and warn of its retracing.
        function = functools.partial(model, training=False)
        forward = tf.function(function, input_signature=[images])
        return lambda images: [o.numpy() for o in keras.tree.flatten(forward(images))]
    if backend == "jax":
        import jax

        forward = jax.jit(lambda *arguments: model.stateless_call(*arguments, training=False)[0])
        groups = model.trainable_variables, model.non_trainable_variables

        def call(images):
            weights = ([variable.value for variable in group] for group in groups)
            return jax.block_until_ready(keras.tree.flatten(forward(*weights, images)))

        return call
    return lambda images: keras.tree.flatten(model.predict_on_batch(images))


def processors() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
