"""What All-CNN alone promises: Table 2, layer by layer."""

import pytest
from keras import layers

import keras_archs
from keras_archs.graph import without_values

EVERY = pytest.mark.parametrize("name", ["allcnn_a", "allcnn_b", "allcnn_c"])
KERNELS = {"allcnn_a": [5], "allcnn_b": [5, 1], "allcnn_c": [3, 3]}


def built(name, **kwargs):
    with without_values():
        return keras_archs.build(name, **kwargs)


def rows(model):
    """Kernel, stride, filters of the convolutions, "pool" for a pooling."""
    found = []
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            found.append((layer.kernel_size[0], layer.strides[0], layer.filters))
        elif isinstance(layer, layers.MaxPooling2D):
            assert layer.pool_size == (3, 3) and layer.strides == (2, 2)
            found.append("pool")
    return found


@EVERY
@pytest.mark.parametrize("variant", ["base", "strided", "convpool", "all"])
def test_each_variant_halves_the_map_in_its_own_way(name, variant):
    wanted = []
    for filters in (96, 192):
        convs = [(kernel, 1, filters) for kernel in KERNELS[name]]
        if variant == "strided":
            convs[-1] = (convs[-1][0], 2, filters)
        if variant in ("convpool", "all"):
            convs.append((3, 2 if variant == "all" else 1, filters))
        wanted += convs + ["pool"] * (variant in ("base", "convpool"))
    wanted += [(3, 1, 192), (1, 1, 192), (1, 1, 10)]
    assert rows(built(name, variant=variant)) == wanted


@EVERY
@pytest.mark.parametrize("variant", ["base", "strided", "convpool", "all"])
def test_maps_have_32_16_8_and_6_pixels_a_side(name, variant):
    model = built(name, variant=variant)
    sides = [layer.output.shape[1] for layer in model.layers if isinstance(layer, layers.Dropout)]
    assert sides == [32, 16, 8]
    assert model.get_layer("logits_map").input.shape == (None, 6, 6, 192)
    assert built(name, variant=variant, include_top=False).output_shape == (None, 6, 6, 192)


@EVERY
def test_strided_convolutions_are_padded_alike_on_all_sides(name):
    for variant in ("strided", "all"):
        model = built(name, variant=variant)
        before = {id(layer.output): layer for layer in model.layers}
        strided = [c for c in model.layers if isinstance(c, layers.Conv2D) and c.strides[0] > 1]
        assert len(strided) == 2
        for conv in strided:
            pad = conv.kernel_size[0] // 2
            if pad:
                assert before[id(conv.input)].padding == ((pad, pad), (pad, pad))


def test_the_image_is_dropped_less_than_the_maps():
    model = built("allcnn_c")
    rates = {x.name: x.rate for x in model.layers if isinstance(x, layers.Dropout)}
    assert rates == {"drop_input": 0.2, "drop1": 0.5, "drop2": 0.5}


def test_every_convolution_ends_in_a_relu_the_classifier_too():
    convs = [layer for layer in built("allcnn_b").layers if isinstance(layer, layers.Conv2D)]
    assert {conv.activation.__name__ for conv in convs} == {"relu"}
    assert convs[-1].name == "logits_map" and convs[-1].dtype_policy.name == "float32"


def test_the_minimum_depends_on_the_variant():
    least = keras_archs.info("allcnn_c").min_size_for
    assert [least(variant=v) for v in ("all", "strided", "convpool", "base")] == [9, 9, 12, 12]
