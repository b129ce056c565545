"""What GoogLeNet and BNInception promise beyond what all architectures do."""

import functools
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from running import run

import keras_archs
from keras_archs import architecture
from keras_archs.graph import without_values

AUX_OUTPUTS = ["aux1", "aux2", "predictions"]


@functools.cache
def shape_only(name, *args, **kwargs) -> Any:
    """The network without values for its weights; tests leave it as it is."""
    with without_values():
        return keras_archs.build(name, *args, **kwargs)


def of(model, kind) -> list:
    return [layer for layer in model.layers if isinstance(layer, kind)]


# ------------------------------------------------------------------------------------ the modules

MAPS = {
    "googlenet": {
        "3a": (28, 256),
        "3b": (28, 480),
        **{"4a": (14, 512), "4b": (14, 512), "4c": (14, 512), "4d": (14, 528), "4e": (14, 832)},
        **{"5a": (7, 832), "5b": (7, 1024)},
    },
    "bninception": {
        **{"3a": (28, 256), "3b": (28, 320), "3c": (14, 576)},
        **{"4a": (14, 576), "4b": (14, 576), "4c": (14, 576), "4d": (14, 576), "4e": (7, 1024)},
        **{"5a": (7, 1024), "5b": (7, 1024)},
    },
}
VARIANTS = [
    ("googlenet", {}),
    ("googlenet", {"layout": "torch"}),
    ("bninception", {}),
    ("bninception", {"separable_stem": True}),
]


@pytest.mark.parametrize("name, own", VARIANTS, ids=str)
def test_the_maps_are_those_of_the_tables(name, own):
    model = shape_only(name, **own)
    outputs = {layer.name: layer.output.shape[1:] for layer in of(model, layers.Concatenate)}
    assert outputs == {
        f"inception_{module}_output": (side, side, channels)
        for module, (side, channels) in MAPS[name].items()
    }
    assert model.get_layer("pool2").output.shape[1:] == (28, 28, 192)


def branches(model, module) -> list[str]:
    made_by = {id(layer.output): layer.name for layer in model.layers}
    concatenated = model.get_layer(f"inception_{module}_output").input
    return [made_by[id(tensor)].removeprefix(f"inception_{module}_") for tensor in concatenated]


@pytest.mark.parametrize("name, own", VARIANTS, ids=str)
def test_branches_stand_in_the_order_of_the_papers(name, own):
    model = shape_only(name, **own)
    wide = "5x5" if name == "googlenet" else "double3x3b"
    reducing = [] if name == "googlenet" else ["3c", "4e"]
    for module in MAPS[name]:
        found = branches(model, module)
        if module in reducing:
            assert found == ["3x3_relu", f"{wide}_relu", "pool"]
        else:
            assert found == ["1x1_relu", "3x3_relu", f"{wide}_relu", "pool_proj_relu"]


def test_where_bninception_averages_and_where_it_strides():
    model = shape_only("bninception")
    averaged = {layer.name for layer in of(model, layers.AveragePooling2D)}
    assert averaged == {f"inception_{m}_pool" for m in "3a 3b 4a 4b 4c 4d 5a".split()}
    strided = {layer.name for layer in of(model, layers.Conv2D) if layer.strides == (2, 2)}
    last = [f"inception_{m}_{op}_conv" for m in ("3c", "4e") for op in ("3x3", "double3x3b")]
    assert strided == {"conv1_conv", *last}
    assert {layer.padding for layer in of(model, layers.Conv2D) if layer.name in strided} == {
        "valid"  # behind a padding layer
    }


@pytest.mark.parametrize("side", [23, 29])
def test_the_branches_of_bninception_fit_together_at_odd_sides(side):
    for separable_stem in (False, True):
        model = shape_only("bninception", (side, side + 3, 3), separable_stem=separable_stem)
        assert model.output_shape == (None, 1000)


def test_average_pooling_counts_the_zeros_beside_the_map_unless_slim():
    ones = np.ones((1, 5, 5, 1), "float32")
    corners = []
    for separable_stem in (False, True):
        model = shape_only("bninception", separable_stem=separable_stem)
        names = {layer.name for layer in model.layers}
        pads = [n for n in ("inception_3a_pool_pad", "inception_3a_pool") if n in names]
        x = inputs = keras.Input((5, 5, 1))
        for layer in map(model.get_layer, pads):
            x = type(layer).from_config(layer.get_config())(x)
        corners.append(np.asarray(run(keras.Model(inputs, x), ones))[0, 0, 0, 0])
    np.testing.assert_allclose(corners, [4 / 9, 1])


# ------------------------------------------------------------------------------------ conventions


def facts(model) -> tuple:
    norms = of(model, layers.BatchNormalization)
    return (
        {layer.use_bias for layer in of(model, layers.Conv2D)},
        {layer.epsilon for layer in norms},
        {layer.scale for layer in norms},
        [layer.rate for layer in of(model, layers.Dropout)],
    )


def test_biases_batchnorm_and_dropout():
    assert facts(shape_only("googlenet")) == ({True}, set(), set(), [0.4])
    assert facts(shape_only("googlenet", layout="torch")) == ({False}, {1e-3}, {True}, [0.2])
    assert facts(shape_only("bninception")) == ({False}, {1e-5}, {True}, [])
    slim = facts(shape_only("bninception", separable_stem=True))
    assert slim == ({False}, {1e-3}, {False}, [])


def test_local_response_normalisation_has_the_constants_of_caffe():
    model = shape_only("googlenet")
    for name, before, after in (("lrn1", "pool1", "conv2_reduce"), ("lrn2", "conv2", "pool2")):
        lrn = model.get_layer(name)
        assert (lrn.size, lrn.beta, lrn.k) == (5, 0.75, 1.0)
        assert lrn.alpha == pytest.approx(1e-4 / 5)
        order = [layer.name for layer in model.layers]
        found = [at for at, n in enumerate(order) if n.startswith((before, after))]
        assert min(found) < order.index(name) < max(found)
    assert not [
        layer for layer in shape_only("googlenet", layout="torch").layers if "lrn" in layer.name
    ]


def test_the_kernels_of_the_wide_branch_and_of_the_last_pooling():
    for layout, kernel, window in (("caffe", 5, 3), ("torch", 3, 2)):
        model = shape_only("googlenet", layout=layout)
        for module in MAPS["googlenet"]:
            wide = model.get_layer(f"inception_{module}_5x5_conv")
            assert wide.kernel_size == (kernel, kernel)
        windows = [model.get_layer(f"pool{i}").pool_size[0] for i in range(1, 5)]
        assert windows == [3, 3, 3, window]


@pytest.mark.slow
def test_the_separable_convolution_has_up_to_eight_maps_a_channel():
    for alpha, maps in ((2.0, 8), (1.0, 8), (0.25, 5), (0.01, 1)):
        first = shape_only("bninception", separable_stem=True, alpha=alpha).get_layer("conv1_conv")
        assert isinstance(first, layers.SeparableConv2D)
        assert (first.depth_multiplier, first.use_bias, first.strides) == (maps, False, (2, 2))


@pytest.mark.parametrize("name, own", VARIANTS, ids=str)
def test_small_stems_have_no_first_reductions(name, own):
    model = shape_only(name, (32, 32, 3), stem="small", **own)
    assert model.get_layer("conv1_conv").output.shape[1:3] == (32, 32)
    assert "pool1" not in [layer.name for layer in model.layers]
    assert model.get_layer("inception_5b_output").output.shape[1:3] == (4, 4)


# -------------------------------------------------------------------------- auxiliary classifiers


@pytest.mark.parametrize("layout", ["caffe", "torch"])
def test_auxiliary_classifiers_start_from_4a_and_4d(layout):
    model = shape_only("googlenet", layout=layout, aux=True)
    assert sorted(model.output) == AUX_OUTPUTS
    for name, module, channels in (("aux1", "4a", 512), ("aux2", "4d", 528)):
        pool = model.get_layer(f"{name}_pool")
        assert pool.input is model.get_layer(f"inception_{module}_output").output
        assert pool.output.shape[1:] == (4, 4, channels)
        assert model.get_layer(f"{name}_flatten").output.shape[1:] == (2048,)
        assert model.get_layer(f"{name}_fc").units == 1024
        assert model.get_layer(f"{name}_dropout").rate == 0.7
        assert model.output[name] is model.get_layer(f"{name}_predictions").output
    assert model.output["predictions"] is model.get_layer("predictions").output


def test_one_rate_sets_all_dropout_and_0_leaves_it_out():
    rates = [layer.rate for layer in of(shape_only("googlenet", aux=True), layers.Dropout)]
    assert sorted(rates) == [0.4, 0.7, 0.7]
    given = of(shape_only("googlenet", aux=True, dropout=0.1), layers.Dropout)
    assert [layer.rate for layer in given] == [0.1] * 3
    assert of(shape_only("googlenet", aux=True, dropout=0), layers.Dropout) == []


def test_without_an_activation_all_outputs_are_logits():
    model = shape_only("googlenet", aux=True, classifier_activation=None)
    for name, layer in zip(AUX_OUTPUTS, ["aux1_logits", "aux2_logits", "logits"], strict=True):
        assert model.output[name] is model.get_layer(layer).output
        assert model.output[name].dtype == "float32"


def test_the_network_before_the_classifiers_does_not_depend_on_aux():
    plain = [layer.name for layer in shape_only("googlenet").layers]
    with_aux = [layer.name for layer in shape_only("googlenet", aux=True).layers]
    assert [name for name in with_aux if not name.startswith("aux")] == plain
    assert not isinstance(shape_only("googlenet").output, dict)


def test_auxiliary_classifiers_of_caffe_need_fixed_sides():
    with pytest.raises(ValueError, match="fixed sides: layer `aux1_flatten`"):
        shape_only("googlenet", (None, None, 3), aux=True)
    model = shape_only("googlenet", (None, None, 3), 5, layout="torch", aux=True)
    assert {tensor.shape for tensor in model.output.values()} == {(None, 5)}


@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_the_minimum_size_with_auxiliary_classifiers(stem, monkeypatch):
    smallest = functools.partial(keras_archs.info("googlenet").min_size_for, stem=stem)
    least = smallest(aux=True)
    assert least > smallest() == smallest(layout="torch") == smallest(layout="torch", aux=True)
    model = shape_only("googlenet", (least, least + 1, 1), 3, stem=stem, aux=True)
    assert sorted(model.output) == AUX_OUTPUTS
    with pytest.raises(ValueError, match=f"at least {least}x{least} for GoogLeNet"):
        shape_only("googlenet", (least, least - 1, 1), stem=stem, aux=True)
    monkeypatch.setattr(architecture, "_check_input_shape", lambda shape, *_: shape)
    with pytest.raises(ValueError, match="aux1_pool|negative|output shape|output size"):
        shape_only("googlenet", (least - 1, least - 1, 1), stem=stem, aux=True)


@pytest.mark.parametrize("side", [2, 14])
def test_auxiliary_classifiers_of_torch_pool_windows_that_may_overlap(side):
    built = shape_only("googlenet", layout="torch", aux=True).get_layer("aux1_pool")
    inputs = keras.Input((side, side, 1))
    pool = keras.Model(inputs, type(built).from_config(built.get_config())(inputs))
    image = np.random.default_rng(0).normal(size=(side, side)).astype("float32")
    spans = [slice(i * side // 4, -(-(i + 1) * side // 4)) for i in range(4)]
    wanted = [[image[rows, columns].mean() for columns in spans] for rows in spans]
    found = np.asarray(run(pool, image[None, ..., None]))[0, ..., 0]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
