"""What the wide ResNets promise beyond what every builder does."""

import keras
import pytest
from keras import layers

import keras_archs
from keras_archs.graph import without_values


def shape_only(name, *args, **kwargs) -> keras.Model:
    with without_values():
        return keras_archs.build(name, *args, **kwargs)


def of(kind, model) -> list:
    return [layer for layer in model.layers if isinstance(layer, kind)]


def projections(model) -> list[str]:
    return [layer.name for layer in model.layers if "_0_" in layer.name]


@pytest.mark.parametrize("depth, k", [(10, 1), (16, 4), (40, 2)])
def test_depth_and_k_give_the_layers_and_widths_of_the_paper(depth, k):
    convolutions = of(layers.Conv2D, shape_only("wideresnet", depth=depth, k=k))
    in_blocks = [conv for conv in convolutions if conv.kernel_size == (3, 3)][1:]
    assert len(in_blocks) == depth - 4
    each = (depth - 4) // 3
    assert [c.filters for c in in_blocks] == [f * k for f in (16, 32, 64) for _ in range(each)]


def test_the_default_is_wrn_28_10():
    counts = [keras_archs.profile(name) for name in ("wideresnet", "wrn_28_10")]
    assert counts[0].params == counts[1].params and counts[0].macs == counts[1].macs


def test_alpha_comes_on_top_of_k():
    wide, scaled = shape_only("wrn_16_8", alpha=0.5), shape_only("wrn_16_4")
    pairs = list(zip(of(layers.Conv2D, wide), of(layers.Conv2D, scaled), strict=True))
    assert (pairs[0][0].filters, pairs[0][1].filters) == (8, 16)
    assert all(a.filters == b.filters for a, b in pairs[1:])


@pytest.mark.parametrize("depth", [4, 27, 30])
def test_a_depth_that_is_not_of_the_papers_form_is_refused(depth):
    with pytest.raises(ValueError, match=rf"`depth` must be 6n \+ 4: .* Received: depth={depth}"):
        shape_only("wideresnet", depth=depth)


def test_k_and_depth_are_positive_integers_and_fixed_in_the_variants():
    for argument in ("depth", "k"):
        with pytest.raises(
            ValueError, match=rf"`{argument}` must be an integer in \[1, 4096\]. Received"
        ):
            shape_only("wideresnet", **{argument: 0})
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{argument}'"):
            shape_only("wrn_28_10", **{argument: 4})


def test_a_shortcut_is_projected_where_the_width_changes():
    wide = [f"conv{stage}_block1_0_conv" for stage in (2, 3, 4)]
    assert projections(shape_only("wrn_16_4")) == wide
    assert projections(shape_only("wideresnet", depth=16, k=1)) == wide[1:]
    for alpha in (1e-6, 0.25):
        assert projections(shape_only("wrn_16_4", alpha=alpha)) == wide


def test_a_projection_starts_from_the_activation_and_an_identity_from_the_sum():
    model = shape_only("wrn_16_4")
    active = model.get_layer("conv3_block1_preact_relu").output
    assert model.get_layer("conv3_block1_0_conv").input is active
    assert model.get_layer("conv3_block1_1_pad").input is active
    assert model.get_layer("conv3_block1_1_conv").strides == (2, 2)
    previous = model.get_layer("conv3_block1_out").output
    assert any(tensor is previous for tensor in model.get_layer("conv3_block2_out").input)
    first = shape_only("wideresnet", depth=10, k=1)
    stem = first.get_layer("conv1_conv").output
    assert any(tensor is stem for tensor in first.get_layer("conv2_block1_out").input)


def test_dropout_stands_between_the_convolutions_of_a_block_and_nowhere_else():
    assert of(layers.Dropout, shape_only("wrn_16_4")) == []
    model = shape_only("wrn_16_4", dropout=0.3)
    found = of(layers.Dropout, model)
    assert {layer.rate for layer in found} == {0.3}
    assert len(found) == 6
    for layer in found:
        block = layer.name.removesuffix("_drop")
        assert layer.input is model.get_layer(f"{block}_1_relu").output
        assert layer.output is model.get_layer(f"{block}_2_conv").input


def test_on_imagenet_a_bottleneck_is_resnet50s_with_twice_the_width_inside():
    wide, narrow = shape_only("wideresnet50_2"), shape_only("resnet50", layout="torch")
    assert [layer.name for layer in wide.layers] == [layer.name for layer in narrow.layers]
    for ours, theirs in zip(of(layers.Conv2D, wide), of(layers.Conv2D, narrow), strict=True):
        inside = ours.name.endswith(("_1_conv", "_2_conv"))
        assert ours.filters == theirs.filters * (2 if inside else 1), ours.name
        assert (ours.strides, ours.use_bias) == (theirs.strides, False)


def test_epsilon_is_torchs():
    for name in ("wrn_16_4", "wideresnet50_2"):
        norms = of(layers.BatchNormalization, shape_only(name))
        assert {norm.epsilon for norm in norms} == {1e-5}
