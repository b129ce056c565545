"""Networks without their weakest channels: narrower for good, and plain Keras models."""

import keras
import numpy as np
import pytest
from keras import layers
from running import randomize, run

import keras_archs
from keras_archs.surgery.channels import ChannelGraph
from keras_archs.surgery.thinning import norms_of, prune_channels


def built(arch, **own):
    """A network of random weights that gives logits of four classes, and images for it."""
    options = {"classes": 4, "classifier_activation": None, "alpha": 1 / 4}
    model = keras_archs.build(arch, **{**options, **own})
    randomize(model)
    images = np.random.default_rng(1).uniform(-1, 1, (2, *model.input_shape[1:]))
    return model, images.astype("float32")


def network(x, layer):
    """A network of these layers that ends in three logits."""
    inputs = keras.Input(x)
    model = keras.Model(inputs, layers.Dense(3, name="logits")(layer(inputs)), name="small")
    randomize(model)
    return model


def widths(model):
    return {carrier.path: carrier.width for carrier in ChannelGraph(model).summing}


def killed(model, share):
    """Takes all weights from this share of the channels that each layer is the first to make."""
    graph, rng = ChannelGraph(model), np.random.default_rng(0)
    dead = np.zeros(len(graph.roots), bool)
    seen = np.isin(np.arange(len(dead)), graph.roots[graph.outputs])
    for carrier in graph.summing:
        labels = np.unique(graph.roots[carrier.makes])
        groups = carrier.uses["kernel"].groups
        new = labels[~seen[labels]]
        for part in np.split(new, groups) if len(new) else ():
            dead[rng.choice(part, round(share * len(part)), replace=False)] = True
        seen[labels] = True
    for carrier in graph.carriers.values():
        for name in set(carrier.uses) - {"moving_variance", "gamma"}:
            weight, (axis, labels) = getattr(carrier.layer, name), carrier.uses[name].writes
            alive = ~dead[graph.roots[labels]]
            weight.assign(np.moveaxis(np.moveaxis(weight.numpy(), axis, -1) * alive, -1, axis))
    return model


# Each way of joining channels: a flattened map, zeros behind shortcuts, projections, depthwise
# layers, branches side by side, gates.
FAST = {
    "lenet5": {"alpha": 1.0},
    "resnet20": {},
    "squeezenet": {"bypass": "complex", "stem": "small", "input_shape": (32, 32, 3)},
    "mobilenet": {"stem": "small", "input_shape": (32, 32, 3)},
}
SLOW = {
    "highway19": {"input_shape": (16, 16, 3)},
    "mobilenetv2": {"stem": "small", "input_shape": (32, 32, 3)},
}


@pytest.mark.parametrize(
    ("arch", "own"),
    [*FAST.items(), *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW.items())],
)
def test_channels_without_weights_go_first_and_nothing_is_lost(arch, own):
    model, images = built(arch, **own)
    killed(model, 0.4)
    narrow = prune_channels(model, 0.4, per="layer")
    before, after = run(model, images), run(narrow, images)
    assert np.ptp(before) > 0.01
    np.testing.assert_allclose(after, before, atol=1e-5 * np.abs(before).max(), rtol=1e-4)
    assert narrow.count_params() < 0.8 * model.count_params()
    ours, theirs = keras_archs.profile(narrow), keras_archs.profile(model)
    assert ours.macs < 0.75 * theirs.macs


def test_each_layer_loses_that_share_of_its_own_and_keeps_its_strongest_in_their_order():
    model, _ = built("lenet5", alpha=1.0)
    narrow = prune_channels(model, 0.5, per="layer")
    assert widths(narrow) == {"c1": 3, "c3": 8, "c5": 60, "f6": 42, "logits": 4}
    norms = np.linalg.norm(model.get_layer("c1").kernel.numpy().reshape(-1, 6), axis=0)
    strongest = np.sort(np.argsort(norms)[-3:])
    wanted = model.get_layer("c1").kernel.numpy()[..., strongest]
    np.testing.assert_array_equal(narrow.get_layer("c1").kernel.numpy(), wanted)


def test_of_all_layers_together_the_weakest_go_but_of_none_all():
    """Norms are relative to the layer's: a layer of small weights is not a weak one."""
    model, _ = built("lenet5", alpha=1.0)
    for layer, factor in (("c1", 1e-3), ("c5", 1e3)):
        kernel = model.get_layer(layer).kernel
        kernel.assign(kernel * factor)
    c3 = model.get_layer("c3").kernel
    c3.assign(c3 * np.where(np.arange(16) < 15, 1e-6, 1).astype("float32"))
    found = widths(prune_channels(model, 0.5))
    assert found["c3"] == 16 - int(0.9 * 16)
    assert found["c1"] >= 1 and 4 + 226 - 113 == sum(found.values())
    alike = {name: 1 - found[name] / width for name, width in (("c5", 120), ("f6", 84))}
    assert alike == pytest.approx({"c5": 0.5, "f6": 0.5}, abs=0.3)


def test_the_groups_of_a_convolution_stay_equally_wide():
    def grouped(x):
        x = layers.Conv2D(12, 1, activation="relu", name="first")(x)
        x = layers.Conv2D(8, 3, groups=4, activation="relu", name="grouped")(x)
        return layers.GlobalAveragePooling2D()(x)

    model = network((6, 6, 3), grouped)
    kernel = model.get_layer("first").kernel
    kernel.assign(kernel * np.where(np.arange(12) < 3, 1e-3, 1).astype("float32"))
    for per in ("layer", "global"):
        found = widths(prune_channels(model, 0.4, per=per))
        assert found["first"] % 4 == found["grouped"] % 4 == 0
        assert found["first"] < 12
    found = widths(prune_channels(model, 0.5, per="layer"))
    assert (found["first"], found["grouped"]) == (4, 4)  # of three and of two channels a group


def test_what_does_not_learn_and_the_outputs_keep_their_channels():
    def whitened(x):
        x = layers.Conv2D(5, 1, trainable=False, name="whitening")(x)
        x = layers.Conv2D(8, 3, name="body")(x)
        return layers.GlobalAveragePooling2D()(x)

    model = network((6, 6, 3), whitened)
    found = widths(prune_channels(model, 0.5, per="layer"))
    assert found == {"whitening": 5, "body": 4, "logits": 3}
    with_top = keras_archs.LeNet5()  # whose softmax is a layer or an activation
    assert prune_channels(with_top, 0.5).output_shape == (None, 10)


def test_a_layer_keeps_one_channel_and_nothing_is_asked_of_the_order_of_equal_ones():
    model = network((4, 4, 1), lambda x: layers.Flatten()(layers.Conv2D(2, 3, name="two")(x)))
    model.get_layer("two").kernel.assign(np.ones((3, 3, 1, 2), "float32"))
    for per in ("layer", "global"):
        assert widths(prune_channels(model, 0.9, per=per))["two"] == 1


def test_the_model_is_left_as_it_is_and_the_narrow_one_is_plain(tmp_path):
    model, images = built("lenet5", alpha=1.0)
    before = [weight.numpy() for weight in model.weights]
    same = prune_channels(model, 0)
    for weight, value in zip(same.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)
    narrow = prune_channels(model, 0.5)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)
    narrow.save(tmp_path / "narrow.keras")
    again = keras.saving.load_model(tmp_path / "narrow.keras", safe_mode=True)
    np.testing.assert_array_equal(run(again, images), run(narrow, images))
    assert not narrow.compiled


def test_a_channel_that_several_layers_make_has_all_of_their_norms():
    def residual(x):
        x = layers.Conv2D(4, 3, padding="same", name="first")(x)
        x = layers.Add()([x, layers.Conv2D(4, 3, padding="same", name="second")(x)])
        return layers.GlobalAveragePooling2D()(x)

    model = network((4, 4, 3), residual)
    graph = ChannelGraph(model)
    sums = sum(
        np.linalg.norm(model.get_layer(name).kernel.numpy().reshape(-1, 4), axis=0)
        for name in ("first", "second")
    )
    roots = graph.roots[graph.carriers["second"].makes]
    np.testing.assert_allclose(norms_of(graph)[roots], sums, rtol=1e-6)
    narrow = prune_channels(model, 0.5)
    assert widths(narrow) == {"first": 2, "second": 2, "logits": 3}


def test_a_layer_in_the_way_is_an_error_that_names_it():
    def normalised(x):
        x = layers.Conv2D(4, 3, name="first")(x)
        return layers.GlobalAveragePooling2D()(layers.LayerNormalization(name="across")(x))

    with pytest.raises(ValueError, match="whose channels can go: layer `across` is not one"):
        prune_channels(network((6, 6, 3), normalised), 0.5)


@pytest.mark.parametrize(
    ("fraction", "per", "message"),
    [
        (1, "global", r"`fraction` must be in \[0, 0.9\]. Received: fraction=1"),
        (-0.1, "global", "`fraction` must be in"),
        (0.5, "channel", "`per` must be one of 'layer', 'global'"),
    ],
)
def test_arguments_out_of_range_are_errors(fraction, per, message):
    with pytest.raises(ValueError, match=message):
        prune_channels(network((4, 4, 1), layers.Flatten()), fraction, per=per)
