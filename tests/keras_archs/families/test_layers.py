"""The one layer that is not Keras' own: local response normalisation."""

import keras
import numpy as np
import pytest

from keras_archs.families.blocks import ceil_max_pool
from keras_archs.normalization import LocalResponseNormalization


def by_the_equation(a, size, alpha, beta, k):
    """Krizhevsky et al. 2012, section 3.3, one channel after the other, in float64."""
    a = a.astype("float64")
    channels, reach = a.shape[-1], size // 2
    b = np.empty_like(a)
    for i in range(channels):
        neighbours = a[..., max(0, i - reach) : min(channels - 1, i + reach) + 1]
        b[..., i] = a[..., i] / (k + alpha * (neighbours**2).sum(axis=-1)) ** beta
    return b


@pytest.mark.parametrize("channels", [1, 3, 7, 16])
@pytest.mark.parametrize("size, alpha, beta, k", [(5, 1e-4, 0.75, 2.0), (3, 0.5, 0.5, 1.0)])
def test_it_computes_the_papers_equation(channels, size, alpha, beta, k):
    a = np.random.default_rng(0).normal(scale=30, size=(2, 4, 3, channels)).astype("float32")
    layer = LocalResponseNormalization(size, alpha, beta, k)
    found = keras.ops.convert_to_numpy(layer(a))
    np.testing.assert_allclose(found, by_the_equation(a, size, alpha, beta, k), rtol=1e-5)


def test_large_values_do_not_overflow_in_half_precision():
    a = np.full((1, 2, 2, 8), 1000.0, "float16")  # its square is no float16
    found = LocalResponseNormalization(dtype="mixed_float16")(a)
    assert keras.backend.standardize_dtype(found.dtype) == "float16"
    wanted = by_the_equation(a, 5, 1e-4, 0.75, 2.0)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), wanted, rtol=2e-3)


def test_a_saved_model_brings_its_constants(tmp_path):
    inputs = keras.Input((None, None, 6))
    layer = LocalResponseNormalization(3, alpha=0.1, beta=0.6, k=1.5, name="lrn")
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, None, 6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert loaded.get_layer("lrn").get_config() == layer.get_config()
    images = np.random.default_rng(0).normal(size=(1, 5, 4, 6)).astype("float32")
    np.testing.assert_array_equal(np.asarray(loaded(images)), np.asarray(model(images)))


@pytest.mark.parametrize("size", [4, 0, 2.5])
def test_its_size_has_a_middle(size):
    with pytest.raises(ValueError, match=f"`size` must be an odd integer >= 1. Received: .*{size}"):
        LocalResponseNormalization(size)


@pytest.mark.parametrize("kernel, stride", [(3, 2), (2, 2), (3, 3)])
def test_pooling_that_rounds_up_sees_every_pixel_and_no_zeros(kernel, stride):
    """Against Caffe's rule: ceil((n - k) / s) + 1 windows, the last one cut at the border."""
    for side in range(kernel, kernel + 9):
        image = np.random.default_rng(side).uniform(0.1, 1, (1, side, side, 2)).astype("float32")
        windows = -(-(side - kernel) // stride) + 1
        inputs = keras.Input((None, None, 2))
        pooled = keras.Model(inputs, ceil_max_pool(inputs, kernel, stride, "pool"))(image)
        starts = [at * stride for at in range(windows)]
        wanted = [
            [image[0, y : y + kernel, x : x + kernel].max(axis=(0, 1)) for x in starts]
            for y in starts
        ]
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(pooled)[0], np.array(wanted))
