"""Batches: every epoch in its own order, which follows from (seed, epoch) alone."""

from itertools import islice

import keras
import numpy as np
import pytest

from applications.data.augmentation import Augmentation, Mixing
from applications.data.batches import TrainingBatches, balanced_weights, smoothed_targets
from applications.data.preprocessing import channel_statistics


class Images:
    """Ten images of one value each, the row's number."""

    labels = np.arange(10)

    def __len__(self):
        return 10

    def batch(self, rows):
        return np.broadcast_to(
            np.asarray(rows, np.uint8)[:, None, None, None], (len(rows), 8, 8, 1)
        )


def epoch_by_epoch(batches):
    """All batches of ten epochs, as Keras asks for them."""
    for epoch in range(batches._epoch, 10):
        batches.begin(epoch)
        yield from [batches[index] for index in range(len(batches))]


def epochs(count, **options):
    """Rows of the first epochs, three full batches of three each."""
    batches = epoch_by_epoch(TrainingBatches(Images(), batch_size=3, **{"seed": 0, **options}))
    return [[int(i) for _, y in islice(batches, 3) for i in y] for _ in range(count)]


def test_a_batch_that_is_asked_for_twice_is_the_same():
    batches = TrainingBatches(Images(), batch_size=3, seed=0, done=1)
    assert len(batches) == 2
    first = batches[0]
    for array, again in zip(first, batches[0], strict=True):
        np.testing.assert_array_equal(array, again)
    batches.begin(0)
    assert len(batches) == 2
    batches.begin(1)
    assert len(batches) == 3


def test_keras_trains_on_every_batch_once(monkeypatch):
    """It looks at some before, which an iterator would not have any more."""
    seen = []
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(10))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    batches = TrainingBatches(Images(), batch_size=3, seed=0)
    note = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: batches.begin(epoch),
        on_train_batch_end=lambda batch, logs: seen.append(batch),
    )
    whole = model.get_weights()
    model.fit(batches, epochs=2, shuffle=False, verbose=0, callbacks=[note])
    assert seen == [0, 1, 2] * 2
    ours = model.get_weights()
    model.set_weights(whole)
    for x, y in islice(epoch_by_epoch(TrainingBatches(Images(), batch_size=3, seed=0)), 6):
        model.train_on_batch(x, y)
    for first, second in zip(ours, model.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


def test_an_epoch_has_its_own_order_of_distinct_images_in_full_batches():
    first, second = epochs(2)
    assert first != second
    assert len(set(first)) == len(set(second)) == 9


def test_an_epoch_follows_from_seed_and_epoch_alone():
    assert epochs(3)[2:] == epochs(1, epoch=2)
    assert epochs(1) != epochs(1, seed=1)


def test_what_is_random_in_a_step_follows_from_seed_epoch_and_step_alone():
    everything = Augmentation(
        area=(0.3, 1),
        scale=(1, 1.5),
        affine={"translation": 0.1, "scale": 0.1, "squeeze": 0.1, "shear": 0.1},
        shift=0.25,
        mirror=True,
        colour_jitter={"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "offset": 0.1},
        lighting=np.ones((1, 1)),
        rand_augment=0.3,
        random_erasing=0.5,
    )
    options = {"batch_size": 5, "seed": 7, "augmentation": everything}
    options |= {"mixing": Mixing(0.4, 1.0), "targets": np.eye(10, dtype=np.float32)}
    whole, resumed, within = (
        list(islice(epoch_by_epoch(TrainingBatches(Images(), **start, **options)), count))
        for start, count in (({}, 6), ({"epoch": 2}, 2), ({"epoch": 1, "done": 1}, 3))
    )
    for (x, y), (again, labels) in zip(whole[4:] + whole[3:], resumed + within, strict=True):
        np.testing.assert_array_equal(x, again)
        np.testing.assert_array_equal(y, labels)
    assert all((whole[0][0] != x).any() for x, _ in whole[1:])


def test_images_keep_their_labels_and_get_their_class_weights():
    weights = np.arange(10, dtype=np.float32) / 10
    x, y, w = TrainingBatches(Images(), batch_size=4, seed=0, class_weights=weights)[0]
    np.testing.assert_array_equal(x[:, 0, 0, 0], y)
    np.testing.assert_array_equal(w, weights[y])


def test_a_mixed_image_has_the_mixture_of_its_targets_and_of_its_class_weights():
    targets, weights = smoothed_targets(10, 0.1), np.arange(10, dtype=np.float32)
    x, y, w = TrainingBatches(
        Images(),
        **{"batch_size": 8, "seed": 3, "mixing": Mixing(mixup=1.0)},
        **{"targets": targets, "class_weights": weights},
    )[0]
    shares = (y - 0.01) / 0.9  # before they were smoothed
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    assert ((shares > 1e-3).sum(axis=1) <= 2).all() and (shares.max(axis=1) < 0.99).any()
    np.testing.assert_allclose(w, shares @ weights, rtol=1e-4)
    # A pixel is its row's number, and so the mean of the rows' numbers, rounded.
    np.testing.assert_allclose(x[:, 0, 0, 0], w, atol=0.51)


def test_a_smoothed_label_spreads_its_share_over_all_classes():
    # q'(k) = (1 - e) [k = y] + e / K with e = 0.1 and K = 4: Szegedy et al. 2015, section 7.
    targets = smoothed_targets(4, 0.1)
    np.testing.assert_allclose(targets[2], [0.025, 0.025, 0.925, 0.025], rtol=1e-6)
    x, y, w = TrainingBatches(
        Images(),
        **{"batch_size": 4, "seed": 0},
        targets=np.eye(10, dtype=np.float32),
        class_weights=np.arange(10, dtype=np.float32),
    )[0]
    np.testing.assert_array_equal(y.argmax(axis=1), x[:, 0, 0, 0])
    np.testing.assert_array_equal(w, x[:, 0, 0, 0])


def test_statistics_are_those_of_all_training_pixels():
    mean, std = channel_statistics(Images())
    pixels = np.arange(10)
    assert mean == pytest.approx([pixels.mean()])
    assert std == pytest.approx([pixels.std()])


def test_a_channel_without_contrast_is_not_blown_up():
    class Grey(Images):
        def batch(self, rows):
            return np.full((len(rows), 4, 4, 1), 9, np.uint8)

    assert channel_statistics(Grey())[1] == pytest.approx([1])


def test_balanced_weights_give_each_class_that_occurs_the_same_sum():
    labels = np.array([0] * 6 + [1] * 3 + [3] * 3)
    weights = balanced_weights(labels, 4)
    sums = np.bincount(labels, weights[labels], minlength=4)
    assert sums == pytest.approx([4, 4, 0, 4])
