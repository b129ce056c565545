"""The hypermodels inside keras-tuner's own tuners, on scikit-learn's digits."""

import re
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest
from sklearn.datasets import load_digits

import keras_archs
from tuning import Budget, HyperArch, HyperSimpNet

README = Path(__file__).parents[2] / "README.md"
SHAPE, BUDGET = (16, 16, 1), Budget(params=8_000)


def simpnet(**kwargs):
    return HyperSimpNet(SHAPE, 10, budget=BUDGET, **kwargs)


def lenet(**kwargs):
    return HyperArch("lenet5", SHAPE, 10, budget=BUDGET, **kwargs)


both = pytest.mark.parametrize("hypermodel", [simpnet, lenet])


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    return np.kron(images.reshape(-1, 8, 8, 1), np.ones((1, 2, 2, 1), np.float32)) / 16, labels


@both
def test_the_network_is_compiled_and_keeps_the_budget(hypermodel, digits):
    model = hypermodel().build(keras_tuner.HyperParameters())
    assert model.input_shape == (None, *SHAPE) and model.output_shape == (None, 10)
    assert keras_archs.profile(model).params <= BUDGET.params
    assert float(model.optimizer.learning_rate) == pytest.approx(3e-3)
    assert set(model.evaluate(*(array[:32] for array in digits), 32, 0, return_dict=True)) == {
        *("loss", "accuracy")
    }


TUNERS = [
    keras_tuner.RandomSearch,
    keras_tuner.BayesianOptimization,
    keras_tuner.GridSearch,
    keras_tuner.Hyperband,
]


@both
@pytest.mark.parametrize("tuner", TUNERS, ids=lambda tuner: tuner.__name__)
def test_keras_tuner_proposes_networks_within_the_budget(hypermodel, tuner, tmp_path):
    asked = {"max_epochs": 2} if tuner is keras_tuner.Hyperband else {"max_trials": 2}
    found = tuner(hypermodel(), "val_accuracy", seed=0, directory=tmp_path, **asked)
    for number in range(2):
        trial = found.oracle.create_trial("worker")
        model = found.hypermodel.build(trial.hyperparameters)
        assert keras_archs.profile(model).params <= BUDGET.params
        found.oracle.update_trial(trial.trial_id, {"val_accuracy": number / 10}, step=0)
        trial.status = keras_tuner.engine.trial.TrialStatus.COMPLETED
        found.oracle.end_trial(trial)


@pytest.mark.slow
@pytest.mark.parametrize("tuner", TUNERS, ids=lambda tuner: tuner.__name__)
def test_keras_tuner_searches(tuner, tmp_path, digits):
    asked = {"max_epochs": 2} if tuner is keras_tuner.Hyperband else {"max_trials": 2}
    found = tuner(lenet(), "val_accuracy", seed=0, directory=tmp_path, **asked)
    images, labels = (array[:256] for array in digits)
    found.search(images, labels, validation_split=0.5, epochs=1, batch_size=64, verbose=0)
    (best,) = found.get_best_models()
    assert keras_archs.profile(best).params <= BUDGET.params
    (trial,) = found.oracle.get_best_trials()
    assert 0 <= trial.score <= 1 and trial.status == "COMPLETED"


@pytest.mark.slow
def test_the_lines_of_the_readme_run(tmp_path, monkeypatch):
    (lines,) = re.findall(
        r"```python\n(import keras, keras_tuner.*?)```", README.read_text(), re.DOTALL
    )
    images, labels = load_digits(return_X_y=True)
    few = np.pad(images[:64].reshape(-1, 8, 8) * 15, ((0, 0), (10, 10), (10, 10)))
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: ((few, labels[:64]), None))
    names: dict = {}
    monkeypatch.chdir(tmp_path)
    exec(lines.replace("max_trials=20", "max_trials=1").replace("epochs=5", "epochs=1"), names)
    assert 0.97 * 60_000 <= keras_archs.profile(names["model"]).params <= 60_000


@both
def test_what_is_pinned_stays_and_nothing_else_is_tuned(hypermodel, tmp_path):
    hp = keras_tuner.HyperParameters()
    pinned = "expansion" if hypermodel is simpnet else "alpha"
    hp.Fixed(pinned, 0.5)
    hp.Choice("dropout", ["0", "0.2"])
    asked = {"hyperparameters": hp, "tune_new_entries": False, "directory": tmp_path}
    found = keras_tuner.GridSearch(hypermodel(), "val_accuracy", **asked)
    trials = [found.oracle.create_trial(f"worker {number}") for number in range(2)]
    assert [trial.hyperparameters.values for trial in trials] == [
        *({pinned: 0.5, "dropout": "0"}, {pinned: 0.5, "dropout": "0.2"})
    ]
    for trial in trials:
        found.hypermodel.build(trial.hyperparameters)


def test_one_that_is_not_tunable_adds_nothing():
    hp = keras_tuner.HyperParameters()
    lenet(tunable=False).build(hp)
    assert not hp.space


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HyperSimpNet(SHAPE, 10, budget=Budget(params=10)), "smallest possible network"),
        (lambda: HyperSimpNet(SHAPE, 0), "`classes` must be an integer >= 1. Received: classes=0"),
        (lambda: HyperSimpNet((16, 16), 10), "`input_shape` must be"),
        (lambda: HyperSimpNet(SHAPE, 10, principles=["beauty"]), "beauty"),
        (lambda: HyperArch("resnet21", SHAPE, 10), "Did you mean"),
        (lambda: HyperArch("mobilenet", SHAPE, 10), "at least 31x31 for mobilenet"),
    ],
)
def test_what_no_trial_could_build_is_an_error_at_once(make, message):
    with pytest.raises(ValueError, match=message):
        make()
