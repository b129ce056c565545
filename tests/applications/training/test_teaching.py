"""Learning from a teacher: the paper's losses on a few numbers, who may teach, when."""

import keras
import numpy as np
import pytest

import keras_archs
from applications.data.sources import open_source
from applications.options import Options
from applications.recipes import recipe
from applications.recipes.schema import Teaching
from applications.training.finetuning import Phase
from applications.training.teaching import FallingTeacher, hint_phases, hinted, taught, teacher_of

TEACHING = Teaching(temperature=3.0, weight=4.0, last_weight=1.0, guided="conv2", hint_epochs=0.25)


def network(seed, filters=3):
    keras.utils.set_random_seed(seed)
    x = given = keras.Input((8, 8, 1))
    for name in ("conv1", "conv2"):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(4, "softmax", name="predictions")(x)
    return keras.Model(given, x, name="small")


def images(count=5):
    return np.random.default_rng(0).normal(size=(count, 8, 8, 1)).astype(np.float32)


def softened(probabilities, temperature):
    powers = probabilities ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("ends_in", ["softmax", None])
def test_the_loss_is_the_labels_and_the_weighted_teachers(ends_in):
    """Romero et al. 2015, equation 2, less the teacher's own entropy."""
    student, teacher = network(0), network(1)
    probabilities = teacher.predict(images(), verbose=0)
    teacher.layers[-1].activation = keras.activations.get(ends_in)
    model = taught(student, teacher, TEACHING)
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = images(), np.array([0, 1, 2, 3, 0])
    ours, theirs = student.predict(x, verbose=0).astype(np.float64), probabilities
    labels = -np.log(ours[np.arange(5), y]).mean()
    p, q = softened(theirs, 3), softened(ours, 3)
    divergence = (p * np.log(p / q)).sum(axis=1).mean()
    found = model.compute_loss(x, y, keras.ops.convert_to_tensor(ours, "float32"))
    assert float(found) == pytest.approx(labels + 4 * divergence, rel=1e-4)
    tested = model.evaluate(x, y, verbose=0)
    assert tested == pytest.approx(labels, rel=1e-4)  # of the labels alone


def test_a_hint_is_half_the_squared_distance_to_what_the_regressor_makes():
    """Romero et al. 2015, equation 3."""
    student, teacher = network(0), network(1, filters=5)
    model = hinted(student, teacher, TEACHING)
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = images()
    guided = keras.Model(student.input, student.get_layer("conv2").output).predict(x, verbose=0)
    hint = keras.Model(teacher.input, teacher.get_layer("conv2").output).predict(x, verbose=0)
    kernel, bias = model.regressor.get_weights()
    guess = guided @ kernel[0, 0] + bias
    expected = 0.5 * ((hint - guess) ** 2).sum(axis=(1, 2, 3)).mean()
    found = model.compute_loss(x, np.zeros(5, int), model(x))
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_hints_teach_the_layers_up_to_the_guided_one_and_then_all_learn():
    first, rest = hint_phases(network(0), TEACHING, epochs=8)
    assert (first.start, first.stop, first.hints) == (0, 2, True)
    assert {"pool", "predictions"} <= first.frozen
    assert not {"conv1", "conv2"} & first.frozen
    assert rest == Phase(2, 8)
    assert hint_phases(network(0), TEACHING._replace(guided=None), 8) == [Phase(0, 8)]
    assert hint_phases(network(0), TEACHING, 1) == [Phase(0, 1)]


def test_the_teachers_weight_falls_evenly_to_its_last():
    model = taught(network(0), network(1), TEACHING)
    callback, seen = FallingTeacher(TEACHING, Phase(2, 6)), []
    callback.set_model(model)
    for epoch in range(2, 6):
        callback.on_epoch_begin(epoch)
        seen.append(float(keras.ops.convert_to_numpy(model.teacher_weight)))
    assert seen == pytest.approx([4, 3, 2, 1])


def test_a_student_learns_what_its_teacher_knows_without_labels_that_say_so():
    student, teacher = network(0), network(1)
    teacher.trainable = False
    model = taught(student, teacher, TEACHING._replace(weight=100.0))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    x = images(64)
    y = teacher.predict(x, verbose=0).argmin(axis=1)  # the labels contradict
    before = abs(student.predict(x, verbose=0) - teacher.predict(x, verbose=0)).mean()
    weights = teacher.get_weights()
    model.fit(x, y, epochs=30, batch_size=16, verbose=0)
    after = abs(student.predict(x, verbose=0) - teacher.predict(x, verbose=0)).mean()
    assert after < before / 2
    for given, kept in zip(weights, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(given, kept)


@pytest.fixture
def plan(tmp_path):
    def planned(teacher, **options):
        teacher.save(tmp_path / "teacher.keras")
        options = {"arch": "fitnet19", "recipe": "fitnet19", "alpha": 1 / 8, "size": 16, **options}
        given = Options(**options, teacher=tmp_path / "teacher.keras")
        return given.planned(open_source("digits"))

    return planned


def of_shape(side, classes):
    given = keras.Input((side, side, 1))
    x = keras.layers.Flatten()(given)
    return keras.Model(given, keras.layers.Dense(classes, "softmax")(x), name="flat")


def test_who_may_teach(plan):
    student = of_shape(16, 10)
    labels = tuple("0123456789")
    found = teacher_of(plan(of_shape(16, 10)), labels, student)
    assert found.name == "flat" and not found.trainable_weights
    with pytest.raises(ValueError, match=r"images of the shape \(16, 16, 1\).*\(8, 8, 1\)"):
        teacher_of(plan(of_shape(8, 10)), labels, student)
    with pytest.raises(ValueError, match="trained on the same 10 classes.*with 9: 0, 1"):
        teacher_of(plan(of_shape(16, 9)), labels, student)
    with pytest.raises(ValueError, match="a map of the size of `conv11`, 8x8.*'flat'"):
        hinted(
            keras_archs.FitNet19((16, 16, 1), alpha=1 / 8),
            of_shape(16, 10),
            recipe("fitnet19").teaching,
        )


def test_a_teacher_that_is_not_there_is_an_error(tmp_path):
    options = Options(arch="fitnet19", recipe="fitnet19", teacher=tmp_path / "none", size=16)
    with pytest.raises(FileNotFoundError, match="none"):
        teacher_of(options.planned(open_source("digits")), ("0",), of_shape(16, 10))
