"""Scales, crops, dense evaluation, mirror images: which pixels are seen, what is averaged."""

import keras
import numpy as np
import pytest

from applications.evaluation import protocols
from applications.evaluation.evaluating import score
from applications.evaluation.networks import dense_network
from applications.evaluation.protocols import Views, corners, images_a_step, steps


class Memory:
    """A subset of images in memory, which keeps how many were asked for at a time."""

    def __init__(self, images):
        self.images, self.asked = images, []

    def __len__(self):
        return len(self.images)

    def batch(self, rows):
        self.asked.append(len(rows))
        return self.images[rows]


# ------------------------------------------------------------------------------ places and views


def test_ten_crops_are_the_corners_and_the_centre_and_their_mirror_images():
    places = corners((4, 6), (2, 3), "ten")
    assert places == [(0, 0), (0, 3), (2, 0), (2, 3), (1, 1)]
    image = np.arange(24).reshape(1, 4, 6, 1)
    found = Views((2, 3), places, mirrored=True).of(image)[..., 0]
    assert found.shape == (10, 2, 3)
    assert found[3].tolist() == [[15, 16, 17], [21, 22, 23]]  # below, on the right
    assert found[4].tolist() == [[7, 8, 9], [13, 14, 15]]
    assert found[8].tolist() == [[17, 16, 15], [23, 22, 21]]


@pytest.mark.parametrize(("crops", "edges"), [("grid", [0, 1, 2, 3, 4]), (3, [0, 2, 4])])
def test_a_grid_goes_from_edge_to_edge(crops, edges):
    assert corners((12, 12), (8, 8), crops) == [(y, x) for y in edges for x in edges]


def test_the_views_of_an_image_follow_each_other():
    images = np.array([1, 2]).reshape(2, 1, 1, 1) * np.ones((2, 3, 3, 1), int)
    views = Views((2, 2), corners((3, 3), (2, 2), "ten"), mirrored=True)
    assert views.of(images)[:, 0, 0, 0].tolist() == [1] * 10 + [2] * 10


# ---------------------------------------------------------------------------------------- passes


def test_without_a_scale_it_is_8_by_7_of_the_networks():
    (step,) = steps((224, 224), crops="grid")
    assert (step.scale, step.size, step.views.count) == (256, (256, 256), 50)


def test_the_smaller_side_has_the_scale_and_proportions_stay():
    (step,) = steps((16, 24), scales=[20])
    assert (step.method, step.size, step.views.corners) == ("center crop", (20, 30), [(2, 3)])


def test_dense_and_crops_are_two_methods_at_every_scale():
    found = steps((8, 8), scales=[8, 10], crops="ten", dense=True, mirrored=True)
    assert [(step.method, step.scale, step.views.count) for step in found] == [
        *(("10 crops", 8, 10), ("10 crops", 10, 10)),
        *(("dense", 8, 2), ("dense", 10, 2)),
    ]
    assert found[-1].views.size == (10, 10)


def test_a_scale_below_the_networks_is_an_error_that_names_the_least():
    with pytest.raises(ValueError, match="at least the network's 32 pixels. Received: 28"):
        steps((32, 40), scales=[36, 28])


@pytest.mark.parametrize(
    ("options", "images"),
    [({"crops": "ten"}, 25), ({"dense": True, "scales": [32]}, 64), ({"crops": 32}, 1)],
)
def test_a_batch_has_the_pixels_of_a_plain_one_and_all_views_of_an_image(options, images):
    (step,) = steps((16, 16), **options)
    assert images_a_step(step, (16, 16), 256) == images


def test_rows_are_passes_then_the_mean_of_scales_then_that_of_methods():
    passes = steps((8, 8), scales=[8, 10], crops="center", dense=True)
    found = iter([np.full((1, 2), value, np.float32) for value in (0.1, 0.3, 0.5, 0.9)])
    rows = list(protocols.rows(passes, found))
    assert [(row.method, row.scales, row.views) for row in rows] == [
        *(("center crop", (8,), 1), ("center crop", (10,), 1), ("center crop", (8, 10), 2)),
        *(("dense", (8,), 1), ("dense", (10,), 1), ("dense", (8, 10), 2)),
        ("center crop and dense", (8, 10), 4),
    ]
    expected = [0.1, 0.3, 0.2, 0.5, 0.9, 0.7, 0.45]
    assert [row.probabilities[0, 0] for row in rows] == pytest.approx(expected)


# --------------------------------------------------------------------------------------- networks


@pytest.fixture(scope="module")
def network():
    """Steps of one pixel and no padding: uint8 (B, 4, 4, 1) -> probabilities of 3 classes."""
    keras.utils.set_random_seed(1)
    images = keras.Input((4, 4, 1), dtype="uint8")
    x = keras.layers.Rescaling(1 / 64)(images)
    x = keras.layers.Conv2D(5, 3, activation="relu")(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(images, keras.layers.Dense(3, activation="softmax")(x))


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 1), np.uint8)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_probabilities_of_all_views_are_averaged(network, batch_size):
    views = Views((4, 4), corners((6, 7), (4, 4), "ten"), mirrored=True)
    subset = Memory(IMAGES)
    found = score(network, subset, batch_size, views)
    for image, row in zip(IMAGES, found, strict=True):
        crops = [image[y : y + 4, x : x + 4] for y, x in [(0, 0), (0, 3), (2, 0), (2, 3), (1, 1)]]
        seen = np.stack(crops + [crop[:, ::-1] for crop in crops])
        np.testing.assert_allclose(row, network.predict_on_batch(seen).mean(axis=0), rtol=1e-5)
    assert set(subset.asked) == {batch_size}


def test_dense_evaluation_is_the_mean_over_every_window(network):
    every = Views((4, 4), [(y, x) for y in range(3) for x in range(4)], mirrored=False)
    dense = score(dense_network(network, (6, 7)), Memory(IMAGES), 5)
    np.testing.assert_allclose(dense, score(network, Memory(IMAGES), 5, every), rtol=1e-5)


def test_a_mean_image_is_scaled_with_the_images():
    images = keras.Input((4, 4, 1), dtype="uint8")
    mean = np.full((4, 4, 1), -32.0)
    x = keras.layers.Rescaling(1.0, mean.tolist(), name="rescaling")(images)
    x = keras.layers.Flatten()(x)
    model = keras.Model(images, keras.layers.Dense(2, activation="softmax")(x))
    model.layers[-1].set_weights([np.eye(16, 2) / 100, np.zeros(2)])
    grey = np.full((1, 6, 6, 1), 200, np.uint8)
    found = dense_network(model, (6, 6)).predict_on_batch(grey)
    np.testing.assert_allclose(found, model.predict_on_batch(grey[:, :4, :4]), rtol=1e-5)
    assert model.get_layer("rescaling").offset == mean.tolist()  # the model is as it was


def test_a_network_that_whitens_cannot_be_applied_densely():
    images = keras.Input((4, 4, 1), dtype="uint8")
    x = keras.layers.Dense(16, name="whitening")(keras.layers.Flatten()(images))
    x = keras.layers.Reshape((4, 4, 1), name="whitened")(x)
    x = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten(name="flat")(x))
    with pytest.raises(ValueError, match="`dense` must be asked of another network.*whitened"):
        dense_network(keras.Model(images, x), (6, 6))
