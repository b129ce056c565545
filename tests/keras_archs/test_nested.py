"""Models inside models: everything that walks a graph goes into them, or says that it does not."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_archs
import tuning
from applications.evaluation.networks import flat

SHAPE = (32, 32, 3)


@pytest.fixture(scope="module")
def backbone():
    model = keras_archs.MobileNet(
        SHAPE, alpha=0.125, stem="small", include_top=False, pooling="avg", name="backbone"
    )
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.1, 1, w.shape).astype(np.float32) for w in model.weights])
    return model


def in_functional(backbone):
    images = keras.Input(SHAPE)
    return keras.Model(images, layers.Dense(4, name="head")(backbone(images)))


def in_sequential(backbone):
    return keras.Sequential([keras.Input(SHAPE), backbone, layers.Dense(4, name="head")])


def in_two(backbone):
    return in_functional(in_sequential(backbone))


def in_time_distributed(backbone, steps=5):
    frames = keras.Input((steps, *SHAPE))
    x = layers.TimeDistributed(backbone, name="each")(frames)
    return keras.Model(frames, layers.Dense(4, name="head")(layers.GlobalAveragePooling1D()(x)))


NESTED = [in_functional, in_sequential, in_two]


def run(model, images):
    return keras.ops.convert_to_numpy(model(images))


@pytest.mark.parametrize("nest", NESTED)
def test_a_profile_counts_what_is_inside(nest, backbone):
    inner, outer = keras_archs.profile(backbone), keras_archs.profile(nest(backbone))
    classifiers = [row for row in outer.rows if row.type == "Dense"]
    assert outer.params == inner.params + sum(row.params for row in classifiers)
    assert outer.macs == inner.macs + sum(row.macs for row in classifiers)
    assert outer.params == nest(backbone).count_params()


def test_a_profile_counts_a_model_at_every_step(backbone):
    inner, outer = keras_archs.profile(backbone), keras_archs.profile(in_time_distributed(backbone))
    steps = 5
    assert outer.params == inner.params + 4 * 128 + 4
    assert outer.macs == steps * inner.macs + 4 * 128
    rows = {row.name: row for row in outer.rows}
    for row in inner.rows[1:]:
        each = rows[f"each/{row.name}"]
        assert (each.params, each.macs, each.ops) == (row.params, steps * row.macs, steps * row.ops)
        assert each.activation_bytes == steps * row.activation_bytes
        assert each.output_shape == (steps, *row.output_shape)
    assert outer.peak_activation_bytes >= steps * inner.peak_activation_bytes


@pytest.mark.parametrize("nest", NESTED)
def test_normalisations_inside_are_folded(nest, backbone):
    model = nest(backbone)
    folded = keras_archs.fold_batch_norm(model)
    types = {row.type for row in keras_archs.profile(folded).rows}
    assert "BatchNormalization" not in types
    images = np.random.default_rng(0).random((2, *SHAPE), np.float32)
    np.testing.assert_allclose(run(folded, images), run(model, images), rtol=1e-3)


@pytest.mark.parametrize("nest", NESTED)
def test_lint_reads_what_is_inside(nest, backbone):
    inside = {layer for finding in tuning.lint(nest(backbone)) for layer in finding.layers}
    assert any("conv" in layer for layer in inside)


@pytest.mark.parametrize("nest", NESTED)
def test_other_classes_and_channels_leave_what_is_inside(nest, backbone):
    model = keras_archs.with_classes(nest(backbone), 7)
    assert model.output_shape == (None, 7)


@pytest.mark.parametrize(
    "change",
    [
        keras_archs.fold_batch_norm,
        keras_archs.to_fully_convolutional,
        lambda model: keras_archs.with_classes(model, 3),
        lambda model: keras_archs.widen(model, "each/conv1", 9),
        lambda model: keras_archs.deepen(model, "each/conv1"),
        lambda model: keras_archs.low_rank(model, "each/conv1", 2),
        tuning.lint,
        flat,
    ],
    ids=["fold", "convolutional", "classes", "widen", "deepen", "low rank", "lint", "explain"],
)
def test_what_does_not_go_into_a_time_distributed_says_so(change, backbone):
    with pytest.raises(ValueError, match="TimeDistributed"):
        change(in_time_distributed(backbone))
