"""What Keras' exporters make of a trained run takes images alone and answers as the run does."""

import keras
import numpy as np
import pytest

import keras_archs
from applications import train
from applications.data import open_source

if keras.backend.backend() != "tensorflow":
    pytest.skip("Keras exports these formats from TensorFlow", allow_module_level=True)


def onnx(file, images):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return session.run(None, {given.name: images})[0]


def openvino(file, images):
    library = pytest.importorskip("openvino")
    model = library.compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    (_,) = model.inputs
    return model(images)[0]


def litert(file, images):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(file))
    (given,) = interpreter.get_input_details()
    (answer,) = interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(answer["index"])


def tf_saved_model(file, images):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(file))
    return loaded.serve(images).numpy()


FORMATS = [(onnx, ".onnx"), (openvino, ".xml"), (litert, ".tflite"), (tf_saved_model, "")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "suffix", "precision"),
    [
        *((*each, "float32") for each in FORMATS),
        (tf_saved_model, "", "mixed_bfloat16"),  # the others have no convolution in bfloat16
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_an_exported_run_takes_images_alone(answers, suffix, precision, digits, tmp_path):
    options = {"epochs": 1, "size": 16, "precision": precision, "verbose": 0}
    run = train("lenet5", data=digits, run_dir=tmp_path / "run", **options)
    file = tmp_path / f"network{suffix}"
    run.model.export(str(file), format=answers.__name__, verbose=False)
    images = open_source(digits).at(16).test.batch(range(8))
    assert images.dtype == np.uint8
    tolerance = 1e-4 if precision == "float32" else 0.05
    np.testing.assert_allclose(answers(file, images), run.predict(images), atol=tolerance)


@pytest.mark.slow
def test_a_network_is_exported_as_soon_as_it_is_built(tmp_path):
    network = keras_archs.MobileNet((32, 32, 3), classes=4, alpha=0.25, stem="small")
    file = tmp_path / "network.onnx"
    network.export(str(file), format="onnx", verbose=False)
    images = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    np.testing.assert_allclose(onnx(file, images), network(images), atol=1e-5)
