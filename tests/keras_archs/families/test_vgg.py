"""What the VGGs promise beyond what every builder does."""

import keras
import pytest
from keras import layers

import keras_archs
from keras_archs.graph import without_values

WEIGHTED = {"vgg11": 11, "vgg11lrn": 11, "vgg13": 13, "vgg16c": 16, "vgg16": 16, "vgg19": 19}


def built(name, *args, **kwargs) -> keras.Model:
    with without_values():
        return keras_archs.build(name, *args, **kwargs)


def names_of(model) -> list[str]:
    return [layer.name for layer in model.layers]


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", WEIGHTED)
def test_a_name_says_how_many_layers_have_weights(name, batch_norm):
    model = built(name, batch_norm=batch_norm)
    weighted = [x for x in model.layers if isinstance(x, (layers.Conv2D, layers.Dense))]
    assert len(weighted) == WEIGHTED[name]
    assert all(layer.use_bias for layer in weighted)


@pytest.mark.parametrize("name, twin", [("vgg16", "VGG16"), ("vgg19", "VGG19")])
def test_weights_of_keras_applications_load_by_name(name, twin):
    with without_values():
        wanted = getattr(keras.applications, twin)(weights=None, name="twin")
    ours = built(name, dropout=0)
    assert names_of(ours)[1:] == names_of(wanted)[1:]  # not the input's
    for layer, other in zip(ours.layers, wanted.layers, strict=True):
        assert [w.shape for w in layer.weights] == [w.shape for w in other.weights]
        assert layer.output.shape == other.output.shape
        options, wanted_options = layer.get_config(), other.get_config()
        for option in ("strides", "padding", "activation", "pool_size"):
            assert options.get(option) == wanted_options.get(option), (layer.name, option)
    extra = {layer.name for layer in built(name).layers} - set(names_of(ours))
    assert extra == {"fc1_dropout", "fc2_dropout"}


def test_the_map_of_each_stage_has_the_size_of_table_1():
    model = built("vgg19")
    shapes = [model.get_layer(f"block{stage}_conv1").output.shape[1:] for stage in range(1, 6)]
    assert shapes == [(224, 224, 64), (112, 112, 128), (56, 56, 256), (28, 28, 512), (14, 14, 512)]
    assert model.get_layer("flatten").output.shape == (None, 7 * 7 * 512)


def test_column_c_ends_its_last_stages_with_1x1_convolutions():
    convolutions = [x for x in built("vgg16c").layers if isinstance(x, layers.Conv2D)]
    single = [layer.name for layer in convolutions if layer.kernel_size == (1, 1)]
    assert single == ["block3_conv3", "block4_conv3", "block5_conv3"]
    assert names_of(built("vgg16c")) == names_of(built("vgg16"))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_column_a_lrn_normalises_once_after_the_first_relu(batch_norm):
    model = built("vgg11lrn", batch_norm=batch_norm)
    names = names_of(model)
    at = names.index("block1_lrn")
    assert names[at - 1] == ("block1_conv1_relu" if batch_norm else "block1_conv1")
    assert names[at + 1] == "block1_pool"
    lrn = model.get_layer("block1_lrn")
    assert (lrn.size, lrn.alpha, lrn.beta, lrn.k) == (5, 1e-4, 0.75, 2)
    del names[at]
    assert names == names_of(built("vgg11", batch_norm=batch_norm))


def test_batch_norm_stands_between_each_convolution_and_its_relu():
    model = built("vgg13", batch_norm=True)
    names = names_of(model)
    convolutions = [x for x in model.layers if isinstance(x, layers.Conv2D)]
    for layer in convolutions:
        at = names.index(layer.name)
        assert names[at + 1 : at + 3] == [f"{layer.name}_bn", f"{layer.name}_relu"]
        assert layer.activation is keras.activations.linear
        assert model.get_layer(f"{layer.name}_bn").epsilon == 1e-5
    assert len(convolutions) == sum(name.endswith("_bn") for name in names) == 10


def test_the_small_stem_has_no_first_two_poolings():
    left_out = set(names_of(built("vgg16"))) - set(names_of(built("vgg16", stem="small")))
    assert left_out == {"block1_pool", "block2_pool"}
    assert built("vgg16", (32, 32, 3), 10, stem="small").get_layer("fc1").kernel.shape == (
        4 * 4 * 512,
        4096,
    )
