"""What is fitted to training images, and the layers that apply it, against NumPy's own words."""

import keras
import numpy as np
import pytest

from applications.data.preprocessing import colour_components, contrast_normalised, whitening
from applications.data.sources import open_source
from applications.training.building import preprocessed

SIDE = 6


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Smooth random images, 6 x 6 in colour; one without any contrast."""
    random = np.random.default_rng(0)
    rough = random.integers(0, 256, (300, 3, 3, 3), np.uint8)
    images = rough.repeat(2, axis=1).repeat(2, axis=2) // 2
    images += random.integers(0, 60, images.shape, np.uint8)
    images[7] = 99
    path = tmp_path_factory.mktemp("data") / "images.npz"
    labels = np.arange(300) % 3
    arrays = {
        f"x_{s}": images[rows] for s, rows in (("train", slice(200)), ("test", slice(200, 300)))
    }
    arrays |= {"y_train": labels[:200], "y_test": labels[200:]}
    arrays |= {"x_val": images[200:], "y_val": labels[200:]}
    np.savez(path, **arrays)
    return open_source(path).at(SIDE)


def images_of(subset):
    return subset.batch(np.arange(len(subset)))


def goodfellow(images):
    """Global contrast normalisation to a norm of 55, image by image."""
    rows = []
    for image in images.reshape(len(images), -1).astype(np.float64):
        centred = image - image.mean()
        norm = np.sqrt((centred**2).sum())
        rows.append(55 * centred / norm if norm else centred)
    return np.array(rows)


def whitened(images, train):
    x = goodfellow(train)
    mean = x.mean(axis=0)
    covariance = (x - mean).T @ (x - mean) / len(x) + 0.1 * np.eye(x.shape[1])
    values, vectors = np.linalg.eigh(covariance)
    return (goodfellow(images) - mean) @ (vectors @ np.diag(values**-0.5) @ vectors.T)


EXPECTED = {
    "channel": lambda x, train: (x - train.mean(axis=(0, 1, 2))) / train.std(axis=(0, 1, 2)),
    "mean_image": lambda x, train: x - train.mean(axis=0),
    "pixel": lambda x, train: (x - train.mean(axis=0)) / train.std(axis=0),
    "gcn": lambda x, train: goodfellow(x),
    "gcn_zca": whitened,
}


@pytest.mark.parametrize("kind", EXPECTED)
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_the_layers_compute_what_numpy_does(kind, precision, dataset, tmp_path):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        given = keras.Input(dataset.image_shape, dtype="uint8")
        model = keras.Model(given, preprocessed(given, kind, dataset))
    finally:
        keras.config.set_dtype_policy(before)
    assert not model.trainable_weights and model.output.dtype == "float32"
    test, train = images_of(dataset.test), images_of(dataset.train)
    expected = EXPECTED[kind](test.astype(np.float64), train.astype(np.float64))
    expected = expected.reshape(test.shape)
    scale = np.abs(expected).max()
    model.save(tmp_path / "model.keras")
    for each in (model, keras.models.load_model(tmp_path / "model.keras")):
        found = each.predict(test, verbose=0)
        np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=1e-5)


def test_an_image_without_contrast_becomes_0():
    even = np.full((1, 4, 4, 3), 99, np.uint8)
    np.testing.assert_array_equal(contrast_normalised(even), np.zeros((1, 48)))


def test_whitened_images_are_uncorrelated_but_for_the_bias(dataset):
    x = contrast_normalised(images_of(dataset.train))
    matrix, offset = whitening(dataset.train)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5)
    found = x @ matrix + offset
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    # A component of variance v is left with v / (v + 0.1).
    values = np.linalg.eigvalsh(np.cov(x.T.astype(np.float64), bias=True))
    left = np.linalg.eigvalsh(np.cov(found.T.astype(np.float64), bias=True))
    np.testing.assert_allclose(np.sort(left), np.sort(values / (values + 0.1)), atol=1e-3)


def test_components_are_eigenvectors_times_their_eigenvalues(dataset):
    pixels = images_of(dataset.train).reshape(-1, 3) / 255
    components = colour_components(dataset.train, 0.1)
    covariance = np.cov(pixels.T, bias=True)
    lengths = np.linalg.norm(components, axis=0) / 255 / 0.1
    np.testing.assert_allclose(lengths, np.linalg.eigvalsh(covariance), rtol=1e-6)
    for vector, value in zip(
        (components / np.linalg.norm(components, axis=0)).T, lengths, strict=True
    ):
        np.testing.assert_allclose(covariance @ vector, value * vector, atol=1e-9)
