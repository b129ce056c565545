"""Weights in Caffe's files: what they hold, in both formats, is what our networks compute with.

The files are those of `caffe_files`; one that the authors of SimpleNet released is read from the
shared reference material.
"""

import math

import numpy as np
import pytest
from caffe_files import Unit, field, v1, v2, varint, written
from running import run

import keras_archs
from keras_archs.weights import caffe

# -------------------------------------------------------------------- what a network computes there


def draw(random, *shape):
    return random.normal(0, 1 / math.sqrt(math.prod(shape[1:])), shape).astype(np.float32)


def convolved(x, kernel, bias):
    """(N, C, H, W) with a 3x3 kernel (filters, C, 3, 3), padded by 1."""
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, kernel) + bias[:, None, None]


def pooled_up(x):
    """2x2 max pooling, stride 2, sides rounded up."""
    side = x.shape[-1]
    x = np.pad(x, ((0, 0), (0, 0), (0, side % 2), (0, side % 2)), constant_values=-np.inf)
    return x.reshape(*x.shape[:2], -(-side // 2), 2, -(-side // 2), 2).max((3, 5))


def test_a_chain_computes_what_caffe_does(tmp_path):
    """Names are the file's own; so are its data, ReLU, pooling and loss layers."""
    random = np.random.default_rng(0)
    kernel, bias, dense, dense_bias = (
        draw(random, *shape) for shape in ((4, 2, 3, 3), (4,), (5, 4 * 4 * 4), (5,))
    )
    mean, variance, gamma, beta = (random.uniform(0.5, 2, 4).astype("f4") for _ in range(4))
    factor, epsilon = 1.7, 0.01
    units = [
        Unit("data", "Data"),
        Unit("first", "Convolution", (kernel, bias)),
        Unit("n", "BatchNorm", (mean, variance, [factor]), field(139, field(3, epsilon))),
        Unit("s", "Scale", (gamma, beta)),
        Unit("r", "ReLU"),
        Unit("p", "Pooling"),
        Unit("ip", "InnerProduct", (dense, dense_bias)),
        Unit("loss", "SoftmaxWithLoss"),
    ]
    path = written(tmp_path / "chain.caffemodel", units)
    rows = ["4 3/1/1 bn relu max2/2/0", "dense"]
    model = keras_archs.SimpNet((7, 7, 2), 5, rows=rows, weights=path, classifier_activation=None)

    images = random.normal(size=(3, 2, 7, 7)).astype(np.float32)
    x = convolved(images, kernel, bias)
    x = (x - (mean / factor)[:, None, None]) / np.sqrt(variance / factor + epsilon)[:, None, None]
    x = pooled_up(np.maximum(x * gamma[:, None, None] + beta[:, None, None], 0))
    wanted = x.reshape(3, -1) @ dense.T + dense_bias
    np.testing.assert_allclose(run(model, images.transpose(0, 2, 3, 1)), wanted, atol=1e-4)
    assert model.load_report.unused == model.load_report.fresh == ()


@pytest.mark.parametrize("write", [v1, v2])
def test_both_formats_and_both_kinds_of_shapes_are_read(write, tmp_path):
    random = np.random.default_rng(1)
    arrays = [draw(random, *shape) for shape in ((4, 2, 3, 3), (4,), (3, 4), (3,))]
    units = [
        Unit("data", "Data"),
        Unit("conv", "Convolution", tuple(arrays[:2])),
        Unit("ip", "InnerProduct", tuple(arrays[2:])),
    ]
    path = written(tmp_path / "x.caffemodel", units, write)
    found = caffe.layers(path)
    assert [(layer.name, layer.type) for layer in found if layer.blobs] == [
        ("conv", "Convolution"),
        ("ip", "InnerProduct"),
    ]
    model = keras_archs.SimpNet((4, 4, 2), 3, rows=["4 3/1/1 relu", "gap dense"], weights=path)
    ours = model.get_weights()
    np.testing.assert_array_equal(ours[0], arrays[0].transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(ours[2], arrays[2].T)
    np.testing.assert_array_equal(ours[3], arrays[3])


# ----------------------------------------------------------------------- names of released networks


def caffe_units(model, names):
    """Units of these names with drawn weights, for layers of `model` in the order of `names`.

    `names` maps names there to our names; one that begins with bn is BatchNorm and has a Scale.
    """
    random, units = np.random.default_rng(2), []
    for theirs, ours in names.items():
        weights = [
            random.uniform(0.1, 1, w.shape).astype("f4") for w in model.get_layer(ours).weights
        ]
        if theirs.startswith("bn"):
            gamma, beta, mean, variance = weights
            units.append(Unit(theirs, "BatchNorm", (mean, variance, [1.0])))
            units.append(Unit(theirs.replace("bn", "scale", 1), "Scale", (gamma, beta)))
        elif weights[0].ndim == 4:
            units.append(
                Unit(theirs, "Convolution", (weights[0].transpose(3, 2, 0, 1), *weights[1:]))
            )
        else:
            units.append(Unit(theirs, "InnerProduct", (weights[0].T, *weights[1:])))
        model.get_layer(ours).set_weights(weights)
    return units


FIRE = ("squeeze1x1", "expand1x1", "expand3x3")
INCEPTION = ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")
MODULES = "3a 3b 4a 4b 4c 4d 4e 5a 5b".split()
SQUEEZENET = {
    "conv1": "conv1",
    **{f"fire{i}/{op}": f"fire{i}_{op}" for i in range(2, 10) for op in FIRE},
    "conv10": "conv10",
}
GOOGLENET = {
    "conv1/7x7_s2": "conv1_conv",
    "conv2/3x3_reduce": "conv2_reduce_conv",
    "conv2/3x3": "conv2_conv",
    **{f"inception_{m}/{op}": f"inception_{m}_{op}_conv" for m in MODULES for op in INCEPTION},
    "loss1/conv": "aux1_1x1_conv",
    "loss1/fc": "aux1_fc",
    "loss1/classifier": "aux1_logits",
    "loss3/classifier": "logits",
}


def _bottlenecks(*blocks):
    names = {"conv1": "conv1_conv", "bn_conv1": "conv1_bn"}
    for stage, letters in enumerate(blocks, start=2):
        for index, letter in enumerate(letters, start=1):
            branches = {"2a": 1, "2b": 2, "2c": 3} | ({"1": 0} if index == 1 else {})
            for branch, op in branches.items():
                ours = f"conv{stage}_block{index}_{op}"
                names[f"res{stage}{letter}_branch{branch}"] = f"{ours}_conv"
                names[f"bn{stage}{letter}_branch{branch}"] = f"{ours}_bn"
    return {**names, "fc1000": "predictions"}


RESNET50 = _bottlenecks("abc", "abcd", "abcdef", "abc")
RESNET101 = _bottlenecks(
    "abc", ["a", "b1", "b2", "b3"], ["a", *(f"b{i}" for i in range(1, 23))], "abc"
)
SMALL = {"stem": "small", "alpha": 1 / 16}


@pytest.mark.parametrize(
    ("arch", "side", "names"),
    [
        ("squeezenet1_1", 32, SQUEEZENET),
        ("googlenet", 32, GOOGLENET),
        ("resnet50", 32, RESNET50),
        pytest.param("resnet101", 32, RESNET101, marks=pytest.mark.slow),
    ],
)
def test_released_names_lead_to_our_layers(arch, side, names, tmp_path):
    given = {"input_shape": (side, side, 3), "classes": 7, **SMALL}
    there = {"aux": True, "input_shape": (64, 64, 3)} if arch == "googlenet" else {}
    model = keras_archs.build(arch, **{**given, **there}, layout="caffe")
    path = written(tmp_path / "x.caffemodel", caffe_units(model, names))
    loaded = keras_archs.build(arch, **given, weights=path)
    assert set(loaded.load_report.loaded) == {x.name for x in loaded.layers if x.weights}
    for name in loaded.load_report.loaded:
        for ours, theirs in zip(
            loaded.get_layer(name).get_weights(), model.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    extra = {"googlenet": ("loss1/conv", "loss1/fc", "loss1/classifier")}.get(arch, ())
    assert loaded.load_report.unused == extra


@pytest.mark.parametrize("arch", ["vgg11", "nin"])
def test_chains_are_matched_in_order(arch, tmp_path):
    side = {"vgg11": 8, "nin": 14}[arch]
    given = {"input_shape": (side, side, 3), "classes": 7, **SMALL}
    model = keras_archs.build(arch, **given)
    ours = [layer.name for layer in model.layers if layer.weights]
    units = caffe_units(model, {f"any/{name}": name for name in ours})
    loaded = keras_archs.build(arch, **given, weights=written(tmp_path / "x.caffemodel", units))
    for ours, theirs in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_groups_of_alexnet_are_its_towers(tmp_path):
    given = {"input_shape": (14, 14, 3), "classes": 7, **SMALL}
    model = keras_archs.AlexNet(**given, layout="caffe")
    random, units = np.random.default_rng(3), []
    shapes = {"conv1": (6, 3, 11, 11), "conv2": (16, 3, 5, 5), "conv3": (24, 16, 3, 3)}
    shapes |= {"conv4": (24, 12, 3, 3), "conv5": (16, 12, 3, 3)}
    flat = math.prod(model.get_layer("flatten").input.shape[1:])
    shapes |= {"fc6": (256, flat), "fc7": (256, 256), "fc8": (7, 256)}
    for name, shape in shapes.items():
        kind = "Convolution" if len(shape) == 4 else "InnerProduct"
        units.append(Unit(name, kind, (draw(random, *shape), draw(random, shape[0]))))
    pool, norm = Unit("pool1", "Pooling"), Unit("norm1", "LRN")
    path = written(tmp_path / "a.caffemodel", [units[0], norm, pool, *units[1:]])
    loaded = keras_archs.AlexNet(**given, weights=path)
    kernel, bias = units[1].blobs
    for tower, half in ((1, slice(0, 8)), (2, slice(8, 16))):
        ours = loaded.get_layer(f"conv2_{tower}").get_weights()
        np.testing.assert_array_equal(ours[0], kernel[half].transpose(2, 3, 1, 0))
        np.testing.assert_array_equal(ours[1], bias[half])
    caffenet = written(tmp_path / "c.caffemodel", [units[0], pool, norm, *units[1:]])
    with pytest.raises(ValueError, match="it pools before it normalises, as CaffeNet does"):
        keras_archs.AlexNet(**given, weights=caffenet)


# ------------------------------------------------------------------------------------- the layout


def test_a_file_chooses_caffe_s_layout_unless_told(tmp_path):
    given = {"input_shape": (16, 16, 3), "classes": 7, **SMALL}
    model = keras_archs.SqueezeNet(**given)
    units = caffe_units(model, SQUEEZENET)
    path = written(tmp_path / "x.caffemodel", units)

    def padded(**options):
        loaded = keras_archs.SqueezeNet(**given, weights=path, **options)
        return any(layer.name == "conv10_pad" for layer in loaded.layers)

    assert padded() and not padded(layout="paper")


@pytest.mark.parametrize(
    ("arch", "least"), [("alexnet", (67, 39, 17, 14)), ("resnet18", (17, 19, 5, 5))]
)
def test_minimum_sizes(arch, least):
    info = keras_archs.info(arch)
    layouts = (info.layout, "caffe")
    found = [info.min_size_for(layout=x, stem=y) for y in ("imagenet", "small") for x in layouts]
    assert tuple(found) == least


@pytest.mark.parametrize("arch", ["alexnet", "resnet18"])
@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_at_the_minimum_every_strided_layer_still_shrinks_its_map(arch, stem):
    side = keras_archs.info(arch).min_size_for(layout="caffe", stem=stem)
    options = {"layout": "caffe", "stem": stem, "alpha": 1 / 16, "include_top": False}
    model = keras_archs.build(arch, (side, side, 3), **options)
    strided = [x for x in model.layers if getattr(x, "strides", 1) not in (1, (1, 1))]
    assert all(layer.output.shape[1] < layer.input.shape[1] for layer in strided)
    assert model.output.shape[1] >= 1


def test_normalisation_of_alexnet_has_caffe_s_constants():
    norm = keras_archs.AlexNet((14, 14, 3), **SMALL, layout="caffe").get_layer("norm1")
    assert (norm.alpha, norm.k, norm.size) == (2e-5, 1.0, 5)


def test_the_pooling_of_resnet_begins_at_the_first_pixel():
    """112 -> 56 without padding in front, where torch pads by 1."""
    model = keras_archs.ResNet18((224, 224, 3), alpha=1 / 16, layout="caffe", include_top=False)
    pool = model.get_layer("pool1_pool")
    assert pool.output.shape[1:3] == (56, 56)
    assert model.get_layer("pool1_pool_pad").padding == ((0, 1), (0, 1))


def test_a_bias_before_batchnorm_goes_into_its_mean(tmp_path):
    """He's ResNet-50 has one at its first convolution."""
    given = {"input_shape": (8, 8, 3), "classes": 7, **SMALL}
    model = keras_archs.ResNet50(**given, layout="caffe")
    units = caffe_units(model, RESNET50)
    bias = np.arange(4, dtype="f4")
    units[0] = units[0]._replace(blobs=(*units[0].blobs, bias))
    loaded = keras_archs.ResNet50(**given, weights=written(tmp_path / "x.caffemodel", units))
    means = [m.get_layer("conv1_bn").moving_mean for m in (model, loaded)]
    np.testing.assert_allclose(means[0] - bias, means[1], rtol=1e-6)


# --------------------------------------------------------------------------- files that are refused

CHAIN = {"rows": ["4 3/1/1 bn relu", "gap dense"], "input_shape": (6, 6, 2), "classes": 3}


def chain_units(random, dense=(3, 4)):
    return [
        Unit("conv", "Convolution", (draw(random, 4, 2, 3, 3), draw(random, 4))),
        Unit("bn", "BatchNorm", (np.ones(4), np.ones(4), [1.0])),
        Unit("scale", "Scale", (np.ones(4), np.ones(4))),
        Unit("ip", "InnerProduct", (draw(random, *dense), np.zeros(dense[0]))),
    ]


def nan(units):
    units[0].blobs[0][0, 0, 0, 0] = np.nan
    return units


REFUSED = {
    "empty": (b"", "is empty"),
    "text": (b"this is no network at all", "no readable .caffemodel"),
    "a layer of 100 GB": (varint(100 << 3 | 2) + varint(10**11), "claims 100,000,000,000 bytes"),
    "a blob of 100 GB": (
        field(100, field(2, b"Convolution") + field(7, field(7, field(1, varint(25 * 10**9))))),
        r"claims \(25000000000,\), but holds 0",
    ),
    "an endless number": (varint(8) + b"\xff" * 20, "more than ten bytes"),
    "too many fields": (b"\x08\x00" * 300_000, "more than 200,000 fields"),
    "no weights": (field(100, field(1, b"data")), "no layer with weights"),
    "a format of 2013": (field(2, field(1, b"")), "Caffe before 2014"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_damaged_file_is_one_error(why, tmp_path):
    content, message = REFUSED[why]
    path = tmp_path / "bad.caffemodel"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"`weights` must fit the network: .*{message}") as error:
        caffe.layers(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda units: units[:-1], "it has no layer `logits`"),
        (lambda units: units[1:], "`bn` has BatchNorm, where layer `conv1` is"),
        (lambda units: chain_units(np.random.default_rng(0), (5, 4)), "adapt=True"),
        (nan, "layer `conv1` has values that are not finite"),
        (lambda units: [units[0], *units[2:]], "`scale` follows no BatchNorm"),
        (lambda units: [units[0]._replace(type="Deconvolution")], "`conv` is a Deconvolution"),
    ],
)
def test_weights_of_another_network_are_refused(change, message, tmp_path):
    units = change(chain_units(np.random.default_rng(0)))
    path = written(tmp_path / "x.caffemodel", units)
    with pytest.raises(ValueError, match=message) as error:
        keras_archs.SimpNet(**CHAIN, weights=path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_truncated_file_is_refused(tmp_path):
    path = written(tmp_path / "x.caffemodel", chain_units(np.random.default_rng(0)))
    whole = path.read_bytes()
    for kept in range(13, len(whole), 60):  # 11 bytes are the name
        path.write_bytes(whole[:kept])
        with pytest.raises(ValueError, match="`weights` must fit the network"):
            keras_archs.weights.load_weights(keras_archs.SimpNet(**CHAIN), path)


# ------------------------------------------------------------------------------- a released network


@pytest.mark.slow
def test_the_released_simplenet_is_as_good_on_mnist_as_its_authors_say(
    released_weights, shared_data
):
    path = released_weights / "simplenet_mnist_slim.caffemodel"
    model = keras_archs.SimpNet(experiment=102, weights=path)
    preprocessing = model.load_report.preprocessing
    assert (preprocessing.mean, preprocessing.std) == ((33.318,), (78.567,))
    with np.load(shared_data / "mnist.npz") as mnist:
        images, labels = mnist["x_test"], mnist["y_test"]
    probabilities = model.predict(preprocessing(images[..., None]), batch_size=500, verbose=0)
    assert (probabilities.argmax(axis=1) == labels).sum() == 9972
