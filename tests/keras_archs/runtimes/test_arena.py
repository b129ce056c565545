"""What LiteRT's interpreter plans for a network in int8 is what we count."""

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.runtimes import Converted, planned_arena

pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert")
pytestmark = pytest.mark.slow

ROWS = [
    *("8 3/1/1 bn relu", "8 3/1/1 bn relu", "8 3/1/1 bn add2 relu max+avg2/2/0"),
    *("12 3/1/1 bn relu", "12 3/1/1 bn add1 relu", "6 3/1/1 bn relu cat1"),
    *("12 3/1/1 bn relu max|avg2/2/0 drop0.2", "16 3/2/1 bn relu", "gmp drop0.2 dense"),
]
NETWORKS = {
    "lenet5": {"input_shape": (28, 28, 1)},  # an activation that is not joined
    "mobilenet": {"input_shape": (64, 64, 3), "alpha": 0.25},  # padding that is
    "simpnet": {"rows": ROWS},  # sums, maps and poolings side by side, padding that is not joined
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_arena_and_the_weights_are_as_counted(name):
    keras.utils.set_random_seed(0)
    model = keras_archs.build(name, **NETWORKS[name])
    images = np.random.default_rng(0).uniform(size=(4, *model.input_shape[1:])).astype("float32")
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)  # statistics of images
    file = Converted(model, images).litert_file("int8", 1, pixels="int8", answers="int8")
    found = keras_archs.deployment(model)
    assert found.peak_activation_bytes == pytest.approx(planned_arena(file), rel=0.1)
    assert found.weight_bytes < 1.02 * len(file)
