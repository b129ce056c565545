"""What MobileNetV2 promises beyond the promises of every architecture."""

import pytest
from keras import layers

import keras_archs
from keras_archs.graph import without_values


def shape_only(*args, **kwargs):
    with without_values():
        return keras_archs.MobileNetV2(*args, **kwargs)


def names(model, kind):
    return [layer.name for layer in model.layers if isinstance(layer, kind)]


def projected(model):
    return [
        layer.filters
        for layer in model.layers
        if isinstance(layer, layers.Conv2D) and layer.name.endswith("_project")
    ]


# Published widths: each is the multiple of 8 nearest to alpha * c, but never below 0.9 of it.
@pytest.mark.parametrize(
    "alpha, first, widths, last",
    [
        (0.35, 16, (8, 8, 16, 24, 32, 56, 112), 1280),
        (0.5, 16, (8, 16, 16, 32, 48, 80, 160), 1280),
        (1, 32, (16, 24, 32, 64, 96, 160, 320), 1280),
        (1.4, 48, (24, 32, 48, 88, 136, 224, 448), 1792),
        (1e-6, 8, (8,) * 7, 1280),
    ],
)
def test_widths_are_multiples_of_8(alpha, first, widths, last):
    model = shape_only(alpha=alpha)
    rows = zip(widths, (1, 2, 3, 4, 3, 3, 1), strict=True)
    assert projected(model) == [width for width, repeat in rows for _ in range(repeat)]
    assert model.get_layer("Conv1").filters == first
    assert model.get_layer("Conv_1").filters == last


def test_a_block_expands_what_arrives():
    model = shape_only(alpha=0.35)
    assert "expanded_conv_expand" not in names(model, layers.Conv2D)
    assert model.get_layer("expanded_conv_depthwise").output.shape[-1] == 16
    for index in range(1, 17):
        expand = model.get_layer(f"block_{index}_expand")
        assert expand.filters == 6 * expand.input.shape[-1]


def test_the_last_convolution_of_a_block_is_linear():
    model = shape_only()
    followed = [layer.input.name for layer in model.layers if isinstance(layer, layers.ReLU)]
    assert not any("project" in name for name in followed)
    assert {layer.max_value for layer in model.layers if isinstance(layer, layers.ReLU)} == {6}


REPEATED = [f"block_{index}_add" for index in (2, 4, 5, 7, 8, 9, 11, 12, 14, 15)]


@pytest.mark.parametrize("stem", ["imagenet", "small"])
@pytest.mark.parametrize("alpha", [0.35, 1, 1.4])
def test_the_repeated_blocks_of_a_row_have_shortcuts(alpha, stem):
    assert names(shape_only(alpha=alpha, stem=stem), layers.Add) == REPEATED


def test_at_small_alpha_blocks_of_equal_width_have_shortcuts_too():
    assert names(shape_only(alpha=0.25), layers.Add) == ["expanded_conv_add", *REPEATED]


def test_strided_blocks_round_sides_up():
    """After the first convolution the map is 97x96: odd, then even sides."""
    model = shape_only((193, 191, 3))
    pads = {
        layer.name: (layer.input.shape[1:3], layer.padding)
        for layer in model.layers
        if isinstance(layer, layers.ZeroPadding2D)
    }
    assert pads == {
        "block_1_pad": ((97, 96), ((1, 1), (0, 1))),
        "block_3_pad": ((49, 48), ((1, 1), (0, 1))),
        "block_6_pad": ((25, 24), ((1, 1), (0, 1))),
        "block_13_pad": ((13, 12), ((1, 1), (0, 1))),
    }
    assert model.get_layer("out_relu").output.shape[1:3] == (7, 6)


def test_sides_that_are_none_are_padded_as_even_ones():
    model = shape_only((None, None, 3))
    pads = {x.padding for x in model.layers if isinstance(x, layers.ZeroPadding2D)}
    assert pads == {((0, 1), (0, 1))}


def test_batch_normalisation_is_that_of_keras_applications():
    found = {
        (layer.epsilon, layer.momentum)
        for layer in shape_only().layers
        if isinstance(layer, layers.BatchNormalization)
    }
    assert found == {(1e-3, 0.999)}
