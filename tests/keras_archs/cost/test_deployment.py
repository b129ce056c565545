"""What a network takes on a microcontroller: the arena and the weights, by hand."""

import keras
import pytest
from keras import layers

import keras_archs
from keras_archs import deployment
from keras_archs.graph import without_values
from keras_archs.memory import Step, arena_bytes, live_bytes

KB = 1024


def arena_of(sizes, *steps):
    """Of tensors that are numbered from the input on; the last one is the output."""
    return arena_bytes(dict(enumerate(sizes)), [0], steps, [len(sizes) - 1])


def test_what_follows_one_another_alternates_between_two_places_and_the_input_stays():
    sizes, steps = [64, 640, 320, 640, 64], [Step([at], [at + 1]) for at in range(4)]
    assert arena_of(sizes, *steps) == 64 + 640 + 320
    assert live_bytes(dict(enumerate(sizes)), [0], steps, [4]) == 640 + 320


def test_places_begin_at_multiples_of_64_bytes():
    assert arena_of([10, 10, 10], Step([0], [1]), Step([1], [2])) == 64 + 64 + 10


@pytest.mark.parametrize(
    ("added", "maps"),
    [
        (Step([2, 1], [3], in_place=True), 2),
        (Step([1, 2], [3], in_place=True), 2),  # 1 is read by the step before, too
        (Step([2, 1], [3]), 3),
        (Step([1, 1], [3], in_place=True), 2),
    ],
)
def test_a_sum_takes_the_place_of_an_operand_that_nothing_else_reads(added, maps):
    steps = [Step([0], [1]), Step([1], [2]), added, Step([3], [4])]
    assert arena_of([64, 640, 640, 640, 64], *steps) == 64 + maps * 640
    is_output = arena_of([64, 640, 640, 640], *steps[:3])
    assert is_output == 64 + (2 if added.reads == [1, 1] else 3) * 640, "it is not overwritten"


def test_a_small_tensor_takes_the_smallest_gap_that_is_free():
    """Tensor 1 leaves 640 bytes below 3, of which 4 takes 128."""
    steps = [Step([0], [1]), Step([1], [2]), Step([2], [3]), Step([2, 3], [4]), Step([3, 4], [5])]
    assert arena_of([64, 640, 320, 640, 128, 64], *steps) == 64 + 640 + 320 + 128


# ------------------------------------------------------------------------------ what is joined


def net(*stack, shape=(32, 32, 2)):
    return lambda: keras.Sequential([keras.Input(shape), *stack])


def conv(**options):
    return layers.Conv2D(4, 3, padding="same", **options)


IMAGE, MAP = 2 * KB, 4 * KB


@pytest.mark.parametrize(
    ("stack", "maps"),
    [
        ([conv(), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.5)], 1),
        ([conv(activation="relu6"), layers.Flatten()], 1),
        ([conv(activation="relu"), layers.ReLU()], 2),
        ([conv(activation="tanh")], 2),
        ([conv(), layers.Activation("sigmoid")], 2),
        ([conv(), layers.LeakyReLU()], 2),
        ([conv(activation="relu"), layers.BatchNormalization()], 2),
        ([conv(activation="relu"), layers.BatchNormalization(), layers.MaxPooling2D()], 1.25),
        ([conv(), layers.ReLU(6.0), conv()], 2),
        ([layers.SeparableConv2D(4, 3, padding="same")], 1.5),
    ],
)
def test_what_the_converter_joins_writes_one_map(stack, maps):
    assert deployment(net(*stack)).peak_activation_bytes == IMAGE + maps * MAP


def test_zeros_that_same_padding_would_add_are_the_convolution_s():
    def padded(zeros, side):
        strided = layers.Conv2D(1, 3, 2)
        return deployment(net(layers.ZeroPadding2D(zeros), strided, shape=(side, side, 2)))

    assert padded(((0, 1), (0, 1)), 32).peak_activation_bytes == IMAGE + 16 * 16
    assert padded(1, 32).peak_activation_bytes == IMAGE + 2 * 34 * 34 + 56 + 16 * 16
    assert padded(1, 31).peak_activation_bytes == 1984 + 16 * 16  # 2 * 31 * 31, and 62 to 64


def test_a_normalisation_of_what_is_read_elsewhere_has_a_map_of_its_own():
    def build():
        x = start = keras.Input((32, 32, 4))
        x = kept = layers.Conv2D(4, 1)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        return keras.Model(start, layers.Add()([x, kept]))

    assert deployment(build).peak_activation_bytes == 4 * MAP  # the input's as well


def test_a_value_of_float32_has_four_bytes():
    stack = [conv(), layers.BatchNormalization(), layers.ReLU()]
    found = deployment(net(*stack), "float32")
    assert found.peak_activation_bytes == 4 * (IMAGE + MAP)
    assert found.weight_bytes == 4 * (9 * 2 * 4 + 4)


def test_weights_in_int8_have_scales_by_channel_and_biases_of_four_bytes():
    """28 bytes a channel: a bias, and a scale and a zero point of it and of its kernel."""
    found = deployment(net(conv(use_bias=False), layers.BatchNormalization(), layers.Dense(3)))
    assert found.weight_bytes == 9 * 2 * 4 + 4 * 3 + 28 * (4 + 3)
    separable = deployment(net(layers.SeparableConv2D(4, 3)))
    assert separable.weight_bytes == 9 * 2 + 2 * 4 + 28 * (2 + 4)
    alone = deployment(net(layers.BatchNormalization()))
    assert alone.weight_bytes == 2 * 2
    shared = conv()
    once = deployment(net(shared)).weight_bytes
    twice = deployment(net(layers.Conv2D(2, 1), layers.Identity(), shared)).weight_bytes
    assert twice == once + 4 + 28 * 2


def test_an_architecture_is_counted_by_name_at_any_size():
    found = deployment("allcnn_c", alpha=0.25, input_shape=(96, 96, 3))
    # The image and maps of 24 channels: one and, in whole 64 bytes, one with zeros around.
    assert found.peak_activation_bytes == 96 * 96 * (3 + 24) + 98 * 98 * 24 + 32
    with without_values():
        assert deployment(keras_archs.AllCNN_C((96, 96, 3), alpha=0.25)) == found


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="`dtype` must be one of 'float32', 'int8'"):
        deployment("lenet5", "int4")
    with pytest.raises(TypeError, match="no keyword of a builder but `input_shape`.*alpha"):
        deployment(net(conv())(), alpha=1)
