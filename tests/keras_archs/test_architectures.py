"""What every builder promises, tried on all of them: a new architecture enrols by being registered.

Most tests need shapes alone and build without values; those that run a network take a small one.
What a test costs decides who takes it. The cheapest go over all architectures, and so do the exact
counts of test_expected.py. The others take the smallest network of each kind, which has the body,
head and arguments of its kind and differs from the rest in its table alone. One deep network is
tried beside them. On backends that compile for long, few networks run.
"""

import functools
import inspect
import itertools
import math
import re
import subprocess
import sys
import typing

import keras
import numpy as np
import pytest
from keras import layers
from networks import COMMON, DEEP, KINDS, LONG_TO_BUILD, ONE_A_FAMILY, own_arguments, title
from running import run

import keras_archs
from keras_archs import architecture, heads
from keras_archs.graph import without_values

# On backends that compile: half a minute for the gradients of these, so one of each family
# predicts, the others learn, and what does not depend on the body is tried on a few.
LONG_TO_COMPILE = {"densenet40_12", "googlenet", "highway19", "simplenet_310k", "simpnet_300k"}
FEW_TO_COMPILE = ["lenet5", "alexnetonetower", "resnet20", "mobilenet"]
FLATTENING = {  # need fixed sides; the others pool globally
    *("lenet5", "alexnet", "alexnetonetower", "mlp"),
    *(*keras_archs.list_archs("vgg*"), *keras_archs.list_archs("simplenet*")),
}


WITH_STEMS = [name for name in KINDS if keras_archs.info(name).stems]


def _names(names, slow):
    """Parameters; `tests/conftest.py` keeps a network's tests in one worker."""
    return [pytest.param(n, marks=[pytest.mark.slow] if n in slow else []) for n in names]


# On TensorFlow the fast tests take these; on other backends, whose slow tests nobody waits for,
# one of each family.
QUICK = [
    *("lenet5", "alexnetonetower", "resnet20", "mobilenet", "squeezenet", "simpnet_300k"),
]
_compiles_for_long = keras.backend.backend() != "tensorflow"
_fast = set(ONE_A_FAMILY) - LONG_TO_BUILD if _compiles_for_long else set(QUICK)
_SLOW = set(keras_archs.list_archs()) - _fast

every_kind = pytest.mark.parametrize("name", _names(KINDS, slow=_SLOW))
every_kind_and_a_deep_one = pytest.mark.parametrize("name", _names([*KINDS, DEEP], slow=_SLOW))
# What runs the network, and has values for its weights, takes one of each family and bottlenecks.
_run = _learn = _few = [*ONE_A_FAMILY, "resnet50"]
if _compiles_for_long:
    _run, _few = ONE_A_FAMILY, FEW_TO_COMPILE
    _learn = [name for name in ONE_A_FAMILY if name not in LONG_TO_COMPILE]
every_kind_that_runs = pytest.mark.parametrize("name", _names(_run, slow=_SLOW))
every_kind_that_learns = pytest.mark.parametrize("name", _names(_learn, slow=_SLOW))
one_a_family = pytest.mark.parametrize("name", _names(ONE_A_FAMILY, slow=_SLOW))
a_few = pytest.mark.parametrize("name", _names(_few, slow=_SLOW))


def shape_only(name, *args, **kwargs) -> keras.Model:
    """The network without values for its weights."""
    with without_values():
        return keras_archs.build(name, *args, **kwargs)


def smallest(name, **kwargs):
    """`input_shape` and the other arguments of a network that is quick to run."""
    stem = {"stem": "small"} if keras_archs.info(name).stems else {}
    side = keras_archs.info(name).min_size_for(**stem) + 3
    return {"input_shape": (side, side, 3), "classes": 3, "alpha": 1 / 8, **stem, **kwargs}


@functools.cache
def paper(name) -> keras.Model:
    """The network as its builder makes it, without values; tests leave it as it is."""
    return shape_only(name)


@functools.cache
def small(name) -> keras.Model:
    """A small network with values; tests leave it as it is."""
    keras.utils.set_random_seed(0)
    return keras_archs.build(name, **smallest(name))


def images_for(model: keras.Model, count=2, seed=0):
    shape = (count, *model.input_shape[1:])
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


# ------------------------------------------------------------------------------------- the registry


def test_one_network_of_each_family_runs_on_every_backend():
    assert [keras_archs.info(name).family for name in ONE_A_FAMILY] == list(keras_archs.MODULES)


def test_list_archs_is_sorted_and_in_lower_case():
    names = keras_archs.list_archs()
    assert names == sorted(names)
    assert all(name == name.lower() for name in names)
    assert {"lenet5", "mobilenet", "resnet1202", "simpnet_300k", "squeezenet1_1"} <= set(names)


def test_list_archs_takes_shell_patterns_in_any_case():
    assert keras_archs.list_archs("plain*") == [
        *("plainnet18", "plainnet20", "plainnet34", "plainnet56")
    ]
    assert keras_archs.list_archs("SqueezeNet*") == ["squeezenet", "squeezenet1_1"]
    assert keras_archs.list_archs("vgg?") == []


def test_importing_and_listing_do_not_import_keras():
    program = "import sys, keras_archs; keras_archs.list_archs(); print('keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr


def test_all_public_names_can_be_imported():
    for name in keras_archs.__all__:
        assert getattr(keras_archs, name) is not None
        assert name in dir(keras_archs)
    with pytest.raises(AttributeError, match="no attribute 'VGG99'"):
        keras_archs.VGG99  # noqa: B018


def test_build_takes_names_in_any_case():
    assert shape_only("leNET5").name == "lenet5"


def test_an_unknown_name_is_answered_with_the_nearest():
    for function in (keras_archs.build, keras_archs.info):
        with pytest.raises(ValueError, match=r"Did you mean 'mobilenet'\?.*arch='mobilnet'"):
            function("mobilnet")


def test_a_builder_outside_the_map_of_names_is_refused():
    facts = dict(paper="", year=2000, input_shape=(8, 8, 3), classes=2)
    with pytest.raises(ValueError, match="`Nobody` must stand in .*keras_archs.MODULES"):

        @architecture.architecture(head=heads.gap_dense, min_size=1, **facts)
        def Nobody(x, *, alpha):
            return x


def test_a_variant_tells_facts_from_arguments_and_parts(monkeypatch):
    layouts = typing.Literal["keras", "torch"]

    @architecture.architecture(
        head=heads.gap_dense,
        min_size=lambda layout: {"keras": 2, "torch": 3}[layout],
        paper="none",
        year=2000,
        input_shape=(8, 8, 3),
        classes=2,
        published={"params": architecture.Figure(1, "of the family")},
    )
    def _family(x, *, alpha, layout: layouts = "keras"):
        return layers.Conv2D(4, 3, padding="same", name=layout)(x)

    monkeypatch.setitem(keras_archs.MODULES, __name__, ("Open", "Fixed"))
    monkeypatch.setattr(architecture, "_REGISTRY", {})
    unfixed = _family.variant("Open", "Takes a layout.", year=2001)
    fixed = _family.variant("Fixed", "Is torch's.", layout="torch", dropout=0.5)
    assert (unfixed.info.layout, unfixed.info.year, unfixed.info.min_size) == ("keras", 2001, 2)
    assert unfixed.info.min_size_for(layout="torch") == 3
    assert not unfixed.info.published
    assert (fixed.info.layout, fixed.info.year, fixed.info.min_size) == ("torch", 2000, 3)
    names = [layer.name for layer in fixed().layers]
    assert "torch" in names and "dropout" in names
    for wrong in ({"layout": "keras"}, {"alfa": 1}):
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            fixed(**wrong)
    with pytest.raises(TypeError, match="`Other` must fix own arguments of its family"):
        _family.variant("Other", "Misspelled.", layuot="torch")


@pytest.mark.parametrize("name", keras_archs.list_archs())
def test_info_says_what_is_built_by_default(name):
    info = keras_archs.info(name)
    own = own_arguments(name)
    assert info.name == name
    assert title(name) in keras_archs.MODULES[info.family]
    assert info.paper and 1990 < info.year < 2030
    assert info.min_size == info.min_size_for() <= min(info.input_shape[:2])
    assert info.stems == own.get("stem", ())
    if info.stems:
        assert info.min_size_for(stem="small") < info.min_size
    if "layout" in own:
        assert info.layout in own["layout"]
    if name in KINDS:
        model = paper(name)
        assert model.name == name
        assert model.input_shape == (None, *info.input_shape)
        assert model.output_shape == (None, info.classes)
        with_its_rate = shape_only(name, dropout=info.dropout)
        assert with_its_rate.get_config() == model.get_config()


@pytest.mark.parametrize("name", keras_archs.list_archs())
def test_help_explains_every_argument(name):
    builder = getattr(keras_archs, title(name))
    assert builder.__name__ == title(name)
    arguments = list(inspect.signature(builder).parameters)
    assert arguments[: len(COMMON)] == COMMON
    for argument in arguments:
        assert re.search(rf"^    {argument}: \S", builder.__doc__, re.MULTILINE), argument
    info = keras_archs.info(name)
    assert info.paper in builder.__doc__
    assert f"Defaults to {info.input_shape}" in builder.__doc__
    assert f"Sides of at least {info.min_size}" in builder.__doc__
    for value in itertools.chain(*own_arguments(name).values()):
        assert not isinstance(value, str) or f'"{value}"' in builder.__doc__
    assert not re.search(r"\{\w\w", builder.__doc__), "a placeholder"
    assert max(map(len, builder.__doc__.splitlines())) <= 100


# -------------------------------------------------------------------------------------- the network


@every_kind_and_a_deep_one
def test_layers_have_names_of_their_own(name):
    with without_values():  # Keras' automatic names would count on in the second build
        first, second = paper(name), keras_archs.build(name)
    names = [layer.name for layer in first.layers]
    assert len(set(names)) == len(names)
    assert names == [layer.name for layer in second.layers]


@every_kind_and_a_deep_one
def test_layers_are_those_of_keras(name):
    """So that a saved network loads without this package; local normalisation is the exception."""
    for layer in paper(name).layers:
        if not isinstance(layer, keras_archs.LocalResponseNormalization):
            assert type(layer).__module__.startswith("keras.src.layers."), layer.name
        assert "Lambda" not in type(layer).__name__


@every_kind
def test_any_number_of_channels_and_sides_that_differ(name):
    info = keras_archs.info(name)
    for channels in (1, 3, 7):
        shape = (info.min_size + 1, info.min_size + 10, channels)
        model = shape_only(name, shape, 5)
        assert model.input_shape == (None, *shape)
        assert model.output_shape == (None, 5)


@every_kind
def test_sides_may_be_none_where_the_head_pools(name):
    if name in FLATTENING:
        with pytest.raises(ValueError, match="fixed sides: layer `flatten`"):
            shape_only(name, (None, None, 3))
        assert shape_only(name, (None, None, 3), include_top=False).output_shape[1] is None
    else:
        assert shape_only(name, (None, None, 3), 5).output_shape == (None, 5)


@pytest.mark.skipif(_compiles_for_long, reason="compiles each network twice")
@pytest.mark.parametrize(
    "name", _names([n for n in ONE_A_FAMILY if n not in FLATTENING], slow=_SLOW)
)
def test_one_network_takes_images_of_several_sizes(name):
    side = smallest(name)["input_shape"][0]
    model = keras_archs.build(name, **smallest(name, input_shape=(None, None, 3)))
    for shape in ((1, side, side, 3), (1, side + 1, side + 6, 3)):
        assert np.isfinite(run(model, np.ones(shape, "float32"))).all()


# Their tables say after which layers they pool, and that decides the minimum.
OWN_POOLS = keras_archs.list_archs("simp*")


def shrinks_everywhere(model) -> bool:
    """Whether every strided layer makes its map smaller and no map is empty."""
    written_by = {id(layer.output): layer for layer in model.layers}
    for layer in model.layers:
        strides = getattr(layer, "strides", 1)
        if max(strides if isinstance(strides, tuple) else (strides,)) == 1:
            continue
        before = layer.input
        if isinstance(written_by[id(before)], layers.ZeroPadding2D):
            before = written_by[id(before)].input
        pairs = zip(layer.output.shape[1:3], before.shape[1:3], strict=True)
        if any(after >= side for after, side in pairs):
            return False
    maps = [layer.output.shape for layer in model.layers if len(layer.output.shape) == 4]
    return min(min(shape[1:3]) for shape in maps) >= 1


@pytest.mark.parametrize("name", _names(sorted({*KINDS, *OWN_POOLS}), slow=_SLOW))
def test_the_minimum_size_is_the_smallest_that_works(name, monkeypatch):
    own = own_arguments(name)
    for values in itertools.product(*own.values()):
        given = dict(zip(own, values, strict=True))
        least = keras_archs.info(name).min_size_for(**given)
        given["include_top"] = given.get("aux", False)
        model = shape_only(name, (least, least, 3), **given)
        assert shrinks_everywhere(model), given
        less = least - 1
        wanted = f"at least {least}x{least} for {title(name)}" if less else "of positive integers"
        for shape in ((less, less, 3), (less, 2 * least, 3), (2 * least, less, 3)):
            with pytest.raises(ValueError, match=wanted):
                shape_only(name, shape, **given)
        with monkeypatch.context() as patch:
            patch.setattr(architecture, "_check_input_shape", lambda shape, *_: shape)
            try:
                model = shape_only(name, (less, less, 3), **given)
                works = shrinks_everywhere(model)
            except ValueError:  # Keras: a map would have no or less than no pixels
                works = False
        assert not works, given


# ------------------------------------------------------------------------------------ the arguments


# What alpha scales otherwise than width by width is tested with the family.
OWN_WIDTHS = {"alexnet", "mobilenet_v2", "densenet", "resnext", "inception_v4"}
ORDINARY_WIDTHS = [n for n in KINDS if keras_archs.info(n).family not in OWN_WIDTHS]


def _rounded(name, filters, alpha):
    scaled = filters * alpha
    down = keras_archs.info(name).family == "mobilenet"  # as keras.applications
    return max(1, math.floor(scaled if down else scaled + 0.5))


@pytest.mark.parametrize("name", _names(ORDINARY_WIDTHS, slow=_SLOW))
@pytest.mark.parametrize("alpha", [1e-6, 0.3])
def test_alpha_scales_every_width_but_the_classes(name, alpha):
    whole = shape_only(name, classes=1001)
    scaled = shape_only(name, classes=1001, alpha=alpha)
    widths = 0
    for before, after in zip(whole.layers, scaled.layers, strict=True):
        assert before.name == after.name
        for attribute in ("filters", "units"):
            wide = getattr(before, attribute, None)
            if wide is None:
                continue
            wanted = wide if wide == 1001 else _rounded(name, wide, alpha)
            assert getattr(after, attribute) == wanted, before.name
            widths += 1
    assert widths >= 3


@every_kind
def test_alpha_cuts_parameters_and_multiply_adds(name):
    """Towards alpha squared: the first and last layers shrink by alpha alone."""
    whole, half = keras_archs.profile(paper(name)), keras_archs.profile(name, alpha=0.5)
    most = 0.6 if name == "mobilenetv2" else 0.5  # its last convolution does not shrink
    assert 0.24 < half.params / whole.params < most
    assert 0.24 < half.macs / whole.macs < 0.5


@every_kind
def test_rho_scales_the_input_and_nothing_else(name):
    info = keras_archs.info(name)
    whole, scaled = keras_archs.profile(paper(name)), keras_archs.profile(name, rho=0.75)
    side = math.floor(0.75 * info.input_shape[0] + 0.5)
    assert scaled.rows[0].output_shape == (side, side, info.input_shape[2])
    if name not in FLATTENING:
        assert scaled.params == whole.params
    first = name == "mlp"  # whose other layers know nothing of the image's size
    assert 0.4 < scaled.macs / whole.macs < (0.85 if first else 0.65)


def test_rho_scales_the_given_shape_and_rounds_half_up():
    assert shape_only("resnet20", (33, 51, 1), rho=0.5).input_shape == (None, 17, 26, 1)
    with pytest.raises(ValueError, match=r"at least 3x3.*\(4, 32, 3\) \(with rho=0.5: 2x16\)"):
        shape_only("resnet20", (4, 32, 3), rho=0.5)


@every_kind
def test_without_top_the_output_is_the_last_map(name):
    features = shape_only(name, include_top=False)
    channels = features.output_shape[-1]
    assert len(features.output_shape) == 4
    pooled = shape_only(name, include_top=False, pooling="avg")
    assert pooled.output_shape == (None, channels)
    body = {layer.name for layer in features.layers}
    assert body < {layer.name for layer in shape_only(name).layers}


def test_pooling_takes_the_mean_or_maximum_of_the_map():
    arguments = smallest("lenet5", include_top=False, input_shape=(20, 20, 1))
    maps = keras_archs.LeNet5(**arguments)
    images = images_for(maps)
    for kind, reduce in (("avg", np.mean), ("max", np.max)):
        pooled = keras_archs.LeNet5(**arguments, pooling=kind)
        pooled.set_weights(maps.get_weights())
        found, wanted = run(pooled, images), reduce(run(maps, images), axis=(1, 2))
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def _features_of(name, **kwargs):
    with pytest.raises(ValueError, match=r"`features` must be .*Received: features=\['P0'\]") as e:
        shape_only(name, features=["P0"], **kwargs)
    return re.findall(r"P\d+", str(e.value).partition("Received")[0])


FOURFOLD = {"alexnet", "alexnetonetower", "nin"}  # their first convolution has stride 4


@pytest.mark.parametrize("name", _names([n for n in KINDS if n != "mlp"], slow=_SLOW))
def test_features_are_the_last_maps_at_their_strides(name):
    """An error lists those that are there; at side 256 unpadded edges hide no stride."""
    shape = (256, 256, 3)
    present = _features_of(name, input_shape=shape)
    first = 2 if name in FOURFOLD else 1
    powers = range(first, first + len(present))
    assert present == [f"P{k}" for k in powers]
    model = shape_only(name, shape, features=present)
    assert list(model.output) == present
    for k, feature in zip(powers, model.output.values(), strict=True):
        assert {round(math.log2(256 / side)) for side in feature.shape[1:3]} == {k}
    last = shape_only(name, shape, include_top=False).output_shape
    assert model.output[present[-1]].shape == last


def test_features_take_any_selection_and_order():
    model = keras_archs.build("mobilenet", **smallest("mobilenet", features=["P3", "P1"]))
    maps = run(model, images_for(model))
    assert {name: array.shape[1] for name, array in maps.items()} == {"P3": 1, "P1": 5}
    names = [layer.name for layer in model.layers]
    assert "conv_pw_13_relu" in names and "conv_preds" not in names


@pytest.mark.parametrize("layout", ["keras", "torch"])
def test_features_lie_where_every_path_leads(layout):
    """With torch's layout the first 1x1 of a block still has the stride before: a side path."""
    names = [f"P{k}" for k in range(1, 6)]
    model = shape_only("resnet50", layout=layout, features=names)
    layer_of = {id(layer.output): layer.name for layer in model.layers}
    found = [layer_of[id(model.output[name])] for name in names]
    blocks = ["conv2_block3", "conv3_block4", "conv4_block6", "conv5_block3"]
    assert found == ["conv1_relu", *(f"{block}_out" for block in blocks)]


@pytest.mark.parametrize("name", _names(WITH_STEMS, slow=_SLOW))
def test_the_small_stem_keeps_maps_four_times_as_large(name):
    whole, little = (
        shape_only(name, (128, 128, 3), include_top=False, stem=stem)
        for stem in ("imagenet", "small")
    )
    ratio = little.output_shape[1] / whole.output_shape[1]
    unpadded = "inception" in keras_archs.info(name).family  # loses pixels at every layer
    assert 3.5 <= ratio <= (14 if unpadded or name in FOURFOLD else 5)
    with_weights = [
        {layer.name: [w.shape for w in layer.weights] for layer in m.layers if layer.weights}
        for m in (whole, little)
    ]
    assert with_weights[0] == with_weights[1]
    at_32 = shape_only(name, (32, 32, 3), include_top=False, stem="small").output_shape[1]
    assert at_32 == 2 if unpadded else 4 <= at_32 <= 6
    assert len(_features_of(name, stem="small")) == len(_features_of(name)) - 2


PAPERS_DROPOUT = {
    **dict.fromkeys(("lenet5", "resnet18", "resnet20", "resnet18v2", "fitnet19"), []),
    "mobilenet": [1e-3],
    "squeezenet": [0.5],
    "alexnetonetower": [0.5, 0.5],
    "vgg11": [0.5, 0.5],
    "nincifar": [0.5, 0.5],
    "googlenet": [0.4],
    "inceptionv4": [0.2],
    "allcnn_c": [0.2, 0.5, 0.5],
    "highway19": [0.2] * 4,
    "mlp": [0.2, 0.5, 0.5],
}


@every_kind
def test_dropout_sets_the_rate_of_every_dropout_layer(name):
    def rates(**kwargs):
        model = shape_only(name, **kwargs)
        return [layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)]

    assert rates(dropout=0) == []
    assert set(rates(dropout=0.3)) == {0.3}
    if name in PAPERS_DROPOUT:
        assert rates() == PAPERS_DROPOUT[name]


@a_few
def test_dropout_acts_in_training_alone(name):
    """Two equal images, beside others for BatchNorm, differ under dropout and nothing else."""
    model = keras_archs.build(name, **smallest(name, dropout=0.5, classifier_activation=None))
    images = images_for(model, count=4)
    images[1] = images[0]
    first, second, *_ = run(model, images)
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-7)
    first, second, *_ = run(model, images, training=True)
    assert np.abs(first - second).max() > 0.1 * np.abs(first).max()


# --------------------------------------------------------------------------------- running networks


@every_kind_that_runs
def test_predictions_are_probabilities_and_weights_finite(name):
    model = small(name)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    predictions = run(model, images_for(model))
    assert predictions.shape == (2, 3)
    assert (predictions >= 0).all()
    np.testing.assert_allclose(predictions.sum(axis=1), 1, rtol=1e-5)


@a_few
def test_without_activation_the_outputs_are_logits(name):
    model = small(name)
    plain = keras_archs.build(name, **smallest(name, classifier_activation=None))
    plain.set_weights(model.get_weights())
    images = images_for(model)
    logits = run(plain, images)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        run(model, images), powers / powers.sum(axis=1, keepdims=True), rtol=1e-4
    )


@a_few
def test_a_seed_gives_the_same_weights(name):
    keras.utils.set_random_seed(0)
    again = keras_archs.build(name, **smallest(name))
    for weight, wanted in zip(again.get_weights(), small(name).get_weights(), strict=True):
        np.testing.assert_array_equal(weight, wanted)


def gradients(model, images, labels):
    """Of the cross-entropy, for each trainable variable."""

    def loss_of(predictions):
        return keras.ops.mean(keras.losses.sparse_categorical_crossentropy(labels, predictions))

    variables = model.trainable_variables
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = loss_of(model(images, training=False))
        return tape.gradient(loss, [variable.value for variable in variables])
    import jax

    fixed = [variable.value for variable in model.non_trainable_variables]

    def loss_of_values(values):
        return loss_of(model.stateless_call(values, fixed, images, training=False)[0])

    return jax.jit(jax.grad(loss_of_values))([variable.value for variable in variables])


def wake(model):
    """Weights with which no ReLU is dead, however few filters: each layer averages its inputs."""
    for layer in model.layers:
        axes = (0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (0, 1, 2)
        for variable in layer.trainable_variables:
            value = np.abs(keras.ops.convert_to_numpy(variable))
            if value.ndim == 1:
                value[:] = 0.5 if variable.name == "gamma" else 0.1
            else:
                value /= value.sum(axis=axes[: value.ndim - 1], keepdims=True)
            variable.assign(value)


@every_kind_that_learns
def test_every_trainable_variable_has_a_gradient(name):
    model = small(name)
    initial = model.get_weights()
    wake(model)
    found = gradients(model, images_for(model, count=4), np.array([0, 1, 2, 0]))
    model.set_weights(initial)
    for variable, gradient in zip(model.trainable_variables, found, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient), variable.path


@pytest.fixture
def mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


@every_kind
def test_in_mixed_precision_predictions_are_float32(name, mixed_precision):
    for activation in ("softmax", None):
        model = shape_only(name, classifier_activation=activation)
        assert model.output.dtype == "float32"
        computed = {layer.compute_dtype for layer in model.layers if layer.weights}
        assert computed == {"float16", "float32"}
        assert {weight.dtype for weight in model.weights} == {"float32"}


@a_few
def test_in_mixed_precision_networks_run(name, mixed_precision):
    model = keras_archs.build(name, **smallest(name))
    assert np.isfinite(run(model, images_for(model))).all()


# ------------------------------------------------------------------------------------------ weights


@a_few
def test_a_saved_network_loads_by_itself(name, tmp_path):
    model = small(name)
    images = images_for(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(run(loaded, images), run(model, images), rtol=1e-6)


@one_a_family
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_weights_come_from_a_file(name, suffix, tmp_path):
    model, path = small(name), tmp_path / f"saved{suffix}"
    model.save(path) if suffix == ".keras" else model.save_weights(path)
    weights = path if suffix == ".keras" else str(path)
    again = keras_archs.build(name, **smallest(name, weights=weights))
    for weight, wanted in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, wanted)


def test_weights_with_a_classifier_serve_a_network_without(tmp_path):
    model = small("mobilenet")
    model.save(tmp_path / "model.keras")
    body = keras_archs.build(
        "mobilenet", **smallest("mobilenet", include_top=False, weights=tmp_path / "model.keras")
    )
    images = images_for(model)
    maps = keras.Model(model.input, model.get_layer("conv_pw_13_relu").output)
    np.testing.assert_allclose(run(body, images), run(maps, images), rtol=1e-6)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_weights_that_do_not_fit_are_refused(suffix, tmp_path):
    model, path = small("lenet5"), tmp_path / f"lenet5{suffix}"
    model.save(path) if suffix == ".keras" else model.save_weights(path)
    refused = r"`weights` must fit the network: .*Received: weights='.*lenet5"
    for name, change in (("simpnet_300k", {}), ("lenet5", {"classes": 4})):
        with pytest.raises(ValueError, match=refused) as error:
            keras_archs.build(name, **smallest(name, weights=path, **change))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
@pytest.mark.parametrize("kept", [0.5, 0])
def test_a_truncated_file_is_refused(suffix, kept, tmp_path):
    model, path = small("lenet5"), tmp_path / f"lenet5{suffix}"
    model.save(path) if suffix == ".keras" else model.save_weights(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match="`weights` must fit the network: ") as error:
        keras_archs.build("lenet5", **smallest("lenet5", weights=path))
    assert "\n" not in str(error.value)


def test_weights_that_are_no_file_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="`weights` must be the path of a file that exists"):
        keras_archs.LeNet5(weights=tmp_path / "absent.keras")
    for source in ("hf://other/x", "model.onnx", 5):
        wanted = rf"None, 'imagenet', .* or .caffemodel file. Received: weights={source!r}"
        with pytest.raises(ValueError, match=wanted):
            keras_archs.LeNet5(weights=source)


# ------------------------------------------------------------------------------------------- errors

NAN = float("nan")
BAD = [
    ({"alpha": 0}, r"`alpha` must be > 0. Received: alpha=0"),
    ({"alpha": -1}, r"`alpha` must be > 0. Received: alpha=-1"),
    ({"alpha": NAN}, r"`alpha` must be > 0. Received: alpha=nan"),
    ({"alpha": math.inf}, r"`alpha` must be > 0. Received: alpha=inf"),
    ({"alpha": "1"}, r"`alpha` must be > 0. Received: alpha='1'"),
    ({"rho": 0}, r"`rho` must be in \(0, 1\]. Received: rho=0"),
    ({"rho": 1.1}, r"`rho` must be in \(0, 1\]. Received: rho=1.1"),
    ({"rho": NAN}, r"`rho` must be in \(0, 1\]. Received: rho=nan"),
    ({"rho": 0.5, "input_shape": (None, 64, 3)}, r"`rho` must be 1 where a side .* is None."),
    ({"input_shape": (64, 64)}, r"`input_shape` must be .* Received: input_shape=\(64, 64\)"),
    ({"input_shape": 64}, r"`input_shape` must be .* Received: input_shape=64"),
    ({"input_shape": (64, 64, None)}, r"`input_shape` must be .*\(64, 64, None\)"),
    ({"input_shape": (64, 64, 0)}, r"`input_shape` must be .*\(64, 64, 0\)"),
    ({"input_shape": (64.0, 64, 3)}, r"`input_shape` must be .*\(64.0, 64, 3\)"),
    ({"input_shape": (0, 64, 3)}, r"`input_shape` must be .*\(0, 64, 3\)"),
    ({"input_shape": (30, 99, 3)}, r"`input_shape` must be at least 31x31 for MobileNet. Rec.*30"),
    ({"classes": 0}, r"`classes` must be an integer >= 1. Received: classes=0"),
    ({"classes": 2.5}, r"`classes` must be an integer >= 1. Received: classes=2.5"),
    ({"classes": True}, r"`classes` must be an integer >= 1. Received: classes=True"),
    ({"dropout": 1}, r"`dropout` must be None or in \[0, 1\). Received: dropout=1"),
    ({"dropout": -0.1}, r"`dropout` must be None or in \[0, 1\). Received: dropout=-0.1"),
    ({"dropout": NAN}, r"`dropout` must be None or in \[0, 1\). Received: dropout=nan"),
    ({"include_top": 1}, r"`include_top` must be a bool. Received: include_top=1"),
    ({"pooling": "foo"}, r"`pooling` must be None, 'avg' or 'max'. Received: pooling='foo'"),
    ({"pooling": "avg"}, r"`pooling` must be None unless include_top=False"),
    ({"features": []}, r"`features` must be .* P5. Received: features=\[\]"),
    ({"features": "P1"}, r"`features` must be .* P5. Received: features='P1'"),
    ({"features": ["P9"]}, r"`features` must be .* P1, P2, P3, P4, P5. Rec.*\['P9'\]"),
    ({"features": [None]}, r"`features` must be .* P5. Received: features=\[None\]"),
    ({"classifier_activation": "sofmax"}, r"`classifier_activation` must be .*'sofmax'"),
    ({"adapt": True}, r"`adapt` must be False: .* Received: adapt=True"),
    ({"name": 3}, r"`name` must be a string. Received: name=3"),
    ({"stem": "tiny"}, r"`stem` must be one of 'imagenet', 'small'. Received: stem='tiny'"),
]


@pytest.mark.parametrize("kwargs, message", BAD, ids=repr)
def test_a_bad_argument_is_named_with_what_is_wanted(kwargs, message):
    with pytest.raises(ValueError, match=f"^{message}") as error:
        keras_archs.MobileNet(**kwargs)
    assert "Received: " in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", keras_archs.list_archs())
def test_arguments_of_a_family_take_their_values_alone(name):
    for argument, values in own_arguments(name).items():
        message = f"`{argument}` must be .*Received: {argument}='nothing'"
        if len(values) > 1:
            wanted = re.escape(", ".join(map(repr, values)))
            message = f"`{argument}` must be one of {wanted}. Received: {argument}='nothing'"
        with pytest.raises(ValueError, match=message):
            keras_archs.build(name, **{argument: "nothing"})


def test_an_unknown_keyword_is_answered_with_the_nearest():
    message = r"MobileNet\(\) got an unexpected keyword argument 'alfa'. Did you mean 'alpha'\?"
    with pytest.raises(TypeError, match=message):
        keras_archs.MobileNet(alfa=0.5)
    with pytest.raises(TypeError, match="Did you mean 'bypass'"):
        keras_archs.SqueezeNet(bypas="simple")
    with pytest.raises(TypeError, match="unexpected keyword argument 'bypass'"):
        keras_archs.SqueezeNet1_1(bypass="simple")


def test_channels_first_is_refused():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="must be 'channels_last'. Received: 'channels_first'"):
            keras_archs.LeNet5()
    finally:
        keras.config.set_image_data_format("channels_last")


def test_numpy_numbers_are_numbers():
    side = np.int64(32)
    model = shape_only(
        "resnet20", (side, side, np.int32(3)), np.int64(7), alpha=np.float32(0.5), rho=np.float64(1)
    )
    assert model.output_shape == (None, 7)


# --------------------------------------------------------------------------- what a family promises


@pytest.mark.parametrize(
    "bypass, added, convolved",
    [(None, "", ""), ("simple", "3579", ""), ("complex", "23456789", "2468")],
)
def test_bypasses_of_squeezenet(bypass, added, convolved):
    names = {layer.name for layer in shape_only("squeezenet", bypass=bypass).layers}
    for index in "23456789":
        assert (f"fire{index}_add" in names) == (index in added)
        assert (f"fire{index}_bypass1x1" in names) == (index in convolved)


def test_building_leaves_the_recursion_limit():
    before = sys.getrecursionlimit()
    shape_only("resnet20")
    assert sys.getrecursionlimit() == before
