"""Networks made wider and deeper keep their outputs; narrower ones keep their strongest channels.

Weights and BatchNorm statistics are random, so that a channel in the wrong place shows.
"""

import keras
import numpy as np
import pytest
from keras import layers
from networks import KINDS, kind
from running import randomize, run
from sklearn.datasets import load_digits

import keras_archs
from keras_archs.graph import without_values
from keras_archs.registry import builder
from keras_archs.surgery.channels import ChannelGraph
from keras_archs.surgery.growth import deepen, grow, shrink, widen

TOLERANCE = 1e-4  # of logits
ROUNDING = 1e-5  # of the largest, ten times what float32 rounds through a deep network

# Both together have each way of joining channels: option-A shortcuts, projections,
# pre-activation, depthwise layers, branches, gates, maxout, groups, dense layers on a map.
FAST = {
    "lenet5": {},
    "vgg11": {"stem": "small", "input_shape": (16, 16, 3)},  # a map of 2x2 is flattened
    "resnet20": {},
    "squeezenet": {"bypass": "complex", "stem": "small"},
    "allcnn_c": {"variant": "convpool"},
    "highway19": {},
    "fitnet19": {},
    "mlp": {"input_shape": (4, 4, 3)},
}
SLOW = {
    "wideresnet": {"depth": 10, "k": 2},
    "mobilenet": {"stem": "small"},
    "simplenet_310k": {},
    "resnet20v2": {"downsample": "maxpool"},
    "googlenet": {"layout": "torch", "stem": "small"},
    "bninception": {"stem": "small"},
    "inceptionv3": {"aux": True, "stem": "small"},
    **dict.fromkeys(("alexnetonetower", "inceptionresnetv2", "inceptionv4"), {"stem": "small"}),
    **dict.fromkeys(("mobilenetv2", "mobilenetconv", "vgg16c", "nin"), {"stem": "small"}),
    **dict.fromkeys(("plainnet18", "resnet18", "resnet50", "resnet18v2"), {"stem": "small"}),
    **dict.fromkeys(("resnet50v2", "wideresnet50_2", "resnext50_32x4d"), {"stem": "small"}),
    **dict.fromkeys(("densenet121", "squeezenet1_1"), {"stem": "small"}),
    **dict.fromkeys(("nincifar", "plainnet20", "wrn_16_4", "densenet40_12"), {}),
    **dict.fromkeys(("densenetbc_100_12", "resnext29_8x64d", "simpnet", "simpnet_300k"), {}),
}
ACROSS_CHANNELS = {"alexnet": "norm1", "vgg11lrn": "block1_lrn", "googlenet": "lrn1"}


def small(arch, alpha, **own):
    """A network that gives logits of four classes, by default at its smallest size."""
    known = {name: value for name, value in own.items() if name in ("stem", "variant", "aux")}
    side = keras_archs.info(arch).min_size_for(**known)
    options = {"classes": 4, "classifier_activation": None, "input_shape": (side, side, 3)}
    return builder(arch)(alpha=alpha, **{**options, **own})


def built(arch, alpha, **own):
    """Such a network of random weights, and images for it."""
    model = small(arch, alpha, **own)
    randomize(model)
    images = np.random.default_rng(1).uniform(-1, 1, (2, *model.input_shape[1:]))
    return model, images.astype("float32")


def shapes(model):
    return {weight.path: tuple(weight.shape) for weight in model.weights}


def shapes_at(arch, alpha, **own):
    """The shapes of the weights that the builder makes, without making them."""
    with without_values():
        return shapes(small(arch, alpha, **own))


def assert_same(one, other, images):
    outputs = run(one, images), run(other, images)
    for wanted, found in zip(*map(keras.tree.flatten, outputs), strict=True):
        assert np.ptp(wanted) > 0.01, "too much alike to tell networks apart"
        tolerance = max(TOLERANCE, ROUNDING * np.abs(wanted).max())
        np.testing.assert_allclose(found, wanted, atol=tolerance, rtol=0)


def network(x, layer):
    """A network of these layers that ends in three logits."""
    inputs = keras.Input(x)
    outputs = layers.Dense(3, name="logits")(layer(inputs))
    model = keras.Model(inputs, outputs, name="small")
    randomize(model)
    return model, np.random.default_rng(0).normal(size=(3, *x)).astype("float32")


# -------------------------------------------------------------------------------- growing networks


def test_every_kind_is_tried_but_those_that_normalise_across_channels():
    tried = {kind(name) for name in (*FAST, *SLOW, *ACROSS_CHANNELS)}
    # Its bottlenecks are those of resnet50v2, its first block is that of resnet18v2.
    assert tried == {kind(name) for name in KINDS if name != "resnet200v2"}


@pytest.mark.parametrize(
    ("arch", "own"),
    [*FAST.items(), *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW.items())],
)
def test_a_grown_network_is_the_wider_one_with_the_outputs_of_the_narrow_one(arch, own):
    model, images = built(arch, 1 / 8, **own)
    how = {k: v for k, v in own.items() if k != "input_shape"}
    for new in ("copies", "random"):
        grown = grow(model, 1 / 4, new_channels=new, seed=0, **how)
        assert shapes(grown) == shapes_at(arch, 1 / 4, **own)
        assert_same(model, grown, images)


ROWS = [  # shortcuts, and two poolings that are added or stand side by side
    *("8 3/1/1 bn relu", "8 3/1/1 bn add1 relu", "8 3/1/1 bn relu"),
    *("8 3/1/1 bn add2 relu max|avg2/2/0", "9 3/1/1 bn relu max+avg2/2/0", "9 3/1/1 bn add1 relu"),
    *("5 3/1/1 bn relu cat1", "5 3/1/1 bn relu cat1"),
    "gmp dense",
]


def test_chains_with_pools_of_information_grow_and_shrink():
    model, images = built("simpnet", 1.0, rows=ROWS, input_shape=(8, 8, 3))
    for changed in (
        grow(model, 1.5, rows=ROWS, extra_depth=6, noise=0.2, seed=0),
        widen(model, "conv2", 11),  # and with it what is added to it
        deepen(model, "conv4"),
    ):
        assert changed.count_params() > model.count_params()
        assert_same(model, changed, images)
    assert widen(model, "conv2", 11).get_layer("conv4").filters == 11
    for resized, alpha in (
        (grow(model, 1.5, rows=ROWS), 1.5),
        (shrink(model, 0.5, rows=ROWS), 0.5),
    ):
        wanted = shapes_at("simpnet", alpha, rows=ROWS, input_shape=(8, 8, 3))
        assert shapes(resized) == wanted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "start", "end", "side"),
    [("mobilenet", 0.5, 1.0, 224), ("resnet20", 1.0, 2.0, 32), ("simpnet_300k", 1.0, 2.0, 32)],
)
def test_networks_at_their_own_width_grow(arch, start, end, side):
    model, images = built(arch, start, input_shape=(side, side, 3), classes=10)
    assert_same(model, grow(model, end), images)


def test_widths_need_not_be_multiples_and_zeros_stay_behind_the_old_channels():
    """2, 4 and 8 channels become 5, 11 and 21: no two ratios are the same."""
    model, images = built("resnet20", 1 / 8)
    grown = grow(model, 1 / 3)
    assert shapes(grown) == shapes_at("resnet20", 1 / 3)
    assert_same(model, grown, images)
    assert grown.get_layer("conv3_block1_0_pad").padding == ((0, 0), (0, 6))
    assert grown.get_layer("conv4_block1_0_pad").padding == ((0, 0), (0, 10))


def test_the_model_is_left_as_it_is():
    model, _ = built("lenet5", 1 / 2)
    before = model.get_weights()
    grow(model, 1.0, noise=0.1, seed=0)
    shrink(model, 1 / 4)
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_layers_around_the_network_stay(tmp_path):
    """Preprocessing in front, a head of one's own behind, all of it saved and loaded."""
    inner, _ = built("lenet5", 1 / 2, include_top=False, pooling="avg", name="backbone")
    images = keras.Input((16, 16, 3), dtype="uint8")
    x = layers.Normalization(mean=[0.5, 0.4, 0.3], variance=[0.1, 0.2, 0.3])(
        layers.Rescaling(1 / 255, dtype="float32")(images)
    )

    def call(layer, *inputs, **options):
        return layer(*keras.tree.map_structure(lambda t: x if t is images else t, inputs))

    body = keras.models.clone_model(inner, input_tensors=images, call_function=call)
    outputs = layers.Dense(3, name="animals")(layers.Dropout(0.5)(body.output))
    keras.Model(images, outputs, name="mine").save(tmp_path / "mine.keras")
    model = keras.models.load_model(tmp_path / "mine.keras")
    grown = grow(model, 1.0, arch="LeNet5")
    assert grown.get_layer("animals").kernel.shape == (16, 3)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), "uint8")
    assert_same(model, grown, pixels)


def test_without_the_classifier_each_output_is_followed_by_its_copies():
    model, images = built("lenet5", 1 / 2, include_top=False)
    wanted, found = run(model, images), run(grow(model, 1.0), images)
    np.testing.assert_allclose(found, np.repeat(wanted, 2, axis=-1), atol=TOLERANCE)


def test_noise_makes_copies_unequal_and_keeps_the_outputs():
    model, images = built("lenet5", 1 / 2)
    alike, unlike = grow(model, 1.0), grow(model, 1.0, noise=0.3, seed=0)
    for grown in (alike, unlike):
        assert_same(model, grown, images)
    kernels = [grown.get_layer("c3").kernel.numpy() for grown in (alike, unlike)]
    np.testing.assert_array_equal(kernels[0][:, :, ::2], kernels[0][:, :, 1::2])
    assert (kernels[1][:, :, ::2] != kernels[1][:, :, 1::2]).all()
    again = grow(model, 1.0, noise=0.3, seed=0).get_layer("c3").kernel.numpy()
    np.testing.assert_array_equal(again, kernels[1])


def test_random_channels_are_drawn_and_read_by_no_old_one():
    model, images = built("lenet5", 1 / 2)
    grown = grow(model, 1.0, new_channels="random", seed=0)
    kernel = grown.get_layer("c3").kernel.numpy()
    before = model.get_layer("c3").kernel.numpy()
    np.testing.assert_array_equal(kernel[:, :, ::2, ::2], before)
    assert not kernel[:, :, 1::2, ::2].any()
    new = kernel[..., 1::2]
    assert new.std() == pytest.approx((2 / new[..., 0].size) ** 0.5, rel=0.1)
    again = grow(model, 1.0, new_channels="random", seed=0).get_layer("c3").kernel.numpy()
    np.testing.assert_array_equal(again, kernel)


def weightless(arch, alpha, **own):
    """A network for what fails before it looks at a weight."""
    with without_values():
        return small(arch, alpha, **own)


@pytest.mark.parametrize(("arch", "layer"), ACROSS_CHANNELS.items())
def test_normalisation_across_channels_is_an_error_that_names_the_layer(arch, layer):
    with pytest.raises(ValueError, match=f"layer `{layer}`"):
        grow(weightless(arch, 1 / 8, stem="small"), 1 / 4)


def test_shortcuts_that_come_and_go_with_alpha_are_an_error():
    """At 1/4 the first block has a shortcut, for the stem has 8 channels as it has."""
    with pytest.raises(ValueError, match="layer `expanded_conv_project` the width .*, 16, not 8"):
        grow(weightless("mobilenetv2", 1 / 4, stem="small"), 1 / 2)
    with pytest.raises(ValueError, match="only MobileNetV2 has `expanded_conv_add`"):
        shrink(weightless("mobilenetv2", 1 / 2, stem="small"), 1 / 4)


def test_a_fixed_width_inside_a_layer_is_an_error():
    """TF-slim's first convolution has min(filters // 3, 8) depthwise filters a channel."""
    model = weightless("bninception", 1 / 8, stem="small", separable_stem=True)
    with pytest.raises(ValueError, match="`conv1_conv` has depth_multiplier=2, not 5"):
        grow(model, 1 / 4, separable_stem=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": 0}, "`alpha` must be > 0"),
        ({"alpha": 0.25}, "`alpha` must be at least that of the model: layer `c1` has 3 channels"),
        ({"noise": -1}, "`noise` must be a number >= 0"),
        ({"noise": 0.1, "new_channels": "random"}, "`noise` must be 0 unless new_channels"),
        ({"new_channels": "zeros"}, "`new_channels` must be one of 'copies', 'random'"),
        ({"extra_depth": -1}, "`extra_depth` must be an integer >= 0"),
        ({"extra_depth": 1}, "`extra_depth` must be at most 0"),  # LeNet5 has tanh, no ReLU
        ({"arch": "nosuch"}, "`arch` must be one of"),
        ({"arch": "AllCNN_C"}, "must be what AllCNN_C builds, but for its widths"),
        ({"variant": "1998"}, "only the model has `c1`"),
    ],
)
def test_arguments_out_of_range_are_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        grow(built("lenet5", 1 / 2)[0], **{"alpha": 1.0, **changes})


def test_a_model_of_another_name_or_other_arguments_is_an_error():
    with pytest.raises(ValueError, match="`arch` must name the model's architecture"):
        grow(weightless("lenet5", 1 / 2, name="mine"), 1.0)
    model = weightless("wideresnet", 1 / 8, depth=10, k=1)
    with pytest.raises(ValueError, match="only WideResNet has `conv2_block2_1_conv`"):
        grow(model, 1.0, k=1)
    rows = ["16 1/1/0 bn relu", *["16 3/1/1 bn relu"] * 12, "gmp dense"]
    with pytest.raises(ValueError, match=r"`conv1` has kernel_size=\(1, 1\), not \(3, 3\)"):
        grow(weightless("simpnet", 1.0, rows=rows, input_shape=(8, 8, 3)), 1.0)


# ---------------------------------------------------------------------------------- single layers


def chain(*parts):
    """A function that calls these layers one after the other."""

    def call(x):
        for part in parts:
            x = part(x)
        return x

    return call


def conv(filters, name, **options):
    return layers.Conv2D(filters, 3, padding="same", activation="relu", name=name, **options)


def residual(x):
    x = conv(4, "first")(x)
    x = layers.Add()([x, conv(4, "second")(x)])
    return layers.GlobalAveragePooling2D()(x)


def branched(x):
    x = conv(3, "first")(x)
    both = [conv(2, "left")(x), layers.MaxPooling2D(2, 1, padding="same")(x)]
    x = layers.Concatenate()(both)
    return layers.Flatten()(layers.Add()([x, conv(5, "sum")(x)]))


def shared(x):
    again = conv(4, "again")
    return layers.GlobalMaxPooling2D()(again(again(conv(4, "first")(x))))


def by_operations(x):
    x = conv(4, "first")(x)
    return layers.Flatten()(keras.ops.maximum(x * 0.5, conv(4, "second")(x)) + 1.0)


def doubled():
    return layers.SeparableConv2D(5, 3, depth_multiplier=2, name="odd")


def nested(x):
    inner = keras.Sequential([keras.Input((4, 4, 3)), conv(4, "first")], name="inner")
    return layers.Flatten()(conv(2, "next")(inner(x)))


def in_line(*following):
    """A convolution, what these make, and their map flattened."""
    return lambda x: chain(conv(4, "first"), *(make() for make in following), layers.Flatten())(x)


NETWORKS = {  # the layers, the layer that gets so many units, others that are widened with it
    "flattened": (in_line(), "first", 7, {}),
    "batch norm": (in_line(layers.BatchNormalization), "first", 9, {}),
    "dense": (lambda x: layers.Dense(4, "relu", name="first")(layers.Flatten()(x)), "first", 9, {}),
    "depthwise": (in_line(lambda: layers.DepthwiseConv2D(3)), "first", 6, {}),
    "separable": (in_line(lambda: layers.SeparableConv2D(5, 3)), "first", 7, {}),
    "out of separable": (in_line(doubled), "odd", 7, {"first": 4}),
    "transposed": (in_line(lambda: layers.Conv2DTranspose(5, 3, name="up")), "up", 9, {}),
    "groups": (in_line(lambda: conv(6, "second", groups=2)), "first", 8, {"second": 6}),
    "in groups": (in_line(lambda: conv(6, "second", groups=2)), "second", 10, {"first": 4}),
    "residual": (residual, "first", 7, {"second": 7}),
    "branches": (branched, "first", 4, {"left": 2, "sum": 6}),
    "shared": (shared, "first", 6, {"again": 6}),
    "operations": (by_operations, "second", 6, {"first": 6}),
    "nested": (nested, "inner/first", 6, {"next": 2}),
}


@pytest.mark.parametrize(("layer", "path", "units", "others"), NETWORKS.values(), ids=NETWORKS)
def test_a_widened_layer_keeps_the_outputs(layer, path, units, others):
    model, images = network((4, 4, 3), layer)
    wider = widen(model, path, units, noise=0.5, seed=0)
    assert_same(model, wider, images)
    widths = {carrier.path: carrier.width for carrier in ChannelGraph(wider).summing}
    assert widths[path] == units
    assert {name: widths[name] for name in others} == others


@pytest.mark.parametrize(
    ("make", "units"),
    [
        (lambda: layers.LayerNormalization(name="odd"), 8),
        (lambda: layers.Activation("softmax", name="odd"), 8),
        (lambda: conv(4, "odd", groups=2), 7),
        (doubled, 8),
        (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, name="odd"), 8),
        (lambda: keras_archs.LocalResponseNormalization(name="odd"), 8),
    ],
)
def test_widening_names_the_layer_that_stands_in_the_way(make, units):
    model, _ = network((4, 4, 3), in_line(make))
    with pytest.raises(ValueError, match="layer `odd`"):
        widen(model, "first", units)


def test_channels_that_are_added_to_the_images_are_fixed():
    def added(x):
        return layers.Flatten()(layers.Add()([x, conv(3, "first")(x)]))

    with pytest.raises(ValueError, match="layer `input_layer"):
        widen(network((4, 4, 3), added)[0], "first", 6)


def test_arguments_of_widen_are_checked():
    model, _ = network((4, 4, 3), in_line())
    with pytest.raises(ValueError, match="Did you mean 'first'.*Received: layer='frist'"):
        widen(model, "frist", 8)
    for units in (3, 4.5, True):
        with pytest.raises(ValueError, match="`units` must be an integer >= 4"):
            widen(model, "first", units)
    with pytest.raises(ValueError, match="not the outputs of the model"):
        widen(model, "logits", 8)


# ------------------------------------------------------------------------------------------- depth


def test_new_layers_are_the_identity_and_of_the_same_kind():
    def separated(x):
        for number, conv in enumerate((layers.DepthwiseConv2D(2, 2), layers.Conv2D(5, 3)), start=1):
            conv.name = f"conv{number}"
            x = layers.BatchNormalization(name=f"bn{number}")(conv(x))
            x = layers.Dropout(0.5)(layers.ReLU(6.0)(x))
        return layers.Flatten()(x)

    model, images = network((9, 9, 3), separated)
    deeper = deepen(deepen(deepen(model, "conv1"), "conv2"), "conv2")
    assert_same(model, deeper, images)
    new = [layer for layer in deeper.layers if "deeper" in layer.name]
    assert [layer.name for layer in new] == [
        *(f"conv1_deeper1{part}" for part in ("", "_bn", "_relu")),
        *(f"conv2_deeper{n}{part}" for n in (2, 1) for part in ("", "_bn", "_relu")),
    ]
    assert isinstance(new[0], layers.DepthwiseConv2D)
    assert new[3].kernel.shape == (3, 3, 5, 5)
    assert new[5].max_value == 6


@pytest.mark.parametrize(
    ("arch", "after", "own"),
    [
        ("vgg11", "fc1", {"stem": "small"}),
        pytest.param("resnet20", "conv3_block1_2_conv", {}, marks=pytest.mark.slow),  # Add, ReLU
        ("simplenet_310k", "conv7", {}),  # pooled before its BatchNorm
    ],
)
def test_a_deeper_network_keeps_the_outputs(arch, after, own):
    model, images = built(arch, 1 / 8, **own)
    assert_same(model, deepen(model, after), images)


def test_extra_depth_is_spread_over_the_network():
    model, images = built("allcnn_c", 1 / 8)
    grown = grow(model, 1 / 4, extra_depth=3)
    assert_same(model, grown, images)
    new = [name for name in (layer.name for layer in grown.layers) if "deeper" in name]
    assert new == ["conv1_2_deeper1", "conv2_2_deeper1", "conv3_2_deeper1"]


@pytest.mark.parametrize("after", ["c1", "logits", "s2"])
def test_what_no_relu_follows_is_an_error_that_names_it(after):
    with pytest.raises(ValueError, match=f"that one ReLU follows. Received: after='{after}'"):
        deepen(built("lenet5", 1 / 2)[0], after)


def test_deepening_after_no_layer_is_an_error():
    with pytest.raises(ValueError, match="Did you mean 'c5'"):
        deepen(built("lenet5", 1 / 2)[0], "c55")


# --------------------------------------------------------------------------------------- shrinking


@pytest.mark.parametrize(
    ("arch", "own"),
    [
        ("alexnet", {"stem": "small"}),  # halves, normalisation across channels
        pytest.param("squeezenet", {"stem": "small"}, marks=pytest.mark.slow),
        pytest.param("resnext29_8x64d", {}, marks=pytest.mark.slow),
        pytest.param("googlenet", {"stem": "small"}, marks=pytest.mark.slow),
        pytest.param("densenet40_12", {}, marks=pytest.mark.slow),
    ],
)
def test_a_shrunk_network_is_the_narrower_one_and_runs(arch, own):
    model, images = built(arch, 1 / 4, **own)
    shrunk = shrink(model, 1 / 8)
    assert shapes(shrunk) == shapes_at(arch, 1 / 8, **own)
    assert np.isfinite(run(shrunk, images)).all()


def test_shrinking_to_the_same_width_changes_nothing():
    model, _ = built("resnet20", 1 / 8)
    for weight, value in zip(shrink(model, 1 / 8).weights, model.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value.numpy())


def test_channels_without_weights_go_first_and_nothing_is_lost():
    """Filters, biases and means of zero, in places that are no pattern."""
    model, images = built("resnet20", 1 / 4)
    rng, graph = np.random.default_rng(0), ChannelGraph(model)
    dead = np.zeros(len(graph.roots), bool)
    seen = np.zeros_like(dead)
    for carrier in graph.summing:
        labels = graph.roots[carrier.makes]
        new = labels[~seen[labels]]
        if carrier.path != "predictions":
            dead[rng.choice(new, len(new) // 2, replace=False)] = True
        seen[labels] = True
    for carrier in graph.carriers.values():
        for name in set(carrier.uses) - {"moving_variance", "gamma"}:
            weight, (axis, labels) = getattr(carrier.layer, name), carrier.uses[name].writes
            alive = ~dead[graph.roots[labels]]
            weight.assign(np.moveaxis(np.moveaxis(weight.numpy(), axis, -1) * alive, -1, axis))
    shrunk = shrink(model, 1 / 8)
    assert shapes(shrunk) == shapes_at("resnet20", 1 / 8)
    assert_same(model, shrunk, images)


def test_the_channels_that_stay_are_those_of_the_largest_norms_in_their_order():
    model, _ = built("lenet5", 1.0)
    norms = np.linalg.norm(model.get_layer("c1").kernel.numpy().reshape(-1, 6), axis=0)
    strongest = np.sort(np.argsort(norms)[-3:])
    shrunk = shrink(model, 1 / 2)
    wanted = model.get_layer("c1").kernel.numpy()[..., strongest]
    np.testing.assert_array_equal(shrunk.get_layer("c1").kernel.numpy(), wanted)
    wanted = model.get_layer("c3").kernel.numpy()[:, :, strongest]
    norms = np.linalg.norm(model.get_layer("c3").kernel.numpy().reshape(-1, 16), axis=0)
    wanted = wanted[..., np.sort(np.argsort(norms)[-8:])]
    np.testing.assert_array_equal(shrunk.get_layer("c3").kernel.numpy(), wanted)


def test_a_wider_network_is_no_shrunk_one():
    with pytest.raises(ValueError, match="`alpha` must be at most that of the model: layer `c1`"):
        shrink(built("lenet5", 1 / 2)[0], 1.0)


# ---------------------------------------------------------------------------------------- training


@pytest.mark.slow
def test_a_grown_network_starts_as_accurate_as_the_old_one_and_trains_on():
    digits = load_digits()
    images = (digits.images[..., None] / 16).astype("float32")
    train, test = slice(0, 1200), slice(1200, None)

    def trained(model, rate, epochs):
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
        model.fit(images[train], digits.target[train], batch_size=64, epochs=epochs, verbose=0)
        return accuracy(model)

    def accuracy(model):
        return np.mean(run(model, images[test]).argmax(axis=-1) == digits.target[test])

    shape = images.shape[1:]
    model = keras_archs.build("simpnet_300k", input_shape=shape, classes=10, alpha=1 / 4)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9  # for a hundred steps
    before = trained(model, 3e-3, epochs=2)  # which leaves something to learn
    assert 0.5 < before < 0.9
    grown = grow(model, 1 / 2, noise=0.3, seed=0)
    assert grown.count_params() > 3 * model.count_params()
    assert accuracy(grown) == before
    assert trained(grown, 1e-3, epochs=4) > before
