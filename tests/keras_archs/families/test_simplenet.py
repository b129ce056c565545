"""What SimpleNet alone promises: the released definitions, layer by layer."""

import pytest
from keras import layers

import keras_archs
from keras_archs.graph import without_values


def build(name, *args, **kwargs):
    with without_values():
        return keras_archs.build(name, *args, **kwargs)


@pytest.mark.parametrize(
    "name, number", [("simplenet", 77), ("simplenet_310k", 79), ("simplenet_460k", 80)]
)
def test_the_tables_are_the_published_experiments(name, number):
    table, experiment = build(name), build("simpnet", experiment=number)
    assert table.get_config()["layers"] == experiment.get_config()["layers"]


@pytest.mark.parametrize("name", ["simplenet", "simplenet_310k", "simplenet_460k"])
def test_the_last_three_convolutions_have_no_batch_norm(name):
    names = [layer.name for layer in build(name).layers]
    normalised = [f"conv{index}" for index in range(1, 14) if f"conv{index}_bn" in names]
    assert normalised == [f"conv{index}" for index in range(1, 11)]


@pytest.mark.parametrize("name", ["simplenet", "simplenet_310k", "simplenet_460k"])
def test_poolings_stand_where_the_authors_have_them(name):
    names = [layer.name for layer in build(name, dropout=0.1).layers]
    assert names[names.index("conv7") : names.index("conv8")][:4] == [
        *("conv7", "pool7", "conv7_bn", "conv7_relu")
    ]
    pools = [name for name in names if name.startswith("pool")]
    assert pools == ["pool4", "pool7", "pool9", "pool12", "pool13"]
    assert names[-3:] == ["flatten", "logits", "predictions"]


def test_dropout_follows_all_but_the_last_convolution():
    model = build("simplenet")
    rates = {layer.name: layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)}
    assert rates == {f"drop{index}": 0.2 for index in range(1, 13)}
    names = [layer.name for layer in model.layers]
    assert names.index("drop9") < names.index("pool9")
    assert names.index("drop12") > names.index("pool12")


def test_sides_round_up_so_that_28_pixels_end_in_one_as_32_do():
    for side, last in ((17, 1), (28, 1), (32, 1), (33, 2)):
        model = build("simplenet_310k", (side, side, 1), include_top=False)
        assert model.output_shape == (None, last, last, 64)
    sides = [layer.output.shape[1] for layer in model.layers if layer.name.startswith("pool")]
    assert sides == [17, 9, 5, 3, 2]
