"""How sure one may be of a figure, and how sure a network is: figures worked out by hand."""

import keras
import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import f1_score

from applications.evaluation.metrics import (
    calibration,
    cross_entropy,
    fit_temperature,
    headline,
    intervals,
    mcnemar,
    softmax,
)
from applications.evaluation.networks import calibrated, logits_network
from applications.evaluation.pictures import save_reliability

# ---------------------------------------------------------------------------------------- figures


def test_the_five_most_probable_of_six_classes_leave_one_out():
    order = [0.3, 0.25, 0.2, 0.15, 0.06, 0.04]
    found = headline(np.array([0, 4, 5, 5]), np.array([order] * 4, np.float32))
    assert found["top5_accuracy"] == 0.5
    assert found["test_accuracy"] == 0.25


def test_of_five_classes_there_is_no_top_5():
    assert "top5_accuracy" not in headline(np.array([0, 1]), np.eye(5, dtype=np.float32)[:2])


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_there_are():
    predicted = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 2, 2]]
    found = headline(np.array([0, 0, 0, 0, 1, 1]), predicted)
    assert found["balanced_accuracy"] == pytest.approx((3 / 4 + 0) / 2)  # no image of class 2


# ------------------------------------------------------------------------------------ calibration


def test_calibration_error_of_four_images():
    probabilities = np.array([[0.9, 0.1], [0.61, 0.39], [0.35, 0.65], [0.7, 0.3]])
    found = calibration(np.array([0, 0, 1, 1]), probabilities)
    # Bins of 1/15: 0.9 alone, 0.61 and 0.65 together, all three right; 0.7 alone and wrong.
    assert found["ece"] == pytest.approx((0.1 + 2 * (1 - 0.63) + 0.7) / 4)
    filled = {at: each["images"] for at, each in enumerate(found["bins"]) if each["images"]}
    assert filled == {9: 2, 10: 1, 13: 1}
    assert found["bins"][9]["accuracy"] == 1
    assert found["bins"][9]["confidence"] == pytest.approx(0.63)
    assert found["bins"][0]["accuracy"] is None


@pytest.mark.parametrize(("confidence", "place"), [(1.0, 14), (2 / 3, 9), (0.6667, 10)])
def test_a_bin_has_its_upper_end_and_not_its_lower(confidence, place):
    found = calibration(np.array([0]), np.array([[confidence, 1 - confidence]]))
    assert [each["images"] for each in found["bins"]].index(1) == place


# Of 4 images three are of the class that has 3/4, of 5 four of that which has 4/5.
LOGITS = np.log([[1, 3]] * 4 + [[4, 1]] * 5)
LABELS = np.array([1, 1, 1, 0, 0, 0, 0, 0, 1])


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_temperature_that_logits_were_multiplied_by_is_found(temperature):
    scaled = LOGITS * temperature
    assert fit_temperature(LABELS, scaled) == pytest.approx(temperature, rel=1e-4)
    assert cross_entropy(LABELS, scaled, temperature) == pytest.approx(
        cross_entropy(LABELS, LOGITS)
    )
    assert calibration(LABELS, softmax(scaled, temperature))["ece"] == pytest.approx(0, abs=1e-9)


def test_without_a_mistake_no_temperature_is_the_best():
    with pytest.raises(ValueError, match="some are classified wrong.*2 images, all right"):
        fit_temperature(np.array([0, 1]), np.eye(2))


def _classifier(in_layer):
    images = keras.Input((4, 4, 1), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(images)
    x = keras.layers.Flatten()(x)
    if in_layer:
        x = keras.layers.Dense(3, activation="softmax", name="predictions")(x)
    else:
        x = keras.layers.Dense(3, name="logits")(x)
        x = keras.layers.Activation("softmax", name="predictions")(x)
    return keras.Model(images, x, name="toy")


@pytest.mark.parametrize("in_layer", [True, False], ids=["dense", "activation"])
def test_a_calibrated_network_divides_its_logits_and_loads_as_plain_keras(in_layer, tmp_path):
    model = _classifier(in_layer)
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 1), np.uint8)
    logits = logits_network(model).predict_on_batch(images)
    np.testing.assert_allclose(softmax(logits), model.predict_on_batch(images), atol=1e-6)
    calibrated(model, 2.5).save(tmp_path / "calibrated.keras")
    loaded = keras.saving.load_model(tmp_path / "calibrated.keras", safe_mode=True)
    np.testing.assert_allclose(
        loaded.predict_on_batch(images), softmax(logits, 2.5), rtol=1e-5, atol=1e-7
    )
    assert {type(layer).__module__.partition(".")[0] for layer in loaded.layers} == {"keras"}


def test_a_reliability_diagram_is_a_picture_with_a_panel_for_each_state(tmp_path):
    before, after = (calibration(LABELS, softmax(LOGITS * 3, t)) for t in (1, 3))
    result = {"images": 9, "calibration": before}
    save_reliability(result, tmp_path / "one.png")
    test = {"ece_after": after["ece"], "bins_after": after["bins"]}
    save_reliability(
        {**result, "temperature": {"temperature": 3, "test": test}}, tmp_path / "2.png"
    )
    sizes = [keras.utils.load_img(tmp_path / name).size for name in ("one.png", "2.png")]
    assert sizes[1] == (2 * sizes[0][0], sizes[0][1])


# -------------------------------------------------------------------------------------- intervals


def test_an_interval_of_accuracy_is_that_of_the_binomial_distribution():
    low, high = intervals([[80, 20], [20, 80]])["test_accuracy"]
    expected = binom.ppf([0.025, 0.975], 200, 0.8) / 200
    assert [low, high] == pytest.approx(expected, abs=0.01)


def test_an_interval_of_macro_f1_is_that_of_resampled_images():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    predicted = np.concatenate([np.repeat([0, 1], [50, 10]), np.repeat([1, 0], [20, 10]), [2] * 10])
    matrix = np.zeros((3, 3), int)
    np.add.at(matrix, (labels, predicted), 1)
    random = np.random.default_rng(1)
    drawn = [random.integers(0, 100, 100) for _ in range(100)]
    scores = [f1_score(labels[rows], predicted[rows], average="macro") for rows in drawn]
    expected = np.percentile(scores, [2.5, 97.5])
    assert intervals(matrix)["macro_f1"] == pytest.approx(expected, abs=0.03)


def test_a_class_that_no_resample_has_is_not_counted():
    found = intervals([[3, 0], [0, 0]])
    assert found["test_accuracy"] == found["macro_f1"] == [1, 1]


def test_the_same_seed_gives_the_same_intervals():
    matrix = [[8, 2], [3, 7]]
    assert intervals(matrix, 1) == intervals(matrix, 1)
    assert intervals(matrix, 1) != intervals(matrix, 2)


# --------------------------------------------------------------------------------------- McNemar


def test_mcnemar_counts_what_one_network_alone_has_right():
    first = np.array([1, 1, 1, 1, 0, 0], bool)
    second = np.array([1, 0, 0, 0, 1, 0], bool)
    assert mcnemar(first, second) == {
        "only_first": 3,
        "only_second": 1,
        "difference": pytest.approx(2 / 6),
        "p_value": pytest.approx(2 * (4 + 1) / 2**4),  # 3 or 4 heads of 4 coins, or tails
    }


def test_networks_that_differ_nowhere_have_a_p_value_of_one():
    same = np.array([True, False])
    assert mcnemar(same, same)["p_value"] == 1
