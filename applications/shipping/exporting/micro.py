"""An int8 LiteRT model as C source for TensorFlow Lite Micro, with the memory that it needs."""

import math
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import numpy as np

import keras_archs

SOURCES = "model_data.h", "model_data.c", "classifier.h", "classifier.cc", "main.c"
# Builtin operators that MicroMutableOpResolver can add: `AddConv2D` for CONV_2D, and so on.
_KNOWN = frozenset(
    "ABS ADD ADD_N ARG_MAX ARG_MIN AVERAGE_POOL_2D BATCH_TO_SPACE_ND BROADCAST_TO CAST CEIL "
    "CONCATENATION CONV_2D COS CUMSUM DEPTH_TO_SPACE DEPTHWISE_CONV_2D DEQUANTIZE DIV ELU EQUAL "
    "EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER "
    "GREATER_EQUAL HARD_SWISH L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG "
    "LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MIRROR_PAD MEAN "
    "MINIMUM MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE REDUCE_MAX RELU RELU6 RESHAPE "
    "RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX "
    "SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQUEEZE SQRT SQUARE SQUARED_DIFFERENCE "
    "STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE_CONV TRANSPOSE UNPACK ZEROS_LIKE".split()
)
_ALIGNMENT = 16  # bytes, of each tensor
# Bytes of the library's own records, as its interpreter for Python reports them for LeNet-5, whose
# addresses have 64 bits; on a chip with 32 they are fewer.
_FIXED, _PER_OPERATOR, _PER_TENSOR, _PER_CHANNEL = 1024, 128, 24, 8
_MARGIN = 1.1
_LINE = 16  # bytes a line


class Network(NamedTuple):
    """What is known of a LiteRT model.

    Attributes:
        operators: builtin operators by name, each once, in the order of first use.
        calls: how many operators run.
        tensors: how many there are, weights included.
        channels: with a scale of their own, of all kernels.
        activations: bytes of the greedy plan of all that is computed.
    """

    operators: tuple[str, ...]
    calls: int
    tensors: int
    channels: int
    activations: int

    @property
    def records(self) -> int:
        """Bytes of the library's own records."""
        own = _PER_OPERATOR * self.calls + _PER_TENSOR * self.tensors
        return _FIXED + own + _PER_CHANNEL * self.channels

    @property
    def arena(self) -> int:
        """An estimate of the bytes that TensorFlow Lite Micro needs."""
        return 1024 * math.ceil(_MARGIN * (self.activations + self.records) / 1024)


class Live(NamedTuple):
    """A tensor that is computed: its bytes, and the operators from which to which it is needed."""

    size: int
    first: int
    last: int


def read(content: bytes) -> Network:
    """What a LiteRT model consists of."""
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}
    model: Any = schema.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(at) for at in range(model.OperatorCodesLength())]
    # A code of more than 7 bits stands in the second field alone.
    of_code = [names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] for code in codes]
    operators = [graph.Operators(at) for at in range(graph.OperatorsLength())]
    tensors = [graph.Tensors(at) for at in range(graph.TensorsLength())]
    used: dict[int, list[int]] = {int(at): [-1] for at in graph.InputsAsNumpy()}
    for place, operator in enumerate(operators):
        for at in (*operator.OutputsAsNumpy(), *operator.InputsAsNumpy()):
            used.setdefault(int(at), []).append(place)
    for at in graph.OutputsAsNumpy():
        used[int(at)].append(len(operators))
    live = []
    for at, places in used.items():
        if at >= 0 and not model.Buffers(tensors[at].Buffer()).DataLength():
            live.append(Live(_bytes(tensors[at]), min(places), max(places)))
    kernels = (each for each in tensors if each.Type() == schema.TensorType.INT8)
    scales = [each.Quantization().ScaleLength() for each in kernels if each.Quantization()]
    return Network(
        operators=tuple(dict.fromkeys(of_code[each.OpcodeIndex()] for each in operators)),
        calls=len(operators),
        tensors=len(tensors),
        channels=sum(count for count in scales if count > 1),
        activations=planned(live),
    )


def _bytes(tensor: Any) -> int:
    width = {0: 4, 1: 2, 2: 4, 4: 8, 7: 2, 10: 8}.get(tensor.Type(), 1)  # of float32, float16, ...
    return width * math.prod(map(int, tensor.ShapeAsNumpy()))


def planned(tensors: Iterable[Live]) -> int:
    """Bytes in which tensors fit, laid out greedily.

    The largest first, each at the lowest place that is free as long as it lives: the plan of
    TensorFlow Lite Micro's GreedyMemoryPlanner.
    """
    placed: list[tuple[int, int, Live]] = []
    for tensor in sorted(tensors, key=lambda each: -each.size):
        size = _ALIGNMENT * math.ceil(tensor.size / _ALIGNMENT)
        start = 0
        for begin, end, other in sorted(placed):
            together = other.first <= tensor.last and tensor.first <= other.last
            if together and start + size > begin:
                start = max(start, end)
        placed.append((start, start + size, tensor))
    return max((end for _, end, _ in placed), default=0)


def addition(operator: str) -> str:
    """CONV_2D -> "AddConv2D", the resolver's method."""
    words = "".join(word.capitalize() for word in operator.split("_"))
    return "Add" + words.replace("2d", "2D").replace("Padv2", "PadV2")


def check_known(operators: Iterable[str]) -> None:
    """Raise ValueError unless TensorFlow Lite Micro has the operators."""
    if unknown := [name for name in operators if name not in _KNOWN]:
        raise ValueError(
            "`format` c must have a network of operators that TensorFlow Lite Micro has; "
            f"litert takes all. Received: {', '.join(unknown)}"
        )


def write_c(folder: Path, content: bytes, labels: Sequence[str], example: np.ndarray) -> None:
    """Write the C source of a model.

    Args:
        folder: where the files go.
        content: the LiteRT model, int8 on both sides.
        labels: names of the classes.
        example: an image of the test split, uint8 (H, W, C).

    Raises:
        ValueError: TensorFlow Lite Micro lacks an operator.
    """
    network = read(content)
    check_known(network.operators)
    height, width, channels = example.shape
    scale, zero = _input_of(content)
    values = {
        "fixed": _FIXED,
        "version": keras_archs.__version__,
        **{"height": height, "width": width, "channels_of_image": channels},
        **{"classes": len(labels), "bytes": len(content)},
        "labels": "\n".join(f"    {literal(label)}," for label in labels),
        "data": _rows(content),
        "example": _rows(example.tobytes()),
        "example_class": _class_of(content, example),
        **{"arena": network.arena, "activations": network.activations, "records": network.records},
        **{"operators": network.calls, "tensors": network.tensors, "channels": network.channels},
        **{"per_operator": _PER_OPERATOR, "per_tensor": _PER_TENSOR, "per_channel": _PER_CHANNEL},
        "distinct": len(network.operators),
        "additions": "\n".join(
            f"  if (resolver.{addition(name)}() != kTfLiteOk) return false;"
            for name in network.operators
        ),
        **{"input_scale": f"{scale:g}", "input_zero": zero},
    }
    templates = resources.files("applications.shipping.exporting") / "c"
    for name in SOURCES:
        page = Template((templates / name).read_text(encoding="utf-8")).substitute(values)
        (folder / name).write_text(page, encoding="utf-8")


def literal(text: str) -> str:
    """A text as C writes it: all but plain ASCII in octal, so that nothing follows from it."""
    plain = range(0x20, 0x7F)
    written = "".join(
        chr(byte) if byte in plain and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{written}"'


def _rows(content: bytes) -> str:
    lines = (content[at : at + _LINE] for at in range(0, len(content), _LINE))
    return "\n".join("    " + ", ".join(f"0x{byte:02x}" for byte in line) + "," for line in lines)


def _interpreter(content: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    return interpreter


def _input_of(content: bytes) -> tuple[float, int]:
    """Scale and zero point of the input."""
    scale, zero = _interpreter(content).get_input_details()[0]["quantization"]
    return float(scale), int(zero)


def _class_of(content: bytes, image: np.ndarray) -> int:
    interpreter = _interpreter(content)
    given = (image[None].astype(np.int16) - 128).astype(np.int8)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], given)
    interpreter.invoke()
    return int(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].argmax())
