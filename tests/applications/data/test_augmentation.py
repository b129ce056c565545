"""Images changed at random: bounds, distributions, and the papers' formulas on a few numbers."""

import keras
import numpy as np
import pytest

from applications.data.augmentation import (
    Augmentation,
    Mixing,
    cut,
    distorted,
    erased,
    jittered,
    lit,
    moved,
    rand_augmented,
    resized,
    windows_of_area,
    windows_of_scale,
)

STILL = {"translation": 0.0, "scale": 0.0, "squeeze": 0.0, "shear": 0.0}
GREY = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "offset": 0.0}


def random(seed=0):
    return np.random.default_rng(seed)


def noise(count, height=8, width=8, channels=3):
    return random(1).integers(0, 256, (count, height, width, channels), np.uint8)


class Drawn:
    """A generator that draws what it is told: the same share of every range."""

    def __init__(self, share):
        self.share = share

    def uniform(self, low, high, size):
        return np.full(size, low + (high - low) * self.share)

    def permuted(self, values, axis):
        return values

    def standard_normal(self, size):
        return np.full(size, self.share)


def test_without_augmentation_images_are_untouched():
    images = noise(2)
    assert Augmentation()(images, random()) is images


def test_shifts_are_bounded_and_repeat_the_border():
    ramp = np.tile(np.arange(8, dtype=np.uint8), (200, 8, 1))[..., None]
    shifted = moved(ramp, random(), shift=0.25, mirror=False)
    by = shifted[:, 0, 4, 0].astype(int) - 4
    assert set(by) == {-2, -1, 0, 1, 2}
    for image, shift in zip(shifted, by, strict=True):
        np.testing.assert_array_equal(image[3, :, 0], (np.arange(8) + shift).clip(0, 7))


def test_about_half_of_the_images_are_mirrored_left_to_right():
    images = noise(200, 4, 6)
    out = moved(images, random(), shift=0, mirror=True)
    same = (out == images).all(axis=(1, 2, 3))
    mirrored = (out == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all() and 70 < mirrored.sum() < 130


# ------------------------------------------------------------------------------ windows and shapes


def test_windows_have_8_to_100_percent_of_the_area_and_proportions_of_3_4_to_4_3():
    """Szegedy et al. 2014, section 6."""
    left, top, right, bottom = windows_of_area((5000, 100, 100, 3), random(), (0.08, 1.0)).T
    assert min(left.min(), top.min()) >= 0 and max(right.max(), bottom.max()) <= 100
    wide, high = right - left, bottom - top
    area = wide * high / 100**2
    assert 0.075 < area.min() < 0.1 and 0.95 < area.max() <= 1
    proportions = wide / high
    assert proportions.min() > 0.73 and proportions.max() < 1.37
    assert np.mean(area < 0.5) > 0.4  # large windows of other proportions do not fit
    assert left.min() == 0 and right.max() == 100  # every place is reached


def test_a_window_that_never_fits_is_the_whole_image():
    found = windows_of_area((50, 4, 40, 1), random(), (0.9, 1.0))
    np.testing.assert_array_equal(found, np.tile([0, 0, 40, 4], (50, 1)))


def test_windows_of_scale_are_as_large_as_the_image_before_it_was_enlarged():
    """ResNet: the shorter side becomes 256 to 480, then 224 x 224 are cut out."""
    found = windows_of_scale((2000, 224, 224, 3), random(), (256 / 224, 480 / 224))
    left, top, right, bottom = found.T
    side = right - left
    np.testing.assert_allclose(bottom - top, side)
    scaled = 224 * 224 / side  # the enlarged image's side
    assert 256 <= scaled.min() < 257 and 479 < scaled.max() <= 480 + 1e-9
    assert scaled.mean() == pytest.approx((256 + 480) / 2, rel=0.02)
    assert min(left.min(), top.min()) >= 0 and max(right.max(), bottom.max()) <= 224 + 1e-9


@pytest.mark.parametrize("channels", [1, 3])
def test_a_window_is_enlarged_to_the_image(channels):
    images = np.zeros((2, 8, 8, channels), np.uint8)
    images[:, 2:6, 4:8] = 200
    whole, part = cut(images, np.array([[0, 0, 8, 8], [4, 2, 8, 6]], float))
    np.testing.assert_array_equal(whole, images[0])
    # Pillow reads the border's neighbours outside the window no more than half a pixel away.
    assert (part[1:-1, 1:] == 200).all() and part.min() > 100


def test_nothing_is_distorted_by_nothing():
    images = noise(4)
    np.testing.assert_array_equal(distorted(images, random(), **STILL), images)


@pytest.mark.parametrize(("share", "by"), [(1, 2), (0, -2)])
def test_a_translation_moves_every_pixel_and_zeros_follow(share, by):
    images = noise(1, 8, 8, 1)
    found = distorted(images, Drawn(share), **{**STILL, "translation": 0.25})[0, ..., 0]
    expected = np.zeros((8, 8), np.uint8)
    there = slice(2, 8) if by > 0 else slice(0, 6)
    here = slice(0, 6) if by > 0 else slice(2, 8)
    expected[there, there] = images[0, here, here, 0]
    np.testing.assert_array_equal(found, expected)


def extent(image):
    rows, columns = np.nonzero(image > 127)
    return np.ptp(rows) + 1, np.ptp(columns) + 1


@pytest.mark.parametrize(
    ("amount", "height", "width"),
    [
        ({"scale": 0.5}, 24, 24),  # 1.5 times as large
        ({"squeeze": 0.5}, 16 / 1.5, 24),  # compressed one way, elongated the other
        ({"shear": 0.5}, 16, 24),  # rows move by half their height above the middle
    ],
)
def test_a_square_is_scaled_squeezed_and_slanted(amount, height, width):
    images = np.zeros((1, 32, 32, 1), np.uint8)
    images[:, 8:24, 8:24] = 255
    found = distorted(images, Drawn(1), **{**STILL, **amount})[0, ..., 0]
    assert extent(found) == pytest.approx((height, width), abs=1.01)
    centre = [axis.mean() for axis in np.nonzero(found > 127)]
    assert centre == pytest.approx([15.5, 15.5], abs=0.51)


def test_distortions_differ_from_image_to_image():
    images = np.tile(noise(1), (20, 1, 1, 1))
    found = distorted(images, random(), **{**STILL, "translation": 0.3})
    assert len(np.unique(found.reshape(20, -1), axis=0)) == 20


# ------------------------------------------------------------------------------------------ colours

PIXELS = np.array([[[[200, 100, 0], [0, 40, 80]]]], np.uint8)  # two pixels
LUMA = np.array([118.5, 32.6])  # 0.299 r + 0.587 g + 0.114 b: 59.8 + 58.7, 23.48 + 9.12


@pytest.mark.parametrize(
    ("amount", "other"),
    [
        ("brightness", np.zeros((2, 1))),
        ("contrast", np.full((2, 1), LUMA.mean())),
        ("saturation", LUMA[:, None]),
    ],
)
@pytest.mark.parametrize(("share", "factor"), [(0, 0.5), (1, 1.5)])
def test_colours_are_blended_with_black_mean_and_luminance(amount, other, share, factor):
    """Howard 2013, section 2: factors between 0.5 and 1.5, 1 leaves the image as it is."""
    found = jittered(PIXELS, Drawn(share), **{**GREY, amount: 0.5})
    expected = factor * PIXELS[0, 0] + (1 - factor) * other
    np.testing.assert_array_equal(found[0, 0], np.rint(expected).clip(0, 255))


def test_an_offset_is_added_to_all_pixels():
    found = jittered(PIXELS, Drawn(1), **{**GREY, "offset": 32 / 255})
    np.testing.assert_array_equal(found[0, 0], [[232, 132, 32], [32, 72, 112]])


def test_colours_change_in_an_order_of_each_images_own():
    images = np.tile(noise(1), (200, 1, 1, 1))

    class OneFactor(Drawn):
        """Every factor is the largest; orders are random."""

        def permuted(self, values, axis):
            return random().permuted(values, axis=axis)

    found = jittered(images, OneFactor(1), **{**GREY, "offset": 0.1, "brightness": 0.2})
    # 1.2 (x + 25.5) and 1.2 x + 25.5.
    assert len(np.unique(found.reshape(200, -1), axis=0)) == 2


def test_greyscale_images_have_no_saturation_but_brightness_and_contrast():
    images = noise(3, channels=1)
    np.testing.assert_array_equal(jittered(images, random(), **{**GREY, "saturation": 0.5}), images)
    assert (jittered(images, random(), **{**GREY, "contrast": 0.5}) != images).any()


def test_light_shifts_all_pixels_along_the_components():
    """Krizhevsky et al. 2012, section 4.1: [p1 p2 p3] [a1 l1, a2 l2, a3 l3]'."""
    components = np.array([[4.0, 0, 0], [0, 2, 1], [0, 0, 3]])
    found = lit(PIXELS, Drawn(2.0), components)
    np.testing.assert_array_equal(found[0, 0].astype(int), [[208, 106, 6], [8, 46, 86]])


# -------------------------------------------------------------------------------- layers of Keras


def test_images_are_resized_before_all_else():
    images = noise(3, 8, 12)
    small = Augmentation(size=(4, 6))(images, random())
    np.testing.assert_array_equal(small, resized(images, (4, 6)))
    assert small.shape == (3, 4, 6, 3)
    assert Augmentation(size=(8, 12))(images, random()) is images


@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_of_randaugment_takes_grey_and_colour(channels):
    images = noise(4, 9, 7, channels)
    assert len(keras.layers.RandAugment._AUGMENT_LAYERS) == 11
    for seed in range(40):
        found = rand_augmented(images, random(seed), 0.3)
        assert found.shape == images.shape and found.dtype == np.uint8
        np.testing.assert_array_equal(found, rand_augmented(images, random(seed), 0.3))


def test_the_strength_of_randaugment_bounds_what_it_does(monkeypatch):
    only = ["random_translation"]
    monkeypatch.setattr(keras.layers.RandAugment, "_AUGMENT_LAYERS", only)
    images = np.zeros((20, 40, 40, 1), np.uint8)
    images[:, 20, 20] = 255
    moved_ = rand_augmented(images, random(), 0.1)  # twice at most 4 pixels to each side
    rows, columns = np.nonzero(moved_.max(axis=(0, 3)))
    assert abs(rows - 20).max() <= 9 and abs(columns - 20).max() <= 9
    assert len(set(rows)) > 3


def test_some_images_lose_a_rectangle_to_noise():
    images = np.full((400, 20, 30, 3), 77, np.uint8)
    changed = (erased(images, random(), 0.25) != 77).all(axis=3)
    areas = changed.mean(axis=(1, 2))
    assert np.mean(areas > 0) == pytest.approx(0.25, abs=0.07)
    assert areas.max() < 0.36 and 0.02 < areas[areas > 0].mean() < 0.33
    for image in changed[areas > 0]:
        rows, columns = np.nonzero(image)
        assert np.mean(image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]) > 0.9
    assert (erased(images, random(), 1.0) != images).any(axis=(1, 2, 3)).all()


def test_mixup_adds_shares_of_two_images_and_of_their_labels():
    images = np.array([0, 50, 100, 200], np.uint8)[:, None, None, None] * np.ones(
        (4, 2, 2, 1), np.uint8
    )
    mixed, shares = Mixing(mixup=1.0)(images, np.eye(4, dtype=np.float32), random())
    np.testing.assert_allclose(mixed[:, 0, 0, 0], shares @ [0, 50, 100, 200], atol=0.51)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)


def test_cutmix_pastes_a_rectangle_and_shares_are_areas():
    values = np.array([10, 60, 110, 210], np.uint8)
    images = values[:, None, None, None] * np.ones((4, 64, 64, 1), np.uint8)
    mixed, shares = Mixing(cutmix=1.0)(images, np.eye(4, dtype=np.float32), random(5))
    assert set(np.unique(mixed)) <= set(values)
    areas = np.stack([(mixed == value).mean(axis=(1, 2, 3)) for value in values], axis=1)
    np.testing.assert_allclose(areas, shares, atol=0.05)  # borders within a pixel
    assert (shares.max(axis=1) < 0.99).any()


def test_with_both_each_batch_is_mixed_in_one_of_them():
    values = np.array([10, 60, 110, 210], np.uint8)
    images = values[:, None, None, None] * np.ones((4, 8, 8, 1), np.uint8)
    kinds = [
        set(np.unique(Mixing(1.0, 1.0)(images, np.eye(4, dtype=np.float32), random(seed))[0]))
        <= set(values)
        for seed in range(40)
    ]
    assert 8 < sum(kinds) < 32
