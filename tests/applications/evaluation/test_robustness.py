"""Corruptions: what each does to a small image, and that seeds and batches do not matter."""

import numpy as np
import pytest

from applications.evaluation.robustness import STRENGTHS, Corrupted


class Memory:
    labels = np.zeros(4, int)

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def batch(self, rows):
        return self.images[rows]


def corrupted(image, kind, strength, seed=0):
    return Corrupted(Memory(image[None]), kind, strength, seed).batch(np.array([0]))[0]


@pytest.mark.parametrize("kind", STRENGTHS)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_keep_their_shape_and_change_with_the_strength(kind, channels):
    rows = np.tile(np.linspace(0, 255, 16).astype(np.uint8)[:, None, None], (1, 16, channels))
    image = np.where(np.indices((16, 16))[1][..., None] % 5 < 2, rows, 255 - rows)
    found = [corrupted(image, kind, strength).astype(int) for strength in range(1, 6)]
    assert {(each.shape, each.min() >= 0, each.max() <= 255) for each in found} == {
        (image.shape, True, True)
    }
    distances = [np.abs(each - image).mean() for each in found]
    assert 0 < distances[0] < distances[-1]


def test_contrast_leaves_a_share_of_the_distance_from_the_mean():
    image = np.array([[0, 100], [100, 200]], np.uint8)[..., None]  # mean 100
    assert corrupted(image, "contrast", 2)[..., 0].tolist() == [[50, 100], [100, 150]]
    assert corrupted(image, "contrast", 5)[..., 0].tolist() == [[85, 100], [100, 115]]


def test_a_blur_grows_with_the_image_from_32_pixels_on():
    def width(side):
        image = np.zeros((side, side, 1), np.uint8)
        image[:, side // 2 :] = 255
        row = corrupted(image, "blur", 5)[side // 2, :, 0]
        return int(((row > 10) & (row < 245)).sum())

    assert width(16) == width(32)
    assert width(128) > 3 * width(32)


def test_noise_has_the_deviation_of_its_strength():
    image = np.full((100, 100, 1), 128, np.uint8)
    assert corrupted(image, "noise", 5).std() == pytest.approx(0.10 * 255, rel=0.02)


@pytest.mark.parametrize("kind", ["blur", "rotation"])
def test_an_even_image_is_not_changed_by_blur_or_rotation(kind):
    image = np.full((8, 8, 3), 77, np.uint8)
    assert (corrupted(image, kind, 5) == image).all()  # nothing black comes in at the edges


@pytest.mark.parametrize("kind", ["noise", "rotation"])
def test_an_image_is_corrupted_alike_in_any_batch_and_otherwise_with_another_seed(kind):
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8)
    subset = Corrupted(Memory(images), kind, 3, seed=7)
    whole = subset.batch(np.arange(4))
    assert (subset.batch(np.array([2, 0])) == whole[[2, 0]]).all()
    others = [Corrupted(Memory(images), kind, 3, seed=s).batch(np.arange(4)) for s in range(8)]
    assert any((other != whole).any() for other in others)
