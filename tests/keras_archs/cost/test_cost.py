"""The cost model: counts by hand, graphs of every shape, and no trace left behind."""

import os
import random
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from keras.src.backend.common import global_state

from keras_archs import profile
from keras_archs.cost import profiling as cost
from keras_archs.cost import rules
from keras_archs.cost.rules import RULES

F32 = 4  # bytes


def model_of(layer, shape):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))


def row_of(layer, shape, **kwargs):
    """The row of one layer on an input of this shape."""
    return profile(lambda: model_of(layer, shape), **kwargs).rows[-1]


def residual(outputs_of=lambda x, y: y):
    inputs = keras.Input((4, 4, 2), name="image")  #           4*4*2 = 128 bytes
    x = layers.Conv2D(8, 1, name="first")(inputs)  #           4*4*8 = 512
    y = layers.Conv2D(8, 3, padding="same", name="second")(x)  #       512
    y = layers.Add(name="sum")([x, y])  #                              512
    y = layers.GlobalAveragePooling2D(name="pool")(y)  #                32
    return keras.Model(inputs, outputs_of(x, y))


# ----------------------------------------------------------------------------------- one layer


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (layers.Conv2D(5, 3), (6, 6, 3), 4 * 4 * 5 * 9 * 3),
        (layers.Conv2D(8, 3, strides=2, padding="same"), (7, 7, 4), 4 * 4 * 8 * 9 * 4),
        (layers.Conv2D(8, 3, groups=2), (6, 6, 4), 4 * 4 * 8 * 9 * 2),
        (layers.Conv2D(5, 3, dilation_rate=2), (6, 6, 3), 2 * 2 * 5 * 9 * 3),
        (layers.Conv2D(5, (1, 3)), (6, 6, 3), 6 * 4 * 5 * 3 * 3),
        (layers.Conv1D(5, 3), (6, 3), 4 * 5 * 3 * 3),
        (layers.Conv3D(5, 3), (6, 6, 6, 3), 4**3 * 5 * 27 * 3),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), (6, 6, 3), 4 * 4 * 6 * 9),
        (layers.DepthwiseConv1D(3), (6, 3), 4 * 3 * 3),
        (
            layers.SeparableConv2D(5, 3, depth_multiplier=2),
            (6, 6, 3),
            4 * 4 * 6 * 9 + 4 * 4 * 6 * 5,
        ),
        (layers.SeparableConv1D(5, 3), (6, 3), 4 * 3 * 3 + 4 * 3 * 5),
        # every input value meets every kernel value of its channel
        (layers.Conv2DTranspose(5, 3, strides=2), (4, 4, 3), 4 * 4 * 3 * 9 * 5),
        (layers.Conv1DTranspose(5, 2), (4, 3), 4 * 3 * 2 * 5),
        (layers.Dense(5), (7,), 7 * 5),
        (layers.Dense(5), (3, 7), 3 * 7 * 5),
        (layers.Dense(5), (2, 3, 7), 2 * 3 * 7 * 5),
        (layers.EinsumDense("abc,cd->abd", (3, 5)), (3, 7), 3 * 7 * 5),
        (layers.EinsumDense("abc,cde->abde", (3, 2, 5)), (3, 7), 3 * 7 * 2 * 5),
        (layers.EinsumDense("abc,bcd->ad", (5,)), (3, 7), 3 * 7 * 5),
        (layers.EinsumDense("...x,xy->...y", 5), (2, 3, 7), 2 * 3 * 7 * 5),
        (layers.EinsumDense("ab...,bc->ac...", 5), (7, 2, 3), 2 * 3 * 7 * 5),
        # a step: the input and the state each meet a kernel for every gate
        (layers.SimpleRNN(5), (3, 7), 3 * (7 + 5) * 5),
        (layers.GRU(5), (3, 7), 3 * (7 + 5) * 3 * 5),
        (layers.Bidirectional(layers.LSTM(5)), (3, 7), 2 * 3 * (7 + 5) * 4 * 5),
        (layers.TimeDistributed(layers.Conv2D(5, 3)), (4, 6, 6, 3), 4 * 2160),
        (layers.SpectralNormalization(layers.Conv2D(5, 3)), (6, 6, 3), 2160),
    ],
    ids=lambda value: value.name if isinstance(value, keras.Operation) else str(value),
)
def test_macs_by_hand(layer, shape, macs):
    row = row_of(layer, shape)
    assert (row.macs, row.ops) == (macs, macs)
    assert row.params == layer.count_params()


def test_channels_first_has_the_same_cost():
    first = row_of(layers.Conv2D(8, 3, groups=2, data_format="channels_first"), (4, 6, 7))
    assert first.macs == row_of(layers.Conv2D(8, 3, groups=2), (6, 7, 4)).macs


def attention_of(layer, *shapes, apart=False):
    def build():
        inputs = [keras.Input(shape) for shape in shapes]
        return keras.Model(inputs, layer(*inputs) if apart else layer(inputs))

    return profile(build)


@pytest.mark.parametrize("key", [(), ((6, 8),)], ids=["value is key", "key of its own"])
def test_attention_of_several_heads(key):
    layer = layers.MultiHeadAttention(num_heads=2, key_dim=5, value_dim=3)
    counted = attention_of(layer, (4, 7), (6, 8), *key, apart=True)
    projections = 4 * 7 * 2 * 5 + 6 * 8 * 2 * (5 + 3) + 4 * 2 * 3 * 7
    assert counted.macs == projections + 2 * 4 * 6 * (5 + 3)


def test_attention_along_one_axis_of_a_map():
    layer = layers.MultiHeadAttention(num_heads=2, key_dim=5, attention_axes=2)
    counted = profile(lambda: model_of(lambda x: layer(x, x), (4, 6, 7)))
    assert counted.macs == 24 * 4 * 7 * 2 * 5 + 2 * 24 * 6 * 2 * 5


def test_attention_whose_heads_share_keys():
    layer = layers.GroupQueryAttention(head_dim=5, num_query_heads=4, num_key_value_heads=2)
    counted = attention_of(layer, (4, 7), (6, 7), apart=True)
    assert counted.macs == 2 * 4 * 7 * 4 * 5 + 2 * 6 * 7 * 2 * 5 + 2 * 4 * 4 * 6 * 5


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (layers.Attention(), 4 * 6 * 7 + 4 * 6 * 7),
        (layers.Attention(score_mode="concat"), 4 * 6 * 7),
        (layers.AdditiveAttention(), 4 * 6 * 7),
        (layers.Dot(axes=2), 4 * 6 * 7),
    ],
    ids=["dot", "concat", "additive", "layer Dot"],
)
def test_products_of_activations(layer, macs):
    assert attention_of(layer, (4, 7), (6, 7)).macs == macs


def test_a_matrix_product_of_two_tensors_and_none_with_an_array():
    inputs = keras.Input((4, 7)), keras.Input((7, 6))
    assert profile(keras.Model(inputs, keras.ops.matmul(*inputs))).macs == 4 * 7 * 6
    product = keras.ops.matmul(inputs[0], np.ones((7, 5), "float32"))
    with pytest.raises(ValueError, match="an array is not known. Received: operation 'matmul"):
        profile(keras.Model(inputs[0], product))


def test_what_images_go_through_before_a_network_has_no_macs():
    def build():
        inputs = x = keras.Input((32, 40, 3), dtype="uint8")
        for layer in (
            *(layers.Resizing(24, 24), layers.CenterCrop(16, 16), layers.RandomFlip()),
            *(layers.RandomErasing(), layers.RandAugment(), layers.RandomHue(0.1, (0, 255))),
            *(layers.Rescaling(1 / 255), layers.Normalization(mean=0.5, variance=0.25)),
        ):
            x = layer(x)
        return keras.Model(inputs, layers.Conv2D(5, 3)(x))

    assert profile(build).macs == 14 * 14 * 27 * 5


@pytest.mark.parametrize(
    ("layer", "shape", "ops"),
    [
        (layers.MaxPooling2D(3, 2), (7, 7, 4), 9 * 3 * 3 * 4),
        (layers.AveragePooling2D(2), (6, 6, 4), 4 * 3 * 3 * 4),
        (layers.MaxPooling1D(2), (6, 4), 2 * 3 * 4),
        (layers.GlobalAveragePooling2D(), (6, 6, 4), 6 * 6 * 4),
        (layers.GlobalMaxPooling2D(keepdims=True), (6, 6, 4), 6 * 6 * 4),
        (layers.AdaptiveAveragePooling2D(4), (7, 7, 2), (2 + 3 + 3 + 2) ** 2 * 2),
    ],
    ids=lambda value: value.name if isinstance(value, keras.Operation) else str(value),
)
def test_pooling_has_comparisons_and_no_macs(layer, shape, ops):
    row = row_of(layer, shape)
    assert (row.macs, row.ops) == (0, ops)


def test_the_input_is_a_row_and_shapes_leave_out_the_batch():
    rows = profile(model_of(layers.Conv2D(5, 3, name="c"), (6, 6, 3)), batch_size=2).rows
    assert rows[0].type == "InputLayer"
    assert rows[0].output_shape == (6, 6, 3)
    assert (rows[0].macs, rows[0].activation_bytes) == (0, 2 * 6 * 6 * 3 * F32)
    assert rows[1] == cost.LayerCost(
        name="c",
        type="Conv2D",
        output_shape=(4, 4, 5),
        params=5 * (9 * 3 + 1),
        macs=2 * 2160,
        ops=2 * 2160,
        activation_bytes=2 * 4 * 4 * 5 * F32,
        stage="stride 1",
    )


def test_params_are_those_that_keras_counts_without_states_of_random_generators():
    inputs = keras.Input((6, 6, 3))
    x = layers.BatchNormalization()(inputs)
    model = keras.Model(inputs, layers.Dropout(0.5)(x))
    counted = profile(model)
    assert [row.params for row in counted.rows] == [0, 12, 0]
    assert (counted.params, counted.trainable_params) == (12, 6)
    assert counted.weight_bytes == 12 * F32


def test_a_frozen_layer_has_no_trainable_params():
    model = residual()
    model.get_layer("second").trainable = False
    counted = profile(model)
    assert counted.params == model.count_params()
    assert counted.trainable_params == 2 * 8 + 8


def test_activations_are_counted_in_the_compute_dtype_and_weights_in_their_own():
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    x = layers.Rescaling(1 / 255, dtype="mixed_float16")(inputs)
    x = layers.Conv2D(4, 1, use_bias=False, dtype="mixed_bfloat16")(x)
    x = layers.Activation("relu", dtype="float32")(x)
    counted = profile(keras.Model(inputs, x))
    assert [row.activation_bytes // 64 for row in counted.rows] == [3, 6, 8, 16]
    assert counted.weight_bytes == 12 * F32


# --------------------------------------------------------------------------------------- graphs


def test_peak_of_a_residual_block_by_hand():
    # image + first 640; first + second 1024; first + second + sum 1536 (the shortcut keeps
    # `first` alive); sum + pool 544
    counted = profile(residual())
    assert counted.peak_activation_bytes == 1536
    assert counted.activation_bytes == 128 + 3 * 512 + 32
    assert counted.macs == 16 * 2 * 8 + 16 * 9 * 8 * 8
    assert counted.flops == 2 * counted.macs


def test_outputs_of_the_model_live_to_the_end():
    inputs = keras.Input((4,))  #                16 bytes
    early = layers.Dense(2)(inputs)  #            8
    x = layers.Dense(8)(early)  #                32
    x = layers.Dense(8)(x)  #                    32
    assert profile(keras.Model(inputs, x)).peak_activation_bytes == 32 + 32
    assert profile(keras.Model(inputs, [early, x])).peak_activation_bytes == 8 + 32 + 32


def test_an_input_lives_from_the_start_until_its_last_use():
    late = keras.Input((100,))  #                   400 bytes, read by the last call
    early = keras.Input((10,))  #                    40
    x = layers.Dense(90)(early)  #                  360
    x = layers.Dense(1)(x)  #                         4
    y = layers.Concatenate()([x, late])  #          404
    counted = profile(keras.Model([early, late], y))
    assert counted.peak_activation_bytes == 4 + 400 + 404
    x = layers.Dense(1)(layers.Dense(190)(early))  #  760, while `late` waits
    counted = profile(keras.Model([early, late], layers.Concatenate()([x, late])))
    assert counted.peak_activation_bytes == 40 + 760 + 400


def test_a_tensor_that_is_read_twice_by_a_call_counts_once():
    inputs = keras.Input((10,))
    assert profile(keras.Model(inputs, inputs + inputs)).peak_activation_bytes == 2 * 10 * F32


def test_batch_size_multiplies_activations_and_macs_and_no_params():
    one, eight = profile(residual()), profile(residual(), batch_size=8)
    for quantity in ("macs", "flops", "activation_bytes", "peak_activation_bytes"):
        assert getattr(eight, quantity) == 8 * getattr(one, quantity)
    assert [row.ops for row in eight.rows] == [8 * row.ops for row in one.rows]
    assert (eight.params, eight.weight_bytes) == (one.params, one.weight_bytes)


def test_a_batch_size_in_the_model_changes_nothing():
    inputs = keras.Input(batch_shape=(16, 6, 6, 3))
    assert profile(keras.Model(inputs, layers.Conv2D(5, 3)(inputs))).macs == 2160


def test_a_shared_layer_has_its_params_once_and_its_macs_each_time():
    left, right = keras.Input((7,)), keras.Input((7,))
    dense = layers.Dense(5, name="twin")
    counted = profile(keras.Model([left, right], layers.Add()([dense(left), dense(right)])))
    rows = [row for row in counted.rows if row.name == "twin"]
    assert [row.params for row in rows] == [40, 0]
    assert [row.macs for row in rows] == [35, 35]
    assert (counted.params, counted.macs) == (40, 70)


@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_a_nested_model_has_its_rows_in_place(kind):
    if kind == "functional":
        inputs = keras.Input((8,))
        inner = layers.Dense(6, name="b")(layers.Dense(4, name="a")(inputs))
        inner = keras.Model(inputs, inner, name="inner")
    else:
        inner = keras.Sequential(
            [layers.Dense(4, name="a"), layers.Dense(6, name="b")], name="inner"
        )
    inputs = keras.Input((8,), name="in")
    outputs = layers.Dense(8, name="out")(inner(inputs))
    counted = profile(keras.Model(inputs, outputs))
    assert [row.name for row in counted.rows] == ["in", "inner/a", "inner/b", "out"]
    assert [row.macs for row in counted.rows] == [0, 32, 24, 48]
    assert counted.params == 36 + 30 + 56
    assert counted.peak_activation_bytes == (6 + 8) * F32


def test_a_nested_model_that_runs_twice_keeps_both_results_apart():
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(8)], name="inner")
    inputs = keras.Input((8,))
    x = inner(inputs)
    counted = profile(keras.Model(inputs, layers.Concatenate()([inputs, x, inner(x)])))
    assert counted.macs == 2 * 64
    assert counted.params == 72
    assert counted.peak_activation_bytes == (8 + 8 + 8 + 24) * F32


def test_a_nested_model_of_open_sides_runs_at_the_sides_it_is_given():
    inner = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(5, 3), layers.ReLU()])
    counted = profile(model_of(inner, (6, 6, 3)))
    assert counted.macs == 2160
    assert counted.rows[-1].output_shape == (4, 4, 5)


def test_operators_between_tensors_have_no_macs():
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(3, 1)(inputs)
    model = keras.Model(inputs, (x + inputs) * inputs - 2 * x / 3)
    counted = profile(model)
    assert counted.macs == 16 * 9
    assert {row.type for row in counted.rows} >= {"Add", "Multiply", "Subtract"}


def test_a_model_within_a_model_is_one_graph_where_it_is_cut_out():
    whole = residual()
    part = keras.Model(whole.get_layer("first").output, whole.output)
    assert [row.name for row in profile(part).rows][1:] == ["second", "sum", "pool"]


def test_a_sequential_model():
    model = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(5, 3), layers.Flatten()])
    assert profile(model).macs == 2160
    assert profile(model).params == model.count_params()


# -------------------------------------------------------------------------------------- stages


def stages_of(shape, network):
    """The stage of each call of a function of the input."""
    return {row.name: row.stage for row in profile(lambda: model_of(network, shape)).rows}


def test_a_stage_is_a_total_stride_and_the_head_comes_after_the_last_map():
    def network(x):
        x = layers.Conv2D(4, 3, name="valid")(x)  # 14 x 14, and the same stride for all that
        x = layers.ZeroPadding2D(name="pad")(x)
        x = layers.Conv2D(4, 3, strides=2, name="half")(x)
        x = layers.MaxPooling2D(name="quarter")(x)
        x = layers.Conv2DTranspose(4, 2, strides=2, name="half again")(x)
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        return layers.Dense(3, name="logits")(x)

    stages = stages_of((16, 16, 3), network)
    assert list(stages.values())[0] == "stride 1"  # of the input
    assert dict(list(stages.items())[1:]) == {
        **{"valid": "stride 1", "pad": "stride 1", "half": "stride 2", "quarter": "stride 4"},
        **{"half again": "stride 2", "pool": "head", "logits": "head"},
    }


def test_a_branch_that_weighs_channels_belongs_to_the_stage_of_its_map():
    def network(x):
        x = layers.Conv2D(4, 3, strides=2, padding="same")(x)
        weight = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
        weight = layers.Conv2D(4, 1, name="excite")(weight)
        x = layers.Multiply(name="weighed")([x, weight])
        x = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
        return layers.Flatten(name="flat")(x)

    stages = stages_of((8, 8, 3), network)
    assert {stages[name] for name in ("squeeze", "excite", "weighed")} == {"stride 2"}
    assert {stages[name] for name in ("pool", "flat")} == {"head"}


def test_a_map_of_one_place_is_no_head():
    def network(x):
        x = layers.Conv2D(4, 3, strides=2, padding="same", name="small")(x)
        return layers.Flatten(name="flat")(x)

    stages = stages_of((2, 2, 3), network)
    assert (stages["small"], stages["flat"]) == ("stride 2", "head")


def test_stages_add_up_and_the_head_is_the_last():
    counted = profile("googlenet", aux=True)
    names = [stage.name for stage in counted.stages]
    assert names == [*(f"stride {stride}" for stride in (1, 2, 4, 8, 16, 32, 48)), "head"]
    assert sum(stage.calls for stage in counted.stages) == len(counted.rows)
    for quantity in ("params", "macs", "ops", "activation_bytes"):
        total = sum(getattr(stage, quantity) for stage in counted.stages)
        assert total == getattr(counted, quantity)


def test_the_stages_of_a_mobilenet():
    stages = {stage.name: stage for stage in profile("mobilenet").stages}
    first, last = stages["stride 2"], stages["head"]
    assert first.macs == 112 * 112 * (27 * 32 + 9 * 32 + 32 * 64)
    assert first.output_shape == (112, 112, 64)  # not what the next stage pads
    assert (last.params, last.macs, last.calls) == (1_025_000, 1_024_000, 5)


def test_the_data_frame_of_stages_has_shares_in_per_cent():
    counted = profile("lenet5")
    frame = counted.to_dataframe(stages=True).set_index("name")
    assert frame.loc["stride 1", "macs"] == 117_600
    assert frame.loc["stride 1", "macs_percent"] == pytest.approx(100 * 117_600 / 416_520)
    for quantity in ("params", "macs", "activation_bytes"):
        assert frame[f"{quantity}_percent"].sum() == pytest.approx(100)
    weightless = profile(lambda: model_of(layers.ReLU(), (4, 4, 3)))
    assert weightless.to_dataframe(stages=True)["params_percent"].tolist() == [0]


def test_two_networks_side_by_side():
    half, full = profile("mobilenet", alpha=0.5), profile("mobilenet")
    frame = half.compare(full).to_dataframe().set_index(["stage", "quantity"])
    assert tuple(frame.loc[("total", "macs")]) == (149_497_088, 568_740_352, full.macs / half.macs)
    peaks = frame.loc[("total", "peak_activation_bytes")]
    assert (peaks["first"], peaks["second"]) == (
        half.peak_activation_bytes,
        full.peak_activation_bytes,
    )
    assert frame.loc[("head", "params"), "second"] == 1_025_000
    assert np.isnan(frame.loc[("stride 1", "macs"), "ratio"])
    text = str(half.compare(full))
    assert re.search(r"total +params +1,342,536 +4,253,864 +3\.17", text)
    assert re.search(r"stride 1 +params +0 +0$", text, re.MULTILINE)


def test_side_by_side_a_stage_that_only_one_has_is_nothing_in_the_other():
    small, large = profile("lenet5"), profile("squeezenet")
    frame = small.compare(large).to_dataframe().set_index(["stage", "quantity"])
    assert frame.loc[("stride 16", "params"), "first"] == 0
    stages = frame.index.get_level_values("stage").unique()
    assert list(stages) == [*("total", *(f"stride {n}" for n in (1, 2, 4, 8, 16))), "head"]


# ------------------------------------------------------------------------------------ open sides


def convolutional(input_shape):
    inputs = keras.Input(input_shape)
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3)(layers.ZeroPadding2D()(x))
    x = layers.Concatenate()([x, layers.Dropout(0.5)(layers.MaxPooling2D(3, 1, "same")(x))])
    x = layers.Dense(5)(layers.GlobalAveragePooling2D()(x * 2 + x))
    return keras.Model(inputs, layers.Softmax()(x), name="open")


def test_input_shape_fills_in_open_sides():
    model = convolutional((None, None, 3))
    for shape in ((32, 32, 3), (17, 40, 3)):
        resolved, built = (
            profile(model, input_shape=shape),
            profile(convolutional, input_shape=shape),
        )
        for quantity in ("params", "macs", "activation_bytes", "peak_activation_bytes"):
            assert getattr(resolved, quantity) == getattr(built, quantity)
        for quantity in ("output_shape", "macs", "ops"):
            columns = [[getattr(row, quantity) for row in p.rows] for p in (resolved, built)]
            assert columns[0] == columns[1]


def test_input_shape_as_a_list_for_several_inputs():
    inputs = [keras.Input((None, 3)), keras.Input((None, 3))]
    model = keras.Model(
        inputs, layers.Concatenate(axis=1)([layers.Conv1D(4, 1)(i) for i in inputs])
    )
    assert profile(model, input_shape=[(5, 3), (6, 3)]).macs == (5 + 6) * 3 * 4


@pytest.mark.parametrize(
    "shape", [None, (None, 224, 3), (224, 224), (224, 224, 1), (0, 224, 3), (1.5, 224, 3), 224]
)
def test_sides_that_stay_open_or_contradict_are_an_error(shape):
    model = model_of(layers.Conv2D(5, 3), (None, None, 3))
    with pytest.raises(ValueError, match=r"`input_shape` must give all sides .*Received: input_sh"):
        profile(model, input_shape=shape)


def test_a_model_of_known_sides_is_counted_without_a_backend_call(monkeypatch):
    model = convolutional((8, 8, 3))

    def refuse(*args, **kwargs):
        raise AssertionError("a shape was inferred")

    monkeypatch.setattr(layers.Layer, "compute_output_spec", refuse)
    assert profile(model).macs > 0


# ---------------------------------------------------------------------------------------- rules


class Strange(layers.Layer):
    def call(self, x):
        return x


class StrangeConv(layers.Conv2D):
    def call(self, x):
        return super().call(super().call(x))


class RenamedConv(layers.Conv2D):
    """Computes what Conv2D does."""


@pytest.mark.parametrize(
    "layer",
    [
        Strange(name="odd"),
        StrangeConv(3, 1, name="odd"),
        layers.Lambda(lambda x: x, name="odd"),
        layers.LayerNormalization.from_config({"name": "odd"}),
    ],
)
def test_a_layer_without_a_rule_is_an_error_that_names_it(layer, monkeypatch):
    monkeypatch.delitem(RULES, layers.LayerNormalization)
    kind = type(layer).__name__
    with pytest.raises(ValueError, match=rf"register\({kind}\).*'odd' of type {kind}"):
        profile(model_of(layer, (4, 4, 3)))


def test_an_operation_without_a_rule_is_an_error_that_names_it():
    inputs = keras.Input((4, 4, 3))
    with pytest.raises(ValueError, match="of type Sort"):
        profile(keras.Model(inputs, keras.ops.sort(inputs)))


def test_a_subclass_that_keeps_call_has_the_rule_of_its_parent():
    assert row_of(RenamedConv(5, 3), (6, 6, 3)).macs == 2160


def test_registering_a_rule(monkeypatch):
    monkeypatch.setattr(rules, "RULES", dict(RULES))

    @cost.register(Strange)
    def strange(layer, inputs, outputs):
        assert isinstance(layer, Strange)
        assert inputs == outputs == [(4, 4, 3)]
        return 7, 11

    row = row_of(Strange(), (4, 4, 3), batch_size=2)
    assert (row.type, row.macs, row.ops) == ("Strange", 14, 22)
    with pytest.raises(TypeError, match="classes of layers"):
        cost.register(Strange())


def test_a_model_that_computes_in_its_own_way_is_an_error():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    class OwnCall(keras.Model):
        def call(self, x):
            return x

    inputs = keras.Input((4,))
    own_call = OwnCall(inputs, layers.Dense(3)(inputs))
    for model in (Subclassed(), own_call, keras.Sequential([layers.Dense(3)])):
        with pytest.raises(ValueError, match="must be a functional"):
            profile(model)
    with pytest.raises(ValueError, match="register.Subclassed"):
        profile(model_of(Subclassed(), (4,)))


def test_a_functional_subclass_that_keeps_call():
    class OwnTraining(keras.Model):
        def train_step(self, *args):
            raise NotImplementedError

    inputs = keras.Input((4,))
    assert profile(OwnTraining(inputs, layers.Dense(3)(inputs))).macs == 12


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True, "2"])
def test_batch_size_is_a_positive_integer(batch_size):
    with pytest.raises(ValueError, match="`batch_size` must be an integer >= 1"):
        profile("lenet5", batch_size=batch_size)


@pytest.mark.parametrize(
    ("model", "kwargs", "error", "message"),
    [
        ("lenet6", {}, ValueError, "Did you mean 'lenet5'"),
        ("lenet5", {"alhpa": 2}, TypeError, "Did you mean 'alpha'"),
        ("lenet5", {"weights": "w.keras"}, ValueError, "`weights` must be None"),
        (3, {}, TypeError, "`model` must be"),
        (layers.Dense(3), {}, TypeError, "`model` must be"),
        (lambda: 3, {}, TypeError, "must build a keras.Model"),
    ],
)
def test_wrong_arguments(model, kwargs, error, message):
    with pytest.raises(error, match=message):
        profile(model, **kwargs)


def test_a_model_takes_no_argument_of_a_builder():
    with pytest.raises(TypeError, match="Received: alpha"):
        profile(residual(), alpha=2)


# ---------------------------------------------------------------------------------- no trace left


def megabytes(kind):
    """Of this process: VmRSS, what it holds; VmHWM, the most since `forget_the_peak`."""
    text = Path("/proc/self/status").read_text()
    return int(re.search(rf"{kind}:\s+(\d+) kB", text)[1]) / 1024


def forget_the_peak():
    Path("/proc/self/clear_refs").write_text("5")


def random_state():
    return random.getstate(), np.random.get_state()[1].tolist()


def random_network(**kwargs):
    inputs = keras.Input((6,))
    x = layers.Dense(5, bias_initializer="glorot_uniform")(inputs)
    x = layers.Dense(int(random.random() * 20) + 2)(layers.Dropout(0.5)(x))
    x = x * float(np.random.uniform()) * float(keras.random.uniform(()))
    return keras.Model(inputs, x, **kwargs)


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux' count of memory"
)
def test_a_profile_allocates_no_weights_then_or_later():
    layers.Dense(2)(np.zeros((1, 2)))  # what the backend allocates with its first layer
    before = megabytes("VmRSS")
    forget_the_peak()
    assert profile("vgg19").params == 143_667_240  # 575 MB
    assert megabytes("VmHWM") - before < 50
    layers.Dense(3)(np.zeros((1, 2)))
    with keras.StatelessScope():
        pass
    assert megabytes("VmRSS") - before < 50


def test_keras_keeps_pending_variables_where_we_look_for_them():
    # The attribute is private. Where this fails, `profile` has to take them out of another place.
    with keras.StatelessScope(initialize_variables=False):
        kernel = layers.Dense(3)
        kernel.build((None, 2))
    pending = global_state.get_global_attribute("uninitialized_variables")
    assert [id(v) for v in pending[-2:]] == [id(v) for v in kernel.weights]
    with keras.StatelessScope():
        pass
    assert kernel.kernel._value is not None
    assert not global_state.get_global_attribute("uninitialized_variables")


def test_a_scope_that_closes_later_gives_no_values_to_a_profiled_model():
    built = []

    def build():
        built.append(random_network())
        return built[0]

    profile(build)
    with keras.StatelessScope():
        layers.Dense(3).build((None, 2))
    assert all(v._value is None for v in built[0].variables)


def test_variables_that_were_pending_before_get_their_values():
    with keras.StatelessScope(initialize_variables=False):
        waiting = layers.Dense(3)
        waiting.build((None, 2))
    profile(random_network)
    with keras.StatelessScope():
        pass
    assert np.asarray(waiting.kernel).shape == (2, 3)


def test_within_an_outer_scope():
    with keras.StatelessScope():
        mine = layers.Dense(3)
        mine.build((None, 2))
        built = random_network()
        assert profile(built).params == built.count_params()
        assert profile("lenet5").params == 61_706
        assert global_state.get_global_attribute("stateless_scope") is not None
    assert np.asarray(mine.kernel).shape == (2, 3)
    assert np.asarray(built.weights[0]).shape == (6, 5)


def test_a_seeded_build_is_the_same_after_a_profile():
    def snapshot(with_profile):
        keras.backend.clear_session()
        keras.utils.set_random_seed(7)
        if with_profile:
            profile(random_network)
            profile("mobilenet", alpha=0.25)
        model = random_network()
        drawn = np.asarray(keras.random.normal((3,)))
        return model, drawn

    (plain, plain_drawn), (after, after_drawn) = snapshot(False), snapshot(True)
    assert [v.path for v in after.variables] == [v.path for v in plain.variables]
    assert [layer.name for layer in after.operations] == [layer.name for layer in plain.operations]
    assert after.name == plain.name
    assert len(after.variables) == 5  # with the state of the dropout's generator
    for a, b in zip(after.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(after_drawn, plain_drawn)


def test_a_profile_that_fails_leaves_no_trace_either():
    def failing():
        random_network()
        raise RuntimeError("of the builder")

    before = random_state()
    with pytest.raises(RuntimeError, match="of the builder"):
        profile(failing)
    assert random_state() == before
    assert not global_state.get_global_attribute("uninitialized_variables")


def test_shapes_of_open_sides_leave_no_trace():
    model = convolutional((None, None, 3))

    def state():
        return random_state(), dict(global_state.get_global_attribute("object_name_uids"))

    before = state()
    profile(model, input_shape=(64, 64, 3))
    assert state() == before
    assert np.asarray(model(np.zeros((1, 32, 32, 3)))).shape == (1, 5)


# ----------------------------------------------------------------------------------------- output


def test_the_table_has_a_row_a_call_and_the_totals():
    text = str(profile("lenet5"))
    lines = text.splitlines()
    assert any(re.search(r"c3\s+Conv2D\s+10 x 10 x 16\s+2,416\s+240,000\s+6,400", s) for s in lines)
    assert any(re.search(r"total\s+61,706\s+416,520\s+38,112", s) for s in lines)
    subtotals = r"stride 2\s+2 calls\s+10 x 10 x 16\s+2,416\s+3\.9\s+240,000\s+57\.6\s+11,104"
    assert re.search(subtotals, text)
    assert "peak of activations 23,520 bytes" in text
    assert "\x1b" not in text


def test_the_table_of_the_stages_alone():
    text = profile("lenet5").as_text(layers=False)
    assert re.search(r"stride 2\s+2\s+10 x 10 x 16\s+2,416", text)
    assert re.search(r"total\s+61,706\s+416,520\s+38,112", text)
    assert "c3" not in text


def test_the_data_frame_has_the_rows():
    counted = profile("lenet5")
    frame = counted.to_dataframe()
    assert list(frame.columns) == [
        *("name", "type", "output_shape", "params", "macs", "ops", "activation_bytes", "stage")
    ]
    assert len(frame) == len(counted.rows)
    assert frame["macs"].sum() == counted.macs
    assert frame.set_index("name").loc["c1", "output_shape"] == (28, 28, 6)
